"""CycleISP (Zamir et al., CVPR 2020), which section 3.2 adds noise with: a camera learnt both ways.

Rgb2Raw      (N, 3, H, W) display sRGB, 0..1     -> (N, 4, H/2, W/2) raw planes R, Gr, Gb, B of RGGB, about 0..1
ColorBranch  (N, 3, H, W) display sRGB, 0..1     -> (N, features, H/2, W/2) gate, 0..1: the colours to come back to
Raw2Rgb      (N, 4, H/2, W/2) raw, and the gate  -> (N, 3, H, W) display sRGB, about 0..1

H and W are even. The default size is the published one: 96 features, 3,143,109, 1,084,419 and 3,244,110 parameters, and
the names of its checkpoints, among them a PReLU that every block of a network shares and a convolution that nothing
uses. `LITE` are the sizes for a CPU. The networks are our own reading of the paper; no code or weights of it are here.

The raw of networks that `train-noise` made is white-balanced, so that white is 1 in each plane, and companded by the
sRGB curve. The lamp then acts outside of them, as one factor a plane, and one training serves every lamp; and the few
features of `LITE` need not learn how steep a display curve is at black. Those networks correct an analytic camera
(camera/mosaic.py), named in their file: what they give is added to its raw, and to what it makes of a raw along edges
(kernels/demosaicing). Its matrix and its curve are known, and most of the demosaicing; what a mosaic loses, and how
little of it need be lost, is learnt. `LITE` networks see both beside their input: what would be lost, and what was
made.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lolblur_synth.camera import demosaic, mosaic, tables
from lolblur_synth.errors import InputError, WeightsError
from lolblur_synth.files import weights
from lolblur_synth.kernels import transfer

REDUCTION = 8  # of the channel gate
BLUR_SIGMA, BLUR_SIZE = 12, 21  # px; the colour branch sees no detail
FILES = ("rgb2raw_joint", "ccm_joint", "raw2rgb_joint")  # as the authors name them
OUR_RAW = "white-balanced, sRGB-companded"  # as the header of a file says; the authors' is that of the sensor
WHITE = (1.0, 1.0, 1.0)  # gains of a raw that is white-balanced
ZERO_MEAN_SIZE = 16  # px; a correction has no mean over cells of this size, so that it shifts no colour
BAND = 48  # rows that are computed at once
# All three work at half of the width and height at most, where 32 features cost as much as 8 at full size.
LITE = (
    {"features": 32, "groups": 1, "blocks": 1, "pack": 2, "passes": 2},
    {"features": 32, "groups": 1, "blocks": 1, "coarse": 4},
    {"features": 32, "groups": 1, "blocks": 2},
)
# Inputs of those of LITE that correct a camera: Rgb2Raw also sees what the camera loses, Raw2Rgb what it develops.
MORE_INPUTS = ({"inputs": 6}, {}, {"inputs": 16})


class SpatialGate(nn.Module):
    """Spatial attention: maximum and mean over the channels, a convolution, a sigmoid. (N, 1, H, W), 0..1."""

    def __init__(self):
        super().__init__()
        self.spatial = nn.ModuleDict({"conv": _conv(2, 1, bias=False)})

    def forward(self, x: Tensor) -> Tensor:
        seen = torch.cat((x.amax(1, keepdim=True), x.mean(1, keepdim=True)), 1)
        return torch.sigmoid(self.spatial["conv"](seen))


class ChannelGate(nn.Module):
    """Channel attention: the mean of each channel through a bottleneck (squeeze-excitation). (N, F, 1, 1), 0..1."""

    def __init__(self, features: int):
        super().__init__()
        narrow = features // REDUCTION
        self.conv_du = nn.Sequential(nn.Conv2d(features, narrow, 1), nn.ReLU(), nn.Conv2d(narrow, features, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.conv_du(x.mean((2, 3), keepdim=True)))


class DualAttentionBlock(nn.Module):
    """DAB (Fig. 3): two convolutions, the two gates side by side, joined by a 1x1 convolution, added to the input."""

    def __init__(self, features: int, activation: nn.Module):
        super().__init__()
        self.SA = SpatialGate()
        self.CA = ChannelGate(features)
        self.body = nn.Sequential(_conv(features, features), activation, _conv(features, features))
        self.conv1x1 = nn.Conv2d(2 * features, features, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The 1x1 convolution of both halves, each on its own: joining them first takes a sixth of the time."""
        inner = _in_bands(self.body, 2, x)
        channels = functools.cache(lambda: self.CA(inner))  # once, but after the other gate: the order of gradients

        def joined(x: Tensor, part: Tensor) -> Tensor:
            spatial, channel = self.conv1x1.weight.chunk(2, dim=1)
            x = torch.addcmul(x, F.conv2d(part, spatial), self.SA(part))
            return x.add_(F.conv2d(part * channels(), channel, self.conv1x1.bias))

        return _in_bands(joined, 1, x, inner)


