"""OUT/pictures/00005000.jpg: what the network makes of some validation frames after so many iterations.

Up to four rows, evenly spread over the held-out clips: input, output, ground truth.
"""

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from torch import Tensor

from lolblur_synth.dataset.pair_folders import Pair
from lolblur_synth.dataset.pairs import read_pair
from lolblur_synth.files import atomic, images, listing
from lolblur_synth.models.lednet import LEDNet, enhance

FOLDER = "pictures"
ROWS = 4
MAX_HEIGHT = 240  # px of a row; smaller frames are not enlarged
GAP = 4  # px between pictures
ReadPair = Callable[[Pair], tuple[Tensor, Tensor]]


def write(
    out: Path, iteration: int, net: LEDNet, value_range: str, pairs: Sequence[Pair], read: ReadPair = read_pair
) -> Path:
    """Write the sheet of an iteration, and return its path. net: in evaluation mode; value_range: its values."""
    rows = [_row(net, value_range, read(pair)) for pair in pairs[:: math.ceil(len(pairs) / ROWS)]]
    width = max(row.shape[1] for row in rows)
    sheet = np.concatenate([np.pad(row, ((0, GAP), (0, width - row.shape[1]), (0, 0))) for row in rows])
    path = out / FOLDER / f"{iteration:08d}.jpg"
    atomic.write(path, images.encode(path.suffix, sheet[:-GAP]))
    return path


def are_ours(folder: Path) -> bool:
    """Whether a folder holds sheets of a training and nothing else."""
    return folder.is_dir() and all(re.fullmatch(r"\d{8}\.jpg", path.name) for path, _ in listing.entries(folder))


def _row(net: LEDNet, value_range: str, frames: tuple[Tensor, Tensor]) -> np.ndarray:
    """(h, w, 3) float32 RGB, 0..1: input, output and truth side by side."""
    low, high = frames
    device = next(net.parameters()).device
    output = enhance(net, low[None].to(device), value_range)[0].cpu()
    shown = [_small(frame.float().permute(1, 2, 0).numpy()) for frame in (low, output, high)]
    gap = np.zeros((shown[0].shape[0], GAP, 3), np.float32)
    return np.concatenate([shown[0], gap, shown[1], gap, shown[2]], 1)


def _small(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    if height <= MAX_HEIGHT:
        return frame
    size = (max(1, round(width * MAX_HEIGHT / height)), MAX_HEIGHT)
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
