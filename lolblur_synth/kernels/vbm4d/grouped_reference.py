"""V-BM4D as in its paper, with groups of similar volumes, in plain loops: the specification that groups_cpu.py is
compared with.

Only the trajectories are compiled, so that it is for small frames.
"""

import numpy as np
from numba import njit
from scipy.fft import dct

from lolblur_synth.kernels.vbm4d.paper_profile import GP, GW, N_S, SW, Shape, window_of
from lolblur_synth.kernels.vbm4d.reference import block, hard_threshold, wiener


@njit(cache=True)
def chain(luma, known, y, x, n, gd, tau, path):
    """Trajectory of a block, each compared with the one before it: equations 2, 3, 6, 7 and Table I.

    luma (2 h + 1, H, W), the reference frame in the middle; known: which of them exist. path (2 h + 1, 2) receives the
    places (y, x), -1 where the trajectory has ended.
    """
    h, height, width = len(luma) // 2, luma.shape[1], luma.shape[2]
    path[:] = -1
    path[h, 0], path[h, 1] = y, x
    for sign in (-1, 1):
        at_y, at_x, v_y, v_x = y, x, 0, 0
        for k in range(1, h + 1):
            if not known[h + sign * k]:
                break
            before, frame = luma[h + sign * (k - 1)], luma[h + sign * k]
            to_y, to_x = at_y + GP * v_y, at_x + GP * v_x
            side = N_S * (1 - GW * np.exp(-(v_y**2 + v_x**2) / (2 * SW**2)))
            reach, least, found_y, found_x = int(side / 2), np.inf, at_y, at_x
            for v in range(int(np.rint(to_y)) - reach, int(np.rint(to_y)) + reach + 1):
                for u in range(int(np.rint(to_x)) - reach, int(np.rint(to_x)) + reach + 1):
                    if 0 <= v <= height - n and 0 <= u <= width - n:
                        squares = 0.0
                        for j in range(n):
                            for i in range(n):
                                squares += (before[at_y + j, at_x + i] - frame[v + j, u + i]) ** 2
                        d = np.sqrt(squares) / n**2 + gd * np.sqrt((to_y - v) ** 2 + (to_x - u) ** 2)
                        if d < least:
                            least, found_y, found_x = d, v, u
            if least > tau:
                break
            v_y, v_x, at_y, at_x = found_y - at_y, found_x - at_x, found_y, found_x
            path[h + sign * k, 0], path[h + sign * k, 1] = at_y, at_x


@njit(cache=True)
def chains(luma, known, n, gd, tau):
    """`chain` from every pixel: (H - n + 1, W - n + 1, 2 h + 1, 2)."""
    paths = np.empty((luma.shape[1] - n + 1, luma.shape[2] - n + 1, len(luma), 2), np.int64)
    for y in range(paths.shape[0]):
        for x in range(paths.shape[1]):
            chain(luma, known, y, x, n, gd, tau, paths[y, x])
    return paths


def volume(planes: np.ndarray, places: np.ndarray, n: int) -> np.ndarray:
    """(L, n, n): the blocks at places (L, 3), (frame, y, x), of planes (frames, H, W)."""
    return np.stack([block(planes[frame], y, x, n) for frame, y, x in places])


def similar(luma: np.ndarray, paths: np.ndarray, y: int, x: int, shape: Shape, sigma: float) -> list[np.ndarray]:
    """The group of the volume at (y, x): places (L, 3) of each, the best first, as many as a power of two.

    A candidate's trajectory must cover the reference's, and is cut to its frames.
    """
    frames, reach = np.flatnonzero(paths[y, x, :, 0] >= 0), shape.window // 2
    rows, columns = paths.shape[:2]

    def cut(v: int, u: int) -> np.ndarray:
        return np.column_stack((frames, paths[v, u, frames]))

    own, found = volume(luma, cut(y, x), shape.block), []
    for v in range(max(y - reach, 0), min(y + reach + 1, rows)):
        for u in range(max(x - reach, 0), min(x + reach + 1, columns)):
            if (v, u) != (y, x) and (paths[v, u, frames, 0] >= 0).all():
                d = np.square(own - volume(luma, cut(v, u), shape.block)).sum()
                if d < shape.match(sigma, len(frames)):
                    found.append((d, v, u))
    group = [cut(y, x), *(cut(v, u) for _, v, u in sorted(found))][: shape.most]
    return group[: 2 ** int(np.log2(len(group)))]


