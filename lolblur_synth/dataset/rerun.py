"""`verify --rerun K`: makes K random pairs again from their records and videos, and compares every pixel."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lolblur_synth import __version__
from lolblur_synth.dataset import build, checks, journal, keys, layout, record_checks, stored
from lolblur_synth.dataset.record_checks import Damage, differences
from lolblur_synth.dataset.records import Clip, Job, Listener, Pair
from lolblur_synth.dataset.sources import Inputs, Sources, Word
from lolblur_synth.errors import InputError, UsageError, counted
from lolblur_synth.files import remote
from lolblur_synth.parallel import machine
from lolblur_synth.recipe.schema import Recipe


class Rerun(NamedTuple):
    """seed: of the choice; pairs: that were made again; damages: of those that differ; left: pairs that could not be
    made here, since their video is not among those given, or another version or kind of device made them."""

    seed: int
    pairs: list[str]
    damages: list[Damage]
    left: int


class Candidate(NamedTuple):
    """A built pair and what makes it again."""

    record: dict
    clip: Clip
    pair: Pair


def rerun(
    out: Path, count: int, seed: int, videos: Sequence[Word] = (), recipe: Recipe | None = None, device: str = "auto",
    listener: Listener = lambda kind, fields: None,
) -> Rerun:  # fmt: skip
    """Make `count` pairs of the dataset again, chosen with `seed`, and compare. Writes no file of the dataset.

    videos: as `build` was given; none: those of the last build of this folder. recipe: None: that of the dataset,
    unless it names code, which is not run unasked. listener: called with "rerun" after each pair.
    Raises UsageError where the videos are not known, InputError where none of them is a source of the dataset.
    """
    paths = list(videos) or journal.inputs(out)
    if not paths:
        raise UsageError("--rerun needs the VIDEOS: the records hold their checksums, not their places",
                         f"lolblur-synth verify VIDEOS {out} --rerun {count}")  # fmt: skip
    checks.check_inputs(paths, out)
    recipe = checks.ready(recipe or stored.to_continue(out) or _no_recipe(out))
    stored.check_recipe(out, recipe)
    device = machine.resolve_device(device)
    with Sources(paths).inputs() as inputs:
        candidates, left = _candidates(out, inputs, recipe, device, listener)
        if not candidates:
            shown = ", ".join(remote.shown(str(path)) for path in paths)
            raise InputError(f"no pair of {out} can be made again from {shown}",
                             "give the videos that it was built from; of another version, or another kind of device, "
                             "build them anew", "none")  # fmt: skip
        chosen = random.Random(seed).sample(candidates, min(count, len(candidates)))
        damages = []
        for candidate in chosen:
            damages += _compare(out, candidate, recipe, device)
            listener("rerun", {"pair": candidate.record["pair"], "of": len(chosen)})
    return Rerun(seed, [candidate.record["pair"] for candidate in chosen], damages, left)


def _no_recipe(out: Path) -> Recipe:
    raise UsageError(f"{out} has no recipe.toml", "build it again: the same command continues")


def _candidates(
    out: Path, inputs: Inputs, recipe: Recipe, device: str, listener: Listener
) -> tuple[list[Candidate], int]:
    """The built pairs that can be made again here, and the number of the others."""

    def notes_only(kind: str, fields: dict) -> None:
        if kind == "survey" and fields["todo"]:
            listener(kind, fields)

    plan, _ = build.prepare(inputs, out, recipe, None, device, notes_only, write=False)
    planned = {(clip.video.sha256, clip.split, pair.sequence, pair.name): (clip, pair)
               for clip in plan.clips for pair in clip.pairs}  # fmt: skip
    found, left = [], 0
    for record in layout.records(out):
        source = record.get("source")
        place = (source.get("sha256") if isinstance(source, dict) else None, record.get("split"),
                 record.get("sequence"), record.get("name"))  # fmt: skip
        if place in planned and record.get("version") == __version__ and _is_of(device, record, recipe, planned[place]):
            found.append(Candidate(record, *planned[place]))
        else:
            left += 1
    return found, left


def _is_of(device: str, record: dict, recipe: Recipe, planned: tuple[Clip, Pair]) -> bool:
    """Whether this kind of device made a pair; a key that fits none counts as this one's, since it is damage."""
    weights, key = record.get("weights", {}), record.get("key")
    classes = [kind for kind in record_checks.DEVICES if key == keys.key(recipe, *planned, weights, kind)]
    return not classes or device.split(":")[0] in classes


def _compare(out: Path, candidate: Candidate, recipe: Recipe, device: str) -> list[Damage]:
    """One Damage for each image whose pixels differ from what is made now, and one where the record does."""
    from lolblur_synth.dataset import worker  # torch

    record, clip, pair = candidate
    weights = keys.weight_hashes(recipe)
    key = keys.key(recipe, clip, pair, weights, device)
    worker.check_content(clip.video)
    images, made = worker.synthesise(Job(recipe, clip, device, keys={pair: key}, weights=weights), pair)
    name = record["pair"]
    damages = [
        Damage("differs", layout.image_path(Path(), clip.split, folder, pair.sequence, pair.name).as_posix(),
               _distance(out, record, folder, images[folder]), name)
        for folder in layout.FOLDERS
        if layout.pixel_checksum(images[folder]) != _told(record, folder)
    ]  # fmt: skip
    wrong = differences(json.loads(layout.to_json(made)), record)
    if wrong:
        path = layout.record_path(Path(), clip.split, pair.sequence, pair.name).as_posix()
        damages.append(Damage("differs", path, f"made again it says otherwise: {', '.join(wrong)}", name))
    return damages


def _told(record: dict, folder: str) -> str:
    """The checksum that a record tells of an image's pixels."""
    try:
        return str(record["sha256"][folder]["pixels"])
    except (KeyError, TypeError):
        return ""


def _distance(out: Path, record: dict, folder: str, made: np.ndarray) -> str:
    """How far an image is from what was made again, in words."""
    from lolblur_synth.files import images

    path = layout.image_path(out, record["split"], folder, record["sequence"], record["name"])
    try:
        stored_pixels = np.rint(255 * images.read_image(path))
    except InputError:
        return "it cannot be read"
    if stored_pixels.shape != made.shape:
        return "of another size"
    difference = np.abs(stored_pixels - made)
    if not difference.any():
        return "the record tells another checksum"
    return f"{counted(int((difference > 0).sum()), 'value')} differ, by at most {difference.max():.0f}"


def as_json(result: Rerun) -> dict:
    """For `--json`."""
    return {"seed": result.seed, "pairs": result.pairs, "left": result.left,
            "differ": sorted({damage.pair for damage in result.damages})}  # fmt: skip
