"""Figures of an experiment by clip, and what differences between them are worth."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from experiments import sets
from experiments.place import Place
from lolblur_synth.models import vgg
from lolblur_synth.tools.evaluate import evaluate

KEPT = ("psnr_rgb", "aligned_psnr_rgb", "ssim_y", "aligned_ssim_y", "lpips_alex", "psnr_saturated", "psnr_unsaturated",
        "psnr_streaks", "aligned_psnr_saturated", "aligned_psnr_unsaturated", "aligned_psnr_streaks")  # fmt: skip
LEAST_SEEDS = 3  # two give no spread
BEYOND = 2.0  # spreads that a difference must exceed to be a result


def metrics() -> str:
    """PSNR and SSIM, and LPIPS where its weights are installed (`make perceptual`)."""
    has_lpips = (vgg.cache() / "alexnet.safetensors").is_file()
    return "psnr_rgb,ssim_y" + (",lpips_alex" if has_lpips else "")


def scored(
    place: Place, results: str | Path, tests: Sequence[str], network: str = "", fit: str = "", **options
) -> dict:
    """Figures of a network, or of a folder of frames, on test sets.

    Returns {"mean", "clips", "baselines"}: means over all clips, each clip alike; "set/clip" -> figures; and, with
    `fit`, the set that tone curves are learnt from, the means of the input and of the curves.
    """
    clips: dict[str, dict] = {}
    beside: dict[str, list[dict]] = {}
    for test in tests:
        root = sets.made(place, test)
        report = evaluate(results, root, quiet=True, metrics=metrics(), network=network, baselines=bool(fit),
                          fit=str(sets.made(place, fit)) if fit else "", **options)  # fmt: skip
        for row in report["clips"]:
            clips[name_of(test, row["clip"])] = {name: row[name] for name in KEPT if name in row}
        for name, figures in report["baselines"].items():
            beside.setdefault(name, []).append(figures | {"weight": len(report["clips"])})
    baselines = {name: weighted(rows) for name, rows in beside.items()}
    return {"mean": mean_of(list(clips.values())), "clips": clips} | ({"baselines": baselines} if baselines else {})


def name_of(test: str, clip: str) -> str:
    """Of a clip of a test set, in the results."""
    return f"{test.removeprefix('tests/')}/{clip}"


def mean_of(rows: Sequence[dict]) -> dict[str, float]:
    """The mean of each figure over the rows that have it, finite."""
    names = [name for name in KEPT if any(_finite(row.get(name)) for row in rows)]
    return {name: statistics.fmean(row[name] for row in rows if _finite(row.get(name))) for name in names}


def weighted(rows: Sequence[dict]) -> dict[str, float]:
    """Means of figures over test sets, by their number of clips."""
    names = [name for name in KEPT if all(_finite(row.get(name)) for row in rows)]
    total = sum(row["weight"] for row in rows)
    return {name: sum(row[name] * row["weight"] for row in rows) / total for name in names}


def _finite(value: float | None) -> bool:
    return value is not None and abs(value) < float("inf")


def differences(ours: Sequence[dict], theirs: Sequence[dict], figure: str) -> list[float]:
    """For each seed the mean over the clips of ours - theirs. ours, theirs: clip -> figures, a dict for each seed."""
    found = []
    for one, other in zip(ours, theirs, strict=True):
        shared = [clip for clip in one if _finite(one[clip].get(figure)) and _finite(other.get(clip, {}).get(figure))]
        found.append(statistics.fmean(one[clip][figure] - other[clip][figure] for clip in shared))
    return found


def is_result(by_seed: Sequence[float]) -> bool:
    """Whether a difference is one: of three seeds or more, with one sign, and a mean beyond twice their spread."""
    if len(by_seed) < LEAST_SEEDS or min(by_seed) < 0 < max(by_seed):
        return False
    return abs(statistics.fmean(by_seed)) > BEYOND * statistics.stdev(by_seed)
