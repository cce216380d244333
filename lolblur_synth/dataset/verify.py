"""`status` counts the pairs of a dataset, `verify` compares its files with their records. Neither changes anything."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from lolblur_synth.dataset import layout, manifest, stored
from lolblur_synth.errors import Damaged, ForeignOutput
from lolblur_synth.files import listing

NUMBER = re.compile(r"\d{4,}")  # every sequence and frame has such a name; others in a record are never used as paths

LIGHT_IN_WORDS = "holds light above white: measured, not guessed"


@dataclass(frozen=True)
class Damage:
    """word: missing, corrupt, extra (a file without a record), stale (manifest and records disagree), record."""

    word: str
    path: str


def open_output(out: Path) -> dict:
    """The plan of a dataset folder. Raises ForeignOutput when out is not one."""
    plan = layout.read_json(out / layout.STATE / "plan.json")
    if plan is None or "clips" not in plan:
        raise ForeignOutput(f"{out} is not a lolblur-synth dataset", "make one: lolblur-synth build VIDEOS OUT")
    return plan


def status(out: Path) -> dict:
    """Counts and failures of a dataset folder, as a JSON-able dict."""
    plan = open_output(out)
    committed = {(r.get("sequence"), r.get("name")) for r in layout.records(out)}
    planned = {(clip["sequence"], name): clip for clip in plan["clips"] for name in clip["pairs"]}
    failed = [f for f in layout.failures(out) if (f.get("sequence"), f.get("name")) not in committed]
    images = [entry.path for split in layout.SPLITS for entry in _below(out / split)
              if entry.kind == listing.FILE and entry.path.suffix == ".png"]  # fmt: skip
    return {
        "out": str(out),
        "planned": len(planned),
        "done": len(committed & planned.keys()),
        "failed": [
            {"pair": f"{f['sequence']}/{f['name']}"} | {key: f.get(key) for key in ("reason", "message", "hint")}
            for f in failed
        ],
        "refused": plan.get("refused", []),
        "left": len(planned.keys() - committed),
        "train": sum(clip["split"] == "train" for clip in plan["clips"]),
        "test": sum(clip["split"] == "test" for clip in plan["clips"]),
        "measured": sorted(clip["name"] for clip in plan["clips"] if clip.get("light") == "measured"),
        "bytes": sum(path.stat().st_size for path in images),
    }


def verify(out: Path, pixels: bool = False) -> list[Damage]:
    """Compare every file of the dataset with its record; system files are ignored.

    pixels: compare decoded pixels instead of bytes, so that PNGs encoded again count as whole.
    """
    plan = open_output(out)
    damages, expected = [], set()
    records = sorted(e.path for e in _below(out / layout.STATE / "pairs") if e.path.suffix == ".json")
    for path in records:
        split, sequence, name = path.parts[-3], path.parts[-2], path.stem
        record = layout.read_json(path)
        if record is None or not _describes(record, split, sequence, name):
            damages.append(Damage("record", _relative(path, out)))
            continue
        for folder in layout.FOLDERS:
            image = layout.image_path(out, split, folder, sequence, name)
            expected.add(image)
            word = _compare(image, record["sha256"][folder], pixels)
            if word:
                damages.append(Damage(word, _relative(image, out)))
    committed = {(path.parts[-2], path.stem) for path in records}
    for clip in plan["clips"]:
        failed = {f["name"] for f in layout.failures(out) if f["sequence"] == clip["sequence"]}
        damages += [
            Damage("missing", f"{clip['split']}/*/{clip['sequence']}/{name}.png")
            for name in clip["pairs"]
            if (clip["sequence"], name) not in committed and name not in failed
        ]
    for split in layout.SPLITS:
        for path, kind in sorted(_below(out / split)):
            if path not in expected and kind not in (listing.FOLDER, listing.LINKED_FOLDER):
                damages.append(Damage("extra", _relative(path, out)))
    damages += [Damage(word, path) for word, path in stored.damaged_stages(out)]
    if not any(damage.word == "record" for damage in damages):
        damages += _check_manifest(out)
    return damages


def _below(folder: Path) -> list[listing.Entry]:
    """Everything below a folder of the dataset but system files; nothing where the folder does not exist yet."""
    return list(listing.walk(folder)) if folder.is_dir() else []


def _describes(record: dict, split: str, sequence: str, name: str) -> bool:
    """Whether a record is complete and describes the pair in whose place it lies."""
    if not NUMBER.fullmatch(sequence) or not NUMBER.fullmatch(name):
        return False
    if (record.get("split"), record.get("sequence"), record.get("name")) != (split, sequence, name):
        return False
    sums = record.get("sha256")
    return isinstance(sums, dict) and all({"file", "pixels", "bytes"} <= sums.get(f, {}).keys() for f in layout.FOLDERS)


def _compare(image: Path, sums: dict, pixels: bool) -> str:
    """`missing`, `corrupt`, or nothing for an image that agrees with its record."""
    try:
        data = image.read_bytes()
    except OSError:
        return "missing"
    if not pixels:
        return "" if hashlib.sha256(data).hexdigest() == sums["file"] else "corrupt"
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if decoded is None:
        return "corrupt"
    return "" if layout.pixel_checksum(decoded[..., ::-1]) == sums["pixels"] else "corrupt"


def _check_manifest(out: Path) -> list[Damage]:
    try:
        same = manifest.read(out) == [manifest.line(record) for record in layout.records(out)]
    except Damaged:
        same = False
    return [] if same else [Damage("stale", manifest.NAME)]


def _relative(path: Path, out: Path) -> str:
    return path.relative_to(out).as_posix()
