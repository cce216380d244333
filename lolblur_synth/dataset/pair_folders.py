"""Where the pairs of a dataset lie: which folder is a split, which a modality, which a clip.

    OUT/{train,test}/low_blur_noise/<clip>/<frame>.png     built here, and LOL-Blur, also below LOLBlur/, LOL-Blur/, …
    OUT/{train,test}/low_blur_noise/<clip>_<frame>.png     flat
    OUT/{train,test}/<clip>/blur/<frame>.png               GoPro and others: one folder a scene
    OUT/blur/{train,test}/<clip>/<frame>.png               modality first

The innermost folder that is called like a split decides; the root's own name counts only where no split lies inside.
Every frame of a modality is used, or the dataset is refused: nothing is read in part.
"""

import logging
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lolblur_synth.dataset import layout
from lolblur_synth.errors import InputError, UsageError
from lolblur_synth.files import listing
from lolblur_synth.files.video import DISPLAY_SUFFIXES

PAIR = ("low_blur_noise", "high_sharp_scaled")  # LOL-Blur README: input, ground truth
SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test", "eval": "eval", "val": "val",
          "valid": "val", "validation": "val"}  # fmt: skip
BUILD = "build a dataset first: lolblur-synth build VIDEOS OUT"
FLAT = re.compile(r"(.+)_(\d[^_]*)")  # my_clip_0001_0003: frame 0003 of my_clip_0001
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pair:
    """Two files that show the same frame; clip and frame are their names in the dataset."""

    low: Path
    high: Path
    clip: str
    frame: str
    source: str = ""  # sha256 of the video, where a manifest tells it
    video: str = ""  # its file's name, likewise


@dataclass(frozen=True)
class Folder:
    """A folder of one modality, or inside one, and the images that lie directly in it."""

    path: Path
    modality: str
    split: str  # "" where no folder says it
    top: tuple[str, ...]  # from the root down to the split
    scene: tuple[str, ...]  # folders between the split and the modality
    clip: tuple[str, ...]  # folders below the modality
    images: tuple[Path, ...]


def pair_names(text: str) -> tuple[str, str]:
    """ "low_blur_noise:high_sharp_scaled" -> its two folders. Raises UsageError."""
    names = tuple(text.split(":"))
    if len(names) != 2 or not all(names):
        raise UsageError(f"--pair {text}: expected INPUT:TARGET", "for example low_blur_noise:high_sharp_scaled")
    return names


def find_pairs(root: Path, split: str, pair: tuple[str, str] = PAIR) -> list[Pair]:
    """All pairs of a split, sorted by clip and frame. Raises InputError where a folder or a partner is missing."""
    return pairs_in(scan(root, pair, split), root, split, pair)


def pairs_in(folders: Sequence[Folder], root: Path, split: str, pair: tuple[str, str] = PAIR) -> list[Pair]:
    """The pairs of a split among the folders that `scan` found. Raises InputError."""
    low, high = (_frames(folders, Path(root), split, name) for name in pair)
    alone = sorted(low.keys() ^ high.keys())
    if alone:
        where = pair[0] if alone[0] in low else pair[1]
        raise InputError(
            f"{root}: {len(alone)} {split} frames have no partner, first {'/'.join(alone[0])} of {where}",
            "restore the missing frames, or remove their partners",
            "unpaired",
        )
    if not low:
        raise InputError(f"{root}: no {split} pairs", BUILD, "empty")
    return [Pair(low[key], high[key], *key) for key in sorted(low)]


def split_name(name: str) -> str:
    """The split that a folder's name stands for ("Training" is "train"), "" for any other name."""
    return SPLITS.get(name.lower(), "")


