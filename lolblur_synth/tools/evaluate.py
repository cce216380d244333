"""How good are restored frames, or a network's: PSNR, SSIM, LPIPS, NIQE on the test split, by frame and by clip.

RESULTS is a folder of frames, <clip>/<frame>.png or <clip>_<frame>.png, or the weights of a LEDNet. Frames are read as
RGB, 0..1, and a network's output is rounded to 8 bits first, as a PNG would hold it.

Most of a raw PSNR is brightness, which a dark frame does not tell. So every figure is measured twice: of the frame as
it is, and, as "aligned_...", after the gamma and the gain that bring that frame closest to its ground truth
(metrics/alignment.py): what is left is sharpness, noise and colour. The input gets the same help: its aligned figures
are those of the baseline gamma_gain. Real frames without a ground truth are scored by no_reference.py.
"""

import logging
import math
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import torch
from torch import Tensor

from lolblur_synth.dataset.pair_folders import Pair, find_pairs, pair_names, pairs_in, scan
from lolblur_synth.dataset.pairs import read_pair
from lolblur_synth.dataset.splits import gather
from lolblur_synth.errors import InputError
from lolblur_synth.metrics import tone_curves
from lolblur_synth.metrics.alignment import aligned
from lolblur_synth.parallel.machine import resolve_device
from lolblur_synth.parallel.progress import metered
from lolblur_synth.tools import outputs
from lolblur_synth.tools.evaluation import comparison, report, restored, scores
from lolblur_synth.tools.evaluation.scores import ALIGNED
from lolblur_synth.training.config import EvaluateConfig, checked

FIT_PAIRS = 100  # training pairs that the tone curves are learnt from, evenly spread
HELD_OUT = ("test", "eval", "val")  # splits; with --split auto the first that exists is scored
INPUT, BEST_CURVE = "input", "gamma_gain"  # baselines that need no training pairs
Restored = Callable[[Pair, Tensor], Tensor]  # (pair, its low frame) -> its restored frame
Curves = dict[str, Callable[[Tensor], Tensor]]  # name -> a tone curve learnt from training pairs
log = logging.getLogger(__name__)


def evaluate(
    results: str | Path, data_dir: str | Path, out: str | Path | None = None, quiet: bool = False, **options
) -> dict:
    """Score RESULTS against the ground truth of DATA. options: the fields of EvaluateConfig.

    Returns {"name", "split", "metrics", "aligned", "better", "mean", "clips", "frames", "identical", "baselines",
    "comparison", ...}: what is scored and on which split, the names of the figures as they are and after alignment,
    name -> "higher" or "lower", figures by name, by clip and by frame, name -> frames whose figure is infinite
    ("mean_over" says that means leave them out), the means of the input and of the tone curves, and whether the results
    are better than the input (comparison.py). With `out`, also writes evaluation.json and evaluation.csv (one row a
    frame) there. Raises InputError, UsageError, WeightsError.
    """
    config = checked(EvaluateConfig, options)
    device = torch.device(resolve_device(config.device))
    metrics = scores.chosen(config.metrics)
    split, pairs = _pairs(config, Path(data_dir))
    restore = _restored(results, pairs, config.range, device)
    curves = _learnt_curves(config, Path(data_dir)) if config.baselines else {}
    if out is not None:
        outputs.make_folder(Path(out))
    rows, baseline_rows = [], {}
    for pair in metered(pairs, len(pairs), "frame", quiet):
        low, high = (frame[None].to(device) for frame in read_pair(pair))
        row = {"clip": pair.clip, "frame": pair.frame} | _figures(metrics, restore(pair, low), high)
        if config.baselines:
            beside = _baselines(metrics, curves, low, high)
            row |= comparison.of_input(beside[INPUT])
            for name, figures in beside.items():
                baseline_rows.setdefault(name, []).append(figures)
        rows.append(row)
    whole = {
        "results": str(results),
        "name": restored.name_of(results),
        "data": str(data_dir),
        "split": split,
        "pair": config.pair,
    } | _report(rows, baseline_rows)
    if out is not None:
        report.write(Path(out), whole)
    return whole


