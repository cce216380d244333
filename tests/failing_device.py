"""Builds on a pretended CUDA device that runs out of memory, or is lost, in mid-build (reliability class T24).

`build` is a target of `parallel/pool.py`: the worker's, on tensors that are marked as a device's, with a fault.
"""

import os
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from pretend_cuda import PretendCuda

from lolblur_synth.cli import main
from lolblur_synth.dataset import layout, worker
from lolblur_synth.kernels import cuda
from lolblur_synth.parallel import clusters, pool

FAULT = "FAILING_DEVICE"  # in the environment: "memory 2" or "lost 2", at the pair that the worker makes as its third
SKIPPED = ("denoise", "darken", "interpolate", "clip_reverse", "defocus", "noise")
ERRORS = {
    "memory": lambda: torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "lost": lambda: RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be reported later"),
}
made = 0  # pairs that this process has begun to make


def build(job, pairs):
    """`worker.build` on the pretended device. A device that is lost fails for every pair from then on."""
    kind, _, at = os.environ.get(FAULT, "").partition(" ")
    original = worker.make

    def make(stack, pair, job):
        global made
        made += 1
        if kind and (made - 1 == int(at) or (kind == "lost" and made - 1 > int(at))):
            raise ERRORS[kind]()
        return original(stack, pair, job)

    with pytest.MonkeyPatch.context() as patch, PretendCuda():
        patch.setattr(worker, "make", make)
        patch.setattr(cuda, "available", lambda: False)
        yield from worker.build(job, pairs)


def _on_device(target, tasks, jobs, report):
    device = {payload.device for payload, _ in tasks if hasattr(payload, "device")}
    assert device <= {"cuda"}, "handed to the CPU"
    pool.run(target.replace("lolblur_synth.dataset.worker:build", "failing_device:build"), tasks, jobs, report)


def run(videos: Path, out: Path, fault: str = "") -> tuple[int, str]:
    """`lolblur-synth build --device cuda` where CUDA is pretended. Returns its exit code and what it said."""
    words = ["build", videos, out, "--size", "64x48", "--pairs", "4", "--jobs", "1", "--device", "cuda"]
    words += [word for stage in SKIPPED for word in ("--skip", stage)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FAULT, fault)
        folders = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, folders)))
        patch.setattr(torch.cuda, "is_available", lambda: True)
        patch.setattr(clusters, "choose", lambda *_: _on_device)
        done = CliRunner().invoke(main, list(map(str, words)))
    return done.exit_code, done.output


def check(videos: Path, folder: Path, kind: str, at: int) -> int:
    """A build with a fault at pair `at`, then the same command on a sound device. Returns how many pairs failed."""
    out = folder / "out"
    code, said = run(videos, out, f"{kind} {at}")
    failed = list(layout.failures(out))
    records = list(layout.records(out))
    assert code == 3 and "Traceback" not in said, f"exit code {code}: {said}"
    assert failed and {failure["reason"] for failure in failed} == {{"memory": "memory", "lost": "device"}[kind]}, (
        failed
    )
    planned = sum(len(clip["pairs"]) for clip in layout.read_json(out / layout.STATE / "plan.json")["clips"])
    expected = at if kind == "lost" else planned - 1
    assert len(records) == expected, f"{len(records)} of {planned} pairs made, {expected} expected"
    code, said = run(videos, out)
    assert code == 0 and not list(layout.failures(out)), said
    return len(failed)
