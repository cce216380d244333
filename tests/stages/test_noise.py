"""noise: the level of the camera's table, the grain of a camera, no colour shift, one level a clip, a field a frame."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from lolblur_synth import draw as dr
from lolblur_synth import frames as fr
from lolblur_synth.camera import mosaic, sensor, tables
from lolblur_synth.errors import InputError, RecipeError, UsageError
from lolblur_synth.metrics import fingerprint
from lolblur_synth.recipe.schema import NoiseConfig
from lolblur_synth.stages import noise

RAW = ("raw-pg", "raw-eld")


def config_of(model="raw-pg", **options):
    return NoiseConfig(model=model, probability=1.0, **options)


def draw_of(config, unit="segment-0"):
    return noise.draw(config, dr.rng(0, "video", unit, "noise"))


def flat(level=30, height=320, width=400):
    return torch.full((1, 3, height, width), level / 255)


def test_a_flat_colour_survives_the_camera_both_ways():
    to_camera = mosaic.rgb_to_camera(tables.load("sony-rx10m4").xyz_to_camera)
    light = torch.tensor([0.3, 0.5, 0.2]).view(1, 3, 1, 1).expand(1, 3, 12, 16).contiguous()
    gains = (1.41, 1.0, 3.29)
    planes = mosaic.mosaic(light, to_camera, gains)
    torch.testing.assert_close(mosaic.develop(planes, to_camera, gains), light, atol=1e-6, rtol=0)
    white = mosaic.mosaic(torch.ones(1, 3, 2, 2), to_camera, gains).flatten()
    torch.testing.assert_close(white, torch.tensor([1 / 1.41, 1, 1, 1 / 3.29]))


# Malvar, He and Cutler, "High-quality linear interpolation for demosaicing of Bayer-patterned color images", ICASSP
# 2004, Figure 2: the filters, times 8, row by row
G_AT_R_OR_B = [[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]]
R_AT_G_OF_R_ROW = [[0, 0, 0.5, 0, 0], [0, -1, 0, -1, 0], [-1, 4, 5, 4, -1], [0, -1, 0, -1, 0], [0, 0, 0.5, 0, 0]]
R_AT_G_OF_B_ROW = [[0, 0, -1, 0, 0], [0, -1, 4, -1, 0], [0.5, 0, 5, 0, 0.5], [0, -1, 4, -1, 0], [0, 0, -1, 0, 0]]
R_AT_B = [[0, 0, -1.5, 0, 0], [0, 2, 0, 2, 0], [-1.5, 0, 6, 0, -1.5], [0, 2, 0, 2, 0], [0, 0, -1.5, 0, 0]]
SAMPLED = [[0] * 5, [0] * 5, [0, 0, 8, 0, 0], [0] * 5, [0] * 5]
PUBLISHED = [  # R, G, B at a site of R, of G in a row of R, of G in a row of B, of B
    (SAMPLED, G_AT_R_OR_B, R_AT_B),
    (R_AT_G_OF_R_ROW, SAMPLED, R_AT_G_OF_B_ROW),
    (R_AT_G_OF_B_ROW, SAMPLED, R_AT_G_OF_R_ROW),
    (R_AT_B, G_AT_R_OR_B, SAMPLED),
]


def test_demosaicing_is_malvars():
    """The published filters, applied site by site to the unpacked mosaic."""
    raw = torch.rand(12, 14)
    planes = torch.nn.functional.pixel_unshuffle(raw[None, None], 2)
    rgb = mosaic.develop(planes, np.eye(3), (1.0, 1.0, 1.0))[0].numpy()
    for y in range(2, 10):
        for x in range(2, 12):
            window = raw[y - 2 : y + 3, x - 2 : x + 3].numpy()
            for colour, kernel in enumerate(PUBLISHED[2 * (y % 2) + x % 2]):
                assert rgb[colour, y, x] == pytest.approx((window * kernel).sum() / 8, abs=1e-5)


def test_raw_noise_has_the_variance_of_the_table():
    config = config_of(iso=(400, 400), white_balance="tungsten")
    drawn = draw_of(config)
    assert drawn.shot == pytest.approx((2.17e-5,) * 3) and drawn.read == pytest.approx((5.9e-8,) * 3)
    for level in (0, 30, 200):
        clean, noisy = noise.raw_pair(flat(level), config, drawn)
        for y, x in ((0, 0), (0, 1), (1, 0), (1, 1)):
            site = clean[..., y::2, x::2]
            expected = 2.17e-5 * site.mean().item() + 5.9e-8
            assert (noisy - clean)[..., y::2, x::2].var().item() == pytest.approx(expected, rel=0.06)


def test_iso_is_interpolated_in_logarithms():
    low, mid, high = (draw_of(config_of(iso=(iso, iso))).shot[1] for iso in (800, np.sqrt(800 * 1600), 1600))
    assert mid == pytest.approx(np.sqrt(low * high), rel=1e-6)


def test_physical_noise_has_its_moments_and_its_rows():
    config = config_of("raw-eld", iso=(800, 800), white_balance="tungsten")
    drawn = draw_of(config)
    scale = tables.load("sony-a7s2").physical["full_scale"]
    clean, noisy = noise.raw_pair(flat(60, 600, 800), config, drawn)
    values = ((noisy - clean) * scale)[0, 0]
    p = np.linspace(1e-6, 1 - 1e-6, 1_000_001)
    read = sensor.tukey(torch.from_numpy(p), drawn.tail).var().item() * drawn.read_noise**2
    green = clean[0, 0, 0::2, 1::2].mean().item() * scale
    expected = drawn.electron * green + read + drawn.row_noise**2 + 1 / 12
    assert values[0::2, 1::2].var().item() == pytest.approx(expected, rel=0.04)
    assert values.mean().item() == pytest.approx(0, abs=0.15)
    banded = dataclasses.replace(drawn, row_noise=10 * drawn.row_noise)
    rows = (lambda pair: (pair[1] - pair[0])[0, 0] * scale)(noise.raw_pair(flat(60, 600, 800), config, banded))
    assert rows.mean(dim=1).std().item() == pytest.approx(banded.row_noise, rel=0.1)
    np.testing.assert_allclose((noisy * scale).numpy(), np.round((noisy * scale).numpy()), atol=0.01)


@pytest.mark.parametrize("mean", [0.0, 0.5, 3.0, 7.9, 8.1, 40.0, 1000.0])
def test_poisson_quantiles_are_poisson(mean):
    normal = torch.from_numpy(np.random.default_rng(0).standard_normal(200_000).astype(np.float32))
    counts = sensor.poisson(torch.full_like(normal, mean), normal)
    assert torch.equal(counts, counts.round()) and counts.min() >= 0
    assert counts.mean().item() == pytest.approx(mean, abs=0.012 * max(mean, 1) ** 0.5)
    assert counts.var().item() == pytest.approx(mean, rel=0.02, abs=1e-9)


@pytest.mark.parametrize("model", RAW)
@pytest.mark.parametrize("level", [23, 30, 39])
def test_the_fingerprint_is_that_of_the_published_frames(model, level):
    for segment in range(3):
        config = config_of(model)
        out = noise.apply(flat(level, 640, 800), config, draw_of(config, f"segment-{segment}"))
        assert not fingerprint.misses(fingerprint.fingerprint(fr.to_uint8(out[0])))


def test_independent_noise_fails_the_fingerprint():
    config = config_of("gaussian", sigma=(1.0, 1.0), gray=0.0)
    missed = fingerprint.misses(fingerprint.fingerprint(fr.to_uint8(noise.apply(flat(), config, draw_of(config))[0])))
    assert {"luma_lag1", "chroma_lag1", "blue_to_green"} <= set(missed)


@pytest.mark.parametrize("model", RAW)
def test_the_mean_colour_stays(model):
    scene = torch.tensor([60.0, 40.0, 25.0]).view(1, 3, 1, 1) / 255
    scene = scene * torch.linspace(0.5, 3.0, 1120)
    frames = scene.expand(1, 3, 640, 1120).contiguous()
    config = config_of(model)
    for segment in range(3):
        out = noise.apply(frames, config, draw_of(config, f"segment-{segment}"))
        free = (out > 0) & (out < 1)
        for channel in range(3):
            shift = (out - frames)[:, channel][free[:, channel]].mean().item() * 255
            assert abs(shift) < 0.2


def test_saturated_pixels_have_no_noise():
    frames = flat(30)
    frames[..., 100:140, 100:160] = 1.0
    out = noise.apply(frames, config_of(), draw_of(config_of()))
    assert (out[..., 100:140, 100:160] == 1).all()
    lamp = flat(30)
    lamp[:, 0] = 1.0  # one saturated channel stays, the others may vary
    assert (noise.apply(lamp, config_of(), draw_of(config_of()))[:, 0] == 1).all()


@pytest.mark.parametrize("gray", [0.0, 1.0])
@pytest.mark.parametrize(("model", "level"), [("gaussian", {"sigma": (8, 8)}), ("poisson", {"scale": (1.2, 1.2)})])
def test_saturated_pixels_have_no_noise_on_display_values_either(model, level, gray):
    frames = flat(200, 64, 80)
    frames[..., 16:48, 16:48] = 1.0
    frames[:, 2, :8] = 1.0  # a lamp with one saturated channel
    kept, noisy = (config_of(model, keep_saturated=word, gray=gray, **level) for word in ("yes", "no"))
    drawn = draw_of(kept)
    out, all_noisy = noise.apply(frames, kept, drawn), noise.apply(frames, noisy, drawn)
    saturated = (frames.amax(1, keepdim=True) >= 1).expand_as(frames)
    assert out[saturated].equal(frames[saturated])
    assert (all_noisy[..., 16:48, 16:48] < 1).float().mean() > 0.3
    assert out[~saturated].equal(all_noisy[~saturated]), "elsewhere the noise is the same"


@pytest.mark.parametrize("model", RAW)
def test_saturated_pixels_are_noisy_where_asked_for(model):
    frames, config = flat(200, 64, 80), config_of(model, iso=(3200, 3200), keep_saturated="no")
    frames[..., 16:48, 16:48] = 1.0
    out = noise.apply(frames, config, draw_of(config))
    assert 0.2 < (out[..., 20:44, 20:44] < 1).float().mean() < 0.8  # half of it, where white is the limit
    clean, noisy = noise.raw_pair(frames, config, draw_of(config))
    assert (clean != noisy)[..., 20:44, 20:44].float().mean() > 0.5


def test_bilinear_demosaicing_is_bilinear_and_leaves_the_published_bands():
    raw = torch.rand(12, 14)
    planes = torch.nn.functional.pixel_unshuffle(raw[None, None], 2)
    rgb = torch.zeros(1, 3, 12, 14)
    mosaic.add_developed(rgb, planes, np.eye(3), (1.0, 1.0, 1.0), "bilinear")
    at = lambda *sites: np.mean([raw[4 + y, 6 + x].item() for y, x in sites])  # noqa: E731 (around a red site)
    assert rgb[0, 0, 4, 6] == raw[4, 6]
    assert rgb[0, 1, 4, 6].item() == pytest.approx(at((0, 1), (1, 0), (0, -1), (-1, 0)), abs=1e-6)
    assert rgb[0, 2, 4, 6].item() == pytest.approx(at((1, 1), (1, -1), (-1, 1), (-1, -1)), abs=1e-6)
    assert rgb[0, 0, 4, 7].item() == pytest.approx(at((0, 0), (0, 2)), abs=1e-6)  # a green site of a red row
    assert rgb[0, 2, 4, 7].item() == pytest.approx(at((1, 1), (-1, 1)), abs=1e-6)
    config = config_of(demosaic="bilinear")
    out = noise.apply(flat(30, 640, 800), config, draw_of(config))
    assert "luma_lag1" in fingerprint.misses(fingerprint.fingerprint(fr.to_uint8(out[0])))


def test_bands_of_rows_change_nothing(monkeypatch):
    """Frames are developed and companded in parts, for speed."""
    frames, config = torch.rand(2, 3, 311, 300) * 0.4, config_of()
    parts = noise.apply(frames, config, draw_of(config))
    monkeypatch.setattr(mosaic, "BAND", 10**6)
    monkeypatch.setattr(fr, "PIECE", 10**9)
    torch.testing.assert_close(parts, noise.apply(frames, config, draw_of(config)), atol=2e-6, rtol=0)


@pytest.mark.parametrize("size", [(64, 80), (65, 81), (64, 81), (1, 1), (3, 2)])
@pytest.mark.parametrize("model", [*RAW, "gaussian", "poisson"])
def test_any_size_stays_in_range(model, size):
    frames = torch.rand(2, 3, *size)
    out = noise.apply(frames, config_of(model), draw_of(config_of(model)))
    assert out.shape == frames.shape and out.dtype == torch.float32
    assert out.min() >= 0 and out.max() <= 1 and torch.isfinite(out).all()


def test_black_frames_are_noisy_but_finite():
    out = noise.apply(flat(0), config_of(), draw_of(config_of()))
    assert torch.isfinite(out).all() and 0 < out.mean() * 255 < 1


@pytest.mark.parametrize("model", [*RAW, "gaussian", "poisson"])
def test_same_draw_same_bytes_on_any_number_of_threads(model):
    frames = torch.rand(1, 3, 200, 300) * 0.2
    config = config_of(model)
    drawn = draw_of(config)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = noise.apply(frames, config, drawn)
        torch.set_num_threads(3)
        assert torch.equal(one, noise.apply(frames, config, drawn))
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("model", [*RAW, "gaussian", "poisson"])
def test_a_pixel_draws_without_regard_to_others(model):
    """Changing the light of one corner changes no noise far from it."""
    config = config_of(model, gray=0.0)
    drawn = draw_of(config)
    frames, changed = flat(), flat()
    changed[..., :20, :20] = 0.002
    one, other = (noise.apply(f, config, drawn)[..., 30:, 30:] for f in (frames, changed))
    assert torch.equal(one, other)


def test_one_level_a_clip_and_a_field_a_frame():
    drawn = draw_of(config_of())
    first, second = (noise.reseed(drawn, dr.rng(0, "video", f"pair-{i}", "noise")) for i in (0, 1))
    assert dataclasses.replace(first, seed=0) == dataclasses.replace(second, seed=0) and first.seed != second.seed
    a, b = (noise.apply(flat(), config_of(), d) - flat() for d in (first, second))
    assert abs(np.corrcoef(a.flatten(), b.flatten())[0, 1]) < 0.02
    assert noise.reseed(noise.Draw(applied=False), dr.rng(0, "v", "pair-0", "noise")) == noise.Draw(applied=False)


def test_not_applied_is_the_same_tensor():
    frames = flat()
    assert noise.apply(frames, NoiseConfig(), noise.Draw(applied=False)) is frames
    assert not draw_of(config_of("none")).applied


def test_draws_follow_the_recipe():
    drawn = [draw_of(config_of(), f"segment-{i}") for i in range(300)]
    isos = np.log([d.iso for d in drawn])
    assert np.log(100) <= isos.min() and isos.max() <= np.log(400)
    assert np.exp(isos.mean()) == pytest.approx(200, rel=0.1)
    assert {d.lamp for d in drawn} == {"tungsten", "3200K", "warm-fluorescent", "cool-fluorescent"}
    assert json.loads(json.dumps(dataclasses.asdict(drawn[0])))["iso"] == drawn[0].iso
    off = [noise.draw(NoiseConfig(), dr.rng(0, "v", f"segment-{i}", "noise")).applied for i in range(300)]
    assert 0.4 < np.mean(off) < 0.6


@pytest.mark.parametrize("name", tables.names())
def test_every_bundled_camera_makes_noise(name):
    camera = tables.load(name)
    model = "raw-pg" if camera.poisson_gaussian else "raw-eld"
    config = config_of(model, camera=name)
    out = noise.apply(flat(30, 64, 64), config, draw_of(config))
    assert 0.2 < (out - flat(30, 64, 64)).std().item() * 255 < 8


def test_a_profile_file_is_a_camera(tmp_path):
    rows = [{"iso": 100, "a": 1e-5, "b": 0}, {"iso": 400, "a": 1e-4, "b": 0}]
    lamps = tmp_path / "lamps.json"
    lamps.write_text(json.dumps({"white_balance": {"led": [2, 1, 2]}, "poisson_gaussian": rows}))
    profile = tmp_path / "phone.json"
    profile.write_text(
        json.dumps(
            {
                "poisson_gaussian": [
                    {"iso": 100, "a": [1e-5, 2e-5, 3e-5], "b": 1e-8},
                    {"iso": 3200, "a": [1e-3, 2e-3, 3e-3], "b": 1e-6},
                ]
            }
        )
    )
    with pytest.raises(RecipeError, match="no night lamp"):
        draw_of(config_of(camera=str(lamps)))
    config = config_of(camera=str(profile), iso=(100, 100))
    assert draw_of(config).shot == pytest.approx((1e-5, 2e-5, 3e-5))


@pytest.mark.parametrize(
    "content",
    [
        "not json",
        "[]",
        "{}",
        '{"poisson_gaussian": [{"iso": 100}]}',
        '{"poisson_gaussian": [{"iso": 1, "a": -1, "b": 0}]}',
        '{"poisson_gaussian": [{"iso": 2, "a": 1, "b": 0}, {"iso": 1, "a": 1, "b": 0}]}',
        '{"poisson_gaussian": [{"iso": 1, "a": 1, "b": 0}], "xyz_to_camera": [1, 2]}',
        '{"poisson_gaussian": [{"iso": 1, "a": 1, "b": 0}], "levels": [512, 70000]}',
        '{"physical": {"full_scale": 100, "lines": []}}',
        '{"physical": {"lines": [{"iso": [1, 2]}]}}',
    ],
)
def test_broken_profiles_are_one_clear_line(tmp_path, content):
    profile = tmp_path / "broken.json"
    profile.write_text(content)
    with pytest.raises(RecipeError, match="broken.json") as error:
        draw_of(config_of(camera=str(profile)))
    assert error.value.hint and "\n" not in str(error.value)


def test_the_profile_model_is_raw_pg_of_a_file(tmp_path):
    profile = tmp_path / "phone.json"
    profile.write_text(json.dumps({"poisson_gaussian": [{"iso": 100, "a": 1e-4, "b": 1e-7}]}))
    same = [config_of(model, camera=str(profile), iso=(100, 100)) for model in ("profile", "raw-pg")]
    assert draw_of(same[0]) == draw_of(same[1])
    assert noise.apply(flat(), same[0], draw_of(same[0])).equal(noise.apply(flat(), same[1], draw_of(same[1])))
    with pytest.raises(RecipeError, match="needs a noise profile"):
        draw_of(config_of("profile"))


def test_the_ends_of_a_table_can_be_asked_for():
    for model, iso in (("raw-pg", 12800), ("raw-pg", 100), ("raw-eld", 25600), ("raw-eld", 50)):
        assert draw_of(config_of(model, iso=(iso, iso))).iso == iso


def test_bad_requests_are_one_clear_line():
    with pytest.raises(RecipeError, match="no camera"):
        draw_of(config_of(camera="box-brownie"))
    with pytest.raises(RecipeError, match="outside the table"):
        draw_of(config_of(iso=(100, 25600)))
    with pytest.raises(RecipeError, match="no physical model"):
        draw_of(config_of("raw-eld", camera="sony-rx10m4"))
    with pytest.raises(RecipeError, match="no poisson_gaussian"):
        draw_of(config_of(camera="sony-a7s2"))
    with pytest.raises(InputError):
        noise.apply(torch.full((1, 3, 8, 8), float("nan")), config_of(), draw_of(config_of()))
    with pytest.raises(UsageError, match="no raw"):
        noise.raw_pair(flat(), config_of("gaussian"), draw_of(config_of("gaussian")))
