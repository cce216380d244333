"""The tool behind `lolblur-synth report`: one HTML file that shows a dataset to a person. No network, no scripts."""

import base64
import html
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from lolblur_synth import recipes
from lolblur_synth.dataset import layout, manifest, verify
from lolblur_synth.dataset.preview import CAPTIONS, THUMB, drawn, spread
from lolblur_synth.errors import UsageError

SHOWN = 8  # pairs on the contact sheet
STYLE = """
body { background: #16181d; color: #d8dbe2; font: 15px/1.5 system-ui, sans-serif }
body { margin: 2em auto; padding: 0 1.5em; max-width: 1900px }
h1, h2 { font-weight: 500 }
table { border-collapse: collapse }
td, th { padding: .2em .9em .2em 0; text-align: left; vertical-align: top }
figure { margin: 0 }
img { width: 100%; display: block; border-radius: 3px }
.row { display: grid; grid-template-columns: repeat(5, 1fr); gap: 8px }
.note { color: #8d93a1; font-size: 13px }
.bar { background: #5b84d6; height: 12px; display: inline-block; border-radius: 2px }
"""


def write(out: Path, target: Path | None = None) -> Path:
    """Write the report of the dataset `out` to `target`, out/report.html by default."""
    state, pairs = verify.status(out), manifest.read(out)
    if not pairs:
        raise UsageError(f"{out} has no pairs yet", "run `lolblur-synth build` first")
    parts = [
        f"<!doctype html><meta charset=utf-8><title>{html.escape(out.resolve().name)}</title><style>{STYLE}</style>",
        f"<h1>{html.escape(out.resolve().name)}: {state['done']} pairs</h1>",
        _summary(state, pairs),
        "<h2>Pairs</h2>",
        *[_row(out, pair) for pair in spread(pairs, SHOWN)],
        "<h2>Draws</h2>",
        *[_histogram(title, pairs, value) for title, value in HISTOGRAMS.items()],
        "<h2>Recipe</h2>",
        _recipe(out),
    ]
    if state["failed"] or state["refused"]:
        parts += [
            "<h2>Not built</h2><ul>",
            *[
                f"<li>{html.escape('; '.join(filter(None, (f['message'], f.get('hint')))))}"
                for f in state["failed"] + state["refused"]
            ],  # fmt: skip
            "</ul>",
        ]
    path = target or out / "report.html"
    layout.write_atomic(out, path, "\n".join(parts).encode("utf-8", "backslashreplace"))
    return path


def _summary(state: dict, pairs: list[dict]) -> str:
    off = sorted({stage for pair in pairs for stage in pair["skipped"]})
    rows = {
        "train / test videos": f"{state['train']} / {state['test']}",
        "left to build": state["left"],
        "failed or refused": len(state["failed"]) + len(state["refused"]),
        "size": f"{state['bytes'] / 1e6:.0f} MB",
        "stages left out": ", ".join(off) or "none",
        "version": pairs[0]["version"],
    }
    return "<table>" + "".join(f"<tr><th>{k}<td>{html.escape(str(v))}" for k, v in rows.items()) + "</table>"


def _row(out: Path, pair: dict) -> str:
    figures = []
    for folder in layout.FOLDERS:
        sequence, name = pair["pair"].split("/")
        data = layout.image_path(out, pair["split"], folder, sequence, name).read_bytes()
        link = f"{pair['split']}/{folder}/{pair['pair']}.png"
        figures.append(
            f'<figure><a href="{link}"><img src="data:image/jpeg;base64,{_thumbnail(data)}"></a>'
            f"<figcaption class=note>{folder}<br>{CAPTIONS[folder]}</figcaption></figure>"
        )
    source = html.escape(pair["source"]["name"])
    return (
        f"<p>{pair['pair']} <span class=note>{source}, {drawn(pair)}</span></p><div class=row>{''.join(figures)}</div>"
    )


def _thumbnail(data: bytes) -> str:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    height = max(1, round(pixels.shape[0] * THUMB / pixels.shape[1]))
    small = cv2.resize(pixels, (THUMB, height), interpolation=cv2.INTER_AREA)
    return base64.b64encode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 88])[1]).decode()


HISTOGRAMS: dict[str, Callable[[dict], float | None]] = {
    "requested exposure (mean L*/100, unsaturated)": lambda pair: pair["draws"].get("darken", {}).get("exposure"),
    "window (source frames)": lambda pair: pair["window"],
    "clip_reverse r (8-bit code values)": lambda pair: pair["draws"].get("clip_reverse", {}).get("r"),
    "ISO": lambda pair: pair["draws"].get("noise", {}).get("iso") or None,
}


def _histogram(title: str, pairs: list[dict], value: Callable[[dict], float | None]) -> str:
    values = [v for v in map(value, pairs) if v is not None]
    if not values:
        return ""
    counts, edges = np.histogram(values, bins=min(8, len(set(values))))
    rows = "".join(
        f"<tr><td>{low:.3g} to {high:.3g}<td><span class=bar style='width:{260 * n // max(counts)}px'></span> {n}"
        for n, low, high in zip(counts, edges[:-1], edges[1:], strict=True)
    )
    return f"<h3>{title}</h3><table>{rows}</table>"


def _recipe(out: Path) -> str:
    text = (out / "recipe.toml").read_text()
    changes = recipes.changes(recipes.load("lolblur"), recipes.parse(text, "recipe.toml"))
    differs = "".join(f"<li>{html.escape(change)}" for change in changes)
    return (
        f"<p>Departures from recipe lolblur:<ul>{differs or '<li>none'}</ul>"
        f"<details><summary>all values</summary><pre>{html.escape(text)}</pre></details>"
    )
