"""The tool behind `lolblur-synth report`: one HTML file that shows a dataset to a person, without network and scripts.

The text is in `report.html.jinja`; what it shows is collected here.
"""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import jinja2
import numpy as np

from lolblur_synth import recipes
from lolblur_synth.dataset import layout, manifest, verify
from lolblur_synth.dataset.preview import CAPTIONS, THUMB, drawn, spread
from lolblur_synth.errors import Damaged, UsageError
from lolblur_synth.files import atomic

PAIRS_SHOWN = 8
HISTOGRAM_BINS = 8
BAR_WIDTH = 260  # px, of the fullest bin
HISTOGRAMS: dict[str, Callable[[dict], float | None]] = {  # title -> the value of a manifest record
    "requested exposure (mean L*/100, unsaturated)": lambda pair: pair["draws"].get("darken", {}).get("exposure"),
    "window (source frames)": lambda pair: pair["window"],
    "clip_reverse r (8-bit code values)": lambda pair: pair["draws"].get("clip_reverse", {}).get("r"),
    "ISO": lambda pair: pair["draws"].get("noise", {}).get("iso") or None,
}


class Bin(NamedTuple):
    """One bar of a histogram. low, high: edges in the unit of the title; width: of the bar, px."""

    low: float
    high: float
    pairs: int
    width: int


def write(out: Path, target: Path | None = None) -> Path:
    """Write the report of the dataset `out` to `target`, out/report.html by default; returns its path.

    Raises ForeignOutput (no dataset), UsageError (no pairs yet), Damaged (an image is missing or unreadable).
    """
    state, pairs = verify.status(out), manifest.read(out)
    if not pairs:
        raise UsageError(f"{out} has no pairs yet", "run `lolblur-synth build` first")
    recipe = (out / "recipe.toml").read_text()
    page = _template().render(
        name=out.resolve().name,
        done=state["done"],
        summary=_summary(state, pairs),
        pairs=[_pair(out, pair) for pair in spread(pairs, PAIRS_SHOWN)],
        histograms={title: bins for title, value in HISTOGRAMS.items() if (bins := _histogram(pairs, value))},
        changes=recipes.changes(recipes.load("lolblur"), recipes.parse(recipe, "recipe.toml")),
        recipe=recipe,
        not_built=["; ".join(filter(None, (failure["message"], failure.get("hint"))))
                   for failure in state["failed"] + state["refused"]],
    )  # fmt: skip
    path = target or out / "report.html"
    atomic.write(path, page.encode("utf-8", "backslashreplace"))  # a file name may hold bytes that are no text
    return path


def _template() -> jinja2.Template:
    loader = jinja2.PackageLoader("lolblur_synth", "dataset")
    return jinja2.Environment(loader=loader, autoescape=True).get_template("report.html.jinja")


def _summary(state: dict, pairs: list[dict]) -> dict[str, Any]:
    skipped = sorted({stage for pair in pairs for stage in pair["skipped"]})
    return {
        "train / test videos": f"{state['train']} / {state['test']}",
        "left to build": state["left"],
        "failed or refused": len(state["failed"]) + len(state["refused"]),
        "size": f"{state['bytes'] / 1e6:.0f} MB",
        "stages left out": ", ".join(skipped) or "none",
        "version": pairs[0]["version"],
    }


def _pair(out: Path, record: dict) -> dict:
    """What the page shows of one pair: its name, its draws in words and its five images."""
    sequence, name = record["pair"].split("/")
    images = [
        {
            "folder": folder,
            "caption": CAPTIONS[folder],
            "link": f"{record['split']}/{folder}/{record['pair']}.png",
            "thumbnail": _thumbnail(layout.image_path(out, record["split"], folder, sequence, name)),
        }
        for folder in layout.FOLDERS
    ]
    return {"name": record["pair"], "source": record["source"]["name"], "draws": drawn(record), "images": images}


def _thumbnail(path: Path) -> str:
    """The image as a small JPEG in base64. Raises Damaged where it cannot be read."""
    try:
        pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error):
        pixels = None
    if pixels is None:
        raise Damaged(f"{path} is missing or damaged", "`lolblur-synth build` makes it again")
    height = max(1, round(pixels.shape[0] * THUMB / pixels.shape[1]))
    small = cv2.resize(pixels, (THUMB, height), interpolation=cv2.INTER_AREA)
    return base64.b64encode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()).decode()


def _histogram(pairs: list[dict], value: Callable[[dict], float | None]) -> list[Bin]:
    values = [number for number in map(value, pairs) if number is not None]
    if not values:
        return []
    counts, edges = np.histogram(values, bins=min(HISTOGRAM_BINS, len(set(values))))
    return [
        Bin(low, high, int(count), int(BAR_WIDTH * count // max(counts)))
        for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True)
    ]
