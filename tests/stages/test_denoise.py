import cv2
import numba
import numpy as np
import pytest
import torch

from lolblur_synth import draw as draws
from lolblur_synth import recipes
from lolblur_synth.errors import InputError, RecipeError
from lolblur_synth.recipe.schema import DenoiseConfig, Recipe
from lolblur_synth.stages import denoise
from lolblur_synth.stages.denoise import passes

CONFIG = DenoiseConfig()
# dB: what a frame at the end of a clip loses if its volumes have the 5 frames on one side of it instead of 9, since a
# mean of n frames has an n-th of the noise variance. Volumes that reach further the other way should lose less.
LOSS_OF_HALF_A_WINDOW = 10 * np.log10(9 / 5)


def scene(seed: int, count: int, height: int = 72, width: int = 88, speed=(1.3, 0.6)) -> torch.Tensor:
    """A textured and partly flat picture that drifts by a fraction of a pixel a frame, (count, 3, H, W), 0.1..0.9."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((160, 200, 3), np.float32)
    for scale in (3, 9, 31):
        picture += cv2.GaussianBlur(rng.standard_normal(picture.shape).astype(np.float32), (0, 0), scale) * scale
    picture[:, 100:130] = picture[:, 100:130].mean((0, 1))
    picture = 0.1 + 0.8 * (picture - picture.min()) / np.ptp(picture)
    moves = [np.float32([[1, 0, -20 - speed[0] * t], [0, 1, -20 - speed[1] * t]]) for t in range(count)]
    frames = [cv2.warpAffine(picture, move, (width, height), flags=cv2.INTER_CUBIC) for move in moves]
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous().clamp(0, 1)


def noisy(frames: torch.Tensor, sigma: float, seed: int = 1) -> torch.Tensor:
    noise = np.random.default_rng(seed).standard_normal(tuple(frames.shape)).astype(np.float32)
    return frames + torch.from_numpy(noise) * sigma / 255


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(-10 * torch.log10((a - b).square().mean()))


@pytest.fixture(scope="module")
def clip():
    clean = scene(0, 12)
    dirty = noisy(clean, 20)
    return clean, dirty, denoise.apply(dirty, CONFIG, denoise.Draw(20.0))


def test_noise_goes(clip):
    clean, dirty, result = clip
    assert result.shape == clean.shape and result.dtype == torch.float32
    assert result.min() >= 0 and result.max() <= 1
    frames = [psnr(a, b) for a, b in zip(result, clean, strict=True)]
    assert np.mean(frames) > psnr(dirty, clean) + 12
    # No requirements: they keep the ends from getting worse. The requirements are the two tests that follow.
    assert min(frames[0], frames[-1]) > np.mean(frames[4:-4]) - 4.0
    assert np.mean(frames[1:4] + frames[-4:-1]) > np.mean(frames[4:-4]) - 0.55


@pytest.mark.xfail(strict=True, reason="the first and the last frame lose 3.7 dB, because fewer volumes overlap there")
def test_the_outermost_frames_lose_no_more_than_half_a_window_costs(clip):
    clean, _, result = clip
    frames = [psnr(a, b) for a, b in zip(result, clean, strict=True)]
    assert min(frames[0], frames[-1]) > np.mean(frames[4:-4]) - LOSS_OF_HALF_A_WINDOW


def test_more_reference_blocks_at_the_ends_are_worth_it(clip, monkeypatch):
    clean, dirty, result = clip
    monkeypatch.setattr(passes, "FULL_ENDS", 0)
    monkeypatch.setattr(passes, "DENSE_ENDS", 0)
    fewer = denoise.apply(dirty, CONFIG, denoise.Draw(20.0))
    ends = [0, 1, 2, 3, -4, -3, -2, -1]
    assert psnr(result[ends], clean[ends]) > psnr(fewer[ends], clean[ends]) + 0.05


def test_the_two_passes_and_time_are_worth_it(clip):
    clean, dirty, result = clip
    alone = torch.cat([denoise.apply(frame[None], CONFIG, denoise.Draw(20.0)) for frame in dirty[:4]])
    assert psnr(dirty[:4], clean[:4]) + 7 < psnr(alone, clean[:4]) < psnr(result[:4], clean[:4]) - 0.7


@pytest.mark.parametrize("profile", ["fast", "vbm4d"])
def test_a_stream_gives_the_bytes_of_the_stack(clip, profile):
    size = (..., slice(40), slice(48)) if profile == "fast" else (slice(10), ..., slice(32), slice(40))  # vbm4d is slow
    config, frames = DenoiseConfig(profile=profile), clip[1][size]
    draw = denoise.Draw(20.0, ((50.0, 15.0), (180.0, 25.0)))
    streamed = torch.cat(list(denoise.stream(iter(frames), config, draw)))
    assert torch.equal(streamed, denoise.apply(frames, config, draw))
    assert psnr(streamed, clip[0][size]) > psnr(frames, clip[0][size]) + 7


def test_the_first_frame_of_a_stream_does_not_wait_for_the_last():
    taken = []
    frames = (taken.append(t) or frame for t, frame in enumerate(noisy(scene(0, 30, 16, 24), 10)))
    assert next(denoise.stream(frames, CONFIG, denoise.Draw(10.0))).shape == (1, 3, 16, 24)
    assert len(taken) == 4 * passes.H + 1


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="needs two threads")
@pytest.mark.parametrize("profile", ["fast", "vbm4d"])
def test_threads_do_not_change_a_bit(clip, profile):
    config, frames = DenoiseConfig(profile=profile), clip[1][:5, :, :40, :48]
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        draw = denoise.Draw(20.0, ((50.0, 15.0), (180.0, 25.0)))
        one = denoise.apply(frames, config, draw)
        numba.set_num_threads(2)
        two = denoise.apply(frames, config, draw)
    finally:
        numba.set_num_threads(before)
    assert torch.equal(one, two)


def test_context_serves_and_is_not_returned():
    clean = scene(0, 20, 64, 72)
    dirty, draw = noisy(clean, 20), denoise.Draw(20.0)
    kept, result = denoise.apply(dirty, CONFIG, draw, keep=slice(8, 12)), denoise.apply(dirty, CONFIG, draw)
    assert kept.shape[0] == 4
    assert psnr(kept, clean[8:12]) > psnr(result[8:12], clean[8:12]) - 0.3
    assert psnr(kept, clean[8:12]) > psnr(denoise.apply(dirty[8:12], CONFIG, draw), clean[8:12])


@pytest.fixture(scope="module")
def losses_at_the_end():
    """dB that the last four frames of a clip lose to the same frames in a clip that goes on for five more."""
    clean = scene(0, 18)
    dirty, draw = noisy(clean, 20), denoise.Draw(20.0)
    end, inside = (denoise.apply(dirty[:count], CONFIG, draw) for count in (13, 18))
    return [psnr(inside[t], clean[t]) - psnr(end[t], clean[t]) for t in range(9, 13)]


def test_the_ends_lose_little_to_the_same_frames_inside(losses_at_the_end):
    """Without more reference blocks there, the last frame but one would lose 0.76 dB."""
    assert max(losses_at_the_end[:2]) < 0.3
    assert losses_at_the_end[2] < 0.6
    assert losses_at_the_end[3] < 3.0  # no requirement, see the next test


@pytest.mark.xfail(strict=True, reason="the last frame loses more than 2.55 dB, because fewer volumes overlap there")
def test_the_last_frame_loses_no_more_than_half_a_window_costs(losses_at_the_end):
    assert losses_at_the_end[3] < LOSS_OF_HALF_A_WINDOW


def test_nothing_leaks_across_a_cut():
    first, second = noisy(scene(0, 6), 10), noisy(scene(5, 6), 10, seed=2)
    together = denoise.apply(torch.cat([first, second]), CONFIG, denoise.Draw(10.0))
    apart = torch.cat([denoise.apply(half, CONFIG, denoise.Draw(10.0)) for half in (first, second)])
    clean = torch.cat([scene(0, 6), scene(5, 6)])
    for t in range(4, 8):
        # a cut shortens volumes, to 5 frames beside it; the end of a clip does not
        assert psnr(together[t], clean[t]) > psnr(apart[t], clean[t]) - LOSS_OF_HALF_A_WINDOW
        assert (together[t] - clean[t]).abs().max() < 0.12


def test_a_moving_object_leaves_no_ghost():
    clean = scene(0, 9, speed=(0, 0))
    for t in range(9):
        clean[t, :, 30:46, 4 + 8 * t : 16 + 8 * t] = torch.tensor([0.95, 0.9, 0.1])[:, None, None]
    result = denoise.apply(noisy(clean, 5), CONFIG, denoise.Draw(5.0))
    assert (result - clean).abs().amax() < 0.2
    assert psnr(result[4, :, 24:52], clean[4, :, 24:52]) > 36


def test_sigma_zero_is_the_identity(clip):
    assert torch.equal(denoise.apply(clip[1], CONFIG, denoise.Draw(0.0)), clip[1])
    assert torch.equal(denoise.apply(clip[1], CONFIG, denoise.Draw(0.0), keep=slice(2, 5)), clip[1][2:5])
    assert torch.equal(torch.cat(list(denoise.stream(clip[1], CONFIG, denoise.Draw(0.0)))), clip[1])


def test_grey_stays_grey():
    grey = noisy(scene(0, 3), 10).mean(1, keepdim=True).expand(-1, 3, -1, -1).contiguous()
    result = denoise.apply(grey, CONFIG, denoise.Draw(10.0))
    assert (result - result[:, :1]).abs().max() < 1e-4


@pytest.mark.parametrize("profile", ["fast", "vbm4d"])
@pytest.mark.parametrize("height,width", [(8, 8), (9, 8), (8, 31), (13, 17)])
def test_the_smallest_frames_and_odd_sizes(height, width, profile):
    clean = torch.full((2, 3, height, width), 0.5)
    result = denoise.apply(noisy(clean, 10), DenoiseConfig(profile=profile), denoise.Draw(10.0))
    assert result.shape == clean.shape and psnr(result, clean) > 36


@pytest.mark.parametrize("sigma", [-1.0, float("nan"), float("inf"), 1000.0])
def test_an_absurd_sigma_is_refused(clip, sigma):
    with pytest.raises(RecipeError, match="sigma"):
        denoise.apply(clip[1], CONFIG, denoise.Draw(sigma))
    with pytest.raises(RecipeError, match="sigma"):
        list(denoise.stream(clip[1], CONFIG, denoise.Draw(sigma)))


def test_frames_that_are_none_are_refused(clip):
    broken = clip[1].clone()
    broken[3, 1, 5, 5] = float("nan")
    for frames in (broken, clip[1][:, :1], clip[1][:, :, :7], clip[1][..., :5]):
        with pytest.raises(InputError):
            denoise.apply(frames, CONFIG, denoise.Draw(10.0))
        with pytest.raises(InputError):
            list(denoise.stream(frames, CONFIG, denoise.Draw(10.0)))


@pytest.mark.parametrize("sigma", [1, 4, 15, 40])
@pytest.mark.parametrize("speed", [(0, 0), (1.3, 0.6)])
def test_the_noise_is_estimated(sigma, speed):
    estimate = denoise.estimate(noisy(scene(2, 5, 144, 160, speed), sigma)).sigma
    assert abs(estimate / sigma - 1) < 0.15


def by_level(frames: torch.Tensor, gain: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames with noise of the variance gain * (level + 10), and its deviation; code values."""
    deviation = (gain * (255 * frames + 10)).sqrt()
    white = torch.from_numpy(np.random.default_rng(3).standard_normal(tuple(frames.shape)).astype(np.float32))
    return (frames + deviation * white / 255).clamp(0, 1), deviation


