"""Memory and open files: sampled in a build at full size, over many builds in one process, and ended by the kernel."""

import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from conftest import OPTIONS, moving_street

from lolblur_synth.files.video import write_video
from lolblur_synth.parallel.pool import RETURN_FRAMES

TESTS = Path(__file__).parent.parent
CEILING = 1.5e9  # bytes a worker, at 1120x640
SLOPE = 0.3e6  # bytes a build by which a process may grow: four frames of 96x64 in float32
GROUPS = ((Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.oom_control"),  # version 1
          (Path("/sys/fs/cgroup"), "memory.max", "memory.events"))  # version 2  # fmt: skip
WAIT = 0.05  # s between two samples


def ceiling(folder: Path, rng: random.Random) -> dict[str, int]:
    """T18: the largest resident set of each process of a build at 1120x640, with random options."""
    from soak import rounds

    write_video(folder / "clip.mp4", moving_street(rng.randint(24, 60), rng.randrange(99), 1280, 720), 250)
    words = ["--pairs", "2", "--window", rng.choice("79"), "--jobs", rng.choice("12"), "--test-fraction", "0",
             "--set", f"noise.probability={rng.randint(0, 1)}", "--set", f"defocus.probability={rng.randint(0, 1)}",
             "--set", f"interpolate.method={rng.choice(['dis', 'dis', 'net'])}"]  # fmt: skip
    process, peaks = rounds.start("build", folder / "clip.mp4", folder / "out", *words), {}
    while process.poll() is None:
        for pid in family(process.pid):
            peaks[pid] = max(peaks.get(pid, 0), _peak(pid))
        time.sleep(WAIT)
    assert process.returncode == 0, f"exit code {process.returncode}, {rounds.told_by(folder / 'out')}"
    assert max(peaks.values()) < CEILING, f"{max(peaks.values()) / 1e9:.2f} GB with {' '.join(words)}"
    return {"builds at 1120x640": 1, "processes above 1.5 GB": 0, "processes": len(peaks)}


def slope(videos: Path, folder: Path, builds: int) -> dict[str, int]:
    """T23: pairs of short videos made again and again in one process, which neither grows nor keeps files open."""
    words = [sys.executable, __file__, str(videos), str(folder), str(builds)]
    path = os.pathsep.join(map(str, (TESTS, TESTS.parent)))
    env = os.environ | RETURN_FRAMES | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, capture_output=True, text=True, timeout=1800, env=env)
    assert done.returncode == 0, done.stderr[-2000:]
    grown, opened, pairs = map(float, done.stdout.split())
    assert grown < SLOPE, f"{grown / 1e6:.2f} MB a build over {builds} builds"
    assert opened == 0, f"{opened:.0f} more files are open after {builds} builds"
    return {"builds in one process": builds, "pairs made": int(pairs), "files left open": 0}


def killed_by_the_kernel(stage, folder: Path, rng: random.Random) -> dict[str, int]:
    """T4: a worker in a control group without memory, which the kernel ends; the same command gives the same tree."""
    from soak import rounds

    with_limit = _group(rng)
    if with_limit is None:
        return {"skipped: no control groups of memory": 1}
    group, limit, told = with_limit
    try:
        process = rounds.start("build", stage.videos, folder / "out", *OPTIONS)
        time.sleep(rng.uniform(0, stage.seconds / 2))
        while process.poll() is None and not _kills(told):
            for pid in family(process.pid)[1:]:
                _confine(group, limit, pid)
            time.sleep(WAIT)
        code = process.wait(rounds.LIMIT)
        assert code in (0, 3, 5), f"exit code {code}, {rounds.told_by(folder / 'out')}"
        rounds.finish(stage, folder / "out")
        return {"workers killed by the kernel": _kills(told), "different trees": 0}
    finally:
        group.rmdir()


def _group(rng: random.Random) -> tuple[Path, Path, Path] | None:
    """A new control group, the file of its limit and that of its kills; None where there are none, or not for us."""
    for root, limit, told in GROUPS:
        group = root / f"lolblur-soak-{os.getpid()}-{rng.randrange(1 << 30)}"
        try:
            group.mkdir()
        except OSError:
            continue
        if (group / limit).is_file():
            return group, group / limit, group / told
        group.rmdir()
    return None


def _confine(group: Path, limit: Path, pid: int) -> None:
    """Move a process into the group, where it may take next to nothing more."""
    try:
        (group / "cgroup.procs").write_text(str(pid))
        limit.write_text(str(20 << 20))
    except OSError:
        pass  # it is gone


def _kills(told: Path) -> int:
    words = told.read_text().split()
    return int(words[words.index("oom_kill") + 1])


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    told = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
    return [pid, *(found for child in told for found in family(int(child)))]


def _peak(pid: int) -> int:
    return _status(f"/proc/{pid}/status", "VmHWM:")


def _status(path: str, name: str) -> int:
    try:
        words = Path(path).read_text().split()
        return 1024 * int(words[words.index(name) + 1])
    except (OSError, ValueError):
        return 0  # it is gone


def _repeat(videos: list[Path], folder: Path, builds: int) -> Iterator[tuple[int, int, int]]:
    """After each build in this process: resident bytes, open files and pairs made."""
    from lolblur_synth import recipes
    from lolblur_synth.dataset import plan, worker
    from lolblur_synth.dataset.records import Job
    from lolblur_synth.files import video
    from lolblur_synth.recipe.schema import Recipe

    recipe = recipes.override(Recipe(), ["resize.width=96", "resize.height=64", "dataset.pairs=2"])
    for number in range(builds):
        found = [worker.inspect(recipe, video.Input(path, path.name, "video")) for path in videos]
        made = [event for clip in plan.make(found, [], recipe, {}).clips
                for event in worker.build(Job(recipe, clip, "cpu", folder / str(number)), clip.pairs)]  # fmt: skip
        pairs = sum(event[0] == "done" for event in made)
        yield _status("/proc/self/status", "VmRSS:"), len(os.listdir("/proc/self/fd")), pairs


def _measure(videos: Path, folder: Path, builds: int, write: Callable[[str], object]) -> None:
    """Write the growth in bytes a build, in open files, and the pairs; in the first third caches fill."""
    resident, opened, pairs = zip(*_repeat(sorted(videos.iterdir()), folder, builds), strict=True)
    third = builds // 3
    middle, last = (statistics.median(resident[start : start + third]) for start in (third, 2 * third))
    write(f"{(last - middle) / third} {opened[-1] - opened[third]} {sum(pairs)}\n")


if __name__ == "__main__":
    _measure(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.stdout.write)
