"""LEDNet, the joint low-light enhancement and deblurring network (paper, section 4), with the published names.

    in   (N, 3, H, W) float, a dark blurred frame, H and W multiples of 8; 0..1 or -1..1, as the weights were trained
    out  (N, 3, H, W), the same range, not clamped;  side  (N, 3, H/8, W/8), the enhanced encoder feature as a picture
         (H and W multiples of 16, side of H/16 and W/16 in layout "lite")

LE-Encoder: residual block, blur-pooled residual downsampling, PPM, CurveNLU, three times. D-Decoder: residual blocks,
residual upsampling, and FASC, the filter-adaptive skip connection, at three scales. Where the paper is silent (middle
blocks, LeakyReLU and replicated border of the adaptive convolution) the published parameter layout decides.
`width` scales every channel count; `ppm`, `curve` and `skip` are the ablations of the paper's Table 3. Our own are:

    lift    the network is given the frame brightened by one curve (lift.py) and adds to it
    layout  "lite": the network works on the frame folded by two, 12 channels of half the size, and its parts are
            cheaper (lednet_blocks.py). At the same cost it has twice the width and sees twice as far. It is another
            network than the paper's, and is called LEDNet-lite
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lolblur_synth.errors import InputError, UsageError, WeightsError
from lolblur_synth.files import weights
from lolblur_synth.models.fasc import FASC, TAPS
from lolblur_synth.models.lednet_blocks import (
    LAYOUTS,
    PPM,
    Concat,
    CurveNLU,
    DecoderBlock,
    EncoderBlock,
    Reshape,
    conv,
)  # fmt: skip
from lolblur_synth.models.lift import Lift, share, statistics
from lolblur_synth.models.own_network import OwnNetwork

CHANNELS = (32, 64, 128, 128)  # full resolution, 1/2, 1/4, 1/8
HALVINGS = 3  # of the resolution, by the encoder
RANGES = ("0..1", "-1..1")  # of the values that a network sees and gives
MAX_EXPANSION = 4  # bytes of the network over bytes of its file: 2 for half precision, and a margin
RESIDUAL_GAIN = 0.1  # of the first weights of residual units and adaptive filters, relative to He's


class LEDNet(nn.Module):
    """The network; 7,408,893 parameters as published. See the module's first lines for shapes and ranges.

    width: multiplies every channel count (0.25: 467 thousand parameters). ppm, curve: False leaves the unit out.
    skip: "fac" (the paper) or "concat". lift: the curve before the network, for values of 0..1. layout: "paper" or
    "lite". Raises UsageError where `width` gives fewer than 4 channels.
    """

    def __init__(
        self,
        width: float = 1.0,
        ppm: bool = True,
        curve: bool = True,
        skip: str = "fac",
        lift: bool = False,
        layout: str = "paper",
    ):
        super().__init__()
        channels = [round(width * c) for c in CHANNELS]
        if channels[0] < 4 or channels[0] % 4:
            raise UsageError(f"LEDNet: width {width} gives {channels[0]} channels", "use a multiple of 0.125")
        if skip not in ("fac", "concat"):
            raise UsageError(f"LEDNet: no skip connection is called {skip!r}", "use fac or concat")
        if layout not in LAYOUTS:
            raise UsageError(f"LEDNet: no layout is called {layout!r}", f"use {' or '.join(LAYOUTS)}")
        c0, c1, c2, c3 = channels
        self.options = {"width": width, "ppm": ppm, "curve": curve, "skip": skip, "lift": bool(lift), "layout": layout}
        parts = LAYOUTS[layout]
        self.fold = parts.fold
        self.multiple = self.fold << HALVINGS  # of which height and width are multiples
        seen = 3 * self.fold**2
        self.lift = Lift() if lift else None
        self.E_block1 = nn.Sequential(conv(seen, c0), parts.activation(), EncoderBlock(c0, c1, layout=parts))
        self.E_block2 = EncoderBlock(c1, c2, layout=parts)
        self.E_block3 = EncoderBlock(c2, c3, layout=parts)
        self.side_out = conv(c3, 3)
        self.M_block1 = EncoderBlock(c3, c3, down=False, layout=parts)
        self.M_block2 = EncoderBlock(c3, c3, down=False, layout=parts)
        connection = FASC if skip == "fac" else Concat
        name = "conv_fac_k" if skip == "fac" else "concat_k"
        self.skips = tuple(f"{name}{i}" for i in (3, 2, 1))
        for key, c in zip(self.skips, (c3, c2, c1), strict=True):
            self.add_module(key, connection(c))
        self.conv_1c, self.conv_2c, self.conv_3c = (
            CurveNLU(c, parts) if curve else nn.Identity() for c in (c1, c2, c3)
        )
        self.PPM1, self.PPM2, self.PPM3 = (PPM(c, parts) if ppm else nn.Identity() for c in (c1, c2, c3))
        self.D_block3 = DecoderBlock(c3, c3, up=False, layout=parts)
        self.D_block2 = DecoderBlock(c3, c2, layout=parts)
        self.D_block1 = DecoderBlock(c2, c1, layout=parts)
        self.D_block0 = nn.Sequential(DecoderBlock(c1, c0, layout=parts), conv(c0, seen))

    def forward(self, x: Tensor, side_loss: bool = False, told: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """(N, 3, H, W) -> out, or (side, out) with `side_loss`, whose side is a picture of the encoder's smallest size.

        told: `lift.statistics` of the whole frames that x is cut out of; None: of x itself. Raises InputError unless H
        and W are multiples of 8, of 16 in layout "lite".
        """
        if x.ndim != 4 or x.shape[1] != 3 or x.shape[2] % self.multiple or x.shape[3] % self.multiple:
            raise InputError(
                f"LEDNet: expected (N, 3, H, W) with H and W multiples of {self.multiple}, got {tuple(x.shape)}",
                "use models.lednet.enhance, which pads",
                "shape",
            )
        frame = x
        if self.lift is not None:
            told = statistics(x) if told is None else told
            x = self.lift(x, told)
        e1 = self.conv_1c(self.PPM1(self.E_block1(F.pixel_unshuffle(x, self.fold) if self.fold > 1 else x)))
        e2 = self.conv_2c(self.PPM2(self.E_block2(e1)))
        e3 = self.conv_3c(self.PPM3(self.E_block3(e2)))
        skip3, skip2, skip1 = (self.get_submodule(key) for key in self.skips)
        middle = self.M_block2(self.M_block1(e3))
        d3 = skip3(self.D_block3(middle), e3)
        d2 = skip2(self.D_block2(d3), e2)
        d1 = skip1(self.D_block1(d2), e1)
        out = self.D_block0(d1)
        out = F.pixel_shuffle(out, self.fold) if self.fold > 1 else out
        if self.lift is not None and told is not None:
            out = torch.lerp(frame, out + x, share(told))
        return (self.side_out(e3), out) if side_loss else out


@torch.no_grad()
def initialise(net: LEDNet) -> None:
    """First weights for a training; the paper states none. In place, from torch's global random numbers.

    He's normal weights for the spatial convolutions (PReLU starts with slope 0.25), resampled features that keep their
    size, and adaptive filters that start near "pass the pixel on". What those and a residual unit add starts small: the
    decoder has eight units and three filterings, whose growth would multiply to a hundred, and the first steps to undo
    it drive the encoder's features out of 0..1, where CurveNLU has no gradient. Torch's defaults show little but the
    mean colour for several times as many steps.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.kernel_size[0] > 1:
            nn.init.kaiming_normal_(module.weight, a=0.25)
            if module.bias is not None:
                module.bias.zero_()
    for module in net.modules():
        if isinstance(module, EncoderBlock | DecoderBlock):
            module.body1[-1].weight *= RESIDUAL_GAIN
        if isinstance(module, DecoderBlock):
            module.body2[-1].weight *= RESIDUAL_GAIN
        if isinstance(module, Reshape):
            nn.init.kaiming_normal_(module.bot[-1].weight, nonlinearity="linear")
        if isinstance(module, FASC):
            module[-1].weight *= RESIDUAL_GAIN
            module[-1].bias.mul_(RESIDUAL_GAIN).view(-1, TAPS**2)[:, TAPS**2 // 2] += 1
    if net.lift is not None:
        for last in (net.D_block0[-1], net.lift.strength[-1]):  # begins as the frame at the usual lightness
            last.weight.zero_()
            last.bias.zero_()


def load(name_or_path: str | Path, value_range: str = "auto", network: str = "") -> tuple[LEDNet | OwnNetwork, str]:
    """A network ready for use from bundled weights or a file, and the range its input wants, "0..1" or "-1..1".

    Files written by this package say how they were made; any other must have the published layout. value_range "auto"
    takes the range from the file, or else finds it out with `detect_range`. network: "" for LEDNet, or the class of a
    network of the user (own_network.py). Raises WeightsError, UsageError.
    """
    about, wanted = weights.about(name_or_path), "own" if network else "lednet"
    if (found := about.get("network", wanted)) != wanted:
        if found == "own":
            name = about.get("options", {}).get("class", "a class")
            raise WeightsError(f"{name_or_path}: weights of {name!r:.60}, a network of its user's own",
                               "name it: --network module:Class or --network file.py:Class")  # fmt: skip
        raise WeightsError(f"{name_or_path}: weights of {found}, not of {wanted}", "give a LEDNet checkpoint")
    net = OwnNetwork(network) if network else _described(name_or_path, about.get("options", {}))
    weights.load(net, name_or_path)
    net.eval()
    detected, declared = detect_range(net), about.get("range", "")
    if not detected:
        raise WeightsError(
            f"{name_or_path}: the network answers a black frame with NaN or infinite values",
            "use another file",
        )
    if declared not in ("", *RANGES):
        raise WeightsError(f"{name_or_path}: its header names an unknown range ({declared!r:.40})", "train it again")
    return net, (declared or detected) if value_range == "auto" else value_range


def _described(name_or_path: str | Path, options: dict) -> LEDNet:
    """The network that the header of a file describes, if the file is large enough to hold its weights."""
    try:
        with torch.device("meta"):
            size = sum(tensor.nbytes for tensor in LEDNet(**options).state_dict().values())
        if options and size > MAX_EXPANSION * weights.resolve(name_or_path).stat().st_size:
            raise ValueError(f"its weights are {size >> 20} MiB, more than the file holds")
        return LEDNet(**options)
    except (TypeError, ValueError, ArithmeticError, RuntimeError, UsageError) as error:
        reason = " ".join(str(error).split())[:160]
        raise WeightsError(
            f"{name_or_path}: its header describes no valid LEDNet ({reason})", "train it again"
        ) from None


@torch.no_grad()
def detect_range(net: LEDNet | OwnNetwork) -> str:
    """ "0..1" or "-1..1": what the weights were trained on, told by what they make of a black frame written as -1.

    A network of -1..1 answers with something near -1; one of 0..1 has never learned to answer below 0. "" where the
    answer is not finite.
    """
    mean = net(torch.full((1, 3, 64, 64), -1.0)).mean()
    if not torch.isfinite(mean):
        return ""
    return RANGES[1] if mean < -0.25 else RANGES[0]


@torch.no_grad()
def enhance(net: LEDNet | OwnNetwork, frames: Tensor, value_range: str = "0..1") -> Tensor:
    """Run the network on display frames of any size: (T, 3, H, W), 0..1 -> the same, clipped to 0..1.

    value_range: what the weights were trained on, "0..1" (the paper's) or "-1..1" (the authors' retrained ones).
    The border is reflected up to a multiple of 8, or 16 (repeated where the frame is too small), and cut off again.
    """
    height, width = frames.shape[-2:]
    right, bottom = -width % net.multiple, -height % net.multiple
    mode = "reflect" if right < width and bottom < height else "replicate"
    told = statistics(frames) if net.lift is not None else None  # of the frame, not of its padding
    x = F.pad(frames, (0, right, 0, bottom), mode) if right or bottom else frames
    x = x.contiguous(memory_format=torch.channels_last)  # a fifth less time and a quarter less memory on a CPU
    if value_range == "-1..1":
        return net(x * 2 - 1)[..., :height, :width].add(1).div(2).clamp(0, 1)
    return net(x, told=told)[..., :height, :width].clamp(0, 1)
