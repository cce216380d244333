import dataclasses

import numpy as np
import pytest
import torch

from lolblur_synth.errors import InputError, UsageError
from lolblur_synth.kernels import exposure as fused
from lolblur_synth.kernels.exposure import reference
from lolblur_synth.recipe.schema import InterpolateConfig
from lolblur_synth.stages import average, interpolate

CONFIG, BLEND = InterpolateConfig(), InterpolateConfig(method="blend")
HEIGHT, WIDTH = 96, 128


def plasma(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A smooth texture, 0.1..0.9, that exists at every point of the plane: (3, ...)."""
    rng = np.random.default_rng(7)
    waves = [(rng.normal(0, 0.12, 2), rng.uniform(0, 6.3, 3)) for _ in range(24)]
    return 0.5 + 0.06 * sum(np.sin(w[0] * y + w[1] * x + p[:, None, None]) for w, p in waves).clip(-6.6, 6.6)


def moving(t: float, speed: tuple[float, float]) -> torch.Tensor:
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    return torch.from_numpy(plasma(y - speed[0] * t, x - speed[1] * t).astype(np.float32))


def stack(count: int, speed=(1.7, -3.2)) -> torch.Tensor:
    return torch.stack([moving(t, speed) for t in range(count)])


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(-10 * (a - b).square().mean().log10())


def dot(centre: float) -> torch.Tensor:
    """A soft dot on a dim ramp, at `centre` along x."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    spot = 0.1 + 0.8 * np.exp(-((x - centre) ** 2 + (y - HEIGHT / 2) ** 2) / (2 * 6.0**2))
    return torch.from_numpy(np.repeat(spot[None], 3, 0).astype(np.float32))


@pytest.fixture(scope="module")
def pan():
    frames = stack(4)
    return frames, interpolate.motion(frames, CONFIG)


def test_motion_is_what_it_is(pan):
    _, motion = pan
    inner = motion.forward[:, 12:-12, 12:-12]
    assert np.abs(inner[..., 0] + 3.2).mean() < 0.1 and np.abs(inner[..., 1] - 1.7).mean() < 0.1
    assert np.abs(motion.backward[:, 12:-12, 12:-12, :2] + inner[..., :2]).mean() < 0.1
    assert motion.forward.shape == (3, HEIGHT // 2, WIDTH // 2, 3)
    assert motion.confidence.min() > 0.8 and not motion.still.any() and not motion.cut.any()


@pytest.mark.parametrize("sample", [interpolate.sample, reference.sample], ids=["twin", "reference"])
def test_a_sample_is_the_frame_between(pan, sample):
    frames, motion = pan
    for time in (0.25, 1.5, 2.875):
        truth = moving(time, (1.7, -3.2))
        got = sample(frames, motion, time)
        blend = frames[int(time)].lerp(frames[int(time) + 1], time % 1)
        assert psnr(got, truth) > max(40, psnr(blend, truth) + 10)


@pytest.mark.parametrize("path", ["curved", "straight"])
def test_what_accelerates_goes_along_a_curve(path):
    """A dot at 3 t + 3/4 t^2: halfway, the straight path is 3/16 px off the true one."""
    frames = torch.stack([dot(50 + 3 * t + 0.75 * t * t) for t in range(-1, 3)])
    motion = interpolate.motion(frames, dataclasses.replace(CONFIG, path=path))
    truth = 50 + 3 * 0.5 + 0.75 * 0.25
    column = (interpolate.sample(frames, motion, 1.5)[0].double() - 0.1).sum(0)
    off = abs(float((column * torch.arange(WIDTH)).sum() / column.sum()) - truth)
    assert off < 0.05 if path == "curved" else 0.15 < off < 0.25


def test_a_pair_alone_is_straight():
    frames = torch.stack([dot(50.0), dot(53.0)])
    assert not interpolate.motion(frames, CONFIG).bend.any()


def test_source_frames_come_back_untouched(pan):
    frames, motion = pan
    for index in range(4):
        assert torch.equal(interpolate.sample(frames, motion, float(index)), frames[index])


def test_apply_returns_every_sample_in_order():
    frames = stack(3)
    out = interpolate.apply(frames, dataclasses.replace(CONFIG, factor=4), interpolate.Draw())
    assert out.shape == (9, 3, HEIGHT, WIDTH) and out.dtype == torch.float32
    assert torch.equal(out[::4], frames)
    assert out.min() >= 0 and out.max() <= 1


def test_equal_frames_give_identical_pixels():
    frames = stack(1).expand(3, -1, -1, -1).contiguous()
    motion = interpolate.motion(frames, CONFIG)
    assert motion.still.all() and motion.confidence.min() == 1
    for time in (0.1, 0.5, 1.7):
        assert torch.equal(interpolate.sample(frames, motion, time), frames[0])


def test_blend_is_a_cross_fade():
    frames = stack(2)
    out = interpolate.apply(frames, dataclasses.replace(CONFIG, method="blend", factor=2), interpolate.Draw())
    assert torch.allclose(out[1], (frames[0] + frames[1]) / 2, atol=1e-6)


def test_the_guide_moves_the_frames_it_stands_for():
    """Frames darkened to 1/8 follow the motion of the bright ones, and stay dark."""
    frames = stack(2)
    motion = interpolate.motion(frames, CONFIG)
    bright, dark = interpolate.sample(frames, motion, 0.5), interpolate.sample(frames / 8, motion, 0.5)
    assert torch.allclose(bright / 8, dark, atol=1e-5)


def test_a_dark_guide_still_shows_its_motion():
    motion = interpolate.motion(stack(2) / 20, CONFIG)
    assert np.abs(motion.forward[:, 12:-12, 12:-12, 0] + 3.2).mean() < 0.2


def test_what_enters_the_frame_comes_from_the_frame_that_sees_it():
    """At 12 px a frame the border is seen by one frame only; blending in the other would smear it."""
    frames = stack(2, (0.0, 12.0))
    got = interpolate.sample(frames, interpolate.motion(frames, CONFIG), 0.5)
    assert psnr(got[:, :, :8], moving(0.5, (0.0, 12.0))[:, :, :8]) > 25


def test_a_cut_is_refused_or_held():
    frames = torch.cat([stack(3) * 0.3, 1 - 0.3 * stack(3)])
    with pytest.raises(InputError) as caught:
        interpolate.motion(frames, CONFIG)
    assert caught.value.reason == "cut" and "2 and 3" in str(caught.value) and caught.value.hint
    motion = interpolate.motion(frames, CONFIG, refuse_cuts=False)
    assert motion.cut.tolist() == [False, False, True, False, False] and motion.confidence[2] == 0
    assert torch.equal(interpolate.sample(frames, motion, 2.4), frames[2])
    assert torch.equal(interpolate.sample(frames, motion, 2.6), frames[3])


def test_a_cut_between_two_dark_scenes_is_seen():
    frames = torch.cat([stack(3) * 0.1, stack(3).flip(-1, -2) * 0.1])
    assert interpolate.motion(frames, CONFIG, refuse_cuts=False).cut.tolist() == [False, False, True, False, False]


def test_two_frames_alone_are_no_cut():
    frames = torch.stack([stack(1)[0], stack(1)[0].flip(-1)])
    assert not interpolate.motion(frames, CONFIG).cut.any()


def test_a_flash_is_no_cut():
    frames = stack(5) * 0.4
    frames[2] += 0.5
    assert not interpolate.motion(frames, CONFIG).cut.any()


def exposure_of(frames: torch.Tensor, config: InterpolateConfig = CONFIG) -> torch.Tensor:
    motion = interpolate.motion(frames, config, refuse_cuts=False)
    return fused.expose(frames, motion, len(frames) // 2 + average.times(len(frames) - 2, 8))


def test_a_flash_leaves_the_exposure_whole():
    """One frame of five is bright: the blur is what a cross-fade of the standing scene gives, with nothing torn."""
    frames = stack(1).expand(5, -1, -1, -1) * 0.5
    frames[2] += 0.4
    assert psnr(exposure_of(frames), exposure_of(frames, BLEND)) > 40


def test_repeated_frames_stay_sharp_and_move_where_they_move():
    """Each picture stored twice: the pairs of equal ones are still, the others are followed."""
    frames = stack(4).repeat_interleave(2, 0)
    motion = interpolate.motion(frames, CONFIG)
    assert motion.still.tolist() == [True, False] * 3 + [True]
    assert torch.equal(interpolate.sample(frames, motion, 2.3), frames[2])
    assert psnr(interpolate.sample(frames, motion, 1.5), moving(0.5, (1.7, -3.2))) > 40


def test_letterbox_bars_stay_black_and_do_not_hold_the_picture():
    frames = stack(5)
    frames[:, :, :16] = frames[:, :, -16:] = 0
    light = exposure_of(frames)
    assert light[:, :12].max() < 1e-3 and light[:, -12:].max() < 1e-3
    free = exposure_of(stack(5))
    assert psnr(light[:, 28:-28, 12:-12], free[:, 28:-28, 12:-12]) > 45


def test_motion_that_is_too_large_lowers_the_confidence():
    """A fine texture that jumps by half the frame; the same number every time."""
    texture = torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(2))
    near, far = (torch.stack([texture, texture.roll(step, 2)]) for step in (2, WIDTH // 2))
    low = interpolate.motion(far, CONFIG).confidence[0]
    assert low < 0.4 < 0.8 < interpolate.motion(near, CONFIG).confidence[0]
    assert low == interpolate.motion(far, CONFIG).confidence[0]


def test_unrelated_frames_have_less_confidence():
    """Independent noise cannot be followed, and the number says so."""
    noise = torch.rand(2, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    assert interpolate.motion(noise, CONFIG).confidence[0] < 0.5 < interpolate.motion(stack(2), CONFIG).confidence[0]


def test_adaptive_factor_follows_the_motion():
    adaptive = dataclasses.replace(CONFIG, factor="adaptive", most=24)
    slow = interpolate.motion(stack(2, (0.0, 2.0)), CONFIG)
    fast = interpolate.motion(stack(2, (0.0, 12.0)), CONFIG)
    assert interpolate.factor(slow, adaptive) == 8 == interpolate.factor(fast, CONFIG)
    assert 12 <= interpolate.factor(fast, adaptive) <= 24
    assert interpolate.factor(fast, dataclasses.replace(adaptive, most=10)) == 10


def test_the_centroid_of_a_moving_dot_is_the_middle_frame():
    """3 px a frame, window 7: the blurred dot's centroid is the sharp one's to 1/1000 frame (0.003 px)."""
    middle = WIDTH / 2 + 0.3
    frames = torch.stack([dot(middle + 3.0 * t) for t in range(-4, 5)])
    motion = interpolate.motion(frames, CONFIG)
    blurred = average.mean(interpolate.samples(frames, motion, 4 + average.times(7, 8)))[0].double() - 0.1
    columns = torch.arange(WIDTH, dtype=torch.float64)
    centroid = float((blurred.sum(0) * columns).sum() / blurred.sum())
    assert abs(centroid - middle) / 3.0 < 1e-3


def test_odd_sizes(pan):
    frames = pan[0][:2, :, :61, :75].contiguous()
    motion = interpolate.motion(frames, CONFIG)
    slow = reference.sample(frames, motion, 0.4)
    assert slow.shape == (3, 61, 75)
    assert (slow - interpolate.sample(frames, motion, 0.4)).abs().max() < 1e-4


def test_what_cannot_be_interpolated_is_refused():
    frames = stack(2)
    with pytest.raises(InputError, match="no motion"):
        interpolate.motion(frames[:1], CONFIG)
    with pytest.raises(InputError, match="too small"):
        interpolate.motion(frames[..., :16, :16].contiguous(), CONFIG)
    motion = interpolate.motion(frames, CONFIG)
    for time in (-0.1, 1.1):
        with pytest.raises(UsageError):
            interpolate.sample(frames, motion, time)
