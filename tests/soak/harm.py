"""Damages to a built dataset, one function a kind: each takes the folder and a random generator."""

import json
import random
from pathlib import Path

import cv2

from lolblur_synth.dataset import layout, manifest


def _image(out: Path, rng: random.Random) -> Path:
    return rng.choice(sorted(path for split in layout.SPLITS for path in (out / split).rglob("*.png")))


def _record(out: Path, rng: random.Random) -> Path:
    return rng.choice(sorted((out / layout.STATE / "pairs").rglob("*.json")))


def flip(out: Path, rng: random.Random) -> None:
    path = _image(out, rng)
    data = bytearray(path.read_bytes())
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data or b"x")


def truncate(out: Path, rng: random.Random) -> None:
    path = _image(out, rng)
    path.write_bytes(path.read_bytes()[: rng.randrange(max(1, path.stat().st_size))])


def delete(out: Path, rng: random.Random) -> None:
    _image(out, rng).unlink()


def add(out: Path, rng: random.Random) -> None:
    (_image(out, rng).parent / "9999.png").write_bytes(b"x")


def swap(out: Path, rng: random.Random) -> None:
    one, two = _image(out, rng), _image(out, rng)
    data = one.read_bytes()
    one.write_bytes(two.read_bytes() if two != one else b"x")
    two.write_bytes(data if two != one else b"x")


def tear_record(out: Path, rng: random.Random) -> None:
    path = _record(out, rng)
    path.write_bytes(path.read_bytes()[: rng.randrange(40)])


def lose_record(out: Path, rng: random.Random) -> None:
    _record(out, rng).unlink()


def tear_manifest(out: Path, rng: random.Random) -> None:
    data = (out / manifest.NAME).read_bytes()
    (out / manifest.NAME).write_bytes(data[: rng.randrange(len(data))])


def lie(out: Path, rng: random.Random) -> None:
    """A record that tells another exposure than was drawn."""
    path = _record(out, rng)
    record = layout.read_json(path)
    if record is None:
        return tear_record(out, rng)
    record["draws"]["darken"]["exposure"] = rng.random() / 10
    path.write_bytes(layout.to_json(record))


ALL = (flip, truncate, delete, add, swap, tear_record, lose_record, tear_manifest, lie)
KINDS = {kind.__name__: kind for kind in ALL}


def added(whole: Path, out: Path) -> list[Path]:
    """Images that the whole dataset has not: `build` leaves extra files where they are."""
    known = {path.relative_to(whole) for path in whole.rglob("*.png")}
    return [path for path in out.rglob("*.png") if path.relative_to(out) not in known]


def agreeing_lie(out: Path, rng: random.Random) -> str:
    """Change one value of one image, and its record and the manifest with it. Returns the pair."""
    path, folder = _record(out, rng), rng.choice(layout.FOLDERS)
    record = json.loads(path.read_text())
    image = layout.image_path(out, record["split"], folder, record["sequence"], record["name"])
    pixels = cv2.imread(str(image))[..., ::-1].copy()
    pixels[rng.randrange(pixels.shape[0]), rng.randrange(pixels.shape[1]), rng.randrange(3)] ^= 1 << rng.randrange(8)
    data = layout.encode_png(pixels, 3)
    image.write_bytes(data)
    record["sha256"][folder] = layout.checksums(pixels, data)
    path.write_bytes(layout.to_json(record))
    manifest.write(out)
    return record["pair"]
