"""How good are restored frames, or a network's: PSNR, SSIM, LPIPS, NIQE on the test split, by frame and by clip.

RESULTS is a folder of frames, <clip>/<frame>.png or <clip>_<frame>.png, or the weights of a LEDNet. Frames are read as
RGB, 0..1, and a network's output is rounded to 8 bits first, as a PNG would hold it.

A frame that equals its ground truth has an infinite PSNR, as in BasicSR. One such frame would make every mean infinite,
so means leave infinite figures out, and the report counts them ("identical"); a mean is infinite only where all of its
frames are. The same holds for the saturated and the unsaturated pixels of a frame.
"""

import logging
import math
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path

import torch
from torch import Tensor

from lolblur_synth.dataset.pair_folders import Pair, find_pairs, pair_names, pairs_in, scan
from lolblur_synth.dataset.pairs import read_frame, read_pair
from lolblur_synth.dataset.splits import gather
from lolblur_synth.errors import InputError, UsageError, WeightsError
from lolblur_synth.files import pictures
from lolblur_synth.files.video.names import DISPLAY_SUFFIXES
from lolblur_synth.frames import luminance
from lolblur_synth.metrics import image_quality, tone_curves
from lolblur_synth.models import lednet, vgg
from lolblur_synth.parallel.machine import resolve_device
from lolblur_synth.parallel.progress import counted
from lolblur_synth.tools import evaluation, outputs
from lolblur_synth.training.config import EvaluateConfig, checked

SATURATED = ((98 + 16) / 116) ** 3  # CIE Y of L* = 98 (paper, section 3.2)
REFERENCE_FREE = ("niqe", "musiq", "nrqm")
FUNCTIONS: dict[str, Callable] = {
    "psnr_rgb": image_quality.psnr_rgb,
    "psnr_y": image_quality.psnr_y,
    "ssim_y": image_quality.ssim_y,
    "ssim_rgb": image_quality.ssim_rgb,
    "lpips_alex": lambda a, b: image_quality.lpips(a, b, "alex"),
    "lpips_vgg": lambda a, b: image_quality.lpips(a, b, "vgg"),
    "niqe": image_quality.niqe,
}
CACHED = {"lpips_alex": "alexnet", "lpips_vgg": "vgg16", "niqe": "niqe"}
FIT_PAIRS = 100  # training pairs that the tone curves are learnt from, evenly spread
HELD_OUT = ("test", "eval", "val")  # splits; with --split auto the first that exists is scored
Restored = Callable[[Pair, Tensor], Tensor]  # (pair, its low frame) -> its restored frame
Baseline = Callable[[Tensor, Tensor], Tensor]  # (low, high) -> a frame to compare with
log = logging.getLogger(__name__)


def evaluate(
    results: str | Path, data_dir: str | Path, out: str | Path | None = None, quiet: bool = False, **options
) -> dict:
    """Score RESULTS against the ground truth of DATA. options: the fields of EvaluateConfig.

    Returns {"name", "split", "metrics", "better", "mean", "clips", "frames", "identical", "baselines", ...}: what is
    scored and on which split, metric -> "higher" or "lower", figures by metric, by clip and by frame, metric -> frames
    whose figure is infinite ("mean_over" says that means leave them out), and the means of the input and of the curves
    of `baselines`. With `out`, also writes evaluation.json and evaluation.csv (one row a frame) there. Raises
    InputError, UsageError, WeightsError.
    """
    config = checked(EvaluateConfig, options)
    device = torch.device(resolve_device(config.device))
    scores = _chosen(config.metrics)
    split, pairs = _pairs(config, Path(data_dir))
    restored = _restored(results, pairs, config.range, device)
    baselines = _baselines(config, Path(data_dir))
    if out is not None:
        outputs.make_folder(Path(out))
    rows, baseline_rows = [], {name: [] for name in baselines}
    for pair in counted(pairs, len(pairs), "frame", quiet):
        low, high = (frame[None].to(device) for frame in read_pair(pair))
        rows.append({"clip": pair.clip, "frame": pair.frame} | _score(scores, restored(pair, low), high))
        for name, baseline in baselines.items():
            baseline_rows[name].append(_score(scores, baseline(low, high), high))
    names = [name for name in rows[0] if name not in ("clip", "frame")]
    clips = [{"clip": clip} | _mean(list(group), names) for clip, group in groupby(rows, lambda row: row["clip"])]
    report = {
        "results": str(results),
        "name": _name(results),
        "data": str(data_dir),
        "split": split,
        "pair": config.pair,
        "metrics": names,
        "better": {name: "lower" if name in evaluation.LOWER_IS_BETTER else "higher" for name in names},
        "mean_over": "frames whose figure is finite",
        "mean": _mean(rows, names),
        "clips": clips,
        "frames": rows,
        "identical": {name: sum(row[name] == math.inf for row in rows) for name in names},
        "baselines": {name: _mean(scored, names) for name, scored in baseline_rows.items()},
    }
    if out is not None:
        evaluation.write(Path(out), report)
    return report


def _name(results: str | Path) -> str:
    """The name of RESULTS in the report: a bundled name, the name of a file, or the folder that train-lednet made."""
    path = Path(results)
    if path.name == "lednet.safetensors":
        path = path.parent
    return path.stem if path.is_file() else path.resolve().name or str(results)


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


