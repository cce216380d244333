"""V-BM4D as in its paper, with groups of similar volumes, on the CPU: host side of the Numba kernels paper_trajectories
and grouping; the fast twin of grouped_reference.py.

A trajectory starts at every pixel, because any volume may become a member of a group. It is slow: 8 or 32 volumes are
transformed where cpu.py transforms one.
"""

import math

import numpy as np

from lolblur_synth.kernels.vbm4d.aggregation import normalise
from lolblur_synth.kernels.vbm4d.grouping import (
    PACKED,
    Batch,
    GroupShrinkage,
    Ring,
    add_groups,
    filter_groups,
    group,
    pack,
)
from lolblur_synth.kernels.vbm4d.paper_profile import GP, GW, N_S, SW, Shape, limits_of, window_of
from lolblur_synth.kernels.vbm4d.paper_trajectories import PaperSearch, chains
from lolblur_synth.kernels.vbm4d.transforms import BLOCK, LONGEST, spatial_matrices, temporal_matrices

VOLUMES = 256  # volumes filtered between two aggregations: bounds the memory for filtered blocks
STRIP = 16  # rows of pixels whose trajectories are found at once: bounds the memory for trajectories


def _in_ring(slots: np.ndarray, last: int, h: int, size: int) -> np.ndarray:
    """Slots in a ring of `size` frames, from slots in one of 2 h + 1; last: the newest frame; -1 stays -1, no frame."""
    return np.where(slots < 0, -1, (last - (last - slots) % (2 * h + 1)) % size)


def _rows_of_path(reach: int) -> int:
    """Rows of trajectories that are kept: those within `reach` of a reference, in whole strips."""
    return STRIP * math.ceil((2 * reach + STRIP) / STRIP)


class Groups:
    """One pass over a clip, frame by frame: filter every group, put its blocks back, divide by the weights, which each
    channel has for itself.

    planes: (3, H, W) opponent planes of a first frame, in code values; first_pass: hard threshold, or Wiener filter; h:
    frames each way; sigma (3,): deviation of the noise in each plane; lam: the hard threshold in sigma; shape: of this
    pass; grids: places of the reference blocks, (ys, xs) for even and odd frames; rings: a list, empty at first, that
    both passes of a clip are given. It holds the noisy planes and the sums of blocks put back: a frame enters the
    second pass when it leaves the first, so that 4 h + 1 frames are held at once, frame t at t modulo that.
    """

    def __init__(self, planes: np.ndarray, first_pass: bool, h: int, sigma, lam: float, shape: Shape, grids, rings):
        n, size = shape.block, planes.shape[1:]
        self.first_pass, self.shape, self.grids, self.size, self.h = first_pass, shape, grids, planes.shape, h
        self.luma = float(sigma[0])
        self.limits = limits_of(shape, self.luma)
        matrices = spatial_matrices(shape.spatial, n), temporal_matrices()
        self.shrinkage = GroupShrinkage(np.asarray(sigma, np.float32), np.float32(lam), window_of(shape), *matrices)
        if not rings:
            rings += [np.zeros((4 * h + 1, planes, *size), np.float32) for planes in (3, 6)]
        self.noisy, self.total = rings
        self.pilot = self.noisy if first_pass else np.zeros((2 * h + 1, 1, *size), np.float32)
        self.chroma = np.zeros(
            (0 if first_pass else 2 * h + 1, 2, *size), np.int16
        )  # channels 1 and 2 of the pilot, packed
        self.last = 0

    def put(self, t: int, noisy: np.ndarray, pilot: np.ndarray) -> None:
        """Frame t, the next one. In the second pass of a clip its noisy planes are those that lie there already."""
        self.noisy[t % len(self.noisy)] = noisy
        if not self.first_pass:
            self.pilot[t % len(self.pilot)] = pilot[:1]
            pack(pilot[1:], self.chroma[t % len(self.chroma)])
        self.last = t

    def add(self, phase: int, slots: np.ndarray, targets: np.ndarray, everywhere: bool) -> None:
        """Filter the groups of all reference blocks of the frame in the middle of slots; slots, targets: see `_reach`
        of stages/denoise.py.

        This profile knows only `everywhere`.
        """
        (ys, xs), n, most = self.grids[phase], self.shape.block, self.shape.most
        noisy, pilot, targets = (
            _in_ring(slots, self.last, self.h, len(self.noisy)),
            _in_ring(slots, self.last, self.h, len(self.pilot)),
            _in_ring(targets, self.last, self.h, len(self.total)),
        )
        reach, batch = self.shape.window // 2, max(1, VOLUMES // most)
        rows, columns = (size - n + 1 for size in self.size[1:])
        path = np.zeros((_rows_of_path(reach), columns, len(slots), 2), np.int16)
        extent = np.zeros((*path.shape[:2], 2), np.int16)
        blocks = np.empty((batch, most, LONGEST, 3, BLOCK), np.float32)
        weights, counts = np.empty((batch, 3), np.float32), np.empty(batch, np.int64)
        members = np.empty((batch, most, 2), np.int32)
        one, packed = np.float32(1), np.float32(1 / PACKED)
        rings = Ring(self.noisy, 0, noisy, one), Ring(self.pilot, 0, pilot, one), Ring(self.chroma, 0, pilot, packed)
        followed = 0
        for y in ys:
            while followed < min(y + reach + 1, rows):
                self._paths(pilot, range(followed, min(followed + STRIP, rows)), path, extent)
                followed += STRIP
            for first in range(0, len(xs), batch):
                refs = np.array([(y, x) for x in xs[first : first + batch]], np.int32)
                grouped = Batch(n, refs, members, counts, path, extent)
                group(self.pilot, pilot, grouped, reach, self.limits)
                filter_groups(*rings, self.first_pass, grouped, self.shrinkage, blocks, weights)
                add_groups(blocks, weights, self.shrinkage.window, targets, grouped, self.total)

    def _paths(self, slots: np.ndarray, rows: range, path: np.ndarray, extent: np.ndarray) -> None:
        """Trajectories of the blocks of every pixel of a strip, into their rows of path and extent."""
        here = slice(rows.start % len(path), rows.start % len(path) + len(rows))
        search = PaperSearch(self.shape.block, N_S, GP, GW, SW, *self.shape.motion(self.luma))
        chains(self.pilot, slots, search, rows.start, path[here], extent[here])

    def finish(self, t: int) -> tuple[np.ndarray, np.ndarray]:
        """The noisy planes of frame t and its estimate; its place in the rings is free afterwards."""
        slot, estimate = t % len(self.total), np.empty(self.size, np.float32)
        normalise(self.total[slot], estimate)
        return self.noisy[slot], estimate
