"""CUDA kernels for torch tensors, through CuPy: a `.cu` file below this folder is compiled at its first launch.

Nothing here touches CUDA at import. The sources are plain C apart from the index built-ins: one thread computes one
pixel, cell or block, alone, without shared memory, barriers or shuffles, so that the tests can run the very same files
on the CPU. Where threads meet in one sum it is an integer sum, which does not depend on their order.
"""

import functools
import importlib.util
import pkgutil
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from lolblur_synth.errors import UsageError
from lolblur_synth.kernels import switch

BLOCK = (32, 4, 1)  # threads; one warp lies along x, where pixels are neighbours in memory
UNFUSED = {"inverse_search/inverse_search"}  # sources that say themselves where multiply and add are fused


@functools.cache
def available() -> bool:
    """Whether CuPy is installed and kernels are not switched off. Otherwise the references run on the same device."""
    return switch.ON and importlib.util.find_spec("cupy") is not None


def launch(
    source: str,
    name: str,
    threads: tuple[int, int, int],
    *arguments: Tensor | int | float | np.generic,
    steps: Iterable[int] | None = None,
) -> None:
    """Run kernel `name` of `source`.cu, a path below this folder, with at least `threads` (x, y, z) threads, on torch's
    current stream.

    arguments: contiguous CUDA tensors of one device, passed as pointers; Python numbers, passed as int and float; NumPy
    scalars, passed as they are, for parameters of other types. steps: run it once for each of these numbers, one after
    the other, with the number as its last argument. ValueError: a tensor is not contiguous. UsageError: CuPy cannot
    compile the source.
    """
    tensors = [value for value in arguments if isinstance(value, Tensor)]
    if not all(value.is_contiguous() for value in tensors):
        raise ValueError(f"{source}.{name}: a tensor is not contiguous")
    if 0 in threads:
        return
    grid = tuple(-(-count // size) for count, size in zip(threads, BLOCK, strict=True))
    run(source, name, tensors[0].device, grid, tuple(map(_passed, arguments)), steps)


def _passed(value: Tensor | int | float | np.generic) -> int | np.generic:
    """An argument as CuPy takes it, to which a Python integer is a pointer."""
    if isinstance(value, Tensor):
        return value.data_ptr()
    if isinstance(value, np.generic):
        return value
    return np.int32(value) if isinstance(value, int) else np.float32(value)


def upload(values, kind: type, device: torch.device) -> Tensor:
    """An array, or a list of numbers, as a contiguous tensor of a NumPy type on a device."""
    return torch.from_numpy(np.ascontiguousarray(values, kind)).to(device)


def run(
    source: str,
    name: str,
    device: torch.device,
    grid: tuple[int, int, int],
    arguments: tuple,
    steps: Iterable[int] | None = None,
) -> None:
    """Hand a grid of blocks to CuPy, on torch's current stream, once or for each step. Pointers are Python integers."""
    import cupy

    with torch.cuda.device(device):
        with cupy.cuda.ExternalStream(torch.cuda.current_stream(device).cuda_stream):
            kernel = compiled(source, name, device.index)
            for step in last_arguments(steps):
                kernel(grid, BLOCK, arguments + step)


def last_arguments(steps: Iterable[int] | None) -> Iterable[tuple]:
    """What each run of a kernel is given behind its other arguments."""
    return [()] if steps is None else ((np.int32(step),) for step in steps)


@functools.cache
def compiled(source: str, name: str, index: int):
    """The compiled kernel, for the current device, which is number `index`. UsageError: CuPy cannot compile it."""
    import cupy

    try:
        return module(source).get_function(name)
    except (RuntimeError, cupy.cuda.compiler.CompileException) as error:  # no NVRTC, or one too old for the device
        why, hint = str(error).strip().splitlines()[0], "mend CuPy, uninstall it, or use --device cpu"
        raise UsageError(f"CuPy cannot compile {source.split('/')[-1]}.cu: {why}", hint) from None


@functools.cache
def module(source: str):
    """`source`.cu as CuPy compiles it, once a process."""
    import cupy

    return cupy.RawModule(code=text(source), options=("--fmad=false",) if source in UNFUSED else ())


def text(source: str) -> str:
    """The CUDA C of `source`.cu, after that of threads.h."""
    shared, own = (pkgutil.get_data(__package__, file).decode() for file in ("threads.h", f"{source}.cu"))
    return f'{shared}#line 1 "{source}.cu"\n{own}'
