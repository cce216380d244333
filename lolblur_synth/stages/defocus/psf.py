"""Point-spread functions of a lens out of focus, as small arrays that sum to 1 and shift nothing.

A shape is the density of light around a point; a kernel is that shape integrated over square pixels (samples at pixel
centres would lose most of a blur below one pixel). `fitted` finds the scale of the shape by measuring the kernel,
because the sigma of a generalized Gaussian is not its standard deviation: that is 3.46 sigma at beta 0.5, and 0.54
sigma at beta 4. `sampled` makes kernels as Real-ESRGAN does, for parity.
"""

from collections.abc import Callable

import numpy as np

from lolblur_synth.errors import UsageError

# (u, v) in units of the two scales -> density, not normalised
Shape = Callable[[np.ndarray, np.ndarray], np.ndarray]

REACH = 3.5  # half width of a kernel in standard deviations
TOLERANCE = 5e-3  # of the standard deviation
POINTS = 256  # sub-pixel points along one side of a kernel
SOFT_EDGE = 0.1  # width, in radii of the aperture: diffraction; it also makes moments vary smoothly with the scale
MIN_TILTED_RADIUS = 0.33  # px; square pixels make even a tilted line without width sqrt(1/12) = 0.289 px wide


def generalized_gaussian(beta: float) -> Shape:
    """exp(-(u^2 + v^2)^beta / 2): beta 1 is the Gaussian, below it has heavy tails, above it a flat top."""
    return lambda u, v: np.exp(-0.5 * (u * u + v * v) ** beta)


def plateau(beta: float) -> Shape:
    """1 / (1 + (u^2 + v^2)^beta), the third shape of Real-ESRGAN."""
    return lambda u, v: 1 / (1 + (u * u + v * v) ** beta)


def disk() -> Shape:
    """A round aperture of radius 1, its edge softened as by diffraction; standard deviation along an axis: 1/2."""
    return lambda u, v: _inside(1 - np.hypot(u, v))


def polygon(blades: int) -> Shape:
    """An aperture of `blades` straight blades, circumscribed radius 1, one corner on the u axis, edges as of a disk."""
    normals = (2 * np.arange(blades) + 1) * np.pi / blades
    edge = np.cos(np.pi / blades)
    return lambda u, v: _inside(edge - np.max([u * np.cos(n) + v * np.sin(n) for n in normals], axis=0))


def integrated(shape: Shape, scales: tuple[float, float], angle: float, size: int, samples: int = 8) -> np.ndarray:
    """(size, size) float64 kernel, sum 1, of `shape` integrated over each pixel by samples^2 points.

    scales: px along the two axes of the shape; angle: radians from the x axis to the first one; size: odd.
    """
    step = (np.arange(size * samples) + 0.5) / samples - size / 2
    x, y = step[None, :], step[:, None]
    u = (x * np.cos(angle) + y * np.sin(angle)) / scales[0]
    v = (y * np.cos(angle) - x * np.sin(angle)) / scales[1]
    return _unit_sum(shape(u, v).reshape(size, samples, size, samples).sum(axis=(1, 3)))


def sampled(shape: Shape, scales: tuple[float, float], angle: float, size: int) -> np.ndarray:
    """(size, size) float64 kernel, sum 1, of `shape` at the centres of the pixels, as Real-ESRGAN does it."""
    return integrated(shape, scales, angle, size, samples=1)


def deviations(kernel: np.ndarray, angle: float = 0.0) -> tuple[float, float]:
    """Standard deviations of a kernel along the axis at `angle` radians and across it, px."""
    half = (kernel.shape[0] - 1) / 2
    x = np.arange(kernel.shape[1])[None, :] - half
    y = np.arange(kernel.shape[0])[:, None] - half
    u = x * np.cos(angle) + y * np.sin(angle)
    v = y * np.cos(angle) - x * np.sin(angle)
    return float(np.sqrt((kernel * u * u).sum())), float(np.sqrt((kernel * v * v).sum()))


def fitted(shape: Shape, radii: tuple[float, float], angle: float = 0.0) -> np.ndarray:
    """The kernel of `shape` whose *measured* standard deviations are `radii` px, to 0.5 %; float64, odd size, sum 1.

    radii: along the axis at `angle` radians and across it. UsageError: square pixels cannot show such a kernel.
    """
    target = np.asarray(radii, float)
    if not target.any():
        return np.ones((1, 1))
    size = 2 * int(np.ceil(REACH * target.max())) + 1
    samples = int(np.clip(POINTS // size, 4, 32))
    scales, stride, last = target.copy(), np.ones(2), np.zeros(2)
    for _ in range(80):
        kernel = integrated(shape, tuple(scales), angle, size, samples)
        miss = np.log(target / np.maximum(deviations(kernel, angle), 1e-3 * target))
        if np.abs(miss).max() < TOLERANCE:
            return _trimmed(_symmetric(kernel))
        stride = np.where(
            miss * last < 0, stride / 2, stride
        )  # after an overshoot, because a small blur reacts strongly to its scale
        scales = np.maximum(scales * np.exp(stride * miss.clip(-0.7, 0.7)), 0.75 / samples)
        last = miss
    degrees = np.degrees(angle)
    raise UsageError(
        f"defocus: no kernel of radius {radii[0]:.3f} x {radii[1]:.3f} px at {degrees:.0f} degrees",
        f"use a radius of at least {MIN_TILTED_RADIUS} px, or equal radii",
    )


def _inside(depth: np.ndarray) -> np.ndarray:
    """1 inside an aperture, 0 outside, a ramp at the edge; depth: distance from the edge, inwards, in radii."""
    return (depth / SOFT_EDGE + 0.5).clip(0, 1)


def _unit_sum(kernel: np.ndarray) -> np.ndarray:
    return kernel / kernel.sum()


def _symmetric(kernel: np.ndarray) -> np.ndarray:
    """Average with its half turn, so that rounding moves no light."""
    return _unit_sum(kernel + kernel[::-1, ::-1])


def _trimmed(kernel: np.ndarray) -> np.ndarray:
    """Without the outer rings that hold no light (a disk ends at twice its standard deviation)."""
    while kernel.shape[0] > 1 and not (kernel[0].any() or kernel[:, 0].any()):
        kernel = kernel[1:-1, 1:-1]
    return kernel
