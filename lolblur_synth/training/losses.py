"""The losses of LEDNet (paper, section 4.4), on display frames, 0..1.

    Eq. 4  L_en     = |side - y/8|  + 0.01 |phi(side) - phi(y/8)|      y/8: the ground truth at an eighth of its size
    Eq. 5  L_deblur = |out  - y|    + 0.01 |phi(out)  - phi(y)|        phi: ImageNet features before their ReLU
    Eq. 6  L        = L_deblur + 0.8 L_en

All | | are means of absolute differences; the features' four means are added.

Our own, off by default:
    matched  a share of |out - y| is taken after the mean of each output is brought to that of its ground truth (GT-mean
             loss, arXiv 2507.20148), so that brightness, which the input may not tell, does not drown detail
    fft      |FFT(out) - FFT(y)| of the orthonormal transform (MIMO-UNet, ICCV 2021): all frequencies count alike
    ssim     1 - SSIM of the lumas (Wang 2004), after matching the means: local contrast, which L1 lets a network smooth
             away (Zhao et al., "Loss functions for image restoration with neural networks", TCI 2017)
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lolblur_synth.metrics.image_quality import LUMA_601, SSIM_SIGMA, SSIM_WINDOW

PERCEPTUAL_WEIGHT = 0.01  # lambda_per, Eq. 4 and 5
ENHANCEMENT_WEIGHT = 0.8  # lambda_en, Eq. 6
LARGEST_GAIN = 4.0  # of matching means: a black output is not matched
C1, C2 = 0.01**2, 0.03**2  # Wang 2004, for frames of 0..1


def perceptual_loss(features: nn.Module, prediction: Tensor, target: Tensor) -> Tensor:
    """Sum over the feature maps of their mean absolute difference; frames are (N, 3, H, W), 0..1."""
    with torch.no_grad():
        target_maps = features(target)
    return sum(F.l1_loss(ours, theirs) for ours, theirs in zip(features(prediction), target_maps, strict=True))


@dataclass(frozen=True)
class Weights:
    """matched: share of the pixel loss that is taken after matching the means, 0..1. fft, ssim: weights of terms."""

    matched: float = 0.0
    fft: float = 0.0
    ssim: float = 0.0


def lednet_loss(
    side: Tensor | None, out: Tensor, target: Tensor, features: nn.Module | None, weights: Weights = Weights()
) -> dict[str, Tensor]:
    """Every term of Eq. 6, unweighted, by name, and their weighted sum, "loss".

    out, target (N, 3, H, W), side (N, 3, h, w), the encoder's size, float32. side None leaves out L_en (the ablation of
    the paper's Table 3); features None leaves out the perceptual terms.
    """
    terms = {"l1": F.l1_loss(out, target)}
    loss = terms["l1"]
    as_bright = out * _gain(out, target) if weights.matched or weights.ssim else out
    if weights.matched:
        terms["matched"] = F.l1_loss(as_bright, target)
        loss = torch.lerp(loss, terms["matched"], weights.matched)
    if weights.ssim:
        terms["ssim"] = 1 - structural_similarity(as_bright, target)
        loss = loss + weights.ssim * terms["ssim"]
    if weights.fft:
        difference = torch.fft.rfft2(out - target, norm="ortho")
        terms["fft"] = difference.abs().mean()
        loss = loss + weights.fft * terms["fft"]
    if features is not None:
        terms["perceptual"] = perceptual_loss(features, out, target)
        loss = loss + PERCEPTUAL_WEIGHT * terms["perceptual"]
    if side is not None:
        small = F.interpolate(target, side.shape[-2:], mode="bicubic", align_corners=False)
        terms["side_l1"] = F.l1_loss(side, small)
        enhancement = terms["side_l1"]
        if features is not None:
            terms["side_perceptual"] = perceptual_loss(features, side, small)
            enhancement = enhancement + PERCEPTUAL_WEIGHT * terms["side_perceptual"]
        loss = loss + ENHANCEMENT_WEIGHT * enhancement
    return terms | {"loss": loss}


def _gain(out: Tensor, target: Tensor) -> Tensor:
    """The gain that brings the mean of each output to that of its ground truth: (N, 1, 1, 1), without a gradient."""
    ours, theirs = (frames.detach().mean((1, 2, 3), keepdim=True) for frames in (out, target))
    return (theirs / ours.clamp_min(1e-3)).clamp(1 / LARGEST_GAIN, LARGEST_GAIN)


def structural_similarity(a: Tensor, b: Tensor) -> Tensor:
    """The mean SSIM of the lumas of (N, 3, H, W) display frames, at least 11 px a side, with a gradient.

    `metrics.image_quality.ssim_y` without its rounding and its double precision, which gives no gradient.
    """
    weight = a.new_tensor(LUMA_601).view(1, 3, 1, 1)
    x, y = (F.conv2d(frames, weight) for frames in (a, b))
    x, y = x - 0.5, y - 0.5  # variances are differences of squares: of small numbers in float32
    maps = _smoothed(torch.cat((x, y, x * x, y * y, x * y), 1))
    mean_x, mean_y, square_x, square_y, product = maps.split(1, 1)
    variances = (square_x - mean_x * mean_x + square_y - mean_y * mean_y).clamp_min(0)
    contrast = (2 * (product - mean_x * mean_y) + C2) / (variances + C2)
    mean_x, mean_y = mean_x + 0.5, mean_y + 0.5
    lightness = (2 * mean_x * mean_y + C1) / (mean_x * mean_x + mean_y * mean_y + C1)
    return (lightness * contrast).mean()


def _smoothed(maps: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, H - 10, W - 10): under the Gaussian window of SSIM."""
    places = torch.arange(SSIM_WINDOW, device=maps.device) - SSIM_WINDOW // 2
    row = torch.exp(-places.square() / (2 * SSIM_SIGMA**2))
    row = (row / row.sum()).to(maps.dtype)
    n, channels, height, width = maps.shape
    planes = maps.reshape(n * channels, 1, height, width)
    planes = F.conv2d(F.conv2d(planes, row.view(1, 1, 1, -1)), row.view(1, 1, -1, 1))
    return planes.reshape(n, channels, *planes.shape[-2:])
