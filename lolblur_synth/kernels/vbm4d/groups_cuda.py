"""Denoising with groups of similar volumes on CUDA: host side of denoise_groups.cu, twin of the Numba kernels chains
and groups.

Rings and sums are those of kernels/vbm4d/groups_cpu.py, on the device; sums are integers in fixed point, so the same
device gives the same bytes.
"""

import numpy as np
import torch
from torch import Tensor

from lolblur_synth.kernels import cuda
from lolblur_synth.kernels.vbm4d.block_matching import TILE
from lolblur_synth.kernels.vbm4d.groups_cpu import GP, GW, N_S, SW, Shape, in_ring, limits_of, window_of
from lolblur_synth.kernels.vbm4d.transforms import BLOCK, LONGEST, spatial_matrices, temporal_matrices
from lolblur_synth.kernels.vbm4d.volumes import RAMP

VOLUMES = 16384  # volumes filtered at once: bounds the memory for spectra, 113 MB a set
UNIT = 2.0**30  # fixed point of a weight, in inverse noise variances of the luminance
BOUND = 2.0**38  # largest weight in that unit: 65536 of them at 512 code values fit into 63 bits


class Groups:
    """One pass over a clip: what `denoise_groups.Groups` does, with its arguments, on the device of its planes."""

    def __init__(self, planes: Tensor, first_pass: bool, h: int, sigma, lam: float, shape: Shape, radius,
                 penalty: float, close: float, limit: float, grids, rings: list):  # fmt: skip
        self.first_pass, self.shape, self.h, self.size, self.device = first_pass, shape, h, planes.shape, planes.device
        self.lam, self.luma, self.radius = lam, float(sigma[0]), [int(r) for r in radius]
        self.bounds = float(penalty), float(close), float(limit)
        self.sigma, self.window = self._upload(sigma, np.float32), self._upload(window_of(shape), np.float32)
        self.limits = self._upload(limits_of(shape, self.luma), np.float32)
        self.forward, self.backward = self._upload(temporal_matrices(), np.float32).unbind()
        self.analysis, self.synthesis = self._upload(spatial_matrices(shape.spatial, shape.block), np.float32).split(2)
        self.refs = [self._upload([(y, x) for y in ys for x in xs], np.int32) for ys, xs in grids]
        if not rings:
            for count, kind in ((3, torch.float32), (6, torch.int64)):
                rings.append(self._zeros((4 * h + 1, count, *self.size[1:]), kind))
        self.noisy, self.total = rings
        self.pilot = self.noisy if first_pass else self._zeros((2 * h + 1, *self.size), torch.float32)
        self.last = 0

    def put(self, t: int, noisy: Tensor, pilot: Tensor) -> None:
        """Frame t, the next one. In the second pass of a clip its noisy planes are those that lie there already."""
        self.noisy[t % len(self.noisy)], self.pilot[t % len(self.pilot)] = noisy, pilot
        self.last = t

    def add(self, phase: int, slots: np.ndarray, targets: np.ndarray, everywhere: bool) -> None:
        """Filter the groups of all reference blocks of the frame in the middle of slots; slots, targets: see `_reach`
        of stages/denoise.py.

        These profiles know only `everywhere`.
        """
        noisy, pilot, targets = (
            self._upload(in_ring(given, self.last, self.h, len(ring)), np.int32)
            for given, ring in ((slots, self.noisy), (slots, self.pilot), (targets, self.total))
        )
        path, extent = self._paths(pilot)
        for refs in self.refs[phase].split(VOLUMES // self.shape.most):
            self._filter(noisy, pilot, targets, refs, path, extent)

    def _paths(self, slots: Tensor) -> tuple[Tensor, Tensor]:
        """Trajectories of the blocks of every pixel."""
        (height, width), h = self.size[1:], len(slots) // 2
        rows, columns = height - self.shape.block + 1, width - self.shape.block + 1
        shape = rows, columns, height, width
        path = self._empty((rows, columns, len(slots), 2), torch.int16)
        extent = self._empty((rows, columns, 2), torch.int16)
        if self.shape.motion is not None:
            gd, limit = self.shape.motion(self.luma)
            double = map(np.float64, (GP, GW, SW))
            self._launch("chains", (columns, rows, 2), self.pilot, slots, path, extent, *double, float(gd),
                         float(limit), N_S, self.shape.block, h, *shape)  # fmt: skip
            return path, extent
        ys, xs = self._upload(range(rows), np.int32), self._upload(range(columns), np.int32)
        active = torch.ones((rows, columns), dtype=torch.int32, device=self.device)
        for k in range(1, h + 1):
            cuda.launch("vbm4d/denoise", "follow", (columns, rows, 2), self.pilot, slots, ys, xs, active, path, extent,
                        k, h, TILE, self.radius[0], self.radius[min(k, 2)], *self.bounds, *shape)  # fmt: skip
        return path, extent

    def _filter(self, noisy, pilot, targets, refs: Tensor, path: Tensor, extent: Tensor) -> None:
        """Filter the groups of some references, and add them to the frames. noisy, pilot, targets: places in rings."""
        n, most, reach, count = self.shape.block, self.shape.most, self.shape.window // 2, len(refs)
        h, columns, (height, width) = len(noisy) // 2, path.shape[1], self.size[1:]
        places = (2 * reach + 1) ** 2
        distances = self._empty((count, places), torch.float32)
        members, counts = self._empty((count, most, 2), torch.int32), self._empty((count,), torch.int32)
        self._launch("compare", (places, count, 1), self.pilot, pilot, refs, path, extent, self.limits, distances,
                     count, reach, n, h, len(path), columns, height, width)  # fmt: skip
        self._launch("choose", (count, 1, 1), distances, refs, members, counts, count, most, reach)
        where, shape = (refs, members, counts, path, extent), (count, most, n, h, columns, height, width)
        pixels, planes = (BLOCK * most, count, 3), (count * most, 3 * LONGEST, 1)

        def over_space(spectra: Tensor, matrices: Tensor) -> None:
            self._launch("over_space", planes, spectra, refs, counts, extent, matrices, count, most, columns)

        def spectra(frames: Tensor, slots: Tensor) -> Tensor:
            out = self._empty((3, LONGEST, count, most, BLOCK), torch.float32)
            self._launch("over_time", pixels, frames, slots, *where, self.forward, out, *shape)
            over_space(out, self.analysis)
            return out

        values, power = spectra(self.noisy, noisy), self._empty((3, count, LONGEST, BLOCK), torch.float32)
        groups, shrunk = (BLOCK * LONGEST, count, 3), (refs, counts, extent, self.sigma)
        if self.first_pass:
            self._launch("hard_threshold", groups, values, power, *shrunk, self.lam, RAMP, count, most, columns)
        else:
            self._launch("wiener", groups, values, spectra(self.pilot, pilot), power, *shrunk, count, most, columns)
        weights = self._empty((3, count), torch.float32)
        floor, least = (1.0, 0.0) if self.first_pass else (0.0, 1e-6)
        self._launch("weigh", (count, 3, 1), power, refs, extent, self.sigma, weights, floor, least,
                     UNIT * self.luma**2, count, columns)  # fmt: skip
        over_space(values, self.synthesis)
        self._launch("aggregate", pixels, values, weights, targets, *where, self.backward, self.window, self.total,
                     BOUND, *shape)  # fmt: skip

    def finish(self, t: int) -> tuple[Tensor, Tensor]:
        """The noisy planes of frame t and its estimate; its place in the rings is free afterwards."""
        slot, (height, width) = t % len(self.total), self.size[1:]
        estimate = self._empty(self.size, torch.float32)
        self._launch("normalise", (width, height, 1), self.total[slot], estimate, height, width)
        return self.noisy[slot], estimate

    def _upload(self, values, kind: type) -> Tensor:
        return cuda.upload(values, kind, self.device)

    def _zeros(self, shape: tuple, kind: torch.dtype) -> Tensor:
        return torch.zeros(shape, dtype=kind, device=self.device)

    def _empty(self, shape: tuple, kind: torch.dtype) -> Tensor:
        return torch.empty(shape, dtype=kind, device=self.device)

    def _launch(self, name: str, threads: tuple[int, int, int], *arguments) -> None:
        cuda.launch("vbm4d/denoise_groups", name, threads, *arguments)
