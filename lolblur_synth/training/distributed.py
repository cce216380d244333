"""The processes of a training: which one this is, and how it is asked to stop."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

import torch
import torch.distributed as dist

from lolblur_synth.errors import UsageError


def choose(device: str) -> torch.device:
    """The device that "auto", "cpu", "cuda" or "cuda:N" stands for. Raises UsageError for one that is not there."""
    if device.split(":")[0] not in ("auto", "cpu", "cuda"):
        raise UsageError(f"--device {device}", "use auto, cpu or cuda[:N]")
    cuda = torch.cuda.is_available()
    if device.startswith("cuda") and not cuda:
        raise UsageError(f"--device {device}: torch sees no CUDA device", "use --device cpu, or a CUDA build of torch")
    return torch.device(device if device != "auto" else "cuda" if cuda else "cpu")


@contextlib.contextmanager
def group(device: str) -> Iterator[tuple[int, int, torch.device]]:
    """(rank, world, device); joins the other processes where torchrun started several."""
    world, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    chosen = choose(device)
    if world == 1:
        yield rank, world, chosen
        return
    if chosen.type == "cuda":
        chosen = torch.device(f"cuda:{os.environ.get('LOCAL_RANK', 0)}")
        torch.cuda.set_device(chosen)
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield rank, world, chosen
    finally:
        dist.destroy_process_group()


@contextlib.contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Within the block SIGINT and SIGTERM set the event: the step at hand is finished and saved."""
    stop, former = threading.Event(), {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            former[number] = signal.signal(number, lambda *_: stop.set())
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def leave_stopping_to_the_parent(worker: int) -> None:
    """For a reader process: a signal to the whole process group must not take the readers from a step that is finished
    and saved. A reader ends when its parent says so, or is gone."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
