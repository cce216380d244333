"""Demosaicing along edges with Numba: a fast twin of reference.py. On one thread, as transfer/cpu.py.

It works on the mosaic itself, (H, W) sites, with a border as the reference's planes have. "Less" is green less the
other colour of a site.
"""

import numpy as np
from numba import njit
from torch import Tensor
from torch.nn import functional

from lolblur_synth.kernels.demosaicing.reference import GRAIN, REACH, STEADY
from lolblur_synth.kernels.powers import F

MATH = {"contract", "nsz"}  # not "reassoc": the plain version of a loop then sums in another order than the vector one
BORDER = 2 * REACH  # px around the mosaic
NEAR = 2  # px around it that Malvar's filters reach


@njit(cache=True, fastmath=MATH)
def _differences(sites, along_rows, along_columns):
    """Green less the other colour at every site, estimated along its row and along its column; 2 px at the border are
    left out. All (H, W)."""
    height, width = sites.shape
    for y in range(2, height - 2):
        up2, up, here, down, down2 = sites[y - 2], sites[y - 1], sites[y], sites[y + 1], sites[y + 2]
        for x in range(2, width - 2):
            sign = F(0.25) if (y + x) % 2 else F(-0.25)
            middle = here[x] + here[x]
            along_rows[y, x] = sign * ((here[x - 2] + here[x + 2]) + (middle - F(2) * (here[x - 1] + here[x + 1])))
            along_columns[y, x] = sign * ((up2[x] + down2[x]) + (middle - F(2) * (up[x] + down[x])))


@njit(cache=True, fastmath=MATH)
def _sum_of_five(values, out):
    """out[x] = values[x] + ... + values[x + 4]."""
    for x in range(values.size - 4):
        out[x] = ((values[x] + values[x + 1]) + (values[x + 2] + values[x + 3])) + values[x + 4]


@njit(cache=True, fastmath=MATH)
def _sum_of_rows(rows, out):
    """out = rows[0] + ... + rows[4]."""
    a, b, c, d, e = rows[0], rows[1], rows[2], rows[3], rows[4]
    for x in range(out.size):
        out[x] = ((a[x] + b[x]) + (c[x] + d[x])) + e[x]


@njit(cache=True, fastmath=MATH)
def _column_sums(along_columns, y, changes, sums, windows):
    """windows (2, W) = for row y, sums over 5 x 5 sites of what changes along columns, from 4 rows above to here, and
    from here to 4 rows below; from the left end of the window on. changes (9, W), sums (W,): room."""
    for k in range(9):
        above, below, out = along_columns[y + k - 5], along_columns[y + k - 3], changes[k]
        for x in range(out.size):
            out[x] = abs(above[x] - below[x])
    for side in range(2):
        _sum_of_rows(changes[4 * side :], sums)
        _sum_of_five(sums, windows[side])


@njit(cache=True, fastmath=MATH)
def _row_sums(along_rows, y, sums, windows):
    """windows (W,) = for row y, sums over 5 x 5 sites of what changes along rows, from the left end on; sums: room."""
    sums[:] = F(0)
    for k in range(-2, 3):
        row = along_rows[y + k]
        for x in range(1, sums.size - 1):
            sums[x] += abs(row[x - 1] - row[x + 1])
    _sum_of_five(sums, windows)


@njit(cache=True, fastmath=MATH)
def _less(along_rows, along_columns, out):
    """out (H, W) = green less the other colour at red and blue sites, the mean of four sides weighed by how little it
    changes there; elsewhere 0. 8 px at the border are left out."""
    height, width = out.shape
    changes, sums = np.empty((9, width), F), np.empty(width, F)
    columns, rows, means = np.zeros((2, width), F), np.zeros(width, F), np.zeros(width, F)
    above, below = np.empty(width, F), np.empty(width, F)
    steady = F(STEADY)
    for y in range(6, height - 6):
        _column_sums(along_columns, y, changes, sums, columns)
        _row_sums(along_rows, y, sums, rows)
        _sum_of_five(along_rows[y], means)
        _sum_of_rows(along_columns[y - 4 :], above)
        _sum_of_rows(along_columns[y:], below)
        line = out[y]
        for x in range(6, width - 6):
            left, right = rows[x - 4] + steady, rows[x] + steady
            up, down = columns[0, x - 2] + steady, columns[1, x - 2] + steady
            left, right, up, down = left * left, right * right, up * up, down * down
            # sum(mean / change^2) / sum(1 / change^2), with one division
            across, along = left * right, up * down
            flat = (means[x - 4] * right + means[x] * left) * along + (above[x] * down + below[x] * up) * across
            line[x] = F(0.2) * flat / ((left + right) * along + (up + down) * across)
        line[(y + 1) % 2 :: 2] = F(0)


@njit(cache=True, fastmath=MATH)
def _spread(less, y, red, blue):
    """red, blue (W,) = green less red, and less blue, at all sites of row y of `less`, from its neighbours; 1 px at the
    border is left out."""
    up2, up, here, down, down2 = less[y - 2], less[y - 1], less[y], less[y + 1], less[y + 2]
    for x in range(2, here.size - 2):
        corners = F(0.25) * ((up[x - 1] + up[x + 1]) + (down[x - 1] + down[x + 1]))
        beside = (up2[x - 1] + up2[x + 1]) + (down2[x - 1] + down2[x + 1]) + F(6) * (here[x - 1] + here[x + 1])
        above = (up[x - 2] + up[x + 2]) + (down[x - 2] + down[x + 2]) + F(6) * (up[x] + down[x])
        green = (y + x) % 2 == 1
        own, other = (F(0.0625) * beside, F(0.0625) * above) if green else (here[x], corners)
        red[x], blue[x] = (own, other) if y % 2 == 0 else (other, own)


