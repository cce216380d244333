"""The renderer of the bundled samples, for tests that hold a synthetic exposure against the true one.

from scene import pan
truth = pan(speed=6).exposure(t0, t1)
"""

import functools
import importlib
import sys
from pathlib import Path
from types import ModuleType

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def example(name: str) -> ModuleType:
    """The module examples/<name>.py, which is no part of the package."""
    if str(EXAMPLES) not in sys.path:
        sys.path.insert(0, str(EXAMPLES))
    return importlib.import_module(name)


def scenes() -> ModuleType:
    return example("scenes")


@functools.cache
def pan(speed: float, frames: int = 14, width: int = 448, height: int = 256):
    """A scene whose street moves by `speed` pixels a source frame; it exists for 0 <= t <= frames."""
    return scenes().Street(width, height, speed=speed, frames=frames)
