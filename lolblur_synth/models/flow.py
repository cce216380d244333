"""FlowNet corrects optical flow between two frames: flow once a pair, then any number of instants.

It starts from the DIS flows of the pair, and from a rule that says where they are doubtful, and learns corrections:

    refine   once a pair   U-net at 1/4, 1/8, 1/16 and 1/32 of the size, with a correlation volume at 1/8 (as in
                           PWC-Net, Sun 2018) around the DIS flow, which finds small things that moved far: corrected
                           flows both ways, the importance of each cell where motions collide (softmax splatting,
                           Niklaus 2020)
    fuse     once a t      levels at 1/4, 1/8 and 1/16: corrected motion v at t, and how far its path is off the
                           straight one, q (kernels/exposure/acceleration.py); the share of the second frame (a thing
                           that only one frame shows is fetched from it alone), and where to give up and cross-fade:
                           by rule where the frames differ along the motion, D, as much as they do in place, C:
                           g = D^1.5 / (D^1.5 + 2 C^1.5) before training; D is of what both frames show

    sample(x) = (1 - g) [(1 - m) first(x - t v + q) + m second(x + (1 - t) v + q)] + g [(1 - t) first(x) + t second(x)]

A sample is a convex sum of fetched light and nothing else. No residual is added: motion is estimated on a bright guide
and the light comes from a darkened frame, where a residual of the guide would be wrong.

Swapping the frames and t -> 1 - t gives the same sample: the two directions share their weights, and `fuse` is
symmetrised: v is odd in time, q is even. Constant motion therefore has no preferred instant, and no sample drifts.

Frames are (N, 3, H, W) float32 display 0..1, and any size from 32 pixels a side; what lives on cells of 2x2 pixels is
(N, C, h, w), h, w = ceil(H / 2), ceil(W / 2).
"""

import functools
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lolblur_synth.files import weights
from lolblur_synth.kernels.exposure.reference import CELL, inside
from lolblur_synth.models.warping import RADIUS, correlation, reduced, warp

TOLERANCE = 0.05  # difference of display values at which a motion is trusted to 1/e
MULTIPLE = 16  # cells: four halvings below them
FLOW_UNIT = 16.0  # pixels: flows enter as multiples of it
STEP = 4.0  # pixels: corrections leave as multiples of it
OFF_UNIT, OFF_STEP = 4.0, 2.0  # pixels: the same of how far a path is off the straight one
DEEP = "deep"  # begins the names of the residual blocks that add nothing before training
BUNDLED = "interpolator"  # the weights that come with the package
KNOWN_SHARE_FLOOR = 0.05  # share of known cells; a mean over fewer is drawn towards 0
DIFFERENCE_FLOOR = 0.005  # display value; smaller differences are taken for noise


@dataclass(frozen=True)
class Pair:
    """What `refine` hands to `fuse`: frames on cells, and features at 1/4 of the size, each (first, second)."""

    frames: tuple[Tensor, Tensor]
    features: tuple[Tensor, Tensor]


