"""Image quality: PSNR, SSIM, LPIPS, NIQE, each by the name of its exact convention.

In: (N, 3, H, W) float32 display RGB, 0..1. Out: (N,) float32, one figure a frame. No files but the weights of LPIPS and
NIQE, which come from the user's cache (`make perceptual`).

psnr_rgb   over all three channels, dB                        psnr_y   on rounded 8-bit luma, dB
ssim_y     on rounded 8-bit luma: what is published           ssim_rgb mean over the channels
lpips_*    v0.1, AlexNet ("alex") or VGG16 ("vgg")            niqe     the authors' own pristine model
Luma is 0.299 R + 0.587 G + 0.114 B. SSIM: 11x11 Gaussian, sigma 1.5, no border, K1 = 0.01, K2 = 0.03 (Wang 2004).
"""

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import load_file
from scipy.ndimage import correlate1d
from scipy.special import gamma
from torch import Tensor

from lolblur_synth.errors import InputError, WeightsError
from lolblur_synth.models import vgg

NIQE_BLOCK = 96  # Mittal 2013; the pristine model holds for this size alone


def psnr_rgb(a: Tensor, b: Tensor, mask: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio, dB; infinite for equal frames. mask (N, 1, H, W) bool: on these pixels alone (NaN
    where there are none)."""
    _same(a, b)
    error = (a - b).square()
    if mask is None:
        return -10 * error.mean((1, 2, 3)).log10()
    pixels = 3 * mask.sum((1, 2, 3))
    return -10 * ((error * mask).sum((1, 2, 3)) / pixels).log10()


def psnr_y(a: Tensor, b: Tensor) -> Tensor:
    """PSNR of the luma, dB."""
    _same(a, b)
    return -10 * ((_luma(a) - _luma(b)) / 255).square().mean((1, 2, 3)).log10()


def ssim_y(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity of the luma."""
    _same(a, b)
    return _ssim(_luma(a), _luma(b))


def ssim_rgb(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity, the mean of the three channels."""
    _same(a, b)
    return _ssim(a * 255, b * 255)


def _same(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape:
        raise InputError(
            f"frames of {tuple(a.shape)} and {tuple(b.shape)} cannot be compared", "compare frames of one size", "shape"
        )


def _luma(frames: Tensor) -> Tensor:
    weight = frames.new_tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    return (frames * weight).sum(1, keepdim=True).mul(255).round()


def _ssim(a: Tensor, b: Tensor) -> Tensor:
    """Code values 0..255; in double precision, since variances are differences of large numbers."""
    if min(a.shape[-2:]) < 11:
        raise InputError(f"SSIM needs 11 x 11 pixels, the frame has {a.shape[-1]} x {a.shape[-2]}", "", "size")
    a, b = a.double(), b.double()
    mu_a, mu_b = _gaussian(a), _gaussian(b)
    var_a, var_b = _gaussian(a * a) - mu_a * mu_a, _gaussian(b * b) - mu_b * mu_b
    covariance = _gaussian(a * b) - mu_a * mu_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    index = (2 * mu_a * mu_b + c1) * (2 * covariance + c2) / ((mu_a * mu_a + mu_b * mu_b + c1) * (var_a + var_b + c2))
    return index.mean((1, 2, 3)).float()


def _gaussian(x: Tensor) -> Tensor:
    row = torch.exp(-torch.arange(-5, 6, dtype=x.dtype, device=x.device).square() / (2 * 1.5**2))
    row = (row / row.sum()).repeat(x.shape[1], 1, 1, 1)
    return F.conv2d(F.conv2d(x, row, groups=x.shape[1]), row.transpose(2, 3), groups=x.shape[1])


@lru_cache
def _lpips_parts(net: str) -> tuple[torch.nn.Module, list[Tensor]]:
    return vgg.lpips_parts(net)


@torch.no_grad()
def lpips(a: Tensor, b: Tensor, net: str = "alex") -> Tensor:
    """Learned perceptual distance v0.1, net "alex" or "vgg" (Zhang 2018): 0 for equal frames. Raises WeightsError."""
    _same(a, b)
    features, linear = _lpips_parts(net)
    features = features.to(a.device)
    distance = a.new_zeros(len(a))
    for found, wanted, weight in zip(features(a), features(b), linear, strict=True):
        difference = (_unit(F.relu(found)) - _unit(F.relu(wanted))).square()
        distance += (difference * weight.to(a.device).view(-1, 1, 1)).sum(1).mean((1, 2))
    return distance


def _unit(feature: Tensor) -> Tensor:
    return feature / (feature.square().sum(1, keepdim=True).sqrt() + 1e-10)


def niqe(frames: Tensor) -> Tensor:
    """Natural image quality evaluator, Mittal 2013: lower is better, no reference needed. Raises WeightsError.

    NaN for a frame with fewer than two blocks of 96 x 96 pixels that show anything.
    """
    mean, covariance = _niqe_model()
    return torch.tensor([_niqe(luma.numpy()[0], mean, covariance) for luma in _luma(frames).double().cpu()])


@lru_cache
def _niqe_model() -> tuple[np.ndarray, np.ndarray]:
    path = vgg.cache() / "niqe.safetensors"
    if not path.is_file():
        raise WeightsError(f"NIQE needs {path}", vgg.HINT)
    arrays = load_file(path)
    return arrays["mean"], arrays["covariance"]


def _niqe(luma: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> float:
    """luma (H, W), 0..255: the distance between two Gaussians of 36 features, the pristine one and the blocks' own."""
    rows, columns = (side // NIQE_BLOCK for side in luma.shape)
    if not rows * columns:
        return float("nan")
    luma = luma[: rows * NIQE_BLOCK, : columns * NIQE_BLOCK]
    features = []
    for side, image in ((NIQE_BLOCK, luma), (NIQE_BLOCK // 2, _half(luma))):
        blocks = _normalised(image).reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side)
        features.append(_block_features(blocks))
    features = np.concatenate(features, 1)
    sound = features[~np.isnan(features).any(1)]  # flat blocks have no shape
    if len(sound) < 2:
        return float("nan")
    away = mean - np.nanmean(features, 0)
    spread = np.cov(sound, rowvar=False)
    return float(np.sqrt(away @ np.linalg.pinv((covariance + spread) / 2) @ away))


def _normalised(image: np.ndarray) -> np.ndarray:
    """Each pixel less its local mean, over its local deviation + 1 (Eq. 1): 7x7 Gaussian, sigma 7/6."""
    row = np.exp(-(np.arange(-3, 4) ** 2) / (2 * (7 / 6) ** 2))
    row /= row.sum()

    def blur(x):
        return correlate1d(correlate1d(x, row, 0, mode="nearest"), row, 1, mode="nearest")

    mean = blur(image)
    return (image - mean) / (np.sqrt(np.abs(blur(image * image) - mean * mean)) + 1)


def _half(image: np.ndarray) -> np.ndarray:
    """Half size by the antialiased bicubic kernel (a = -0.5) of Matlab's imresize: 8 taps, symmetric border."""
    x = np.abs(np.arange(-3.5, 4) / 2)
    taps = np.where(x <= 1, 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2)
    taps /= taps.sum()
    for axis in (0, 1):
        padding = [(3, 4) if a == axis else (0, 0) for a in (0, 1)]
        padded = np.pad(image, padding, mode="symmetric")
        count = image.shape[axis] // 2
        image = sum(tap * np.take(padded, np.arange(count) * 2 + i, axis) for i, tap in enumerate(taps))
    return image


def _block_features(blocks: np.ndarray) -> np.ndarray:
    """(B, s, s) -> (B, 18): shape and width of the pixels, then of their products with four neighbours (Eq. 4 to 8)."""
    alpha, left, right, _ = _fit(blocks)
    features = [alpha, (left + right) / 2]
    for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
        alpha, left, right, mean = _fit(blocks * np.roll(blocks, shift, (1, 2)))
        features += [alpha, mean, left, right]
    return np.stack(features, 1)


def _fit(blocks: np.ndarray) -> tuple[np.ndarray, ...]:
    """Asymmetric generalised Gaussian of each block, by moments: shape, left and right width, mean."""
    shapes = np.arange(0.2, 10.001, 0.001)
    ratios = gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes))
    with np.errstate(invalid="ignore", divide="ignore"):
        left = np.sqrt((blocks**2).sum((1, 2), where=blocks < 0) / (blocks < 0).sum((1, 2)))
        right = np.sqrt((blocks**2).sum((1, 2), where=blocks > 0) / (blocks > 0).sum((1, 2)))
        skew = left / right
        ratio = np.abs(blocks).mean((1, 2)) ** 2 / (blocks**2).mean((1, 2))
        ratio = ratio * (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    alpha = shapes[np.abs(ratios - ratio[:, None]).argmin(1)]
    scale = np.sqrt(gamma(1 / alpha) / gamma(3 / alpha))
    left, right = left * scale, right * scale
    return alpha, left, right, (right - left) * gamma(2 / alpha) / gamma(1 / alpha)
