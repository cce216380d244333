"""V-BM4D without grouping, in plain loops: the specification that cpu.py and cuda.py are compared with.

Only the innermost loop of the search is compiled; a frame of 1120x640 takes about a minute.
"""

import numpy as np
from numba import njit
from scipy.fft import dct, dctn, idct, idctn

from lolblur_synth.kernels.vbm4d.settings import PassSettings, Search

TILE = 16  # neighbouring reference blocks that share the centre of their search window
RAMP = 0.02  # width of the hard threshold's ramp, as a share of the threshold; it costs no PSNR


def block(plane: np.ndarray, y: int, x: int, n: int = 8) -> np.ndarray:
    """The n x n block at (y, x), a view."""
    return plane[y : y + n, x : x + n]


@njit(cache=True)
def best_match(here, there, y, x, centre_y, centre_x, radius, penalty):
    """The 8x8 block of `there` that is most like the one of `here` at (y, x): its squared distance, infinite where none
    lies within the frame, and its displacement (dy, dx). `penalty` for each pixel off the centre."""
    height, width = here.shape
    least, distance, dy, dx = np.inf, np.inf, centre_y, centre_x
    for v in range(centre_y - radius, centre_y + radius + 1):
        for u in range(centre_x - radius, centre_x + radius + 1):
            if 0 <= y + v <= height - 8 and 0 <= x + u <= width - 8:
                squares = 0.0
                for j in range(8):
                    for i in range(8):
                        squares += (here[y + j, x + i] - there[y + v + j, x + u + i]) ** 2
                cost = squares + penalty * (abs(v - centre_y) + abs(u - centre_x))
                if cost < least:
                    least, distance, dy, dx = cost, squares, v, u
    return distance, dy, dx


