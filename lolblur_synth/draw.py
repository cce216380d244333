"""The only source of randomness: one independent stream for each (seed, video, unit, stage).

A stream depends on the content of a video, not on its place: adding a video, another order and more workers change no
draw.
"""

import hashlib

import numpy as np


def rng(seed: int, video: str, unit: str, stage: str) -> np.random.Generator:
    """Philox keyed by sha256(seed, video, unit, stage).

    video: sha256 of the source. unit: "segment-0" for what all its pairs share, "pair-0007" for one pair's own.
    """
    name = "\x1f".join((str(seed), video, unit, stage))
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "little")
    return np.random.Generator(np.random.Philox(key=key))


def seed_of(rng: np.random.Generator) -> int:
    """A 63-bit seed to store in a Draw, in place of a noise field, which is too large to store."""
    return int(rng.integers(0, 2**63 - 1))


def field(seed: int) -> np.random.Generator:
    """The generator of the noise field that belongs to a stored seed."""
    return np.random.Generator(np.random.Philox(key=seed))
