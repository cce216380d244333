"""The datasets of the experiments, each by one command of the program; a set that is there is not made again.

Those that `bundled_lednet.sh` makes have its names and numbers, so that RUNS of that script serves here. Weights are
trained on photos/train alone; photos/test-only and the three clips are only scored.
"""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from experiments.place import Place, counted, spent
from lolblur_synth.errors import ClipsFailed, InputError, Locked
from lolblur_synth.files import video

PHOTOS, HELD_OUT, HDR = "photos/train", "photos/test-only", "hdr"
TEST_CLIPS = ("gopro_max_heromode_480p30", "sam2_02_cups", "carpenter_bee_flutter")
CLIP_FRAMES = 22  # that two pairs of up to nine frames need, one in each half of a clip
WAIT = 60  # s, while an experiment that runs beside this one builds the same set


@dataclass(frozen=True)
class Set:
    """source: a folder of MATERIAL whose pictures are shot, or "clips"; options: of `build`, after the common ones.

    eight_bits: the shot clips become video of 8 bits first, as a camera writes it: without the light above white, which
    clipping reverse is to guess.
    """

    source: str
    recipe: str
    seed: int
    pairs: int
    options: tuple[str, ...] = ("--skip", "denoise")
    eight_bits: bool = False

    @property
    def for_tests(self) -> bool:
        return self.source != PHOTOS


def _shot(*options: str, pairs: int = 2, eight_bits: bool = False) -> Set:
    return Set(PHOTOS, "lolblur", 6, pairs, options or ("--skip", "denoise"), eight_bits)


PROGRAM = (sys.executable, "-m", "lolblur_synth.cli")
SETS = {
    "sets/lolblur-a": _shot(),
    "sets/video-no-cr": _shot("--skip", "denoise,clip-reverse", eight_bits=True),
    "sets/video-cr": _shot(eight_bits=True),
    "sets/video-hdr-cr": _shot("--skip", "denoise", "--set", "clip_reverse.space=hdr", eight_bits=True),
    "sets/gamma": _shot("--skip", "denoise", "--set", "darken.method=gamma"),
    "sets/daylight": _shot("--skip", "denoise,darken"),
    "sets/only-dark": _shot("--only", "darken", pairs=1),
    "tests/lolblur": Set(HELD_OUT, "lolblur", 902, 2),
    "tests/lolblur-clips": Set("clips", "lolblur", 902, 4),
    "tests/night": Set(HELD_OUT, "night", 901, 2),
    "tests/measured": Set(HDR, "lolblur", 903, 2),
    "tests/gamma": Set(HELD_OUT, "lolblur", 902, 2, ("--skip", "denoise", "--set", "darken.method=gamma")),
    "tests/only-dark": Set(HELD_OUT, "lolblur", 902, 1, ("--only", "darken")),
}


def made(place: Place, name: str) -> Path:
    """The folder of a set, which is built unless it is there. Raises InputError, FileNotFoundError."""
    folder = (place.runs if place.scale.name == "full" else place.work) / name
    if (folder / "manifest.jsonl").is_file():  # a build writes it at its end
        return folder
    spec = SETS[name]
    files = _as_video(place, spec) if spec.eight_bits else _files(place, spec)
    shot = [] if spec.source == "clips" or spec.eight_bits else ["--shoot"]
    rate = [] if shot else ["--fps", "250"]
    command = [*PROGRAM, "build", *shot, *map(str, files), str(folder),
               "--recipe", spec.recipe, "--seed", str(spec.seed), "--pairs", str(spec.pairs), *rate,
               "--test-fraction", str(int(spec.for_tests)), "--size", place.scale.size, "--jobs", "1",
               *spec.options]  # fmt: skip
    print(f"{name}: {spec.recipe}, {spec.source}, {' '.join(spec.options)}", flush=True)
    while (code := _run(command, _cost(place, name))) == Locked.exit_code:
        time.sleep(WAIT)
        if (folder / "manifest.jsonl").is_file():
            return folder
    if code not in (0, ClipsFailed.exit_code):  # some pictures are too dark or too small, which the program tells
        raise InputError(f"{folder}: its build ended with exit code {code}", "it says why above")
    return folder


def _run(command: list[str], cost: Path) -> int:
    with counted(cost):
        return subprocess.run(command).returncode


def _as_video(place: Place, spec: Set) -> list[Path]:
    """The clips that `build --shoot` would shoot, as 8-bit video."""
    shot, folder = (place.work / "clips" / kind for kind in ("light", "video"))
    command = [*PROGRAM, "-q", "shoot", *map(str, _files(place, spec)), str(shot), "--size", place.scale.size,
               "--frames", str(CLIP_FRAMES), "--seed", str(spec.seed), "--jobs", "1"]  # fmt: skip
    if (code := _run(command, _cost(place, "clips"))) not in (0, ClipsFailed.exit_code):
        raise InputError(f"{shot}: shooting ended with exit code {code}", "it says why above")
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for clip in video.find_clips([shot])[0]:
        files.append(folder / f"{clip.path.stem}.mp4")
        if not files[-1].is_file():
            found = video.probe(clip)
            video.write_video(files[-1], video.display(found), found.fps)
    return files


def _files(place: Place, spec: Set) -> list[Path]:
    if spec.source == "clips":
        files = [place.material / "videos/licensed" / f"{name}.mp4" for name in TEST_CLIPS]
        missing = [file for file in files if not file.is_file()]
    else:
        folder = place.material / spec.source
        files, missing = sorted(folder.iterdir()) if folder.is_dir() else [], [folder]
    if not files or (missing and spec.source == "clips"):
        raise FileNotFoundError(f"{missing[0]}: no such material; MATERIAL is laid out as for bundled_lednet.sh")
    return files[: place.scale.files or None]


def _cost(place: Place, name: str) -> Path:
    return place.work / "cost" / f"{name.replace('/', '-')}.json"


def facts(place: Place, *names: str) -> dict[str, dict]:
    """Of each set: pairs and clips that were built, and what that cost, null where another command made it."""
    told = {}
    for name in names:
        lines = (made(place, name) / "manifest.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        clips = {record["pair"].partition("/")[0] for record in records}
        told[name] = {"pairs": len(records), "clips": len(clips), "cpu_seconds": spent(_cost(place, name))}
    return told