@njit(cache=True, fastmath=MATH)
def _malvar(sites, y, own, green, other):
    """own, green, other (W,) = by Malvar's filters the colour of the red or blue sites of a row, green, and the third
    colour; y: of the row in the result; sites: with a border of NEAR px."""
    up2, up, here, down, down2 = sites[y], sites[y + 1], sites[y + 2], sites[y + 3], sites[y + 4]
    for x in range(own.size):
        i = x + NEAR
        middle, vertical, horizontal = here[i], up[i] + down[i], here[i - 1] + here[i + 1]
        vertical2, horizontal2 = up2[i] + down2[i], here[i - 2] + here[i + 2]
        corners = (up[i - 1] + up[i + 1]) + (down[i - 1] + down[i + 1])
        if (y + x) % 2:
            start = F(5) * middle - corners
            row = start + F(4) * horizontal - horizontal2 + F(0.5) * vertical2
            column = start + F(4) * vertical - vertical2 + F(0.5) * horizontal2
            own[x], green[x], other[x] = F(0.125) * row, middle, F(0.125) * column
        else:
            far = vertical2 + horizontal2
            cross = F(4) * middle + F(2) * (vertical + horizontal) - far
            diagonal = F(6) * middle + F(2) * corners - F(1.5) * far
            own[x], green[x], other[x] = middle, F(0.125) * cross, F(0.125) * diagonal


@njit(cache=True, fastmath=MATH)
def _along_edges(sites, less, y, red, blue, out):
    """out (3, W) = the three colours of a row along edges; y: of the row in the result; red, blue: room for a row of
    sites."""
    row = y + BORDER
    _spread(less, row, red, blue)
    here, of_row = sites[row], less[row]
    for x in range(out.shape[1]):
        green = here[x + BORDER] + of_row[x + BORDER]
        out[0, x], out[1, x], out[2, x] = green - red[x + BORDER], green, green - blue[x + BORDER]


@njit(cache=True, fastmath=MATH)
def _develop(sites, near, less, evenly, along, power):
    """evenly, along (3, H, W) = the mosaic by Malvar's filters and along edges; power (H / 2 + 2, W / 2 + 2) = mean of
    their squared difference in blocks of 2 x 2, mirrored at the border. sites, near: the mosaic with borders of BORDER
    and NEAR px; less: of `sites`."""
    red, blue = np.empty(sites.shape[1], F), np.empty(sites.shape[1], F)
    height, width = evenly.shape[1:]
    for y in range(height):
        own, other = (0, 2) if y % 2 == 0 else (2, 0)
        _malvar(near, y, evenly[own, y], evenly[1, y], evenly[other, y])
        _along_edges(sites, less, y, red, blue, along[:, y])
        if y % 2:
            row = power[y // 2 + 1]
            row[:] = F(0)
            for c in range(3):
                for k in range(y - 1, y + 1):
                    a, b = evenly[c, k], along[c, k]
                    for i in range(width // 2):
                        left, right = b[2 * i] - a[2 * i], b[2 * i + 1] - a[2 * i + 1]
                        row[i + 1] += (left * left + right * right) * F(1 / 12)
            row[0], row[-1] = row[2], row[-3]
    power[0], power[-1] = power[2], power[-3]


@njit(cache=True, fastmath=MATH)
def _mix(evenly, along, power):
    """evenly = the mix of both, by how much they differ in 3 x 3 blocks."""
    shares = np.empty(evenly.shape[2], F)
    for y in range(evenly.shape[1]):
        a, b, c = power[y // 2], power[y // 2 + 1], power[y // 2 + 2]
        for i in range(shares.size // 2):
            near = ((a[i] + a[i + 1] + a[i + 2]) + (b[i] + b[i + 1] + b[i + 2])) + (c[i] + c[i + 1] + c[i + 2])
            mean = near * F(1 / 9)
            shares[2 * i] = shares[2 * i + 1] = mean / (mean + F(GRAIN**2))
        for colour in range(3):
            into, other = evenly[colour, y], along[colour, y]
            for x in range(into.size):
                into[x] += shares[x] * (other[x] - into[x])


def demosaic(planes: Tensor) -> Tensor:
    mosaic = functional.pixel_shuffle(planes.detach(), 2)
    near = functional.pixel_shuffle(functional.pad(planes.detach(), (NEAR // 2,) * 4, mode="replicate"), 2)
    sites = functional.pad(mosaic, (BORDER,) * 4, mode="reflect")
    out = mosaic.new_empty((len(planes), 3, *mosaic.shape[2:]))
    rows, columns, less = (np.zeros(sites.shape[2:], np.float32) for _ in range(3))
    along = np.empty(out.shape[1:], np.float32)
    power = np.empty((out.shape[2] // 2 + 2, out.shape[3] // 2 + 2), np.float32)
    for number, evenly in enumerate(out.numpy()):
        here = sites[number, 0].numpy()
        _differences(here, rows, columns)
        _less(rows, columns, less)
        _develop(here, near[number, 0].numpy(), less, evenly, along, power)
        _mix(evenly, along, power)
    return out
