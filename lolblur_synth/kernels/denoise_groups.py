"""Denoising with groups of similar volumes, on the CPU: host side of the Numba kernels chains and groups.

A trajectory starts at every pixel, since any volume may be a member of a group. All of it is slow: 16 or 32 volumes
are transformed where the others transform one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lolblur_synth.kernels.aggregation import normalise
from lolblur_synth.kernels.chains import chains
from lolblur_synth.kernels.groups import add_groups, filter_groups, group
from lolblur_synth.kernels.motion import trajectories
from lolblur_synth.kernels.transforms import BLOCK, LONGEST, spatial_matrices, temporal_matrices

BATCH = 64  # groups filtered between two aggregations: bounds the memory for filtered blocks


@dataclass(frozen=True)
class Shape:
    """One pass of a profile, in the letters of V-BM4D's Table I.

    match: sigma of the luminance, L -> largest squared distance of two volumes of L blocks in one group.
    motion: the same sigma -> (gd, tau_traj) of consecutive-block trajectories; None: trajectories of kernels/motion.py.
    """

    block: int  # N
    step: int  # Nstep
    window: int  # N_G
    most: int  # M
    spatial: str
    beta: float  # of the Kaiser window
    match: Callable[[float, int], float]
    motion: Callable[[float], tuple[float, float]] | None = None


N_S, GP, GW, SW = 11, 0.3, 0.5, 1.0  # search window, prediction, narrowing: Table I


def _like_noise(factor: float) -> Callable[[float, int], float]:
    """A group is what differs by no more than `factor` of the squared distance of two noisy copies."""
    return lambda sigma, length: factor * 2 * 64 * length * sigma**2


def _tau_match(tau: Callable[[float], float]) -> Callable[[float, int], float]:
    """||V - V'||_2 / L < tau. Only with norms that are not squared, on 0..255, do the numbers of Table I make sense."""
    return lambda sigma, length: (tau(sigma) * length) ** 2


# vbm4d is Table I, both columns. np is the normal profile of the V-BM4D software in shape, with the trajectories and
# the DCT of `fast`.
PROFILES = {
    "np": (
        Shape(8, 4, 13, 16, "dct", 2.0, _like_noise(0.7)),
        Shape(8, 4, 11, 16, "dct", 1.3, _like_noise(0.07)),
    ),
    "vbm4d": (
        Shape(8, 6, 19, 32, "bior1.5", 2.0, _tau_match(lambda s: 0.0171 * s**2 + 0.4520 * s + 47.9294),
              lambda s: (0.0005 * s**2 - 0.0059 * s + 0.0400, 0.0047 * s**2 + 0.0676 * s + 0.4564)),
        Shape(7, 4, 27, 8, "dct", 2.0, _tau_match(lambda s: 13.5), lambda s: (0.005, 1.0)),
    ),
}  # fmt: skip


class Groups:
    """One pass over a clip, as `denoise_cpu.Volumes`; each channel has its own weights.

    shape: of this pass; radius, penalty, limit: of `trajectories`, where the profile takes those.
    """

    def __init__(self, planes: np.ndarray, first_pass: bool, h: int, sigma, lam: float, shape: Shape, radius,
                 penalty: float, limit: float, grids):  # fmt: skip
        span, n = 2 * h + 1, shape.block
        self.first_pass, self.shape, self.grids, self.size = first_pass, shape, grids, planes.shape
        self.lam, self.sigma, self.luma = np.float32(lam), np.asarray(sigma, np.float32), float(sigma[0])
        self.follow = radius, np.float32(penalty), np.float32(limit)
        self.limits = np.array([shape.match(self.luma, length) for length in range(LONGEST + 1)], np.float32)
        window = np.zeros((8, 8), np.float32)
        window[:n, :n] = np.outer(np.kaiser(n, shape.beta), np.kaiser(n, shape.beta))
        self.window = window.ravel()
        self.spatial, self.temporal = spatial_matrices(shape.spatial, n), temporal_matrices()
        self.noisy = np.zeros((span, *planes.shape), np.float32)
        self.pilot = self.noisy if first_pass else np.zeros_like(self.noisy)
        self.total = np.zeros((span, 6, *planes.shape[1:]), np.float32)

    def add(self, phase: int, slots: np.ndarray, targets: np.ndarray, everywhere: bool) -> None:
        """Filter the groups of all reference blocks of the frame in the middle of slots; slots, targets: see `_reach`
        of stages/denoise.py.

        These profiles know only `everywhere`.
        """
        n, most = self.shape.block, self.shape.most
        path, extent = self._paths(slots)
        ys, xs = self.grids[phase]
        every = np.stack(np.meshgrid(ys, xs, indexing="ij"), -1).reshape(-1, 2).astype(np.int32)
        blocks = np.empty((BATCH, most, len(slots), 3, BLOCK), np.float32)
        weights, counts = np.empty((BATCH, 3), np.float32), np.empty(BATCH, np.int64)
        members = np.empty((BATCH, most, 2), np.int32)
        for first in range(0, len(every), BATCH):
            refs = every[first : first + BATCH]
            group(self.pilot, slots, n, refs, path, extent, self.shape.window // 2, self.limits, members, counts)
            groups = n, refs, members, counts, path, extent
            filter_groups(self.noisy, self.pilot, self.first_pass, slots, *groups, self.sigma, self.lam, self.spatial,
                          self.temporal, self.window, blocks, weights)  # fmt: skip
            add_groups(blocks, weights, self.window, targets, *groups, self.total)

    def _paths(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Trajectories of the blocks of every pixel."""
        rows, columns = (size - self.shape.block + 1 for size in self.size[1:])
        path = np.zeros((rows, columns, len(slots), 2), np.int16)
        extent = np.zeros((rows, columns, 2), np.int16)
        if self.shape.motion is None:
            active = np.ones((rows, columns), np.bool_)
            trajectories(self.pilot, slots, np.arange(rows), np.arange(columns), *self.follow, active, path, extent)
        else:
            gd, limit = self.shape.motion(self.luma)
            chains(self.pilot, slots, self.shape.block, N_S, (GP, GW, SW, gd), limit, path, extent)
        return path, extent

    def finish(self, t: int) -> tuple[np.ndarray, np.ndarray]:
        """The noisy planes of frame t and its estimate; its ring slot is free afterwards."""
        slot, estimate = t % len(self.total), np.empty(self.size, np.float32)
        normalise(self.total[slot], estimate)
        return self.noisy[slot], estimate
