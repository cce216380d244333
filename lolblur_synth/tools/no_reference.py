"""`evaluate --no-reference`: restored real frames, which have no ground truth, beside the dark frames they came from.

Each figure compares a result with its own input, lifted by one gain in linear light to the mean luminance of the result
(metrics/real_frames.py): what a longer exposure of the same camera would show.

niqe             of the result, and of the lifted input; compare a frame with itself alone, since clean pictures differ
                 from each other by more than a restoration changes them. It counts noise and blur, and hardly sees
                 burnt-out areas: hence the others. musiq and nrqm by --metrics
burnt            percent of the pixels with a channel at 254 or 255, of the input and of the result, and the growth
colour shift     how far the mean a* and b* (CIE Lab) of the result lie from the lifted input's
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from lolblur_synth.errors import InputError, UsageError, counted
from lolblur_synth.files import images, pictures
from lolblur_synth.files.video.names import IMAGE_SUFFIXES
from lolblur_synth.metrics import real_frames
from lolblur_synth.metrics.alignment import rounded
from lolblur_synth.parallel.machine import resolve_device
from lolblur_synth.parallel.progress import metered
from lolblur_synth.tools import outputs
from lolblur_synth.tools.evaluation import report as reports
from lolblur_synth.tools.evaluation import restored, scores
from lolblur_synth.training.config import EvaluateConfig, checked

OPTIONS = ("metrics", "range", "device")  # fields of EvaluateConfig that say something without ground truth
LIFTED = "lifted_input_"  # before the name of a figure of the lifted input
MOST_ROWS = 60  # frames that the table lists; of more it shows the means alone
LABEL, METRIC, BURNT, SHIFT = 26, 10, 9, 8  # characters of the columns of the table
Triples = Iterator[tuple[str, Tensor, Tensor]]  # name, dark frame, restored frame
LEGEND = """\
lifted: the input times one gain in linear light, clipped, so that its mean luminance is that of the result
burnt-out: a channel at 254 or 255 of 255; growth in percentage points
colour shift: mean a* and b* of the result less those of the lifted input; size: the length of that step"""


def evaluate_without_reference(
    results: str | Path, inputs: str | Path, out: str | Path | None = None, quiet: bool = False, **options
) -> dict:
    """Score RESULTS, a folder of restored frames or a network, beside the dark pictures in the folder `inputs`.

    options: metrics (of niqe, musiq, nrqm), range and device of EvaluateConfig. Restored frames have the names of the
    inputs, sub-folders included, whatever their suffix, as `restore` writes them; the sizes of pictures may differ.
    Returns {"name", "metrics", "better", "mean", "frames", "frames_better", ...}: figures by name, by frame and on
    average, and on how many of the frames that have a figure of both it is better than the lifted input's. With `out`,
    also writes evaluation.json and evaluation.csv there. Raises InputError, UsageError, WeightsError.
    """
    for name in options:
        if name not in OPTIONS:
            raise UsageError(f"--{name} needs ground truth, and --no-reference has none", "leave one of the two out")
    config = checked(EvaluateConfig, options)
    device = torch.device(resolve_device(config.device))
    files = _by_name(Path(inputs), "give a folder of dark PNG, JPEG, TIFF, EXR or HDR pictures", Path(results))
    frames = _restored(results, files, config.range, device)
    metrics = scores.chosen(config.metrics, reference=False)
    if out is not None:
        outputs.make_folder(Path(out))
    rows = [
        {"frame": name} | _figures(metrics, dark, frame)
        for name, dark, frame in metered(frames, len(files), "frame", quiet)
    ]
    names = [name for name in rows[0] if name != "frame"]
    whole = {
        "results": str(results),
        "name": restored.name_of(results),
        "data": str(inputs),
        "metrics": list(metrics),
        "better": {name: scores.better(name) for name in metrics} | {"burnt_growth": "lower", "colour_shift": "lower"},
        "mean_over": "frames whose figure is finite",
        "mean": scores.means(rows, names),
        "frames": rows,
        "frames_better": {name: _better(name, rows) for name in metrics},
    }
    if out is not None:
        reports.write(Path(out), whole)
    return whole


def _figures(metrics: scores.Scores, dark: Tensor, frame: Tensor) -> dict[str, float]:
    """The figures of one frame. gain: of the lifted input, in linear light; shift_a and shift_b: in units of Lab."""
    lifted, gain = real_frames.lifted(dark, real_frames.mean_luminance(frame))
    values = {}
    for name, value in scores.figures(metrics, frame, None).items():
        values[name] = value
        values[f"{LIFTED}{name}"] = scores.figures({name: metrics[name]}, lifted, None)[name]
    before, after = (100 * real_frames.burnt_share(picture) for picture in (dark, frame))
    here, there = real_frames.mean_ab(frame), real_frames.mean_ab(lifted)
    a, b = here[0] - there[0], here[1] - there[1]
    return values | {
        "input_burnt": before,
        "burnt": after,
        "burnt_growth": after - before,
        "shift_a": a,
        "shift_b": b,
        "colour_shift": math.hypot(a, b),
        "gain": gain,
    }


def _better(name: str, rows: list[dict]) -> dict[str, int]:
    """On how many frames a figure is better than the lifted input's, of those that have both."""
    sign = -1 if scores.better(name) == "lower" else 1
    gains = [sign * (row[name] - row[f"{LIFTED}{name}"]) for row in rows]
    gains = [gain for gain in gains if not math.isnan(gain)]
    return {"better": sum(gain > 0 for gain in gains), "frames": len(gains)}