def follow(
    luma: dict[int, np.ndarray], y: int, tile: np.ndarray, asked: list[int], search: Search
) -> dict[int, dict[int, tuple[int, int]]]:
    """Trajectories {x: {k: (dy, dx)}} of the blocks (y, x), x in tile, of frame 0: search, prediction, end.

    luma: (H, W) of the frames k, 0 the reference; asked: the x that matter. Neighbouring blocks share the centre of
    their search: the median of their displacements, continued at constant speed.
    """
    paths = {x: {0: (0, 0)} for x in tile}
    for sign in (-1, 1):
        centre, alive, k = (0, 0), set(tile), 1
        while sign * k in luma and alive:
            best = {}
            for radius in (search.radius[0], search.radius[min(k, 2)]):
                for x in tile:
                    if x not in best or (x in asked and x in alive and not best[x][0] <= search.good):
                        best[x] = best_match(luma[0], luma[sign * k], y, x, *centre, radius, search.penalty)
            for x in tile:
                if best[x][0] > search.limit:
                    alive.discard(x)
                if x in alive:
                    paths[x][sign * k] = best[x][1:]
            middle = [sorted(best[x][axis] for x in tile)[len(tile) // 2] for axis in (1, 2)]
            k += 1
            centre = tuple(int(np.rint(v * k / (k - 1))) for v in middle)
    return paths


def spectrum_of(planes: dict[int, np.ndarray], places: list[tuple[int, int, int]]) -> np.ndarray:
    """The separable 3-D transform (L, 8, 8) of the blocks at places (k, y, x) of the planes of frames k."""
    volume = np.stack([block(planes[k], y, x) for k, y, x in places])
    return dct(dctn(volume, axes=(1, 2), norm="ortho"), axis=0, norm="ortho")


def hard_threshold(spectrum: np.ndarray, threshold) -> np.ndarray:
    """The gain of the hard threshold, and its narrow ramp."""
    return ((np.abs(spectrum) / threshold - 1) / RAMP + 1).clip(0, 1)


def wiener(pilot: np.ndarray, power) -> np.ndarray:
    """The empirical Wiener gain of a pilot's spectrum; power: of the noise."""
    return pilot**2 / (pilot**2 + power)


class Volumes:
    """One pass over a clip, frame by frame: filter every volume, put its blocks back, divide by the weights.

    planes: (3, H, W) opponent planes of a first frame, in code values. Frame t lies at t modulo 2 h + 1.
    """

    def __init__(self, planes: np.ndarray, settings: PassSettings):
        span, size, self.settings = 2 * settings.h + 1, planes.shape[1:], settings
        self.window = np.reshape(settings.window, (8, 8))
        self.noisy, self.pilot, self.total = (np.zeros((span, 3, *size)) for _ in range(3))
        self.weight = np.zeros((span, *size))

    def put(self, t: int, noisy: np.ndarray, pilot: np.ndarray) -> None:
        """Frame t, the next one."""
        self.noisy[t % len(self.noisy)], self.pilot[t % len(self.noisy)] = noisy, pilot

    def add(self, phase: int, slots: np.ndarray, targets: np.ndarray, everywhere: bool) -> None:
        """Filter the volumes whose reference is the frame in the middle of `slots`, on the grid `phase`.

        slots: ring slots of the frames round it, -1 for none; targets: the same, of those that blocks are put back
        into; everywhere: all blocks of the grid are references, or only those over pixels that have no estimate yet.
        """
        middle = len(slots) // 2
        frames = {k - middle: slot for k, slot in enumerate(slots) if slot >= 0}
        into = {k - middle: slot for k, slot in enumerate(targets) if slot >= 0}
        luma = {k: self.pilot[slot, 0] for k, slot in frames.items()}
        before, (ys, xs) = self.weight[frames[0]].copy(), self.settings.grids[phase]
        for y in ys:
            for tile in (xs[n : n + TILE] for n in range(0, len(xs), TILE)):
                asked = [x for x in tile if everywhere or (block(before, y, x) == 0).any()]
                paths = follow(luma, y, tile, asked, self.settings.search) if asked else {}
                for x in asked:
                    places = sorted((k, y + dy, x + dx) for k, (dy, dx) in paths[x].items())
                    self._filter(frames, into, places, self._noise(block(luma[0], y, x).mean()))

    def _noise(self, level: float) -> np.ndarray:
        """Deviation of the noise in each plane at a level of luminance."""
        table = self.settings.table
        share = 1.0 if table is None else np.interp(level, np.arange(256), table)
        return np.asarray(self.settings.sigma) * np.sqrt(share)

    def _filter(self, frames: dict[int, int], into: dict[int, int], places: list, sigma: np.ndarray) -> None:
        """Shrink the volume at places (k, y, x), and add its blocks to the frames that it is put back into."""
        others, blocks, energy = len(places) - 1, [], 0.0
        for c in range(3):
            at_mean, elsewhere = self.settings.strength[c]
            strength = np.array([at_mean, *[elsewhere] * others])[:, None, None]
            spectrum = spectrum_of({k: self.noisy[slot, c] for k, slot in frames.items()}, places)
            if self.settings.first_pass:
                gain = hard_threshold(spectrum, strength * sigma[c])
                energy += sigma[c] ** 2 * max(gain.sum(), 1)
                gain[0, 0, 0] = 1
            else:
                pilot = spectrum_of({k: self.pilot[slot, c] for k, slot in frames.items()}, places)
                gain = wiener(pilot, strength * sigma[c] ** 2)
                energy += sigma[c] ** 2 * np.square(gain).sum()
            blocks.append(idctn(idct(spectrum * gain, axis=0, norm="ortho"), axes=(1, 2), norm="ortho"))
        for n, (k, y, x) in enumerate(places):
            if k in into:
                block(self.weight[into[k]], y, x)[:] += self.window / energy
                for c in range(3):
                    block(self.total[into[k], c], y, x)[:] += self.window / energy * blocks[c][n]

    def finish(self, t: int) -> tuple[np.ndarray, np.ndarray]:
        """The noisy planes of frame t and its estimate; its place is free afterwards."""
        slot = t % len(self.noisy)
        estimate = self.total[slot] / self.weight[slot]
        self.total[slot], self.weight[slot] = 0, 0
        return self.noisy[slot].astype(np.float32), estimate.astype(np.float32)
