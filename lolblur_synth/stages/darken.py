"""darken: well-exposed frames become frames of a requested low exposure (section 3.2, EC-Zero-DCE), and the ground
truth is dimmed a little before (`scale`).

In   (T, 3, H, W) float32, display sRGB, 0..1, the frames of one window
Out  (T, 3, H, W) float32, display sRGB, 0..1
Random: `exposure`, the L*/100 asked for, and `dim`; both once a segment.

    l  = L*(frame) / 100
    r  = network(l without lamps, exposure)  where to darken; around a lamp, as in its surroundings
    r' = (1 - (1 - r)^s) (1 - lamp)          how much: one s for the window, solved for
    l' = curve(l, r', white)                 Zero-DCE's curve, see models/dce.py
    frame' = g(light * Y(l') / Y(l))         one factor for the three channels, in linear light

The exposure of a window is the mean of l over its unsaturated pixels (L* <= 98) and all of its frames. Because s is
solved for, the exposure of the result is the one asked for; because the factor is common to the channels and acts on
light, hue and saturation stay. Saturated pixels keep their own exposure (lamp = 1), and so does the glow of a small
lamp. With `lamp_area` below 1 a clipped sky or wall, larger than that, is no lamp: it darkens with the rest, to which
end `white` is above 1 there. Frames darker than the request stay as they are: this stage never brightens.
Maps are smoothed over the neighbouring frames and s is common to the window, so the window does not flicker.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import brentq
from torch import Tensor

from lolblur_synth import frames as fr
from lolblur_synth import lamps
from lolblur_synth.errors import UsageError, WeightsError
from lolblur_synth.models import dce
from lolblur_synth.recipe import DarkenConfig

GLOW_SHARE, GLOW_POWER = 0.3, 64.0  # of the exposure that glows and edges of lights take at most; how, at most
SURROUNDINGS = 12  # of a light, in cells of the reduced frame
PROBE = 4  # the exposure is solved for on means of PROBE x PROBE pixels
NEIGHBOURS = 2.0  # standard deviation of the smoothing of the maps along time, in frames
STRENGTHS = (1e-3, 64.0)  # bounds of s: below, nothing is to be done; above, (1 - 0.2)^(8 * 64) is black


@dataclass(frozen=True)
class Draw:
    exposure: float  # mean L* / 100 of the darkened frames, 0..1
    dim: float  # slope of the ground truth's shadows in lightness, 0..1; 1 leaves it as it is


def draw(config: DarkenConfig, rng: np.random.Generator) -> Draw:
    """Both uniform in their ranges."""
    return Draw(exposure=float(rng.uniform(*config.exposure)), dim=float(rng.uniform(*config.dim)))


def scale(frames: Tensor, config: DarkenConfig, draw: Draw) -> Tensor:
    """high_sharp_scaled, the softly dimmed ground truth: one step of the curve with r = 1 - dim. White stays white."""
    fr.check(frames)
    if draw.dim == 1:
        return frames
    _check_share(draw.dim, "dim")
    out = torch.empty_like(frames)
    for t, frame in enumerate(frames.split(1)):
        light = fr.srgb_to_light(frame)
        lightness = _lightness(light)
        r = torch.full_like(lightness, 1 - draw.dim)
        out[t] = _relight(light, lightness, dce.curve(lightness, r, steps=1))[0]
    return out


def apply(frames: Tensor, config: DarkenConfig, draw: Draw) -> Tensor:
    """The frames at exposure `draw.exposure`. Raises UsageError, WeightsError, InputError."""
    return _darken(frames, config, draw)[0]


def maps(frames: Tensor, config: DarkenConfig, draw: Draw) -> Tensor:
    """The luminance adjustment map that `apply` uses: (T, 1, H, W), 0 where a pixel is kept, 1 where it turns black.

    It is r', the parameter of the curve (the mean over the iterations, where a network has several).
    """
    return _darken(frames, config, draw, want_maps=True)[1]


def exposure_of(frames: Tensor, source: Tensor | None = None) -> float:
    """Mean L*/100 over the unsaturated pixels of display frames (T, 3, H, W); over all, where all are saturated.

    source: the frames before darkening, to judge by them what is saturated, as `apply` does. This is the number that
    `Draw.exposure` asks for; of a source it is the brightest exposure that can be had, because nothing is brightened.
    """
    total, count, everything = 0.0, 0, 0.0
    for frame, judge in zip(frames.split(1), (frames if source is None else source).split(1), strict=True):
        lightness = fr.lightness(frame).cpu().numpy()
        kept = fr.lightness(judge).cpu().numpy() <= lamps.SATURATED
        total += float(lightness.sum(where=kept, dtype=np.float64))
        count += int(kept.sum())
        everything += float(lightness.sum(dtype=np.float64))
    return total / count if count else everything / (frames.numel() // 3)


def achievable(frames: Tensor, exposure: float) -> bool:
    """Whether the frames are bright enough to be darkened to `exposure`; otherwise `apply` leaves them unchanged."""
    return exposure_of(frames) >= exposure


def unmet(lightness: float, config: DarkenConfig) -> float:
    """About which share of the exposures drawn, 0..1, is too bright for a clip of this mean L*/100, once dimmed."""
    low, high = config.exposure
    dimmed = lightness * (1 - (1 - sum(config.dim) / 2) * (1 - lightness))
    return min(max((high - dimmed) / (high - low), 0.0), 1.0) if high > low else float(high > dimmed)


def exposure_map(lightness: Tensor, lamp: Tensor, exposure: float | Tensor) -> Tensor:
    """What the network is asked for, pixel by pixel: the exposure, and a lamp's own lightness. (T, 1, H, W)."""
    return exposure + lamp * (lightness - exposure)


