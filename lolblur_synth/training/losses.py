"""The losses of LEDNet (paper, section 4.4), on display frames, 0..1.

    Eq. 4  L_en     = |side - y/8|  + 0.01 |phi(side) - phi(y/8)|      y/8: the ground truth at an eighth of its size
    Eq. 5  L_deblur = |out  - y|    + 0.01 |phi(out)  - phi(y)|        phi: ImageNet features before their ReLU
    Eq. 6  L        = L_deblur + 0.8 L_en

All | | are means of absolute differences; the features' four means are added.

Our own, off by default:
    matched  a share of |out - y| is taken after the mean of each output is brought to that of its ground truth (GT-mean
             loss, arXiv 2507.20148), so that brightness, which the input may not tell, does not drown detail
    fft      |FFT(out) - FFT(y)| of the orthonormal transform (MIMO-UNet, ICCV 2021): all frequencies count alike
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PERCEPTUAL_WEIGHT = 0.01  # lambda_per, Eq. 4 and 5
ENHANCEMENT_WEIGHT = 0.8  # lambda_en, Eq. 6
LARGEST_GAIN = 4.0  # of matching means: a black output is not matched


def perceptual_loss(features: nn.Module, prediction: Tensor, target: Tensor) -> Tensor:
    """Sum over the feature maps of their mean absolute difference; frames are (N, 3, H, W), 0..1."""
    with torch.no_grad():
        target_maps = features(target)
    return sum(F.l1_loss(ours, theirs) for ours, theirs in zip(features(prediction), target_maps, strict=True))


@dataclass(frozen=True)
class Weights:
    """matched: share of the pixel loss that is taken after matching the means, 0..1. fft: weight of its term."""

    matched: float = 0.0
    fft: float = 0.0


def lednet_loss(
    side: Tensor | None, out: Tensor, target: Tensor, features: nn.Module | None, weights: Weights = Weights()
) -> dict[str, Tensor]:
    """Every term of Eq. 6, unweighted, by name, and their weighted sum, "loss".

    out, target (N, 3, H, W), side (N, 3, h, w), the encoder's size, float32. side None leaves out L_en (the ablation of
    the paper's Table 3); features None leaves out the perceptual terms.
    """
    terms = {"l1": F.l1_loss(out, target)}
    loss = terms["l1"]
    if weights.matched:
        terms["matched"] = F.l1_loss(out * _gain(out, target), target)
        loss = torch.lerp(loss, terms["matched"], weights.matched)
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
