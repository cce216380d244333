"""What the machine offers: the device to compute on, and how many worker processes fit into it."""

import os
import re

from lolblur_synth.errors import UsageError
from lolblur_synth.files import limits

WORKER_BYTES = 1.5e9  # of a worker at most, at 1120x640
FREE_SHARE = 0.8  # of the free memory that workers may take
DEVICE_MEMORY = 4e9  # bytes of a GPU for a worker: 2 GiB of denoising at 1120x640, the context, and room


def resolve_device(device: str) -> str:
    """`auto` made concrete: cpu, cuda or cuda:N. Raises UsageError for another word, and for a device that is missing.

    The one place where a device is chosen: for builds, stages, trainings, evaluation and restoration.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise UsageError(f"--device {device}", "use auto, cpu or cuda[:N]")
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


def auto_jobs(device: str = "cpu") -> int:
    """Number of workers: one for each core, as far as WORKER_BYTES for each fit into FREE_SHARE of the free memory.

    device: "cpu", or a CUDA device, where DEVICE_MEMORY for each must also fit into FREE_SHARE of what is free on it.
    """
    jobs = _by_cores_and_memory()
    if device == "cpu":
        return jobs
    import torch

    free, _ = torch.cuda.mem_get_info(torch.device(device))
    return max(1, min(jobs, int(FREE_SHARE * free / DEVICE_MEMORY)))


def _by_cores_and_memory() -> int:
    """A container may have fewer cores and less memory than its machine: Linux keeps these limits in control groups."""
    cores: float = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    groups = limits.of_groups()
    cores = min([cores, *(group.cores for group in groups)])
    free = min([limits.free_bytes(), *(group.free_bytes for group in groups)])
    return max(1, int(min(cores, FREE_SHARE * free / WORKER_BYTES)))
