"""defocus: kernels of the size asked for, light neither lost nor moved, one kernel a clip."""

import hashlib
import json

import cv2
import numpy as np
import pytest
import torch

from lolblur_synth import draw as dr
from lolblur_synth import recipes
from lolblur_synth.errors import InputError, UsageError
from lolblur_synth.recipe.schema import ADDED, DefocusConfig, Recipe
from lolblur_synth.stages import defocus
from lolblur_synth.stages.defocus import psf


def draws(count, **options):
    config = DefocusConfig(probability=1.0, **options)
    return [defocus.draw(config, dr.rng(0, "video", f"segment-{i}", "defocus")) for i in range(count)]


@pytest.mark.parametrize("shape", ["generalized-gaussian", "disk", "polygon"])
def test_drawn_kernels_are_as_wide_as_asked_and_keep_the_light_in_place(shape):
    for drawn in draws(120, kernel=shape):
        kernel = defocus.kernel(drawn).astype(np.float32).astype(np.float64)
        assert abs(kernel.sum() - 1) < 1e-6 and kernel.min() >= 0
        assert kernel.shape[0] == kernel.shape[1] and kernel.shape[0] % 2 == 1
        np.testing.assert_allclose(psf.deviations(kernel, drawn.angle), drawn.radius, rtol=0.02)
        np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-7)


def test_small_and_large_radii_are_met():
    for radius in (0.05, 0.1, 0.3, 6.0, 20.0):
        for beta in (0.5, 1.0, 4.0):
            kernel = psf.fitted(psf.generalized_gaussian(beta), (radius, radius))
            np.testing.assert_allclose(psf.deviations(kernel), radius, rtol=0.02)
    assert psf.fitted(psf.disk(), (0.0, 0.0)).shape == (1, 1)


def test_a_tilted_kernel_that_pixels_cannot_show_is_refused():
    with pytest.raises(UsageError, match="no kernel"):
        psf.fitted(psf.generalized_gaussian(4.0), (2.0, 0.05), 0.6)


def test_the_draw_follows_the_recipe():
    drawn = draws(400)
    beta = np.array([d.beta for d in drawn])
    assert 0.4 < (beta < 1).mean() < 0.6 and beta.min() >= 0.5 and beta.max() <= 4
    assert 0.13 < np.mean([d.radius[0] != d.radius[1] for d in drawn]) < 0.28
    assert all(0.3 <= r <= 2.5 for d in drawn for r in d.radius)
    off = [defocus.draw(DefocusConfig(), dr.rng(0, "v", f"segment-{i}", "defocus")) for i in range(400)]
    assert 0.42 < np.mean([d.applied for d in off]) < 0.58
    assert drawn == draws(400)


def test_real_esrgan_shapes_come_in_its_proportions():
    drawn = draws(600, kernel="real-esrgan")
    names = [d.kernel for d in drawn]
    for name, share in defocus.REAL_ESRGAN.items():
        assert names.count(name) / 600 == pytest.approx(share, abs=0.06)
    assert {d.size for d in drawn} == set(range(7, 22, 2))
    assert np.mean([d.beta == 1 for d in drawn if d.kernel.startswith("plateau")]) == pytest.approx(0.5, abs=0.2)
    for d in drawn[:60]:
        kernel = defocus.kernel(d)
        assert kernel.shape == (d.size, d.size) and abs(kernel.sum() - 1) < 1e-9
    iso = next(d for d in drawn if d.kernel == "iso")
    line = cv2.getGaussianKernel(iso.size, iso.radius[0])
    np.testing.assert_allclose(defocus.kernel(iso), line @ line.T, atol=1e-6)


def test_not_applied_is_bit_exact():
    frames = torch.rand(1, 3, 20, 30)
    assert defocus.apply(frames, DefocusConfig(), defocus.Draw(applied=False)) is frames


@pytest.mark.parametrize(
    "drawn",
    [
        defocus.Draw(True, "generalized-gaussian", (2.5, 2.5), 0.0, beta=0.6),
        defocus.Draw(True, "generalized-gaussian", (2.0, 0.5), 0.7, beta=3.0),
        defocus.Draw(True, "generalized-gaussian", (1.5, 1.5), 0.0, beta=1.0),
        defocus.Draw(True, "disk", (3.0, 3.0)),
        defocus.Draw(True, "polygon", (3.0, 3.0), 0.3, blades=6),
    ],
)
def test_flux_and_centroid_are_kept(drawn):
    frames = torch.full((1, 3, 90, 120), 0.01)
    frames[..., 40:43, 60:64] = 8.0
    out = defocus.apply(frames, DefocusConfig(), drawn)
    assert out.dtype == torch.float32 and out.shape == frames.shape and out.min() >= 0
    assert out.double().sum().item() == pytest.approx(frames.double().sum().item(), rel=1e-4)
    for axis, n in ((-1, 120), (-2, 90)):
        at = torch.arange(n).double()
        light = (out - 0.01).double().sum(dim=(-2 if axis == -1 else -1))[0, 0]
        assert (light * at).sum() / light.sum() == pytest.approx(61.5 if axis == -1 else 41.0, abs=1e-3)


