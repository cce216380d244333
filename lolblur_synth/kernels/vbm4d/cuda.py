"""Denoising on CUDA, without grouping: host side of denoise.cu; a fast twin of reference.py.

The planes of 2 h + 1 frames and the sums of blocks put back into them stay on the device, in rings. Sums are integers
in fixed point, so the same device gives the same bytes.
"""

import numpy as np
import torch
from torch import Tensor

from lolblur_synth.kernels import cuda
from lolblur_synth.kernels.vbm4d.block_matching import Paths
from lolblur_synth.kernels.vbm4d.reference import RAMP, TILE
from lolblur_synth.kernels.vbm4d.settings import PassSettings
from lolblur_synth.kernels.vbm4d.transforms import BLOCK, LONGEST, temporal_matrices

ROWS = 32  # grid rows filtered at once: bounds the memory for spectra, 62 MB a set at 1120x640
UNIT = 2.0**30  # fixed point of a weight, in inverse noise variances
MAX_WEIGHT = 2.0**40  # in that unit; 2000 of them, times 512 code values, fit into 63 bits


class Volumes:
    """One pass over a clip, on the device of its planes: `reference.Volumes`, with the same arguments."""

    def __init__(self, planes: Tensor, settings: PassSettings):
        self.first_pass, self.h, self.shape, self.device = settings.first_pass, settings.h, planes.shape, planes.device
        search = settings.search
        self.radius, self.bounds = [int(r) for r in search.radius], tuple(map(float, search[1:]))
        self.unit = UNIT * float(settings.sigma[0]) ** 2
        self.sigma, self.strength, self.window, matrices = (
            self._upload(values, np.float32)
            for values in (settings.sigma, settings.strength, settings.window, temporal_matrices())
        )
        self.forward, self.backward = matrices.unbind()
        self.table = None if settings.table is None else self._upload(settings.table, np.float32)
        self.grids = [tuple(self._upload(places, np.int32) for places in grid) for grid in settings.grids]
        span = 2 * settings.h + 1
        self.noisy = torch.zeros((span, *planes.shape), dtype=torch.float32, device=self.device)
        self.pilot = self.noisy if settings.first_pass else torch.zeros_like(self.noisy)
        self.total = torch.zeros((span, 4, *planes.shape[1:]), dtype=torch.int64, device=self.device)

    def put(self, t: int, noisy: Tensor, pilot: Tensor) -> None:
        """Frame t, the next one."""
        self.noisy[t % len(self.noisy)], self.pilot[t % len(self.pilot)] = noisy, pilot

    def add(self, phase: int, slots: np.ndarray, targets: np.ndarray, everywhere: bool) -> None:
        """Filter the volumes whose reference is the frame in the middle of slots, on the grid `phase`, `everywhere` or
        only where the frame has no estimate yet.

        slots, targets: see `_reach` of stages/denoise.py.
        """
        span, reach = len(slots), len(slots) // 2
        here = slots[reach]
        slots, targets = self._upload(slots, np.int32), self._upload(targets, np.int32)
        ys, xs = self.grids[phase]
        rows, columns, (height, width) = len(ys), len(xs), self.shape[1:]
        active = torch.ones((rows, columns), dtype=torch.int32, device=self.device)
        if not everywhere:
            self._launch("uncovered", (columns, rows, 1), self.total[here, 3], ys, xs, active, rows,
                         columns, width)  # fmt: skip
        noise = torch.ones((rows, columns), dtype=torch.float32, device=self.device)
        if self.table is not None:
            self._launch("noise_at", (columns, rows, 1), self.pilot[here, 0], ys, xs, self.table, noise, rows, columns,
                         width)  # fmt: skip
        path = torch.empty((rows, columns, span, 2), dtype=torch.int16, device=self.device)
        extent = torch.empty((rows, columns, 2), dtype=torch.int16, device=self.device)
        for k in range(1, reach + 1):
            self._launch("follow", (columns, rows, 2), self.pilot, slots, ys, xs, active, path, extent, k, reach,
                         TILE, self.radius[0], self.radius[min(k, 2)], *self.bounds, rows, columns, height,
                         width)  # fmt: skip
        paths = Paths(slots, ys, xs, active, path, extent)
        for first in range(0, rows, ROWS):
            self._filter(paths, targets, noise, first, min(ROWS, rows - first))

    def _filter(self, paths: Paths, targets: Tensor, noise: Tensor, first: int, rows: int) -> None:
        """Filter the volumes of `rows` grid rows from `first`, and add them to the frames. paths: of tensors."""
        slots, *where = paths
        active, extent, reach = paths.active, paths.extent, len(slots) // 2
        columns, (height, width) = len(paths.xs), self.shape[1:]
        part, grid = (first, rows, columns), (columns * BLOCK, rows)
        power = torch.empty((3, LONGEST, rows, columns), dtype=torch.float32, device=self.device)

        def spectra(planes: Tensor) -> Tensor:
            out = torch.empty((*power.shape, BLOCK), dtype=torch.float32, device=self.device)
            self._launch("over_time", (*grid, 3), planes, slots, *where, self.forward, out, reach, *part, height,
                         width)  # fmt: skip
            return out

        values, planes = spectra(self.noisy), (columns, rows, 3 * LONGEST)
        if self.first_pass:
            self._launch("hard_threshold", planes, values, power, active, extent, noise, self.sigma, self.strength,
                         RAMP, *part)  # fmt: skip
        else:
            self._launch("wiener", planes, values, spectra(self.pilot), power, active, extent, noise, self.sigma,
                         self.strength, *part)  # fmt: skip
        self._launch("aggregate", (*grid, 4), values, power, targets, *where, noise, self.backward, self.sigma,
                     self.window, self.total, float(self.first_pass), self.unit, MAX_WEIGHT, reach, *part, height,
                     width)  # fmt: skip

    def finish(self, t: int) -> tuple[Tensor, Tensor]:
        """The noisy planes of frame t and its estimate; its ring slot is free afterwards."""
        span, (_, height, width) = 2 * self.h + 1, self.shape
        estimate = torch.empty(self.shape, dtype=torch.float32, device=self.device)
        self._launch("normalise", (width, height, 1), self.total[t % span], estimate, height, width)
        return self.noisy[t % span], estimate

    def _upload(self, values, kind: type) -> Tensor:
        return cuda.upload(values, kind, self.device)

    def _launch(self, name: str, threads: tuple[int, int, int], *arguments) -> None:
        cuda.launch("vbm4d/denoise", name, threads, *arguments)