def scan(root: Path, names: Sequence[str], split: str = "train") -> list[Folder]:
    """Every folder of the modalities `names` under the root, in every split.

    split: one that is looked for, whose name may be none of SPLITS. Raises InputError where there is no such folder,
    and where the split of a folder is not clear.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder", BUILD, "missing")
    strange: list[Path] = []
    skipped = {*layout.FOLDERS} - {*names}
    folders = [_folder(path, parts, names, split, strange) for path, parts in _walk(root, (), (), skipped)
               if any(part in names for part in parts)]  # fmt: skip
    if strange:
        log.warning("%s: %d files beside the frames are no images that are read here, first %s", root, len(strange),
                    strange[0])  # fmt: skip
    _check_nesting(folders)
    inside = any(folder.split for folder in folders)
    own = "" if inside else _own_split(root, split)
    return [folder if folder.split or not own else Folder(**(vars(folder) | {"split": own})) for folder in folders]


def clip_names(folder: Folder) -> set[str]:
    """What the clips whose frames lie directly in a folder may be called, however it is nested."""
    if folder.clip or folder.scene:
        return {"/".join(folder.clip), "/".join(folder.scene + folder.clip)} - {""}
    return {_flat(image.stem)[0] for image in folder.images}


def _flat(stem: str) -> tuple[str, ...]:
    """(clip, frame) of frames that lie together, by the last number in their names; one word where there is no clip."""
    found = FLAT.fullmatch(stem)
    return found.groups() if found else tuple(stem.split("_", 1))


def _walk(folder: Path, parts: tuple[str, ...], above: tuple, skipped: set[str]) -> Iterator[tuple[Path, tuple]]:
    """Every folder below, linked ones too: modalities are often links to another disk. Links that lead back are not
    followed."""
    try:
        state = os.stat(folder)
        entries = listing.entries(folder)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}", "make it readable, or move it out of the dataset") from error
    here = (state.st_dev, state.st_ino)
    if here in above:
        return
    yield folder, parts
    for entry in entries:
        if entry.kind in (listing.FOLDER, listing.LINKED_FOLDER) and entry.path.name not in skipped:
            yield from _walk(entry.path, (*parts, entry.path.name), (*above, here), skipped)


def _folder(path: Path, parts: tuple[str, ...], names: Sequence[str], split: str, strange: list[Path]) -> Folder:
    """What the names on the way from the root say of a folder. Adds to `strange` the files in it that are no images."""
    last = max(place for place, part in enumerate(parts) if part in names)
    modality = parts[last]
    first = parts.index(modality)
    words = [split_name(part) or (split if part == split else "") for part in parts]
    over = [place for place in range(first) if words[place]]
    under = [place for place in range(first + 1, len(parts)) if words[place] and parts[place] != modality]
    place = over[-1] if over else under[-1] if under else -1
    # Frames directly in low/train/ are a clip called "train" or a split: it matters where another split encloses it.
    unclear = bool(over) or place == len(parts) - 1
    outside = words[over[-1]] if over else split_name(Path(os.path.abspath(path)).parents[len(parts) - 1].name)
    images = tuple(listing.files(path, DISPLAY_SUFFIXES))
    if under and unclear and images and outside not in ("", words[under[-1]]):
        raise InputError(f"{path}: is this of the {outside} split, or of {words[under[-1]]}?", "rename the folder "
                         f"{parts[under[-1]]}: no clip of a dataset can be called like a split", "layout")  # fmt: skip
    strange += [entry.path for entry in listing.entries(path) if entry.kind == listing.FILE
                and entry.path.suffix.lower() not in DISPLAY_SUFFIXES]  # fmt: skip
    scene = tuple(part for part in parts[place + 1 : last] if part != modality)
    below = tuple(part for part in parts[max(place, last) + 1 :] if part != modality)
    return Folder(path, modality, words[place] if place >= 0 else "", parts[: place + 1], scene, below, images)


def _own_split(root: Path, split: str) -> str:
    """The split that the root itself is, by its name as given, or where it is a link, by that of its target.

    Raises InputError where one of the two names says train and the other says that it is held out.
    """
    places = [Path(os.path.abspath(root)), Path(os.path.realpath(root))]
    words = [word for place in places if (word := split_name(place.name) or (split if place.name == split else ""))]
    if "train" in words and set(words) != {"train"}:
        raise InputError(f"{root} leads to {places[1]}: is it of the {words[0]} split, or of {words[1]}?",
                         "give the folder itself, not the link", "layout")  # fmt: skip
    return words[0] if words else ""


def _check_nesting(folders: Sequence[Folder]) -> None:
    """Raise where one split lies in another and frames in both: which of the two is meant cannot be told."""
    tops = {(folder.modality, folder.top): folder for folder in folders if folder.images}
    for (modality, top), inner in tops.items():
        for end in range(1, len(top)):
            if outer := tops.get((modality, top[:end])):
                raise _twofold(outer, inner)


def _twofold(one: Folder, other: Folder) -> InputError:
    return InputError(f"{one.path} and {other.path} are nested differently, and both hold frames of {one.modality}",
                      "give the one that is meant as DATA, or move the other elsewhere", "layout")  # fmt: skip


def _frames(folders: Sequence[Folder], root: Path, split: str, modality: str) -> dict[tuple[str, str], Path]:
    """(clip, frame) -> image, for a modality of a split."""
    wanted = split_name(split) or split
    ours = [folder for folder in folders if folder.modality == modality]
    folders = [folder for folder in ours if folder.split == wanted]
    if not folders:
        apart = next((folder for folder in ours if not folder.split and folder.images), None)
        if apart and _own_split(root, split) == wanted:  # the root's name would count, were there no split in it
            raise _twofold(apart, next(folder for folder in ours if folder.split))
        raise InputError(f"{root}: no folder {split}/{modality}", "a dataset has train/ and test/ with one folder a "
                         "modality", "missing")  # fmt: skip
    folders = [folder for folder in folders if folder.images]
    for folder in folders[1:]:
        alike = (folder.top, len(folder.scene), bool(folder.clip))
        if alike != (folders[0].top, len(folders[0].scene), bool(folders[0].clip)):
            raise _twofold(folders[0], folder)
    wrapped = len({folder.scene for folder in folders}) == 1 and any(folder.clip for folder in folders)
    frames: dict[tuple[str, str], Path] = {}
    for folder in folders:
        names = folder.clip if wrapped else folder.scene + folder.clip  # one folder around all of them names no clip
        for image in folder.images:
            key = ("/".join(names), image.stem) if names else _flat(image.stem)
            if len(key) != 2:
                raise InputError(f"{image}: frames that lie together are called <clip>_<frame>{image.suffix}",
                                 "put the frames of each clip into a folder of its own", "layout")  # fmt: skip
            if key in frames:
                raise InputError(f"{frames[key]} and {image} are the same frame twice", "remove one of them", "twins")
            frames[key] = image
    return frames
