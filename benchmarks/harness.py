"""What several benchmarks share: rows of a Markdown table, PSNR, and windows of frames from pictures and videos."""

from pathlib import Path

import numpy as np
import torch

from lolblur_synth.files.images import read_image
from lolblur_synth.files.video import IMAGE_SUFFIXES, display, find, probe
from lolblur_synth.files.video.inputs import image_files
from lolblur_synth.metrics import image_quality
from lolblur_synth.recipe.schema import InputConfig, ResizeConfig
from lolblur_synth.stages import resize

WINDOW = 9  # frames of a window, the longer of the paper's two exposures (section 3.2)


def psnr(a: np.ndarray, b: np.ndarray, peak: float = 1.0) -> float:
    """dB, of arrays of one shape, whatever it is."""
    one, other = (torch.from_numpy(np.ascontiguousarray(array))[None] for array in (a, b))
    return image_quality.psnr(one, other, peak).item()


def table(title: str, *heads: str) -> None:
    print(f"\n### {title}\n\n| {' | '.join(heads)} |\n{'|---' * len(heads)}|")


def row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |")


def frame_of(pixels: np.ndarray) -> torch.Tensor:
    source = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].contiguous()
    return resize.apply(source, ResizeConfig(), resize.Draw())


def windows_of(paths: list[Path], count: int) -> dict[str, list[torch.Tensor]]:
    """name -> stacks (T, 3, 640, 1120): single pictures, or `count` windows spread over a video."""
    found = {file.name: [frame_of(read_image(file))] for file in paths if file.suffix.lower() in IMAGE_SUFFIXES}
    for source in find([file for file in paths if file.suffix.lower() not in IMAGE_SUFFIXES])[0]:
        if source.kind == "images":
            found |= {file.name: [frame_of(read_image(file))] for file in image_files(source.path)}
            continue
        video = probe(source, InputConfig(), fps=250.0)
        starts = np.linspace(0, video.frames - WINDOW, count).astype(int) if video.frames >= WINDOW else []
        stacks = {int(start): [] for start in starts}
        for index, pixels in enumerate(display(video, 0, max(stacks, default=-WINDOW) + WINDOW)):
            for start, stack in stacks.items():
                if start <= index < start + WINDOW:
                    stack.append(frame_of(pixels))
        found[source.name] = [torch.cat(stack) for stack in stacks.values()]
    return found