def _darken(frames: Tensor, config: DarkenConfig, draw: Draw, want_maps=False) -> tuple[Tensor, Tensor | None]:
    """The darkened frames and, if wanted, r'. Works frame by frame; only two planes a frame are held for the window."""
    fr.check(frames)
    _check_share(draw.exposure, "exposure")
    net = dce.load(config.weights, str(frames.device))
    out = torch.empty_like(frames)
    lightness, lamp = (frames.new_empty((len(frames), 1, *frames.shape[-2:])) for _ in range(2))
    for t, frame in enumerate(frames.split(1)):
        light = fr.srgb_to_light(frame)
        lightness[t] = _lightness(light)[0]
        out[t] = light[0]
    lamp_model = _smooth_in_time(
        [lamps.model(now, config.lamp_area, dce.CurveNet.reduction) for now in lightness.split(1)])
    for t, planes in enumerate(lamp_model.split(1)):
        lamp[t] = lamps.weight(planes, lightness[t, None])[0]
    if (power := _glow_power(lamp, lightness, draw.exposure)) > 1:
        lamp.pow_(power)
    model = _model(net, lightness, lamp, draw.exposure)
    strength = _strength(net, model, lamp_model, lightness, lamp, draw.exposure)
    used = torch.zeros_like(lightness) if want_maps else None
    if strength == 0:
        return frames, used
    for t in range(len(frames)):
        now, kept = lightness[t, None], lamp[t, None]
        r = _adjust(dce.follow_edges(model[t, None], now), kept, strength)
        white = lamps.white(lamp_model[t, None], now.shape[-2:])
        out[t] = _relight(out[t, None], now, dce.curve(now, r, net.steps, white))[0]
        if want_maps:
            used[t] = r.mean(1).clamp(0, 1)
    return out, used


def _glow_power(lamp: Tensor, lightness: Tensor, exposure: float) -> float:
    """The power of `lamp` with which glows and edges of lights keep no more than GLOW_SHARE of the exposure; from 1.

    Where all is white paper (L* 97) they would keep more than is asked for, and the rest would have to be black.
    """
    kept, now, share = _probe(lightness, lamp, lightness)

    def excess(log_power: float) -> float:
        glow = kept.pow(np.exp(log_power)).mul_(now)
        return _mean(glow, share) - GLOW_SHARE * exposure

    weakest = np.log(GLOW_POWER)
    if excess(0.0) <= 0:
        return 1.0
    return GLOW_POWER if excess(weakest) >= 0 else float(np.exp(brentq(excess, 0.0, weakest, xtol=1e-3)))


def _probe(lightness: Tensor, *planes: Tensor) -> list[Tensor]:
    """Means of planes over the unsaturated pixels of PROBE x PROBE, over all where there are none; their share last."""
    lit = (lightness <= lamps.SATURATED).float()
    share = dce.reduce(lit, PROBE)
    if not share.any():
        lit, share = torch.ones_like(lit), torch.ones_like(share)
    return [dce.reduce(plane * lit, PROBE) / share.clamp_min(1e-6) for plane in planes] + [share]


def _mean(plane: Tensor, share: Tensor) -> float:
    """Weighted mean, in float64 and one order of summation whatever the device and its threads."""
    values, weights = (x.cpu().numpy().astype(np.float64) for x in (plane, share))
    return float((values * weights).sum() / weights.sum())


