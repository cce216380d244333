"""Runs tasks on a Dask or Ray cluster; `choose` returns a function with the signature of `pool.run`.

A task of the cluster is a whole `pool.run` of one task, so that a killed worker, a bug or a rejected item costs one
item there, as it does here. Workers commit their own pairs: OUT and the videos must be at the same path on every
machine. No more tasks are handed out than the cluster has room for, so that an interruption waits only for tasks that
have begun.
"""

import functools
import logging
import socket
from collections.abc import Callable
from typing import Any

from lolblur_synth.errors import Interrupted, LolblurError, UsageError
from lolblur_synth.parallel import pool
from lolblur_synth.parallel.stop import stop_signals

CONNECT_TIMEOUT = 20.0  # s after which a scheduler that does not answer is given up
POLL_INTERVAL = 0.5  # s between two checks of the stop signal

Run = Callable[[str, list[pool.Task], int, Callable[[str, Any, Any], None]], None]


def choose(backend: str, address: str = "") -> Run:
    """The `run` of a backend: local, dask or ray. address: of a running cluster; without, one is started here.

    Raises UsageError where the package is missing or `address` makes no sense; `run` where nobody answers.
    """
    if backend == "local":
        if address:
            raise UsageError("--address is for --backend dask or ray", "add --backend, or leave --address out")
        return pool.run
    if backend not in CLUSTERS:
        raise UsageError(f"--backend {backend}: not known", f"use local, {' or '.join(CLUSTERS)}")
    return functools.partial(_run, CLUSTERS[backend], address)


def perform(target: str, task: pool.Task) -> list[tuple]:
    """Run one task, on a machine of the cluster, in a worker process of its own; returns all its events."""
    events: list[tuple] = []
    pool.run(target, [task], 1, lambda *event: events.append(event))
    return events


def _run(cluster_class: type, address: str, target: str, tasks: list, jobs: int, report: Callable) -> None:
    """`pool.run` on a cluster. Raises UsageError, Interrupted, and what a worker sends as fatal."""
    if not tasks:
        return
    waiting = list(reversed(tasks))
    flying: dict = {}
    with cluster_class(address, jobs) as cluster, stop_signals() as stop:  # Ray installs handlers of its own first
        while flying or (waiting and not stop.is_set()):
            while waiting and not stop.is_set() and len(flying) < cluster.room():
                task = waiting.pop()
                flying[cluster.submit(target, task)] = task
            for handle in cluster.finished(list(flying)):
                for event in _events(cluster, handle, flying.pop(handle)):
                    report(*event)
        if stop.is_set():
            raise Interrupted("stopped; what was being worked on was finished first", "the same command continues")


def _events(cluster: Any, handle: Any, task: pool.Task) -> list[tuple]:
    """The events of a finished task. A lost machine costs the items of its task; the next build tries them again."""
    try:
        return cluster.result(handle)
    except LolblurError:
        raise
    except Exception as error:
        failure = {"reason": "cluster", "message": f"lost on the cluster: {type(error).__name__}: {error}"[:300],
                   "hint": "the same command tries it again"}  # fmt: skip
        return [("failed", item, failure) for item in task[1]]


def _reach(address: str) -> None:
    """Raise UsageError unless somebody listens at HOST:PORT or scheme://HOST:PORT; `auto` is left to Ray."""
    host, colon, port = address.rpartition("//")[2].rpartition(":")
    if colon and port.isdigit():
        try:
            socket.create_connection((host, int(port)), CONNECT_TIMEOUT).close()
        except OSError as error:
            raise _unreachable(address, error) from None


def _unreachable(address: str, error: Exception) -> UsageError:
    return UsageError(f"--address {address}: no cluster answers ({error})", "check the address; is the cluster up?")


class _Dask:
    """A Dask cluster: that at `address`, or `jobs` processes on this machine."""

    def __init__(self, address: str, jobs: int):
        try:
            import distributed
        except ImportError:
            raise UsageError("Dask is not installed", "pip install 'lolblur-synth[dask]'") from None
        self.library, self.own = distributed, None
        if not address:
            self.own = distributed.LocalCluster(
                n_workers=jobs, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL
            )
        try:
            self.client = distributed.Client(self.own or address, timeout=CONNECT_TIMEOUT)
        except (OSError, ValueError) as error:
            raise _unreachable(address, error) from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()
        if self.own:
            self.own.close()

    def room(self) -> int:
        return max(1, sum(self.client.nthreads().values()))

    def submit(self, target: str, task: pool.Task):
        return self.client.submit(perform, target, task, pure=False, retries=1)

    def finished(self, handles: list) -> list:
        try:
            return list(self.library.wait(handles, timeout=POLL_INTERVAL, return_when="FIRST_COMPLETED").done)
        except TimeoutError:
            return []

    def result(self, handle) -> list[tuple]:
        return handle.result()


class _Ray:
    """A Ray cluster: that at `address` (`auto` finds one), or `jobs` processes on this machine."""

    def __init__(self, address: str, jobs: int):
        try:
            import ray
        except ImportError:
            raise UsageError("Ray is not installed", "pip install 'lolblur-synth[ray]'") from None
        self.library = ray
        _reach(address)  # ray.init tries for minutes
        # local: else Ray joins a cluster that runs, or ran, on this machine
        where = {"address": address} if address else {"address": "local", "num_cpus": jobs, "include_dashboard": False}
        try:
            ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise _unreachable(address, error) from None
        self.remote = ray.remote(num_cpus=1, max_retries=1)(perform)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.library.shutdown()

    def room(self) -> int:
        return max(1, int(self.library.cluster_resources().get("CPU", 1)))

    def submit(self, target: str, task: pool.Task):
        return self.remote.remote(target, task)

    def finished(self, handles: list) -> list:
        return self.library.wait(handles, timeout=POLL_INTERVAL)[0]

    def result(self, handle) -> list[tuple]:
        try:
            return self.library.get(handle)
        except self.library.exceptions.RayTaskError as error:
            raise (error.cause if isinstance(error.cause, LolblurError) else error) from None


CLUSTERS = {"dask": _Dask, "ray": _Ray}
