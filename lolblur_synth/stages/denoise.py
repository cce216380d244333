"""denoise: off in every recipe until it is written; asking for it is an error, never a silent pass."""

from dataclasses import dataclass

from lolblur_synth.errors import UsageError

CONTEXT = 4  # source frames read beyond each end of an exposure


@dataclass(frozen=True)
class Draw:
    """sigma: standard deviation of the noise to remove, 8-bit code values."""

    sigma: float = 0.0


def draw(config, rng) -> Draw:
    raise UsageError("denoise is not available yet", "leave it out: --skip denoise")


def estimate(frames) -> float:
    raise UsageError("denoise is not available yet", "leave it out: --skip denoise")
