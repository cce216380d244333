import dataclasses

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from lolblur_synth import draw as draws
from lolblur_synth.errors import InputError
from lolblur_synth.recipe.schema import ClipReverseConfig
from lolblur_synth.stages import clip_reverse
from lolblur_synth.stages.clip_reverse import Draw, apply, saturated

LINEAR, CODE, HDR = (ClipReverseConfig(space=space) for space in ("linear", "code", "hdr"))


def colour(*rgb: int) -> torch.Tensor:
    """One 8-bit colour as (1, 3, 1, 1) display."""
    return torch.tensor(rgb, dtype=torch.float32).div(255).reshape(1, 3, 1, 1)


def test_saturation_agrees_with_scikit_image_on_every_8_bit_colour():
    """All 16.7 M. L* grows with every channel, so where (red, green, 255) is not saturated no smaller blue can be."""
    levels = np.arange(256, dtype=np.uint8)
    ours, theirs = 0, 0
    for red in range(256):
        grid = np.stack(np.broadcast_arrays(np.uint8(red), levels[:, None], levels), -1)
        mine = saturated(torch.from_numpy(grid).float().div(255).permute(2, 0, 1)[None])[0, 0].numpy()
        rows = np.flatnonzero(rgb2lab(grid[:, 255:])[:, 0, 0] > 97)  # rgb2lab takes a minute for all of them
        assert not np.delete(mine, rows, 0).any()
        expected = rgb2lab(grid[rows])[..., 0] > 98
        assert np.array_equal(mine[rows], expected), f"red {red}"
        ours, theirs = ours + mine.sum(), theirs + expected.sum()
    assert ours == theirs > 4000


@pytest.mark.parametrize("grey,expected", [(249, False), (250, True)])
def test_the_grey_where_saturation_begins(grey, expected):
    assert saturated(colour(grey, grey, grey)).item() is expected


@pytest.mark.parametrize("config", [LINEAR, CODE, HDR], ids=lambda c: c.space)
def test_without_a_saturated_pixel_it_is_the_gamma_alone(config):
    frames = torch.rand(2, 3, 17, 23) * 0.96
    assert torch.equal(apply(frames, config, Draw(60.0, 3.0)), frames**2.2)


@pytest.mark.parametrize("r", [20.0, 60.0, 100.0])
def test_white_gains_what_each_space_says(r):
    white = torch.ones(1, 3, 1, 1)
    assert torch.allclose(apply(white, LINEAR, Draw(r)), white + r / 255)
    assert torch.allclose(apply(white, CODE, Draw(r)), (white + r / 255) ** 2.2)
    assert torch.allclose(apply(white, HDR, Draw(0.0, 4.0)), white * 5)


def test_code_gives_the_gains_of_the_reference():
    white = torch.ones(1, 3, 1, 1)
    assert apply(white, CODE, Draw(20.0)).max().item() == pytest.approx(1.18, abs=0.005)
    assert apply(white, CODE, Draw(100.0)).max().item() == pytest.approx(2.07, abs=0.005)


def test_a_coloured_lamp_is_clipped_only_for_hdr():
    sodium = colour(255, 180, 60)
    assert torch.equal(apply(sodium, LINEAR, Draw(100.0)), sodium**2.2)
    gained = apply(sodium, HDR, Draw(0.0, 2.0)) - sodium**2.2
    assert gained.flatten().tolist() == pytest.approx([2, 0, 0])


def test_hdr_does_not_flicker_where_video_dithers():
    """One code value more or less, as compression leaves it, moves the gain by a fifth, not by all of it."""
    values = torch.stack([colour(v, v, v)[0] for v in range(240, 256)])
    gained = (apply(values, HDR, Draw(0.0, 1.0)) - values**2.2)[:, 0, 0, 0]
    assert gained[0] == 0 and gained[-1] == pytest.approx(1, abs=1e-6)
    assert gained.diff().max() <= 0.2 + 1e-5 and gained.diff().min() >= -1e-6


def test_one_draw_serves_all_frames_channels_and_pixels():
    gained = apply(torch.ones(5, 3, 8, 8), LINEAR, Draw(37.0)) - 1
    assert gained.max() == gained.min()


def test_draws_follow_their_distributions():
    streams = [draws.rng(0, "video", f"segment-{n}", "clip_reverse") for n in range(400)]
    r = [clip_reverse.draw(LINEAR, stream).r for stream in streams]
    assert 20 <= min(r) < 25 and 95 < max(r) <= 100 and 55 < np.mean(r) < 65
    gain = [clip_reverse.draw(HDR, stream) for stream in streams]
    assert {d.r for d in gain} == {0.0}
    logs = np.log([d.gain for d in gain])
    assert logs.min() >= np.log(0.2) and logs.max() <= np.log(8)
    assert abs(logs.mean() - (np.log(0.2) + np.log(8)) / 2) < 0.2


def test_the_draw_is_reproducible_and_plain():
    one, two = (clip_reverse.draw(LINEAR, draws.rng(3, "video", "segment-1", "clip_reverse")) for _ in range(2))
    assert one == two
    assert all(type(value) is float for value in dataclasses.asdict(one).values())


def test_apply_leaves_its_input_alone_and_refuses_bad_frames():
    frames = torch.ones(1, 3, 4, 4)
    apply(frames, CODE, Draw(50.0))
    assert torch.equal(frames, torch.ones(1, 3, 4, 4))
    with pytest.raises(InputError):
        apply(frames.double(), LINEAR, Draw(50.0))
    with pytest.raises(InputError):
        apply(frames * float("nan"), LINEAR, Draw(50.0))