def _by_name(folder: Path, hint: str, other: Path | None = None) -> dict[str, Path]:
    """Name, with sub-folders and without suffix -> picture; without those in the folder `other`, if it lies below.

    Raises InputError where there is no picture, or two have one name.
    """
    files = pictures.at(folder, IMAGE_SUFFIXES)
    if other is not None and other.resolve() != folder.resolve():
        files = [file for file in files if other.resolve() not in file.resolve().parents]
    if not files:
        raise InputError(f"{folder}: no pictures in this folder", hint, "empty")
    top = folder if folder.is_dir() else folder.parent
    names: dict[str, Path] = {}
    for file in files:
        name = file.relative_to(top).with_suffix("").as_posix()
        if name in names:
            hint = "rename or remove one of them"
            raise InputError(f"{names[name]} and {file} have the same name", hint, "ambiguous")
        names[name] = file
    return names


def _restored(results: str | Path, inputs: dict[str, Path], value_range: str, device: torch.device) -> Triples:
    """Name, dark frame and restored frame of each input, in turn. What is missing is told before the first is read."""
    if restored.are_frames(results):
        files = _by_name(Path(results), "give a folder of restored frames, or the weights of a network")
        missing = [name for name in inputs if name not in files]
        if missing:
            raise InputError(
                f"{results}: {len(missing)} of {len(inputs)} pictures have no result here, first {missing[0]}",
                "name results like the pictures, sub-folders included: lolblur-synth restore does",
                "missing",
            )
        return _pairs(inputs, lambda name, dark: _read_result(files[name], dark), device)
    net = restored.network(results, value_range, device)
    return _pairs(inputs, lambda name, dark: net(dark), device)


def _pairs(inputs: dict[str, Path], restore: Callable[[str, Tensor], Tensor], device: torch.device) -> Triples:
    for name, file in inputs.items():
        dark = _read(file).to(device)
        yield name, dark, rounded(restore(name, dark))


def _read(file: Path) -> Tensor:
    """(1, 3, H, W) display, 0..1, of a picture of any kind that is read here."""
    try:
        return torch.from_numpy(images.read_display(file)).permute(2, 0, 1)[None].contiguous()
    except InputError as error:  # names the file without its folder
        raise InputError(f"{file.parent}/{error}", error.hint, error.reason) from error


def _read_result(file: Path, dark: Tensor) -> Tensor:
    frame = _read(file).to(dark.device)
    restored.check_size(file, frame, dark, "its input")
    return frame


def table(report: dict) -> str:
    """The report as text: a row a frame, the means, and what they say."""
    rows = report["frames"] if len(report["frames"]) <= MOST_ROWS else []
    count = len(report["frames"])
    groups = f"{'':{LABEL}}" + "".join(f"{f'{name} {reports.arrow(name)}':>{2 * METRIC}}" for name in report["metrics"])
    heads = f"{'frame':{LABEL}}" + f"{'result':>{METRIC}}{'lifted':>{METRIC}}" * len(report["metrics"])
    groups += f"{'burnt-out pixels, %':>{3 * BURNT}}{'colour shift, Lab':>{3 * SHIFT}}"
    heads += "".join(f"{head:>{BURNT}}" for head in ("input", "result", "growth ↓"))
    heads += "".join(f"{head:>{SHIFT}}" for head in ("a*", "b*", "size ↓"))
    return "\n".join([
        f"{report['name']} on {report['data']}, without ground truth: {counted(count, 'frame')}",
        groups,
        heads,
        *(_row(reports.cut(row["frame"], LABEL - 1), row, report["metrics"]) for row in rows),
        _row("mean", report["mean"], report["metrics"]),
        "",
        *_words(report),
        *LEGEND.splitlines(),
    ])  # fmt: skip


def _row(label: str, row: dict, metrics: list[str]) -> str:
    both = (reports.shown(name, row[key]) for name in metrics for key in (name, f"{LIFTED}{name}"))
    line = f"{label:{LABEL}}" + "".join(f"{figure:>{METRIC}}" for figure in both)
    line += f"{row['input_burnt']:{BURNT}.2f}{row['burnt']:{BURNT}.2f}{row['burnt_growth']:+{BURNT}.2f}"
    return line + f"{row['shift_a']:+{SHIFT}.2f}{row['shift_b']:+{SHIFT}.2f}{row['colour_shift']:{SHIFT}.2f}"


def _words(report: dict) -> list[str]:
    """For each metric, on how many frames the result is better than the lifted input."""
    lines = []
    for name, found in report["frames_better"].items():
        side = "below" if scores.better(name) == "lower" else "above"
        missing = len(report["frames"]) - found["frames"]
        lines.append(f"{name.upper()} {side} the lifted input's on {found['better']} of {found['frames']} frames")
        if missing:
            lines[-1] += f" ({missing} more have none: too small, or nothing to see)"
    return lines
