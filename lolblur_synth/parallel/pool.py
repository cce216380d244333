"""Runs tasks in worker processes: jobs, not pixels.

A task is a payload and the items to do with it, in order. The target is a generator function, named "module:function",
called as `target(payload, items)`; it yields ("begin", item) before and ("done", item, result) or
("failed", item, failure) after each item. Workers write their own results; the parent only counts.

A worker that is killed loses the item it was working on: that item is tried once more, alone, and given up the second
time. The other items of its task are handed out again.
"""

import collections
import importlib
import logging
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any

from lolblur_synth.errors import Interrupted, LolblurError
from lolblur_synth.parallel.stop import stop_signals

log = logging.getLogger(__name__)
MAX_FAILED_STARTS = 3  # in a row
Task = tuple[Any, tuple]  # payload, items
# glibc keeps freed memory of frames, up to 0.3 GB and differently in each run, unless the first variable makes it
# return blocks above 8 MB. Setting that alone makes it return smaller blocks as well, as soon as 128 kB are free, which
# a network allocates again at once; the second variable prevents that.
RETURN_FRAMES = {"MALLOC_MMAP_THRESHOLD_": str(8 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)}
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


@dataclass
class _Worker:
    process: subprocess.Popen
    pipe: Connection
    task: Task | None = None
    left: list = field(default_factory=list)  # items of the task not yet reported
    current: Any = None  # the item begun and not yet reported


def run(target: str, tasks: list[Task], jobs: int, report: Callable[[str, Any, Any], None]) -> None:
    """Run every task; `report(kind, item, result)` is called for "done" and "failed" items as they arrive.

    Raises Interrupted after Ctrl-C or SIGTERM (the items in flight are finished first; a second signal stops at once),
    and whatever LolblurError a worker sends as fatal.
    """
    if not tasks:
        return
    with stop_signals() as stop:
        _Runner(target, tasks, report, stop).loop(max(1, jobs))


class _Runner:
    def __init__(self, target: str, tasks: list[Task], report: Callable, stop: threading.Event):
        self.target, self.report, self.stop = target, report, stop
        self.waiting: collections.deque[Task] = collections.deque(tasks)
        self.workers: list[_Worker] = []
        self.deaths: collections.Counter = collections.Counter()
        self.failed_starts = 0  # workers in a row that died before they began an item
        self.told: list = []  # not empty once the busy workers were told to stop

    def loop(self, jobs: int) -> None:
        try:
            self.workers = [self._start() for _ in range(min(jobs, len(self.waiting)))]
            while True:
                for worker in self.workers:
                    self._hand_out(worker)
                busy = [worker for worker in self.workers if worker.task is not None]
                if not busy:
                    break
                if self.stop.is_set() and not self.told:
                    log.warning("stopping: what is being worked on is finished first; Ctrl-C again stops at once")
                    self.told = [_tell_stop(worker) for worker in busy]
                for pipe in wait([worker.pipe for worker in busy], timeout=0.2):
                    self._receive(next(worker for worker in busy if worker.pipe is pipe))
            if self.stop.is_set():
                raise Interrupted("stopped; what was being worked on was finished first", "the same command continues")
        finally:
            for worker in self.workers:
                worker.pipe.close()
                if worker.task is not None:
                    worker.process.kill()
            for worker in self.workers:
                worker.process.wait()

    def _start(self) -> _Worker:
        ours, theirs = Pipe()
        command = [sys.executable, "-m", "lolblur_synth.parallel.pool", str(theirs.fileno()), self.target]
        process = subprocess.Popen(
            command,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=os.environ | ONE_THREAD | RETURN_FRAMES,
        )
        theirs.close()
        return _Worker(process, ours)

    def _hand_out(self, worker: _Worker) -> None:
        if worker.task is None and self.waiting and not self.stop.is_set():
            worker.task = self.waiting.popleft()
            worker.left = list(worker.task[1])
            try:
                worker.pipe.send_bytes(pickle.dumps(worker.task))
            except OSError:
                pass  # it died while idle; the next receive notices

    def _receive(self, worker: _Worker) -> None:
        try:
            kind, item, result = worker.pipe.recv()
        except (EOFError, OSError):
            self._bury(worker)
            return
        if kind == "begin":
            worker.current, self.failed_starts = item, 0
        elif kind == "end":
            worker.task, worker.left, worker.current = None, [], None
        elif kind == "fatal":
            worker.task = None
            raise result
        else:
            worker.left.remove(item)
            worker.current = None
            self.report(kind, item, result)

    def _bury(self, worker: _Worker) -> None:
        """A worker died: hand its unfinished items out again, the one that it was working on alone."""
        worker.process.wait()
        payload, suspect = worker.task[0], worker.current
        rest = tuple(item for item in worker.left if item != suspect)
        if suspect is None:
            self.failed_starts += 1
            if self.failed_starts > MAX_FAILED_STARTS:
                worker.task = None
                raise LolblurError(
                    "worker processes die before they begin",
                    "run `lolblur-synth doctor`; the message of the worker is above",
                )
        else:
            self.deaths[suspect] += 1
            if self.deaths[suspect] > 1:
                how = _how_it_died(worker.process.returncode)
                failure = {"reason": "worker-killed", "message": f"the worker {how}, twice"}
                self.report("failed", suspect, failure | {"hint": "give fewer --jobs, then run again"})
            else:
                self.waiting.append((payload, (suspect,)))
        if rest:
            self.waiting.appendleft((payload, rest))
        worker.pipe.close()
        self.workers[self.workers.index(worker)] = self._start()


