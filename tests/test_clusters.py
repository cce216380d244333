"""A cluster does what local workers do: every item once, a poison item alone is lost, and the same bytes come out."""

import os
import signal
import threading

import pytest
from conftest import OPTIONS
from test_dataset import tree

from lolblur_synth.errors import Interrupted, UsageError
from lolblur_synth.parallel import clusters


@pytest.fixture(params=["dask", pytest.param("ray", marks=pytest.mark.extra)])
def backend(request, monkeypatch):
    pytest.importorskip({"dask": "distributed"}.get(request.param, request.param))
    monkeypatch.setenv("PYTHONPATH", os.path.dirname(__file__))
    return request.param


def perform(backend, folder, tasks, jobs=2):
    events = []
    clusters.choose(backend)(
        "toy_jobs:write_files", [(str(folder), items) for items in tasks], jobs, lambda *event: events.append(event)
    )
    assert len(events) == len({item for _, item, _ in events})
    return {item: (kind, result) for kind, item, result in events}


def test_every_item_is_done_once_and_misfortunes_cost_one_item_each(backend, tmp_path):
    events = perform(backend, tmp_path, [("a", "poison", "b"), ("c", "bug", "refused"), ("d",)])
    assert {item for item, (kind, _) in events.items() if kind == "done"} == set("abcd")
    assert events["poison"][1]["reason"] == "worker-killed"
    assert events["bug"][1]["reason"] == "error" and events["refused"][1]["reason"] == "short"


def test_an_interrupt_finishes_what_is_in_flight(backend, tmp_path):
    def interrupt():
        while not any(tmp_path.glob("attempts-slow*")):
            pass
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(Interrupted):
        perform(backend, tmp_path, [(f"slow{i}",) for i in range(12)], 1)
    finished = {p.name for p in tmp_path.glob("slow*")}
    assert {p.name.removeprefix("attempts-") for p in tmp_path.glob("attempts-*")} == finished
    assert 0 < len(finished) < 12


def test_the_tree_is_that_of_a_local_build(backend, street_videos, reference, tmp_path, run, monkeypatch):
    monkeypatch.delenv("PYTHONPATH")
    done = run("build", street_videos, tmp_path / "out", *OPTIONS, "--backend", backend, timeout=300)
    assert done.code == 0, done.err
    assert tree(tmp_path / "out") == reference.tree


def test_nobody_at_the_address_is_one_line(backend, monkeypatch):
    monkeypatch.setattr(clusters, "CONNECT_TIMEOUT", 0.5)
    run = clusters.choose(backend, "127.0.0.1:1")
    with pytest.raises(UsageError, match="answers"):
        run("toy_jobs:write_files", [("", ("a",))], 1, print)


def test_bad_words():
    with pytest.raises(UsageError, match="not known"):
        clusters.choose("spark")
    with pytest.raises(UsageError, match="--address"):
        clusters.choose("local", "127.0.0.1:8786")


@pytest.mark.parametrize("name", clusters.CLUSTERS)
def test_a_missing_package_is_one_line(name, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, {"dask": "distributed"}.get(name, name), None)
    with pytest.raises(UsageError, match="not installed"):
        clusters.choose(name)("toy_jobs:write_files", [("", ("a",))], 1, print)
