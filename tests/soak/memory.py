"""Memory: sampled in a build at full size, and so short that the kernel ends a worker."""

import os
import random
import subprocess
import time
from pathlib import Path

from conftest import OPTIONS, moving_street

from lolblur_synth.files.video import write_video

CEILING = 1.5e9  # bytes a worker, at 1120x640
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