def _tell_stop(worker: _Worker) -> None:
    try:
        worker.pipe.send_bytes(b"")
    except OSError:
        pass  # it is gone already


def _how_it_died(code: int) -> str:
    if code == -signal.SIGKILL:
        return "was killed (out of memory?)"
    return f"died of {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"


def work(pipe: Connection, target: str) -> None:
    """The life of a worker: receive tasks until the parent closes the pipe or is gone."""
    module, function = target.split(":")
    generate = getattr(importlib.import_module(module), function)
    while True:
        message = pipe.recv_bytes()
        if message:  # an empty message is a "stop" that came between two tasks
            _do(pipe, generate, *pickle.loads(message))
            pipe.send(("end", None, None))


def _do(pipe: Connection, generate: Callable[..., Iterator], payload: Any, items: tuple) -> None:
    left = list(items)
    while left:
        current = left[0]
        steps = generate(payload, tuple(left))
        try:
            for step in steps:
                pipe.send(step if len(step) == 3 else (*step, None))
                current = step[1]
                if step[0] != "begin":
                    left.remove(step[1])
                    if pipe.poll():  # between two tasks only: nothing else is sent while a task is running
                        pipe.recv_bytes()
                        return
            return
        except (BrokenPipeError, ConnectionResetError):
            raise
        except LolblurError as error:
            pipe.send(("fatal", None, error))
            return
        except Exception as error:  # a bug must cost one item, not the build
            pipe.send(("failed", current, _describe(error)))
            left.remove(current)


def _describe(error: Exception) -> dict:
    """The failure of an item whose work raised what is no foreseen error.

    A lack of memory and a lost device are told by their words: of torch's and CuPy's errors some have no type of their
    own. Neither is ever made up for on the CPU, whose pixels are others.
    """
    if isinstance(error, MemoryError) or re.search("allocate memory|out of memory", str(error), re.IGNORECASE):
        return {"reason": "memory", "message": "not enough memory", "hint": "give fewer --jobs, then run again"}
    if re.search("CUDA error|cudaError", str(error)):
        message = f"the CUDA device failed: {str(error).splitlines()[0]}"
        return {"reason": "device", "message": message,
                "hint": "when `nvidia-smi` shows the device again, the same command continues"}  # fmt: skip
    message = f"{type(error).__name__}: {error}"
    return {"reason": "error", "message": message, "trace": traceback.format_exc()}


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    try:
        work(Connection(int(sys.argv[1])), sys.argv[2])
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the parent closed the pipe, or is gone: done