class FlowNet(nn.Module):
    """0.81 M parameters. a, b, c, deep: channels at 1/4, 1/8, 1/16, 1/32 in `refine`; d, e, c: at 1/4, 1/8, 1/16 in
    `fuse`. The `_Residual` blocks add nothing before training."""

    def __init__(self):
        super().__init__()
        a, b, c, deep, d, e, passed = 24, 48, 64, 96, 24, 32, 8
        self.look = nn.Sequential(_conv(12, 24), _conv(24, 32, 2), nn.Conv2d(32, 32, 3, padding=1))
        self.down1 = nn.Sequential(_conv(56, a), _conv(a, a))
        self.down2 = _conv(a, b, 2)
        self.mix2 = nn.Sequential(_conv(b + 32 + (2 * RADIUS + 1) ** 2, b), _conv(b, b))
        self.down3 = nn.Sequential(_conv(b, c, 2), _conv(c, c), _conv(c, c))
        self.deep3 = nn.Sequential(_Residual(c, deep, halved=True), _Residual(c, c))
        self.up2 = nn.Sequential(_conv(b + c, b), _conv(b, b))
        self.deep2 = _Residual(b, b)
        self.up1 = nn.Sequential(_conv(a + b, a), _conv(a, a))
        self.out = nn.Conv2d(a, 12 + passed, 3, padding=1)
        self.fuse1 = _conv(33 + 2 * passed, d)
        self.fuse2 = nn.Sequential(_conv(d, e, 2), _conv(e, e), _conv(e, d))
        self.deep_fuse = _Residual(d, c, halved=True)
        self.fuse3 = _conv(2 * d, d)
        self.fuse_out = nn.Conv2d(d, 16, 3, padding=1)
        self.rule = nn.Parameter(torch.tensor([1.5, -0.7]))
        for last, rows in (
            (self.out, 12),
            (self.fuse_out, 16),
        ):  # until trained: DIS and the rule
            nn.init.zeros_(last.weight[:rows])
            nn.init.zeros_(last.bias)

    def refine(self, first: Tensor, second: Tensor, forward: Tensor, backward: Tensor) -> tuple[Tensor, Tensor, Pair]:
        """Corrected forward, backward (N, 3, h, w): dx, dy in pixels an interval, importance 0..1; and the Pair.

        forward, backward: the same of DIS, its trust for importance.
        """
        height, width = forward.shape[2:]
        small = [_padded(reduced(frame)) for frame in (first, second)]
        flows = [_padded(flow) for flow in (forward, backward)]
        own, other = torch.cat(small), torch.cat(small[::-1])
        flow, back = torch.cat(flows), torch.cat(flows[::-1])
        moved, _ = flow.split((2, 1), 1)
        returned = moved + warp(back[:, :2], moved / CELL)
        inputs = (
            own - 0.5,
            other - 0.5,
            warp(other, moved / CELL) - own,
            moved / FLOW_UNIT,
            flow[:, 2:] - 0.5,
            returned.clamp(-FLOW_UNIT, FLOW_UNIT) / FLOW_UNIT,
        )
        x1 = self.down1(F.pixel_unshuffle(torch.cat(inputs, 1), 2))
        features = self.look(F.pixel_unshuffle(own - 0.5, 2))
        volume = correlation(features, torch.cat(features.chunk(2)[::-1]), F.avg_pool2d(moved, 4) / 8)
        x2 = self.mix2(torch.cat((self.down2(x1), features, volume), 1))
        x3 = self.deep3(self.down3(x2))
        x2 = self.deep2(self.up2(torch.cat((x2, _doubled(x3)), 1)))
        output = self.out(self.up1(torch.cat((x1, _doubled(x2)), 1)))
        change = F.pixel_shuffle(output[:, :12], 2)
        importance = torch.sigmoid(torch.logit(0.05 + 0.9 * flow[:, 2:]) + change[:, 2:])
        flow = torch.cat((moved + STEP * change[:, :2], importance), 1)[:, :, :height, :width]
        return *flow.chunk(2), Pair(tuple(small), output[:, 12:].chunk(2))

    def fuse(self, pair: Pair, motion: Tensor, t: Tensor) -> Tensor:
        """(N, 6, h, w) at the instants t (N, 1, 1, 1), 0 < t < 1: v, pixels an interval, q, pixels, m, g.

        motion: (N, 4, h, w), the refined flows carried to t, and q of the bend carried along.
        """
        height, width = motion.shape[2:]
        carried, off = _padded(motion).split(2, 1)
        quarter, quarter_off = F.avg_pool2d(carried, 2), F.avg_pool2d(off, 2)
        ways = [(share * carried + off) / CELL for share in (-t, 1 - t)]
        fetched = [warp(frame, way) for frame, way in zip(pair.frames, ways, strict=True)]
        both = inside(ways[0]) * inside(
            ways[1]
        )  # where only one frame shows a point, a difference says nothing of the motion
        doubt = (_difference(*fetched, both) + DIFFERENCE_FLOOR).log() - (
            _difference(*pair.frames) + 2 * DIFFERENCE_FLOOR
        ).log()
        pictures = [F.pixel_unshuffle(frame - 0.5, 2) for frame in fetched]
        features = [
            warp(own, (share * quarter + quarter_off) / (2 * CELL))
            for own, share in zip(pair.features, (-t, 1 - t), strict=True)
        ]
        speed, instant = quarter / FLOW_UNIT, (t - 0.5).expand_as(quarter[:, :1])
        off_speed = quarter_off / OFF_UNIT
        unsure = F.pixel_unshuffle(doubt, 2)
        ahead = torch.cat((*pictures, *features, unsure, speed, instant, off_speed), 1)
        back = torch.cat((*pictures[::-1], *features[::-1], unsure, -speed, -instant, off_speed), 1)
        x = self.fuse1(torch.cat((ahead, back)))
        x = self.fuse3(torch.cat((x, _doubled(self.deep_fuse(self.fuse2(x)))), 1))
        ahead, back = F.pixel_shuffle(self.fuse_out(x), 2).chunk(2)
        odd, even = 0.5 * (ahead - back), 0.5 * (ahead + back)
        m = torch.sigmoid(odd[:, 2:3] + torch.logit(t))
        g = torch.sigmoid(even[:, 3:] + self.rule[0] * doubt + self.rule[1])
        off = off + 4 * t * (1 - t) * OFF_STEP * even[:, :2]
        return torch.cat((carried + STEP * odd[:, :2], off, m, g), 1)[:, :, :height, :width]


