"""An export for Hugging Face: the rows of its imagefolder loader, and the dataset card.

`datasets` infers the type of every column from the rows of each split, refuses splits that differ, and writes no struct
without fields to Parquet. So every column here is a text, a number or a truth value, in every row; the draws, whose
form depends on the recipe, are one text of JSON.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from lolblur_synth import recipes
from lolblur_synth.dataset import layout, stored
from lolblur_synth.dataset.report import columns
from lolblur_synth.errors import Damaged, RecipeError, counted

FIELDS = {  # column -> its type in the card, and what it holds
    "pair": ("string", "clip/frame in the dataset"),
    "source": ("string", "name of the video"),
    "source_sha256": ("string", "its checksum"),
    "fps": ("float64", "its capture rate"),
    "first": ("int64", "first source frame that was read"),
    "mid": ("int64", "source frame of the ground truth"),
    "last": ("int64", "last source frame that was read"),
    "window": ("int64", "source frames in the exposure"),
    "samples": ("int64", "samples that were averaged"),
    "exposure": ("float64", "mean L*/100 of the unsaturated pixels of the darkened frame"),
    "light": ("string", "light above white: measured or guessed"),
    "defocused": ("bool", "whether defocus was applied"),
    "noisy": ("bool", "whether noise was applied"),
    "draws": ("string", "JSON: everything that was drawn, one object a stage"),
}
FOLDERS = {
    "low_blur_noise": "the input: dark, blurred, noisy",
    "low_blur": "the input before noise",
    "low_sharp": "the middle frame, darkened",
    "high_sharp_scaled": "the ground truth: sharp, slightly dimmed",
    "high_sharp_original": "the middle frame after resize and denoise",
}
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))  # of Hugging Face
NUMBER = (int, float)
KINDS: dict[str, Any] = {  # of what a row and the card read in a line of the manifest
    "source": dict, "frames": list, "mid": int, "window": int, "samples": int, "exposure": NUMBER, "light": str,
    "draws": dict, "version": str,
}  # fmt: skip


def check(record: dict) -> None:
    """Raise Damaged where a line of the manifest lacks what a row is made of."""
    wrong = [name for name, kind in KINDS.items() if not isinstance(record.get(name), kind)]
    if not wrong:
        source, frames = record["source"], record["frames"]
        told: dict[str, Any] = {"name": str, "sha256": str, "fps": NUMBER}
        wrong = [f"source.{name}" for name, kind in told.items() if not isinstance(source.get(name), kind)]
        wrong += ["frames"] * (list(map(type, frames)) != [int, int])
        wrong += [name for name, value in (("fps", source.get("fps")), ("exposure", record["exposure"]))
                  if isinstance(value, float) and not math.isfinite(value)]  # fmt: skip
    if wrong:
        raise Damaged(f"manifest.jsonl: the line of {record['pair']} does not tell {', '.join(wrong)}",
                      "`lolblur-synth build` with the same videos writes the manifest anew")  # fmt: skip


def row(record: dict, files: dict[str, str]) -> bytes:
    """One line of metadata.jsonl. files: folder -> path of its image, relative to metadata.jsonl."""
    fields: dict[str, Any] = {f"{folder}_file_name": path for folder, path in files.items()}
    source = record["source"]
    fields |= {
        "pair": record["pair"], "source": source["name"], "source_sha256": source["sha256"],
        "fps": float(source["fps"]), "first": record["frames"][0], "mid": record["mid"], "last": record["frames"][1],
        "window": record["window"], "samples": record["samples"], "exposure": float(record["exposure"]),
        "light": record["light"], "defocused": bool(columns.defocus_radius(record)),
        "noisy": columns.is_noisy(record), "draws": json.dumps(record["draws"], sort_keys=True),
    }  # fmt: skip
    return (json.dumps(fields, allow_nan=False) + "\n").encode()


def card(out: Path, records: list[dict], folders: Sequence[str], name: str) -> str:
    """README.md of the export: front matter that Hugging Face reads, then how the dataset was made, and its figures.

    The licence is that of the user's footage, so the card leaves it to the user.
    """
    return "\n".join([*_front_matter(len(records), folders, name), "", f"# {name}", "", *_made(out, records), "",
                      *_columns(folders), "", *_figures(records), "", *_citation()]) + "\n"  # fmt: skip


def _front_matter(pairs: int, folders: Sequence[str], name: str) -> list[str]:
    size = next((word for most, word in SIZES if pairs < most), "n>1M")
    lines = ["---", f"pretty_name: {json.dumps(name)}", "# license: that of your footage; fill it in before you share",
             "task_categories:", "- image-to-image", "tags:"]  # fmt: skip
    lines += [f"- {tag}" for tag in ("low-light-enhancement", "deblurring", "image-restoration", "lolblur-synth")]
    lines += ["size_categories:", f"- {size}", "dataset_info:", "  features:"]
    for column, kind in [
        *((folder, "image") for folder in folders),
        *((key, kind) for key, (kind, _) in FIELDS.items()),
    ]:
        lines += [f"  - name: {column}", f"    dtype: {kind}"]
    return [*lines, "---"]


def _made(out: Path, records: list[dict]) -> list[str]:
    """How the dataset was made: program, recipe, and what the recipe changes of a built-in one."""
    versions = ", ".join(sorted({str(record["version"]) for record in records}))
    lines = ["Pairs for joint low-light enhancement and deblurring, made from high-frame-rate video by `lolblur-synth` "
             f"{versions}, after section 3.2 of [LEDNet](https://arxiv.org/abs/2202.03373) (ECCV 2022): frames are "
             "denoised, darkened, interpolated and averaged into one long exposure, then given the defocus and the "
             "noise of a camera; the middle frame is the ground truth."]  # fmt: skip
    try:
        recipe = stored.recipe(out)
    except RecipeError:  # written by a later version
        recipe = None
    if recipe is None:
        return lines
    base = recipe.name if recipe.name in recipes.names() else "lolblur"
    changes = recipes.changes(recipes.load(base), recipe)
    lines += ["", f"Recipe: `{recipe.name}`" + (f", which differs from the built-in `{base}` in:" if changes else ".")]
    return lines + ([""] if changes else []) + [f"* `{change}`" for change in changes]


def _columns(folders: Sequence[str]) -> list[str]:
    words = {folder: FOLDERS[folder] for folder in folders} | {column: what for column, (_, what) in FIELDS.items()}
    lines = ["## Columns", "", "| column | holds |", "|---|---|"]
    lines += [f"| `{column}` | {what} |" for column, what in words.items()]
    load = 'pairs = load_dataset("imagefolder", data_dir="HERE")'
    return [*lines, "", "```python", "from datasets import load_dataset", "", load, "```"]


def _figures(records: list[dict]) -> list[str]:
    def share(count: int) -> str:
        return f"{100 * count / len(records):.0f} %"

    exposures = [float(record["exposure"]) for record in records]
    rows = []
    for split in layout.SPLITS:
        chosen = [record for record in records if record["split"] == split]
        videos = len({record["source"]["sha256"] for record in chosen})
        rows.append((split, f"{counted(len(chosen), 'pair')} of {counted(videos, 'video')}"))
    windows = sorted({record["window"] for record in records})
    rows += [
        ("exposure, mean L*/100", f"{min(exposures):.3f} to {max(exposures):.3f}, median {median(exposures):.3f}"),
        ("window, source frames",
         ", ".join(f"{window} in {share(sum(r['window'] == window for r in records))}" for window in windows)),
        ("defocused", share(sum(bool(columns.defocus_radius(record)) for record in records))),
        ("noisy", share(sum(map(columns.is_noisy, records)))),
        ("light above white measured", share(sum(record["light"] == "measured" for record in records))),
    ]  # fmt: skip
    return ["## Figures", "", "| | |", "|---|---|", *(f"| {label} | {value} |" for label, value in rows)]


def _citation() -> list[str]:
    return ["## Citation", "", "S. Zhou, C. Li, C. C. Loy: LEDNet: Joint Low-light Enhancement and Deblurring in the "
            "Dark. ECCV 2022."]  # fmt: skip
