"""LOLBLUR_KERNELS=off in the environment turns every fast twin off, those on CUDA included; the references run instead.

It is read once, at import. What differs then is speed, by up to three orders of magnitude, and the last bits.
"""

import os

from lolblur_synth.errors import UsageError

NAME = "LOLBLUR_KERNELS"


def _read() -> bool:
    word = os.environ.get(NAME, "on")
    if word not in ("on", "off"):
        raise UsageError(f"{NAME} is {word!r}", "set it to off to run without fast kernels, or leave it unset")
    return word == "on"


ON = _read()
