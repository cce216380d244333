"""The fingerprint of noise: figures of one image, or of a pair, to compare with night photographs of a camera.

Arrays in, numbers out. An image is (H, W, 3) RGB in 8-bit code values, 0..255, of any dtype. The fingerprint needs no
clean image: a quadratic surface is subtracted from the flattest tenth of its 16x16 patches, and the rest is noise.
`BANDS` holds what the published frames (LOL-Blur, and night frames of the paper's camera) measure there.
"""

from dataclasses import asdict, dataclass

import numpy as np

PATCH = 16  # px
FLAT_SHARE = 0.1
SURFACE_TERMS = 6  # of a quadratic surface
LAGS = [(0, 0), (0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0)]  # lags where noise correlates, and their opposites
# of the published frames at mean levels of 13..39 code values
BANDS = {
    "luma_lag1": (0.25, 0.40),
    "luma_lag2": (-0.15, 0.05),
    "chroma_lag1": (0.40, 0.70),
    "blue_to_green": (1.2, 1.9),
    "sigma_green": (0.5, 2.0),
}


@dataclass(frozen=True)
class Fingerprint:
    """Noise of flat patches. sigma_*: standard deviations, code values; lag: autocorrelation, mean of both axes.

    Luma is the mean of R, G and B.
    """

    level: float
    sigma_red: float
    sigma_green: float
    sigma_blue: float
    luma_lag1: float
    luma_lag2: float
    chroma_lag1: float  # of R - G
    chroma_lag2: float
    red_green: float  # correlation
    green_blue: float
    blue_to_green: float  # sigma_blue / sigma_green
    row_ratio: float  # variance of row means over that of column means; 1: no banding


def fingerprint(image: np.ndarray) -> Fingerprint:
    """The Fingerprint of one image, clean image unknown. ValueError: no unclipped patch.

    Fine texture in the flat patches counts as noise; where the clean image is known, `describe` the difference.
    """
    patches = flat_patches(image)
    return describe(without_surface(patches), float(patches.mean()), SURFACE_TERMS / PATCH**2)


def flat_patches(image: np.ndarray) -> np.ndarray:
    """(N, 16, 16, 3) float64: the flattest tenth of the patches without black or white pixels.

    Flat is a patch whose quadratic surface varies least: that is independent of its noise, while any choice by the
    pixels themselves would favour patches whose noise happens to be weak.
    """
    image = np.asarray(image, np.float64)
    rows, columns = image.shape[0] // PATCH, image.shape[1] // PATCH
    patches = image[: rows * PATCH, : columns * PATCH].reshape(rows, PATCH, columns, PATCH, 3).swapaxes(1, 2)
    patches = patches.reshape(-1, PATCH, PATCH, 3)
    clipped = ((patches <= 0) | (patches >= 255)).mean(axis=(1, 2)).max(axis=1)
    patches = patches[clipped < 0.01]
    if not len(patches):
        raise ValueError("no patch of 16x16 pixels without black or white ones")
    slope = (patches - without_surface(patches)).var(axis=(1, 2)).sum(axis=1)
    return patches[np.argsort(slope, kind="stable")[: max(1, int(len(patches) * FLAT_SHARE))]]


def without_surface(patches: np.ndarray) -> np.ndarray:
    """Patches less their least-squares quadratic surface, per channel."""
    y, x = (np.mgrid[:PATCH, :PATCH] / (PATCH - 1) - 0.5).reshape(2, -1)
    basis, _ = np.linalg.qr(np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1))
    flat = patches.reshape(len(patches), PATCH * PATCH, 3)
    return (flat - basis @ (basis.T @ flat)).reshape(patches.shape)


