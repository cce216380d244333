"""The CUDA exposure against the torch stages: on the CPU through the shim, and on a GPU where there is one."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from cuda_shim import compile_for_device

from lolblur_synth.kernels.exposure import cuda as exposure_cuda
from lolblur_synth.kernels.exposure import reference
from lolblur_synth.recipe.schema import ClipReverseConfig
from lolblur_synth.stages import average, clip_reverse
from lolblur_synth.stages.clip_reverse import Draw
from lolblur_synth.stages.interpolate import Motion

TIMES = 1.5 + average.times(2, 8)
R, GAIN = 80.0, 1.0


def scene(height: int, width: int, reach: float = 4.0) -> tuple[torch.Tensor, Motion]:
    """Four random frames, a part of them white, and random smooth motion, with trust that varies."""
    rng = np.random.default_rng(height * width)
    frames = rng.random((4, 3, height, width), dtype=np.float32) ** 0.2
    frames[:, :, : height // 3] = 1
    cells = -(-height // 2), -(-width // 2)

    def flow():
        coarse = torch.from_numpy(rng.normal(0, reach, (3, 2, 4, 4)).astype(np.float32))
        smooth = torch.nn.functional.interpolate(coarse, cells, mode="bicubic").numpy()
        trust = rng.uniform(0.2, 1, (3, 1, *cells)).astype(np.float32)
        return np.ascontiguousarray(np.concatenate([smooth, trust], 1).transpose(0, 2, 3, 1))

    def bend():
        coarse = torch.from_numpy(rng.normal(0, reach, (3, 4, 4, 4)).astype(np.float32))
        smooth = torch.nn.functional.interpolate(coarse, cells, mode="bicubic").unflatten(1, (2, 2))
        return np.ascontiguousarray(smooth.permute(0, 1, 3, 4, 2).numpy())

    no = np.zeros(3, bool)
    return torch.from_numpy(frames), Motion(flow(), flow(), bend(), np.ones(3, np.float32), no.copy(), no.copy())


def specified(samples, config: ClipReverseConfig | None) -> torch.Tensor:
    """clip_reverse, then average, as the torch stages do them."""
    if config is None:
        return average.mean(frame**2.2 for frame in samples)
    return average.mean(clip_reverse.apply(frame[None], config, Draw(R, GAIN))[0] for frame in samples)


def combined(means: tuple[torch.Tensor, torch.Tensor], config: ClipReverseConfig | None) -> torch.Tensor:
    light, mask = (mean.cpu() for mean in means)
    gain = {"linear": R / 255, "hdr": GAIN}.get(config.space if config else "", 0)
    return light + gain * mask


@pytest.mark.parametrize("kind", ["still", "cut"])
def test_pairs_without_motion(cuda_device, kind):
    frames, motion = scene(40, 50)
    getattr(motion, kind)[1] = True
    config = ClipReverseConfig()
    expected = combined(reference.integrate(frames, motion, TIMES, config, R), config)
    got = combined(exposure_cuda.integrate(frames.to(cuda_device), motion, TIMES, config), config)
    assert (got - expected).abs().max() < 1e-4


@pytest.mark.parametrize("share,fade,kind", [(0, 0, "first"), (1, 0, "second"), (0.3, 1, "faded")])
def test_a_network_may_choose_the_frame(cuda_device, share, fade, kind):
    frames, motion = scene(20, 26)

    def correct_fields(pair, parts, field):
        assert field.shape == (len(parts), 4, 10, 13)
        return np.concatenate([0 * field, np.full_like(field[:, :1], share), np.full_like(field[:, :1], fade)], 1)

    given = replace(motion, correct_fields=correct_fields)
    got, _ = exposure_cuda.integrate(frames.to(cuda_device), given, np.array([1.25, 1.5]))
    shown = {"first": [frames[1]] * 2, "second": [frames[2]] * 2,
             "faded": [frames[1].lerp(frames[2], t) for t in (0.25, 0.5)]}[kind]  # fmt: skip
    assert (got.cpu() - specified(shown, None)).abs().max() < 1e-4


def test_a_network_may_render_the_sample(cuda_device):
    frames, motion = scene(20, 26)
    given = replace(motion, render_sample=lambda stack, pair, t: stack[pair] * t)
    got, _ = exposure_cuda.integrate(frames.to(cuda_device), given, np.array([1.25, 1.5]))
    assert (got.cpu() - specified([frames[1] * 0.25, frames[1] * 0.5], None)).abs().max() < 1e-5


def test_motion_far_out_of_the_frame_is_harmless(cuda_device):
    frames, motion = scene(36, 40, reach=500.0)
    light, _ = exposure_cuda.integrate(frames.to(cuda_device), motion, TIMES)
    assert torch.isfinite(light).all() and light.min() >= 0 and light.max() <= 1


@pytest.mark.parametrize("space,size", [("none", (17, 23)), ("linear", (32, 36)), ("code", (5, 3)), ("hdr", (40, 50))])
def test_the_average_of_given_frames(cuda_device, space, size):
    frames, _ = scene(*size)
    frames[0, 0, 0, 0] = -0.1  # to_linear calls that black
    config = None if space == "none" else ClipReverseConfig(space=space)
    expected = specified((frame.clamp_min(0) for frame in frames), config)
    got = combined(exposure_cuda.average(frames.to(cuda_device), config, R), config)
    assert (got - expected).abs().max() < 1e-5


def test_twice_gives_the_same_bytes_and_changes_no_input(cuda_device):
    frames, motion = scene(43, 70)
    given = frames.to(cuda_device)
    first, second = (exposure_cuda.integrate(given, motion, TIMES, ClipReverseConfig()) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert torch.equal(given.cpu(), frames)


@pytest.mark.extra
def test_the_source_compiles_for_a_device(tmp_path):
    compile_for_device("exposure/exposure", tmp_path)
