"""Which video a pair comes from, so that none is trained on in one place and held out in another.

A dataset that was built here says it in its manifest.jsonl, by the sha256 of the video, or of the picture where `shoot`
made the clip: clips of one picture show one scene. Elsewhere the name of the clip stands for it.
"""

import dataclasses
import hashlib
import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lolblur_synth.dataset import manifest
from lolblur_synth.dataset.pair_folders import PAIR, Folder, Pair, clip_names, pairs_in, scan, split_name
from lolblur_synth.errors import InputError

VALIDATION_SHARE = 0.1
SHOT_NUMBER = re.compile(r"-\d+$")  # of the second and further clips that `shoot` makes of a picture
WHOLE_BYTES = 256 << 20  # frames of a dataset that are read whole to tell whether they are the same: about a second
SAMPLE_BYTES = 4096  # of a frame in a larger dataset, at its start, middle and end
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeldOut:
    """A clip that is in a split other than train. source: "" where no manifest tells; names: what it may be called;
    homes: the real folders that hold the splits of its dataset."""

    root: Path
    homes: frozenset[str]
    split: str
    source: str
    names: frozenset[str]


class _Dataset:
    """A root, the folders of a pair of modalities in it, and what its manifest says of its clips."""

    def __init__(self, root: Path, pair: tuple[str, str], split: str):
        self.root, self.pair = Path(root), pair
        self.folders = scan(self.root, pair, split)
        self.clips: dict[tuple[str, str], tuple[str, str]] = {}  # (split, clip) -> (sha256, name) of its video
        homes = {_home(self.root, folder) for folder in self.folders if folder.split}
        self.homes = frozenset(map(os.path.realpath, homes))
        for home in sorted(homes):
            if (home / manifest.NAME).is_file():
                self.clips |= _clips(manifest.read(home))

    def held_out(self) -> list[HeldOut]:
        """Every clip of this dataset that is not for training, told by its manifest and by its folders."""
        told = [HeldOut(self.root, self.homes, split, sha256, frozenset((clip, Path(name).stem)))
                for (split, clip), (sha256, name) in self.clips.items() if split != "train"]  # fmt: skip
        seen = {(folder.split, name) for folder in self.folders if folder.split not in ("", "train") and folder.images
                for name in clip_names(folder)}  # fmt: skip
        return told + [HeldOut(self.root, self.homes, split, "", frozenset((clip,)))
                       for split, clip in sorted(seen - self.clips.keys())]  # fmt: skip

    def pairs(self, split: str) -> list[Pair]:
        word = split_name(split) or split
        told = {pair: self.clips.get((word, pair.clip), ("", ""))
                for pair in pairs_in(self.folders, self.root, split, self.pair)}  # fmt: skip
        return [dataclasses.replace(pair, source=sha256, video=name) for pair, (sha256, name) in told.items()]


def gather(roots: Sequence[Path], split: str, pair: tuple[str, str] = PAIR, beside: Sequence[Path] = ()) -> list[Pair]:
    """The pairs of several datasets as one, sorted by clip, dataset and frame. Raises InputError.

    Of the train split, pairs whose video is held out in any of the datasets are left out, with a warning. Two clips are
    of one video where their sha256 is the same, or, if one of them has none, their name, in different datasets.
    beside: more datasets whose held-out videos count, where their manifests tell the sha256.
    """
    sets = [_Dataset(root, pair, split) for root in roots]
    pairs = [(pair_of.clip, place, pair_of) for place, data in enumerate(sets) for pair_of in data.pairs(split)]
    pairs = _each_once(sets, pairs)
    pairs.sort(key=lambda item: (*item[:2], item[2].frame))
    if split_name(split) != "train":
        return [pair_of for _, _, pair_of in pairs]
    _refuse_folders_in_two_splits(sets)
    held_out = [clip for data in sets for clip in data.held_out()]
    held_out += [clip for root in beside for clip in _Dataset(root, pair, split).held_out() if clip.source]
    counts = Counter((place, clip) for clip, place, _ in pairs)
    reasons = {(place, clip): _match(sets[place], clip, held_out) for place, clip in counts}
    for (place, clip), reason in reasons.items():
        if reason is not None:
            _log_left_out(sets[place], clip, counts[place, clip], reason)
    left = [pair_of for clip, place, pair_of in pairs if reasons[place, clip] is None]
    if pairs and not left:
        raise InputError(f"{', '.join(map(str, roots))}: nothing is left to train on: every video is also in a test "
                         "split", "train on other videos, or leave out the dataset that holds them in test",
                         "leak")  # fmt: skip
    return left


def _each_once(sets: Sequence[_Dataset], pairs: list[tuple[str, int, Pair]]) -> list[tuple[str, int, Pair]]:
    """Without the pairs of a root whose folders were read from a root before it: given twice, or once by a link."""
    real = {folder: os.path.realpath(folder) for folder in {pair.low.parent for _, _, pair in pairs}}
    first: dict[str, int] = {}  # folder -> the root that is read for it
    kept = [item for item in pairs if first.setdefault(real[item[2].low.parent], item[1]) == item[1]]
    for place, data in enumerate(sets):
        again = sum(item[1] == place for item in pairs) - sum(item[1] == place for item in kept)
        if again:
            log.warning("%s: %d pairs are in a dataset given before it as well; they are used once", data.root, again)
    return kept


