"""Image quality: PSNR, SSIM, LPIPS, NIQE, each under a name that fixes its convention.

In: (N, 3, H, W) float32 display RGB, 0..1. Out: (N,) float32, one figure a frame. The weights of LPIPS and NIQE come
from the user's cache (`make perceptual`); no other file is read.

psnr_rgb   over all three channels, dB                        psnr_y   on rounded 8-bit luma, dB
ssim_y     on rounded 8-bit luma: as published for LOL-Blur   ssim_rgb mean over the channels
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
from skimage.metrics import structural_similarity
from torch import Tensor

from lolblur_synth.errors import InputError, WeightsError
from lolblur_synth.models import vgg

LUMA_601 = (0.299, 0.587, 0.114)  # of R, G and B: ITU-R BT.601
SSIM_WINDOW, SSIM_SIGMA = 11, 1.5  # px: of the Gaussian, cut off at 3.5 sigma
WANG_2004 = {"gaussian_weights": True, "sigma": SSIM_SIGMA, "use_sample_covariance": False, "data_range": 255}
LARGEST_PSNR = 100.0  # dB
NIQE_BLOCK = 96  # px; the pristine model of Mittal 2013 is made for this size


def psnr(a: Tensor, b: Tensor, peak: float = 1.0) -> Tensor:
    """Peak signal-to-noise ratio, dB, over everything but the first axis of (N, ...); infinite where they are equal."""
    _check_shapes(a, b)
    return -10 * ((a - b) / peak).square().flatten(1).mean(1).log10()


def psnr_of_one(a: Tensor, b: Tensor) -> float:
    """`psnr` of one picture (C, H, W), at most LARGEST_PSNR, so that means over pictures stay finite."""
    return min(LARGEST_PSNR, psnr(a[None], b[None]).item())


def psnr_rgb(a: Tensor, b: Tensor, mask: Tensor | None = None) -> Tensor:
    """PSNR over the three channels, dB. mask (N, 1, H, W) bool: on these pixels alone (NaN where there are none)."""
    if mask is None:
        return psnr(a, b)
    _check_shapes(a, b)
    pixels = 3 * mask.sum((1, 2, 3))
    return -10 * (((a - b).square() * mask).sum((1, 2, 3)) / pixels).log10()


def psnr_y(a: Tensor, b: Tensor) -> Tensor:
    """PSNR of the luma, dB."""
    _check_shapes(a, b)
    return psnr(luma(a), luma(b), 255.0)


def ssim_y(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity of the luma."""
    _check_shapes(a, b)
    return _ssim(luma(a), luma(b))


