"""A capture rate for each clip: `a.mp4@960` where inputs are named, and `clips.toml` beside the videos.

    ["GX010012.MP4"]        # a file, or a folder of frames, by its name or its path below clips.toml; or a pattern
    fps = 240

The more specific source prevails: NAME@RATE, then clips.toml, then --fps, then the metadata of the file. Standard
library only, so that a mistake in a path is reported at once.
"""

import contextlib
import difflib
import math
import os
import re
import tomllib
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from lolblur_synth.errors import RecipeError, UsageError
from lolblur_synth.files import listing

FILE = "clips.toml"
KEYS = ("fps",)
MAX_FPS = 1_000_000  # frames/s, as recipe.InputConfig.fps


class Named(NamedTuple):
    """A path on the command line and the capture rate behind its @, in frames/s, if any."""

    path: Path
    fps: float | None


def split(word: str | Path) -> Named:
    """`a.mp4@960` -> (a.mp4, 960); `240000/1001` is a rate too. A file whose name is `a.mp4@960` prevails.

    Raises UsageError where the path before the @ exists and the text after it is no rate.
    """
    text = os.fspath(word)
    head, at, tail = text.rpartition("@")
    if not at or not head or os.path.lexists(text):
        return Named(Path(text), None)
    fps = rate_of(tail)
    if fps is not None:
        return Named(Path(head), fps)
    if os.path.lexists(head):
        raise UsageError(f"{text}: {tail!r} is not a frame rate", f"write it as {head}@960, in frames/s")
    return Named(Path(text), None)  # no such file, which the caller reports


def rate_of(text: str) -> float | None:
    """The capture rate that a text such as 960 or 240000/1001 is, in frames/s; None where it is none."""
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(?:/([0-9]{1,9}))?", text)
    fps = float(match[1]) / float(match[2] or 1) if match and float(match[2] or 1) else 0.0
    return fps if 0 < fps <= MAX_FPS else None


def assign(inputs: Sequence, named: Sequence[Named]) -> list:
    """The inputs (`video.Input`) with the capture rates that the user gave, behind an @ or in a clips.toml.

    Raises UsageError where one clip has two rates, RecipeError for an error in a clips.toml.
    """
    tables: dict[Path, dict[str, float]] = {}
    return [replace(item, fps=_at(item, named) or _listed(item, named, tables)) for item in inputs]


def _at(item, named: Sequence[Named]) -> float | None:
    """The rate behind an @ of the clip itself, else of the innermost folder that has one."""
    rates: dict[int, set[float]] = {}
    for path, fps in named:
        top = os.path.abspath(path)
        if fps is not None and _lies_in(item.path, Path(top)):
            rates.setdefault(len(top), set()).add(fps)
    if not rates:
        return None
    innermost = rates[max(rates)]
    if len(innermost) > 1:
        both = " and ".join(f"{fps:g}" for fps in sorted(innermost))
        raise UsageError(f"{item.name}: two capture rates, {both} fps", "give one of them")
    return innermost.pop()


def _lies_in(path: Path, top: Path) -> bool:
    return path == top or top in path.parents or os.path.realpath(path) == os.path.realpath(top)


def _listed(item, named: Sequence[Named], tables: dict[Path, dict[str, float]]) -> float | None:
    """The rate in the nearest clips.toml that names the clip: beside it, or above it as far as the user's folder."""
    tops = [Path(os.path.abspath(path)) for path, _ in named]
    for folder in item.path.parents:
        if folder != item.path.parent and not any(top == folder or top in folder.parents for top in tops):
            return None
        if folder not in tables:
            tables[folder] = _read(folder / FILE)
        below = item.path.relative_to(folder).as_posix()
        matches = [key for key in tables[folder] if _names(key, below)]
        if matches:  # a name prevails over a pattern, and an earlier pattern over a later one
            return tables[folder][min(matches, key=lambda key: key not in (below, item.path.name))]
    return None


def _names(key: str, below: str) -> bool:
    """Whether a key of clips.toml, a name or a pattern, matches the file at the path `below` its folder."""
    key, below = (
        unicodedata.normalize("NFC", text) for text in (key, below)
    )  # macOS stores accents as characters of their own
    last = below.rpartition("/")[2]
    return key in (below, last) or fnmatchcase(below, key) or fnmatchcase(last, key)


def _read(path: Path) -> dict[str, float]:
    """name or pattern -> frames/s; empty where there is no such file. Raises RecipeError."""
    if not path.is_file():
        return {}
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise RecipeError(f"{path}: {error}", 'write ["VIDEO.MP4"] and below it fps = 240') from None
    rates = {}
    for clip, values in table.items():
        where = f"{path}:{_line(text, clip)}"
        if not isinstance(values, dict):
            raise RecipeError(f"{where}: {clip!r} is a value, not a clip",
                              f'write ["VIDEO.MP4"] above {clip} = {values!r}')  # fmt: skip
        for key, value in values.items():
            if isinstance(value, dict):
                raise RecipeError(f"{where}: a name with a dot needs quotes", f'write ["{clip}.{key}"]')
            if key not in KEYS:
                close = difflib.get_close_matches(key, KEYS, 1, 0.3)
                raise RecipeError(f"{where}: unknown key {key!r} of {clip!r}",
                                  f"did you mean {close[0]!r}?" if close else f"keys: {', '.join(KEYS)}")  # fmt: skip
        if not any(_names(clip, name) for name in _names_below(path.parent)):
            raise RecipeError(f"{where}: there is no {clip!r}", _suggestion(clip, list(_names_below(path.parent))))
        if "fps" in values:
            rates[clip] = _rate(values["fps"], where, clip)
    return rates


def _rate(value: object, where: str, clip: str) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not 0 < value <= MAX_FPS:
        raise RecipeError(f"{where}: fps = {value!r} of {clip!r} is not a frame rate", "write a number, as fps = 240")
    return float(value)


def _names_below(folder: Path) -> Iterator[str]:
    """Paths of all files and folders below `folder`, relative to it; those directly in it first."""
    with contextlib.suppress(OSError):  # an unreadable folder: `video.find` rejects its clips
        yield from (entry.path.name for entry in listing.entries(folder))
        yield from (entry.path.relative_to(folder).as_posix() for entry in listing.walk(folder))


def _suggestion(clip: str, names: list[str]) -> str:
    last = {name.rpartition("/")[2].lower(): name.rpartition("/")[2] for name in names}
    close = difflib.get_close_matches(clip.rpartition("/")[2].lower(), last, 1)
    return f"did you mean {last[close[0]]!r}?" if close else "name a video or a folder of frames that lies beside it"


def _line(text: str, clip: str) -> int:
    """The number of the line on which a table, or a value, begins."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip().startswith(("[", clip)) and clip in line:
            return number
    return 1
