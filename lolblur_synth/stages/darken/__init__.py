"""darken: well-exposed frames become frames of a requested low exposure (section 3.2, EC-Zero-DCE), and the ground
truth is dimmed a little before (`scale`).

In   (T, 3, H, W) float32, display sRGB, 0..1, the frames of one window
Out  (T, 3, H, W) float32, display sRGB, 0..1
Random: `exposure`, the mean L*/100 of unsaturated pixels asked for, or `share`, this exposure as a share of the ground
truth's; and `dim`; all once a segment.

    l  = L*(frame) / 100
    r  = network(l without lamps, exposure)  where to darken; around a lamp, as in its surroundings
    r' = (1 - (1 - r)^s) (1 - lamp)          how much: one s for the window, solved for
    l' = curve(l, r', white)                 Zero-DCE's curve, see models/dce.py
    frame' = g(light * Y(l') / Y(l))         one factor for the three channels, in linear light

The exposure of a window is the mean of l over its unsaturated pixels (L* <= 98) and all of its frames. Because s is
solved for (calibration.py), the exposure of the result is the one asked for, to 0.001; because the factor is common to
the channels and acts on light, hue and saturation stay. Saturated pixels keep their own exposure (lamp = 1), and so
does the glow of a small lamp. With `saturated` "channel" a pixel with one clipped channel is a lamp as well, and
`scale` leaves it as it is. With `lamp_area` below 1 a clipped sky or wall, larger than that, is no lamp: it darkens
with the rest, to which end `white` is above 1 there. Frames darker than the request stay as they are: this stage never
brightens.
Maps are smoothed over the neighbouring frames and s is common to the window, so the window does not flicker.
With `method` "gamma" all of this is one power of the display values (gamma.py), solved for the same exposure.
A build asks no segment for more than `max_share` of the exposure of its ground truth (`asked_of`): an input that is no
darker than its truth teaches a network nothing.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.optimize import brentq
from torch import Tensor

from lolblur_synth import frames as fr
from lolblur_synth.errors import UsageError
from lolblur_synth.kernels import transfer
from lolblur_synth.models import dce
from lolblur_synth.recipe.schema import DarkenConfig
from lolblur_synth.stages.darken import gamma, lights
from lolblur_synth.stages.darken.calibration import Calibration, Samples

GLOW_SHARE, GLOW_POWER = 0.3, 64.0  # of the exposure that glows and edges of lights take at most; how, at most
SURROUNDINGS = 12  # of a light, in cells of the reduced frame
NEIGHBOURS = 2.0  # standard deviation of the smoothing of the maps along time, in frames
DARKEST_REQUEST = 0.001  # mean L* / 100; the cap asks for no less, as the recipe does not

Moments = tuple[float, float]  # mean of l, and of l^2, over the unsaturated pixels of frames; l is L* / 100


@dataclass(frozen=True)
class Draw:
    exposure: float  # asked for: mean L* / 100 of the unsaturated pixels of the darkened frames, 0..1
    dim: float  # slope of the ground truth's shadows in lightness, 0..1; 1 leaves it as it is
    drawn: float | None = None  # the exposure before `asked_of`; None where it was given, not drawn
    share: float | None = None  # asked for, of the exposure of the ground truth; None: the exposure is absolute


def draw(config: DarkenConfig, rng: np.random.Generator) -> Draw:
    """Exposure and dim, uniform in their ranges; and the share, log-uniform, where the recipe asks for one."""
    exposure, dim = float(rng.uniform(*config.exposure)), float(rng.uniform(*config.dim))
    share = float(np.exp(rng.uniform(*np.log(config.share)))) if all(config.share) else None
    return Draw(exposure, dim, drawn=exposure, share=share)


def asked_of(draw: Draw, config: DarkenConfig, source: Moments) -> Draw:
    """The draw with the exposure that a segment is asked for: its share of the ground truth's exposure, held within
    the recipe's range, where a share was drawn; and at most `max_share` of the ground truth's.

    source: of the frames of the whole segment before `scale`, so that all of its pairs are asked for the same.
    """
    truth, exposure = dimmed(source, draw.dim), draw.exposure
    if draw.share is not None:
        exposure = float(np.clip(draw.share * truth, *config.exposure))
    if config.max_share < 1:
        exposure = min(exposure, max(config.max_share * truth, DARKEST_REQUEST))
    return replace(draw, exposure=exposure)


def dimmed(source: Moments, dim: float) -> float:
    """Exposure of the ground truth, 0..1: the mean of l - (1 - dim) l (1 - l), which `scale` makes of l."""
    mean, mean_square = source
    return mean - (1 - dim) * (mean - mean_square)


def scale(frames: Tensor, config: DarkenConfig, draw: Draw) -> Tensor:
    """high_sharp_scaled, the softly dimmed ground truth: one step of the curve with r = 1 - dim. White stays white."""
    fr.check(frames)
    if draw.dim == 1:
        return frames
    _check_share(draw.dim, "dim")
    out = torch.empty_like(frames)
    for t, frame in enumerate(frames.split(1)):
        light = transfer.srgb_to_light(frame)
        lightness = transfer.lightness(light)
        r = torch.full_like(lightness, 1 - draw.dim)
        if config.saturated == "channel":  # l' = l - (1 - dim) l (1 - L* of the brightest channel), which stays at 1
            r *= (1 - _brightest(light)) / (1 - lightness).clamp_min(1e-6)
        out[t] = transfer.relight(light, lightness, dce.curve(lightness, r, steps=1))[0]
    return out


def apply(frames: Tensor, config: DarkenConfig, draw: Draw) -> Tensor:
    """The frames at exposure `draw.exposure`. Raises UsageError, WeightsError, InputError."""
    return _darken(frames, config, draw)[0]


def with_lamps(frames: Tensor, config: DarkenConfig, draw: Draw) -> tuple[Tensor, Tensor]:
    """What `apply` returns, and how much each pixel is a lamp that keeps its exposure, 0..1: (T, 1, H, W)."""
    return _darken(frames, config, draw)[::2]


def maps(frames: Tensor, config: DarkenConfig, draw: Draw) -> Tensor:
    """The luminance adjustment map that `apply` uses: (T, 1, H, W), 0 where a pixel is kept, 1 where it turns black.

    It is r', the parameter of the curve (the mean over the iterations, where a network has several). Raises UsageError
    with `method` "gamma", which has none.
    """
    if config.method == "gamma":
        raise UsageError("darken: method gamma has no luminance adjustment map", "use method network")
    adjustment = _darken(frames, config, draw, want_maps=True)[1]
    assert adjustment is not None
    return adjustment


def exposure_of(frames: Tensor, source: Tensor | None = None) -> float:
    """Mean L*/100 over the unsaturated pixels (L* <= 98) of display frames (T, 3, H, W); of all, if all are saturated.

    source: the frames before darkening, to judge by them what is saturated, as `apply` does. This is the number that
    `Draw.exposure` asks for; of a source it is the brightest exposure that can be had, because nothing is brightened.
    """
    total, count, everything = 0.0, 0, 0.0
    for frame, judge in zip(frames.split(1), (frames if source is None else source).split(1), strict=True):
        lightness = fr.lightness(frame).cpu().numpy()
        kept = fr.lightness(judge).cpu().numpy() <= lights.SATURATED
        total += float(lightness.sum(where=kept, dtype=np.float64))
        count += int(kept.sum())
        everything += float(lightness.sum(dtype=np.float64))
    return total / count if count else everything / (frames.numel() // 3)


def achievable(frames: Tensor, exposure: float) -> bool:
    """Whether the frames are bright enough to be darkened to `exposure`; otherwise `apply` leaves them unchanged."""
    return exposure_of(frames) >= exposure


def unmet(source: Moments, config: DarkenConfig) -> float:
    """About which share of the exposures drawn, 0..1, is above what `asked_of` allows a clip of these frames."""
    low, high = config.exposure
    if all(config.share):  # the range only holds the exposures: its lower end is what may be too bright
        high = low
    most = min(config.max_share, 1) * dimmed(source, sum(config.dim) / 2)
    return min(max((high - most) / (high - low), 0.0), 1.0) if high > low else float(high > most)


def exposure_map(lightness: Tensor, lamp: Tensor, exposure: float | Tensor) -> Tensor:
    """What the network is asked for, pixel by pixel: the exposure, and a lamp's own lightness. (T, 1, H, W)."""
    return exposure + lamp * (lightness - exposure)