@pytest.mark.parametrize("gain", [0.1, 2.0])
@pytest.mark.parametrize("speed", [0, 1])
def test_noise_that_grows_with_the_level_is_estimated(gain, speed):
    """Brighter to the right, with soft texture that moves."""
    texture = cv2.GaussianBlur(np.random.default_rng(2).standard_normal((280, 340)).astype(np.float32), (0, 0), 4)
    ramp = np.linspace(0.05, 0.85, 320, dtype=np.float32)
    moved = np.stack([texture[:280, speed * t : speed * t + 320] for t in range(9)])
    dirty, deviation = by_level(torch.from_numpy(0.2 * moved + ramp)[:, None].expand(-1, 3, -1, -1), gain)
    found = denoise.estimate(dirty)
    assert len(found.curve) >= 5 and found.curve[0][0] < 60 and found.curve[-1][0] > 150
    for level, value in found.curve:
        assert abs(value / np.sqrt(gain * (level + 10)) - 1) < 0.2, f"at {level}"
    assert abs(found.sigma / float(deviation.square().mean().sqrt()) - 1) < 0.2


def test_noise_of_the_level_is_worth_it():
    clean = scene(2, 9, 96, 120)
    clean[..., :60] *= 0.2
    dirty, deviation = by_level(clean, 2.0)
    one = float(deviation.square().mean().sqrt())
    curve = tuple((float(level), float(np.sqrt(2 * (level + 10)))) for level in range(0, 256, 15))
    plain, levelled = (denoise.apply(dirty, CONFIG, draw) for draw in (denoise.Draw(one), denoise.Draw(one, curve)))
    assert psnr(levelled, clean) > psnr(plain, clean) + 0.4


