"""Demosaicing along edges: interpolation across an edge blurs it and tints it, interpolation along it does not.

It follows the gradient-based method of Pekkucuksen and Altunbasak (ICIP 2010). The difference between green
and the other colour is estimated at each site from it and its four neighbours along the row, and again along the column
(Hamilton and Adams 1997). At a red or a blue site there are then four means of these differences, each over five sites:
to the left, to the right, up and down. They are weighted by how little the differences change on that side:

    weight = (STEADY + sum of |change| over 5 x 5 sites on that side)^-2

Differences of colours are smooth, so that they are interpolated at the other sites without regard to edges.

Two things are ours. Companded colours are interpolated instead of light, which is 2 dB better on photographs. And the
result is mixed with that of the filters of Malvar, He and Cutler, whose grain is that of the published frames. Where
the two differ by no more than grain does, Malvar's filters count; where they differ by more, there is an edge:

    Malvar + s (along edges - Malvar),  s = a / (a + GRAIN^2),  a = mean of (along edges - Malvar)^2 over 3 x 3 blocks

Planes are packed (filters.py), so that every filter is a convolution of planes. All of it has gradients, and
runs the same operations on every device. h and w of the planes are 6 or more.
"""

import functools

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lolblur_synth.kernels.demosaicing.filters import MALVAR, packed, packed_colours

GRAIN = 3 / 255  # companded: differences below it count as noise
STEADY = 0.1  # companded, added to the sum of changes: 25 changes of one code value
REACH = 5  # blocks of 2 x 2 sites that a result depends on, on each side
RED, BLUE = 0, 3  # planes without green
_GUESS = np.array([[0.25, -0.5, 0.5, -0.5, 0.25]])  # a site's colour less the other one, estimated along its line
_CHANGE = np.array([[1.0, 0, -1]])
_ONWARD = np.array([[0, 0, 0, 0, 1, 1, 1, 1, 1]]) / 5  # this site and four more
_WINDOW = np.ones((5, 1)) * _ONWARD * 5
_ITSELF = np.ones((1, 1))
_CORNERS = np.array([[1, 0, 1], [0, 0, 0], [1, 0, 1]]) / 4
_BETWEEN = np.array([[1, 0, 1], [0, 0, 0], [6, 0, 6], [0, 0, 0], [1, 0, 1]]) / 16  # of two neighbours, and of two
# values that are means of their corners


def demosaic(planes: Tensor) -> Tensor:
    """(N, 4, h, w) raw, white-balanced and companded -> (N, 3, 2h, 2w) camera colours, companded, not clipped."""
    evenly, along, share = _both(planes)
    return torch.lerp(evenly, along, share)


def share(planes: Tensor) -> Tensor:
    """(N, 1, 2h, 2w), 0..1: the share of `along_edges` in `demosaic` of such planes."""
    return _both(planes)[2]


def _both(planes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The planes demosaiced by Malvar's filters and along edges, and the share of the latter."""
    filters = torch.from_numpy(_malvar()).to(planes.device)
    evenly = F.pixel_shuffle(F.conv2d(F.pad(planes, (1, 1, 1, 1), mode="replicate"), filters), 2)
    along = along_edges(planes)
    power = F.avg_pool2d((along - evenly).square().mean(1, keepdim=True), 2)
    power = F.avg_pool2d(F.pad(power, (1, 1, 1, 1), mode="reflect"), 3, stride=1)
    return evenly, along, F.interpolate(power / (power + GRAIN**2), scale_factor=2.0, mode="nearest")


def along_edges(planes: Tensor) -> Tensor:
    """(N, 4, h, w) raw, white-balanced and companded -> (N, 3, 2h, 2w) camera colours, companded, not clipped."""
    guess, change, window, mean, spread = (torch.from_numpy(kernel).to(planes.device) for kernel in _kernels())
    mirrored = F.pad(F.pixel_shuffle(planes, 2), (2 * REACH,) * 4, mode="reflect")
    lines = F.conv2d(F.pixel_unshuffle(mirrored, 2), guess)  # rows, columns: green less the other
    changes = F.conv2d(lines, change, groups=2).abs()
    weights = (F.conv2d(changes, window, groups=2) + STEADY).pow(-2)
    means = F.conv2d(lines[..., 1:-1, 1:-1], mean, groups=2)
    weights, means = (x.unflatten(1, (2, 2, 2)) for x in (weights, means))  # line, site, side
    weighed = (weights * means).sum(3).sum(1)  # one after the other: twenty times as fast as sum((1, 3))
    less = weighed / weights.sum(3).sum(1)  # green less red, at red; less blue, at blue
    red, blue = F.conv2d(less, spread, groups=2).chunk(2, dim=1)
    less = less[..., 1:-1, 1:-1]
    green = planes + torch.cat((less[:, :1], torch.zeros_like(planes[:, 1:3]), less[:, 1:]), 1)
    return F.pixel_shuffle(torch.cat((green - red, green, green - blue), 1), 2)


@functools.cache
def _kernels() -> tuple[np.ndarray, ...]:
    """Weights of the five convolutions of `along_edges`."""
    lines = [
        _rows_and_columns([(plane, _GUESS if plane in (1, 2) else -_GUESS) for plane in range(4)], 1),
        _rows_and_columns([(plane, _CHANGE) for plane in range(4)], 1),
        _rows_and_columns([(plane, _WINDOW[:, ::side]) for plane in (RED, BLUE) for side in (1, -1)], 2),
        _rows_and_columns([(plane, _ONWARD[:, ::side]) for plane in (RED, BLUE) for side in (1, -1)], 2),
    ]
    red = [packed(site, kernel, 1)[[RED]] for site, kernel in enumerate((_ITSELF, _BETWEEN, _BETWEEN.T, _CORNERS))]
    blue = [packed(site, kernel, 1)[[BLUE]] for site, kernel in enumerate((_CORNERS, _BETWEEN.T, _BETWEEN, _ITSELF))]
    return *lines, np.stack(red + blue).astype(np.float32)


@functools.cache
def _malvar() -> np.ndarray:
    """(12, 4, 3, 3): Malvar's filters of the three colours at the four sites."""
    return np.float32(packed_colours(MALVAR)).reshape(12, 4, 3, 3)


def _rows_and_columns(kernels: list[tuple[int, np.ndarray]], reach: int) -> np.ndarray:
    """The filters of one convolution: those along rows, then the same along columns."""
    rows = [packed(plane, kernel, reach) for plane, kernel in kernels]
    columns = [packed(plane, kernel.T, reach) for plane, kernel in kernels]
    return np.stack(rows + columns).astype(np.float32)