class RecursiveResidualGroup(nn.Module):
    """RRG (Fig. 3): blocks and a convolution, added to the input."""

    def __init__(self, features: int, blocks: int, activation: nn.Module):
        super().__init__()
        dabs = [DualAttentionBlock(features, activation) for _ in range(blocks)]
        self.body = nn.Sequential(*dabs, _conv(features, features))

    def forward(self, x: Tensor) -> Tensor:
        return _in_bands(lambda x, inner: self.body[-1](inner).add_(x), 1, x, self.body[:-1](x))


class Rgb2Raw(nn.Module):
    """From the photograph back to the sensor: all three colours everywhere, then a mosaic of them.

    pack    2: it works on blocks of 2 x 2 px and gives their four samples at once
    passes  how often it corrects a camera (Networks.planes): the second pass sees what the first one left
    """

    def __init__(
        self, features: int = 96, groups: int = 3, blocks: int = 5, inputs: int = 3, pack: int = 1, passes: int = 1
    ):
        super().__init__()
        self.inputs, self.pack, self.passes = inputs, pack, passes
        self.head = nn.Sequential(_conv(inputs * pack**2, features))
        self.body = _body(features, groups, blocks, nn.PReLU(features))
        self.tail = nn.Sequential(_conv(features, 3 if pack == 1 else 4))

    def forward(self, display: Tensor) -> Tensor:
        _check(display, self.inputs)
        x = self.body[:-2](self.head(F.pixel_unshuffle(display, self.pack)))
        camera = _in_bands(lambda x: self.tail(self.body[-2:](x)), 2, x)
        if self.pack > 1:
            return camera
        red, green, blue = camera.unbind(1)
        return torch.stack((red[:, ::2, ::2], green[:, ::2, 1::2], green[:, 1::2, ::2], blue[:, 1::2, 1::2]), 1)


