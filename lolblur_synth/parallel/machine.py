"""The defaults for this machine: its device, and the number of workers."""

import os

from lolblur_synth.errors import UsageError


def resolve_device(device: str) -> str:
    """The device cpu, cuda or cuda:N that a word stands for, `auto` included. UsageError: it does not exist."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device != "cpu" and not torch.cuda.is_available():
        raise UsageError(
            f"--device {device}: torch sees no CUDA device", "use --device cpu, or install a CUDA build of torch"
        )
    if (number := int(device.partition(":")[2] or 0)) and number >= torch.cuda.device_count():
        raise UsageError(
            f"--device {device}: torch sees {torch.cuda.device_count()} CUDA devices", "they count from cuda:0 on"
        )
    return device


def auto_jobs() -> int:
    """One worker a core, or fewer, so that 1.5 GB for each fit into 80 % of the free memory."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return cores
    return max(1, min(cores, int(0.8 * free / 1.5e9)))
