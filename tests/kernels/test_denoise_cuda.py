"""The CUDA denoiser against the Numba one: on the CPU through the shim, and on a GPU where there is one."""

import numpy as np
import pytest
import torch
from cuda_shim import compile_for_device

from lolblur_synth.recipe import DenoiseConfig
from lolblur_synth.stages import denoise


def moving(count: int, height: int, width: int, sigma: float) -> torch.Tensor:
    """Noisy texture that moves two pixels a frame, black on top, with an object that appears in the middle."""
    rng = np.random.default_rng(height * width)
    wide = rng.random((3, height // 4 + count + 1, width // 4 + count)).repeat(4, 1).repeat(4, 2)
    frames = 0.2 + 0.6 * np.stack([wide[:, t : t + height, 2 * t : 2 * t + width] for t in range(count)])
    frames[count // 2 :, :, 4:12, 4:12] = 0.9
    frames += sigma / 255 * rng.standard_normal(frames.shape)
    frames[:, :, : height // 4, : width // 2] = 0
    return torch.from_numpy(frames.astype(np.float32))


def on_device(frames: torch.Tensor, draw: denoise.Draw, device: torch.device, monkeypatch) -> torch.Tensor:
    """`denoise.apply` on the device. On the CPU, planes are tensors all the same, so that the CUDA twin runs."""
    if device.type == "cpu":
        monkeypatch.setattr(denoise, "_opponent", lambda frame: denoise._mix(denoise.OPPONENT * 255, frame))
    return denoise.apply(frames.to(device), DenoiseConfig(), draw).cpu()


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


def test_the_source_compiles_for_a_device(tmp_path):
    compile_for_device("denoise", tmp_path)
