"""SepConv's operator on CUDA against the sum that defines it: on the CPU through the shim, and on a GPU."""

import shutil

import cuda_shim
import pytest
import torch
import torch.nn.functional as F
from cuda_shim import compile_for_device
from pretend_cuda import PretendCuda

from lolblur_synth.kernels import cuda
from lolblur_synth.kernels.sepconv import cuda as separable_cuda
from lolblur_synth.models import sepconv


@pytest.mark.parametrize("size,taps,stacked", [((9, 14), 5, 1), ((33, 35), 51, 2)])
def test_equals_the_sum_that_defines_it(cuda_device, size, taps, stacked):
    generator = torch.Generator().manual_seed(0)
    frame = torch.rand(2, 3 * stacked, *size, generator=generator)
    vertical, horizontal = torch.randn(2, 2, taps, *size, generator=generator) / taps
    windows = F.pad(frame, (taps // 2,) * 4, mode="replicate").unfold(2, taps, 1).unfold(3, taps, 1)
    expected = torch.einsum("nchwij,nihw,njhw->nchw", windows, vertical, horizontal)
    on_device = (x.to(cuda_device) for x in (frame, vertical, horizontal))
    got = separable_cuda.separable(*on_device).cpu()
    assert (got - expected).abs().max() < 1e-5


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ for CUDA C on the CPU")
def test_the_network_uses_it_on_a_device(monkeypatch):
    frame, kernels = torch.rand(1, 6, 11, 7), torch.randn(2, 1, sepconv.TAPS, 11, 7) / sepconv.TAPS
    expected = sepconv.separable(frame, *kernels)
    launched = []
    monkeypatch.setattr(cuda, "available", lambda: True)
    monkeypatch.setattr(cuda, "run", lambda *given: launched.append(given[:2]) or cuda_shim.run(*given))
    with PretendCuda():
        got = sepconv.separable(*(part.to("cuda") for part in (frame, *kernels))).cpu()
    assert launched == [("sepconv/separable", "separable")] * 2
    assert (got - expected).abs().max() < 1e-5


@pytest.mark.extra
def test_the_source_compiles_for_a_device(tmp_path):
    compile_for_device("sepconv/separable", tmp_path)