def _report(rows: list[dict], baseline_rows: dict[str, list[dict]]) -> dict:
    """The figures of all frames, their means, and what they say."""
    every = [name for name in rows[0] if name not in ("clip", "frame")]
    names = [name for name in every if not name.startswith(comparison.INPUT)]
    metrics = [name for name in names if not name.startswith(ALIGNED)]
    return {
        "metrics": metrics,
        "aligned": [name for name in names if name.startswith(ALIGNED)],
        "better": {name: scores.better(name) for name in metrics},
        "mean_over": "frames whose figure is finite",
        "mean": scores.means(rows, names),
        "clips": [
            {"clip": clip} | scores.means(list(group), every) for clip, group in groupby(rows, lambda row: row["clip"])
        ],
        "frames": rows,
        "identical": {name: sum(row[name] == math.inf for row in rows) for name in names},
        "baselines": {name: scores.means(figures, names) for name, figures in baseline_rows.items()},
        "comparison": comparison.compare(rows),
    }


def _figures(metrics: scores.Scores, frame: Tensor, high: Tensor, for_aligned: scores.Scores | None = None) -> dict:
    """The figures of a frame as it is, and after its best gamma and gain; `for_aligned`: other metrics for those."""
    figures = scores.figures(metrics, frame, high)
    best = scores.figures(metrics if for_aligned is None else for_aligned, aligned(frame, high), high)
    return figures | scores.with_prefix(ALIGNED, best)


def _baselines(metrics: scores.Scores, curves: Curves, low: Tensor, high: Tensor) -> dict[str, dict]:
    """Name -> figures of the input and of tone curves. The input after its best gamma and gain is gamma_gain itself.

    Aligned, a learnt curve is the input once more, less what it clipped: only what is cheap is measured of that.
    """
    rows = {INPUT: _figures(metrics, low, high)}
    for name, curve in curves.items():
        rows[name] = _figures(metrics, curve(low), high, scores.cheap(metrics))
    best = {name: value for name, value in rows[INPUT].items() if name.startswith(ALIGNED)}
    return rows | {BEST_CURVE: {name.removeprefix(ALIGNED): value for name, value in best.items()} | best}


def _pairs(config: EvaluateConfig, root: Path) -> tuple[str, list[Pair]]:
    """The split that is scored and its pairs. A dataset of one video has no test split."""
    names = pair_names(config.pair)
    if config.split != "auto":
        return config.split, find_pairs(root, config.split, names)
    folders = scan(root, names)
    for split in HELD_OUT:
        try:
            return split, pairs_in(folders, root, split, names)
        except InputError as error:
            if error.reason != "missing":
                raise
    pairs = pairs_in(folders, root, "train", names)
    log.warning("%s has no test split: scored on train, which flatters a network that was trained on it", root)
    return "train", pairs


def _learnt_curves(config: EvaluateConfig, root: Path) -> Curves:
    """The curves that training pairs teach; none where there are no such pairs."""
    try:
        pairs = gather([Path(config.fit or root)], "train", pair_names(config.pair), beside=[root])
    except InputError:
        if config.fit:
            raise
        return {}
    some = pairs[:: math.ceil(len(pairs) / FIT_PAIRS)]
    learnt = tone_curves.fit(tuple(frame[None] for frame in read_pair(pair)) for pair in some)
    return {
        "auto_exposure": lambda low: tone_curves.auto_exposure(low, learnt),
        "fitted_gamma_gain": lambda low: tone_curves.fitted(low, learnt),
    }


def _restored(results: str | Path, pairs: list[Pair], value_range: str, device: torch.device) -> Restored:
    """The restored frames: answers of a network, or files."""
    if not restored.are_frames(results):
        net = restored.network(results, value_range, device)
        return lambda pair, low: net(low)
    files = restored.files_of_pairs(Path(results), pairs)
    return lambda pair, low: restored.read_result(files[pair.clip, pair.frame], low)
