"""How good are restored frames, or a network's: PSNR, SSIM, LPIPS, NIQE on the test split, by frame and by clip.

RESULTS is a folder of frames, <clip>/<frame>.png or <clip>_<frame>.png, or the weights of a LEDNet. Frames are read as
RGB, 0..1, and a network's output is rounded to 8 bits first, as a PNG would hold it.

A frame that equals its ground truth has an infinite PSNR, as in BasicSR. One such frame would make every mean infinite,
so means leave infinite figures out, and the report counts them ("identical"); a mean is infinite only where all of its
frames are. The same holds for the saturated and the unsaturated pixels of a frame.
"""

import csv
import io
import json
import logging
import math
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from lolblur_synth.errors import InputError, UsageError, WeightsError
from lolblur_synth.files import atomic, listing
from lolblur_synth.files.video import DISPLAY_SUFFIXES
from lolblur_synth.frames import luminance
from lolblur_synth.metrics import image_quality, tone_curves
from lolblur_synth.models import lednet, vgg
from lolblur_synth.tools import outputs
from lolblur_synth.training import data, distributed
from lolblur_synth.training.config import EvaluateConfig, checked
from lolblur_synth.training.pairs import pairs_in, scan

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
LOWER_IS_BETTER = ("lpips_alex", "lpips_vgg", "niqe")
CACHED = {"lpips_alex": "alexnet", "lpips_vgg": "vgg16", "niqe": "niqe"}
PAPER = (  # Table 1: LOL-Blur test set, trained on LOL-Blur; psnr_rgb, ssim_y, lpips_vgg
    ("Zero-DCE -> MIMO", 17.68, 0.542, 0.510),
    ("RUAS -> MIMO", 17.81, 0.569, 0.523),
    ("Chen -> Zero-DCE", 17.02, 0.502, 0.516),
    ("DeblurGANv2 -> Zero-DCE", 18.33, 0.589, 0.476),
    ("MIMO -> Zero-DCE", 17.52, 0.570, 0.498),
    ("KinD++", 21.26, 0.753, 0.359),
    ("DRBN", 21.78, 0.768, 0.325),
    ("DeblurGAN-v2", 22.30, 0.745, 0.356),
    ("DMPHN", 22.20, 0.817, 0.301),
    ("MIMO-UNet", 22.41, 0.835, 0.262),
    ("LEDNet", 25.74, 0.850, 0.224),
)
COLUMN = 20  # characters of a figure in the table
FIT_PAIRS = 100  # enough for two numbers
HELD_OUT = ("test", "eval", "val")  # the first that is there is scored
Source = Callable[[data.Pair, Tensor], Tensor]
Rival = Callable[[Tensor, Tensor], Tensor]
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
    device = distributed.choose(config.device)
    scores = _chosen(config.metrics)
    split, pairs = _pairs(config, Path(data_dir))
    restored = _source(results, pairs, config.range, device)
    rivals = _rivals(config, Path(data_dir))
    if out is not None:
        outputs.make_folder(Path(out))
    rows, rival_rows = [], {name: [] for name in rivals}
    for pair in tqdm(pairs, unit="frame", disable=quiet):
        low, high = (frame[None].to(device) for frame in data.read_pair(pair))
        rows.append({"clip": pair.clip, "frame": pair.frame} | _score(scores, restored(pair, low), high))
        for name, rival in rivals.items():
            rival_rows[name].append(_score(scores, rival(low, high), high))
    names = [name for name in rows[0] if name not in ("clip", "frame")]
    clips = [{"clip": clip} | _mean(list(group), names) for clip, group in groupby(rows, lambda row: row["clip"])]
    report = {
        "results": str(results),
        "name": _name(results),
        "data": str(data_dir),
        "split": split,
        "pair": config.pair,
        "metrics": names,
        "better": {name: "lower" if name in LOWER_IS_BETTER else "higher" for name in names},
        "mean_over": "frames whose figure is finite",
        "mean": _mean(rows, names),
        "clips": clips,
        "frames": rows,
        "identical": {name: sum(row[name] == math.inf for row in rows) for name in names},
        "baselines": {name: _mean(scored, names) for name, scored in rival_rows.items()},
    }
    if out is not None:
        _write(Path(out), report)
    return report


def _name(results: str | Path) -> str:
    """What the rows of RESULTS are called: a bundled name, the name of a file, or the folder that train-lednet made."""
    path = Path(results)
    if path.name == "lednet.safetensors":
        path = path.parent
    return path.stem if path.is_file() else path.resolve().name or str(results)


