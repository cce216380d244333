"""darken: the exposure asked for is the one measured; hue, saturation and lamps stay; nothing flickers or brightens."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from lolblur_synth import draw as dr
from lolblur_synth import frames as fr
from lolblur_synth.errors import InputError, UsageError, WeightsError
from lolblur_synth.models import dce
from lolblur_synth.recipe.schema import DarkenConfig
from lolblur_synth.stages import darken

CONFIG, NIGHT = DarkenConfig(), DarkenConfig(lamp_area=0.015)


def draw(exposure: float = 0.1, dim: float = 0.8) -> darken.Draw:
    return darken.Draw(exposure, dim)


def scene(seed: int = 0, height: int = 160, width: int = 280) -> np.ndarray:
    """A made-up picture: tinted patches of many sizes, soft shading and some texture. (H, W, 3) float32, 0..1."""
    rng = np.random.default_rng(seed)
    picture = np.full((height, width, 3), rng.uniform(0.4, 0.7, 3))
    for _ in range(40):
        centre = rng.integers(0, (width, height))
        colour = rng.uniform(0.05, 0.93, 3).tolist()
        cv2.circle(picture, centre.tolist(), int(rng.integers(4, 50)), colour, -1, cv2.LINE_AA)
    shade = cv2.resize(rng.uniform(0.6, 1.0, (3, 4)), (width, height), interpolation=cv2.INTER_CUBIC)
    return (picture * shade[..., None] + rng.normal(0, 0.01, (height, width, 1))).clip(0, 0.95).astype(np.float32)


def stack(*pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()


def with_lamp(picture: np.ndarray, radius: int) -> torch.Tensor:
    """A white disc with a soft rim in the middle of a darker room."""
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    distance = np.hypot(y - picture.shape[0] / 2, x - picture.shape[1] / 2)
    disc = 1 / (1 + np.exp((distance - radius) / 2))[..., None]
    return stack((0.7 * picture * (1 - disc) + 1.2 * disc).clip(0, 1).astype(np.float32))


def chroma(frames: torch.Tensor) -> torch.Tensor:
    """Each channel's share of the linear light, where there is enough of it to tell."""
    light = fr.srgb_to_light(frames)
    return light / light.sum(1, keepdim=True).clamp_min(1e-6)


def patterns() -> dict[str, np.ndarray]:
    """Pictures whose neighbouring pixels differ: what a mean over neighbours, or every n-th pixel, would misjudge."""
    y, x = np.mgrid[:160, :280]
    grain = np.random.default_rng(1).random((160, 280))
    planes = {"checks": (x + y) % 2, "stripes of 4": x % 4 == 1, "rows of 8": y % 8 < 2, "grain": grain > 0.6}
    pictures = {name: np.where(plane, 0.9, 0.1)[..., None] * np.ones(3) for name, plane in planes.items()}
    return {name: picture.astype(np.float32) for name, picture in pictures.items()}


@pytest.mark.parametrize("picture", [*(f"scene {i}" for i in range(3)), "lamp", "pan", *patterns()])
def test_the_exposure_asked_for_is_achieved_and_rises_with_the_request(picture):
    made = {f"scene {i}": stack(scene(i)) for i in range(3)} | {name: stack(p) for name, p in patterns().items()}
    made |= {"lamp": with_lamp(scene(3), 8), "pan": stack(*(np.roll(scene(1), 4 * t, 1) for t in range(5)))}
    frames, requests = made[picture], (0.02, 0.04, 0.05, 0.1, 0.16, 0.2, 0.25, 0.3)
    brightest = darken.exposure_of(frames)
    requests = [request for request in requests if request < brightest]
    results = [darken.apply(frames, CONFIG, draw(request)) for request in requests]
    got = [darken.exposure_of(result, frames) for result in results]
    np.testing.assert_allclose(got, requests, atol=0.0003)
    assert np.all(np.diff(got) > 0)
    if picture not in patterns():  # of two tones both may be rounded the same way, by half a code value
        rounded = [(result * 255).round() / 255 for result in results]
        np.testing.assert_allclose([darken.exposure_of(each, frames) for each in rounded], requests, atol=0.001)


