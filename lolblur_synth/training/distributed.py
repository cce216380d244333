"""The processes of a training: one, or several that torchrun started on one machine."""

import contextlib
import os
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.distributed as dist

from lolblur_synth.parallel.machine import resolve_device


class Process(NamedTuple):
    """This process among those of a training. The first one, of rank 0, writes files and shows progress."""

    rank: int
    world: int  # how many processes there are
    device: torch.device

    @property
    def is_first(self) -> bool:
        return self.rank == 0


def is_first() -> bool:
    """Whether this process is the first of a training, or the only one; known before its group is."""
    return int(os.environ.get("RANK", 0)) == 0


@contextlib.contextmanager
def group(device: str) -> Iterator[Process]:
    """Within the block this process belongs to the group that torchrun started, if it did. Raises UsageError.

    device: "auto", "cpu", "cuda" or "cuda:N"; of several processes each takes the GPU of its own number.
    """
    world, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    chosen = torch.device(resolve_device(device))
    if world == 1:
        yield Process(rank, world, chosen)
        return
    if chosen.type == "cuda":
        chosen = torch.device(f"cuda:{os.environ.get('LOCAL_RANK', 0)}")
        torch.cuda.set_device(chosen)
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Process(rank, world, chosen)
    finally:
        dist.destroy_process_group()
