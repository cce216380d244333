"""The adaptive convolution on CUDA against the tiles of the CPU: through the shim, and on a GPU."""

import shutil

import cuda_shim
import pytest
import torch
from cuda_shim import compile_for_device
from pretend_cuda import PretendCuda

from lolblur_synth.kernels import cuda
from lolblur_synth.kernels.fasc import cuda as fasc_cuda
from lolblur_synth.models.fasc import FASC, AdaptiveConv

SHAPES = {"odd": (2, 35, 3, 7, 9), "one row": (1, 8, 8, 1, 6), "one pixel": (3, 4, 5, 1, 1), "two": (1, 33, 2, 2, 2)}
TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 2e-2}  # of the largest value


def operands(shape, dtype):
    """feature, guide, weight, bias as AdaptiveConv takes them, and a gradient of its result."""
    n, channels, guides, height, width = shape
    generator = torch.Generator().manual_seed(1)
    sizes = ((n, channels, height, width), (n, guides, height, width), (25 * channels, guides, 1, 1), (25 * channels,),
             (n, channels, height, width))  # fmt: skip
    return [torch.randn(size, generator=generator).to(dtype) for size in sizes]


def both(inputs, grad):
    """The result and the gradients of the four inputs."""
    inputs = [x.detach().requires_grad_() for x in inputs]
    out = AdaptiveConv.apply(*inputs)
    return [out.detach(), *torch.autograd.grad(out, inputs, grad.to(out.dtype))]


@pytest.mark.parametrize("values", [fasc_cuda.VALUES, 1, 2000], ids=["at once", "one by one", "in parts"])
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_equals_the_tiles(cuda_device, monkeypatch, shape, dtype, values):
    *inputs, grad = operands(shape, dtype)
    expected = both(inputs, grad)
    monkeypatch.setattr(fasc_cuda, "VALUES", values)
    monkeypatch.setattr(fasc_cuda, "runs_on", lambda feature: True)
    got = both([x.to(cuda_device) for x in inputs], grad.to(cuda_device))
    for name, one, other in zip(("out", "feature", "guide", "weight", "bias"), got, expected, strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape
        off = (one.cpu().float() - other.float()).abs().max()
        assert off <= TOLERANCE[dtype] * other.float().abs().max(), name


def test_a_value_that_is_none_stays_none(cuda_device, monkeypatch):
    """bfloat16 is rounded by adding to its bits, which must not make a number of a NaN."""
    *inputs, grad = operands(SHAPES["odd"], torch.bfloat16)
    monkeypatch.setattr(fasc_cuda, "runs_on", lambda feature: True)
    grad[0, 0, 0, 0] = float("nan")
    assert both([x.to(cuda_device) for x in inputs], grad.to(cuda_device))[1].isnan().any()


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ for CUDA C on the CPU")
def test_the_network_uses_it_on_a_device(monkeypatch):
    torch.manual_seed(0)
    skip, frames, launched = FASC(4), torch.rand(2, 1, 4, 6, 5), []
    monkeypatch.setattr(cuda, "available", lambda: True)
    monkeypatch.setattr(cuda, "run", lambda *given: launched.append(given[:2]) or cuda_shim.run(*given))
    with torch.no_grad():
        expected = skip(*frames)
        with PretendCuda():
            got = skip(*(frame.to("cuda") for frame in frames)).cpu()
    assert launched == [("fasc/fasc", "mix_float32")]
    assert (got - expected).abs().max() < 1e-5


@pytest.mark.extra
def test_the_source_compiles_for_a_device(tmp_path):
    compile_for_device("fasc/fasc", tmp_path)
