"""The photographs, and the runs of consecutive frames of videos, that the interpolation network is trained on."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from lolblur_synth.errors import InputError
from lolblur_synth.files import atomic, pictures
from lolblur_synth.files.images import read_display
from lolblur_synth.files.video import Input, digest, display, find, probe, scan_frames
from lolblur_synth.recipe.schema import InputConfig

WIDTH = 576  # px: stored frames are reduced to it
RUN, RUNS = 19, 18  # consecutive frames in a run, and runs taken from a video
MIN_RUN = 3  # frames of a run that a scene cut ends
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Footage:
    """runs: (frames, h, w, 3) uint8 each, without a scene cut; photos: (h, w, 3) uint8; files: (name, sha256)."""

    runs: list[np.ndarray]
    photos: list[np.ndarray]
    files: list[tuple[str, str]]


def gather(photos: Sequence[str | Path], videos: Sequence[str | Path], size: int,
           held_out: Sequence[str | Path] = ()) -> Footage:  # fmt: skip
    """Read photographs, and runs of frames of the videos, except videos that are held out, by their sha256.

    size: of the items, and the least side of what is read. Raises InputError for a file that cannot be read, and where
    there is none.
    """
    runs, stills, files = [], [], []
    held_out_hashes = {digest(source) for source in _sources(held_out)}
    for path in sorted(file for top in photos for file in pictures.at(Path(top))):
        stills.append(_reduced(read_display(path), WIDTH, size))
        files.append((path.name, atomic.sha256(path)))
    for source in _sources(videos):
        if digest(source) in held_out_hashes:
            log.warning("%s is held out, and not trained on", source.name)
            continue
        runs_of_video = _runs(source, WIDTH, size)
        runs += runs_of_video
        stills += [run[0] for run in runs_of_video]
        files.append((source.name, digest(source)))
    if not stills:
        raise InputError("there is nothing to train on", "give --photos, --videos or both", "no-input")
    return Footage(runs, stills, files)


def runs_of(videos: Sequence[str | Path], width: int) -> Iterator[tuple[str, list[np.ndarray]]]:
    """(name, runs of frames of that width) of each video. Raises InputError."""
    for source in _sources(videos):
        yield source.name, _runs(source, width)


def _sources(videos: Sequence[str | Path]) -> list[Input]:
    sources, refused = find([Path(path) for path in videos])
    if videos and not sources:
        raise InputError(refused[0].message if refused else f"{videos[0]}: no video", "give video files", "no-input")
    return sources


def _reduced(frame: np.ndarray, width: int, least: int = 1) -> np.ndarray:
    """(H, W, 3) float32 display -> uint8, at most `width` wide, but at least `least` on both sides."""
    factor = max(min(1.0, width / frame.shape[1]), least / min(frame.shape[:2]))
    target = max(least, round(frame.shape[1] * factor)), max(least, round(frame.shape[0] * factor))
    frame = cv2.resize(frame, target, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    return np.round(frame * 255).clip(0, 255).astype(np.uint8)


def _runs(source: Input, width: int, least: int = 1) -> list[np.ndarray]:
    """RUNS runs of RUN frames, evenly spread; a run ends at a scene cut, and one too short for a span is left out."""
    # A rate is given because slow-motion files and image sequences may lack one, and it does not matter here.
    video = probe(source, InputConfig(), fps=30.0)
    cuts = scan_frames(video).cuts
    starts = np.unique(np.linspace(0, max(0, video.frames - RUN), RUNS).round().astype(int))
    runs: dict[int, list[np.ndarray]] = {int(start): [] for start in starts}
    for index, frame in enumerate(display(video)):
        for start, run in runs.items():
            if start <= index < start + RUN and not any(start <= cut < index for cut in cuts):
                run.append(_reduced(frame, width, least))
    return [np.stack(run) for run in runs.values() if len(run) >= MIN_RUN]
