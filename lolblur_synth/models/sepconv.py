"""SepConv (Niklaus, Mai and Liu, ICCV 2017): the frame halfway between two, by pairs of separable kernels a pixel.

In   first, second  (N, 3, H, W) float32 display, 0..1, any size; for the published weights the channels are B, G, R
Out  (N, 3, H, W) the frame at t = 1/2, not clipped

    out(y, x) = sum over both frames of  sum_i sum_j  k_v(i; y, x) k_h(j; y, x)  frame(y + i - 25, x + j - 25)

A network (section 3, Fig. 2; 21.7 million parameters) sees both frames and predicts, for each pixel and frame, a
vertical and a horizontal kernel of 51 taps; nothing normalises them. Frames go on beyond their border as they end.
It knows t = 1/2 alone; stages/interpolate.py halves intervals until it is there.

The names of parameters are those of the published files. There the frames are padded to multiples of 128 before they
enter the network; its author has called that wasteful, here it is 32, what five poolings need.
"""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lolblur_synth.errors import InputError, UsageError
from lolblur_synth.files import weights
from lolblur_synth.kernels.sepconv import separable
from lolblur_synth.recipe.schema import InterpolateConfig

TAPS = 51
REACH = TAPS // 2  # pixels on each side: the largest motion that it can follow
MULTIPLE = 32
FACTORS = (1, 2, 4, 8, 16, 32, 64)
WIDTHS = (6, 32, 64, 128, 256, 512)


class SepConv(nn.Module):
    """The paper's network, in the published layout."""

    def __init__(self):
        super().__init__()
        for level in range(1, 6):
            setattr(self, f"moduleConv{level}", _basic(WIDTHS[level - 1], WIDTHS[level]))
        for level in range(5, 1, -1):
            width = WIDTHS[level]
            setattr(self, f"moduleDeconv{level}", _basic(WIDTHS[min(level + 1, 5)], width))
            setattr(self, f"moduleUpsample{level}", nn.Sequential(_twice(), _conv(width, width), nn.ReLU()))
        for name in ("Vertical1", "Vertical2", "Horizontal1", "Horizontal2"):
            setattr(self, f"module{name}", _subnet())

    def kernels(self, first: Tensor, second: Tensor) -> tuple[Tensor, ...]:
        """Vertical and horizontal kernels of the first frame, then of the second: four of (N, 51, H, W)."""
        height, width = first.shape[2:]
        x = torch.cat((first, second), 1)
        x = F.pad(x, (0, -width % MULTIPLE, 0, -height % MULTIPLE), mode="replicate")
        skips = []
        for level in range(1, 6):
            x = getattr(self, f"moduleConv{level}")(x)
            skips.append(x)
            x = F.avg_pool2d(x, 2)
        for level in range(5, 1, -1):
            x = getattr(self, f"moduleDeconv{level}")(x)
            x = getattr(self, f"moduleUpsample{level}")(x) + skips[level - 1]
        subnets = self.moduleVertical1, self.moduleHorizontal1, self.moduleVertical2, self.moduleHorizontal2
        return tuple(subnet(x)[..., :height, :width] for subnet in subnets)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        check(first, second)
        kernels = self.kernels(first, second)
        return separable(first, *kernels[:2]) + separable(second, *kernels[2:])

    def between(self, first: Tensor, second: Tensor) -> Tensor:
        """Stacks of RGB frames, (N, 3 k, H, W): the first RGB tells the kernels, all follow them.

        The first two RGB are display frames, and clipped to 0..1; a third is light above white, 0 or more.
        """
        kernels = self.kernels(first[:, [2, 1, 0]], second[:, [2, 1, 0]])
        between = (separable(first, *kernels[:2]) + separable(second, *kernels[2:])).clamp_(min=0)
        between[:, :6].clamp_(max=1)
        return between


def check(first: Tensor, second: Tensor) -> None:
    """Raise InputError unless both are (N, 3, H, W) of one size."""
    if first.ndim != 4 or first.shape[1] != 3 or first.shape != second.shape:
        shapes = f"{tuple(first.shape)} and {tuple(second.shape)}"
        raise InputError(f"SepConv: expected two frames (N, 3, H, W), got {shapes}", "pass RGB frames", "shape")


def required(config: InterpolateConfig) -> str:
    """The weights that the config names. UsageError: it names none, or asks for what halving cannot give."""
    if config.weights == InterpolateConfig.weights:
        raise UsageError("interpolate.method=sepconv needs its published weights, which are for academic use only: "
                         "none come with this package", "give --weights FILE, or choose another method")  # fmt: skip
    if config.factor not in FACTORS:
        raise UsageError(f"interpolate.factor={config.factor}: sepconv halves intervals",
                         f"give one of {', '.join(map(str, FACTORS))}, or choose another method")  # fmt: skip
    return config.weights


@functools.lru_cache(maxsize=1)
def load(path: str) -> SepConv:
    """The network with a user's file of the published weights, ready to run. Raises WeightsError.

    Files name their parts `module…`; newer code of the author calls the same parts `net…`.
    """
    net = SepConv()
    weights.load(net, path, lambda name: "module" + name.removeprefix("net") if name.startswith("net") else name)
    return net.eval().requires_grad_(False)


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _basic(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(_conv(inputs, outputs), nn.ReLU(), _conv(outputs, outputs), nn.ReLU(),
                         _conv(outputs, outputs), nn.ReLU())  # fmt: skip


def _twice() -> nn.Upsample:
    return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)


def _subnet() -> nn.Sequential:
    """From half resolution to the kernels of each pixel."""
    return nn.Sequential(_conv(64, 64), nn.ReLU(), _conv(64, 64), nn.ReLU(), _conv(64, TAPS), nn.ReLU(), _twice(),
                         _conv(TAPS, TAPS))  # fmt: skip
