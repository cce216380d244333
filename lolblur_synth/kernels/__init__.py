"""Inner loops. A folder is one specification, reference.py, and its fast twins, cpu.py and cuda.py: the same functions
with the same arguments, which a test compares. Who imports the folder gets the fastest that runs; see switch.py.
"""

import os
from pathlib import Path


def are_compiled() -> bool:
    """Whether some kernel was compiled before, or whether that cannot be seen, because this folder is read-only and
    Numba keeps what it compiles elsewhere."""
    folder = Path(__file__).parent
    return not os.access(folder, os.W_OK) or any(folder.rglob("__pycache__/*.nbi"))
