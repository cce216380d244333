"""noise: what the sensor adds (section 3.2: sRGB, RAW, noise, sRGB, after CycleISP).

In   (T, 3, H, W) float32, display sRGB, 0..1
Out  the same
Random: whether (probability); a sensor gain and a lamp for a clip; a noise field for each frame.

raw-pg and raw-eld run the camera backwards, from sRGB light to camera colours, out of white balance, to an RGGB mosaic.
Noise is drawn there, at the size of the output, and developed: white balance, Malvar demosaicing, colour matrix. All of
that is linear, so the difference between raw + n and raw, both developed, is n developed alone:

    noisy = srgb(light + develop(n))          light = srgb^-1(clean),  n = noise(mosaic(light))

so that no colour shifts and demosaicing loses no detail. Only the result is clipped, once: a real sensor has a black
pedestal, above which noise below black is kept. A saturated pixel has no noise (RSBlur, ECCV 2022), unless asked for.
White balance for night lamps amplifies blue three times, which gives the blue grain of night photographs.

cycleisp replaces the analytic camera by the three networks of CycleISP: the same noise on the raw that they predict,
and the difference between developing it with and without noise. Their raw is white-balanced, so that a lamp is one
factor for each plane; the raw of the authors' own checkpoints is that of the sensor, without a lamp.

gaussian and poisson are noise on display values, independent from pixel to pixel, as LEDNet adds it in training; here
too a pixel with a channel at white has none, unless asked for.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lolblur_synth import frames as fr
from lolblur_synth.camera import levels, mosaic, sensor, tables
from lolblur_synth.draw import field, seed_of
from lolblur_synth.errors import RecipeError, UsageError
from lolblur_synth.kernels import transfer
from lolblur_synth.models import cycleisp
from lolblur_synth.recipe.schema import NoiseConfig

NIGHT_LAMPS = ("tungsten", "3200K", "warm-fluorescent", "cool-fluorescent")  # 2500K: blue noisier than published
DEFAULT_CAMERA = {"raw-pg": tables.PAPER_CAMERA, "cycleisp": tables.PAPER_CAMERA, "raw-eld": "sony-a7s2"}


@dataclass(frozen=True)
class Draw:
    """The level of a clip, and the seed of the noise field."""

    applied: bool
    seed: int = 0
    iso: float = 0.0
    lamp: str = ""
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)  # white balance multipliers of R, G, B
    shot: tuple[float, ...] = ()  # raw-pg: variance shot x + read of a raw value x in 0..1, for R, G, B
    read: tuple[float, ...] = ()
    electron: float = 0.0  # raw-eld: code values an electron
    read_noise: float = 0.0  # raw-eld: scale of the Tukey distribution, code values
    row_noise: float = 0.0  # raw-eld: standard deviation, code values
    tail: float = 0.0  # raw-eld: lambda of the Tukey distribution
    sigma: float = 0.0  # gaussian: standard deviation, 8-bit code values
    scale: float = 0.0  # poisson: multiple of the noise of 255 photons at white
    gray: bool = False  # gaussian, poisson: the same noise on all channels


def draw(config: NoiseConfig, rng: np.random.Generator) -> Draw:
    """The noise level of a clip and a first seed. RecipeError: the camera has no such table, ISO range or lamp."""
    if config.model == "none" or rng.random() >= config.probability:
        return Draw(applied=False)
    seed = seed_of(rng)
    if config.model in ("gaussian", "poisson"):
        gray = bool(rng.random() < config.gray)
        if config.model == "gaussian":
            return Draw(True, seed, sigma=float(rng.uniform(*config.sigma)), gray=gray)
        return Draw(True, seed, scale=float(rng.uniform(*config.scale)), gray=gray)
    used = camera(config)
    iso = float(np.exp(rng.uniform(*np.log(config.iso))).clip(*config.iso))
    if config.model == "raw-eld":
        drawn = Draw(True, seed, iso, **levels.physical(used, config.iso, iso, rng))
    else:
        drawn = Draw(True, seed, iso, **levels.poisson_gaussian(used, config.iso, iso))
    lamp = str(
        rng.choice(levels.lamps(used, NIGHT_LAMPS if config.white_balance == "night" else (config.white_balance,)))
    )
    return dataclasses.replace(drawn, lamp=lamp, gains=used.white_balance[lamp])


def reseed(draw: Draw, rng: np.random.Generator) -> Draw:
    """The same level with a noise field of its own, for each frame of a clip."""
    return dataclasses.replace(draw, seed=seed_of(rng)) if draw.applied else draw


def apply(frames: Tensor, config: NoiseConfig, draw: Draw) -> Tensor:
    """(T, 3, H, W) display, 0..1 -> the same, noisy; `frames` itself where not applied. InputError: not frames."""
    if not draw.applied:
        return frames
    fr.check(frames, "noise")
    if config.model in ("gaussian", "poisson"):
        return _on_display(frames, config, draw)
    if config.model == "cycleisp":  # one frame at a time, to save memory
        return torch.cat([_through_networks(*one) for one in _one_by_one(frames, config, draw)])
    light = transfer.srgb_to_light(frames)
    _, noise = _raw(frames, light, config, draw)
    mosaic.add_developed(light, noise, _colours(config), draw.gains, config.demosaic)
    return _finished(transfer.light_to_srgb(light), frames, config)


def raw_pair(frames: Tensor, config: NoiseConfig, draw: Draw) -> tuple[Tensor, Tensor]:
    """The synthetic RGGB mosaics behind `apply`, clean and noisy: two (T, 1, H, W) float32, 0..1 and a little beyond.

    Of the sensor: not white-balanced, `draw.gains` do that. H and W rounded up to even. UsageError: gaussian and
    poisson have no raw.
    """
    fr.check(frames, "noise")
    if config.model in ("gaussian", "poisson"):
        raise UsageError(f"noise: {config.model} is noise on display values, it has no raw", "use --model raw-pg")
    if config.model == "cycleisp":
        pairs = [_network_raw(*one) for one in _one_by_one(frames, config, draw)]
        planes, noise = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    else:
        planes, noise = _raw(frames, transfer.srgb_to_light(frames), config, draw)
    return F.pixel_shuffle(planes, 2), F.pixel_shuffle(planes + noise, 2)


def _raw(frames: Tensor, light: Tensor, config: NoiseConfig, draw: Draw) -> tuple[Tensor, Tensor]:
    """Packed raw planes of `light`, and their noise: none where the display frame is saturated."""
    planes = mosaic.mosaic(_even(light), _colours(config), draw.gains)
    rng = field(draw.seed)
    if config.model == "raw-eld":
        noise = sensor.physical(
            planes,
            camera(config).physical["full_scale"],
            draw.electron,
            draw.read_noise,
            draw.row_noise,
            draw.tail,
            rng,
        )
    else:
        noise = sensor.poisson_gaussian(planes, draw.shot, draw.read, rng)
    return planes, _none_where_saturated(noise, frames, config)


def _one_by_one(frames: Tensor, config: NoiseConfig, draw: Draw) -> Iterator[tuple[Tensor, NoiseConfig, Draw]]:
    """Each frame with a noise field of its own."""
    for number, frame in enumerate(frames):
        yield frame[None], config, dataclasses.replace(draw, seed=draw.seed + number)


@torch.inference_mode()
def _through_networks(frame: Tensor, config: NoiseConfig, draw: Draw) -> Tensor:
    """One frame; its raw as CycleISP sees it, developed with and without noise; the difference is added."""
    networks = _networks(frame, config)
    balance = _balance(networks, draw, frame)
    planes, noise = (part * balance for part in _network_raw(frame, config, draw))
    gate = networks.colour(_even(frame))
    clean, noisy = (networks.develop(raw, gate) for raw in (planes, planes + noise))
    residual = (noisy - clean)[..., : frame.shape[-2], : frame.shape[-1]]
    return _finished(residual.add_(frame), frame, config)


@torch.inference_mode()
def _network_raw(frame: Tensor, config: NoiseConfig, draw: Draw) -> tuple[Tensor, Tensor]:
    """As `_raw`: the sensor's packed planes that Rgb2Raw predicts for one frame, and their noise."""
    networks = _networks(frame, config)
    planes = networks.raw(_even(frame)) / _balance(networks, draw, frame)
    noise = sensor.poisson_gaussian(planes, draw.shot, draw.read, field(draw.seed))
    return planes, _none_where_saturated(noise, frame, config)


