import dataclasses

import numba
import numpy as np
import pytest
import torch
from scipy.ndimage import spline_filter

from lolblur_synth.kernels import exposure, powers
from lolblur_synth.kernels.exposure import bspline
from lolblur_synth.recipe.schema import ClipReverseConfig
from lolblur_synth.stages import average, clip_reverse, interpolate
from lolblur_synth.stages.clip_reverse import Draw
from lolblur_synth.stages.interpolate import Motion

CASES = [("none", (37, 53)), ("linear", (37, 53)), ("code", (48, 51)), ("hdr", (33, 64)), ("linear", (64, 96))]


def scene(height: int, width: int, count: int = 4, reach: float = 4.0) -> tuple[torch.Tensor, Motion]:
    """Bright random frames, and random smooth motion of up to a few `reach` pixels, with trust that varies."""
    rng = np.random.default_rng(height * width)
    frames = rng.random((count, 3, height, width), dtype=np.float32) ** 0.2
    frames[:, :, : height // 3] = 1
    cells = -(-height // 2), -(-width // 2)

    def flow():
        coarse = rng.normal(0, reach, (count - 1, 2, 4, 4)).astype(np.float32)
        smooth = torch.nn.functional.interpolate(torch.from_numpy(coarse), cells, mode="bicubic").numpy()
        trust = rng.uniform(0.2, 1, (count - 1, 1, *cells)).astype(np.float32)
        return np.ascontiguousarray(np.concatenate([smooth, trust], 1).transpose(0, 2, 3, 1))

    def bend():
        coarse = torch.from_numpy(rng.normal(0, reach, (count - 1, 4, 4, 4)).astype(np.float32))
        smooth = torch.nn.functional.interpolate(coarse, cells, mode="bicubic").unflatten(1, (2, 2))
        return np.ascontiguousarray(smooth.permute(0, 1, 3, 4, 2).numpy())

    no = np.zeros(count - 1, bool)
    return torch.from_numpy(frames), Motion(flow(), flow(), bend(), np.ones(count - 1, np.float32), no, no)


def readable(frames, motion, times, config=None, draw=None):
    """interpolate, clip_reverse and average, one stage after the other."""
    shown = interpolate.samples(frames, motion, times)
    if draw is None:
        return average.mean(frame**2.2 for frame in shown)
    return average.mean(clip_reverse.apply(frame[None], config, draw)[0] for frame in shown)


@pytest.mark.parametrize("space,size", CASES)
def test_equals_the_stages_one_after_the_other(space, size):
    frames, motion = scene(*size)
    config = None if space == "none" else ClipReverseConfig(space=space)
    draw = None if space == "none" else Draw(80.0, 1.0)
    times = 1.5 + average.times(2, 8)
    expected = readable(frames, motion, times, config, draw)
    got = exposure.expose(frames, motion, times, config, draw)
    assert got.shape == frames.shape[1:] and got.dtype == torch.float32
    assert (got - expected).abs().max() < 1e-4
    if draw:
        assert got.max() > 1.1, "nothing was saturated: the test shows nothing"


def test_shares_of_a_network_are_followed():
    """A field with two more planes: the share of the second frame, and that of a cross-fade."""
    frames, motion = scene(44, 58)

    def correct_fields(pair, parts, field):
        y, x = np.mgrid[: field.shape[2], : field.shape[3]].astype(np.float32)
        shares = np.stack([0.5 + 0.4 * np.sin(x / 3), 0.5 + 0.5 * np.cos(y / 5)])
        return np.concatenate([field, np.broadcast_to(shares, (len(parts), *shares.shape))], 1, dtype=np.float32)

    times = 1.5 + average.times(2, 8)
    plain = exposure.expose(frames, motion, times)
    motion = dataclasses.replace(motion, correct_fields=correct_fields)
    got = exposure.expose(frames, motion, times)
    assert (got - readable(frames, motion, times)).abs().max() < 1e-4
    assert (got - plain).abs().max() > 0.01


@pytest.mark.parametrize("space", ["none", "linear", "code", "hdr"])
def test_given_frames_are_averaged_like_the_readable_stages(space):
    frames, _ = scene(37, 53, 5)
    config = None if space == "none" else ClipReverseConfig(space=space)
    light, mask = exposure.average(iter(frames), config, 80.0)
    if config is None:
        assert (light - average.mean(frames**2.2)).abs().max() < 1e-5 and mask.max() == 0
        return
    got = light + (0 if space == "code" else 0.5 * mask)
    draw = Draw(80.0) if space == "code" else Draw(127.5, 0.5)
    assert (got - average.mean(clip_reverse.apply(frames, config, draw))).abs().max() < 1e-5
    assert mask.max() == 1


def test_the_saturation_test_agrees_with_the_stage_around_its_edge():
    """All 8-bit colours that could be near L* = 98, as one frame."""
    levels = torch.arange(120, 256, dtype=torch.float32) / 255
    colours = torch.stack(torch.meshgrid(levels[100:], levels[120:], levels, indexing="ij")).reshape(3, 36, -1)
    _, mask = exposure.average([colours.contiguous()], ClipReverseConfig())
    assert torch.equal(mask[:1] == 1, clip_reverse.saturated(colours[None])[0])


@pytest.mark.parametrize("kind", ["still", "cut"])
def test_pairs_without_motion(kind):
    frames, motion = scene(40, 50)
    flags = {"still": motion.still.copy(), "cut": motion.cut.copy()}
    flags[kind][1] = True
    motion = dataclasses.replace(motion, **flags)
    times = 1.5 + average.times(3, 8)
    config = ClipReverseConfig()
    expected = readable(frames, motion, times, config, Draw(60.0))
    assert (exposure.expose(frames, motion, times, config, Draw(60.0)) - expected).abs().max() < 1e-4


def test_a_still_scene_is_its_own_exposure():
    frames = torch.rand(1, 3, 40, 50).expand(5, -1, -1, -1).contiguous()
    motion = interpolate.motion(frames, interpolate.InterpolateConfig())
    got = exposure.expose(frames, motion, 2 + average.times(3, 8))
    assert (got - frames[0] ** 2.2).abs().max() < 1e-6


def test_any_number_of_threads_gives_the_same_bytes():
    frames, motion = scene(67, 45)
    config, times = ClipReverseConfig(), 1.5 + average.times(3, 8)
    before = numba.get_num_threads()
    results = []
    try:
        for threads in {1, min(2, before), before}:
            numba.set_num_threads(threads)
            results.append(exposure.expose(frames, motion, times, config, Draw(60.0)))
    finally:
        numba.set_num_threads(before)
    assert all(torch.equal(results[0], other) for other in results)


def test_memory_that_was_used_before_does_not_matter(monkeypatch):
    """Every value of an output or scratch array is written before it is read: poison changes nothing."""
    frames, motion = scene(41, 43)
    times = 1.5 + average.times(2, 8)
    clean = exposure.expose(frames, motion, times)
    exposure.sample(frames, motion, 1.5)  # everything is compiled before numpy.empty is replaced
    empty = np.empty

    def poisoned(*args, **kwargs):
        array = empty(*args, **kwargs)
        array.fill(np.nan)
        return array

    monkeypatch.setattr(np, "empty", poisoned)
    assert torch.equal(exposure.expose(frames, motion, times), clean)
    assert torch.isfinite(exposure.sample(frames, motion, 0.5)).all()


@pytest.mark.parametrize("space", ["linear", "hdr"])
def test_the_light_can_be_drawn_again_from_the_two_means(space):
    frames, motion = scene(40, 56)
    config, times = ClipReverseConfig(space=space), 1.5 + average.times(2, 8)
    light, mask = exposure.integrate(frames, motion, times, config)
    assert mask.min() >= 0 and 0.9 < mask.max() <= 1
    for draw in (Draw(25.0, 0.3), Draw(95.0, 6.0)):
        again = light + mask * (draw.gain if space == "hdr" else draw.r / 255)
        assert torch.allclose(again, exposure.expose(frames, motion, times, config, draw), atol=1e-6)


def test_motion_far_out_of_the_frame_is_harmless():
    frames, motion = scene(36, 40, reach=500.0)
    got = exposure.expose(frames, motion, 1.5 + average.times(2, 8))
    assert torch.isfinite(got).all() and got.min() >= 0 and got.max() <= 1


def test_the_frames_are_not_changed():
    frames, motion = scene(40, 40)
    before = frames.clone()
    exposure.expose(frames, motion, 1.5 + average.times(2, 8), ClipReverseConfig(space="code"), Draw(60.0))
    assert torch.equal(frames, before)


def test_the_power():
    values = np.linspace(0, 2, 20001).astype(np.float32)
    exact = values[1:].astype(float) ** 2.2
    ours = np.array([powers.power(value) for value in values])
    assert (np.abs(ours[1:] - exact) / exact).max() < 5e-6
    assert ours[0] < 1e-37 and powers.power(np.float32(1)) == 1


@pytest.mark.parametrize("size", [(1, 9), (2, 3), (5, 7), (30, 25), (70, 131)])
def test_the_spline_goes_through_the_pixels(size):
    height, width = size
    frame = np.random.default_rng(0).random((3, *size), dtype=np.float32)
    flat, pitch = bspline.prepare(frame)
    grid = flat.reshape(height + 3, width + 3, 4)
    assert pitch == width + 3
    expected = np.stack([spline_filter(channel, 3, np.float32, "mirror") for channel in frame], -1)
    assert np.abs(grid[1 : 1 + height, 1 : 1 + width, :3] - expected).max() < 1e-5
    assert (grid[..., 3] == 0).all()
