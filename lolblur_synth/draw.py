"""The only source of randomness: one independent stream for each (seed, video, unit, stage).

Streams are keyed by content, not by order, so adding a video, shuffling the plan or using more workers changes no draw.
"""

import hashlib

import numpy as np


def rng(seed: int, video: str, unit: str, stage: str) -> np.random.Generator:
    """Philox keyed by sha256(seed, video, unit, stage).

    video: sha256 of the source; unit: "segment-0" for what a segment shares, "pair-0007" for what one pair owns.
    """
    name = "\x1f".join((str(seed), video, unit, stage))
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "little")
    return np.random.Generator(np.random.Philox(key=key))


def seed_of(rng: np.random.Generator) -> int:
    """A 63-bit seed to be stored in a Draw, for noise fields too large to store themselves."""
    return int(rng.integers(0, 2**63 - 1))


def field(seed: int) -> np.random.Generator:
    """The generator that turns a stored seed into its noise field, the same one every time."""
    return np.random.Generator(np.random.Philox(key=seed))