def _darken(frames: Tensor, config: DarkenConfig, draw: Draw, want_maps=False) -> tuple[Tensor, Tensor | None, Tensor]:
    """The darkened frames; if wanted, r'; the weight of lamps, (T, 1, H, W).

    Works frame by frame; only two planes a frame are held for the window.
    """
    fr.check(frames)
    _check_share(draw.exposure, "exposure")
    if config.method == "gamma":  # what is clipped keeps its exposure, whatever it is
        return gamma.apply(frames, draw.exposure), None, frames.new_ones((len(frames), 1, *frames.shape[-2:]))
    net = dce.load(config.weights, str(frames.device))
    out = torch.empty_like(frames)
    lightness, lamp = (frames.new_empty((len(frames), 1, *frames.shape[-2:])) for _ in range(2))
    for t, frame in enumerate(frames.split(1)):
        light = transfer.srgb_to_light(frame)
        lightness[t] = transfer.lightness(light)[0]
        out[t] = light[0]

    def judged(t: int) -> Tensor:  # the planes that tell lamps, as lights.py takes them
        now = lightness[t, None]
        return now if config.saturated == "lightness" else torch.cat((now, _brightest(out[t, None])), 1)

    lamp_model = _smooth_in_time(
        [lights.model(judged(t), config.lamp_area, dce.CurveNet.reduction) for t in range(len(out))]
    )
    for t, planes in enumerate(lamp_model.split(1)):
        lamp[t] = lights.weight(planes, judged(t))[0]
    samples = Samples(lightness)
    if (power := _glow_power(samples, lamp, draw.exposure)) > 1:
        lamp.pow_(power)
    model = _model(net, lightness, lamp, draw.exposure)
    calibration = Calibration(net, model, lamp_model, lightness, lamp, samples)
    strength = calibration.strength(draw.exposure)
    used = torch.zeros_like(lightness) if want_maps else None
    if strength == 0:
        return frames, used, lamp
    for t, (r, white) in enumerate(calibration.adjusted(strength)):
        now = lightness[t, None]
        out[t] = transfer.relight(out[t, None], now, dce.curve(now, r, net.steps, white))[0]
        if used is not None:
            used[t] = r.mean(1).clamp(0, 1)
    return out, used, lamp


