"""What is handed to CuPy, and what a user reads where CuPy cannot compile; a stand-in takes CuPy's place."""

import contextlib
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lolblur_synth.errors import UsageError
from lolblur_synth.kernels import cuda


class CompileException(Exception):
    pass


@pytest.fixture
def stand_in(monkeypatch):
    """A module that looks like CuPy and notes what is launched; `broken` makes its compiler fail."""
    launched, broken = [], []

    def get_function(name):
        if broken:
            raise CompileException("nvrtc: error: invalid value for --gpu-architecture\nand more")
        return lambda grid, block, arguments: launched.append((name, grid, block, arguments))

    compiler = SimpleNamespace(CompileException=CompileException)
    stream = SimpleNamespace(ExternalStream=lambda number: contextlib.nullcontext(), compiler=compiler)
    module = SimpleNamespace(cuda=stream, RawModule=lambda code, options: SimpleNamespace(get_function=get_function))
    monkeypatch.setitem(sys.modules, "cupy", module)
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(cuda_stream=0))
    yield SimpleNamespace(launched=launched, broken=broken)
    cuda.compiled.cache_clear()
    cuda.module.cache_clear()


def test_a_launch_covers_the_threads_and_types_its_arguments(stand_in):
    tensor = torch.zeros(3)
    cuda.launch("exposure/exposure", "splat", (33, 4, 2), tensor, 5, 0.5, np.float64(2))
    ((name, grid, block, passed),) = stand_in.launched
    assert (name, grid, block) == ("splat", (2, 1, 2), cuda.BLOCK)
    assert passed[0] == tensor.data_ptr() and [type(p) for p in passed] == [int, np.int32, np.float32, np.float64]


def test_no_threads_launch_nothing_and_a_strided_tensor_is_refused(stand_in):
    cuda.launch("exposure/exposure", "splat", (0, 4, 2), torch.zeros(3))
    with pytest.raises(ValueError, match="contiguous"):
        cuda.launch("exposure/exposure", "splat", (1, 1, 1), torch.zeros(4)[::2])
    assert not stand_in.launched


def test_a_compiler_that_fails_is_one_line(stand_in):
    stand_in.broken.append(True)
    with pytest.raises(UsageError, match=r"^CuPy cannot compile exposure.cu: nvrtc: .*architecture$") as caught:
        cuda.launch("exposure/exposure", "splat", (1, 1, 1), torch.zeros(3))
    assert "--device cpu" in caught.value.hint
