"""What the machine offers: the device to compute on, and how many worker processes fit into it."""

import contextlib
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lolblur_synth.errors import UsageError

WORKER_BYTES = 1.5e9  # of a worker at most, at 1120x640
FREE_SHARE = 0.8  # of the free memory that workers may take
MEMORY = Path("/proc/meminfo")
GROUPS, OWN_GROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
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
    limits = [limit for folder in _control_groups() for limit in _limits(folder)]
    cores = min([cores, *(limit.cores for limit in limits)])
    free = min([_free_bytes(), *(limit.free_bytes for limit in limits)])
    return max(1, int(min(cores, FREE_SHARE * free / WORKER_BYTES)))


class _Limit(NamedTuple):
    cores: float
    free_bytes: float


def _control_groups() -> Iterator[Path]:
    """Folders of the control group (version 2) of this process and of those above it, where the system has them."""
    with contextlib.suppress(OSError, ValueError):
        (name,) = re.findall(r"^0::/(.*)$", OWN_GROUP.read_text(), re.MULTILINE)[:1]
        inner = GROUPS / name
        yield from (folder for folder in (inner, *inner.parents) if folder.is_relative_to(GROUPS))


def _limits(group: Path) -> Iterator[_Limit]:
    with contextlib.suppress(OSError, ValueError):
        quota, period = map(int, (group / "cpu.max").read_text().split())  # "max 100000": there is none
        yield _Limit(quota / period, math.inf)
    with contextlib.suppress(OSError, ValueError):
        most, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        (cache,) = re.findall(r"^inactive_file ([0-9]+)$", (group / "memory.stat").read_text(), re.MULTILINE)
        yield _Limit(math.inf, most - used + int(cache))  # what is cached of files is given back when it is needed


def _free_bytes() -> float:
    """What the system can give without swapping; infinite where it does not say."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return 1024 * int(re.findall(r"^MemAvailable: +([0-9]+) kB$", MEMORY.read_text(), re.MULTILINE)[0])
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return math.inf
