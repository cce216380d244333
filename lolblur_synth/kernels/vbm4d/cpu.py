"""Denoising on the CPU, without grouping: host side of the Numba kernels block_matching, volumes and aggregation; a
fast twin of reference.py.
"""

import numpy as np

from lolblur_synth.kernels.vbm4d.aggregation import aggregate, normalise, uncovered
from lolblur_synth.kernels.vbm4d.block_matching import Paths, trajectories
from lolblur_synth.kernels.vbm4d.settings import PassSettings, Search
from lolblur_synth.kernels.vbm4d.transforms import temporal_matrices
from lolblur_synth.kernels.vbm4d.volumes import Shrinkage, filter_volumes, noise_at

ROWS = 4  # grid rows filtered between two aggregations: bounds the memory for filtered blocks


class Volumes:
    """One pass over a clip: the planes of 2 h + 1 frames and the sums of blocks put back into them, in rings.

    Does what `reference.Volumes` does, with the same arguments.
    """

    def __init__(self, planes: np.ndarray, settings: PassSettings):
        span, first_pass = 2 * settings.h + 1, settings.first_pass
        self.first_pass, self.grids, self.shape = first_pass, settings.grids, planes.shape
        self.search = Search(settings.search.radius, *map(np.float32, settings.search[1:]))
        self.sigma, self.strength, self.window = (
            np.asarray(values, np.float32) for values in (settings.sigma, settings.strength, settings.window)
        )
        self.table = None if settings.table is None else np.asarray(settings.table, np.float32)
        self.noisy = np.zeros((span, *planes.shape), np.float32)
        self.pilot = self.noisy if first_pass else np.zeros_like(self.noisy)
        self.total = np.zeros((span, 4, *planes.shape[1:]), np.float32)
        self.matrices = temporal_matrices()

    def put(self, t: int, noisy: np.ndarray, pilot: np.ndarray) -> None:
        """Frame t, the next one."""
        self.noisy[t % len(self.noisy)], self.pilot[t % len(self.pilot)] = noisy, pilot

    def add(self, phase: int, slots: np.ndarray, targets: np.ndarray, everywhere: bool) -> None:
        """Filter the volumes whose reference is the frame in the middle of slots, on the grid `phase`, `everywhere` or
        only where the frame has no estimate yet.

        slots, targets: see `_reach` of stages/denoise.py.
        """
        (ys, xs), here = self.grids[phase], slots[len(slots) // 2]
        active = np.ones((len(ys), len(xs)), np.bool_)
        if not everywhere:
            uncovered(self.total[here, 3], ys, xs, active)
        noise = np.ones(active.shape, np.float32)
        if self.table is not None:
            noise_at(self.pilot[here, 0], ys, xs, self.table, noise)
        path = np.zeros((*active.shape, len(slots), 2), np.int16)
        paths = Paths(slots, ys, xs, active, path, np.zeros((*active.shape, 2), np.int16))
        trajectories(self.pilot, paths, self.search)
        shrinkage = Shrinkage(self.sigma, noise, self.strength, self.window, self.matrices)
        blocks = np.empty((ROWS, len(xs), len(slots), 3, 64), np.float32)
        weights = np.empty((ROWS, len(xs)), np.float32)
        for row in range(0, len(ys), ROWS):
            rows = (row, min(row + ROWS, len(ys)))
            filter_volumes(self.noisy, self.pilot, self.first_pass, paths, rows, shrinkage, blocks, weights)
            aggregate(blocks, weights, self.window, targets, paths, rows, self.total)

    def finish(self, t: int) -> tuple[np.ndarray, np.ndarray]:
        """The noisy planes of frame t and its estimate; its ring slot is free afterwards."""
        slot, estimate = t % len(self.total), np.empty(self.shape, np.float32)
        normalise(self.total[slot], estimate)
        return self.noisy[slot], estimate
