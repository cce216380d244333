"""What `verify` can tell of the records alone, without the videos: whether each says what the recipe and the survey of
its video give, and whether one source is in both splits.

The draws of a pair are a function of recipe, seed, video and pair. The survey, which is kept in OUT/.lolblur/surveys,
holds what else they depend on; a record's key says which survey that was.
"""

import collections
import dataclasses
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

from lolblur_synth import __version__
from lolblur_synth.dataset import keys, layout, stored, survey
from lolblur_synth.dataset.records import Clip, Job, Pair, VideoInfo
from lolblur_synth.errors import InputError, RecipeError, listed
from lolblur_synth.recipe.schema import Recipe

DEVICES = ("cpu", "cuda")  # classes that a key may be of
SAME = 1e-9  # relative; another processor's libm may differ in the last bit of a drawn float


@dataclasses.dataclass(frozen=True)
class Damage:
    """One fault of a dataset. path: inside the dataset; pair: "0003/0012" where building that pair anew repairs it.

    word: missing, corrupt, extra (a file without a record), stale (manifest and records disagree), record (not
    readable), recipe (a pair of another recipe), draws (a record that says what was not drawn), leak (one source in
    both splits), differs (another result when it was made again).
    """

    word: str
    path: str
    note: str = ""
    pair: str = ""


class Origin(NamedTuple):
    """What a record was made of, as far as its key proves it."""

    clip: Clip
    pair: Pair
    device: str


class Checks:
    """Takes the records of a dataset one by one: `see`. `damages`: pairs of another recipe, and records that lie about
    a draw; `leaks`: sources in both splits.

    Without recipe or surveys nothing can be told of draws, nor of pairs of other versions, whose draws may differ, nor
    of recipes with stages of the user, whose code is not run unasked.
    """

    def __init__(self, out: Path):
        self.damages: list[Damage] = []
        self.origins: Origins | None = None
        self.place_by_token: dict[str, tuple[str, str]] = {}  # (split, sequence) in which a source was seen first
        self.crossings: dict[tuple[str, str], tuple[str, str]] = {}
        try:
            recipe = stored.recipe(out)
        except RecipeError as error:
            self.damages.append(Damage("recipe", "recipe.toml", str(error)))
            return
        videos = surveyed(out)
        if recipe is not None and not recipe.stages and videos:
            self.origins = Origins(recipe, videos)

    def see(self, record: dict) -> None:
        if self.origins and record.get("version") == __version__ and (damage := _check(record, self.origins)):
            self.damages.append(damage)
        source = record.get("source")
        source = source if isinstance(source, dict) else {}
        tokens = source.get("sha256"), source.get("picture"), record["sha256"]["high_sharp_original"]["pixels"]
        place = record["split"], record["sequence"]
        for token in map(str, filter(None, tokens)):
            other = self.place_by_token.setdefault(token, place)
            if other[0] != place[0]:
                self.crossings |= {place: other, other: place}

    def leaks(self) -> list[Damage]:
        """Sequences with one video, one picture, or the same source frame as a sequence of the other split."""
        return [Damage("leak", f"{split}/*/{sequence}", f"the same source as {other[0]}/*/{other[1]}")
                for (split, sequence), other in sorted(self.crossings.items())]  # fmt: skip


def _check(record: dict, origins: "Origins") -> Damage | None:
    path = layout.record_path(Path(), record["split"], record["sequence"], record["name"]).as_posix()
    pair = f"{record['sequence']}/{record['name']}"
    origin = origins.of(record)
    if origin is None:
        return Damage("recipe", path, "not made by this recipe from a surveyed video", pair)
    wrong = differences(origins.expected(record, origin), record)
    return Damage("draws", path, f"not what was drawn: {listed(wrong)}", pair) if wrong else None


class Origins:
    """Finds the survey, the planned pair and the device class that the key of a record stands for."""

    def __init__(self, recipe: Recipe, videos: dict[str, list[VideoInfo]]):
        self.recipe, self.videos = recipe, videos
        self.clips: dict[tuple[VideoInfo, str, str, str], Clip | None] = {}

    def of(self, record: dict) -> Origin | None:
        source = record.get("source")
        source = source if isinstance(source, dict) else {}
        for info in self.videos.get(str(source.get("sha256")), []):
            clip = self._clip(info, str(source.get("name")), record["sequence"], record["split"])
            pair = next((pair for pair in clip.pairs if pair.name == record["name"]), None) if clip else None
            if clip is None or pair is None:
                continue
            for device in DEVICES:
                if keys.key(self.recipe, clip, pair, record.get("weights", {}), device) == record.get("key"):
                    return Origin(clip, pair, device)
        return None

    def expected(self, record: dict, origin: Origin) -> dict:
        """What the record must hold, but for what was measured on the frames."""
        from lolblur_synth.dataset import worker  # torch

        job = Job(self.recipe, origin.clip, keys={origin.pair: record["key"]}, weights=record.get("weights", {}))
        return json.loads(layout.to_json(worker.describe(origin.pair, job)))

    def _clip(self, info: VideoInfo, name: str, sequence: str, split: str) -> Clip | None:
        """The clip that a survey gives at a place of the dataset; None where not one exposure fits into it."""
        from lolblur_synth.dataset import plan  # torch, for which `status` need not wait

        place = (info, name, sequence, split)
        if place not in self.clips:
            try:
                pairs = plan.place(info, self.recipe)
            except (InputError, ArithmeticError, ValueError):  # numbers that no survey finds
                self.clips[place] = None
            else:
                numbered = tuple(dataclasses.replace(pair, sequence=sequence) for pair in pairs)
                self.clips[place] = Clip(sequence, split, dataclasses.replace(info, name=name), numbered)
        return self.clips[place]


def surveyed(out: Path) -> dict[str, list[VideoInfo]]:
    """sha256 -> what surveys of that content found; several where it was read with different options."""
    found: dict[str, list[VideoInfo]] = collections.defaultdict(list)
    for path in sorted((out / layout.STATE / "surveys").glob("*.json")):
        values = layout.read_json(path)
        if values is not None and survey.is_survey(values):
            info = survey.from_json(values)
            if info not in found[info.sha256]:
                found[info.sha256].append(info)
    return dict(found)


def differences(expected: Any, told: Any, name: str = "") -> list[str]:
    """Names of the values that differ, such as `draws.noise.iso`."""
    if isinstance(expected, dict) and isinstance(told, dict):
        parts = [differences(value, told.get(key), f"{name}.{key}".lstrip(".")) for key, value in expected.items()]
        return [word for part in parts for word in part]
    if isinstance(expected, list) and isinstance(told, list) and len(expected) == len(told):
        parts = [differences(*pair, name) for pair in zip(expected, told, strict=True)]
        return [word for part in parts for word in part][:1]
    if isinstance(expected, float) and isinstance(told, float | int):
        return [] if math.isclose(expected, told, rel_tol=SAME, abs_tol=SAME) else [name]
    return [] if expected == told else [name]
