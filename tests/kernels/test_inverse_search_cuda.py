"""Dense inverse search on CUDA against the CPU's: through the shim, and on a GPU where there is one.

The rules are those of issue "motion on the device": within 1e-4 px on 99.9 % of the cells.
"""

import numpy as np
import pytest
import torch
from cuda_shim import compile_for_device
from scipy.ndimage import gaussian_filter, shift

from lolblur_synth.kernels import inverse_search as search
from lolblur_synth.kernels.inverse_search import cuda, window

TRUST = np.exp(-np.arange(256) / 12.75).astype(np.float32)
PRESETS = {"ultrafast": (8, 1, False), "medium": (4, 3, False), "fine": (4, 3, True)}
MAX_DIFFERENCE, SHARE = 1e-4, 0.999  # px, of the cells


def pan(size: tuple[int, int], count: int, seed: int = 0) -> np.ndarray:
    """(T, H, W) uint8: a noisy texture that moves by (3.3, -1.6) pixels a frame."""
    rng = np.random.default_rng(seed)
    texture = gaussian_filter(rng.standard_normal(size), 2, mode="wrap")
    frames = [shift(100 + 40 * texture / texture.std(), (-1.6 * t, 3.3 * t), mode="wrap") for t in range(count)]
    return np.clip(np.stack(frames) + rng.normal(0, 3, (count, *size)), 0, 255).astype(np.uint8)


def flat(size: tuple[int, int]) -> np.ndarray:
    """A grey frame, one that is brighter, one with a square in it, and the same one, moved."""
    frames = np.full((4, *size), 90, np.uint8)
    frames[1] = 120
    frames[2, 20:30, 20:30] = frames[3, 23:33, 21:31] = 200
    return frames


def cut(size: tuple[int, int]) -> np.ndarray:
    """Two frames of one scene, two of another."""
    return np.concatenate([pan(size, 2), pan(size, 2, seed=9)])


SCENES = {
    "64x96": pan((64, 96), 3),
    "odd": pan((61, 75), 3),
    "odd levels": pan((43, 107), 4),
    "least": pan((32, 33), 2),
    "flat": flat((48, 50)),
    "cut": cut((52, 45)),
    "noise": np.random.default_rng(1).integers(0, 256, (3, 55, 49), dtype=np.uint8),
}


def check(got: torch.Tensor, expected: np.ndarray) -> None:
    assert got.shape == expected.shape
    off = np.abs(got.cpu().numpy() - expected).max(-1)
    assert (off <= MAX_DIFFERENCE).mean() >= SHARE, f"off by {off.max()}, {(off > MAX_DIFFERENCE).mean():.2%}"


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_motion_is_that_of_the_cpu(cuda_device, scene, preset):
    moving = np.ones(len(scene) - 1, bool)
    expected = window.flows(torch.from_numpy(scene), moving, *preset, TRUST)
    found = cuda.flows(torch.from_numpy(scene).to(cuda_device), moving, *preset, TRUST)
    for got, flow in zip(found, expected, strict=True):
        check(got, flow)


@pytest.mark.parametrize("moving", [[True, False, True], [False, False, False]])
def test_pairs_that_rest_are_not_searched(cuda_device, moving):
    scene, moving = torch.from_numpy(pan((40, 54), 4)), np.array(moving)
    expected = window.flows(scene, moving, 4, 3, False, TRUST)
    for got, flow in zip(cuda.flows(scene.to(cuda_device), moving, 4, 3, False, TRUST), expected, strict=True):
        check(got, flow)
        assert np.array_equal(got.cpu().numpy()[~moving], flow[~moving])


@pytest.mark.parametrize("gamma", [1.0, 0.4, 0.73])
def test_codes_are_those_of_the_cpu(cuda_device, gamma):
    guide = torch.rand(3, 3, 37, 45, generator=torch.Generator().manual_seed(0)) ** 3
    guide[0, :, :3] = torch.tensor([0.0, 1.0, -0.1]).view(3, 1)
    expected = window.codes(guide, gamma)
    got = cuda.codes(guide.to(cuda_device), gamma).cpu()
    assert got.dtype == torch.uint8 and torch.equal(got, expected)


def test_twice_gives_the_same_bytes(cuda_device):
    scene, moving = torch.from_numpy(pan((61, 75), 3)).to(cuda_device), np.ones(2, bool)
    first, second = (cuda.flows(scene, moving, 4, 3, False, TRUST) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_the_cpu_serves_where_there_is_no_twin():
    scene = torch.from_numpy(pan((40, 54), 2))
    forward, _ = search.flows(scene, np.ones(1, bool), 4, 1, False, TRUST)
    assert isinstance(forward, np.ndarray)


@pytest.mark.extra
def test_the_source_compiles_for_a_device(tmp_path):
    compile_for_device("inverse_search/inverse_search", tmp_path)