def test_borders_lose_no_light():
    frames = torch.rand(1, 3, 40, 50) * 2
    out = defocus.apply(frames, DefocusConfig(), defocus.Draw(True, "disk", (2.5, 2.5)))
    assert out.double().sum().item() == pytest.approx(frames.double().sum().item(), rel=1e-5)


def light_on_grey(gain):
    """A light of radius 3 px on a display level of 0.08, `gain` times white."""
    y, x = torch.meshgrid(torch.arange(101) - 50, torch.arange(101) - 50, indexing="ij")
    frames = torch.full((1, 3, 101, 101), 0.08**2.2)
    frames[:, :, (x**2 + y**2) <= 9] = gain
    return frames


def test_a_disk_over_a_bright_light_saturates_and_in_srgb_it_fades():
    drawn = defocus.Draw(True, "disk", (3.0, 3.0))  # geometric radius 6
    peak = {
        gain: defocus.apply(light_on_grey(gain), DefocusConfig(), drawn).max().item() ** (1 / 2.2)
        for gain in (1.0, 1.4)
    }
    assert peak[1.0] == pytest.approx(0.55, abs=0.02) and peak[1.4] == pytest.approx(0.64, abs=0.02)
    bright = defocus.apply(light_on_grey(8.0), DefocusConfig(), drawn)
    y, x = np.indices((17, 17)) - 8
    hard = (x**2 + y**2 <= 36) / 113  # so many pixels are within 6 px; half of the light is needed for white
    expected = cv2.filter2D(light_on_grey(8.0)[0, 0].numpy(), cv2.CV_32F, hard, borderType=cv2.BORDER_REFLECT)
    assert (bright[0, 0] >= 1).sum().item() == (expected >= 1).sum() == 101
    parity = defocus.apply(light_on_grey(8.0), DefocusConfig(space="srgb"), drawn)
    assert parity.max().item() ** (1 / 2.2) == pytest.approx(0.32, abs=0.03)
    dark = 0.08**2.2
    assert (bright.clamp(max=1) - dark).sum() > 4 * (parity - dark).sum()


def test_the_separable_path_is_the_same_filter():
    frames = torch.rand(1, 3, 60, 70) * 3
    drawn = defocus.Draw(True, "generalized-gaussian", (2.0, 2.0), 0.0, beta=1.0)
    kernel = defocus.kernel(drawn).astype(np.float32)
    expected = cv2.filter2D(frames[0, 1].numpy(), cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT)
    np.testing.assert_allclose(defocus.apply(frames, DefocusConfig(), drawn)[0, 1].numpy(), expected, atol=2e-6)


def test_threads_change_nothing():
    frames = torch.rand(1, 3, 200, 300) * 4
    drawn = defocus.Draw(True, "generalized-gaussian", (2.5, 2.0), 0.4, beta=0.7)
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        one = defocus.apply(frames, DefocusConfig(), drawn)
        cv2.setNumThreads(4)
        assert torch.equal(one, defocus.apply(frames, DefocusConfig(), drawn))
    finally:
        cv2.setNumThreads(before)


def test_bad_input_is_one_clear_line():
    drawn = defocus.Draw(True, "generalized-gaussian", (2.5, 2.5), beta=1.5)
    with pytest.raises(UsageError, match="larger than the frame"):
        defocus.apply(torch.rand(1, 3, 12, 40), DefocusConfig(), drawn)
    with pytest.raises(InputError):
        defocus.apply(torch.full((1, 3, 40, 40), float("inf")), DefocusConfig(), drawn)


def test_a_kernel_may_be_named_as_it_was_before():
    """Recipes, --set and draws of older manifests say "gg"; the hash that names a dataset has not changed."""
    former = recipes.override(Recipe(), ["defocus.kernel=gg"])
    assert former == Recipe()
    assert recipes.parse('[defocus]\nkernel = "gg"', "old.toml", "lolblur") == Recipe()
    values = {name: value for name, value in recipes.to_dict(Recipe()).items() if name != "name"}
    values["defocus"]["kernel"] = "gg"
    for section, _, name in (key.partition(".") for key in ADDED):
        del values[section][name]
    assert recipes.sha256(Recipe()) == hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
    old, new = (defocus.Draw(True, name, (1.5, 1.5), beta=0.7) for name in ("gg", "generalized-gaussian"))
    assert np.array_equal(defocus.kernel(old), defocus.kernel(new))


def test_frames_in_the_order_of_an_image_file_are_blurred_alike():
    """Rows, columns, channels in memory, as readers hand them over."""
    config = DefocusConfig(probability=1.0, kernel="polygon")
    kernel = defocus.draw(config, dr.rng(0, "v", "segment-0", "defocus"))
    light = torch.from_numpy(dr.rng(0, "v", "frame", "light").random((1, 3, 24, 32), dtype=np.float32))
    stored = light.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert torch.equal(defocus.apply(stored, config, kernel), defocus.apply(light, config, kernel))