def test_a_request_just_below_the_exposure_of_the_frames_is_met():
    """The sample of the pixels may be a little darker than all of them: that is no reason to leave them alone."""
    for seed in range(4):
        frames = stack(scene(seed))
        request = darken.exposure_of(frames) - 0.0015
        got = darken.exposure_of(darken.apply(frames, CONFIG, draw(request)), frames)
        assert got == pytest.approx(request, abs=0.0005)


def test_a_handful_of_unsaturated_pixels_is_enough():
    frames = torch.ones(1, 3, 160, 280)
    frames[..., 70:90, 100:130] = 0.4
    out = darken.apply(frames, CONFIG, draw(0.1))
    assert darken.exposure_of(out, frames) == pytest.approx(0.1, abs=0.001)


def test_an_exposure_is_capped_at_a_share_of_the_ground_truths():
    frames = stack(scene(2) * 0.3)
    lightness = fr.lightness(frames).double()
    moments = float(lightness.mean()), float((lightness**2).mean())
    drawn = darken.Draw(exposure=0.15, dim=0.7, drawn=0.15)
    truth = darken.exposure_of(darken.scale(frames, CONFIG, drawn))
    assert darken.dimmed(moments, 0.7) == pytest.approx(truth, abs=1e-4)
    asked = darken.asked_of(drawn, DarkenConfig(max_share=0.5), moments)
    assert asked.exposure == pytest.approx(0.5 * truth, abs=1e-4)
    assert (asked.drawn, asked.dim) == (0.15, 0.7)
    assert darken.asked_of(drawn, DarkenConfig(max_share=1), moments) == drawn
    assert darken.asked_of(replace(drawn, exposure=0.02), CONFIG, moments).exposure == 0.02
    assert darken.asked_of(drawn, CONFIG, (0.0, 0.0)).exposure > 0, "a black clip asks for no impossible exposure"


def test_a_share_of_the_ground_truths_exposure_is_asked_for_within_the_range():
    night = DarkenConfig(share=(0.12, 0.4), exposure=(0.03, 0.18))
    drawn = [darken.draw(night, np.random.default_rng(seed)) for seed in range(400)]
    shares = np.array([each.share for each in drawn])
    assert shares.min() >= 0.12 and shares.max() <= 0.4
    assert np.median(shares) == pytest.approx(np.sqrt(0.12 * 0.4), rel=0.05), "uniform in its logarithm"
    one = replace(drawn[0], share=0.2, dim=1.0)
    assert darken.asked_of(one, night, (0.5, 0.3)).exposure == pytest.approx(0.1)
    assert darken.asked_of(one, night, (0.1, 0.02)).exposure == 0.03, "held within the range"
    assert darken.asked_of(replace(one, share=0.4), night, (0.9, 0.85)).exposure == 0.18
    assert darken.asked_of(one, night, (0.04, 0.01)).exposure == pytest.approx(0.6 * 0.04), "and below the truth's"
    assert darken.draw(CONFIG, np.random.default_rng(0)).share is None


def test_every_pixel_is_darkened_and_none_brightened():
    frames = stack(scene())
    out = darken.apply(frames, CONFIG, draw(0.1))
    assert (out <= frames + 1e-6).all() and out.min() >= 0 and out.isfinite().all() and out.dtype == torch.float32


def test_the_darkening_varies_in_space():
    """Not one gain, and not one curve: pixels of equal lightness in different surroundings end differently."""
    frames = stack(scene())
    before, after = fr.lightness(frames), fr.lightness(darken.apply(frames, CONFIG, draw(0.1)))
    alike = (before - 0.45).abs() < 0.01
    assert after[alike].std() > 0.002
    gain = fr.lightness_to_luminance(after) / fr.lightness_to_luminance(before)
    assert gain.std() / gain.mean() > 0.05


def test_hue_and_saturation_stay():
    frames = stack(scene())
    for exposure in (0.03, 0.1, 0.3):
        out = darken.apply(frames, CONFIG, draw(exposure))
        bright_enough = fr.luminance(out) > 1e-3
        assert ((chroma(out) - chroma(frames)).abs() * bright_enough).max() < 2e-3