def _baselines(config: EvaluateConfig, root: Path) -> dict[str, Baseline]:
    """The input, each frame's best tone curve, and, where there are training pairs, the curves learnt from them."""
    if not config.baselines:
        return {}
    baselines: dict[str, Baseline] = {"input": lambda low, high: low, "gamma_gain": tone_curves.gamma_gain}
    try:
        pairs = gather([Path(config.fit or root)], "train", pair_names(config.pair), beside=[root])
    except InputError:
        if config.fit:
            raise
        return baselines
    some = pairs[:: math.ceil(len(pairs) / FIT_PAIRS)]
    learnt = tone_curves.fit(tuple(frame[None] for frame in read_pair(pair)) for pair in some)
    return baselines | {
        "fitted_gamma_gain": lambda low, high: tone_curves.fitted(low, learnt),
        "auto_exposure": lambda low, high: tone_curves.auto_exposure(low, learnt),
    }


def _restored(results: str | Path, pairs: list[Pair], value_range: str, device: torch.device) -> Restored:
    """The restored frames: answers of a network, or files."""
    path = Path(results)
    if path.is_dir() and not (path / "lednet.safetensors").is_file():
        files = _result_files(path, pairs)
        return lambda pair, low: _read(files[pair.clip, pair.frame], low)
    net, value_range = lednet.load(path / "lednet.safetensors" if path.is_dir() else results, value_range)
    log.info("%s: input and output in %s", results, value_range)
    net.to(device)
    return lambda pair, low: tone_curves.rounded(lednet.enhance(net, low, value_range))


def _result_files(folder: Path, pairs: list[Pair]) -> dict[tuple[str, str], Path]:
    """(clip, frame) -> its result, wherever it lies below `folder`; a frame must not have two."""
    places: dict[tuple[str, str], list[Path]] = {}
    joined = {f"{pair.clip}_{pair.frame}": (pair.clip, pair.frame) for pair in pairs}
    for file in pictures.at(folder, DISPLAY_SUFFIXES):
        keys = {(file.parent.name, file.stem), joined.get(file.stem)}
        for key in keys - {None}:
            places.setdefault(key, []).append(file)
    wanted = [(pair.clip, pair.frame) for pair in pairs]
    missing = [key for key in wanted if key not in places]
    if missing:
        raise InputError(
            f"{folder}: {len(missing)} of {len(pairs)} frames are missing, first {'/'.join(missing[0])}",
            "name results <clip>/<frame>.png or <clip>_<frame>.png",
            "missing",
        )
    for key in wanted:
        if len(places[key]) > 1:
            one, two = (file.relative_to(folder).as_posix() for file in places[key][:2])
            raise InputError(
                f"{folder}: two results for frame {'/'.join(key)}: {one} and {two}",
                "name the folder that holds one result a frame",
                "ambiguous",
            )
    return {key: places[key][0] for key in wanted}


def _read(file: Path, low: Tensor) -> Tensor:
    frame = read_frame(file)[None].to(low.device)
    if frame.shape != low.shape:
        raise InputError(
            f"{file}: {frame.shape[3]}x{frame.shape[2]}, the dataset has {low.shape[3]}x{low.shape[2]}",
            "restore frames at their own size",
            "size",
        )
    return frame


def _chosen(names: str) -> dict[str, Callable]:
    """name -> function. Raises UsageError for an unknown name, WeightsError for one whose weights are not at hand."""
    if names == "auto":
        missing = [name for name, file in CACHED.items() if not (vgg.cache() / f"{file}.safetensors").is_file()]
        if missing:
            log.warning("without %s, whose weights are not installed (%s)", ", ".join(missing), vgg.INSTALL_HINT)
        return {name: function for name, function in FUNCTIONS.items() if name not in missing}
    chosen = {}
    for name in filter(None, names.split(",")):
        if name not in FUNCTIONS and name not in REFERENCE_FREE:
            raise UsageError(f"no metric is called {name!r}", f"known: {', '.join([*FUNCTIONS, 'musiq', 'nrqm'])}")
        if name in CACHED and not (vgg.cache() / f"{CACHED[name]}.safetensors").is_file():
            raise WeightsError(f"{name}: its weights are not in {vgg.cache()}", vgg.INSTALL_HINT)
        chosen[name] = FUNCTIONS.get(name) or _pyiqa(name)
    if not chosen:
        raise UsageError("no metric is asked for", "for example --metrics psnr_rgb,ssim_y")
    return chosen


def _pyiqa(name: str) -> Callable[[Tensor], Tensor]:
    try:
        import pyiqa
    except ImportError:
        raise UsageError(
            f"{name} needs the package pyiqa (its licence is non-commercial)", "pip install pyiqa, if that suits you"
        ) from None
    return pyiqa.create_metric(name)


@torch.no_grad()
def _score(scores: dict[str, Callable], frame: Tensor, high: Tensor) -> dict[str, float]:
    """Every figure of one frame; PSNR also where the ground truth is saturated (L* > 98), and where it is not."""
    values = {}
    for name, function in scores.items():
        values[name] = (function(frame) if name in REFERENCE_FREE else function(frame, high)).item()
        if name == "psnr_rgb":
            mask = luminance(high) > SATURATED
            values["psnr_saturated"] = image_quality.psnr_rgb(frame, high, mask).item()
            values["psnr_unsaturated"] = image_quality.psnr_rgb(frame, high, ~mask).item()
    return values


def _mean(rows: list[dict], names: list[str]) -> dict[str, float]:
    """Mean of each figure over the frames that have a finite one; infinite where all that have one are equal frames."""
    return {name: _average(row[name] for row in rows) for name in names}


def _average(values: Iterable[float]) -> float:
    values = [value for value in values if not math.isnan(value)]
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.inf if values else math.nan
