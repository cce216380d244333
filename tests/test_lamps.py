"""lamps: every saturated pixel is kept, unless a limit makes clipped surfaces of large ones; softly either way."""

import numpy as np
import torch

from lolblur_synth.models import dce
from lolblur_synth.stages.darken import lights


def disc(radius: float, around: float = 0.5) -> torch.Tensor:
    """Lightness (1, 1, 160, 280) of a white disc with a soft rim."""
    y, x = np.mgrid[:160, :280]
    rim = 1 / (1 + np.exp((np.hypot(y - 80, x - 140) - radius) / 2))
    return torch.from_numpy((around * (1 - rim) + 1.1 * rim).clip(0, 1)).float()[None, None]


def test_every_saturated_pixel_is_kept_without_a_limit():
    for radius in (4, 10, 70):
        lightness = disc(radius)
        weight, white = lights.find(lightness, 1.0)
        assert weight[lightness > 0.98].min() == 1 and white == 1
        assert weight[lightness < 0.6].max() == 0


def test_a_lamp_keeps_its_glow_and_a_clipped_sky_does_not():
    def just_outside(radius: float) -> float:
        light, halo = disc(radius) > 0.98, disc(radius + 12) > 0.98
        lightness = torch.where(light, 1.0, torch.where(halo, 0.9, 0.5))
        weight = lights.find(lightness, 1.0)[0]
        return float(weight[halo & ~light].mean())

    assert just_outside(14) > 0.05 and just_outside(50) == 0


def test_the_weight_is_smooth_in_the_size_of_the_lamp():
    """A lamp that grows past the limit dims step by step: it would flicker otherwise."""
    peaks, whites = [], []
    for radius in range(10, 27):
        weight, white = lights.find(disc(radius), 0.015)
        peaks.append(float(weight[0, 0, 80, 140]))
        whites.append(float(white[0, 0, 80, 140]) if torch.is_tensor(white) else white)
    assert peaks[0] > 0.99 and peaks[-1] < 0.01 and np.abs(np.diff(peaks)).max() < 0.45
    assert np.all(np.diff(peaks) <= 1e-3) and np.all(np.diff(whites) >= -1e-4) and whites[-1] > 1.09


def test_white_paint_with_specks_is_a_surface():
    paint = torch.full((1, 1, 160, 280), 0.93)
    paint[..., 80, 140] = 1.0
    weight, white = lights.find(paint, 0.015)
    assert weight.max() < 0.01 and white.min() > 1.09


def test_the_frame_without_its_lamps():
    """What is around fills the place of a lamp; the rest is as it was; where all is lamp there is the mean."""
    lightness = torch.full((1, 1, 128, 160), 0.4)
    lightness[..., 80:] = 0.6
    lamp = torch.zeros_like(lightness)
    lamp[..., 30:70, 20:60] = 1
    out = lights.without(torch.where(lamp > 0, 1.0, lightness), lamp)
    assert out.shape == (1, 1, 16, 20) and out.allclose(dce.reduce(lightness, 8), atol=0.06)
    assert lights.without(lightness, torch.ones_like(lamp)).allclose(lightness.mean().expand(1, 1, 16, 20))
    assert lights.without(torch.full((1, 1, 1, 1), 0.5), torch.zeros(1, 1, 1, 1)).item() == 0.5


def test_nearness_fades_out_around_a_lamp():
    cells = torch.zeros(1, 1, 41, 60)
    assert not lights.nearness(cells).any()
    cells[..., 20, 20] = 0.5
    row = lights.nearness(cells)[0, 0, 20, 20:]
    assert row[:5].min() > 0.75 and row[10] < 0.15 and row[20:].max() == 0 and (row.diff() <= 1e-6).all()


def test_a_clipped_channel_is_a_lamp_in_the_dark_and_a_surface_by_day():
    """A red sign at night stays lit; a patch of blue sky, or of a red coat, in a bright picture does not."""
    brightest = disc(10, 0.5)
    for around, lit in ((0.3, True), (0.8, False)):
        lightness = torch.where(brightest > 0.98, 0.55, around)
        judged = torch.cat((lightness, torch.maximum(brightest, lightness)), 1)
        weight = lights.weight(lights.model(judged, 0.015), judged)[brightest > 0.98]
        assert (weight.min() > 0.9) if lit else (weight.max() < 0.1)
