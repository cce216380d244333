"""The two passes of the denoiser, each a stream of frames: which blocks are references when, which frames a volume
spans, and how strongly it is shrunk. kernels/vbm4d does the rest.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lolblur_synth.kernels import vbm4d
from lolblur_synth.kernels.vbm4d.noise_level import at
from lolblur_synth.kernels.vbm4d.paper_profile import PASSES
from lolblur_synth.kernels.vbm4d.settings import PassSettings, Search
from lolblur_synth.kernels.vbm4d.volumes import mix

OPPONENT = np.array([[1 / 3, 1 / 3, 1 / 3], [1 / 2, 0, -1 / 2], [1 / 4, -1 / 2, 1 / 4]])  # V-BM4D, section VI.D
GAIN = np.linalg.norm(OPPONENT, axis=1)  # deviation of each opponent channel for noise of deviation 1 in R, G and B
H = 4  # frames each way: Table I
STEP = 4  # px between reference blocks: V-BM4D software, normal profile
LAMBDA = 2.7  # hard threshold in sigma of profile `vbm4d`: Table I
# Hard threshold in sigma, and noise power of the Wiener gain in sigma^2, of profile `fast`: for Y and both colour
# channels, at the mean over time and at other temporal frequencies. The mean is shrunk less, because it holds nearly
# all of the picture, and small values there are more often picture than noise; colour more, because it has less detail.
STRENGTH = ((2.3, 2.9), (2.3, 3.2), (2.3, 3.2)), ((0.5, 1.0), (0.5, 1.0), (0.5, 1.0))
KAISER_BETA = (2.0, 1.3)  # of the aggregation window in each pass: V-BM4D software
SEARCH_RADIUS = np.array([2, 8, 3])  # px: first search; second search in the next frame, and in later ones
# Price of a pixel off the predicted place, in noise variances, in each pass. It keeps blocks of a resting scene from
# following the noise; the second pass searches the pilot, which has less of it.
PRICE_OF_STRAYING = (6.0, 0.6)
MATCH_GOOD_ENOUGH = (1.1, 0.1)  # in expected squared distances of two noisy copies of a block, in each pass
MATCH_LOST = (8.0, 2.0)  # in the same unit: a trajectory ends above it
MIN_DEVIATION = 0.1  # of the noise at a level, in sigma; weights are inverse squares of it
# Frames from one full set of reference blocks to the next, in each pass: a volume of nine frames estimates the frames
# between as well, and a pilot needs fewer estimates of a pixel than a result.
STRIDE = {"fast": (3, 2), "vbm4d": (1, 1)}
FULL_ENDS = 2  # frames at each end of a clip with a full set of reference blocks, profile `fast`
DENSE_ENDS = 1  # frames at each end of a clip with twice as many


def opponent(frame: Tensor) -> np.ndarray | Tensor:
    """(3, H, W) or (1, 3, H, W) display -> (3, H, W) opponent planes in 8-bit code values; on CUDA a tensor."""
    planes = frame.reshape(frame.shape[-3:])
    return mixed(OPPONENT * 255, planes if frame.is_cuda else planes.numpy())


def display(planes: np.ndarray | Tensor) -> Tensor:
    """(3, H, W) opponent planes in 8-bit code values -> (1, 3, H, W) display, clipped to 0..1."""
    return torch.as_tensor(mixed(np.linalg.inv(OPPONENT) / 255, planes)).clamp_(0, 1)[None]


def mixed(matrix: np.ndarray, planes: np.ndarray | Tensor) -> np.ndarray | Tensor:
    """A 3x3 matrix on the channels of (3, H, W) float32; elementwise, because a BLAS may round by its thread count."""
    matrix = matrix.astype(np.float32)
    if isinstance(planes, np.ndarray):
        return mix(matrix, planes, np.empty_like(planes))
    return torch.stack([a * planes[0] + b * planes[1] + c * planes[2] for a, b, c in matrix.tolist()])


def estimates(pairs: Iterable, stage: int, draw, profile: str, kept: range | None, rings: list) -> Iterator:
    """One pass: (noisy, pilot) opponent planes in, (noisy, estimate) planes out, in order, H frames later.

    stage: 0, the hard threshold, or 1, the Wiener filter; draw: `denoise.Draw`; kept: the frames that are wanted in the
    end, None for all: in the second pass only these are references; rings: a list, empty at first, that both passes of
    a clip are given, see `groups_cpu.Groups`.
    """
    pairs, stride = iter(pairs), STRIDE[profile][stage]
    count, now = 0, 0
    volumes: Any = None
    while True:
        for planes in islice(pairs, max(0, max(now, H) + H + 1 - count)):
            volumes = volumes or _volumes(planes[0], stage, draw, profile, rings)
            volumes.put(count, *planes)
            count += 1
        planes = None  # the rings hold copies
        if now >= count + H or (now >= count and count == 0):
            return
        wanted = range(count) if kept is None or stage == 0 else kept
        if now < count and now in wanted:
            from_end = _from_end(now, count, kept)
            everywhere = (now - wanted.start) % stride == 0 or now == wanted[-1] or from_end < FULL_ENDS
            grid_of = now // stride
            for number in range(grid_of, grid_of + 1 + (stride > 1 and from_end < DENSE_ENDS)):
                volumes.add(number % 2, *_reach(now, count, wanted, profile), everywhere)
        if now - H in wanted:
            yield volumes.finish(now - H)
        now += 1


def _from_end(now: int, count: int, kept: range | None) -> int:
    """Frames from `now` to the nearer end of the clip; H where that is far away, or not among the kept frames."""
    before = now if kept is None or kept[0] == 0 else H
    return min(before, count - 1 - now if kept is None or kept[-1] == count - 1 else H)


def _reach(now: int, count: int, wanted: range, profile: str) -> tuple[np.ndarray, np.ndarray]:
    """Ring slots of the frames round `now`, which is in the middle, and of those that blocks are put back into; -1: no
    frame.

    count: frames that have come; wanted: frames that need an estimate; those before now - H have left the ring. Near an
    end of the clip a volume reaches further the other way, so that it has 2 H + 1 frames everywhere; with profile
    `vbm4d` it is shorter there, as in the paper.
    """
    span = 2 * H + 1
    first = max(0, now - H if profile == "vbm4d" else min(now - H, count - span))
    last = min(now + H if profile == "vbm4d" else first + span - 1, count - 1)
    reach = max(now - first, last - now, H)
    near = range(now - reach, now + reach + 1)
    slots = np.array([t % span if first <= t <= last else -1 for t in near])
    targets = np.array([t % span if t in wanted and now - H <= t <= last else -1 for t in near])
    return slots, targets


def _volumes(planes: np.ndarray | Tensor, stage: int, draw, profile: str, rings: list):
    """What filters the volumes of one pass: the fast twin for where the planes are, or the reference."""
    size, deviations = planes.shape[1:], draw.sigma * GAIN
    if profile == "vbm4d":
        grids = [[grid(length, 0, PASSES[stage].block, PASSES[stage].step) for length in size]] * 2
        return vbm4d.groups()(planes, stage == 0, H, deviations, LAMBDA, PASSES[stage], grids, rings)
    grids = [[grid(length, phase) for length in size] for phase in (0, STEP // 2)]
    return vbm4d.volumes(planes)(planes, settings_of(stage, draw, grids))


def settings_of(stage: int, draw, grids: list) -> PassSettings:
    """Of one pass of profile `fast`; grids: two, (ys, xs) px of the reference blocks each, used in turn."""
    deviations, kaiser = draw.sigma * GAIN, np.kaiser(8, KAISER_BETA[stage])
    variance = deviations[0] ** 2
    copies = 2 * 64 * variance  # expected squared distance of two noisy copies of a block
    search = Search(
        SEARCH_RADIUS,
        PRICE_OF_STRAYING[stage] * variance,
        MATCH_GOOD_ENOUGH[stage] * copies,
        MATCH_LOST[stage] * copies,
    )
    window = np.outer(kaiser, kaiser).ravel()
    return PassSettings(stage == 0, H, deviations, _table(draw), window, np.array(STRENGTH[stage]), search, grids)


def _table(draw) -> np.ndarray | None:
    """(256,) variance of the noise at each level, in sigma^2; None where it is 1 at all levels."""
    return np.maximum(at(draw.curve, np.arange(256)) / draw.sigma, MIN_DEVIATION) ** 2 if draw.curve else None


def grid(size: int, phase: int, block: int = 8, step: int = STEP) -> np.ndarray:
    """Places of the reference blocks along an axis of `size` px: every `step` px from `phase`, and both ends."""
    return np.unique(np.concatenate([[0], np.arange(phase, size - block + 1, step), [size - block]]))