def _model(net: torch.nn.Module, lightness: Tensor, lamp: Tensor, exposure: float) -> Tensor:
    """The network's maps on reduced frames, as a model of the lightness there, smoothed along time: (T, 2K, h, w)."""
    find = _maps if isinstance(net, dce.CurveNet) else _published_maps
    planes = zip(lightness.split(1), lamp.split(1), strict=True)
    return _smooth_in_time([dce.edge_model(*find(net, now, kept, exposure)) for now, kept in planes])


def _published_maps(net: torch.nn.Module, lightness: Tensor, lamp: Tensor, exposure: float) -> tuple[Tensor, Tensor]:
    """As the release does: the whole frame, and a map that asks a light for its own lightness. Maps and guide."""
    small = dce.reduce(lightness, net.reduction)
    return net.maps(small, dce.reduce(exposure_map(lightness, lamp, exposure), net.reduction)), small


def _maps(net: torch.nn.Module, lightness: Tensor, lamp: Tensor, exposure: float) -> tuple[Tensor, Tensor]:
    """The frame without its lamps. Near a lamp, the maps that pixels as bright have in its surroundings: what the
    network sees there is the halo, which it would take for a bright place and darken to a dark ring. Maps and guide.
    """
    small = lamps.without(lightness, lamp, net.reduction)
    maps = net.maps(small, torch.full_like(small, exposure))
    near = lamps.nearness(dce.reduce(lamp, net.reduction))
    if near.any():
        around = dce.edge_model(maps, small, (1 - near).clamp_min(1e-3), SURROUNDINGS)
        maps = torch.lerp(maps, dce.follow_edges(around, small), near)
    return maps, small


def _smooth_in_time(planes: list[Tensor]) -> Tensor:
    """Gaussian means over the neighbouring frames, of T planes (1, C, h, w): (T, C, h, w)."""
    stack = torch.cat(planes)
    time = torch.arange(len(stack), device=stack.device, dtype=torch.float32)
    weight = torch.exp(-0.5 * ((time[:, None] - time) / NEIGHBOURS) ** 2)
    return torch.einsum("ts,schw->tchw", weight / weight.sum(1, keepdim=True), stack)


def _adjust(r: Tensor, lamp: Tensor, strength: float) -> Tensor:
    """r' = (1 - (1 - r)^s) (1 - lamp); as if the curve were iterated s times as often. Odd in r."""
    changed = r.abs().neg_().add_(1).pow_(strength).neg_().add_(1)
    return torch.copysign(changed, r).mul_(1 - lamp)


def _strength(
    net: torch.nn.Module, model: Tensor, lamp_model: Tensor, lightness: Tensor, lamp: Tensor, exposure: float
) -> float:
    """The s for which the window has the exposure asked for; 0 where it is already as dark as that."""
    probe, kept, share = _probe(lightness, lightness, lamp)
    r, white = dce.follow_edges(model, probe), lamps.white(lamp_model, probe.shape[-2:])

    def excess(log_strength: float) -> float:
        return _mean(dce.curve(probe, _adjust(r, kept, np.exp(log_strength)), net.steps, white), share) - exposure

    weakest, strongest = np.log(STRENGTHS)
    if excess(weakest) <= 0:
        return 0.0
    if excess(strongest) >= 0:
        if excess(strongest) > excess(weakest):
            raise WeightsError(f"the darkening weights brighten the frame where {exposure} is asked for",
                               "they are no weights of EC-Zero-DCE, or damaged: take others")
        return STRENGTHS[1]
    return float(np.exp(brentq(excess, weakest, strongest, xtol=1e-4)))


def _check_share(value: float, name: str) -> None:
    if not 0 < value < 1:
        raise UsageError(f"darken: {name} {value} is not between 0 and 1", f"the recipe's {name} is a range of shares")


def _lightness(light: Tensor) -> Tensor:
    """L*/100 of linear light (1, 3, H, W) -> (1, 1, H, W)."""
    red, green, blue = light.split(1, dim=1)
    return fr.luminance_to_lightness(red * fr.LUMA[0] + green * fr.LUMA[1] + blue * fr.LUMA[2])


def _relight(light: Tensor, old: Tensor, new: Tensor) -> Tensor:
    """Scale linear light (1, 3, H, W), all channels alike, from one lightness (1, 1, H, W) to another; -> display.

    `light` is overwritten.
    """
    gain = fr.lightness_to_luminance(new).div_(fr.lightness_to_luminance(old).clamp_min_(1e-8))
    return fr.light_to_srgb(light.mul_(gain))
