"""The card of the interpolation network: what it is, how and on what it was trained, what it is worth beside DIS."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from lolblur_synth.recipe.schema import InterpolateConfig
from lolblur_synth.stages import interpolate
from lolblur_synth.training.run import trained_on
from lolblur_synth.training.triplets import Footage, runs_of

SPANS = (2, 4)  # frames between two that are given; of four such the middle one is to be found
METHODS = ("blend", "dis", "net")
WIDTH = 448  # px, of the frames that are compared


def figures(weights: Path, held_out: Sequence[str | Path]) -> dict[str, dict[int, tuple[float, ...]]]:
    """Video -> span -> PSNR in dB of the middle frame by each of METHODS, mean over some places of the video."""
    found = {}
    for name, runs in runs_of(held_out, WIDTH):
        found[name] = {}
        for span in SPANS:
            scores = [
                _scores(torch.from_numpy(run[: 3 * span + 1]).permute(0, 3, 1, 2).float() / 255, span, weights)
                for run in runs
                if len(run) > 3 * span
            ]
            if scores:  # else the video is too short
                found[name][span] = tuple(round(float(value), 2) for value in np.mean(scores, 0))
    return found


def _scores(frames: torch.Tensor, span: int, weights: Path) -> list[float]:
    given, middle, scores = frames[::span], frames[span + span // 2], []
    for method in METHODS:
        motion = interpolate.motion(given, InterpolateConfig(method=method, weights=str(weights)))
        error = interpolate.sample(given, motion, 1.5) - middle
        scores.append(-10 * float(torch.log10(error.square().mean() + 1e-10)))
    return scores


def text(name: str, footage: Footage, recipe: dict, result: dict, command: list[str], note: str) -> str:
    """Markdown."""
    options = " ".join(f"{key}={value}" for key, value in recipe.items() if key != "files")
    lines = [
        f"# {name}",
        "",
        "Weights of `FlowNet`, which corrects optical flow between two frames (models/flow.py, stages/interpolate.py).",
        "Made by `lolblur-synth train-interpolator` from random weights; no published weights were used.",
        "",
        "| | |",
        "|---|---|",
        f"| options | {options} |",
        f"| footage | {sum(map(len, footage.runs))} frames in {len(footage.runs)} runs, {len(footage.photos)} "
        "photographs and stills |",
        f"| training | {result['step']} steps, {result['seconds']} CPU-seconds |",
        f"| losses, last 100 steps | {result['losses']} |",
        f"| sha256 | {result['sha256']} |",
        "",
        *command,
    ]
    if result["figures"]:
        lines += [
            f"PSNR in dB of a middle frame of videos that were never trained on, {WIDTH} px wide",
            "",
            "| video | frames apart | " + " | ".join(METHODS) + " |",
            "|---|---|" + "---|" * len(METHODS),
        ]
        rows = [(video, span, scores) for video, spans in result["figures"].items() for span, scores in spans.items()]
        rows += [
            ("mean", span, np.mean([scores for _, s, scores in rows if s == span], 0))
            for span in SPANS
            if any(s == span for _, s, _ in rows)
        ]
        lines += [
            f"| {video} | {span} | " + " | ".join(f"{score:.2f}" for score in scores) + " |"
            for video, span, scores in rows
        ] + [""]
    return "\n".join(lines + trained_on(footage.files, note))
