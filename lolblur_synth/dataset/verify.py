"""`status` counts the pairs of a dataset, `verify` compares its files with their records. Neither changes a file."""

import hashlib
import itertools
from pathlib import Path

import cv2
import numpy as np

from lolblur_synth.dataset import journal, layout, manifest, record_checks, stored
from lolblur_synth.dataset.record_checks import Damage
from lolblur_synth.errors import Damaged, ForeignOutput, listed
from lolblur_synth.files import listing

LIGHT_IN_WORDS = "holds light above white: measured, not guessed"


def open_output(out: Path) -> dict:
    """The plan of a dataset folder. Raises ForeignOutput when out is not one, Damaged where the plan is no plan."""
    plan = stored.plan(out)
    if plan is None:
        raise ForeignOutput(f"{out} is not a lolblur-synth dataset", "make one: lolblur-synth build VIDEOS OUT")
    return plan


def status(out: Path) -> dict:
    """Counts and failures of a dataset folder, as a JSON-able dict."""
    plan = open_output(out)
    committed = {(str(r.get("sequence")), str(r.get("name"))) for r in layout.records(out)}
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
    """Compare every file of the dataset with its record, and the records with recipe and surveys; system files are
    ignored. No file of the dataset is changed; the log is told which pairs the next build is to make again.

    pixels: compare decoded pixels instead of bytes, so that PNGs encoded again count as whole.
    """
    plan = open_output(out)
    paths = sorted(e.path for e in _below(out / layout.STATE / "pairs") if e.path.suffix == ".json")
    whole: set[tuple[str, str, str]] = set()  # places of the records that can be read; the records are not kept
    damages: list[Damage] = []
    checks = record_checks.Checks(out)
    for path in paths:
        place, record = _place(path), layout.read_json(path)
        if record is None or not _describes(record, *place):
            damages.append(Damage("record", _relative(path, out), pair="/".join(place[1:])))
            continue
        whole.add(place)
        damages += _check_images(out, record, pixels)
        checks.see(record)
    damages += _absent(out, plan, {_place(path)[1:] for path in paths})
    damages += _extra(out, whole)
    damages += [Damage(word, path) for word, path in stored.damaged_stages(out)]
    damages += checks.damages + checks.leaks()
    if len(whole) == len(paths):
        damages += _check_manifest(out)
    note(out, damages)
    return damages


def note(out: Path, damages: list[Damage]) -> None:
    """Write into the log which pairs the next build is to make again."""
    if pairs := sorted({damage.pair for damage in damages if damage.pair}):
        journal.note_damage(out, pairs)


def _place(path: Path) -> tuple[str, str, str]:
    """Split, sequence and name that the path of a record stands for."""
    return path.parts[-3], path.parts[-2], path.stem


def _check_images(out: Path, record: dict, pixels: bool) -> list[Damage]:
    """The images of one record that are missing or corrupt."""
    damages = []
    for folder in layout.FOLDERS:
        image = layout.image_path(out, record["split"], folder, record["sequence"], record["name"])
        if word := _compare(image, record["sha256"][folder], pixels):
            damages.append(Damage(word, _relative(image, out), pair=f"{record['sequence']}/{record['name']}"))
    return damages


def _absent(out: Path, plan: dict, committed: set[tuple[str, str]]) -> list[Damage]:
    """Pairs of the plan that were neither built nor noted as failed."""
    told = committed | {(failure["sequence"], failure["name"]) for failure in layout.failures(out)}
    return [
        Damage("missing", f"{clip['split']}/*/{clip['sequence']}/{name}.png")
        for clip in plan["clips"]
        for name in clip["pairs"]
        if (clip["sequence"], name) not in told
    ]


def _extra(out: Path, whole: set[tuple[str, str, str]]) -> list[Damage]:
    """Files among the images that no record tells of. whole: places of the records."""

    def is_told(path: Path) -> bool:
        split, *parts = path.relative_to(out).parts
        return len(parts) == 3 and parts[0] in layout.FOLDERS and path.suffix == ".png" and (
            (split, parts[1], path.stem) in whole)  # fmt: skip

    return [
        Damage("extra", _relative(path, out))
        for split in layout.SPLITS
        for path, kind in sorted(_below(out / split))
        if kind not in (listing.FOLDER, listing.LINKED_FOLDER) and not is_told(path)
    ]


def _below(folder: Path) -> list[listing.Entry]:
    """Everything below a folder of the dataset but system files; nothing where the folder does not exist yet."""
    return list(listing.walk(folder)) if folder.is_dir() else []


def _describes(record: dict, split: str, sequence: str, name: str) -> bool:
    """Whether a record is complete and describes the pair in whose place it lies."""
    if not layout.NUMBER.fullmatch(sequence) or not layout.NUMBER.fullmatch(name):
        return False
    if (record.get("split"), record.get("sequence"), record.get("name")) != (split, sequence, name):
        return False
    return layout.are_checksums(record.get("sha256"))


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
    """The manifest, where it is not what the records give; with the lines that tell something else than theirs."""
    words = []
    try:
        rows = itertools.zip_longest(manifest.rows(out), map(manifest.line, layout.records(out)))
        for number, (told, expected) in enumerate(rows, 1):
            if told is None or expected is None:
                words.append(f"line {number}: {'missing' if told is None else 'without a record'}")
            elif told != expected:
                wrong = listed(record_checks.differences(expected, told))
                words.append(f"line {number}: {wrong or 'more than its record'}")
    except Damaged as error:
        return [Damage("stale", manifest.NAME, str(error))]
    return [Damage("stale", manifest.NAME, listed(words))] if words else []


def _relative(path: Path, out: Path) -> str:
    return path.relative_to(out).as_posix()