def test_a_flat_curve_is_one_sigma(clip):
    flat = denoise.Draw(20.0, ((0.0, 20.0), (100.0, 20.0), (255.0, 20.0)))
    assert torch.equal(denoise.apply(clip[1], CONFIG, flat), clip[2])


@pytest.mark.parametrize("sigma", [2, 6])
def test_blocks_copied_in_time_do_not_hide_the_noise(sigma):
    """As a codec does: the camera rests, and every frame keeps two thirds of the blocks of the frame before."""
    frames = noisy(scene(2, 9, 144, 160, (0, 0)), sigma)
    rng = np.random.default_rng(0)
    for t in range(1, 9):
        kept = torch.from_numpy(rng.random((18, 20)) < 0.67).repeat_interleave(8, 0).repeat_interleave(8, 1)
        frames[t] = torch.where(kept, frames[t - 1], frames[t])
    assert abs(denoise.estimate(frames).sigma / sigma - 1) < 0.2


@pytest.mark.parametrize("sigma", [0.5, 1.5])
def test_noise_broader_than_a_block_is_seen(sigma):
    """What a codec leaves of faint noise changes from frame to frame, but hardly within a block."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:192, :240] / 240
    shading = np.stack([0.2 + 0.1 * x, 0.15 + 0.1 * y, 0.2 - 0.1 * x * y])
    broad = [[cv2.GaussianBlur(rng.standard_normal((192, 240)), (0, 0), 6) for _ in range(3)] for _ in range(9)]
    frames = torch.from_numpy(np.float32(shading + sigma / 255 * np.array(broad) / np.std(broad)))
    assert abs(denoise.estimate(frames).sigma / sigma - 1) < 0.2


def test_shading_that_moves_is_not_noise():
    y, x = np.mgrid[:192, :240]
    pan = [[0.5 + 0.04 * np.sin((x + 2 * t) / 40 + c) + 0.04 * np.cos(y / 50) for c in range(3)] for t in range(9)]
    frames = torch.from_numpy(np.array(pan, np.float32))
    assert abs(denoise.estimate(noisy(frames, 0.5)).sigma / 0.5 - 1) < 0.2


def test_the_estimate_is_a_sigma_that_can_be_asked_for():
    loud = torch.from_numpy((np.random.default_rng(0).random((3, 3, 32, 32)) > 0.5).astype(np.float32))
    for frames in (loud, loud[:1]):
        assert denoise.estimate(frames).sigma <= 100


def test_clipped_darkness_does_not_hide_the_noise():
    clean = scene(2, 5, 144, 160, (0, 0))
    clean[:, :, 40:] = -0.3
    assert abs(denoise.estimate(noisy(clean, 8).clamp(0, 1)).sigma / 8 - 1) < 0.15
    assert denoise.estimate(torch.zeros(3, 3, 32, 32)).sigma == 0


def test_draw_takes_the_number_or_leaves_it_to_the_clip(clip):
    rng = draws.rng(0, "video", "segment-0", "denoise")
    assert denoise.draw(DenoiseConfig(sigma=7), rng) == denoise.Draw(7.0)
    assert denoise.draw(CONFIG, rng) == denoise.Draw(None)
    estimated = denoise.estimate(clip[1])
    assert torch.equal(denoise.apply(clip[1], CONFIG, denoise.Draw(None)), denoise.apply(clip[1], CONFIG, estimated))


def test_the_profile_that_was_removed_is_refused_with_those_that_there_are():
    with pytest.raises(RecipeError, match="denoise.profile = 'np'") as caught:
        recipes.override(Recipe(), ["denoise.profile=np"])
    assert caught.value.hint == "one of fast, vbm4d"