@pytest.mark.parametrize(("config", "radii"), [(CONFIG, (4, 8, 11, 30, 60)), (NIGHT, (4, 8, 11))])
def test_lamps_stay_lit_without_a_dark_ring(config, radii):
    for radius in radii:
        frames = with_lamp(scene(3), radius)
        out = darken.apply(frames, config, draw(0.1))
        lit = fr.lightness(frames) > 0.98
        assert lit.sum() > 2
        assert (fr.lightness(out)[lit] > 0.98).float().mean() >= 0.95
        flat = with_lamp(np.full((160, 280, 3), 0.5, np.float32), radius)
        profile = fr.lightness(darken.apply(flat, config, draw(0.1)))[0, 0, 80, 140:]
        assert (profile.diff() <= 2e-3).all(), "from the lamp outwards it only gets darker"


def test_the_halo_of_a_lamp_darkens_as_its_surroundings_do():
    """A wide halo stays a halo: it loses about as much light as its surroundings, and becomes no dark ring."""
    y, x = np.mgrid[:320, :560].astype(np.float32)
    distance = np.hypot(y - 160, x - 200)
    lightness = 0.35 + 0.05 * np.sin(x / 9) * np.cos(y / 7) + 0.45 * np.exp(-((distance / 30) ** 2))
    lightness = torch.from_numpy(np.where(distance < 10, 1, lightness).astype(np.float32))
    frames = fr.light_to_srgb(fr.lightness_to_luminance(lightness)).expand(1, 3, -1, -1).contiguous()
    for config in (CONFIG, NIGHT):
        for exposure in (0.05, 0.1, 0.2):
            out = darken.apply(frames, config, draw(exposure))
            gain = (fr.luminance(out) / fr.luminance(frames))[0, 0].numpy()
            rings = [gain[(distance >= d) & (distance < d + 6)].mean() for d in range(12, 96, 6)]
            rings /= gain[(distance > 110) & (distance < 190)].mean()
            assert 0.75 < min(rings) and max(rings) < 1.6


def test_a_clipped_sky_is_kept_or_with_a_lamp_area_darkened():
    frames = stack(scene(3))
    frames[:, :, :60] = 1.0
    kept = fr.lightness(darken.apply(frames, CONFIG, draw(0.1)))[:, :, 4:50]
    dark = fr.lightness(darken.apply(frames, NIGHT, draw(0.1)))[:, :, 4:50]
    assert kept.min() > 0.98 and dark.max() < 0.6


def test_a_clipped_sky_does_not_use_up_the_exposure():
    """What is nearly white beside it has no glow to keep: the rest of the picture is not driven into black."""
    frames = stack(scene(3))
    frames[:, :, :48], frames[:, :, 48:60] = 1.0, torch.linspace(1.0, 0.8, 12)[:, None]
    out = darken.apply(frames, CONFIG, draw(0.1))
    assert darken.exposure_of(out, frames) == pytest.approx(0.1, abs=0.001)
    assert fr.lightness(out)[:, :, 80:].median() > 0.03


def test_a_static_scene_with_noise_does_not_flicker():
    still, rng = scene(4), np.random.default_rng(0)
    noisy = [(still + rng.normal(0, 2 / 255, still.shape)).clip(0, 1).astype(np.float32) for _ in range(12)]
    out = fr.lightness(darken.apply(stack(*noisy), CONFIG, draw(0.1))).mean((1, 2, 3))
    alone = [float(fr.lightness(darken.apply(stack(frame), CONFIG, draw(0.1))).mean()) for frame in noisy]
    assert out.std() / out.mean() < 0.002
    assert np.std(alone) / np.mean(alone) < 0.002


def test_one_strength_for_the_window():
    """A frame that is darker than its neighbours stays darker: the window is calibrated as a whole."""
    still = scene(5)
    out = darken.apply(stack(still, still * 0.7, still), CONFIG, draw(0.1))
    levels = fr.lightness(out).mean((1, 2, 3))
    assert levels[1] < 0.9 * levels[0] and levels[0] == pytest.approx(float(levels[2]), rel=1e-3)
    assert float(levels.mean()) == pytest.approx(0.1, abs=0.001)


def test_frames_darker_than_the_request_stay_as_they_are():
    frames = stack(scene() * 0.2)
    assert not darken.achievable(frames, 0.3) and darken.achievable(frames, 0.02)
    assert darken.apply(frames, CONFIG, draw(0.3)).equal(frames)
    assert not darken.maps(frames, CONFIG, draw(0.3)).any()


