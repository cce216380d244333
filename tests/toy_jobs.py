"""Targets for the runner's tests: they write a file for each item, and some items misbehave."""

import os
import signal
import time
from pathlib import Path


def write_files(payload, items):
    folder = Path(payload)
    for item in items:
        yield "begin", item
        attempts = folder / f"attempts-{item}"
        attempts.write_text(attempts.read_text() + "x" if attempts.exists() else "x")
        if item == "poison" or (item == "dies-once" and attempts.read_text() == "x"):
            os.kill(os.getpid(), signal.SIGKILL)
        if item == "bug":
            raise ZeroDivisionError("a bug in a stage")
        if item == "memory":
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
        if item == "refused":
            yield "failed", item, {"reason": "short", "message": "too short"}
            continue
        if item.startswith("slow"):
            time.sleep(0.5)
        (folder / item).write_text(item)
        yield "done", item, {}
