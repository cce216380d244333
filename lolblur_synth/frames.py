"""Frames and their colour spaces. A stack of frames is (T, 3, H, W) float32 RGB; T is time, never batch.

display  sRGB code values / 255, 0..1, what a PNG holds
linear   gamma-2.2 light of Eq. 1 of the paper (g is "Gamma curve with gamma = 2.2"), 0..1, above 1 after clip_reverse
extended display values that go on above 1, as light^(1/2.2): how a reader hands over measured light above white
above    the part of linear light that is above white, 0 or more; None where a stack of frames has none
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from lolblur_synth.errors import InputError

GAMMA = 2.2  # paper, Eq. 1
LUMA = (0.2126729, 0.7151522, 0.0721750)  # Y row of linear sRGB -> XYZ, D65 (IEC 61966-2-1)
PIECE = 1 << 19  # values


def check(frames: Tensor, what: str = "frames") -> None:
    """Raise unless frames is (T, 3, H, W) float32 and finite, with at least one frame and one pixel."""
    if frames.ndim != 4 or frames.shape[1] != 3 or frames.numel() == 0:
        raise InputError(f"{what}: expected (T, 3, H, W), got {tuple(frames.shape)}", "pass RGB frames", "shape")
    if frames.dtype != torch.float32:
        raise InputError(f"{what}: expected float32, got {frames.dtype}", "convert with .float() / 255", "dtype")
    if not torch.isfinite(frames.sum()):  # NaN and infinity survive a sum; far cheaper than looking at each value
        raise InputError(f"{what}: NaN or infinite values", "repair the input frames", "not-finite")


def from_uint8(pixels: np.ndarray) -> Tensor:
    """(H, W, 3) or (T, H, W, 3) uint8 RGB -> (T, 3, H, W) float32, 0..1."""
    stack = torch.from_numpy(np.ascontiguousarray(pixels))
    if stack.ndim == 3:
        stack = stack[None]
    return stack.permute(0, 3, 1, 2).contiguous().float().div_(255)


def to_uint8(frame: Tensor) -> np.ndarray:
    """(3, H, W) display, 0..1 -> (H, W, 3) uint8 RGB, clipped and rounded to nearest: the only rounding there is."""
    return frame.clamp(0, 1).mul(255).round_().to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()


def to_linear(display: Tensor) -> Tensor:
    """g^-1 of Eq. 1: x^2.2."""
    return display.clamp_min(0).pow(GAMMA)


def to_display(linear: Tensor) -> Tensor:
    """Clip, then g of Eq. 1: x^(1/2.2)."""
    return linear.clamp(0, 1).pow(1 / GAMMA)


def split(extended: Tensor) -> tuple[Tensor, Tensor | None]:
    """Extended display values (T, 3, H, W) -> the display frame, clipped at white, and the linear light above it.

    What decides (denoise, darken, motion) sees the first; the exposure adds the second. Their linear sum is the light.
    """
    if not (extended > 1).any():
        return extended, None
    return extended.clamp(max=1), to_linear(extended.clamp(min=1)).sub_(1)


def join(display: Tensor, above: Tensor | None) -> Tensor:
    """Inverse of `split`; where there is light above white over a display value below 1 (after a resize), their sum."""
    if above is None:
        return display
    return torch.where(above > 0, (to_linear(display) + above).pow(1 / GAMMA), display)


def srgb_to_light(display: Tensor) -> Tensor:
    """The exact sRGB transfer function (IEC 61966-2-1), for colorimetry; the average uses gamma 2.2 instead."""
    return _in_pieces(
        display, lambda x: torch.where(x <= 0.04045, x / 12.92, ((x.clamp_min(0) + 0.055) / 1.055).pow(2.4))
    )


def light_to_srgb(light: Tensor) -> Tensor:
    """Inverse of `srgb_to_light`."""
    return _in_pieces(
        light, lambda x: torch.where(x <= 0.0031308, x * 12.92, 1.055 * x.clamp_min(0.0031308).pow(1 / 2.4) - 0.055)
    )


def _in_pieces(values: Tensor, curve: Callable[[Tensor], Tensor]) -> Tensor:
    """A curve of each value, part by part: where memory is given back as soon as it is free, as in a worker, temporary
    frames cost three times the arithmetic."""
    whole = values.numel() <= PIECE or not values.is_contiguous() or values.device.type != "cpu"
    if whole or (values.requires_grad and torch.is_grad_enabled()):
        return curve(values)
    out = torch.empty_like(values)
    for source, target in zip(values.view(-1).split(PIECE), out.view(-1).split(PIECE), strict=True):
        target.copy_(curve(source))
    return out


def smoothstep(x: Tensor) -> Tensor:
    """3 x^2 - 2 x^3 of x held within 0..1."""
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)


def luminance(display: Tensor) -> Tensor:
    """CIE Y, 0..1, of display frames: (T, 3, H, W) -> (T, 1, H, W)."""
    light = srgb_to_light(display)
    return light[:, 0:1] * LUMA[0] + light[:, 1:2] * LUMA[1] + light[:, 2:3] * LUMA[2]


def lightness(display: Tensor) -> Tensor:
    """CIE L* / 100, 0..1, of display frames: (T, 3, H, W) -> (T, 1, H, W)."""
    return luminance_to_lightness(luminance(display))


def luminance_to_lightness(y: Tensor) -> Tensor:
    """CIE Y -> L* / 100. L* = 116 Y^(1/3) - 16 above (6/29)^3, linear below."""
    return torch.where(y > (6 / 29) ** 3, 1.16 * y.clamp_min(1e-9).pow(1 / 3) - 0.16, y * (0.01 * (29 / 3) ** 3))


def lightness_to_luminance(lightness: Tensor) -> Tensor:
    """L* / 100 -> CIE Y, inverse of `luminance_to_lightness`."""
    t = (lightness + 0.16) / 1.16
    return torch.where(lightness > 0.08, t.pow(3), lightness / (0.01 * (29 / 3) ** 3))
