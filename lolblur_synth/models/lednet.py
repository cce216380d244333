"""LEDNet, the joint low-light enhancement and deblurring network (paper, section 4), with the published names.

    in   (N, 3, H, W) float, a dark blurred frame, H and W multiples of 8; 0..1 or -1..1, as the weights were trained
    out  (N, 3, H, W), the same range, not clamped;  side  (N, 3, H/8, W/8), the enhanced encoder feature as a picture

LE-Encoder: residual block, blur-pooled residual downsampling, PPM, CurveNLU, three times. D-Decoder: residual blocks,
residual upsampling, and FASC, the filter-adaptive skip connection, at three scales. Where the paper is silent (middle
blocks, LeakyReLU and replicated border of the adaptive convolution) the published parameter layout decides.
`width` scales every channel count; `ppm`, `curve` and `skip` are the ablations of the paper's Table 3. `expose` is our
own: the network is given the frame at a fixed mean (`exposure_gain`) and adds to it, which trains in minutes on a CPU.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lolblur_synth.errors import InputError, UsageError, WeightsError
from lolblur_synth.files import weights
from lolblur_synth.models.fasc import FASC, TAPS

CHANNELS = (32, 64, 128, 128)  # full resolution, 1/2, 1/4, 1/8
BINS = (1, 2, 3, 6)  # section 4.1, PPM
CURVE_ORDER = 3  # section 4.1, Eq. 3: n = 3
MULTIPLE = 8  # three halvings
RANGES = ("0..1", "-1..1")  # of the values that a network sees and gives
MAX_EXPANSION = 4  # bytes of the network over bytes of its file: 2 for half precision, and a margin
RESIDUAL_GAIN = 0.1  # of the first weights of residual units and adaptive filters, relative to He's


def conv(inputs: int, outputs: int, size: int = 3, bias: bool = True) -> nn.Conv2d:
    """A convolution that keeps the frame size."""
    return nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=bias)


class BlurPool(nn.Module):
    """Half resolution without aliasing: [1 2 1] x [1 2 1] / 16 in each channel, stride 2, reflected border."""

    def __init__(self, channels: int):
        super().__init__()
        row = torch.tensor([1.0, 2.0, 1.0])
        self.register_buffer("filt", (row[:, None] * row / 16).repeat(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, (1, 1, 1, 1), "reflect"), self.filt.to(x.dtype), stride=2, groups=x.shape[1])


class Reshape(nn.Module):
    """Residual down- or upsampling by 2: a convolved branch `top` plus a resampled branch `bot`."""

    def __init__(self, inputs: int, outputs: int, down: bool):
        super().__init__()
        head = [conv(inputs, inputs, 1, bias=False), nn.PReLU()]
        if down:
            middle = [conv(inputs, inputs, 3, bias=False), nn.PReLU(), BlurPool(inputs)]
            resample = BlurPool(inputs)
        else:
            middle = [nn.ConvTranspose2d(inputs, inputs, 3, 2, 1, output_padding=1, bias=False), nn.PReLU()]
            resample = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.top = nn.Sequential(*head, *middle, conv(inputs, outputs, 1, bias=False))
        self.bot = nn.Sequential(resample, conv(inputs, outputs, 1, bias=False))
        self.down = down

    def forward(self, x: Tensor) -> Tensor:
        resample, mix = self.bot
        # interpolating and mixing channels commute; mixing is done on the side with a quarter of the pixels
        return self.top(x).add_(mix(resample(x)) if self.down else resample(mix(x)))


class EncoderBlock(nn.Module):
    """A residual unit, one more convolution, and a downsampling where `down`."""

    def __init__(self, inputs: int, outputs: int, down: bool = True):
        super().__init__()
        self.body1 = nn.Sequential(conv(inputs, inputs), nn.PReLU(), conv(inputs, inputs))
        self.body2 = nn.Sequential(conv(inputs, inputs), nn.PReLU())
        self.reshape_conv = Reshape(inputs, outputs, down=True) if down else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.reshape_conv(self.body2(self.body1(x).add_(x)))  # in place: a frame-sized tensor less


class DecoderBlock(nn.Module):
    """An upsampling where `up`, then two residual units."""

    def __init__(self, inputs: int, outputs: int, up: bool = True):
        super().__init__()
        self.reshape_conv = Reshape(inputs, outputs, down=False) if up else nn.Identity()
        self.body1 = nn.Sequential(conv(outputs, outputs), nn.PReLU(), conv(outputs, outputs))
        self.body2 = nn.Sequential(conv(outputs, outputs), nn.PReLU(), conv(outputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        x = self.reshape_conv(x)
        x = self.body1(x).add_(x)
        return self.body2(x).add_(x)


class GridMean(nn.Module):
    """Means over the cells of a grid, bins x bins, as `AdaptiveAvgPool2d` divides a frame: (N, C, bins, bins).

    On CUDA it is two matrix products: torch's own kernel gives a large cell to few threads, and took an eighth of the
    time of a training step.
    """

    def __init__(self, bins: int):
        super().__init__()
        self.bins = bins

    def forward(self, x: Tensor) -> Tensor:
        return self.by_products(x) if x.is_cuda else F.adaptive_avg_pool2d(x, self.bins)

    def by_products(self, x: Tensor) -> Tensor:
        (height, width), channels = x.shape[2:], x.shape[1]
        rows, columns = self._cells(height, x), self._cells(width, x)
        sums = rows @ x.permute(0, 2, 3, 1).flatten(2)  # (N, bins, W C); 0 and 1 lose nothing in half precision
        sums = columns @ sums.unflatten(2, (width, channels))
        return (sums / (rows.sum(1)[:, None, None] * columns.sum(1)[:, None])).permute(0, 3, 1, 2)

    def _cells(self, size: int, like: Tensor) -> Tensor:
        """(bins, size): 1 where a row or column belongs to a cell; cells of uneven sizes share their borders."""
        return (F.adaptive_avg_pool1d(torch.eye(size, device=like.device), self.bins).T > 0).to(like.dtype)


class PPM(nn.Module):
    """Pyramid pooling: means over a 1x1, 2x2, 3x3 and 6x6 grid beside the feature, fused by a convolution."""

    def __init__(self, channels: int):
        super().__init__()
        quarter = channels // 4
        self.features = nn.ModuleList(
            nn.Sequential(GridMean(bins), conv(channels, quarter, 1, bias=False), nn.PReLU()) for bins in BINS
        )
        self.fuse = nn.Sequential(conv(channels + quarter * len(BINS), channels, bias=False), nn.PReLU())

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        pooled = [F.interpolate(branch(x), size, mode="bilinear", align_corners=True) for branch in self.features]
        return self.fuse(torch.cat((x, *pooled), 1))


class CurveNLU(nn.Module):
    """Curve non-linear unit, Eq. 3: the feature, clipped to 0..1, bent n times by f + A f (1 - f), A one map a step."""

    def __init__(self, channels: int):
        super().__init__()
        self.predict_a = nn.Sequential(
            conv(channels, channels, 5),
            nn.ReLU(),
            conv(channels, channels),
            nn.ReLU(),
            conv(channels, CURVE_ORDER, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        maps = self.predict_a(x)
        f = x.clamp(0, 1)
        for i in range(CURVE_ORDER):
            f = f + maps[:, i : i + 1] * f * (1 - f)
        return f


class Concat(nn.Sequential):
    """The ablation of FASC: encoder and decoder features side by side, mixed by a 1x1 convolution."""

    def __init__(self, channels: int):
        super().__init__(conv(2 * channels, channels, 1))

    def forward(self, decoder: Tensor, encoder: Tensor) -> Tensor:
        return self[0](torch.cat((decoder, encoder), 1))


class LEDNet(nn.Module):
    """The network; 7,408,893 parameters as published. See the module's first lines for shapes and ranges.

    width: multiplies every channel count (0.25: 467 thousand parameters). ppm, curve: False leaves the unit out.
    skip: "fac" (the paper) or "concat". expose: 0 (the paper), or the mean to which `enhance` brings a frame of 0..1
    before the network, whose output is then added to it. Raises UsageError where `width` gives fewer than 4 channels.
    """

    def __init__(
        self, width: float = 1.0, ppm: bool = True, curve: bool = True, skip: str = "fac", expose: float = 0.0
    ):
        super().__init__()
        channels = [round(width * c) for c in CHANNELS]
        if channels[0] < 4 or channels[0] % 4:
            raise UsageError(f"LEDNet: width {width} gives {channels[0]} channels", "use a multiple of 0.125")
        if skip not in ("fac", "concat"):
            raise UsageError(f"LEDNet: no skip connection is called {skip!r}", "use fac or concat")
        c0, c1, c2, c3 = channels
        self.options = {"width": width, "ppm": ppm, "curve": curve, "skip": skip, "expose": expose}
        self.E_block1 = nn.Sequential(conv(3, c0), nn.PReLU(), EncoderBlock(c0, c1))
        self.E_block2 = EncoderBlock(c1, c2)
        self.E_block3 = EncoderBlock(c2, c3)
        self.side_out = conv(c3, 3)
        self.M_block1 = EncoderBlock(c3, c3, down=False)
        self.M_block2 = EncoderBlock(c3, c3, down=False)
        connection = FASC if skip == "fac" else Concat
        name = "conv_fac_k" if skip == "fac" else "concat_k"
        self.skips = tuple(f"{name}{i}" for i in (3, 2, 1))
        for key, c in zip(self.skips, (c3, c2, c1), strict=True):
            self.add_module(key, connection(c))
        self.conv_1c, self.conv_2c, self.conv_3c = (CurveNLU(c) if curve else nn.Identity() for c in (c1, c2, c3))
        self.PPM1, self.PPM2, self.PPM3 = (PPM(c) if ppm else nn.Identity() for c in (c1, c2, c3))
        self.D_block3 = DecoderBlock(c3, c3, up=False)
        self.D_block2 = DecoderBlock(c3, c2)
        self.D_block1 = DecoderBlock(c2, c1)
        self.D_block0 = nn.Sequential(DecoderBlock(c1, c0), conv(c0, 3))

    def forward(self, x: Tensor, side_loss: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """(N, 3, H, W) -> out, or (side, out) with `side_loss`. Raises InputError unless H and W are multiples of 8."""
        if x.ndim != 4 or x.shape[1] != 3 or x.shape[2] % MULTIPLE or x.shape[3] % MULTIPLE:
            raise InputError(
                f"LEDNet: expected (N, 3, H, W) with H and W multiples of 8, got {tuple(x.shape)}",
                "use models.lednet.enhance, which pads",
                "shape",
            )
        e1 = self.conv_1c(self.PPM1(self.E_block1(x)))
        e2 = self.conv_2c(self.PPM2(self.E_block2(e1)))
        e3 = self.conv_3c(self.PPM3(self.E_block3(e2)))
        skip3, skip2, skip1 = (self.get_submodule(key) for key in self.skips)
        middle = self.M_block2(self.M_block1(e3))
        d3 = skip3(self.D_block3(middle), e3)
        d2 = skip2(self.D_block2(d3), e2)
        d1 = skip1(self.D_block1(d2), e1)
        out = self.D_block0(d1)
        if self.options["expose"]:
            out = out + x.clamp(0, 1)
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
    if net.options["expose"]:
        net.D_block0[-1].weight.zero_()  # begins as the exposed frame
        net.D_block0[-1].bias.zero_()


def load(name_or_path: str | Path, value_range: str = "auto") -> tuple[LEDNet, str]:
    """A LEDNet ready for use from bundled weights or a file, and the range its input wants, "0..1" or "-1..1".

    Files written by this package say how they were made; any other must have the published layout. value_range "auto"
    takes the range from the file, or else finds it out with `detect_range`. Raises WeightsError.
    """
    about = weights.about(name_or_path)
    if about.get("network", "lednet") != "lednet":
        raise WeightsError(f"{name_or_path}: weights of {about['network']}, not of lednet", "give a LEDNet checkpoint")
    net = _described(name_or_path, about.get("options", {}))
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
def detect_range(net: LEDNet) -> str:
    """ "0..1" or "-1..1": what the weights were trained on, told by what they make of a black frame written as -1.

    A network of -1..1 answers with something near -1; one of 0..1 has never learned to answer below 0. "" where the
    answer is not finite.
    """
    mean = net(torch.full((1, 3, 64, 64), -1.0)).mean()
    if not torch.isfinite(mean):
        return ""
    return RANGES[1] if mean < -0.25 else RANGES[0]


def exposure_gain(frames: Tensor, mean: float) -> Tensor:
    """(T, 3, H, W) display, 0..1 -> (T, 1, 1, 1): the gain for which the clipped frame has this mean.

    Found by halving, on every fourth pixel, between 1 and 256.
    """
    thin = frames[..., ::4, ::4]
    low = torch.zeros_like(thin[:, :1, :1, :1])
    high = low + 8  # log2 of the gain
    for _ in range(16):
        middle = (low + high) / 2
        dark = (thin * 2**middle).clamp(0, 1).mean((1, 2, 3), keepdim=True) < mean
        low, high = torch.where(dark, middle, low), torch.where(dark, high, middle)
    return 2**low


@torch.no_grad()
def enhance(net: LEDNet, frames: Tensor, value_range: str = "0..1") -> Tensor:
    """Run the network on display frames of any size: (T, 3, H, W), 0..1 -> the same, clipped to 0..1.

    value_range: what the weights were trained on, "0..1" (the paper's) or "-1..1" (the authors' retrained ones).
    The border is reflected up to a multiple of 8 (repeated where the frame is too small for that) and cut off again.
    """
    height, width = frames.shape[-2:]
    right, bottom = -width % MULTIPLE, -height % MULTIPLE
    mode = "reflect" if right < width and bottom < height else "replicate"
    expose = net.options["expose"]
    x = frames * exposure_gain(frames, expose) if expose else frames
    x = F.pad(x, (0, right, 0, bottom), mode) if right or bottom else x
    x = x.contiguous(memory_format=torch.channels_last)  # a fifth less time and a quarter less memory on a CPU
    if value_range == "-1..1":
        return net(x * 2 - 1)[..., :height, :width].add(1).div(2).clamp(0, 1)
    return net(x)[..., :height, :width].clamp(0, 1)
