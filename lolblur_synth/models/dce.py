"""EC-Zero-DCE (paper, section 3.2): from lightness and a requested exposure a network predicts a darkening curve.

In   lightness     (N, 1, H, W) float, CIE L* / 100, 0..1
     exposure_map  (N, 1, H, W) float, the requested L* / 100, 0..1; for a light, its own lightness
Out  (N, 1, H, W) darkened lightness, 0..1

The curve of Zero-DCE (Guo et al. 2020, Eq. 3), iterated:  x <- x + r x (x/white - 1).  r > 0 darkens, r < 0 brightens;
0 and `white` are fixed points; |r| <= 1 keeps it monotone. Shadows are scaled by (1 - r)^n, as less light would. White
is 1, as in Zero-DCE; above 1, white itself darkens with the rest.

CurveNet           ours, 67 thousand parameters. One map r for all eight iterations (as Zero-DCE++ does), found at an
                   eighth of the frame size and brought back to full size along the edges of the frame.
PublishedCurveNet  the layout of the LEDNet release, 7.15 million parameters; ten iterations with a map each, full size.
"""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lolblur_synth.errors import InputError, WeightsError
from lolblur_synth.files import weights
from lolblur_synth.kernels.darkening import curve

__all__ = ["CurveNet", "PublishedCurveNet", "check", "curve", "edge_model", "follow_edges", "load", "reduce"]

GUIDE_RADIUS = 2  # cells of the reduced frame
GUIDE_SMOOTHNESS = 4e-3  # lightness variance below which the frame has no edge to follow


def reduce(plane: Tensor, reduction: int) -> Tensor:
    """(N, C, H, W) -> (N, C, ~H/reduction, ~W/reduction), area means; never smaller than one cell."""
    height, width = plane.shape[-2:]
    size = max(1, round(height / reduction)), max(1, round(width / reduction))
    return F.adaptive_avg_pool2d(plane, size)


def edge_model(maps: Tensor, guide: Tensor, weight: Tensor | float = 1.0, radius: int = GUIDE_RADIUS) -> Tensor:
    """Fit maps = a guide + b around each cell (guided filter, He et al. 2010): (N, K, h, w) -> (N, 2K, h, w), a then b.

    guide: (N, 1, h, w) lightness at the size of the maps. weight: of each cell, above 0, (N, 1, h, w).
    """
    count = _box(guide * 0 + weight, radius)
    mean_guide, mean_maps = (_box(plane * weight, radius) / count for plane in (guide, maps))
    variance = _box(guide * guide * weight, radius) / count - mean_guide**2
    slope = _box(guide * maps * weight, radius) / count - mean_guide * mean_maps
    slope = slope / (variance.clamp_min(0) + GUIDE_SMOOTHNESS)
    return _box(torch.cat((slope, mean_maps - slope * mean_guide), 1), min(radius, GUIDE_RADIUS))


def follow_edges(model: Tensor, guide: Tensor) -> Tensor:
    """The maps of `edge_model` at the size of another guide: (N, 2K, h, w), (N, 1, H, W) -> (N, K, H, W), -1..1."""
    model = F.interpolate(model, guide.shape[-2:], mode="bilinear", align_corners=False)
    slope, offset = model.chunk(2, 1)
    return torch.addcmul(offset, slope, guide).clamp_(-1, 1)


def _box(plane: Tensor, radius: int) -> Tensor:
    """Mean over a square of `radius` cells around each cell, of the cells that exist."""
    for size, pad in (((2 * radius + 1, 1), (radius, 0)), ((1, 2 * radius + 1), (0, radius))):
        plane = F.avg_pool2d(plane, size, 1, pad, count_include_pad=False)
    return plane


