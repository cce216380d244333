"""One round of each class of the soak: something random is done to a real build, and what comes out is compared.

A round gets an empty folder and a random generator, which its seed made, and returns counts by name. An exception is a
finding. `Stage` holds what rounds share: two short videos and the tree of a build that was never interrupted.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from conftest import OPTIONS
from test_dataset import tree

ROOT = Path(__file__).parent.parent.parent
HERE = Path(__file__).parent
LIMIT = 600.0  # s a command may take; longer is a hang


@dataclass(frozen=True)
class Stage:
    """videos: two short clips; tree: of an uninterrupted build in `out`; seconds: that it takes."""

    videos: Path
    out: Path
    tree: dict[str, str]
    seconds: float

    def check(self, out: Path) -> None:
        """Raise where a dataset differs from the uninterrupted build."""
        found = tree(out)
        differing = sorted(name for name in found.keys() | self.tree.keys() if found.get(name) != self.tree.get(name))
        assert not differing, f"{len(differing)} files differ: {differing[:5]}"


def command(*words) -> list[str]:
    return [sys.executable, "-m", "lolblur_synth.cli", *map(str, words)]


def run(*words, code: int = 0, env: dict | None = None) -> str:
    """Run the program; returns what it said. Raises for another exit code, or for a traceback."""
    done = subprocess.run(command(*words), capture_output=True, text=True, timeout=LIMIT,
                          env=os.environ | (env or {}))  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == code, f"exit code {done.returncode}: {said[-800:]}"
    assert "Traceback" not in said, said[-2000:]
    return said


def start(*words, env: dict | None = None) -> subprocess.Popen:
    return subprocess.Popen(command(*words), start_new_session=True, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, env=os.environ | (env or {}))  # fmt: skip


def finish(stage: Stage, out: Path, *options) -> None:
    """The same command once more, to its end: what an uninterrupted build gives."""
    run("build", stage.videos, out, *(options or OPTIONS))
    stage.check(out)


def told_by(out: Path) -> str:
    """The failures that the log of a dataset tells."""
    log = out / ".lolblur/log.jsonl"
    lines = log.read_text().splitlines() if log.is_file() else ["no log"]
    return "; ".join(line for line in lines if '"kind": "failed"' in line)[-2000:] or "no failure in its log"


def kills(stage: Stage, folder: Path, rng: random.Random) -> dict[str, int]:
    """T1: SIGKILL for the whole group at random moments, then one clean run."""
    count = 0
    for _ in range(5):
        process = start("build", stage.videos, folder / "out", *OPTIONS)
        try:
            process.wait(0.2 + stage.seconds * rng.random() ** 2)  # often early, so that something is left to build
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            count += 1
    finish(stage, folder / "out")
    return {"kills": count, "different trees": 0}


def faults(stage: Stage, folder: Path, rng: random.Random) -> dict[str, int]:
    """T2: a write, rename or fsync fails, at a random operation and in a random way."""
    import pytest
    import test_dataset

    test_dataset.build(folder / "whole")
    expected, count = test_dataset.tree(folder / "whole"), 0
    for number in range(20):
        out, fault = folder / str(number), rng.choice(["EIO", "ENOSPC", "torn"])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(test_dataset.layout, "disk", test_dataset.FaultyDisk(rng.randint(1, 60), fault))
            try:
                test_dataset.build(out)
            except (OSError, test_dataset.NoSpace):
                count += 1
        test_dataset.build(out)
        assert test_dataset.tree(out) == expected, f"{fault} in build {number}"
    return {"failed operations": count, "different trees": 0}


def signals(stage: Stage, folder: Path, rng: random.Random) -> dict[str, int]:
    """T3: SIGINT or SIGTERM at a random moment: exit code 130, nothing left running, the same command completes."""
    process = start("build", stage.videos, folder / "out", *OPTIONS)
    time.sleep(rng.uniform(2.0, max(3.0, stage.seconds)))
    if process.poll() is None:
        os.killpg(process.pid, rng.choice([signal.SIGINT, signal.SIGTERM]))
    code = process.wait(LIMIT)
    assert code in (0, 130, -signal.SIGINT, -signal.SIGTERM), code  # the negative ones: before the program began
    try:
        os.killpg(process.pid, 0)
        raise AssertionError("a process is left")
    except ProcessLookupError:
        pass
    finish(stage, folder / "out")
    return {"signals": 1, "processes left": 0, "different trees": 0}


def workers(stage: Stage, folder: Path, rng: random.Random) -> dict[str, int]:
    """T4: SIGKILL for random workers, as the kernel does where memory is short; the build itself goes on."""
    process = start("build", stage.videos, folder / "out", *OPTIONS[:-1], "2")
    count, deadline = 0, time.monotonic() + stage.seconds
    while process.poll() is None and count < 2 and time.monotonic() < deadline:
        time.sleep(rng.uniform(0.3, 1.5))
        children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
        if children:
            try:
                os.kill(int(rng.choice(children)), signal.SIGKILL)
                count += 1
            except ProcessLookupError:
                pass
    code = process.wait(LIMIT)
    assert code in (0, 3, 5), (
        f"exit code {code}, {told_by(folder / 'out')}"
    )  # 5: of both videos the worker that read them was killed twice
    finish(stage, folder / "out")
    return {"workers killed": count, "different trees": 0}


def fuzz(stage: Stage, folder: Path, rng: random.Random) -> dict[str, int]:
    """T5, T12, T15 to T17: changed files of every kind, in a process of its own each, so that a crash is noticed."""
    sys.path.insert(0, str(ROOT / "tests"))
    from fuzz import targets, test_fuzz

    name, seed = rng.choice(sorted(targets.TARGETS)), rng.randrange(1 << 30)
    tried, refused = test_fuzz.fuzz(name, 300, seed)
    return {f"{name} files": tried, "files": tried, "refused": refused, "other exceptions": 0}


def disk_full(stage: Stage, folder: Path, rng: random.Random) -> dict[str, int]:
    """T9: a file system of a few hundred kilobytes fills at a random moment; with more room the command completes."""
    out, size = folder / "out", rng.randint(60, 400)
    out.mkdir()
    words = " ".join(command("build", stage.videos, out, *OPTIONS))
    copy = folder / "copy"
    script = (f"mount -t tmpfs -o size={size}k none {out} && {{ {words}; code=$?; mount -o remount,size=64m {out}; "
              f"{words} && cp -r {out} {copy}; exit $code; }}")  # fmt: skip
    done = subprocess.run(["unshare", "-Urm", "sh", "-c", script], capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode in (0, 13), done.stderr[-800:]
    assert "Traceback" not in done.stderr
    stage.check(copy)
    return {"full disks": int(done.returncode == 13), "different trees": 0}


def two_builds(stage: Stage, folder: Path, rng: random.Random) -> dict[str, int]:
    """T11: two builds of one folder, the second at a random moment: one is refused, unless the first is done."""
    first = start("build", stage.videos, folder / "out", *OPTIONS)
    time.sleep(rng.uniform(0, stage.seconds))
    second = start("build", stage.videos, folder / "out", *OPTIONS)
    codes = sorted(process.wait(LIMIT) for process in (first, second))
    assert codes in ([0, 0], [0, 11]), codes
    stage.check(folder / "out")
    return {"pairs of builds": 1, "refused": int(codes[1] == 11), "different trees": 0}


def determinism(stage: Stage, folder: Path, rng: random.Random) -> dict[str, int]:
    """T19: any number of workers, any shards, locale, time zone and hash seed; compiled before, or in this build."""
    env = {"PYTHONHASHSEED": str(rng.randrange(1000)), "LC_ALL": rng.choice(["C", "C.UTF-8"]),
           "TZ": rng.choice(["Asia/Kathmandu", "UTC", "America/St_Johns"])}  # fmt: skip
    jobs, shards, compiling = rng.choice("123"), rng.choice([1, 1, 2, 3]), rng.random() < 0.25
    if compiling:
        env["NUMBA_CACHE_DIR"] = str(folder / "compiled")
    options = [*OPTIONS[:-1], jobs]
    processes = [start("build", stage.videos, folder / "out", *options, "--shard", f"{i + 1}/{shards}", env=env)
                 for i in range(shards)]  # fmt: skip
    codes = [process.wait(LIMIT) for process in processes]
    assert codes == [0] * shards, f"exit codes {codes}, {told_by(folder / 'out')}"
    stage.check(folder / "out")
    return {"builds": shards, "builds that compiled": shards * compiling, "different trees": 0}


def damage(stage: Stage, folder: Path, rng: random.Random) -> dict[str, int]:
    """T21: random damage to a built dataset: verify reports it, build repairs it."""
    from soak import harm

    out = shutil.copytree(stage.out, folder / "out")
    kinds = [rng.choice(sorted(harm.KINDS)) for _ in range(rng.randint(1, 3))]
    for kind in kinds:
        harm.KINDS[kind](out, rng)
    said = json.loads(run("verify", out, "--json", code=12).splitlines()[-1])
    words = {word for word, _ in said["damages"]}
    assert words, kinds
    run("build", stage.videos, out)
    for path in harm.added(stage.out, out):
        path.unlink()
    stage.check(out)
    run("verify", out)
    return {"damages": len(kinds), "not reported": 0, "not repaired": 0}


def reruns(stage: Stage, folder: Path, rng: random.Random) -> dict[str, int]:
    """T21: pairs made again from their records; one of them was changed together with its record."""
    from soak import harm

    out = shutil.copytree(stage.out, folder / "out")
    pair = harm.agreeing_lie(out, rng)
    said = run("verify", stage.videos, out, "--rerun", 99, "--seed", rng.randrange(1 << 30), "--json", code=12)
    found = json.loads(said.splitlines()[-1])["rerun"]
    assert found["differ"] == [pair], found
    run("build", stage.videos, out)
    stage.check(out)
    return {"pairs made again": len(found["pairs"]), "lies": 1, "lies not found": 0, "others that differ": 0}


def hosts(stage: Stage, folder: Path, rng: random.Random) -> dict[str, int]:
    """Two hosts that share OUT: two shards with names, process numbers and clocks of their own."""
    prefix = ["unshare", "-Ur", "--uts", "--pid", "--fork", "--mount-proc", "sh", "-c"]
    shards = []
    for number in (1, 2):
        words = " ".join(command("build", stage.videos, folder / "out", *OPTIONS, "--shard", f"{number}/2"))
        shards.append(subprocess.Popen([*prefix, f"hostname host{number}; {words}"], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE, text=True))  # fmt: skip
    said = [process.communicate(timeout=LIMIT)[1] for process in shards]
    assert [process.returncode for process in shards] == [0, 0], said
    stage.check(folder / "out")
    return {"pairs of hosts": 1, "pairs lost": 0, "different trees": 0}


def odd_system(stage: Stage, folder: Path, rng: random.Random) -> dict[str, int]:
    """A clock that jumps, a file system without hard links, stamps of two seconds: a kill, then the same command."""
    env = {"PYTHONPATH": f"{HERE / 'odd'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
           "ODD_SYSTEM": rng.choice(["clock", "links", "stamps", "clock links stamps"]),
           "ODD_SEED": str(rng.random()), "ODD_NOTES": str(folder)}  # fmt: skip
    process = start("build", stage.videos, folder / "out", *OPTIONS, env=env)
    try:
        process.wait(rng.uniform(1, stage.seconds))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    run("build", stage.videos, folder / "out", *OPTIONS, env=env)
    found, expected = tree(folder / "out"), dict(stage.tree)
    if "stamps" in env["ODD_SYSTEM"]:  # surveys are named by the stamps
        found, expected = ({name: sha for name, sha in each.items() if "/surveys/" not in name}
                           for each in (found, expected))  # fmt: skip
    assert found == expected
    run("verify", folder / "out", env=env)
    met = {f"processes that met odd {word}": len(note.read_text()) if (note := folder / word).is_file() else 0
           for word in env["ODD_SYSTEM"].split()}  # fmt: skip
    return {f"builds with odd {word}": 1 for word in env["ODD_SYSTEM"].split()} | met | {"different trees": 0}


def interrupted_training(stage: Stage, folder: Path, rng: random.Random) -> dict[str, int]:
    """T22: a training that is killed in three checkpoints, of which some are damaged then: it ends in the same bits."""
    import killed_training
    from tiny_pairs import write_pairs

    data, out, kills, damaged = write_pairs(folder / "data"), folder / "run", 0, 0
    killed_training.finish(data, folder / "whole")
    while kills < 3 and (left := killed_training.checkpoints_left(out)):
        killed_training.kill(data, out, rng.choice(sorted(killed_training.DEATHS)), rng.randint(1, min(left, 4)))
        kills += 1
        damaged += bool(rng.random() < 0.5 and killed_training.damage_newest(out, rng))
    killed_training.finish(data, out)
    assert killed_training.result(out) == killed_training.result(folder / "whole")
    return {"kills": kills, "newest checkpoints damaged": damaged, "different networks": 0}


def failing_device(stage: Stage, folder: Path, rng: random.Random) -> dict[str, int]:
    """T24: a pretended device that runs out of memory or is lost: exit code 3, and no pair is made on the CPU."""
    import failing_device

    kind, at = rng.choice(sorted(failing_device.ERRORS)), rng.randint(0, 5)
    failed = failing_device.check(stage.videos, folder, kind, at)
    assert failing_device.run(stage.videos, folder / "whole")[0] == 0
    assert tree(folder / "out") == tree(folder / "whole")
    return {f"devices: {kind}": 1, "pairs that failed": failed, "pairs made on the CPU": 0, "different trees": 0}


def ceiling(stage: Stage, folder: Path, rng: random.Random) -> dict[str, int]:
    """T18: memory of the processes of a build at full size, sampled."""
    from soak import memory

    return memory.ceiling(folder, rng)


def slope(stage: Stage, folder: Path, rng: random.Random) -> dict[str, int]:
    """T23: memory and open files of one process that builds again and again."""
    from soak import memory

    return memory.slope(stage.videos, folder, rng.randrange(30, 61, 3))


def killed_by_the_kernel(stage: Stage, folder: Path, rng: random.Random) -> dict[str, int]:
    """T4: a worker that the kernel ends for want of memory."""
    from soak import memory

    return memory.killed_by_the_kernel(stage, folder, rng)


def engine(name: str) -> Callable[[Stage, Path, random.Random], dict[str, int]]:
    def lost_node(stage: Stage, folder: Path, rng: random.Random) -> dict[str, int]:
        """Two nodes on this machine, one killed in mid-build: nothing lost, the bytes of a local build."""
        from soak import nodes

        return nodes.lost(name, folder, rng)

    return lost_node


def tests(*words: str) -> Callable[[Stage, Path, random.Random], dict[str, int]]:
    def run_tests(stage: Stage, folder: Path, rng: random.Random) -> dict[str, int]:
        """Tests of `make test`, again."""
        names = [str(ROOT / "tests" / word) if word.endswith(".py") else word for word in words]
        done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "--basetemp",
                               str(folder / "pytest"), *names], capture_output=True, text=True, cwd=ROOT,
                              env=os.environ | {"LOLBLUR_TEST_SEED": str(rng.randrange(1 << 30))},
                              timeout=3600)  # fmt: skip
        passed = re.search(r"(\d+) passed", done.stdout)
        assert done.returncode == 0 and passed, done.stdout[-3000:]
        return {"tests": int(passed[1]), "failed": 0}

    return run_tests


ROUNDS = {
    "T1 killed builds": kills,
    "T2 failed writes": faults,
    "T3 Ctrl-C and SIGTERM": signals,
    "T4 killed workers": workers,
    "T4 workers out of memory": killed_by_the_kernel,
    "T5, T12, T15-T17 changed files": fuzz,
    "T6, T7 timing, colours, crops": tests("test_timing.py", "test_container.py"),
    "T8 clips that are too short": tests("test_plan.py"),
    "T9 full disk": disk_full,
    "T10, T12, T13 outputs, names, links": tests("test_cli.py", "test_survey.py", "test_listing.py"),
    "T11 two builds, one output": two_builds,
    "T14 planted links": tests("test_links.py"),
    "T15 weights of strangers": tests("test_weights.py"),
    "T18 memory": tests("test_memory.py"),
    "T18 memory, sampled": ceiling,
    "T19 determinism": determinism,
    "T21 damage": damage,
    "T21 pairs made again": reruns,
    "T22 interrupted training": interrupted_training,
    "T22 training loop": tests("training/test_train_lednet.py"),
    "T23 memory and open files of many builds": slope,
    "T24 device out of memory or lost": failing_device,
    "T25 wheel": tests("test_wheel.py"),
    "properties of recipes, plans, names": tests("test_properties.py"),
    "two hosts, one output": hosts,
    "odd clock, links and stamps": odd_system,
    "Dask node lost": engine("dask"),
    "Ray node lost": engine("ray"),
}
