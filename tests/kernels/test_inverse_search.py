"""Dense inverse search: its vector IR against NumPy, motions that are known, and what has none."""

import numpy as np
import pytest
from numba import njit
from scipy.ndimage import gaussian_filter, shift

from lolblur_synth.kernels import inverse_search as search
from lolblur_synth.kernels.inverse_search import patch

TRUST = np.exp(-np.arange(256) / 12.75).astype(np.float32)
MEDIUM, FINE = (4, 2, False, TRUST), (4, 2, True, TRUST)


def scene(height=128, width=192, seed=0) -> np.ndarray:
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal((height, width)), 3, mode="wrap")
    return 128 + 40 * noise / noise.std()


def moved(image: np.ndarray, dx: float, dy: float) -> np.ndarray:
    return shift(image, (dy, dx), order=3, mode="wrap")


def codes(image: np.ndarray) -> np.ndarray:
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def flow(first: np.ndarray, second: np.ndarray, settings=MEDIUM) -> np.ndarray:
    return search.flow(*(search.pyramid(codes(image), settings[2]) for image in (first, second)), *settings)


@njit
def sums_of(level, place, target, point):
    return patch.compare(level, place, target, point), patch.moments(level, place)


@njit
def add_votes(level, place, target, point, u, v, votes, first):
    patch.vote(level, place, target, point, u, v, votes, first)


def test_a_patch_is_summed_and_votes_as_numpy_does():
    rng, fx, fy = np.random.default_rng(1), np.float32(0.3), np.float32(0.85)
    image, along_x, along_y, target = planes = rng.standard_normal((4, 16, 24)).astype(np.float32) * 3
    y, x, top, left = 2, 5, 4, 7
    box = slice(y, y + 8), slice(x, x + 8)
    four = [target[top + j : top + j + 8, left + i : left + i + 8].astype(float) for j in (0, 1) for i in (0, 1)]
    error = (four[0] * (1 - fx) + four[1] * fx) * (1 - fy) + (four[2] * (1 - fx) + four[3] * fx) * fy - image[box]
    gx, gy = along_x[box].astype(float), along_y[box].astype(float)
    *images, moved = (plane.reshape(-1) for plane in planes)
    level, point = patch.Level(*images, 12, 20, 24), patch.Point(top * 24 + left, fx, fy)
    difference, moments = sums_of(level, y * 24 + x, moved, point)
    assert difference == pytest.approx(
        (error.sum(), (error**2).sum(), (error * gx).sum(), (error * gy).sum()), rel=1e-4
    )
    products = gx * gx, gx * gy, gy * gy
    assert moments == pytest.approx((gx.sum(), gy.sum(), *(product.sum() for product in products)), rel=1e-4)
    votes = np.ones((3, 12 * 20), np.float32)
    add_votes(level, y * 24 + x, moved, point, np.float32(1.5), np.float32(-2), patch.Votes(*votes), 23)
    share = 1 / np.maximum(1, np.abs(error))
    expected = np.ones((3, 12, 20))
    expected[:, 1:9, 3:11] += np.stack([1.5 * share, -2 * share, share])
    assert np.allclose(votes.reshape(3, 12, 20), expected, atol=1e-4)


@pytest.mark.parametrize("settings", [MEDIUM, FINE, (8, 1, False, TRUST)], ids=["medium", "fine", "ultrafast"])
@pytest.mark.parametrize("motion", [(0.3, -0.2), (3.4, 1.7), (-11.0, 6.5)])
def test_a_shift_is_found_to_a_twentieth_of_a_pixel(settings, motion):
    first = scene()
    found = flow(first, moved(first, *motion), settings)
    assert found.shape == (64, 96, 3) and found.dtype == np.float32
    inside = found[10:-10, 10:-10]
    assert np.abs(inside[..., :2] - motion).mean() < 0.05
    assert inside[..., 2].mean() > 0.8


def test_it_is_found_where_the_light_changes():
    first = scene()
    found = flow(first, moved(first, 2.5, -1.0) + 12)
    assert np.abs(found[10:-10, 10:-10, :2] - (2.5, -1.0)).mean() < 0.1


def test_two_motions_stay_apart():
    """A square goes to the right before a ground that goes down."""
    ground, square = scene(seed=0), scene(seed=1)

    def view(t: float) -> np.ndarray:
        image = moved(ground, 0, 2 * t)
        image[40:88, 60 + 4 * t : 120 + 4 * t] = moved(square, 4 * t, 0)[40:88, 60 + 4 * t : 120 + 4 * t]
        return image

    found = flow(view(0), view(1))
    assert np.abs(found[24:40, 36:54, :2] - (4, 0)).mean() < 0.1
    assert np.abs(found[52:60, 10:-10, :2] - (0, 2)).mean() < 0.1


def test_what_shows_nothing_does_not_move():
    grey = np.full((64, 64), 90.0)
    assert not flow(grey, grey)[..., :2].any()
    assert not flow(grey, grey + 30)[..., :2].any()


def test_a_flat_middle_goes_with_what_is_round_it():
    first = scene()
    first[48:80, 80:112] = 128
    found = flow(first, moved(first, 3.0, 2.0))
    assert np.abs(found[26:38, 42:54, :2] - (3, 2)).max() < 1


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (61, 75), (32, 200)])
@pytest.mark.parametrize("settings", [MEDIUM, FINE], ids=["medium", "fine"])
def test_any_size(size, settings):
    first = scene(*size)
    found = flow(first, moved(first, 1.0, 0.0), settings)
    assert found.shape == ((size[0] + 1) // 2, (size[1] + 1) // 2, 3) and np.isfinite(found).all()
    assert abs(np.median(found[..., 0]) - 1) < 0.1 and abs(np.median(found[..., 1])) < 0.1


def test_unrelated_frames_stay_within_reach():
    found = flow(scene(seed=3), scene(seed=4))
    assert np.isfinite(found).all() and np.abs(found[..., :2]).max() < 192 and found[..., 2].mean() < 0.4


def test_grey_is_luma_to_a_power():
    frame = np.random.default_rng(0).random((3, 9, 13), np.float32)
    frame[:, 0, :2] = 0, 1
    luma = np.tensordot((0.299, 0.587, 0.114), frame.astype(float), 1)
    for gamma in (1.0, 0.4, 0.73):
        assert np.abs(search.grey(frame, np.float32(gamma)) - luma**gamma * 255).max() < 0.51
