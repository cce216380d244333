"""Denoising with its fast kernels against a slow, readable V-BM4D, tests/slow_denoise.py; transforms against SciPy."""

import numpy as np
import pytest
import slow_denoise
import torch
from numba import njit
from scipy.fft import dct, dctn
from slow_denoise import moving

from lolblur_synth.kernels.vbm4d import grouped_reference, spectra
from lolblur_synth.kernels.vbm4d.block_matching import Paths, trajectories
from lolblur_synth.kernels.vbm4d.settings import Search
from lolblur_synth.kernels.vbm4d.transforms import (
    VOLUME,
    over_time,
    temporal_matrices,
    wavelet_matrix,
)
from lolblur_synth.recipe.schema import DenoiseConfig
from lolblur_synth.stages import denoise


def compare(frames, profile):
    fast = denoise.apply(frames, DenoiseConfig(profile=profile), denoise.Draw(12.0)).numpy()
    difference = np.abs(fast - slow_denoise.slow(frames, 12.0, profile)) * 255
    assert difference.max() < 0.5 and difference.mean() < 0.02


@pytest.mark.parametrize("count,height,width", [(5, 18, 21), (4, 12, 80), (12, 12, 14)])
def test_the_fast_path_is_the_slow_reference(count, height, width):
    compare(moving(3, count, height, width, 12), "fast")


def test_noise_of_the_level_is_the_slow_reference():
    frames = moving(3, 6, 18, 21, 12) * torch.linspace(0.3, 1.2, 21)
    curve = ((60.0, 6.0), (100.0, 9.0), (150.0, 16.0), (200.0, 3.0))
    draw = denoise.Draw(12.0, curve)
    fast = denoise.apply(frames, DenoiseConfig(), draw).numpy()
    difference = np.abs(fast - slow_denoise.slow(frames, 12.0, "fast", curve)) * 255
    assert difference.max() < 0.5 and difference.mean() < 0.02
    assert np.abs(fast - denoise.apply(frames, DenoiseConfig(), denoise.Draw(12.0)).numpy()).max() * 255 > 5


@pytest.mark.parametrize("count,height,width", [(3, 15, 22), (11, 9, 20)])
def test_the_grouped_profile_is_the_slow_reference(monkeypatch, count, height, width):
    """The right half of the picture is flat, so that volumes are alike there."""
    frames = moving(3, count, height, width, 12)
    frames[..., width // 2 :] += 0.5 - moving(3, count, height, width, 0)[..., width // 2 :]
    sizes, lengths, find = set(), set(), grouped_reference.similar

    def similar(*given):
        group = find(*given)
        sizes.add(len(group))
        lengths.add(len(group[0]))
        return group

    monkeypatch.setattr(grouped_reference, "similar", similar)
    compare(frames, "vbm4d")
    assert max(sizes) >= 4 and len(sizes) > 1 and max(lengths) > 2, "no groups: the test shows nothing"


@pytest.mark.parametrize("n", [2, 4, 8])
def test_the_wavelet_is_the_biorthogonal_one(n):
    """Its analysis kills constants in the details, its synthesis of the mean is Haar's: piecewise constant."""
    matrix = wavelet_matrix(n)
    assert np.allclose(np.square(matrix).sum(1), 1) and np.allclose(matrix[1:].sum(1), 0)
    back = np.linalg.inv(matrix)
    assert np.allclose(back[:, 0], back[0, 0])
    if n == 8:
        assert np.allclose(matrix[4:], np.kron(np.eye(4), [-1, 1]) / np.sqrt(2))


def test_blocks_are_transformed_like_scipy_does():
    block, spectrum = np.random.default_rng(0).standard_normal(64).astype(np.float32), np.empty(64, np.float32)
    _transform(block, spectrum)
    assert np.allclose(spectrum.reshape(8, 8).T, dctn(block.reshape(8, 8), norm="ortho"), atol=1e-5)
    back = np.empty(64, np.float32)
    _transform_back(spectrum, np.full(64, 2, np.float32), back)
    assert np.allclose(back, 2 * block, atol=1e-5)


@njit
def _transform(block, spectrum):
    spectra.transform(block, 0, 8, spectrum, 0)


@njit
def _transform_back(spectrum, scale, block):
    spectra.transform_back(spectrum, 0, scale, block, 0)


@pytest.mark.parametrize("length", range(1, 10))
def test_time_is_transformed_like_scipy_does(length):
    v = np.random.default_rng(length).standard_normal(VOLUME).astype(np.float32)
    out, back = np.full(VOLUME, 7, np.float32), np.empty(VOLUME, np.float32)
    matrices = temporal_matrices()
    over_time(v, out, matrices[0, length], length)
    blocks = v.reshape(9, 64)[:length]
    assert np.allclose(out.reshape(9, 64)[:length], dct(blocks, axis=0, norm="ortho"), atol=1e-5)
    over_time(out, back, matrices[1, length], length)
    assert np.allclose(back.reshape(9, 64)[:length], blocks, atol=1e-5)


@pytest.mark.parametrize("dy,dx", [(0, 0), (1, -1), (-2, 3)])
def test_trajectories_find_the_motion_and_stop_at_a_cut(dy, dx):
    rng = np.random.default_rng(1)
    wide = rng.random((80, 120)).astype(np.float32) * 100
    frames = np.zeros((5, 3, 40, 72), np.float32)
    for t in range(4):
        frames[t, 0] = wide[20 - dy * t :, 24 - dx * t :][:40, :72]
    frames[4, 0] = rng.random((40, 72)) * 100
    ys, xs = np.arange(12, 21, 4), np.arange(16, 41, 4)
    path, extent = np.zeros((3, 7, 9, 2), np.int16), np.zeros((3, 7, 2), np.int16)
    slots = np.array([-1, -1, -1, 0, 1, 2, 3, 4, -1])
    radius, active = np.array([1, 4, 2]), np.ones((3, 7), bool)
    search = Search(radius, np.float32(1), np.float32(10), np.float32(100))
    trajectories(frames, Paths(slots, ys, xs, active, path, extent), search)
    assert (extent == [1, 2]).all()
    for k in (-1, 0, 1, 2):
        assert (path[:, :, 4 + k] == [dy * k, dx * k]).all()
