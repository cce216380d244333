"""The numbers of V-BM4D's Table I, in its letters."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lolblur_synth.kernels.vbm4d.transforms import LONGEST


@dataclass(frozen=True)
class Shape:
    """One pass of a profile, in the letters of V-BM4D's Table I.

    match: sigma of the luminance, L -> largest squared distance of two volumes of L blocks in one group.
    motion: the same sigma -> (gd, tau_traj) of the trajectories.
    """

    block: int  # N
    step: int  # Nstep
    window: int  # N_G
    most: int  # M
    spatial: str
    beta: float  # of the Kaiser window
    match: Callable[[float, int], float]
    motion: Callable[[float], tuple[float, float]]


N_S, GP, GW, SW = 11, 0.3, 0.5, 1.0  # search window, prediction, narrowing: Table I


def _tau_match(tau: Callable[[float], float]) -> Callable[[float, int], float]:
    """||V - V'||_2 / L < tau. Only with norms that are not squared, on 0..255, do the numbers of Table I make sense."""
    return lambda sigma, length: (tau(sigma) * length) ** 2


PASSES = (  # both columns of Table I
    Shape(8, 6, 19, 32, "bior1.5", 2.0, _tau_match(lambda s: 0.0171 * s**2 + 0.4520 * s + 47.9294),
          lambda s: (0.0005 * s**2 - 0.0059 * s + 0.0400, 0.0047 * s**2 + 0.0676 * s + 0.4564)),
    Shape(7, 4, 27, 8, "dct", 2.0, _tau_match(lambda s: 13.5), lambda s: (0.005, 1.0)),
)  # fmt: skip


def limits_of(shape: Shape, luma: float) -> np.ndarray:
    """(LONGEST + 1,) float32: the largest squared distance in a group of volumes of L blocks; luma: its sigma."""
    return np.array([shape.match(luma, length) for length in range(LONGEST + 1)], np.float32)


def window_of(shape: Shape) -> np.ndarray:
    """(64,) float32: the Kaiser window of the aggregation, zero beyond the block."""
    window, kaiser = np.zeros((8, 8), np.float32), np.kaiser(shape.block, shape.beta)
    window[: shape.block, : shape.block] = np.outer(kaiser, kaiser)
    return window.ravel()
