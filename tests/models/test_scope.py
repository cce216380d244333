"""What weights say of themselves: valid entries are read, and nothing that a stranger writes instead of them is."""

import json

import numpy as np
import pytest
import torch

from lolblur_synth.frames import lightness
from lolblur_synth.models.scope import Scope, mean_lightness, read

WHOLE = Scope("Made for dark, blurred frames.", (0.02, 0.45), (320, 1120))


def test_a_header_gives_back_what_was_put_in():
    assert read(json.loads(json.dumps(WHOLE.header()))) == (WHOLE, [])
    assert read({}) == (Scope(), [])
    assert Scope().header() == {}


def test_entries_may_be_missing_one_by_one():
    assert read({"trained_on": {"side": [8, 8]}}) == (Scope(side=(8, 8)), [])
    assert read({"expect": " dark frames "}) == (Scope("dark frames"), [])


@pytest.mark.parametrize("value", ["", " ", "a\nb", "\x1b[2Jred", "a\u202eb", "x" * 201, 3, None, ["a"], {"a": 1}])
def test_a_sentence_that_is_none_is_left_out(value):
    assert read(WHOLE.header() | {"expect": value}) == (WHOLE._replace(expect=""), ["expect"])


RANGES = [None, 3, "0..1", [], [0.1], [0.1, 0.2, 0.3], [0.5, 0.1], [float("nan"), 1], [0, float("inf")], [True, True],
          ["0", "1"], [-0.1, 0.5], [0, 10**400], {"0": 1}]  # fmt: skip


@pytest.mark.parametrize("value", RANGES)
def test_a_range_that_is_none_is_left_out(value):
    about = WHOLE.header() | {"trained_on": {"lightness": value, "side": value}}
    assert read(about) == (Scope(WHOLE.expect), ["trained_on.lightness", "trained_on.side"])


def test_ranges_have_their_units():
    assert read({"trained_on": {"lightness": [2, 45]}})[1] == ["trained_on.lightness"], "shares, not L*"
    assert read({"trained_on": {"side": [0.5, 320]}})[1] == ["trained_on.side"], "whole pixels"
    assert read({"trained_on": {"side": [0, 320]}})[1] == ["trained_on.side"]
    assert read({"trained_on": [0.02, 0.45]}) == (Scope(), ["trained_on"])


def test_mean_lightness_is_that_of_the_frame():
    frame = torch.from_numpy(np.random.default_rng(0).random((3, 64, 96), np.float32))
    assert mean_lightness(frame) == pytest.approx(lightness(frame[None]).mean().item(), abs=0.02)
    assert mean_lightness(torch.full((3, 1, 2), 0.5)) == pytest.approx(0.534, abs=0.001), "L* 53.4, also of one pixel"
