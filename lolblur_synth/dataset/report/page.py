"""The page: its data as one JSON block, its text by `assets/page.html.jinja`, its style and scripts inlined.

Whatever comes from a manifest or a file name is escaped: by Jinja2 in HTML, by `script_json` in the data, and the
scripts put it on the page as text only. A Content-Security-Policy lets no other script run and nothing be loaded.
"""

import base64
import hashlib
import json
import os
import shlex
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup

from lolblur_synth import recipes
from lolblur_synth.dataset import layout
from lolblur_synth.dataset.preview import CAPTIONS, spread
from lolblur_synth.dataset.report import columns, warnings
from lolblur_synth.dataset.report.figures import THUMB, Figures
from lolblur_synth.recipe.schema import Recipe

SCRIPTS = ("state.js", "list.js", "viewer.js", "details.js", "charts.js", "main.js")  # in this order, one script
SHEET_ROWS = 200  # most pairs on the contact sheet


class Place(NamedTuple):
    """Where the page lies: out: the dataset; target: the file; thumbnails: its folder of them, or None."""

    out: Path
    target: Path
    thumbnails: Path | None

    def link(self, path: Path) -> str:
        """A relative URL from the page to a file; every character that means something in URL or HTML is quoted."""
        relative = os.path.relpath(path.absolute(), self.target.absolute().parent).replace(os.sep, "/")
        return PurePosixPath("/" + relative).as_uri().removeprefix("file:///")

    def folder(self, path: Path) -> str:
        """A relative URL of a folder, with "/" at its end; empty for the folder of the page."""
        return self.link(path / "-").removesuffix("-")


def render(place: Place, pairs: list[dict], figures: list[Figures], state: dict) -> str:
    """The HTML text. pairs: of the manifest; figures: theirs; state: `verify.status`."""
    name, text = place.out.resolve().name, (place.out / "recipe.toml").read_text()
    recipe = recipes.parse(text, "recipe.toml")
    table = columns.table(pairs, figures)
    notes = warnings.of(pairs, figures, table, state)
    bands = warnings.bands(figures)
    data = table | {
        "root": place.folder(place.out),
        "thumbs": place.folder(place.thumbnails) if place.thumbnails else None,
        "folders": [[folder, CAPTIONS[folder]] for folder in layout.FOLDERS],
        "size": [recipe.resize.width, recipe.resize.height],
        "thumb": THUMB,
        "warnings": [_runs(note.pairs) for note in notes],
        "command": f"lolblur-synth build {{source}} again/ --recipe {shlex.quote(name + '/recipe.toml')}",
        "names": [shlex.quote(clip[2]) for clip in table["clips"]],
    }
    script = _asset("scripts")
    return _template().render(
        name=name,
        style=Markup(_asset("page.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=Markup(script_json(data)),
        cards=cards(pairs, table, state),
        warnings=[{"text": note.text, "link": _warning_link(note, number, pairs)} for number, note in enumerate(notes)],
        sheet=_sheet(place, pairs, figures, table),
        bands=[row | _positions(row) for row in bands],
        changes=_changes(recipe),
        base=_base(recipe),
        recipe=text,
        not_built=["; ".join(filter(None, (failure["message"], failure.get("hint"))))
                   for failure in state["failed"] + state["refused"]],
        folders=[(split, folder, place.folder(place.out / split / folder))
                 for split in layout.SPLITS if any(clip[1] == split for clip in table["clips"])
                 for folder in layout.FOLDERS],
        version=pairs[0].get("version"),
    )  # fmt: skip


def script_json(value: Any) -> str:
    """Compact JSON that neither ends a script block nor starts a comment in it, ASCII only."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def cards(pairs: list[dict], table: dict[str, Any], state: dict) -> list[tuple[str, str]]:
    """(label, value) of the figures at the top."""
    count = len(pairs)
    by_split = {split: sum(clip[5] for clip in table["clips"] if clip[1] == split) for split in layout.SPLITS}
    noisy = sum(map(columns.is_noisy, pairs))
    defocused = sum(bool(columns.defocus_radius(record)) for record in pairs)
    size = state["bytes"]
    return [
        ("clips", str(len(table["clips"]))),
        ("pairs", str(count)),
        ("train / test pairs", f"{by_split['train']} / {by_split['test']}"),
        ("failed or refused", str(len(state["failed"]) + len(state["refused"]))),
        ("left to build", str(state["left"])),
        ("with noise", f"{100 * noisy / count:.0f} %"),
        ("defocused", f"{100 * defocused / count:.0f} %"),
        ("size", f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"),
    ]


def _asset(name: str) -> str:
    folder = resources.files("lolblur_synth.dataset.report") / "assets"
    if name == "scripts":
        return "(() => {\n'use strict';\n" + "\n".join((folder / f).read_text("utf-8") for f in SCRIPTS) + "\n})();"
    return (folder / name).read_text("utf-8")


def _template() -> jinja2.Template:
    loader = jinja2.PackageLoader("lolblur_synth.dataset.report", "assets")
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("page.html.jinja")


def _runs(indices: tuple[int, ...]) -> list[list[int]]:
    """[first, count] of each run of neighbouring indices."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == sum(runs[-1]):
            runs[-1][1] += 1
        else:
            runs.append([index, 1])
    return runs


def _warning_link(note: warnings.Warning, number: int, pairs: list[dict]) -> dict[str, Any]:
    """Without scripts the first of its pairs; with them all of them, by its number."""
    if not note.pairs:
        return {"href": f"#{note.place}", "number": None}
    return {"href": f"#{pairs[note.pairs[0]]['pair']}", "number": number}


def _sheet(place: Place, pairs: list[dict], figures: list[Figures], table: dict[str, Any]) -> list[dict[str, Any]]:
    """The pairs of the contact sheet: all of a small dataset, else the first of each clip, evenly spread."""
    everything = list(range(len(pairs)))
    chosen = everything if len(pairs) <= SHEET_ROWS else spread([clip[4] for clip in table["clips"]], SHEET_ROWS)
    sheet = []
    for index in chosen:
        record, measured = pairs[index], figures[index]
        links = [
            (folder, place.link(layout.image_path(place.out, record["split"], folder, *record["pair"].split("/"))))
            for folder in layout.FOLDERS
        ]
        if place.thumbnails is not None and measured.level is not None:
            thumbnail = place.link(place.thumbnails / f"{record['pair']}.jpg")
        else:
            whole = dict(links)["high_sharp_scaled"]
            thumbnail = f"data:image/jpeg;base64,{measured.thumbnail}" if measured.thumbnail else whole
        sheet.append({"pair": record["pair"], "index": index, "source": columns.source(record).get("name"),
                      "words": "; ".join(columns.words(record)), "thumbnail": thumbnail, "links": links})  # fmt: skip
    return sheet


def _positions(row: dict[str, Any]) -> dict[str, float]:
    """Where the band and the percentiles of a fingerprint figure stand on their scale, per cent of its width."""
    marks = ("low", "high", "tenth", "median", "ninetieth")
    least, most = min(row[mark] for mark in marks), max(row[mark] for mark in marks)
    margin = 0.15 * (most - least) or 1.0
    return {f"{mark}_at": 100 * (row[mark] - least + margin) / (most - least + 2 * margin) for mark in marks}


def _base(recipe: Recipe) -> str:
    """The built-in recipe that a recipe is compared with: the one of its name, else the paper's."""
    return recipe.name if recipe.name in recipes.names() else "lolblur"


def _changes(recipe: Recipe) -> list[str]:
    return recipes.changes(recipes.load(_base(recipe)), recipe)
