"""What the machine offers: the device to compute on, and how many worker processes fit into it."""

import os
import re

from lolblur_synth.errors import UsageError

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
    """Number of workers: one for each core, as far as 1.5 GB for each fits into 80 % of the free memory.

    device: "cpu", or a CUDA device, where DEVICE_MEMORY for each must also fit into 80 % of what is free on it.
    """
    jobs = _by_cores_and_memory()
    if device == "cpu":
        return jobs
    import torch

    free, _ = torch.cuda.mem_get_info(torch.device(device))
    return max(1, min(jobs, int(0.8 * free / DEVICE_MEMORY)))


def _by_cores_and_memory() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return cores
    return max(1, min(cores, int(0.8 * free / 1.5e9)))
