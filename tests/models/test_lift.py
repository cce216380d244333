"""The lift before LEDNet: it brightens to the usual lightness, burns nothing and keeps colours."""

import numpy as np
import pytest
import torch

from lolblur_synth import frames as fr
from lolblur_synth.models import lift
from lolblur_synth.models.lednet import LEDNet


def scene(level: float) -> torch.Tensor:
    """A smooth coloured scene with a white lamp, darkened to `level`."""
    rows, columns = torch.meshgrid(torch.linspace(0, 1, 64), torch.linspace(0, 1, 96), indexing="ij")
    frame = level * torch.stack((rows, columns, 0.5 + 0.5 * torch.sin(6 * rows * columns))) ** 1.5
    frame[:, 20:24, 30:36] = 1
    return frame[None]


def untaught() -> lift.Lift:
    made = lift.Lift()
    torch.nn.init.zeros_(made.strength[-1].weight)
    torch.nn.init.zeros_(made.strength[-1].bias)
    return made


@pytest.mark.parametrize("level", [0.06, 0.1, 0.3])
def test_a_dark_frame_comes_to_the_usual_lightness_and_nothing_burns(level):
    with torch.no_grad():
        lifted = untaught()(scene(level))
    assert fr.lightness(lifted).mean() == pytest.approx(lift.USUAL_LIGHTNESS, abs=0.03)
    burnt = ((scene(level) >= 1).any(1).float().mean(), (lifted >= 254 / 255).any(1).float().mean())
    assert burnt[1] <= burnt[0] + 0.002 and lifted.max() <= 1 and lifted.min() >= 0


def test_a_bright_frame_stays_as_it_is():
    frame = 0.3 + 0.6 * scene(1.0)
    assert torch.allclose(untaught()(frame), frame, atol=1e-4)


def test_hue_stays_where_nothing_nears_white():
    frame = torch.tensor([0.02, 0.05, 0.03]).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    with torch.no_grad():
        lifted = fr.srgb_to_light(untaught()(frame))[0, :, 0, 0]
    before = fr.srgb_to_light(frame)[0, :, 0, 0]
    assert torch.allclose(lifted / lifted.sum(), before / before.sum(), atol=1e-4)


def test_the_strength_is_that_of_the_frame_a_crop_is_from():
    frame, made = scene(0.1), untaught()
    whole = made(frame)[..., 16:48, 16:48]
    crop = frame[..., 16:48, 16:48]
    assert torch.allclose(made(crop, lift.statistics(frame)), whole, atol=1e-6)
    assert not torch.allclose(made(crop), whole, atol=1e-2)


def test_noise_hardly_changes_what_the_lift_is_told():
    frame = scene(0.1)
    noisy = (frame + 0.01 * torch.from_numpy(np.random.default_rng(0).normal(size=frame.shape)).float()).clamp(0, 1)
    assert (lift.statistics(noisy) - lift.statistics(frame)).abs().max() < 0.015


def test_the_strength_can_be_learnt():
    made, frame = untaught(), scene(0.1)
    made(frame).mean().backward()
    assert made.strength[-1].bias.grad.abs().item() > 1e-3


def test_a_frame_as_bright_as_most_truths_comes_back_as_it_is():
    net = LEDNet(0.25, lift=True, layout="lite").eval()  # whose weights are random
    bright, dark = 0.35 + 0.6 * scene(1.0), scene(0.1)
    with torch.no_grad():
        assert lift.mean_lightness(lift.statistics(bright)[0]) > lift.UNTOUCHED[1]
        assert torch.equal(net(bright), bright)
        assert (net(dark) - dark).abs().mean() > 0.05


def test_the_share_falls_with_the_lightness_of_the_frame():
    greys = [torch.full((1, 3, 16, 16), value) for value in np.linspace(0.2, 0.6, 30)]
    lightness = [lift.mean_lightness(lift.statistics(grey)[0]) for grey in greys]
    shares = [lift.share(lift.statistics(grey)).item() for grey in greys]
    assert shares == sorted(shares, reverse=True)
    for share, level in zip(shares, lightness, strict=True):
        if level <= lift.UNTOUCHED[0]:
            assert share == 1
        elif level >= lift.UNTOUCHED[1]:
            assert share == 0
