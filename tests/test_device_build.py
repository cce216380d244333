"""A worker on a device: decoding and writing overlap with computing, and change neither bytes nor reports.

The device is a pretended one; how much time the overlap saves only a GPU can show.
"""

import threading
import time
from types import SimpleNamespace

import numpy as np
import planned
import pytest
import torch
from pretend_cuda import PretendCuda

from lolblur_synth import recipes
from lolblur_synth.dataset import layout, worker
from lolblur_synth.dataset.records import Job
from lolblur_synth.errors import InputError
from lolblur_synth.files import images
from lolblur_synth.kernels import cuda
from lolblur_synth.parallel import machine, pool
from lolblur_synth.parallel.ahead import ahead
from lolblur_synth.recipe.schema import Recipe

SMALL = recipes.override(Recipe(), ["resize.width=64", "resize.height=48", "dataset.pairs=5",
                                    "skip=denoise,darken,interpolate,clip_reverse,defocus,noise"])  # fmt: skip


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return planned.street(tmp_path_factory.mktemp("street"), 60, SMALL)


@pytest.fixture(autouse=True)
def no_kernels(monkeypatch):
    monkeypatch.setattr(cuda, "available", lambda: False)


def built(clip, out, device: str) -> list[tuple]:
    with PretendCuda():
        return list(worker.build(Job(SMALL, clip, device, out), clip.pairs))


def test_a_device_writes_the_pairs_of_the_cpu_and_reports_them_alike(clip, tmp_path):
    expected, got = (built(clip, tmp_path / device, device) for device in ("cpu", "cuda"))
    assert [event[:2] for event in got] == [event[:2] for event in expected]
    assert len(got) == 2 * len(clip.pairs) >= 8
    files = sorted(path.relative_to(tmp_path / "cpu") for path in (tmp_path / "cpu").rglob("*.png"))
    assert len(files) == 5 * len(clip.pairs)
    for file in files:
        ours, theirs = (images.read_image(tmp_path / device / file) for device in ("cuda", "cpu"))
        assert np.abs(ours - theirs).max() < 1.5 / 255, file


@pytest.mark.parametrize("bad", [0, 2, 3])
def test_a_pair_that_cannot_be_made_fails_in_its_place(clip, tmp_path, monkeypatch, bad):
    def make(stack, pair, job):
        if pair == clip.pairs[bad]:
            raise InputError("damaged", "replace it", "corrupt")
        return original(stack, pair, job)

    original = worker.make
    monkeypatch.setattr(worker, "make", make)
    events = built(clip, tmp_path, "cuda")
    kinds = [event[0] for event in events if event[0] != "begin"]
    assert kinds == ["failed" if number == bad else "done" for number in range(len(clip.pairs))]
    assert [event[1] for event in events if event[0] != "begin"] == list(clip.pairs)
    assert len(list(layout.records(tmp_path))) == len(clip.pairs) - 1


@pytest.mark.parametrize("where", ["make", "commit"])
def test_a_bug_costs_one_pair(clip, tmp_path, monkeypatch, where):
    """`pool` reports it as the failure of the pair that has begun last."""
    module, bad, original = (worker, clip.pairs[1], worker.make) if where == "make" else (layout, "", layout.commit)

    def broken(*words):
        if (words[1] == bad) if where == "make" else (words[1]["name"] == clip.pairs[1].name):
            raise ZeroDivisionError("a bug")
        return original(*words)

    monkeypatch.setattr(module, where, broken)
    sent = []
    pipe = SimpleNamespace(send=sent.append, poll=lambda: False)
    with PretendCuda():
        pool._do(pipe, worker.build, Job(SMALL, clip, "cuda", tmp_path), clip.pairs)
    ends = {event[1]: event[0] for event in sent if event[0] != "begin"}
    assert ends == {pair: "failed" if pair == clip.pairs[1] else "done" for pair in clip.pairs}
    assert len(list(layout.records(tmp_path))) == len(clip.pairs) - 1


def test_a_pair_is_written_while_the_next_one_is_made(clip, tmp_path, monkeypatch):
    """The first commit waits until the second pair is being made; on one thread that would never come."""
    making, original, commit = threading.Event(), worker.make, layout.commit

    def make(stack, pair, job):
        if pair == clip.pairs[1]:
            making.set()
        return original(stack, pair, job)

    def waiting(*words):
        assert making.wait(20)
        return commit(*words)

    monkeypatch.setattr(worker, "make", make)
    monkeypatch.setattr(layout, "commit", waiting)
    assert all(event[0] != "failed" for event in built(clip, tmp_path, "cuda"))


def test_what_is_read_ahead_keeps_its_order_and_its_bound():
    made = []
    source = (made.append(n) or n for n in range(20))
    for number, item in enumerate(ahead(source, 3)):
        assert item == number
        time.sleep(0.01)
        assert len(made) <= number + 1 + 3
    assert number == 19


def test_an_error_comes_in_its_place_and_ends_it():
    def broken():
        yield 1
        yield 2
        raise InputError("damaged")

    reader = ahead(broken(), 4)
    assert [next(reader), next(reader)] == [1, 2]
    with pytest.raises(InputError, match="damaged"):
        next(reader)
    assert next(reader, None) is None


def test_a_reader_that_stops_early_closes_the_source():
    closed, before = [], threading.active_count()

    def source():
        try:
            yield from range(1000)
        finally:
            closed.append(True)

    reader = ahead(source(), 3)
    assert next(reader) == 0
    reader.close()
    assert closed
    assert threading.active_count() == before


@pytest.mark.parametrize("free,jobs", [(80e9, 8), (12e9, 2), (1e9, 1)])
def test_workers_fit_into_the_memory_of_the_device(monkeypatch, free, jobs):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 80e9))
    monkeypatch.setattr(machine, "_by_cores_and_memory", lambda: 8)
    assert machine.auto_jobs("cuda:0") == jobs
    assert machine.auto_jobs("cpu") == 8