class ColorBranch(nn.Module):
    """The colours of the photograph, without its detail, as a gate for the features of Raw2Rgb.

    coarse: px; what is blurred has no detail, so that it may be seen, and the gate made, at every so many pixels only.
    """

    def __init__(self, features: int = 96, groups: int = 2, blocks: int = 2, coarse: int = 1):
        super().__init__()
        self.coarse = coarse
        self.blur = nn.Conv2d(3, 3, BLUR_SIZE, groups=3, bias=False)
        self.blur.weight.data.copy_(_gaussian().expand(3, 1, BLUR_SIZE, BLUR_SIZE))
        self.blur.weight.requires_grad_(False)
        self.head = nn.Sequential(_conv(3, features))
        self.body = _body(features, groups, blocks, nn.PReLU(features))
        self.tail = nn.Sequential(_conv(features, features))

    def forward(self, display: Tensor) -> Tensor:
        _check(display, 3)
        reach = BLUR_SIZE // 2
        if min(display.shape[-2:]) <= reach:
            raise InputError(f"cycleisp: frames need more than {reach} px a side", "use larger frames", "shape")
        column, row = (self.blur.weight.sum(axis, keepdim=True) for axis in (3, 2))  # a Gaussian of sum 1 is separable
        blurred = F.pad(display, (reach,) * 4, mode="reflect")
        blurred = F.conv2d(blurred, column, groups=3, stride=(self.coarse, 1))
        blurred = F.conv2d(blurred, row, groups=3, stride=(1, self.coarse))
        gate = self.tail(self.body(F.max_pool2d(self.head(blurred), 2, ceil_mode=True)))
        half = [side // 2 for side in display.shape[-2:]]
        return torch.sigmoid(gate if self.coarse == 1 else F.interpolate(gate, size=half, mode="bilinear"))


class Raw2Rgb(nn.Module):
    """From the sensor to the photograph: the features are gated by the colour branch on their way."""

    def __init__(self, features: int = 96, groups: int = 3, blocks: int = 5, inputs: int = 4):
        super().__init__()
        self.inputs = inputs
        activation = nn.PReLU(features)
        self.head = nn.Sequential(_conv(inputs, features))
        self.body = _body(features, groups, blocks, activation)
        self.tail = nn.Sequential(_conv(features, features), activation)
        self.tail_rgb = nn.Sequential(nn.Conv2d(features, 12, 1))
        self.conv1x1 = nn.Sequential(nn.Conv2d(2 * features, features, 1))  # unused, but in the published checkpoints

    def forward(self, raw: Tensor, gate: Tensor) -> Tensor:
        _check(raw, self.inputs, even=False)

        def developed(x: Tensor, gate: Tensor) -> Tensor:
            x = self.body[-2](x)
            return self.tail_rgb(self.tail(self.body[-1](x + x * gate)))

        return F.pixel_shuffle(_in_bands(developed, 2, self.body[:-2](self.head(raw)), gate), 2)


class Networks(NamedTuple):
    """The three, and what their raw is: OUR_RAW, if `ours`; corrections of a camera of these `colours`, if any."""

    rgb2raw: Rgb2Raw
    colour: ColorBranch
    raw2rgb: Raw2Rgb
    ours: bool = True
    colours: np.ndarray | None = None  # mosaic.rgb_to_camera

    def planes(self, display: Tensor) -> Tensor:
        """(N, 3, H, W) display -> (N, 4, H/2, W/2) raw as the networks know it, not clipped."""
        if self.colours is None:
            return self.rgb2raw(display)
        sampled = mosaic.mosaic(transfer.srgb_to_light(display), self.colours, WHITE)
        planes = transfer.light_to_srgb(sampled)
        for done in range(self.rgb2raw.passes):
            seen = display
            if self.rgb2raw.inputs > display.shape[1]:
                if done:
                    sampled = transfer.srgb_to_light(planes.clamp(0, 1))
                seen = torch.cat((display, display - demosaic.develop(sampled, self.colours)), 1)
            planes = without_local_mean(self.rgb2raw(seen).contiguous(), ZERO_MEAN_SIZE // 2) + planes
        return planes

    def raw(self, display: Tensor) -> Tensor:
        """(N, 3, H, W) display -> (N, 4, H/2, W/2) linear raw, 0..1; white-balanced if `ours`."""
        planes = self.planes(display).clamp(0, 1)
        return transfer.srgb_to_light(planes) if self.ours else planes

    def develop(self, raw: Tensor, gate: Tensor) -> Tensor:
        """The way back: such raw, with noise or without, and the gate of `colour` -> (N, 3, H, W) display."""
        seen = transfer.light_to_srgb(raw) if self.ours else raw
        if self.colours is None:
            return self.raw2rgb(seen, gate)
        start = demosaic.develop(raw, self.colours)
        if self.raw2rgb.inputs > raw.shape[1]:
            seen = torch.cat((seen, F.pixel_unshuffle(start, 2)), 1)
        return without_local_mean(self.raw2rgb(seen, gate).contiguous(), ZERO_MEAN_SIZE) + start


def files(folder: str) -> tuple[Path, Path, Path]:
    """The three FILES of a folder, .safetensors or the authors' .pth; or of bundled weights, by name. WeightsError."""
    where = weights.folder(folder)
    paths = []
    for name in FILES:
        there = [file for suffix in (".safetensors", ".pth") if (file := where / (name + suffix)).is_file()]
        if not there:
            raise WeightsError(
                f"noise.weights: no {name}.pth or .safetensors in {folder or 'an unnamed folder'}",
                f"set noise.weights to a folder with {', '.join(FILES)}, or use noise.model=raw-pg",
            )
        paths.append(there[0])
    return tuple(paths)


@functools.lru_cache(maxsize=1)
def load(folder: str) -> Networks:
    """The three networks of `files`, ready to run.

    A .safetensors whose header says {"size": {features, groups, blocks, …}} has that size, any other file the published
    one; {"raw": OUR_RAW, "corrects": CAMERA} say the rest. WeightsError: a file is missing, malformed, or of another.
    """
    networks, kinds = [], []
    for number, file in enumerate(files(folder)):
        networks.append(load_one(number, file))
        about = weights.about(file)
        kinds.append((about.get("raw") == OUR_RAW, about.get("corrects")))
    ours, camera = kinds[0]
    if any(kind != kinds[0] for kind in kinds) or camera not in (None, *tables.names()):
        raise WeightsError(f"{folder}: its files do not belong together, or correct {camera!r:.40}", "train them again")
    return Networks(*networks, ours, camera_colours(camera) if camera else None)


def load_one(number: int, file: str | Path) -> nn.Module:
    """One of the three networks, in the order of FILES, ready to run. Raises WeightsError."""
    network, lite, more = (Rgb2Raw, ColorBranch, Raw2Rgb)[number], LITE[number], MORE_INPUTS[number]
    size = weights.about(file).get("size", {})
    valid = isinstance(size, dict) and {*size} <= {*lite, *more} and size.get("inputs") in (None, *more.values())
    valid = valid and size.get("pack") in (None, 1, 2)
    if not valid or not all(isinstance(value, int) and 0 < value <= 512 for value in size.values()):
        raise WeightsError(f"{file}: its header asks for a network of size {size}", "train the weights again")
    module = network(**size)
    weights.load(module, file)
    return module.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def camera_colours(camera: str) -> np.ndarray:
    """(3, 3): linear sRGB to a camera's colours. RecipeError: no such camera."""
    return mosaic.rgb_to_camera(tables.load(camera).xyz_to_camera)


def without_local_mean(correction: Tensor, size: int) -> Tensor:
    """The correction less its local mean: means of cells of size x size px, interpolated."""
    mean = F.avg_pool2d(correction, size, ceil_mode=True, count_include_pad=False)
    return correction - F.interpolate(mean, size=correction.shape[-2:], mode="bilinear", align_corners=False)


def _in_bands(work: Callable[..., Tensor], reach: int, *frames: Tensor) -> Tensor:
    """work(*frames), where that is local: BAND rows at a time, so that temporary tensors stay small (frames.py).

    reach: rows above and below that a row depends on. frames: (N, ..., H, W), of one H.
    """
    rows = frames[0].shape[-2]
    if rows <= BAND + reach:
        return work(*frames)
    bands = []
    for top in range(0, rows, BAND):
        first = max(top - reach, 0)
        band = work(*(frame[..., first : top + BAND + reach, :] for frame in frames))
        bands.append(band[..., top - first : top - first + BAND, :])
    return torch.cat(bands, dim=-2)


def _conv(inputs: int, outputs: int, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)


def _body(features: int, groups: int, blocks: int, activation: nn.Module) -> nn.Sequential:
    """Groups, a convolution and the PReLU that all of the network shares."""
    rrgs = [RecursiveResidualGroup(features, blocks, activation) for _ in range(groups)]
    return nn.Sequential(*rrgs, _conv(features, features), activation)


def _gaussian() -> Tensor:
    x = torch.arange(BLUR_SIZE) - BLUR_SIZE // 2
    line = torch.exp(-(x**2) / (2 * BLUR_SIGMA**2))
    line = line / line.sum()
    return line[:, None] * line


def _check(frames: Tensor, channels: int, even: bool = True) -> None:
    odd = even and any(side % 2 for side in frames.shape[-2:])
    if frames.ndim != 4 or frames.shape[1] != channels or odd:
        wrong = f"cycleisp: expected (N, {channels}, H, W) of even size, got {tuple(frames.shape)}"
        raise InputError(wrong, "crop the frames to an even size", "shape")
