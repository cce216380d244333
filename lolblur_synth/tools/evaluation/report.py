"""The report of `evaluate` as tables for a terminal, as JSON and as CSV."""

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path

from lolblur_synth.errors import counted
from lolblur_synth.files import atomic
from lolblur_synth.tools.evaluation import comparison
from lolblur_synth.tools.evaluation.scores import ALIGNED, better

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
PUBLISHED = ("psnr_rgb", "ssim_y", "lpips_vgg")  # the metrics of that table
BY_CLIP = (*PUBLISHED, "lpips_alex", "niqe")  # metrics for the table of clips, the preferred ones first
CLIP_COLUMNS = 3  # of these, as they are and aligned: what a terminal has room for
LABEL, COLUMN = 22, 13  # characters, of the first column at least, and of a column of figures
CLIP, GAIN = 18, 8  # likewise in the table of clips; a column of figures is as wide as its head
NAME = 20  # characters of the results' name that head a column
ALIGNMENT = """\
aligned: after the gamma and the gain that bring each frame closest to its ground truth (least squared error
  in RGB); what is left is sharpness, noise and colour. The other figures are measured on that same frame."""
BASELINES = {  # what needs no network
    "input": "the dark frames",
    "auto_exposure": "a gamma, and the gain that gives each frame the mean of the training truths",
    "fitted_gamma_gain": "one gamma and gain for all frames, learnt from the training pairs",
    "gamma_gain": "each frame's best gamma and gain: it sees the ground truth",
}


def table(report: dict) -> str:
    """The report as text: what was scored, a row a clip, the means, what they say, and the paper's Table 1 beneath."""
    width = max(CLIP, *(len(row["clip"]) + 1 for row in report["clips"]))
    lines = [
        f"{report['name']} on {report['data']}, split {report['split']}: "
        f"{counted(len(report['clips']), 'clip')}, {counted(len(report['frames']), 'frame')}, "
        f"{report['pair'].replace(':', ' -> ')}",
        *_clips(report, width),
        "",
        *_means(report, max(LABEL, *(len(name) + 3 for name in report["metrics"]))),
        "",
        *_identical(report),
        *comparison.in_words(report["comparison"]),
        *ALIGNMENT.splitlines(),
        *(f"({name}): {BASELINES[name]}" for name in report["baselines"]),
        "",
        "The paper's Table 1 (LOL-Blur test set: comparable only if DATA is that set)",
        _heads("", PUBLISHED, LABEL + 3),
    ]
    lines += [
        f"{name:{LABEL + 3}}{psnr:{COLUMN}.2f}" + "".join(f"{figure:{COLUMN}.3f}" for figure in others)
        for name, psnr, *others in PAPER
    ]
    return "\n".join(lines)


def _clips(report: dict, width: int) -> list[str]:
    """A row a clip: its main figures, as they are and aligned, and by how much PSNR lies above the input's."""
    some = ([name for name in BY_CLIP if name in report["metrics"]] or report["metrics"])[:CLIP_COLUMNS]
    heads = [f"{name} {arrow(name)}" for name in some]
    wide = [max(len(head), GAIN) + 2 for head in heads]
    gains = comparison.COMPARED if report["comparison"] else {}

    def line(label: str, figures: Sequence[str], differences: Sequence[str]) -> str:
        cells = "".join(f"{figure:>{size}}" for figure, size in zip(figures, [*wide, *wide], strict=True))
        return f"{label:{width}}{cells}" + "".join(f"{difference:>{GAIN + 2}}" for difference in differences)

    groups = f"{'':{width}}{'as they are':>{sum(wide)}}{'aligned':>{sum(wide)}}"
    lines = [groups + ("  dB above the input" if gains else ""), line("clip", [*heads, *heads], [*gains])]
    for row in report["clips"]:
        figures = [shown(name, row[f"{prefix}{name}"]) for prefix in ("", ALIGNED) for name in some]
        differences = [row[name] - row[f"{comparison.INPUT}{name}"] for name in gains.values()]
        lines.append(line(row["clip"], figures, [_signed(value) for value in differences]))
    return lines


def _means(report: dict, width: int) -> list[str]:
    """The means: a row a metric, as they are and aligned; a column for the results, and one for each baseline."""
    columns = {cut(report["name"], NAME): report["mean"]}
    columns |= {f"({name})": mean for name, mean in report["baselines"].items()}

    def row(label: str, figures: Sequence[str]) -> str:
        cells = zip(columns, figures, strict=True)
        return f"{label:{width}}" + "".join(f"{figure:>{max(len(head) + 2, COLUMN - 3)}}" for head, figure in cells)

    lines = [row("mean over frames", list(columns))]
    for prefix, title in (("", "as they are"), (ALIGNED, "aligned")):
        lines.append(f"- {title}")
        for name in report["metrics"]:
            figures = [shown(name, mean.get(f"{prefix}{name}", math.nan)) for mean in columns.values()]
            lines.append(row(f"{name} {arrow(name)}", figures))
    return lines


def _identical(report: dict) -> list[str]:
    """A line for each figure that frames equal to their ground truth make infinite."""
    return [
        f"{name}: infinite for {count} of {len(report['frames'])} frames, equal to their ground truth there; "
        "means leave them out"
        for name, count in report["identical"].items()
        if count and count != report["identical"].get(name.removeprefix(ALIGNED) if name.startswith(ALIGNED) else "")
    ]


def _heads(label: str, names: Sequence[str], width: int) -> str:
    return f"{label:{width}}" + "".join(f"{f'{name} {arrow(name)}':>{COLUMN}}" for name in names)


def arrow(name: str) -> str:
    return "↓" if better(name) == "lower" else "↑"


def shown(name: str, value: float) -> str:
    """A figure in the digits that it deserves: dB to 0.01, the others to 0.0001; "-" where there is none."""
    if math.isnan(value):
        return "-"
    return f"{value:.2f}" if "psnr" in name else f"{value:.4f}"


def _signed(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:+.2f}"


def cut(text: str, size: int) -> str:
    """At most `size` characters of a name: its end, which tells frames and runs apart."""
    return text if len(text) <= size else f"..{text[2 - size :]}"


def write(out: Path, report: dict) -> None:
    """evaluation.csv, one row a frame, and evaluation.json, everything."""
    out.mkdir(parents=True, exist_ok=True)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(report["frames"][0]))
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