def describe(noise: np.ndarray, level: float, lost: float = 0.0) -> Fingerprint:
    """The Fingerprint of (N, h, w, 3) noise in code values at a mean `level`; N frames or patches.

    lost: the share of degrees of freedom that a surface took away. It takes slow noise, so every covariance is short by
    `lost` times the noise's power at low frequency, which the covariances themselves add up to.
    """
    red, green, blue = np.moveaxis(noise, -1, 0)
    luma, chroma = noise.mean(axis=-1), red - green
    variance = [covariance(a, b, lost)[0] for a, b in ((red, red), (green, green), (blue, blue))]
    of_luma, of_chroma = covariance(luma, luma, lost), covariance(chroma, chroma, lost)
    red_green, green_blue = covariance(red, green, lost)[0], covariance(green, blue, lost)[0]
    return Fingerprint(
        level,
        *(float(np.sqrt(v)) for v in variance),
        of_luma[1] / of_luma[0],
        of_luma[2] / of_luma[0],
        of_chroma[1] / of_chroma[0],
        of_chroma[2] / of_chroma[0],
        red_green / float(np.sqrt(variance[0] * variance[1])),
        green_blue / float(np.sqrt(variance[1] * variance[2])),
        float(np.sqrt(variance[2] / variance[1])),
        float(luma.mean(axis=2).var() * luma.shape[2] / (luma.mean(axis=1).var() * luma.shape[1])),
    )


def covariance(a: np.ndarray, b: np.ndarray, lost: float = 0.0) -> tuple[float, float, float]:
    """Covariance of two (N, h, w) planes at 0, 1 and 2 px, the mean of both axes; `lost`: see describe."""
    at = {lag: _lagged(a, b, *lag) for lag in LAGS}
    lags = 2 * len(LAGS) - 1
    short = lost * (2 * sum(at.values()) - at[0, 0]) / (1 - lost * lags)
    return (at[0, 0] + short, (at[0, 1] + at[1, 0]) / 2 + short, (at[0, 2] + at[2, 0]) / 2 + short)


def _lagged(a: np.ndarray, b: np.ndarray, down: int, across: int) -> float:
    """Mean of a(y, x) b(y + down, x + across) and of its opposite."""
    if across < 0:
        a, b, across = a[:, :, ::-1], b[:, :, ::-1], -across
    h, w = a.shape[1:]
    first = (slice(None), slice(0, h - down), slice(0, w - across))
    second = (slice(None), slice(down, h), slice(across, w))
    return float((a[first] * b[second] + a[second] * b[first]).mean() / 2)


def misses(figures: Fingerprint) -> dict[str, float]:
    """The figures outside their band."""
    values = asdict(figures)
    return {name: values[name] for name, (low, high) in BANDS.items() if not low <= values[name] <= high}


def noise_level_function(clean: np.ndarray, noisy: np.ndarray, bins: int = 16) -> np.ndarray:
    """(n, 2) rows of mean level and standard deviation of the noise, code values, of the bins that hold 100 values."""
    clean, noise = np.asarray(clean, float).ravel(), (np.asarray(noisy, float) - clean).ravel()
    index = np.minimum((clean * bins / 256).astype(int), bins - 1)
    full = [i for i in range(bins) if (index == i).sum() >= 100]
    return np.array([[clean[index == i].mean(), noise[index == i].std()] for i in full]).reshape(-1, 2)


def blind_level_function(patches: np.ndarray, bins: int = 32) -> np.ndarray:
    """As `noise_level_function`, of `flat_patches` (N, 16, 16, 3), clean image unknown; bins of at least 4 patches."""
    level, grain = patches.mean(axis=(1, 2)).ravel(), without_surface(patches).var(axis=(1, 2)).ravel()
    index = np.minimum((level * bins / 256).astype(int), bins - 1)
    full = [i for i in range(bins) if (index == i).sum() >= 4]
    kept = 1 - SURFACE_TERMS / PATCH**2
    return np.array([[level[index == i].mean(), np.sqrt(grain[index == i].mean() / kept)] for i in full]).reshape(-1, 2)


def level_function_distance(one: np.ndarray, other: np.ndarray) -> float | None:
    """RMS difference of two noise-level functions, code values, where both are known; None where that is nowhere."""
    if not len(one) or not len(other):
        return None
    low, high = max(one[0, 0], other[0, 0]), min(one[-1, 0], other[-1, 0])
    if high < low:
        return None
    level = np.linspace(low, high, 32)
    return float(np.sqrt(np.mean((np.interp(level, *one.T) - np.interp(level, *other.T)) ** 2)))


def divergence(noise: np.ndarray, reference: np.ndarray, reach: float = 16.0) -> float:
    """Kullback-Leibler divergence, nats, of the histogram of `reference` from that of `noise`: bins of a code value."""
    edges = np.arange(-reach, reach + 1) + 0.5
    counts = [np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] + 1e-3 for values in (reference, noise)]
    p, q = (count / count.sum() for count in counts)
    return float((p * np.log(p / q)).sum())
