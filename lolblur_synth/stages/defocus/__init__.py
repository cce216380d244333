"""defocus: the lens out of focus, "in a random fashion" (section 3.2: generalized Gaussian filters).

In   (T, 3, H, W) float32, linear light, >= 0, not clipped: a light is as bright as it is
Out  the same
Random: whether (probability), and one kernel for a clip: shape, radius, angle.

A lens acts on radiance, before the sensor clips. A light of 8 times white and a radius of 3 px under a disk of 6 px
keeps all its flux and saturates some hundred pixels; the same filter on clipped sRGB values would leave a grey patch
with a sixth of the light. `space = srgb` does that, for parity with Real-ESRGAN.

The radius is the kernel's standard deviation along an axis, whatever its shape: an aperture of geometric radius R
(disk, polygon) has one of about R / 2. `kernel = real-esrgan` instead draws the six shapes, sigmas and sizes of
Real-ESRGAN's first degradation (its sinc filter rings and is no defocus).
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from lolblur_synth import frames as fr
from lolblur_synth.errors import UsageError
from lolblur_synth.recipe.schema import FORMER_VALUES, DefocusConfig
from lolblur_synth.stages.defocus import psf

BLADES = (5, 9)  # of a polygon aperture, both included
# Real-ESRGAN, first degradation: shapes and probabilities, sigma (px), beta of the two families, odd sizes
REAL_ESRGAN = {
    "iso": 0.45,
    "aniso": 0.25,
    "generalized-iso": 0.12,
    "generalized-aniso": 0.03,
    "plateau-iso": 0.12,
    "plateau-aniso": 0.03,
}
REAL_ESRGAN_SIGMA = (0.2, 3.0)
REAL_ESRGAN_BETA = {"generalized": (0.5, 4.0), "plateau": (1.0, 2.0)}
REAL_ESRGAN_SIZES = tuple(range(7, 22, 2))


@dataclass(frozen=True)
class Draw:
    """One kernel, for the manifest. radius: standard deviations along its two axes, px (for real-esrgan: sigma)."""

    applied: bool
    kernel: str = "generalized-gaussian"
    radius: tuple[float, float] = (0.0, 0.0)
    angle: float = 0.0  # radians, from the x axis to the first axis
    beta: float = 1.0
    blades: int = 0
    size: int = 0  # px, real-esrgan shapes only; other kernels are as large as their radius needs


def draw(config: DefocusConfig, rng: np.random.Generator) -> Draw:
    """One kernel for a clip."""
    if rng.random() >= config.probability:
        return Draw(applied=False)
    if config.kernel == "real-esrgan":
        return _draw_real_esrgan(rng)
    angle = float(rng.uniform(-np.pi, np.pi))
    radius = _uniform(rng, config.radius)
    if config.kernel == "polygon":
        blades = int(rng.integers(BLADES[0], BLADES[1] + 1))
        return Draw(True, "polygon", (radius, radius), angle, blades=blades)
    across = radius
    if rng.random() < config.anisotropic and config.radius[1] > psf.MIN_TILTED_RADIUS:
        low, high = (max(end, psf.MIN_TILTED_RADIUS) for end in config.radius)
        radius, across = _uniform(rng, (low, high)), _uniform(rng, (low, high))
    beta = _split(rng, config.beta) if config.kernel == "generalized-gaussian" else 1.0
    return Draw(True, config.kernel, (radius, across), angle, beta)


def apply(frames: Tensor, config: DefocusConfig, draw: Draw) -> Tensor:
    """(T, 3, H, W) linear light, >= 0 -> the same, blurred; `frames` itself where the draw is not applied.

    InputError: not frames; UsageError: the kernel is larger than the frame.
    """
    if not draw.applied:
        return frames
    fr.check(frames, "defocus")
    weights = kernel(draw).astype(np.float32)
    if weights.shape[0] > min(frames.shape[-2:]):
        raise UsageError(
            f"defocus: a kernel of {weights.shape[0]} px is larger than the frame, "
            f"{frames.shape[-1]}x{frames.shape[-2]}",
            "use a smaller --radius or larger frames",
        )
    if config.space == "srgb":
        return fr.to_linear(_filter(fr.to_display(frames), weights))
    return _filter(frames, weights)


def kernel(draw: Draw) -> np.ndarray:
    """The kernel of a draw: (k, k) float64, k odd, >= 0, sum 1, symmetric under a half turn."""
    if draw.size:
        beta = draw.beta
        shape = psf.plateau(beta) if draw.kernel.startswith("plateau") else psf.generalized_gaussian(beta)
        return psf.sampled(shape, draw.radius, draw.angle, draw.size)
    shapes = {
        "generalized-gaussian": lambda: psf.generalized_gaussian(draw.beta),
        "disk": psf.disk,
        "polygon": lambda: psf.polygon(draw.blades),
    }
    name = FORMER_VALUES.get(draw.kernel, draw.kernel)  # a draw from an older manifest
    return psf.fitted(shapes[name](), draw.radius, draw.angle)


def _filter(frames: Tensor, weights: np.ndarray) -> Tensor:
    """Convolve every plane, mirrored at the borders so that no light is lost there.

    The result is clipped at 0: OpenCV applies large kernels by a Fourier transform, whose rounding errors scale with
    the brightest light.
    """
    left, singular, right = np.linalg.svd(weights.astype(np.float64))
    separable = (
        weights.size == 1 or singular[1] < 1e-6 * singular[0]
    )  # true for upright and round Gaussians, a fifth of the cost
    column, row = left[:, 0] * np.sqrt(singular[0]), right[0] * np.sqrt(singular[0])
    planes = np.ascontiguousarray(frames.cpu().numpy().reshape(-1, *frames.shape[-2:]))  # as OpenCV writes them
    blurred = np.empty_like(planes)
    for plane, out in zip(planes, blurred, strict=True):
        if separable:
            cv2.sepFilter2D(plane, cv2.CV_32F, row, column, dst=out, borderType=cv2.BORDER_REFLECT)
        else:
            cv2.filter2D(plane, cv2.CV_32F, weights, dst=out, borderType=cv2.BORDER_REFLECT)
    return torch.from_numpy(blurred).reshape(frames.shape).clamp_min_(0).to(frames.device)


def _draw_real_esrgan(rng: np.random.Generator) -> Draw:
    name = str(rng.choice(list(REAL_ESRGAN), p=list(REAL_ESRGAN.values())))
    sigma = _uniform(rng, REAL_ESRGAN_SIGMA)
    round_, family = not name.endswith("aniso"), name.split("-")[0]
    across = sigma if round_ else _uniform(rng, REAL_ESRGAN_SIGMA)
    angle = 0.0 if round_ else float(rng.uniform(-np.pi, np.pi))
    beta = _split(rng, REAL_ESRGAN_BETA[family]) if family in REAL_ESRGAN_BETA else 1.0
    return Draw(True, name, (sigma, across), angle, beta, size=int(rng.choice(REAL_ESRGAN_SIZES)))


def _uniform(rng: np.random.Generator, ends: tuple[float, float]) -> float:
    return float(rng.uniform(*ends))


def _split(rng: np.random.Generator, ends: tuple[float, float]) -> float:
    """Real-ESRGAN's sampler of beta: half of the draws below 1, half above, where the range has both."""
    low, high = ends
    below = rng.random() < 0.5
    if low <= 1 <= high:
        return _uniform(rng, (low, 1.0)) if below else _uniform(rng, (1.0, high))
    return _uniform(rng, ends)
