"""realism: the fingerprint recovers known statistics, with a scene under the noise, and tells noises apart."""

import numpy as np
import pytest

from lolblur_synth.metrics import fingerprint


def white(seed=0, height=640, width=800):
    return np.random.default_rng(seed).standard_normal((height, width, 3))


def blurred(noise):
    """Box of 2x2: lag 1 is 0.5, lag 2 is 0."""
    noise = (noise + np.roll(noise, 1, axis=0) + np.roll(noise, 1, axis=1) + np.roll(noise, (1, 1), axis=(0, 1))) / 4
    return noise / noise.std()


def scene(height=640, width=800):
    """Smooth shading, and a textured half that the flat patches must avoid."""
    y, x = np.mgrid[:height, :width]
    shade = 40 + 10 * np.sin(x / 150) + 8 * np.cos(y / 120)
    return np.repeat((shade + np.where(x > width // 2, 30 * np.sin(x / 15) * np.sin(y / 12), 0))[..., None], 3, axis=2)


def test_white_noise_on_a_scene():
    found = fingerprint.fingerprint(scene() + 1.5 * white())
    assert found.sigma_green == pytest.approx(1.5, rel=0.03)
    for lag in (found.luma_lag1, found.luma_lag2, found.chroma_lag1, found.red_green):
        assert lag == pytest.approx(0, abs=0.02)
    assert found.blue_to_green == pytest.approx(1, abs=0.03) and found.row_ratio == pytest.approx(1, abs=0.15)


def test_what_the_surface_takes_is_made_good():
    found = fingerprint.fingerprint(scene() + 2 * blurred(white()))
    assert found.sigma_green == pytest.approx(2, rel=0.03)
    assert found.luma_lag1 == pytest.approx(0.5, abs=0.02) and found.luma_lag2 == pytest.approx(0, abs=0.05)
    plain = fingerprint.describe(
        fingerprint.without_surface(fingerprint.flat_patches(scene() + 2 * blurred(white()))), 40.0
    )
    assert plain.luma_lag1 < 0.47 and plain.luma_lag2 < -0.05


def test_correlated_channels_and_rows_are_seen():
    noise = white()
    noise[..., 0] = 0.6 * noise[..., 1] + 0.8 * noise[..., 0]
    found = fingerprint.fingerprint(scene() + noise)
    assert found.red_green == pytest.approx(0.6, abs=0.03)
    banded = fingerprint.fingerprint(scene() + white() + 0.5 * white(1)[:, :1, :1])
    assert banded.row_ratio > 3


def test_describe_of_pure_noise():
    found = fingerprint.describe(blurred(white())[None] * [1, 2, 3], 30.0)
    assert (found.sigma_red, found.sigma_green, found.sigma_blue) == pytest.approx((1, 2, 3), rel=0.01)
    assert found.luma_lag1 == pytest.approx(0.5, abs=0.01) and found.blue_to_green == pytest.approx(1.5, abs=0.01)


def test_misses_name_what_is_outside():
    missed = fingerprint.misses(fingerprint.fingerprint(scene() + white()))
    assert set(missed) == {"luma_lag1", "chroma_lag1", "blue_to_green"}


def test_noise_level_function_is_a_line_for_photons():
    clean = np.tile(np.linspace(5, 250, 1000), (1000, 1))
    noisy = clean + np.sqrt(0.04 * clean + 1) * np.random.default_rng(0).standard_normal(clean.shape)
    level, sigma = fingerprint.noise_level_function(clean, noisy).T
    slope, intercept = np.polyfit(level, sigma**2, 1)
    assert slope == pytest.approx(0.04, rel=0.05) and intercept == pytest.approx(1, rel=0.1) and len(level) == 16


def test_divergence_is_zero_for_the_same_and_grows():
    one, same, wide = white(0).ravel(), white(1).ravel(), 3 * white(2).ravel()
    assert fingerprint.divergence(one, same) < 0.001 < 0.2 < fingerprint.divergence(one, wide)


def test_no_usable_patch():
    with pytest.raises(ValueError, match="no patch"):
        fingerprint.fingerprint(np.zeros((64, 64, 3)))
    with pytest.raises(ValueError, match="no patch"):
        fingerprint.fingerprint(np.full((8, 8, 3), 30.0))
