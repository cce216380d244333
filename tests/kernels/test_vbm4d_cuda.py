"""The CUDA denoiser against the Numba one: on the CPU through the shim, and on a GPU where there is one."""

import numpy as np
import pytest
import slow_denoise
import torch
from cuda_shim import compile_for_device

from lolblur_synth.recipe.schema import DenoiseConfig
from lolblur_synth.stages import denoise
from lolblur_synth.stages.denoise import passes


def moving(count: int, height: int, width: int, sigma: float) -> torch.Tensor:
    """Noisy texture that moves two pixels a frame, black on top, with an object that appears in the middle."""
    rng = np.random.default_rng(height * width)
    wide = rng.random((3, height // 4 + count + 1, width // 4 + count)).repeat(4, 1).repeat(4, 2)
    frames = 0.2 + 0.6 * np.stack([wide[:, t : t + height, 2 * t : 2 * t + width] for t in range(count)])
    frames[count // 2 :, :, 4:12, 4:12] = 0.9
    frames += sigma / 255 * rng.standard_normal(frames.shape)
    frames[:, :, : height // 4, : width // 2] = 0
    return torch.from_numpy(frames.astype(np.float32))


def on_device(frames, draw: denoise.Draw, device: torch.device, monkeypatch, **keep) -> torch.Tensor:
    """`denoise.apply` on the device. On the CPU, planes are tensors all the same, so that the CUDA twin runs."""
    with monkeypatch.context() as patch:
        if device.type == "cpu":
            patch.setattr(passes, "opponent", lambda frame: passes.mixed(passes.OPPONENT * 255, frame))
        return denoise.apply(frames.to(device), DenoiseConfig(), draw, **keep).cpu()


CURVE = ((0.0, 0.2), (60.0, 12.0), (120.0, 16.0), (200.0, 30.0))


@pytest.mark.parametrize("count,height,width,sigma,curve",
                         [(11, 42, 61, 20.0, ()), (4, 19, 150, 8.0, ()), (3, 8, 9, 40.0, ()),
                          (10, 42, 61, 15.0, CURVE)])  # fmt: skip
def test_equals_the_numba_kernels(cuda_device, monkeypatch, count, height, width, sigma, curve):
    frames, draw = moving(count, height, width, sigma), denoise.Draw(sigma, curve)
    expected = denoise.apply(frames, DenoiseConfig(), draw)
    got = on_device(frames, draw, cuda_device, monkeypatch)
    difference = 255 * (got - expected).abs()
    assert difference.max() < 0.5 and difference.mean() < 0.02
    assert (frames - expected).std() * 255 > 0.5 * sigma, "nothing was removed: the test shows nothing"


def test_twice_gives_the_same_bytes_and_changes_no_input(cuda_device, monkeypatch):
    frames = moving(5, 24, 33, 15.0)
    before = frames.clone()
    first, second = (on_device(frames, denoise.Draw(15.0), cuda_device, monkeypatch) for _ in range(2))
    assert torch.equal(first, second) and torch.equal(frames, before)


def half_flat(count: int, height: int, width: int, sigma: float) -> torch.Tensor:
    """`moving`, and flat but for the noise on the right, where volumes are alike."""
    frames = moving(count, height, width, sigma)
    frames[..., width // 2 :] += 0.5 - moving(count, height, width, 0)[..., width // 2 :]
    return frames


def check(got: torch.Tensor, expected: torch.Tensor) -> None:
    difference = 255 * (got - expected).abs()
    told = f"largest {difference.max():.3f}, mean {difference.mean():.5f}"
    assert difference.mean() < 0.02 and difference.max() < 0.5, told


@pytest.mark.parametrize("stage", [0, 1], ids=["hard threshold", "Wiener"])
def test_each_pass_equals_the_numba_kernels(cuda_device, stage):
    """On the same input, so that there are no ties; the second pass's pilot has a third of the noise."""
    noisy = [passes.opponent(frame) for frame in half_flat(11, 26, 44, 20.0)]
    calm = noisy if stage == 0 else [passes.opponent(frame) for frame in half_flat(11, 26, 44, 6.0)]

    def results(wrap) -> torch.Tensor:
        pairs = ((wrap(a), wrap(b)) for a, b in zip(noisy, calm, strict=True))
        passed = passes.estimates(pairs, stage, denoise.Draw(20.0), "fast", None, [])
        return torch.stack([torch.as_tensor(estimate).cpu() for _, estimate in passed])

    got, expected = results(lambda planes: torch.from_numpy(planes).to(cuda_device)), results(lambda planes: planes)
    assert (got - expected).abs().max() < 0.05
    assert (expected - torch.from_numpy(np.stack(noisy))).std() > 5, "nothing was removed: the test shows nothing"


def test_the_device_is_the_slow_reference(cuda_device, monkeypatch):
    frames = half_flat(4, 12, 30, 12.0)
    expected = torch.from_numpy(slow_denoise.slow(frames, 12.0, "fast"))
    check(on_device(frames, denoise.Draw(12.0), cuda_device, monkeypatch), expected)


@pytest.mark.extra
def test_the_source_compiles_for_a_device(tmp_path):
    compile_for_device("vbm4d/denoise", tmp_path)
