"""The soak: random rounds of every class, in turn, for as long as it is given; `make soak HOURS=3` runs it.

Each round is a process of its own with a seed of its own. A finding is logged with the seed that repeats it, and the
soak goes on. docs/reliability.json counts what ran; docs/generate.py makes the table of docs/reliability.md from it.

    python tests/soak/run.py --hours 3
    python tests/soak/run.py --round "T1 killed builds" --seed 17        one round again
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import pickle
import platform
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT))
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))

from conftest import OPTIONS, moving_street  # noqa: E402
from soak import rounds  # noqa: E402

ROUND_LIMIT = 3600.0  # s; a round that takes longer is a hang
PACKAGES = ("torch", "numpy", "opencv-python-headless", "av", "distributed", "ray", "hypothesis")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--classes", nargs="*", help="words in the names of the classes; default all")
    parser.add_argument("--seed", type=int, default=None, help="of the seeds of the rounds")
    parser.add_argument("--counts", type=Path, default=ROOT / "docs/reliability.json")
    parser.add_argument("--log", type=Path, default=ROOT / "build/soak.jsonl")
    parser.add_argument("--round", help="run this one round, with --seed, in this process")
    parser.add_argument("--stage", type=Path, help="what an earlier call prepared; used with --round")
    options = parser.parse_args()
    if options.round:
        return one_round(options.round, options.seed or 0, options.stage)
    chosen = [name for name in rounds.ROUNDS
              if not options.classes or any(word in name for word in options.classes)]  # fmt: skip
    seed = random.SystemRandom().randrange(1 << 30) if options.seed is None else options.seed
    print(f"soak of {len(chosen)} classes for {options.hours:g} h, seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        stage = prepare(Path(folder))
        return loop(chosen, seed, 3600 * options.hours, stage, options)


def prepare(folder: Path) -> Path:
    """Two videos and an uninterrupted build of them; returns the file that holds the `Stage`."""
    from lolblur_synth.files.video import write_video

    (folder / "videos").mkdir()
    write_video(folder / "videos/a.mp4", moving_street(48, 1), 250)
    write_video(folder / "videos/b.mkv", moving_street(40, 2), 250)
    for name in ("compiled", "out"):  # the first build compiles
        began = time.monotonic()
        rounds.run("build", folder / "videos", folder / name, *OPTIONS)
    stage = rounds.Stage(folder / "videos", folder / "out", rounds.tree(folder / "out"), time.monotonic() - began)
    (folder / "stage").write_bytes(pickle.dumps(stage))
    return folder / "stage"


def one_round(name: str, seed: int, prepared: Path | None) -> int:
    """Run one round here and print its counts as JSON."""
    with tempfile.TemporaryDirectory(prefix="round-") as folder:
        path = prepared or prepare(Path(folder))
        stage = pickle.loads(path.read_bytes())
        place = Path(folder) / "round"
        place.mkdir()
        print(json.dumps(rounds.ROUNDS[name](stage, place, random.Random(seed))))
    return 0


def loop(chosen: list[str], seed: int, seconds: float, stage: Path, options: argparse.Namespace) -> int:
    """Always the class that has run for the shortest time, until the time is over; each class at least once."""
    rng, began = random.Random(seed), time.monotonic()
    spent = dict.fromkeys(chosen, 0.0)
    entries: dict[str, dict] = {}
    findings = 0
    options.log.parent.mkdir(parents=True, exist_ok=True)
    while time.monotonic() - began < seconds or not all(spent.values()):
        name, number = min(chosen, key=spent.__getitem__), rng.randrange(1 << 30)
        started = time.monotonic()
        counts, finding = attempt(name, number, stage)
        took = time.monotonic() - started
        spent[name] += took
        findings += finding is not None
        line = {"time": stamp(), "class": name, "seed": number, "seconds": round(took, 1), "counts": counts,
                "finding": finding}  # fmt: skip
        with options.log.open("a") as log:
            log.write(json.dumps(line) + "\n")
        print(f"{name}, seed {number}: {finding[-300:] if finding else counts}", flush=True)
        add(entries.setdefault(name, {}), line)
        write(options.counts, entries, seed)
    print(f"{findings} findings; {options.log} holds them, with their seeds")
    return 1 if findings else 0


def attempt(name: str, seed: int, stage: Path) -> tuple[dict, str | None]:
    """The counts of one round, or its finding: the beginning of what it said, where the exception is, and the end."""
    words = [sys.executable, __file__, "--round", name, "--seed", str(seed), "--stage", str(stage)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=ROUND_LIMIT)
    except subprocess.TimeoutExpired:
        return {}, f"longer than {ROUND_LIMIT:.0f} s"
    if done.returncode:
        said = done.stderr if len(done.stderr) < 8000 else f"{done.stderr[:6000]}\n...\n{done.stderr[-2000:]}"
        return {}, f"exit code {done.returncode}: {said}"
    return json.loads(done.stdout.splitlines()[-1]), None


def add(entry: dict, line: dict) -> None:
    """Add a round to the entry of its class."""
    entry["rounds"] = entry.get("rounds", 0) + 1
    entry["findings"] = entry.get("findings", 0) + (line["finding"] is not None)
    entry["minutes"] = round(entry.get("minutes", 0) + line["seconds"] / 60, 2)
    entry["last"] = line["time"]
    entry["seeds"] = [*entry.get("seeds", []), line["seed"]][-3:]
    counts = entry.setdefault("counts", {})
    for what, number in line["counts"].items():
        counts[what] = counts.get(what, 0) + number


def write(path: Path, entries: dict[str, dict], seed: int) -> None:
    """Replace the entries of the classes that ran; those of other classes stay."""
    told = json.loads(path.read_text()) if path.is_file() else {}
    about = {"seed": seed, "python": platform.python_version(), "processor": platform.machine(),
             "cores": os.cpu_count(), "versions": versions()}  # fmt: skip
    told.setdefault("classes", {}).update({name: entry | {"run": about} for name, entry in entries.items()})
    path.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")


def versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass
    return found


def stamp() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M")


if __name__ == "__main__":
    sys.exit(main())