def test_black_white_and_grey_frames():
    black, white = torch.zeros(2, 3, 40, 60), torch.ones(1, 3, 40, 60)
    assert darken.apply(black, CONFIG, draw()).equal(black)
    assert darken.scale(black, CONFIG, draw()).equal(black)
    assert darken.apply(white, CONFIG, draw(0.2)).allclose(white, atol=1e-5), "saturated pixels keep their exposure"
    out = darken.apply(white, NIGHT, draw(0.2))
    assert darken.exposure_of(out, white) == pytest.approx(0.2, abs=0.001), "all is saturated: all of it counts"
    paper = torch.full((1, 3, 40, 60), 246 / 255)  # L* 97: not saturated, though hardly less
    assert darken.exposure_of(darken.apply(paper, CONFIG, draw(0.2)), paper) == pytest.approx(0.2, abs=0.001)
    assert darken.scale(white, CONFIG, draw()).allclose(white, atol=1e-5)
    grey = torch.full((1, 3, 40, 60), 0.6)
    out = darken.apply(grey, CONFIG, draw(0.2))
    assert (out.amax(1) - out.amin(1)).max() < 1e-5


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (8, 8), (17, 31), (641, 7)])
def test_any_size(size):
    frames = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1)) * 0.5 + 0.3
    out = darken.apply(frames, CONFIG, draw(0.1))
    assert out.shape == frames.shape and darken.exposure_of(out, frames) == pytest.approx(0.1, abs=0.001)


