"""LOLBLUR_KERNELS=off in the environment turns every fast twin off, those on CUDA included; the references run instead.

It is read once, when this module is imported. The results are the same but for rounding; the references are up to a
thousand times slower.
"""

import os

import torch
from torch import Tensor

from lolblur_synth.errors import UsageError

NAME = "LOLBLUR_KERNELS"


def read(word: str) -> bool:
    """Whether fast twins run, from the word in the environment. UsageError: neither "on" nor "off"."""
    if word not in ("on", "off"):
        raise UsageError(f"{NAME} is {word!r}", "set it to off to run without fast kernels, or leave it unset")
    return word == "on"


ON = read(os.environ.get(NAME, "on"))


def numba_takes(*values: Tensor) -> bool:
    """Whether a Numba twin may compute on these: float32, contiguous, on the CPU, and without a gradient."""
    learning = torch.is_grad_enabled() and any(x.requires_grad for x in values)
    plain = all(x.device.type == "cpu" and x.dtype == torch.float32 and x.is_contiguous() for x in values)
    return ON and plain and not learning
