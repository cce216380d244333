"""Dense inverse search on CUDA: host side of inverse_search.cu, the twin of `flows` and `codes` in window.py.

All frame pairs of a window and both directions are searched together, level by level. A sweep is one launch an
anti-diagonal of patches, because a patch waits for its neighbours to the left and above (right and below on the way
back); its result is that of the sequential sweep. Nothing returns to the host.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lolblur_synth.kernels import cuda
from lolblur_synth.kernels.inverse_search.patch import PATCH
from lolblur_synth.kernels.inverse_search.reference import COARSEST, PAD

SOURCE = "inverse_search/inverse_search"  # .cu
SPREAD = 8  # threads of which one works in a sweep, see `sweep` in inverse_search.cu; not measured yet


class Level(NamedTuple):
    """One level of the pyramids of T frames: padded images (T, height + 2 PAD, width + 2 PAD), float32."""

    image: Tensor  # grey, 8-bit code values
    along_x: Tensor  # its gradients, code values a pixel
    along_y: Tensor
    height: int  # px, without the margin
    width: int


def codes(guide: Tensor, gamma: float) -> Tensor:
    """As `window.codes`."""
    count, _, height, width = guide.shape
    found = torch.empty((count, height, width), dtype=torch.uint8, device=guide.device)
    cuda.launch(SOURCE, "grey", (width, height, count), guide.contiguous(), found, float(gamma), count, height, width)
    return found


def flows(
    codes: Tensor, moving: np.ndarray, stride: int, passes: int, fine: bool, trust: np.ndarray
) -> tuple[Tensor, Tensor]:
    """As `window.flows`."""
    size = len(moving), -(-codes.shape[1] // 2), -(-codes.shape[2] // 2), 3
    rest = torch.tensor([0.0, 0.0, 1.0], device=codes.device)
    numbers = np.flatnonzero(moving)
    if not len(numbers):
        return rest.expand(size).contiguous(), rest.expand(size).contiguous()
    pairs, jobs = cuda.upload(numbers, np.int32, codes.device), 2 * len(numbers)
    levels = _pyramid(codes, fine)
    motion = torch.zeros((jobs, 2, 1, 1), device=codes.device)
    for level in levels[::-1]:
        motion = _searched(level, pairs, motion, stride, passes)
    motion = _halved(motion.flatten(0, 1)) / 2 if fine else motion
    found = torch.empty((jobs, *size[1:]), dtype=torch.float32, device=codes.device)
    _launch("judge", levels[fine], pairs, motion, cuda.upload(trust, np.float32, codes.device), found)
    if len(numbers) == len(moving):
        return found[: len(numbers)], found[len(numbers) :]
    both = rest.expand(size).clone(), rest.expand(size).clone()
    for part, flow in zip(found.chunk(2), both, strict=True):
        flow[pairs.long()] = part
    return both


def _pyramid(codes: Tensor, fine: bool) -> list[Level]:
    """The levels of all frames, as `reference.pyramid` makes those of one."""
    images = codes.float()
    levels = [_level(images)] if fine else []
    images = _halved(images)
    while True:
        levels.append(_level(images))
        if min(images.shape[1:]) // 2 < COARSEST:
            return levels
        images = _halved(images)


def _level(images: Tensor) -> Level:
    count, height, width = images.shape
    size = count, height + 2 * PAD, width + 2 * PAD
    planes = [torch.empty(size, dtype=torch.float32, device=images.device) for _ in range(3)]
    cuda.launch(SOURCE, "pad_with_gradients", size[::-1], images, *planes, count, height, width)
    return Level(*planes, height, width)


def _halved(planes: Tensor) -> Tensor:
    """(N, h, w) -> half the size, rounded up."""
    count, height, width = planes.shape
    size = count, (height + 1) // 2, (width + 1) // 2
    out = torch.empty(size, dtype=torch.float32, device=planes.device)
    cuda.launch(SOURCE, "halve", size[::-1], planes, out, count, height, width)
    return out


def _searched(level: Level, pairs: Tensor, above: Tensor, stride: int, passes: int) -> Tensor:
    """Motion on a level, planes (jobs, 2, h, w), in its pixels, from (jobs, 2, h', w') of the level above."""
    jobs = len(above)
    rows, columns = ((side - PATCH + stride - 1) // stride + 1 for side in (level.height, level.width))
    patches = torch.empty((jobs, rows, columns, 2), dtype=torch.float32, device=above.device)
    cuda.launch(SOURCE, "start", (columns, rows, jobs), above, patches, jobs, *above.shape[2:], stride,
                level.height, level.width, rows, columns)  # fmt: skip
    threads = SPREAD * min(rows, columns), jobs, 1
    for number in range(passes):
        _launch("sweep", level, pairs, patches, stride, rows, columns, number % 2, SPREAD,
                threads=threads, steps=range(rows + columns - 1))  # fmt: skip
    motion = torch.empty((jobs, 2, level.height, level.width), dtype=torch.float32, device=above.device)
    _launch("densify", level, pairs, patches, motion, stride, rows, columns)
    return motion


def _launch(name: str, level: Level, pairs: Tensor, *more: Tensor | int, threads=None, steps=None) -> None:
    """A kernel that begins with LEVEL_PARAMETERS; a thread a pixel of each job, or `threads`."""
    threads = threads or (level.width, level.height, 2 * len(pairs))
    images = level.image, level.along_x, level.along_y
    cuda.launch(SOURCE, name, threads, *images, pairs, len(pairs), level.height, level.width, *more, steps=steps)