@pytest.mark.parametrize("exposure", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_exposures_that_cannot_be(exposure):
    with pytest.raises(UsageError, match="not between 0 and 1"):
        darken.apply(stack(scene()), CONFIG, draw(exposure))


def test_frames_that_cannot_be():
    with pytest.raises(InputError, match="NaN"):
        darken.apply(torch.full((1, 3, 8, 8), torch.nan), CONFIG, draw())
    with pytest.raises(InputError, match="expected"):
        darken.scale(torch.zeros(1, 1, 8, 8), CONFIG, draw())
    with pytest.raises(WeightsError, match="no such weights"):
        darken.apply(stack(scene()), DarkenConfig(weights="nowhere"), draw())


def test_the_ground_truth_is_dimmed_mildly_with_white_fixed():
    frames = with_lamp(scene(6), 8)
    out = darken.scale(frames, CONFIG, draw(dim=0.7))
    before, after = fr.lightness(frames), fr.lightness(out)
    expected = before - 0.3 * before * (1 - before)
    assert after.allclose(expected, atol=2e-4)
    assert (chroma(out) - chroma(frames)).abs().max() < 1e-3
    assert darken.scale(frames, CONFIG, draw(dim=1.0)).equal(frames)


def test_draws_are_uniform_in_their_ranges_and_repeatable():
    config = DarkenConfig(exposure=(0.1, 0.2), dim=(0.5, 0.6))
    drawn = [darken.draw(config, dr.rng(0, "v", f"segment-{i}", "darken")) for i in range(200)]
    assert all(each.drawn == each.exposure for each in drawn)
    exposures, dims = np.array([(d.exposure, d.dim) for d in drawn]).T
    assert exposures.min() >= 0.1 and exposures.max() <= 0.2 and exposures.std() == pytest.approx(0.029, abs=0.005)
    assert dims.min() >= 0.5 and dims.max() <= 0.6
    assert drawn[3] == darken.draw(config, dr.rng(0, "v", "segment-3", "darken"))


def test_maps_are_what_apply_uses():
    frames = with_lamp(scene(7), 8)
    maps = darken.maps(frames, CONFIG, draw(0.1))
    assert maps.shape == (1, 1, 160, 280) and maps.min() >= 0 and maps.max() <= 1
    assert maps[fr.lightness(frames) > 0.98].max() < 1e-6, "lamps are kept"
    lightness = fr.lightness(frames)
    for _ in range(8):
        lightness = lightness - maps * lightness * (1 - lightness)
    assert fr.lightness(darken.apply(frames, CONFIG, draw(0.1))).allclose(lightness, atol=1e-3)


def test_a_file_of_the_published_layout_can_be_used(tmp_path):
    """Ten maps that may brighten: the exposure is achieved all the same, and red is not blue."""
    net = dce.PublishedCurveNet()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        net.e_conv7.bias.copy_(torch.linspace(-0.1, 0.5, 10))
    torch.save(net.state_dict(), tmp_path / "ce_zerodce.pth")
    config, frames = DarkenConfig(weights=str(tmp_path / "ce_zerodce.pth")), stack(scene(11, 40, 64))
    out = darken.apply(frames, config, draw(0.12))
    assert darken.exposure_of(out, frames) == pytest.approx(0.12, abs=0.001)
    assert ((chroma(out) - chroma(frames)).abs() * (fr.luminance(out) > 1e-3)).max() < 2e-3
    assert darken.maps(frames, config, draw(0.12)).shape == (1, 1, 40, 64)


def test_weights_that_brighten_are_refused(tmp_path):
    net = dce.PublishedCurveNet()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        net.e_conv7.bias.fill_(-0.2)
    torch.save(net.state_dict(), tmp_path / "odd.pth")
    with pytest.raises(WeightsError, match="brighten"):
        darken.apply(stack(scene(11, 40, 64)), DarkenConfig(weights=str(tmp_path / "odd.pth")), draw(0.1))


def test_same_bytes_for_any_number_of_threads():
    frames, threads = stack(scene(8), scene(9)), torch.get_num_threads()
    results = []
    for count in (1, 2, 4):
        torch.set_num_threads(count)
        results.append(darken.apply(frames, CONFIG, draw(0.12)))
    torch.set_num_threads(threads)
    assert results[0].equal(results[1]) and results[0].equal(results[2])


def test_the_input_is_left_alone():
    frames = stack(scene())
    before = frames.clone()
    darken.apply(frames, CONFIG, draw())
    darken.scale(frames, CONFIG, draw())
    assert frames.equal(before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_agrees():
    frames = with_lamp(scene(10), 8)
    out = darken.apply(frames.cuda(), CONFIG, draw(0.1)).cpu()
    assert (out - darken.apply(frames, CONFIG, draw(0.1))).abs().max() < 2e-3


GAMMA = DarkenConfig(method="gamma")


@pytest.mark.parametrize("exposure", [0.04, 0.1])
@pytest.mark.parametrize("name", [*patterns(), "scene"])
def test_gamma_meets_the_exposure_that_is_asked_for(name, exposure):
    frames = stack((patterns() | {"scene": scene()})[name])
    dark = darken.apply(frames, GAMMA, draw(exposure))
    assert darken.exposure_of(dark, frames) == pytest.approx(exposure, abs=1e-3)


def test_gamma_is_one_power_of_the_values():
    frames = stack(scene(), scene(1))
    dark = darken.apply(frames, GAMMA, draw(0.1))
    powers = (dark.clamp_min(1e-30).log() / frames.log())[(frames > 0.1) & (dark > 1e-6)]
    assert powers.min().item() == pytest.approx(powers.max().item(), rel=1e-3)
    assert powers.min() > 1


def test_gamma_keeps_white_and_leaves_dark_frames_alone():
    frames = with_lamp(scene(), 12)
    dark, lamp = darken.with_lamps(frames, GAMMA, draw(0.05))
    assert (dark[frames == 1] == 1).all()
    assert lamp.shape == (1, 1, *frames.shape[2:])
    assert (lamp == 1).all()
    assert torch.equal(darken.apply(dark, GAMMA, draw(0.5)), dark)


def test_gamma_turns_colours_and_the_network_does_not():
    """The reason why the paper does not darken by a power (section 3.1)."""
    frames = stack(scene())
    by_power, by_network = (darken.apply(frames, config, draw(0.1)) for config in (GAMMA, CONFIG))
    shifts = [(chroma(dark) - chroma(frames)).abs().mean().item() for dark in (by_power, by_network)]
    assert shifts[0] > 10 * shifts[1]


def test_gamma_has_no_adjustment_map():
    with pytest.raises(UsageError, match="no luminance adjustment map"):
        darken.maps(stack(scene()), GAMMA, draw())
