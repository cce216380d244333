"""Transfer curves of HDR files: signal to linear light relative to reference white, and back.

Reference white is 1: diffuse white at 203 cd/m2 in PQ and at 75 % signal in HLG (ITU-R BT.2408, section 2.1). Signals
are 0..1 for the nominal range of codes, and may go above 1 where the codes do. NumPy float arrays in, float32 out.
"""

import numpy as np

from lolblur_synth.frames import GAMMA

WHITE = 203.0  # cd/m2, HDR reference white (ITU-R BT.2408)
PQ_PEAK = 10000.0  # cd/m2 at signal 1 (SMPTE ST 2084)
PQ_M1, PQ_M2 = 2610 / 16384, 2523 / 32  # SMPTE ST 2084
PQ_C1, PQ_C2, PQ_C3 = 3424 / 4096, 2413 / 128, 2392 / 128
HLG_A, HLG_B, HLG_C = 0.17883277, 0.28466892, 0.55991073  # ITU-R BT.2100, table 5
HLG_WHITE_SIGNAL = 0.75  # ITU-R BT.2408: reference white in HLG
HLG_WHITE = (np.exp((HLG_WHITE_SIGNAL - HLG_C) / HLG_A) + HLG_B) / 12  # scene light of it, 0.26496
BT2020_TO_BT709 = np.array(
    [[1.660491, -0.587641, -0.072850], [-0.124551, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]], np.float32
)  # linear RGB, D65 (ITU-R BT.2087, inverted)
P3_TO_BT709 = np.array(
    [[1.224940, -0.224940, 0], [-0.042057, 1.042057, 0], [-0.019638, -0.078636, 1.098274]], np.float32
)  # linear RGB, D65, from Display P3 (SMPTE EG 432-1)


def pq_to_light(signal: np.ndarray) -> np.ndarray:
    """PQ signal, 0..1 -> display light relative to reference white, 0..49.3 (SMPTE ST 2084 EOTF)."""
    root = np.power(np.clip(signal, 0, None).astype(np.float32), np.float32(1 / PQ_M2))
    ratio = np.maximum(root - PQ_C1, 0) / (PQ_C2 - PQ_C3 * np.minimum(root, 1))
    return (PQ_PEAK / WHITE * np.power(ratio, 1 / PQ_M1)).astype(np.float32)


def light_to_pq(light: np.ndarray) -> np.ndarray:
    """Inverse of `pq_to_light`; light above 49.3 times white is cut to it."""
    power = np.power(np.clip(light, 0, PQ_PEAK / WHITE).astype(np.float64) * (WHITE / PQ_PEAK), PQ_M1)
    return np.power((PQ_C1 + PQ_C2 * power) / (1 + PQ_C3 * power), PQ_M2).astype(np.float32)


def hlg_to_light(signal: np.ndarray) -> np.ndarray:
    """HLG signal -> scene light relative to reference white (ITU-R BT.2100 inverse OETF): 1 -> 3.77.

    Scene light, without the OOTF of a display: an exposure averages what reached the sensor.
    """
    signal = np.clip(signal, 0, None).astype(np.float64)
    low = signal**2 / 3
    high = (np.exp((np.maximum(signal, 0.5) - HLG_C) / HLG_A) + HLG_B) / 12
    return (np.where(signal <= 0.5, low, high) / HLG_WHITE).astype(np.float32)


def light_to_hlg(light: np.ndarray) -> np.ndarray:
    """Inverse of `hlg_to_light`."""
    scene = np.clip(light, 0, None).astype(np.float64) * HLG_WHITE
    high = HLG_A * np.log(np.maximum(12 * scene - HLG_B, 1e-9)) + HLG_C
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high).astype(np.float32)


def light_to_extended(light: np.ndarray) -> np.ndarray:
    """Linear light -> display values that go on above 1, light^(1/2.2), float32; negative light is clipped to 0."""
    return np.maximum(light, 0).astype(np.float32) ** np.float32(1 / GAMMA)