def _networks(frame: Tensor, config: NoiseConfig) -> cycleisp.Networks:
    networks = cycleisp.load(config.weights)
    for network in networks[:3]:
        network.to(frame.device)
    return networks


def _balance(networks: cycleisp.Networks, draw: Draw, like: Tensor) -> Tensor:
    return mosaic.balance(draw.gains if networks.ours else (1.0, 1.0, 1.0), like)


def _finished(noisy: Tensor, frames: Tensor, config: NoiseConfig) -> Tensor:
    """Clipped, in place; white where `frames` are."""
    noisy.clamp_(0, 1)
    return noisy.masked_fill_(frames >= 1, 1) if config.keep_saturated == "yes" else noisy


def _none_where_saturated(noise: Tensor, frames: Tensor, config: NoiseConfig) -> Tensor:
    """The noise of packed planes (T, 4, H/2, W/2), 0 at sites saturated in some channel of the display frame."""
    saturated = frames.amax(1, keepdim=True) >= 1
    if config.keep_saturated == "no" or not saturated.any():
        return noise
    return noise.masked_fill_(F.pixel_unshuffle(_even(saturated.float()), 2) > 0, 0)


def _on_display(frames: Tensor, config: NoiseConfig, draw: Draw) -> Tensor:
    """Noise on display values, independent from pixel to pixel; with `draw.gray` the noise of the mean of the channels,
    the same for all of them. None where a channel is saturated, unless asked for.
    """
    values = frames.mean(dim=1, keepdim=True) if draw.gray else frames
    normal = torch.from_numpy(field(draw.seed).standard_normal(values.shape, dtype=np.float32)).to(frames.device)
    if config.model == "gaussian":
        noise = normal * (draw.sigma / 255)
    else:
        noise = (sensor.poisson(values * 255, normal) / 255 - values) * draw.scale
    if config.keep_saturated == "yes":
        noise = noise.masked_fill(frames.amax(1, keepdim=True) >= 1, 0)
    return (frames + noise).clamp_(0, 1)


def camera(config: NoiseConfig) -> tables.Camera:
    """The camera whose constants a config uses. RecipeError: no such camera, or its file is broken."""
    if config.model == "profile" and not config.camera.endswith(".json"):
        raise RecipeError("noise.model: profile needs a noise profile", "set noise.camera to its .json file")
    return tables.load(DEFAULT_CAMERA[config.model] if config.camera == "auto" else config.camera)


def _colours(config: NoiseConfig) -> np.ndarray:
    return mosaic.rgb_to_camera(np.asarray(camera(config).xyz_to_camera))


def _even(frames: Tensor) -> Tensor:
    """With the last row and column repeated where their number is odd."""
    height, width = frames.shape[-2:]
    return F.pad(frames, (0, width % 2, 0, height % 2), mode="replicate") if (height | width) % 2 else frames