def _refuse_folders_in_two_splits(sets: Sequence[_Dataset]) -> None:
    """Raise where one folder, by whatever links, is of the train split here and held out there."""
    held_out = {os.path.realpath(folder.path): folder for data in sets for folder in data.folders
                if folder.split not in ("", "train") and folder.images}  # fmt: skip
    for data in sets:
        for folder in data.folders:
            other = held_out.get(os.path.realpath(folder.path)) if folder.split == "train" and folder.images else None
            if other:
                raise InputError(f"{folder.path} and {other.path} are one folder, once in the train split and once in "
                                 f"{other.split}", "leave one of them out of the DATA", "leak")  # fmt: skip


def _home(root: Path, folder: Folder) -> Path:
    """The folder that holds the splits, and the manifest beside them."""
    return root.joinpath(*folder.top[:-1]) if folder.top else Path(os.path.realpath(root)).parent


def _clips(records: Iterable) -> dict[tuple[str, str], tuple[str, str]]:
    """(split, clip) -> (sha256, name) of its video, or picture; lines of another kind of manifest are passed over."""
    clips = {}
    for record in records:
        source = record.get("source") if isinstance(record, dict) else None
        if isinstance(source, dict) and isinstance(source.get("sha256"), str):
            clip, picture = str(record.get("pair")).rpartition("/")[0], source.get("picture")
            scene = picture if isinstance(picture, str) and picture else source["sha256"]
            clips[str(record.get("split")), clip] = scene, str(source.get("name"))
    return clips


def _match(data: _Dataset, clip: str, held_out: Sequence[HeldOut]) -> HeldOut | None:
    """The held-out clip that is of the same video as a clip to train on, if there is one."""
    sha256, name = data.clips.get(("train", clip), ("", ""))
    names = {clip, Path(name).stem} - {""}
    for other in held_out:
        if sha256 and other.source:
            if sha256 == other.source:
                return other
        elif not data.homes & other.homes and names & other.names:
            return other
    return None


def _log_left_out(data: _Dataset, clip: str, count: int, reason: HeldOut) -> None:
    sha256, name = data.clips.get(("train", clip), ("", ""))
    by_name = not (sha256 and reason.source)
    what = "a clip of this name" if by_name else f"its video, {name!r:.80} (sha256 {sha256[:12]}),"
    log.warning("%s: %d pairs of clip %s are left out of the training: %s is in the %s split of %s%s", data.root, count,
                clip, what, reason.split, reason.root, "" if not by_name else
                "; without a manifest.jsonl in both, names alone tell")  # fmt: skip


def hold_out(pairs: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
    """(training, validation): the last tenth of the videos, at least one, is for validation.

    Clips of one video stay together, under whatever names several datasets have them. With a single video it is the
    last tenth of its frames, at least one. Raises InputError for fewer than two pairs.
    """
    if len(pairs) < 2:
        raise InputError("one pair is not enough to train and to validate", "build more pairs", "too-few")
    units = _by_video(pairs)
    if len(units) == 1:
        units = _grouped(pairs, [pair.frame for pair in pairs])
    if len(units) == 1:
        units = [[pair] for pair in pairs]
    kept = len(units) - max(1, round(VALIDATION_SHARE * len(units)))
    return [pair for unit in units[:kept] for pair in unit], [pair for unit in units[kept:] for pair in unit]


def _by_video(pairs: Sequence[Pair]) -> list[list[Pair]]:
    """The pairs of each video, in the order in which they come first.

    A clip without a sha256 goes with all clips of its name, since it may be of the same video as any of them. Videos
    whose files have one name go together: `shoot` names a clip after its picture, and two clips of one picture show the
    same scene (NAME-2.mkv is the second one).
    """
    nameless = {pair.clip for pair in pairs if not pair.source}
    leader: dict[str, str] = {}

    def find(key: str) -> str:
        while leader.setdefault(key, key) != key:
            key = leader[key]
        return key

    keys = [pair.source or f"clip {pair.clip}" for pair in pairs]
    for pair, key in zip(pairs, keys, strict=True):
        if pair.clip in nameless:
            leader[find(f"clip {pair.clip}")] = find(key)
        if pair.video:
            leader[find(f"scene {SHOT_NUMBER.sub('', Path(pair.video).stem)}")] = find(key)
    return _grouped(pairs, [find(key) for key in keys])


def _grouped(pairs: Sequence[Pair], keys: Sequence[str]) -> list[list[Pair]]:
    groups: dict[str, list[Pair]] = {}
    for pair, key in zip(pairs, keys, strict=True):
        groups.setdefault(key, []).append(pair)
    return list(groups.values())


def content_hash(pairs: Sequence[Pair]) -> str:
    """sha256 of what the frames of the pairs hold; a copy, or a touched file, has the same.

    Small datasets are read whole. Of large ones the length and three samples of each file are: a PNG ends with a
    checksum of all of its pixels (Adler-32, RFC 1950), so that its last bytes tell one frame from another.
    Raises InputError where a frame is gone.
    """
    files = [file for pair in pairs for file in (pair.low, pair.high)]
    digest = hashlib.sha256()
    try:
        sizes = [os.stat(file).st_size for file in files]
        whole = sum(sizes) <= WHOLE_BYTES
        for file, size in zip(files, sizes, strict=True):
            digest.update(size.to_bytes(8, "little"))
            with open(file, "rb") as stream:
                if whole:
                    digest.update(hashlib.file_digest(stream, "sha256").digest())
                    continue
                for start in (0, size // 2, size - SAMPLE_BYTES):
                    stream.seek(max(0, start))
                    digest.update(stream.read(SAMPLE_BYTES))
    except OSError as error:
        raise InputError(f"{error.filename}: {error.strerror}", "restore the frame", "missing") from error
    return digest.hexdigest()
