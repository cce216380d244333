"""What Linux says about free memory, and about the limits of a container or of a job of a cluster."""

import contextlib
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MEMORY = Path("/proc/meminfo")
GROUPS, OWN_GROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


class Limit(NamedTuple):
    cores: float
    free_bytes: float


def of_groups() -> list[Limit]:
    """Limits of the control groups (version 2) of this process; none where the system has no such groups."""
    return [limit for folder in _control_groups() for limit in _limits(folder)]


def _control_groups() -> Iterator[Path]:
    """Folders of the group of this process and of those above it."""
    with contextlib.suppress(OSError, ValueError):
        (name,) = re.findall(r"^0::/(.*)$", OWN_GROUP.read_text(), re.MULTILINE)[:1]
        inner = GROUPS / name
        yield from (folder for folder in (inner, *inner.parents) if folder.is_relative_to(GROUPS))


def _limits(group: Path) -> Iterator[Limit]:
    with contextlib.suppress(OSError, ValueError):
        quota, period = map(int, (group / "cpu.max").read_text().split())  # "max 100000": there is none
        yield Limit(quota / period, math.inf)
    with contextlib.suppress(OSError, ValueError):
        most, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        (cache,) = re.findall(r"^inactive_file ([0-9]+)$", (group / "memory.stat").read_text(), re.MULTILINE)
        yield Limit(math.inf, most - used + int(cache))  # what is cached of files is given back when it is needed


def free_bytes() -> float:
    """What the system can give without swapping; infinite where it does not say."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return 1024 * int(re.findall(r"^MemAvailable: +([0-9]+) kB$", MEMORY.read_text(), re.MULTILINE)[0])
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return math.inf