class CurveNet(nn.Module):
    """Ours: seven convolutions on the reduced frame, conditions fed in at the input and again at the last three.

    The mean lightness of the frame is an input of its own: seven 3x3 convolutions see 15 cells and cannot know it.
    r is a sigmoid, so it only darkens.
    """

    steps, reduction = 8, 8

    def __init__(self, width: int = 32):
        super().__init__()
        self.conv1 = _conv(3, width)
        self.conv2 = _conv(width, width)
        self.conv3 = _conv(width, width)
        self.conv4 = _conv(width, width)
        self.conv5 = _conv(2 * width + 2, width)
        self.conv6 = _conv(2 * width + 2, width)
        self.conv7 = _conv(2 * width + 2, 1)
        nn.init.normal_(self.conv7.weight, std=0.02)
        nn.init.constant_(self.conv7.bias, -1.5)  # r starts at 0.18: neither identity nor black

    def maps(self, lightness: Tensor, exposure_map: Tensor) -> Tensor:
        """The curve parameter r in 0..1, (N, 1, h, w), for a frame that is already reduced."""
        mean = lightness.mean((2, 3), keepdim=True).expand_as(lightness)
        conditions = torch.cat((exposure_map, mean), 1)
        x1 = F.relu(self.conv1(torch.cat((lightness, conditions), 1)))
        x2 = F.relu(self.conv2(x1))
        x3 = F.relu(self.conv3(x2))
        x4 = F.relu(self.conv4(x3))
        x5 = F.relu(self.conv5(torch.cat((x3, x4, conditions), 1)))
        x6 = F.relu(self.conv6(torch.cat((x2, x5, conditions), 1)))
        return torch.sigmoid(self.conv7(torch.cat((x1, x6, conditions), 1)))

    def forward(self, lightness: Tensor, exposure_map: Tensor) -> Tensor:
        check(lightness, exposure_map)
        small = reduce(lightness, self.reduction)
        maps = self.maps(small, reduce(exposure_map, self.reduction))
        return curve(lightness, follow_edges(edge_model(maps, small), lightness), self.steps)


class PublishedCurveNet(nn.Module):
    """The layout of the file `ce_zerodce.pth` that the authors of LEDNet released, key by key.

    An image branch and an exposure branch of four convolutions each, joined in the last three; tanh, so r may brighten.
    `reduction` is for callers that predict the maps on a smaller frame: full size takes 5 TMAC a 1120x640 frame.
    """

    steps, reduction = 10, 4

    def __init__(self, width: int = 256):
        super().__init__()
        for name in ("e_conv", "e_conv_e"):
            for number in range(1, 5):
                setattr(self, f"{name}{number}", nn.Conv2d(1 if number == 1 else width, width, 3, padding=1))
        self.e_conv5 = nn.Conv2d(3 * width, width, 3, padding=1)
        self.e_conv6 = nn.Conv2d(3 * width, width, 3, padding=1)
        self.e_conv7 = nn.Conv2d(3 * width, self.steps, 3, padding=1)

    def maps(self, lightness: Tensor, exposure_map: Tensor) -> Tensor:
        """The r of each iteration, -1..1, (N, 10, H, W)."""
        x1 = F.relu(self.e_conv1(lightness))
        x2 = F.relu(self.e_conv2(x1))
        x3 = F.relu(self.e_conv3(x2))
        x4 = F.relu(self.e_conv4(x3))
        e1 = F.relu(self.e_conv_e1(exposure_map))
        e2 = F.relu(self.e_conv_e2(e1))
        e3 = F.relu(self.e_conv_e3(e2))
        e4 = F.relu(self.e_conv_e4(e3))
        x5 = F.relu(self.e_conv5(torch.cat((e4, x3, x4), 1)))
        x6 = F.relu(self.e_conv6(torch.cat((e3, x2, x5), 1)))
        return torch.tanh(self.e_conv7(torch.cat((e2, x1, x6), 1)))

    def forward(self, lightness: Tensor, exposure_map: Tensor) -> Tensor:
        check(lightness, exposure_map)
        return curve(lightness, self.maps(lightness, exposure_map), self.steps)


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    """A replicated border: a zero one would look like a black frame and bend the curve there."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="replicate")


def check(lightness: Tensor, exposure_map: Tensor) -> None:
    """Raise InputError unless both are (N, 1, H, W) of one size."""
    if lightness.ndim != 4 or lightness.shape[1] != 1 or lightness.shape != exposure_map.shape:
        shapes = f"{tuple(lightness.shape)} and {tuple(exposure_map.shape)}"
        raise InputError(f"lightness and exposure map: expected (N, 1, H, W) twice, got {shapes}", "", "shape")


@functools.lru_cache(maxsize=4)
def load(name_or_path: str, device: str = "cpu") -> CurveNet | PublishedCurveNet:
    """The network that fits the weights, ready to run and not to train. Raises WeightsError if neither fits."""
    reasons = []
    for layout in (CurveNet, PublishedCurveNet):
        net = layout()
        try:
            weights.load(net, name_or_path)
        except WeightsError as error:
            reasons.append(error)
        else:
            return net.eval().requires_grad_(False).to(device)
    raise reasons[-1] if "e_conv" in str(reasons[0]) else reasons[0]
