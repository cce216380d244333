"""Runs the CUDA kernels of the package on the CPU, host code and all: g++ compiles the very same .cu files.

A test that asks for `cuda_device` runs twice: on CPU tensors, with the one function replaced that hands a grid to CuPy,
and on a GPU where there is one.
"""

import ctypes
import functools
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

from lolblur_synth.kernels import cuda

SHIM = Path(__file__).parent / "cuda_shim.h"
POISON = {torch.float32: float("nan"), torch.bfloat16: float("nan"), torch.uint8: 77,
          torch.int64: -(2**62), torch.int32: -(2**30), torch.int16: 2**14}  # fmt: skip


def kernels(source: str) -> list[str]:
    return re.findall(r"__global__\s+void\s+(?:__launch_bounds__\(.*?\)\s+)?(\w+)\(", cuda.text(source))


@functools.cache
def library(source: str) -> ctypes.CDLL:
    code = f'#include "{SHIM}"\n' + cuda.text(source) + "".join(f"EXPORT({name})\n" for name in kernels(source))
    folder = Path(tempfile.mkdtemp(prefix="cuda-shim-"))
    (folder / "kernels.cpp").write_text(code)
    flags = ["-std=c++17", "-O2", "-march=native", "-ffp-contract=off", "-shared", "-fPIC", "-Wall", "-Wextra",
             "-Werror", "-Wno-unknown-pragmas", *os.environ.get("CUDA_SHIM_FLAGS", "").split()]  # fmt: skip
    subprocess.run(["g++", *flags, "kernels.cpp", "-o", "kernels.so"], cwd=folder, check=True)
    loaded = ctypes.CDLL(str(folder / "kernels.so"))
    shutil.rmtree(folder)
    return loaded


def run(source: str, name: str, device: torch.device, grid: tuple, arguments: tuple, steps=None) -> None:
    """Stands in for `kernels.cuda.run`; also compares the arguments with the kernel's parameters, as CuPy does not."""
    loaded = library(source)
    kinds, sizes = ctypes.create_string_buffer(64), (ctypes.c_uint * 64)()
    getattr(loaded, f"describe_{name}")(kinds, sizes)
    three = ctypes.c_uint * 3
    for step in cuda.last_arguments(steps):
        given = arguments + step
        values = [np.uint64(value) if isinstance(value, int) else value for value in given]
        types = "".join("p" if isinstance(value, int) else value.dtype.kind for value in given)
        assert types == kinds.value.decode(), f"{name} is called with {types}"
        assert [value.itemsize for value in values] == list(sizes[: len(values)]), f"{name}: sizes of the arguments"
        held = [np.array(value) for value in values]
        pointers = (ctypes.c_void_p * len(held))(*(value.ctypes.data for value in held))
        getattr(loaded, f"launch_{name}")(three(*grid), three(*cuda.BLOCK), pointers)


def _no_gpu() -> str:
    if not torch.cuda.is_available():
        return "torch sees no CUDA device"
    return "" if cuda.available() else "CuPy is not installed"


@pytest.fixture(params=[
    pytest.param("cpu", marks=pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ for CUDA C on the CPU")),
    pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(bool(_no_gpu()), reason=_no_gpu() or "-")]),
])  # fmt: skip
def cuda_device(request, monkeypatch) -> torch.device:
    """Where CUDA host code and kernels run: a GPU, or the CPU through the shim. Memory not yet written is poison."""
    empty = torch.empty

    def poisoned(*args, **kwargs):
        tensor = empty(*args, **kwargs)
        return tensor.fill_(POISON[tensor.dtype])

    if request.param == "cpu":
        monkeypatch.setattr(cuda, "run", run)
    monkeypatch.setattr(torch, "empty", poisoned)
    monkeypatch.setattr(torch, "empty_like", lambda x: poisoned(x.shape, dtype=x.dtype, device=x.device))
    return torch.device(request.param)


def compile_for_device(source: str, tmp_path: Path) -> None:
    """The same file through a CUDA compiler, which needs no device. Skips where there is none."""
    if shutil.which("nvcc"):
        (tmp_path / "kernels.cu").write_text(cuda.text(source))
        command = ["nvcc", "-cubin", "-arch=sm_90", "-Werror", "all-warnings", "kernels.cu", "-o", "kernels.cubin"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return
    nvrtc = _nvrtc()
    if nvrtc is None:
        pytest.skip("neither nvcc nor NVRTC (make test-extras) to compile CUDA C")
    program, options = ctypes.c_void_p(), (ctypes.c_char_p * 1)(b"--gpu-architecture=sm_90")
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), cuda.text(source).encode(), None, 0, None, None) == 0
    failed = nvrtc.nvrtcCompileProgram(program, 1, options)
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    assert not failed, log.value.decode()


def _nvrtc() -> ctypes.CDLL | None:
    """The compiler of the package nvidia-cuda-nvrtc, of any CUDA version: a folder of `nvidia` holds its library."""
    try:
        import nvidia
    except ImportError:
        return None
    libraries = sorted(file for folder in nvidia.__path__ for file in Path(folder).glob("*/lib/libnvrtc.so.*"))
    return ctypes.CDLL(str(libraries[-1])) if libraries else None