def wavelet(x: np.ndarray) -> np.ndarray:
    """Full periodic decomposition of the first axis by the biorthogonal wavelet 1.5, before normalisation."""
    if len(x) == 1:
        return x
    low = [3, -3, -22, 22, 128, 128, 22, -22, -3, 3]
    half = range(len(x) // 2)
    smooth = np.stack([sum(h * x[(2 * i + k - 4) % len(x)] for k, h in enumerate(low)) for i in half])
    return np.concatenate([wavelet(smooth), np.stack([x[2 * i + 1] - x[2 * i] for i in half])])


def haar(x: np.ndarray) -> np.ndarray:
    """Full orthonormal decomposition of the first axis by the Haar wavelet."""
    if len(x) == 1:
        return x
    return np.concatenate([haar((x[0::2] + x[1::2]) / np.sqrt(2)), (x[0::2] - x[1::2]) / np.sqrt(2)])


def cosine(x: np.ndarray) -> np.ndarray:
    return dct(x, axis=0, norm="ortho")


def matrix_of(transform, n: int) -> np.ndarray:
    """(n, n): analysis functions of a transform of the first axis, each of norm 1."""
    rows = transform(np.eye(n))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def transform(values: np.ndarray, matrices: list[np.ndarray]) -> np.ndarray:
    """The separable 4-D transform of a group (M, L, n, n); matrices: over the group, time, down, across."""
    return np.einsum("am,bl,cy,dx,mlyx->abcd", *matrices, values, optimize=True)


class Groups:
    """One pass over a clip: what `groups_cpu.Groups` does, with its arguments; rings are not shared here."""

    def __init__(self, planes: np.ndarray, first_pass: bool, h: int, sigma, lam: float, shape: Shape, grids, rings):
        span = 2 * h + 1
        self.first_pass, self.sigma, self.lam, self.shape, self.grids = first_pass, sigma, lam, shape, grids
        self.window = window_of(shape).reshape(8, 8)[: shape.block, : shape.block]
        self.spatial = matrix_of(wavelet if shape.spatial == "bior1.5" else cosine, shape.block)
        self.noisy, self.pilot, self.total, self.weight = (np.zeros((span, *planes.shape)) for _ in range(4))

    def put(self, t: int, noisy: np.ndarray, pilot: np.ndarray) -> None:
        """Frame t, the next one."""
        self.noisy[t % len(self.noisy)], self.pilot[t % len(self.noisy)] = noisy, pilot

    def add(self, phase: int, slots: np.ndarray, targets: np.ndarray, everywhere: bool) -> None:
        """Filter the groups of all reference blocks of the frame in the middle of slots, see `reference.Volumes`."""
        shape, noisy, pilot = self.shape, self.noisy[slots], self.pilot[slots]
        gd, tau = shape.motion(self.sigma[0])
        paths = chains(np.ascontiguousarray(pilot[:, 0]), slots >= 0, shape.block, gd, tau)
        for y in self.grids[phase][0]:
            for x in self.grids[phase][1]:
                self._filter(noisy, pilot, similar(pilot[:, 0], paths, y, x, shape, self.sigma[0]), targets)

    def _filter(self, noisy: np.ndarray, pilot: np.ndarray, group: list[np.ndarray], targets: np.ndarray) -> None:
        """Shrink a group, and add its blocks to the frames."""
        n, over_group, over_time = self.shape.block, matrix_of(haar, len(group)), matrix_of(cosine, len(group[0]))
        matrices = [over_group, over_time, self.spatial, self.spatial]
        back = [np.linalg.inv(matrix) for matrix in matrices]
        for c in range(3):
            variance = self.sigma[c] ** 2
            spectrum = transform(np.stack([volume(noisy[:, c], places, n) for places in group]), matrices)
            if self.first_pass:
                gain = hard_threshold(spectrum, self.lam * self.sigma[c])
                energy = variance * max(gain.sum(), 1)
                gain[0, 0, 0, 0] = 1
            else:
                of_pilot = transform(np.stack([volume(pilot[:, c], places, n) for places in group]), matrices)
                gain = wiener(of_pilot, variance)
                energy = variance * np.square(gain).sum()
            filtered = transform(spectrum * gain, back)
            for blocks, places in zip(filtered, group, strict=True):
                for values, (frame, y, x) in zip(blocks, places, strict=True):
                    if targets[frame] >= 0:
                        block(self.total[targets[frame], c], y, x, n)[:] += self.window / energy * values
                        block(self.weight[targets[frame], c], y, x, n)[:] += self.window / energy

    def finish(self, t: int) -> tuple[np.ndarray, np.ndarray]:
        """The noisy planes of frame t and its estimate; its place is free afterwards."""
        slot = t % len(self.noisy)
        estimate = self.total[slot] / self.weight[slot]
        self.total[slot], self.weight[slot] = 0, 0
        return self.noisy[slot].astype(np.float32), estimate.astype(np.float32)