def ssim_rgb(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity, the mean of the three channels."""
    _check_shapes(a, b)
    return _ssim(a * 255, b * 255)


def _check_shapes(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape:
        raise InputError(
            f"frames of {tuple(a.shape)} and {tuple(b.shape)} cannot be compared", "compare frames of one size", "shape"
        )


def luma(frames: Tensor) -> Tensor:
    """(N, 3, H, W) display RGB, 0..1 -> (N, 1, H, W), 8-bit code values: 0.299 R + 0.587 G + 0.114 B, rounded."""
    weight = frames.new_tensor(LUMA_601).view(3, 1, 1)
    return (frames * weight).sum(1, keepdim=True).mul(255).round()


def _ssim(a: Tensor, b: Tensor) -> Tensor:
    """Of code values 0..255, in double precision, since variances are differences of large numbers. (N,) float32.

    scikit-image's, on the CPU: a seventh of the time of the same sums by torch there, with equal figures (to 3e-8).
    """
    if min(a.shape[-2:]) < SSIM_WINDOW:
        raise InputError(f"SSIM needs 11 x 11 pixels, the frame has {a.shape[-1]} x {a.shape[-2]}", "", "size")
    pairs = zip(a.double().cpu().numpy(), b.double().cpu().numpy(), strict=True)
    return a.new_tensor([structural_similarity(x, y, channel_axis=0, **WANG_2004) for x, y in pairs])


@lru_cache
def lpips_parts(net: str) -> tuple[torch.nn.Module, list[Tensor]]:
    return vgg.lpips_parts(net)


@torch.no_grad()
def lpips(a: Tensor, b: Tensor, net: str = "alex") -> Tensor:
    """Learned perceptual distance v0.1, net "alex" or "vgg" (Zhang 2018): 0 for equal frames. Raises WeightsError."""
    _check_shapes(a, b)
    features, linear = lpips_parts(net)
    features = features.to(a.device)
    distance = a.new_zeros(len(a))
    for map_a, map_b, weight in zip(features(a), features(b), linear, strict=True):
        difference = (_unit(F.relu(map_a)) - _unit(F.relu(map_b))).square()
        distance += (difference * weight.to(a.device).view(-1, 1, 1)).sum(1).mean((1, 2))
    return distance


def _unit(feature: Tensor) -> Tensor:
    return feature / (feature.square().sum(1, keepdim=True).sqrt() + 1e-10)


def niqe(frames: Tensor) -> Tensor:
    """Natural image quality evaluator, Mittal 2013: lower is better, no reference needed. Raises WeightsError.

    NaN for a frame with fewer than two blocks of 96 x 96 pixels that show anything.
    """
    mean, covariance = niqe_model()
    return torch.tensor([_niqe(luma.numpy()[0], mean, covariance) for luma in luma(frames).double().cpu()])


@lru_cache
def niqe_model() -> tuple[np.ndarray, np.ndarray]:
    path = vgg.cache() / "niqe.safetensors"
    if not path.is_file():
        raise WeightsError(f"NIQE needs {path}", vgg.INSTALL_HINT)
    arrays = load_file(path)
    return arrays["mean"], arrays["covariance"]


def _niqe(luma: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> float:
    """luma (H, W), 0..255: the distance between two Gaussians of 36 features, the pristine one and the blocks' own."""
    rows, columns = (side // NIQE_BLOCK for side in luma.shape)
    if not rows * columns:
        return float("nan")
    luma = luma[: rows * NIQE_BLOCK, : columns * NIQE_BLOCK]
    features = []
    for side, image in ((NIQE_BLOCK, luma), (NIQE_BLOCK // 2, halved(luma))):
        blocks = _normalised(image).reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side)
        features.append(_block_features(blocks))
    features = np.concatenate(features, 1)
    complete = features[~np.isnan(features).any(1)]  # flat blocks have no shape
    if len(complete) < 2:
        return float("nan")
    distance = mean - np.nanmean(features, 0)
    spread = np.cov(complete, rowvar=False)
    return float(np.sqrt(distance @ np.linalg.pinv((covariance + spread) / 2) @ distance))


def _normalised(image: np.ndarray) -> np.ndarray:
    """Each pixel less its local mean, over its local deviation + 1 (Eq. 1): 7x7 Gaussian, sigma 7/6."""
    row = np.exp(-(np.arange(-3, 4) ** 2) / (2 * (7 / 6) ** 2))
    row /= row.sum()

    def blur(x):
        return correlate1d(correlate1d(x, row, 0, mode="nearest"), row, 1, mode="nearest")

    mean = blur(image)
    return (image - mean) / (np.sqrt(np.abs(blur(image * image) - mean * mean)) + 1)


def halved(image: np.ndarray) -> np.ndarray:
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
    alpha, left, right, _ = fit_generalised_gaussian(blocks)
    features = [alpha, (left + right) / 2]
    for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
        alpha, left, right, mean = fit_generalised_gaussian(blocks * np.roll(blocks, shift, (1, 2)))
        features += [alpha, mean, left, right]
    return np.stack(features, 1)


def fit_generalised_gaussian(blocks: np.ndarray) -> tuple[np.ndarray, ...]:
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
