"""A folder of photographs for `lolblur-synth stage`: each is run as if it were given alone, in worker processes.

The result does not depend on the number of workers.
"""

import dataclasses
import logging
from pathlib import Path

import joblib
import torch

from lolblur_synth.errors import InputError, Interrupted, LolblurError, UsageError
from lolblur_synth.files.video import LIGHT_SUFFIXES
from lolblur_synth.parallel.machine import auto_jobs
from lolblur_synth.parallel.progress import metered
from lolblur_synth.tools import outputs, sources, stage
from lolblur_synth.tools.request import LINEAR_OUT, NEED_NEIGHBOURS, Report, Request, Result, check

MAY_BE_LINEAR = (*outputs.TIFF, *LIGHT_SUFFIXES)
log = logging.getLogger(__name__)


def run(request: Request) -> Report:
    """Apply a stage to whatever the user named: photographs one by one, an image or a clip as a whole."""
    check(request)
    files = _files(request)
    return stage.run(request) if files is None else _run_each(request, files)


def _files(request: Request) -> list[Path] | None:
    """The files of a folder of photographs; None where the input is one image or one clip."""
    if not request.source.is_dir():
        return None
    files = sources.photographs(request.source)
    if not request.each and not sources.differ_in_size(files):
        return None
    if request.name in NEED_NEIGHBOURS:
        raise InputError(f"{request.source}: its images differ in size", "give the frames of one clip", "size-changes")
    sources.log_unread_files(request.source)
    return files[: request.limit]


def _run_each(request: Request, files: list[Path]) -> Report:
    """Each photograph as a run of its own, in worker processes; one that fails is listed and the others are written."""
    count, name, target = len(files), request.name, request.target
    form = outputs.form(target, count, name in LINEAR_OUT, request.bits, no_video="photographs do not make a video")
    paths = [_photograph_path(request, file) if form == "folder" else target for file in files]
    ours = outputs.earlier(target, request.overwrite) if request.default_target else []
    outputs.claim(paths, files, request.overwrite, ours)
    if form == "folder":
        outputs.make_folder(target)
    if request.default_target:
        outputs.remember(target, {*paths, *ours}, finished=False)
    jobs = 1 if request.device != "cpu" else min(request.jobs or auto_jobs(), count)
    ones = (dataclasses.replace(request, source=file, target=path, each=False, default_target=False, progress=False,
                                listener=None, overwrite=request.overwrite or path in ours)
            for file, path in zip(files, paths, strict=True))  # fmt: skip
    done = joblib.Parallel(jobs, return_as="generator")(joblib.delayed(_photograph)(one) for one in ones)
    results, failed = [], []
    try:
        for outcome, warnings in metered(done, count, "photograph", not request.progress):
            for warning in warnings:
                log.warning(warning)
            (failed if isinstance(outcome, LolblurError) else results).append(outcome)
            if request.listener:
                request.listener(outcome)
    except (KeyboardInterrupt, Interrupted):  # here, or in a worker
        raise stage.interrupted(request, len(results), count, "photographs") from None
    if request.default_target:
        outputs.remember(target, {*(path for path in paths if path.exists()), *ours}, finished=True)
    if failed and not results:
        raise failed[0]
    return Report(results, len({*ours} & {*paths}), failed)


def _photograph_path(request: Request, file: Path) -> Path:
    keeps_kind = request.kind == "defocus" and file.suffix.lower() in MAY_BE_LINEAR
    linear = request.name in LINEAR_OUT or keeps_kind and sources.image(file, request.recipe).linear
    return request.target / f"{file.stem}{'.tiff' if linear else '.png'}"


class _Collected(logging.Handler):
    """Collects warnings in a worker; the parent logs them with the name of the photograph."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def _photograph(request: Request) -> tuple[Result | LolblurError, list[str]]:
    """One photograph, in a worker or here, on one thread: the sums do not depend on the number of workers."""
    threads, package_log, collected = torch.get_num_threads(), logging.getLogger("lolblur_synth"), _Collected()
    torch.set_num_threads(1)
    propagates, package_log.propagate = package_log.propagate, False
    package_log.addHandler(collected)
    outcome: Result | LolblurError
    try:
        outcome = stage.run(request).results[0]
    except (InputError, UsageError) as error:
        name = str(request.source)
        outcome = error if name in str(error) else type(error)(f"{name}: {error}", error.hint)
    finally:
        torch.set_num_threads(threads)
        package_log.removeHandler(collected)
        package_log.propagate = propagates
    name = str(request.source)
    return outcome, [line if name in line else f"{name}: {line}" for line in collected.lines]
