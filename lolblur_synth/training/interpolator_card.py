"""The card of the interpolation network, with its figures beside those of DIS and of plain cross-fading."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lolblur_synth.metrics import image_quality
from lolblur_synth.recipe.schema import InterpolateConfig
from lolblur_synth.stages import interpolate
from lolblur_synth.training.cards import Card, table
from lolblur_synth.training.footage import Footage, runs_of
from lolblur_synth.training.run import AVERAGED_STEPS

SPANS = (2, 4)  # source frames between two frames that are given; of four such frames the middle instant is compared
METHODS = ("blend", "dis", "net")
WIDTH = 448  # px, of the frames that are compared
Scores = dict[str, dict[int, tuple[float, ...]]]


def figures(weights: Path, held_out: Sequence[str | Path]) -> Scores:
    """Video -> span -> PSNR in dB of the middle frame by each of METHODS, mean over the runs of the video."""
    scores: Scores = {}
    for name, runs in runs_of(held_out, WIDTH):
        scores[name] = {}
        for span in SPANS:
            each_run = [_scores(_as_frames(run[: 3 * span + 1]), span, weights) for run in runs if len(run) > 3 * span]
            if each_run:  # else the video is too short
                scores[name][span] = tuple(round(float(value), 2) for value in np.mean(each_run, 0))
    return scores


def _as_frames(run: np.ndarray) -> Tensor:
    """(T, h, w, 3) uint8 -> (T, 3, h, w) float32 display, 0..1."""
    return torch.from_numpy(run).permute(0, 3, 1, 2).float() / 255


def _scores(frames: Tensor, span: int, weights: Path) -> list[float]:
    """PSNR in dB, by each of METHODS, of the frame in the middle of 3 * span + 1 frames."""
    key_frames, middle, scores = frames[::span], frames[span + span // 2], []
    for method in METHODS:
        motion = interpolate.motion(key_frames, InterpolateConfig(method=method, weights=str(weights)))
        scores.append(image_quality.psnr_of_one(interpolate.sample(key_frames, motion, 1.5), middle))
    return scores


def card_of(name: str, footage: Footage, recipe: dict, result: dict, command: list[str], note: str) -> Card:
    frames = sum(map(len, footage.runs))
    return Card(
        title=name,
        summary=(
            "Weights of `FlowNet`, which corrects optical flow between two frames (models/flow.py, "
            "stages/interpolate.py).",
            "Made by `lolblur-synth train-interpolator` from random weights; no published weights were used.",
        ),
        facts={
            "options": " ".join(f"{key}={value}" for key, value in recipe.items() if key != "files"),
            "footage": f"{frames} frames in {len(footage.runs)} runs, {len(footage.photos)} photographs and stills",
            "training": f"{result['step']} steps, {result['seconds']} CPU-seconds",
            f"losses, last {AVERAGED_STEPS} steps": result["losses"],
            "sha256": result["sha256"],
        },
        command=command,
        figures=_figures_in_words(result["figures"]),
        files=footage.files,
        note=note,
    )


def _figures_in_words(scores: Scores) -> list[str]:
    if not scores:
        return []
    heading = f"PSNR in dB of a middle frame of videos that were never trained on, {WIDTH} px wide"
    rows = [(video, span, *values) for video, spans in scores.items() for span, values in spans.items()]
    rows += list(_means(rows))
    return [heading, "", *table(("video", "frames apart", *METHODS), (
        (video, span, *(f"{value:.2f}" for value in values)) for video, span, *values in rows))]  # fmt: skip


def _means(rows: list[tuple]) -> Iterator[tuple]:
    """A row for each span: the mean over the videos."""
    for span in SPANS:
        values = [values for _, of_row, *values in rows if of_row == span]
        if values:
            yield "mean", span, *np.mean(values, 0)
