"""The parts of LEDNet (paper, sections 4.1 to 4.3), in two layouts. Frames and features are (N, C, H, W).

paper   as published: PReLU, transposed convolutions, CurveNLU clips its feature
lite    for a CPU: LeakyReLU, which costs a fifth less; enlarging and convolving, which leaves no checkerboard (Odena
        2016); CurveNLU lets a tenth of what it clips pass, so that no channel dies
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BINS = (1, 2, 3, 6)  # section 4.1, PPM
CURVE_ORDER = 3  # section 4.1, Eq. 3: n = 3


def conv(inputs: int, outputs: int, size: int = 3, bias: bool = True) -> nn.Conv2d:
    """A convolution that keeps the frame size."""
    return nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=bias)


def doubled() -> nn.Upsample:
    return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)


@dataclass(frozen=True)
class Layout:
    """What the two forms of the network differ in.

    fold: the network sees blocks of fold x fold pixels as channels of one; enlarge: the layers that double the size of
    so many channels; leak: of CurveNLU.
    """

    fold: int
    activation: Callable[[], nn.Module]
    enlarge: Callable[[int], list[nn.Module]]
    leak: float


PAPER = Layout(1, nn.PReLU, lambda c: [nn.ConvTranspose2d(c, c, 3, 2, 1, output_padding=1, bias=False)], leak=0.0)
LITE = Layout(2, partial(nn.LeakyReLU, 0.25), lambda c: [doubled(), conv(c, c, 3, bias=False)], leak=0.1)
LAYOUTS = {"paper": PAPER, "lite": LITE}


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

    def __init__(self, inputs: int, outputs: int, down: bool, layout: Layout):
        super().__init__()
        head = [conv(inputs, inputs, 1, bias=False), layout.activation()]
        if down:
            middle = [conv(inputs, inputs, 3, bias=False), layout.activation(), BlurPool(inputs)]
            resample = BlurPool(inputs)
        else:
            middle = [*layout.enlarge(inputs), layout.activation()]
            resample = doubled()
        self.top = nn.Sequential(*head, *middle, conv(inputs, outputs, 1, bias=False))
        self.bot = nn.Sequential(resample, conv(inputs, outputs, 1, bias=False))
        self.down = down

    def forward(self, x: Tensor) -> Tensor:
        resample, mix = self.bot
        # interpolating and mixing channels commute; mixing is done on the side with a quarter of the pixels
        return self.top(x).add_(mix(resample(x)) if self.down else resample(mix(x)))


class EncoderBlock(nn.Module):
    """A residual unit, one more convolution, and a downsampling where `down`."""

    def __init__(self, inputs: int, outputs: int, down: bool = True, layout: Layout = PAPER):
        super().__init__()
        self.body1 = nn.Sequential(conv(inputs, inputs), layout.activation(), conv(inputs, inputs))
        self.body2 = nn.Sequential(conv(inputs, inputs), layout.activation())
        self.reshape_conv = Reshape(inputs, outputs, True, layout) if down else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.reshape_conv(self.body2(self.body1(x).add_(x)))  # in place: a frame-sized tensor less


class DecoderBlock(nn.Module):
    """An upsampling where `up`, then two residual units."""

    def __init__(self, inputs: int, outputs: int, up: bool = True, layout: Layout = PAPER):
        super().__init__()
        self.reshape_conv = Reshape(inputs, outputs, False, layout) if up else nn.Identity()
        self.body1 = nn.Sequential(conv(outputs, outputs), layout.activation(), conv(outputs, outputs))
        self.body2 = nn.Sequential(conv(outputs, outputs), layout.activation(), conv(outputs, outputs))

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

    def __init__(self, channels: int, layout: Layout = PAPER):
        super().__init__()
        quarter = channels // 4
        self.features = nn.ModuleList(
            nn.Sequential(GridMean(bins), conv(channels, quarter, 1, bias=False), layout.activation()) for bins in BINS
        )
        self.fuse = nn.Sequential(conv(channels + quarter * len(BINS), channels, bias=False), layout.activation())

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        pooled = [F.interpolate(branch(x), size, mode="bilinear", align_corners=True) for branch in self.features]
        return self.fuse(torch.cat((x, *pooled), 1))


class CurveNLU(nn.Module):
    """Curve non-linear unit, Eq. 3: the feature, clipped to 0..1, bent n times by f + A f (1 - f), A one map a step.

    Features outside 0..1 are clipped and have no gradient; where the layout has a `leak`, this part of what was clipped
    is added to the result.
    """

    def __init__(self, channels: int, layout: Layout = PAPER):
        super().__init__()
        self.leak = layout.leak
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
        return f + self.leak * (x - x.clamp(0, 1)) if self.leak else f


class Concat(nn.Sequential):
    """The ablation of FASC: encoder and decoder features side by side, mixed by a 1x1 convolution."""

    def __init__(self, channels: int):
        super().__init__(conv(2 * channels, channels, 1))

    def forward(self, decoder: Tensor, encoder: Tensor) -> Tensor:
        return self[0](torch.cat((decoder, encoder), 1))
