"""A device that runs out of memory or is lost in mid-build costs pairs, and is never replaced by the CPU (T24)."""

import os
import random

import failing_device
import pytest
from test_dataset import tree

from lolblur_synth.parallel import pool

SEED = int(os.environ.get("LOLBLUR_TEST_SEED", 0))


def test_a_fault_costs_pairs_and_the_same_command_makes_them(street_videos, tmp_path, record_property):
    rng = random.Random(SEED)
    kind, at = rng.choice(sorted(failing_device.ERRORS)), rng.randint(0, 3)
    assert failing_device.run(street_videos, tmp_path / "whole")[0] == 0
    failed = failing_device.check(street_videos, tmp_path, kind, at)
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
    record_property("counted", f"device ({kind} at pair {at + 1}): {failed} pairs failed, made by the same command")


@pytest.mark.parametrize("words, reason", [
    ("CUDA out of memory. Tried to allocate 2.00 GiB", "memory"), ("Out of memory allocating 512 bytes", "memory"),
    ("CUDA error: no CUDA-capable device is detected\nmore", "device"), ("cudaErrorLaunchFailure: failed", "device"),
    ("a bug", "error"),
])  # fmt: skip
def test_a_failure_of_the_device_is_named_in_one_line(words, reason):
    told = pool._describe(RuntimeError(words))
    assert told["reason"] == reason and "\n" not in told["message"]
