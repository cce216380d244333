"""How close `plan`'s forecast comes: for each recipe, `plan` and directly after it the `build` that it forecasts.

    python benchmarks/forecast.py                             # the bundled clips
    python benchmarks/forecast.py VIDEO... --fps 250 --pairs 8 --rounds 2

Wall-clock seconds from the command to its end, and MB of images. Where other work runs on the machine, its load may
change between the two.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lolblur_synth.commands.options import sample_clips

RECIPES = ("lolblur", "night", "fast")


def run(*words) -> tuple[dict, float]:
    """The last line of a command's JSON, and its seconds."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "lolblur_synth.cli", *map(str, words), "--json"], capture_output=True,
                          text=True, check=True)  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1]), time.perf_counter() - started


def compare(videos: list[Path], recipe: str, options: list[str]) -> str:
    """A row of the table."""
    words = [*videos, "--recipe", recipe, *options]
    told, planning = run("plan", *words)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        _, seconds = run("build", *videos, out, *words[len(videos) :])
        size = sum(path.stat().st_size for path in out.glob("*/*/*/*.png"))
    low, high = told["seconds_range"]
    least, most = (round(each / 1e6) for each in told["bytes_range"])
    return (f"| {recipe} | {told['pairs']} | {planning:.0f} s | {told['seconds']:.0f} s ({low:.0f} to {high:.0f}) | "
            f"{seconds:.0f} s | {100 * (seconds / told['seconds'] - 1):+.0f} % | "
            f"{least} to {most} | {size / 1e6:.0f} |")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--recipes", nargs="*", default=RECIPES)
    parser.add_argument("--size", default="560x320")
    parser.add_argument("--pairs", default="8")
    parser.add_argument("--fps", default="250")
    given = parser.parse_args()
    options = ["--size", given.size, "--pairs", given.pairs, "--fps", given.fps]
    print("| recipe | pairs | planning | forecast | build | actual to forecast | MB forecast | MB |")
    print("|---|---|---|---|---|---|---|---|")
    for _ in range(given.rounds):
        for recipe in given.recipes:
            print(compare(given.videos or sample_clips(), recipe, options), flush=True)


if __name__ == "__main__":
    main()
