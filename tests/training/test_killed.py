"""A training killed while it writes a checkpoint goes on bit for bit, with its newest checkpoint damaged too (T22)."""

import os
import random

import killed_training
from tiny_pairs import write_pairs

SEED = int(os.environ.get("LOLBLUR_TEST_SEED", 0))


def test_killed_in_a_checkpoint_and_resumed_bit_for_bit(tmp_path, record_property):
    rng = random.Random(SEED)
    data = write_pairs(tmp_path / "data")
    killed_training.train(data, tmp_path / "whole")
    kind, number = rng.choice(sorted(killed_training.DEATHS)), rng.randint(3, 8)
    killed_training.kill(data, tmp_path / "run", kind, number)
    damaged = killed_training.damage_newest(tmp_path / "run", rng)
    killed_training.train(data, tmp_path / "run")
    assert killed_training.result(tmp_path / "run") == killed_training.result(tmp_path / "whole")
    record_property("counted", f"training: 1 kill ({kind}, checkpoint {number}), newest checkpoint {damaged}")


def test_killed_after_the_rename_of_any_checkpoint(tmp_path):
    """What stands in the log and in the weights is complete when a checkpoint is."""
    data = write_pairs(tmp_path / "data")
    killed_training.train(data, tmp_path / "whole")
    for number in (1, 2, 8):  # 8: the last one
        out = tmp_path / str(number)
        killed_training.kill(data, out, "renamed", number)
        killed_training.train(data, out)
        assert killed_training.result(out) == killed_training.result(tmp_path / "whole"), number
