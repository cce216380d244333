"""`lolblur-synth shoot`: pictures in, clips and their records out, in worker processes; resumable.

The result depends on each picture, the settings and the seed, never on the other pictures or the number of workers.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from lolblur_synth.errors import InputError, UsageError
from lolblur_synth.files import atomic
from lolblur_synth.parallel import machine, pool
from lolblur_synth.recipe.shoot import ShootConfig
from lolblur_synth.tools import outputs
from lolblur_synth.tools.shoot import clip, pictures

Listener = Callable[[str, dict], None]  # called as listener("shot" | "kept" | "failed" | "note", facts)


class Shot(NamedTuple):
    """One clip to make: its number among those of the picture, from 0 on, and its file."""

    number: int
    target: Path


@dataclass(frozen=True)
class Job:
    """What a worker needs to shoot the clips of one picture."""

    picture: Path
    config: ShootConfig
    seed: int


@dataclass
class Report:
    """Facts of the clips that were shot; names of those that were there already; pictures and clips that failed."""

    shot: list[dict] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: list[dict] = field(default_factory=list)


def run(
    paths: Sequence[Path], out: Path, config: ShootConfig, seed: int, jobs: int | None = None, overwrite: bool = False,
    listener: Listener = lambda kind, facts: None,
) -> Report:  # fmt: skip
    """Shoot `config.clips` clips of each picture at or under `paths` into the folder `out`.

    A clip that is there is kept. Pictures that cannot be used do not raise: they are in the report. Raises InputError
    where none can be used, UsageError where a file of other settings, or of somebody else, is in the way.
    """
    if config.rolling_shutter[1] > 1000 / config.fps:
        raise UsageError(f"--rolling-shutter: {config.rolling_shutter[1]:g} ms do not fit into a frame of "
                         f"{1000 / config.fps:g} ms", "give less, or lower --fps")  # fmt: skip
    outputs.folder(out, "OUT")
    for path in paths:
        outputs.refuse_inside(out, path)
    files = pictures.find(paths)
    report, tasks = Report(), []
    for job, shots in _jobs(files, out, config, seed):
        try:
            sha256 = atomic.sha256(job.picture)
        except OSError as error:
            _failed(report, listener, job.picture, "unreadable", f"{job.picture}: {error.strerror}",
                    "check the file and its permissions")  # fmt: skip
            continue
        keys = {shot: clip.key(sha256, shot.number, config, seed) for shot in shots}
        wanted = tuple(shot for shot in shots if overwrite or not _is_there(shot, keys[shot]))
        tasks += [(job, wanted)] if wanted else []
        report.kept += [shot.target.name for shot in shots if shot not in wanted]
    for name in report.kept:
        listener("kept", {"clip": str(out / name)})
    outputs.make_folder(out)
    _run(tasks, jobs, report, listener)
    if report.failed and not report.shot and not report.kept:
        raise InputError("no picture could be used", "each is listed with its reason", report.failed[0]["reason"])
    return report


def _run(tasks: list[pool.Task], jobs: int | None, report: Report, listener: Listener) -> None:
    """Hand the pictures to workers."""

    def receive(kind: str, shot: Shot, result: dict) -> None:
        if kind == "done":
            report.shot.append(result)
            listener("shot", result)
        else:
            name = Path(result.get("picture", shot.target.name))  # a worker that died names no picture
            _failed(report, listener, name, result["reason"], result["message"], result.get("hint", ""))

    pool.run("lolblur_synth.tools.shoot.work:shoot", tasks, jobs or machine.auto_jobs(), receive)
    report.shot.sort(key=lambda facts: facts["clip"])


def _failed(report: Report, listener: Listener, path: Path, reason: str, message: str, hint: str) -> None:
    report.failed.append({"name": path.name, "reason": reason, "message": message, "hint": hint})
    listener("failed", report.failed[-1])


def _jobs(files: list[Path], out: Path, config: ShootConfig, seed: int) -> Iterator[tuple[Job, list[Shot]]]:
    """The clips of each picture: NAME.mkv, NAME-2.mkv, … Raises InputError where two pictures would have one name."""
    owner: dict[str, Path] = {}
    for file in files:
        shots = [Shot(n, out / f"{file.stem}{f'-{n + 1}' if n else ''}.mkv") for n in range(config.clips)]
        for shot in shots:
            other = owner.setdefault(shot.target.name.casefold(), file)
            if other != file:
                raise InputError(f"{other} and {file} would both become {shot.target.name}",
                                 "rename one of them, or shoot them into two folders", "names")  # fmt: skip
        yield Job(file, config, seed), shots


def _is_there(shot: Shot, key: str) -> bool:
    """Whether this very clip is finished. Raises UsageError where another file is in its place."""
    state = clip.state(shot.target, key)
    if state == "other":
        raise UsageError(f"{shot.target} exists, and was not shot with these settings, seed and picture",
                         "add --overwrite, or name another output folder")  # fmt: skip
    return state == "done"
