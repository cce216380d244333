"""Pairs a second, end to end with files, beside what others take for a part: python benchmarks/throughput.py [VIDEO]

    [--pairs 8] [--ffmpeg PATH]     an ffmpeg of your own; default: the one on PATH
    [--device cuda]                 builds on a GPU alone, with one worker and with as many as fit into its memory

Each row is a process of its own. CPU-seconds are of the process and its children; a pair's share has everything in it:
start, survey, decoding, the files. A GPU is idle in those tenths of a second in which `nvidia-smi` sees no kernel run.
The rows of ffmpeg and of naive.py are of one thread, for the same video and size:

    blur      minterpolate to 2000 fps and the mean of 72 frames: what 72 more output frames cost
    nlmeans   its denoiser, for as many source frames as a pair has, 250 / 24
    naive     benchmarks/naive.py, the blur of one pair
"""

import argparse
import contextlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import harness
import pair
import torch

from lolblur_synth.commands import options
from lolblur_synth.parallel import machine

HERE = Path(__file__).parent
SCALE = "scale=1120:640"
BLUR = f"{SCALE},minterpolate=fps=2000,tmix=frames=72"
SAMPLES, BEFORE = 72, 100  # frames of an exposure; output frames of a first run, whose cost is subtracted
FRAMES_A_PAIR = 250 / 24


@dataclass(frozen=True)
class Cost:
    """CPU-seconds of a process and its children; seconds on the clock; resident set of the largest process, bytes."""

    cpu: float
    wall: float
    peak: float


def cost_of(words: Sequence[str]) -> Cost:
    """What a command takes. The measuring runs in a child, so that its largest child is of this command alone."""
    measure = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)\n"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", measure, *words], check=True, capture_output=True, text=True)
    cpu, peak = map(float, done.stdout.split())
    return Cost(cpu, time.perf_counter() - start, peak)


def build(path: Path, pairs: int, jobs: int, device: str = "cpu") -> tuple[Cost, int]:
    """A build into an empty folder, with noise and defocus in every pair; and the bytes of its images."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        settings = [word for setting in pair.SETTINGS for word in ("--set", setting)]
        counts = ["--pairs", str(pairs), "--jobs", str(jobs), "--fps", "250"]
        words = ["build", str(path), str(out), *counts, "--device", device, *settings]
        cost = cost_of([sys.executable, "-m", "lolblur_synth.cli", *words])
        pictures = list(out.glob("*/*/*/*.png"))
        if len(pictures) != 5 * pairs:
            sys.exit(f"throughput: {path} has fewer than {pairs} pairs; give fewer --pairs")
        return cost, sum(file.stat().st_size for file in pictures)


def ffmpeg_cpu(ffmpeg: str, path: Path, filters: str, frames: int) -> float:
    """CPU-seconds of one thread for the first `frames` output frames."""
    one = ["-threads", "1", "-filter_threads", "1"]
    words = [ffmpeg, "-v", "error", *one, "-i", str(path), *one, "-vf", filters, "-frames:v", str(frames)]
    return cost_of([*words, "-f", "null", "-"]).cpu


@contextlib.contextmanager
def busy_shares() -> Iterator[list[float]]:
    """Share of each tenth of a second in which the first GPU ran a kernel; the list is filled when the block ends."""
    query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-i", "0", "-lms", "100"]
    shares: list[float] = []
    with subprocess.Popen(query, stdout=subprocess.PIPE, text=True) as watcher:
        try:
            yield shares
        finally:
            watcher.terminate()
            shares += [float(line) / 100 for line in watcher.communicate()[0].splitlines() if line.strip().isdigit()]


def on_gpu(path: Path, pairs: int, device: str) -> None:
    if not torch.cuda.is_available():
        print("throughput: torch sees no CUDA device; nothing was measured")
        return
    title = f"{pairs} pairs of {path.name} on {torch.cuda.get_device_name(device)}, files included"
    harness.table(title, "", "ms a pair", "12,000 pairs, minutes", "CPU-s a pair", "GPU idle", "peak, GB", "MB a pair")
    for jobs in sorted({1, machine.auto_jobs(device)}):
        with busy_shares() as shares:
            cost, size = build(path, pairs, jobs, device)
        idle = f"{1 - statistics.mean(shares):.0%}" if shares else "-"
        harness.row(f"build --jobs {jobs}", f"{1e3 * cost.wall / pairs:.0f}", f"{200 * cost.wall / pairs:.0f}",
                    f"{cost.cpu / pairs:.2f}", idle, f"{cost.peak / 1e9:.2f}", f"{size / pairs / 1e6:.2f}")  # fmt: skip


def main(path: Path, pairs: int, ffmpeg: str | None) -> None:
    title = f"{pairs} pairs of {path.name}, files included"
    harness.table(title, "", "CPU-s a pair", "pairs a second", "peak, GB", "MB a pair")
    for jobs in (1, 2):
        cost, size = build(path, pairs, jobs)
        harness.row(f"build --jobs {jobs}", f"{cost.cpu / pairs:.2f}", f"{pairs / cost.wall:.3f}",
                    f"{cost.peak / 1e9:.2f}", f"{size / pairs / 1e6:.2f}")  # fmt: skip

    harness.table("by step, a run of as many pairs in one process", "step", "CPU-s a pair")
    for step, seconds in pair.steps_of(pairs, path, "lolblur").items():
        harness.row(step, f"{seconds:.2f}")

    harness.table("others, one thread", "", "CPU-s a pair")
    words = [sys.executable, str(HERE / "naive.py"), str(path)]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    harness.row("naive.py, blur alone", told.split()[-2])
    if not ffmpeg:
        print("\nno ffmpeg: give --ffmpeg PATH for its blur and its nlmeans")
        return
    blur = ffmpeg_cpu(ffmpeg, path, BLUR, BEFORE + SAMPLES) - ffmpeg_cpu(ffmpeg, path, BLUR, BEFORE)
    harness.row("ffmpeg, blur alone", f"{blur:.2f}")
    means = ffmpeg_cpu(ffmpeg, path, f"{SCALE},nlmeans", 12) - ffmpeg_cpu(ffmpeg, path, f"{SCALE},nlmeans", 2)
    harness.row("ffmpeg, nlmeans", f"{means / 10 * FRAMES_A_PAIR:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?", type=Path, default=options.sample_clip())
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--ffmpeg", default=shutil.which("ffmpeg"))
    parser.add_argument("--device", default="cpu")
    words = parser.parse_args()
    if words.device == "cpu":
        main(words.video, words.pairs, words.ffmpeg)
    else:
        on_gpu(words.video, words.pairs, words.device)
