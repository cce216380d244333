"""Seconds and memory of what concerns a whole dataset, for 1,500 to 12,000 pairs of 32x32.

The pairs are not synthesised: plan, surveys, records and keys are those that a build would write, and every image is
one small PNG; so plan, status, verify, manifest, report and export do all of their work, and no pixel is computed. Each
command is a process of its own; its memory is the largest that it held. Linux only.

    python benchmarks/scale.py                        # a table, a row a command
    python benchmarks/scale.py --sizes 300 600 --commands report
"""

import argparse
import dataclasses
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np

from lolblur_synth import recipes
from lolblur_synth.dataset import build, export, keys, layout, manifest, plan, report, verify, worker
from lolblur_synth.dataset.records import Job, VideoInfo

SIZES = (1_500, 3_000, 6_000, 12_000)
PAIRS = 60  # of a video
RECIPE = recipes.override(recipes.load("lolblur"), ["resize.width=32", "resize.height=32"])


def videos(pairs: int) -> list[VideoInfo]:
    """What surveys of enough long videos would have found."""
    moments = tuple((0.3 + part / 100, 0.1 + part / 100) for part in range(8))
    return [
        VideoInfo(f"{number:05d}.mp4", "", "video", f"{number:064x}", 250.0, 1000, 64, 48, 8, "yuv420p bt709 limited",
                  "FFmpeg", (), 1.0, 1.5, 0.4, ((0.2, 1.0), (0.8, 2.0)), (), moments)
        for number in range(math.ceil(pairs / PAIRS))
    ]  # fmt: skip


def fill(out: Path, pairs: int) -> None:
    """Write a dataset of `pairs` pairs as a build leaves it."""
    found = videos(pairs)
    planned = plan.make(found, [], RECIPE, {})
    weights = keys.weight_hashes(RECIPE)
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    data = layout.encode_png(pixels, 3)
    sums = {folder: layout.checksums(pixels, data) for folder in layout.FOLDERS}
    with mock.patch("os.fsync"):
        (out / layout.STATE / "surveys").mkdir(parents=True)
        (out / "recipe.toml").write_text(recipes.to_toml(RECIPE))
        for info in found:
            path = out / layout.STATE / "surveys" / f"{info.sha256[-32:]}.json"
            path.write_bytes(layout.to_json(dataclasses.asdict(info) | {"name": ""}))
        (out / layout.STATE / "plan.json").write_bytes(layout.to_json(build._plan_json(planned, RECIPE)))
        for clip in planned.clips:
            for pair in clip.pairs:
                key = keys.key(RECIPE, clip, pair, weights, "cpu")
                record = worker.describe(pair, Job(RECIPE, clip, keys={pair: key}, weights=weights))
                # each ground truth is another picture: equal ones in train and test would be a leak
                own = {"high_sharp_original": sums["high_sharp_original"] | {"pixels": f"{clip.sequence}/{pair.name}"}}
                record |= {"samples": 56, "confidence": 0.9, "exposure": 0.1, "sha256": sums | own}
                path = layout.record_path(out, clip.split, pair.sequence, pair.name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(layout.to_json(record))
                for folder in layout.FOLDERS:
                    image = layout.image_path(out, clip.split, folder, pair.sequence, pair.name)
                    image.parent.mkdir(parents=True, exist_ok=True)
                    image.write_bytes(data)
        manifest.write(out)


def run_plan(out: Path) -> None:
    """What `plan` and the start of a `build` do, but for reading the videos."""
    count = json.loads((out / "count").read_text())
    with mock.patch("lolblur_synth.dataset.survey.all_inputs", lambda *words: (videos(count), [])):
        planned, pending = build.prepare(([], []), out, RECIPE, 1, "cpu", lambda kind, fields: None, write=False)
    assert planned.pairs == count
    assert not pending


def run_verify(out: Path) -> None:
    assert verify.verify(out) == []


COMMANDS = {
    "plan": run_plan,
    "status": verify.status,
    "verify": run_verify,
    "manifest": manifest.write,
    "report": lambda out: report.write(out, out.parent / "page/report.html"),
    "report --quick": lambda out: report.write(out, out.parent / "page/quick.html", quick=True),
    "export": lambda out: export.export(out, out.parent / "exported", "flat"),
    "export webdataset": lambda out: export.export(out, out.parent / "exported", "webdataset"),
}


def measure(name: str, out: Path) -> None:
    """Run one command here; print its seconds, wall and CPU, and its largest memory in MB."""
    wall, cpu = time.perf_counter(), time.process_time()
    (out.parent / "page").mkdir(exist_ok=True)
    COMMANDS[name](out)
    status = Path("/proc/self/status").read_text()  # getrusage would tell the memory of the parent, if that held more
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1e3
    print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu, peak]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="numbers of pairs, multiples of 60")
    parser.add_argument("--commands", nargs="*", default=list(COMMANDS), choices=list(COMMANDS), metavar="COMMAND")
    parser.add_argument("--run", nargs=2, metavar=("COMMAND", "OUT"), help="measure one command on a filled dataset")
    options = parser.parse_args()
    if options.run:
        return measure(options.run[0], Path(options.run[1]))
    figures: dict[str, list[list[float]]] = {name: [] for name in options.commands}
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out"
            fill(out, size)
            (out / "count").write_text(str(size))
            for name in options.commands:
                words = [sys.executable, __file__, "--run", name, str(out)]
                done = subprocess.run(words, capture_output=True, text=True, env=os.environ)
                assert done.returncode == 0, done.stderr
                figures[name].append(json.loads(done.stdout.splitlines()[-1]))
                print(size, name, figures[name][-1], file=sys.stderr, flush=True)
                shutil.rmtree(out.parent / "exported", ignore_errors=True)
    show(options.sizes, figures)


def show(sizes: list[int], figures: dict[str, list[list[float]]]) -> None:
    """CPU seconds and MB of each command and size; growth: the exponent between the smallest and the largest."""
    head = " | ".join(f"{size:,}" for size in sizes)
    print(f"| CPU s and MB for pairs: | {head} | growth | 200,000 on paper |\n|---|{'---|' * (len(sizes) + 2)}")
    for name, rows in figures.items():
        cells = " | ".join(f"{cpu:.1f} s, {memory:.0f} MB" for _, cpu, memory in rows)
        growth = math.log(rows[-1][1] / rows[0][1]) / math.log(sizes[-1] / sizes[0]) if len(rows) > 1 else math.nan
        paper = [extrapolated(sizes, [row[column] for row in rows]) for column in (1, 2)] if len(rows) > 1 else [0, 0]
        print(f"| {name} | {cells} | n^{growth:.2f} | {paper[0]:.0f} s, {paper[1]:.0f} MB |")


def extrapolated(sizes: list[int], values: list[float], pairs: int = 200_000) -> float:
    """A straight line through the smallest and the largest size, at `pairs`."""
    return values[0] + (values[-1] - values[0]) / (sizes[-1] - sizes[0]) * (pairs - sizes[0])


if __name__ == "__main__":
    main()
