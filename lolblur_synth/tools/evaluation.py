"""The report of `evaluate` as a table for a terminal, as JSON and as CSV."""

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path

from lolblur_synth.files import atomic

LOWER_IS_BETTER = ("lpips_alex", "lpips_vgg", "niqe")
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
COLUMN = 20  # characters, of a column of figures


def table(report: dict) -> str:
    """The report as text: what was scored, a row a clip, the means, and the paper's Table 1 beneath."""
    names, means = report["metrics"], {report["name"]: report["mean"]}
    means |= {f"({name})": mean for name, mean in report["baselines"].items()}
    width = max(24, *(len(label) + 1 for label in (*means, *(row["clip"] for row in report["clips"]))))
    lines = [
        f"{report['name']} on {report['data']}, split {report['split']}: "
        f"{_counted(report['clips'], 'clip')}, {_counted(report['frames'], 'frame')}, "
        f"{report['pair'].replace(':', ' -> ')}",
        _heads("clip", names, width),
    ]
    lines += [_row(row["clip"], row, names, width) for row in report["clips"]]
    lines += [_heads("mean over frames", names, width)]
    lines += [_row(label, mean, names, width) for label, mean in means.items()]
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
        _heads("", published, width),
    ]
    lines += [
        f"{name:{width}}{psnr:{COLUMN}.2f}" + "".join(f"{figure:{COLUMN}.3f}" for figure in others)
        for name, psnr, *others in PAPER
    ]
    return "\n".join(lines)


def _counted(items: Sequence, noun: str) -> str:
    return f"{len(items)} {noun}{'' if len(items) == 1 else 's'}"


def _heads(label: str, names: Sequence[str], width: int) -> str:
    marked = [f"{name} {'↓' if name in LOWER_IS_BETTER else '↑'}" for name in names]
    return f"{label:{width}}" + "".join(f"{head:>{COLUMN}}" for head in marked)


def _row(label: str, figures: dict[str, float], names: Sequence[str], width: int) -> str:
    return f"{label:{width}}" + "".join(f"{_figure(figures[name]):>{COLUMN}}" for name in names)


def _figure(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"


def write(out: Path, report: dict) -> None:
    """evaluation.csv, one row a frame, and evaluation.json, everything."""
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
