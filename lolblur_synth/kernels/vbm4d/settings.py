"""What one pass of the denoiser is told: the arguments of `reference.Volumes` and of its fast twins."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Search(NamedTuple):
    """How blocks are followed; squared distances are sums over 64 values, in code values^2."""

    radius: np.ndarray  # (3,) px: of the first search in every frame; then, where its match is not good, of a second
    # one, in the next frame and in later ones
    penalty: float  # squared distance that a pixel away from the predicted place costs
    good: float  # squared distance up to which a match is good enough
    limit: float  # squared distance above which a trajectory ends (occlusion, scene cut)


class PassSettings(NamedTuple):
    """How one pass over a clip filters its volumes."""

    first_pass: bool  # a hard threshold; otherwise the empirical Wiener filter
    h: int  # frames each way: Table I
    sigma: np.ndarray  # (3,) deviation of the noise in each opponent channel, code values
    table: np.ndarray | None  # (256,) variance of the noise at each level of luminance, in sigma^2; None: 1
    window: np.ndarray  # (64,) of the aggregation
    strength: np.ndarray  # (3, 2) of each channel, at the mean over time and at other temporal frequencies: the hard
    # threshold in sigma, or the noise power of the Wiener gain in sigma^2
    search: Search
    grids: Sequence  # two, used in turn: (ys, xs) px of the reference blocks
