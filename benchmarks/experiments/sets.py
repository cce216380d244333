"""The datasets of the experiments, each by one command of the program; a set that is there is not made again.

Those that `bundled_lednet.sh` makes have its names and numbers, so that RUNS of that script serves here. Weights are
trained on photos/train and on every second HDR picture; the other HDR pictures, photos/test-only and the three clips
are only scored.
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
from lolblur_synth.recipe.schema import InputConfig

PHOTOS, HELD_OUT, HDR = "photos/train", "photos/test-only", "hdr"
TEST_CLIPS = ("gopro_max_heromode_480p30", "sam2_02_cups", "carpenter_bee_flutter")
CLIP_FRAMES = 22  # that two pairs of up to nine frames need, one in each half of a clip
PROGRAM = (sys.executable, "-m", "lolblur_synth.cli")
WAIT = 60  # s, while an experiment that runs beside this one builds the same set


@dataclass(frozen=True)
class Set:
    """source: a folder of MATERIAL whose pictures are shot, or "clips"; options: of `build`, after the common ones.

    take: first and step of the pictures, in the order of their names. clips: of each picture, shot before the build; 0:
    one, shot by it. eight_bits: those clips become video of 8 bits, as a camera writes it, without the light above
    white.
    """

    source: str
    recipe: str
    seed: int
    pairs: int
    options: tuple[str, ...] = ("--skip", "denoise")
    take: tuple[int, int] = (0, 1)
    clips: int = 0
    eight_bits: bool = False


def _shot(*options: str, pairs: int = 2) -> Set:
    return Set(PHOTOS, "lolblur", 6, pairs, options or ("--skip", "denoise"))


def _lamps(*options: str, eight_bits: bool = True) -> Set:
    """Half of the HDR pictures, whose lamps outshine white; `tests/lamps` has the other half."""
    return Set(HDR, "lolblur", 6, 2, options or ("--skip", "denoise"), EVEN, 8, eight_bits)


EVEN, ODD = (0, 2), (1, 2)
SETS = {
    "sets/lolblur-a": _shot(),
    "sets/lamps-no-cr": _lamps("--skip", "denoise,clip-reverse"),
    "sets/lamps-cr": _lamps(),
    "sets/lamps-hdr-cr": _lamps("--skip", "denoise", "--set", "clip_reverse.space=hdr"),
    "sets/lamps-measured": _lamps(eight_bits=False),
    "sets/gamma": _shot("--skip", "denoise", "--set", "darken.method=gamma"),
    "sets/daylight": _shot("--skip", "denoise,darken"),
    "sets/only-dark": _shot("--only", "darken", pairs=1),
    "tests/lolblur": Set(HELD_OUT, "lolblur", 902, 2),
    "tests/lolblur-clips": Set("clips", "lolblur", 902, 4),
    "tests/night": Set(HELD_OUT, "night", 901, 2),
    "tests/lamps": Set(HDR, "lolblur", 903, 2, take=ODD),
    "tests/gamma": Set(HELD_OUT, "lolblur", 902, 2, ("--skip", "denoise", "--set", "darken.method=gamma")),
    "tests/only-dark": Set(HELD_OUT, "lolblur", 902, 1, ("--only", "darken")),
}


def made(place: Place, name: str) -> Path:
    """The folder of a set, which is built unless it is there. Raises InputError, FileNotFoundError."""
    folder = (place.runs if place.scale.name == "full" else place.work) / name
    if (folder / "manifest.jsonl").is_file():  # a build writes it at its end
        return folder
    with counted(_cost(place, name)):
        _build(place, name, folder)
    return folder


def _build(place: Place, name: str, folder: Path) -> None:
    spec = SETS[name]
    inputs = shot_clips(place, spec) if spec.clips else files_of(place, spec)
    shot = [] if spec.source == "clips" or spec.clips else ["--shoot"]
    rate = [] if shot else ["--fps", "250"]
    command = [*PROGRAM, "build", *shot, *map(str, inputs), str(folder),
               "--recipe", spec.recipe, "--seed", str(spec.seed), "--pairs", str(spec.pairs), *rate,
               "--test-fraction", str(int(name.startswith("tests/"))), "--size", place.scale.size, "--jobs", "1",
               *spec.options]  # fmt: skip
    print(f"{name}: {spec.recipe}, {spec.source}, {' '.join(spec.options)}", flush=True)
    _run(command, folder, folder / "manifest.jsonl")


def _run(command: list[str], out: Path, proof: Path | None = None) -> None:
    """Make `out`. Where another process makes it, wait for that one, which is over at the latest when `proof` is there.

    Raises InputError.
    """
    while (code := subprocess.run(command).returncode) == Locked.exit_code:
        time.sleep(WAIT)
        if proof and proof.is_file():
            return
    if code not in (0, ClipsFailed.exit_code):  # some pictures are too dark or too small, which the program tells
        raise InputError(f"{out}: its command ended with exit code {code}", "it says why above")


def shot_clips(place: Place, spec: Set) -> list[Path]:
    """Clips of the pictures, with their light or as 8-bit video; those that are there are not made again."""
    light, of_eight_bits = (place.work / "clips" / kind for kind in ("light", "video"))
    command = [*PROGRAM, "-q", "shoot", *map(str, files_of(place, spec)), str(light), "--size", place.scale.size,
               "--frames", str(CLIP_FRAMES), "--clips", str(spec.clips), "--seed", str(spec.seed), "--jobs", "1",
               ]  # fmt: skip
    _run(command, light)
    if not spec.eight_bits:
        return [light]
    of_eight_bits.mkdir(parents=True, exist_ok=True)
    for clip in video.find_clips([light])[0]:
        copy = of_eight_bits / f"{clip.path.stem}.mp4"
        if not copy.is_file():
            found = video.probe(clip, InputConfig())
            video.write_video(copy, video.display(found), found.fps)
    return [of_eight_bits]


def files_of(place: Place, spec: Set) -> list[Path]:
    """The pictures or clips that a set is made of. Raises FileNotFoundError."""
    if spec.source == "clips":
        files = [place.material / "videos/licensed" / f"{name}.mp4" for name in TEST_CLIPS]
        missing = [file for file in files if not file.is_file()]
    else:
        folder = place.material / spec.source
        files, missing = sorted(folder.iterdir()) if folder.is_dir() else [], [folder]
    if not files or (missing and spec.source == "clips"):
        raise FileNotFoundError(f"{missing[0]}: no such material; MATERIAL is laid out as for bundled_lednet.sh")
    first, step = spec.take
    return files[first::step][: place.scale.files or None]


def _cost(place: Place, name: str) -> Path:
    return place.work / "cost" / f"{name.replace('/', '-')}.json"


def facts(place: Place, *names: str) -> dict[str, dict]:
    """Of each set: pairs and clips that were built, and what that cost, null where another command made it."""
    told = {}
    for name in names:
        records = _records(place, name)
        clips = {_clip(record) for record in records}
        told[name] = {"pairs": len(records), "clips": len(clips), "cpu_seconds": spent(_cost(place, name))}
    return told


def sources(place: Place, name: str) -> dict[str, str]:
    """Clip of a set -> name of the file that it was made of."""
    return {_clip(record): record["source"]["name"] for record in _records(place, name)}


def _records(place: Place, name: str) -> list[dict]:
    return [json.loads(line) for line in (made(place, name) / "manifest.jsonl").read_text().splitlines()]


def _clip(record: dict) -> str:
    return record["pair"].partition("/")[0]