def _glow_power(samples: Samples, lamp: Tensor, exposure: float) -> float:
    """The power of `lamp` with which glows and edges of lights keep no more than GLOW_SHARE of the exposure; from 1.

    Where all is white paper (L* 97) they would keep more than is asked for, and the rest would have to be black.
    """
    kept = samples.of(lamp)

    def excess(log_power: float) -> float:
        return samples.mean(kept.pow(np.exp(log_power)).mul_(samples.lightness)) - GLOW_SHARE * exposure

    weakest = np.log(GLOW_POWER)
    if excess(0.0) <= 0:
        return 1.0
    return GLOW_POWER if excess(weakest) >= 0 else float(np.exp(brentq(excess, 0.0, weakest, xtol=1e-3)))


def _model(net: dce.CurveNet | dce.PublishedCurveNet, lightness: Tensor, lamp: Tensor, exposure: float) -> Tensor:
    """The network's maps on reduced frames, as a model of the lightness there, smoothed along time: (T, 2K, h, w)."""
    planes = zip(lightness.split(1), lamp.split(1), strict=True)
    if isinstance(net, dce.CurveNet):
        return _smooth_in_time([dce.edge_model(*_maps(net, now, kept, exposure)) for now, kept in planes])
    return _smooth_in_time([dce.edge_model(*_published_maps(net, now, kept, exposure)) for now, kept in planes])


def _published_maps(
    net: dce.PublishedCurveNet, lightness: Tensor, lamp: Tensor, exposure: float
) -> tuple[Tensor, Tensor]:
    """As the release does: the whole frame, and a map that asks a light for its own lightness. Maps and guide."""
    small = dce.reduce(lightness, net.reduction)
    return net.maps(small, dce.reduce(exposure_map(lightness, lamp, exposure), net.reduction)), small


def _maps(net: dce.CurveNet, lightness: Tensor, lamp: Tensor, exposure: float) -> tuple[Tensor, Tensor]:
    """The frame without its lamps. Near a lamp, the maps that pixels as bright have in its surroundings: what the
    network sees there is the halo, which it would take for a bright place and darken to a dark ring. Maps and guide.
    """
    small = lights.without(lightness, lamp, net.reduction)
    maps = net.maps(small, torch.full_like(small, exposure))
    near = lights.nearness(dce.reduce(lamp, net.reduction))
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


def _check_share(value: float, name: str) -> None:
    if not 0 < value < 1:
        raise UsageError(f"darken: {name} {value} is not between 0 and 1", f"the recipe's {name} is a range of shares")


def _brightest(light: Tensor) -> Tensor:
    """L*/100 of the grey that has the value of the brightest channel, of linear light: (1, 3, H, W) -> (1, 1, H, W)."""
    return fr.luminance_to_lightness(light.amax(1, keepdim=True))
