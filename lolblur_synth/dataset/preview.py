"""The tool behind `lolblur-synth preview`: a contact sheet, one row a pair, of a dataset or a future one."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from lolblur_synth.dataset import build, checks, layout, manifest
from lolblur_synth.dataset.records import Job, Listener
from lolblur_synth.dataset.sources import Sources, Word
from lolblur_synth.errors import Damaged, UsageError
from lolblur_synth.files import atomic, images, video
from lolblur_synth.parallel import machine
from lolblur_synth.recipe.schema import Recipe
from lolblur_synth.stages.user import in_words

Row = tuple[dict, dict[str, np.ndarray]]  # a record; folder -> (H, W, 3) float32 display RGB
THUMB = 360  # px wide
GAP, LINE = 8, 22  # px between pictures; height of a line of text
GROUND, INK = (22, 24, 29), (216, 219, 226)  # RGB
CAPTIONS = {
    "low_blur_noise": "input: dark, blurred, noisy",
    "low_blur": "dark, blurred",
    "low_sharp": "dark, sharp",
    "high_sharp_scaled": "ground truth",
    "high_sharp_original": "source frame, resized",
}


def write(
    paths: Sequence[Word], target: Path, recipe: Recipe, count: int = 6, *, jobs: int | None = None,
    device: str = "auto", listener: Listener = lambda kind, fields: None,
) -> int:  # fmt: skip
    """Write the sheet `target` (PNG or JPEG) of a dataset folder, or of videos; returns the number of its rows.

    A dataset: `count` of its pairs, evenly spread. Videos: `count` pairs that a build with this recipe would make, the
    same pixels; nothing else is written. Raises UsageError, InputError (no usable video), Damaged.
    """
    if target.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise UsageError(f"{target}: not a picture", "name a .png or .jpg file")
    if len(paths) == 1 and (Path(paths[0]) / layout.STATE).is_dir():
        out = Path(paths[0])
        for split in layout.SPLITS:
            checks.check_inputs([out / split] * (out / split).is_dir(), target)
        rows = _built(out, count)
    else:
        checks.check_inputs(paths, None)
        recipe = checks.ready(recipe)
        if video.find(checks.on_disk(paths))[0]:
            checks.check_inputs(paths, target)  # else the next build would read the picture as a frame
        rows = _synthesised(paths, recipe, count, jobs, device, listener)
    sheet = [_row(record, pictures) for record, pictures in rows]
    ok, data = cv2.imencode(target.suffix.lower(), np.concatenate([_heading(sheet[0].shape[1]), *sheet])[..., ::-1])
    if not ok:
        raise UsageError(f"{target}: the sheet could not be encoded", "ask for fewer rows")
    atomic.write(target, data.tobytes())
    return len(sheet)


def drawn(record: dict) -> str:
    """The draws of a pair in words."""
    draws = record["draws"]
    words = [f"{record['window']} source frames around {record['mid']}"]
    if "darken" in draws:
        words.append(f"exposure {draws['darken']['exposure']:.2f}")
    if "clip_reverse" in draws and draws["clip_reverse"].get("r") is not None:
        words.append(f"r {draws['clip_reverse']['r']:.0f}")
    if "defocus" in draws:
        words.append("defocused" if draws["defocus"]["applied"] else "in focus")
    if "noise" in draws:
        words.append(f"ISO {draws['noise']['iso']:.0f}" if draws["noise"]["applied"] else "no noise")
    words += [in_words(name, draws[name]) for name in record.get("stages", {})]  # of the user
    return ", ".join(words)


def spread(items: list, count: int) -> list:
    """At most `count` of the items, evenly spread, first and last among them."""
    return [items[round(i)] for i in np.linspace(0, len(items) - 1, min(count, len(items)))]


def _built(out: Path, count: int) -> Iterator[Row]:
    records = manifest.read(out)
    if not records:
        raise UsageError(f"{out} has no pairs yet", "run `lolblur-synth build` first")
    for record in spread(records, count):
        paths = [layout.image_path(out, record["split"], f, *record["pair"].split("/")) for f in layout.FOLDERS]
        for path in paths:
            if not path.is_file():
                raise Damaged(f"{path} is missing", "`lolblur-synth build` makes it again")
        yield record, {f: images.read_image(path) for f, path in zip(layout.FOLDERS, paths, strict=True)}


def _synthesised(
    words: Sequence[Word], recipe: Recipe, count: int, jobs: int | None, device: str, listener: Listener
) -> Iterator[Row]:
    from lolblur_synth.dataset import worker

    device = machine.resolve_device(device)
    with Sources(words).inputs() as inputs:
        plan, pairs = build.prepare(inputs, None, recipe, jobs, device, listener, write=False)
        clips = {clip.sequence: clip for clip in plan.clips}
        for pair in spread(pairs, count):
            pictures, record = worker.synthesise(Job(recipe, clips[pair.sequence], device), pair)
            yield record, {folder: pixels / np.float32(255) for folder, pixels in pictures.items()}


def _row(record: dict, pictures: dict[str, np.ndarray]) -> np.ndarray:
    """Five thumbnails over a line of text, (h, w, 3) uint8."""
    height = max(1, round(THUMB * pictures["low_sharp"].shape[0] / pictures["low_sharp"].shape[1]))
    row = _ground(height + LINE + GAP, len(layout.FOLDERS) * (THUMB + GAP) + GAP)
    for number, folder in enumerate(layout.FOLDERS):
        left = GAP + number * (THUMB + GAP)
        small = cv2.resize(pictures[folder], (THUMB, height), interpolation=cv2.INTER_AREA)
        row[:height, left : left + THUMB] = np.rint(255 * small)
    _text(row, f"{record['pair']}  {record['source']['name']}: {drawn(record)}", GAP, height + LINE - 6)
    return row


def _heading(width: int) -> np.ndarray:
    heading = _ground(2 * LINE + GAP, width)
    for number, (folder, caption) in enumerate(CAPTIONS.items()):
        left = GAP + number * (THUMB + GAP)
        _text(heading, folder, left, LINE - 4)
        _text(heading, caption, left, 2 * LINE - 4)
    return heading


def _ground(height: int, width: int) -> np.ndarray:
    return np.tile(np.array(GROUND, np.uint8), (height, width, 1))


def _text(pixels: np.ndarray, words: str, x: int, y: int) -> None:
    """Write on a picture, in place; the font has ASCII only."""
    words = words.encode("ascii", "replace").decode()
    cv2.putText(pixels, words, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.45, INK, 1, cv2.LINE_AA)