def table(report: dict) -> str:
    """The report as text: what was scored, a row a clip, the means, and the paper's Table 1 beneath."""
    names, means = report["metrics"], {report["name"]: report["mean"]}
    means |= {f"({name})": mean for name, mean in report["baselines"].items()}
    wide = max(24, *(len(label) + 1 for label in (*means, *(row["clip"] for row in report["clips"]))))
    lines = [
        f"{report['name']} on {report['data']}, split {report['split']}: "
        f"{_count(report['clips'], 'clip')}, {_count(report['frames'], 'frame')}, "
        f"{report['pair'].replace(':', ' -> ')}",
        _heads("clip", names, wide),
    ]
    lines += [_row(row["clip"], row, names, wide) for row in report["clips"]]
    lines += [_heads("mean over frames", names, wide)]
    lines += [_row(label, mean, names, wide) for label, mean in means.items()]
    lines += [
        f"{name}: infinite for {count} of {len(report['frames'])} frames, which equal their ground truth there; "
        "they are left out of the means"
        for name, count in report["identical"].items()
        if count
    ]
    lines += (
        ["(in brackets: what needs no network, for comparison; gamma_gain sees the ground truth)"]
        if report["baselines"]
        else []
    )
    published = ("psnr_rgb", "ssim_y", "lpips_vgg")
    lines += [
        "",
        "The paper's Table 1 (LOL-Blur test set: comparable only if DATA is that set)",
        _heads("", published, wide),
    ]
    lines += [
        f"{name:{wide}}{psnr:{COLUMN}.2f}" + "".join(f"{figure:{COLUMN}.3f}" for figure in others)
        for name, psnr, *others in PAPER
    ]
    return "\n".join(lines)


def _count(items: Sequence, noun: str) -> str:
    return f"{len(items)} {noun}{'' if len(items) == 1 else 's'}"


def _heads(label: str, names: Sequence[str], wide: int) -> str:
    marked = [f"{name} {'↓' if name in LOWER_IS_BETTER else '↑'}" for name in names]
    return f"{label:{wide}}" + "".join(f"{head:>{COLUMN}}" for head in marked)


def _row(label: str, figures: dict[str, float], names: Sequence[str], wide: int) -> str:
    return f"{label:{wide}}" + "".join(f"{_figure(figures[name]):>{COLUMN}}" for name in names)


def _figure(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"


def _pairs(config: EvaluateConfig, root: Path) -> tuple[str, list[data.Pair]]:
    """The split that is scored and its pairs. A dataset of one video has no test split."""
    names = data.pair_names(config.pair)
    if config.split != "auto":
        return config.split, data.find_pairs(root, config.split, names)
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


def _rivals(config: EvaluateConfig, root: Path) -> dict[str, Rival]:
    """name -> what is made of (low, high): the input, the best curve, and the learnt ones where there are pairs."""
    if not config.baselines:
        return {}
    found = {"input": lambda low, high: low, "gamma_gain": tone_curves.gamma_gain}
    try:
        pairs = data.gather([Path(config.fit or root)], "train", data.pair_names(config.pair), beside=[root])
    except InputError:
        if config.fit:
            raise
        return found
    some = pairs[:: math.ceil(len(pairs) / FIT_PAIRS)]
    learnt = tone_curves.fit(tuple(frame[None] for frame in data.read_pair(pair)) for pair in some)
    return found | {
        "fitted_gamma_gain": lambda low, high: tone_curves.fitted(low, learnt),
        "auto_exposure": lambda low, high: tone_curves.auto_exposure(low, learnt),
    }


def _source(results: str | Path, pairs: list[data.Pair], value_range: str, device: torch.device) -> Source:
    """What gives the restored frame of a pair: a network, or files."""
    path = Path(results)
    if path.is_dir() and not (path / "lednet.safetensors").is_file():
        files = _result_files(path, pairs)
        return lambda pair, low: _read(files[pair.clip, pair.frame], low)
    net, value_range = lednet.load(path / "lednet.safetensors" if path.is_dir() else results, value_range)
    log.info("%s: input and output in %s", results, value_range)
    net.to(device)
    return lambda pair, low: tone_curves.rounded(lednet.enhance(net, low, value_range))


def _result_files(folder: Path, pairs: list[data.Pair]) -> dict[tuple[str, str], Path]:
    """(clip, frame) -> its result, wherever it lies below `folder`; a frame must not have two."""
    places: dict[tuple[str, str], list[Path]] = {}
    joined = {f"{pair.clip}_{pair.frame}": (pair.clip, pair.frame) for pair in pairs}
    for file in listing.files(folder, DISPLAY_SUFFIXES, below=True):
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
    frame = data.read_frame(file)[None].to(low.device)
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
            log.warning("without %s, whose weights are not installed (%s)", ", ".join(missing), vgg.HINT)
        return {name: function for name, function in FUNCTIONS.items() if name not in missing}
    chosen = {}
    for name in filter(None, names.split(",")):
        if name not in FUNCTIONS and name not in REFERENCE_FREE:
            raise UsageError(f"no metric is called {name!r}", f"known: {', '.join([*FUNCTIONS, 'musiq', 'nrqm'])}")
        if name in CACHED and not (vgg.cache() / f"{CACHED[name]}.safetensors").is_file():
            raise WeightsError(f"{name}: its weights are not in {vgg.cache()}", vgg.HINT)
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


def _write(out: Path, report: dict) -> None:
    out.mkdir(parents=True, exist_ok=True)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ["clip", "frame", *report["metrics"]])
    writer.writeheader()
    writer.writerows(report["frames"])
    atomic.write(out / "evaluation.csv", text.getvalue().encode())
    atomic.write(out / "evaluation.json", to_json(report).encode())


def to_json(report: dict) -> str:
    """The report as JSON; a figure that is not finite is null: infinite (equal frames, counted in "identical") or none
    (no saturated pixel)."""
    return json.dumps(_plain(report), indent=1, allow_nan=False) + "\n"


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