class _Residual(nn.Module):
    """x + three convolutions of it, at half its size if `halved`. The last one is zero before training."""

    def __init__(self, channels: int, inner: int, halved: bool = False):
        super().__init__()
        self.body = nn.Sequential(_conv(channels, inner, 2 if halved else 1), _conv(inner, inner))
        self.last = nn.Conv2d(inner, channels, 3, padding=1)
        self.halved = halved
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        correction = self.last(self.body(x))
        return x + (_doubled(correction) if self.halved else correction)


def _difference(a: Tensor, b: Tensor, known: Tensor | None = None) -> Tensor:
    """Mean absolute difference over 5x5 cells, of those that are `known`, 0..1 each: (N, 1, h, w)."""
    difference = (a - b).abs().mean(1, keepdim=True)
    if known is None:
        return _around(difference)
    return _around(known * difference) / (_around(known) + KNOWN_SHARE_FLOOR)


def _around(cells: Tensor) -> Tensor:
    return F.avg_pool2d(cells, 5, 1, 2, count_include_pad=False)


def agreement(first: Tensor, second: Tensor, forward: Tensor) -> Tensor:
    """(N,) mean trust in a flow, 0..1: how well two frames agree along it, as stages/interpolate.py measures DIS."""
    fetched = warp(reduced(second), forward[:, :2] / CELL)
    return torch.exp(-(reduced(first) - fetched).abs().mean(1) / TOLERANCE).mean((1, 2))


def _padded(cells: Tensor) -> Tensor:
    height, width = cells.shape[2:]
    return F.pad(cells, (0, -width % MULTIPLE, 0, -height % MULTIPLE), mode="replicate")


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear")


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.LeakyReLU(0.1))


def correct(which: str, guide: Tensor, forward: np.ndarray, backward: np.ndarray, trust: np.ndarray, pairs: list):
    """Correct the motion of some pairs, and their mean trust, in place; returns `interpolate.Motion.correct_fields`.

    which: weights, a bundled name or a file; guide: (T, 3, H, W) display; forward, backward: (T-1, h, w, 3);
    trust: (T-1,); pairs: which of the T - 1 move.
    """
    net, pair_by_number, guide = load(which), {}, guide.cpu()  # like DIS, on the CPU
    with torch.inference_mode():
        for pair in pairs:
            first, second = guide[pair, None], guide[pair + 1, None]
            dis = [torch.from_numpy(cells[pair]).permute(2, 0, 1)[None] for cells in (forward, backward)]
            *flows, pair_by_number[pair] = net.refine(first, second, *dis)
            trust[pair] = 0.5 * (agreement(first, second, flows[0]) + agreement(second, first, flows[1]))
            for cells, refined in zip((forward, backward), flows, strict=True):
                cells[pair] = refined[0].permute(1, 2, 0).numpy()

    @torch.inference_mode()
    def correct_fields(pair: int, instants: np.ndarray, motion: np.ndarray) -> np.ndarray:
        fields = [
            net.fuse(pair_by_number[pair], torch.from_numpy(cells)[None], torch.tensor(t).view(1, 1, 1, 1))
            for t, cells in zip(instants, motion, strict=True)
        ]
        return torch.cat(fields).numpy()

    return correct_fields


@functools.lru_cache(maxsize=4)
def load(name_or_path: str, device: str = "cpu") -> FlowNet:
    """The network with its weights, ready to run and not to train. Raises WeightsError if they do not fit."""
    net = FlowNet()
    weights.load(net, name_or_path)
    return net.eval().requires_grad_(False).to(device)
