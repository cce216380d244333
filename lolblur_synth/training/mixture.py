"""What a network for real frames is taught beside dark, blurred pairs: `train-lednet --mix`.

Pairs alone teach a network to brighten and to sharpen whatever it is given. A frame that is bright and sharp already,
or has nothing on it, then comes out burnt, ringing or in colours. So a sample is, with the shares of KINDS:

    dark      the blurred frame
    brighter  the same, brightened: exposures of about .15 to .3
    sharp     the dark frame before the blur, noisy
    bright    the ground truth at the exposure of day: half of them are to return as they are, half are a little blurred
              or noisy
    flat      one colour, that of the crop's mean

each with defocus, noise and a colour cast drawn afresh. Noise is that of the camera, raw-pg; half of it is smoothed, as
a camera or a codec does. The blocks, by which the lift judges the whole frame, change with the crop.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lolblur_synth.frames import to_display, to_linear
from lolblur_synth.models import lift
from lolblur_synth.recipe.schema import DefocusConfig, NoiseConfig
from lolblur_synth.stages import defocus, noise

FOLDERS = ("low_blur", "low_sharp", "high_sharp_scaled")  # of a dataset, in the order of the frames of a sample
KINDS = {"dark": 0.58, "brighter": 0.10, "sharp": 0.10, "bright": 0.20, "flat": 0.02}
BRIGHTER = (1.3, 3.0)  # k of the curve of lift.py, log-uniform
DAY = (0.33, 0.6)  # mean L*/100 of a bright frame, uniform
NOISY, DEFOCUSED, CAST = 0.8, 0.3, 0.3  # shares of the samples
LARGEST_CAST = 0.15  # gain of a channel less 1, uniform up to it on either side
SMOOTH = (0.05, 0.25)  # weight of either neighbour in a smoothed noise field, uniform
MOST_NOISE_GAIN = 2.0  # by which a smoothed field is amplified
CAMERA = NoiseConfig(model="raw-pg", probability=1.0)
LENS = DefocusConfig(probability=1.0)
DEFOCUSED_SIDE = 20  # px: smaller crops, which some kernels exceed, are not defocused


@dataclass(frozen=True)
class Sample:
    """low, high: crops, (3, h, w) display, 0..1; blocks: of the whole low frame, (3, H/8, W/8), see lift.py."""

    low: Tensor
    high: Tensor
    blocks: Tensor


def sample(crops: tuple[Tensor, ...], blocks: tuple[Tensor, ...], draw: np.random.Generator) -> Sample:
    """One sample of a random kind. crops, blocks: of the frames of FOLDERS."""
    (low, sharp, high), (dark_blocks, _, high_blocks) = crops, blocks
    kind = str(draw.choice([*KINDS], p=[*KINDS.values()]))
    if kind == "bright":
        made = _bright(high, high_blocks, draw)
    elif kind == "flat":
        made = _flat(Sample(low, high, dark_blocks))
    else:
        made = Sample(sharp if kind == "sharp" else low, high, dark_blocks)
        if kind == "brighter":
            k = torch.tensor(_log_uniform(draw, BRIGHTER))
            made = replace(made, low=lift.curve(made.low, k), blocks=lift.curve(made.blocks, k))
        if kind != "sharp" and draw.random() < DEFOCUSED:
            made = replace(made, low=_defocused(made.low, draw))
    if draw.random() < CAST:
        made = _cast(made, draw)
    if kind == "sharp" or kind != "bright" and draw.random() < NOISY:
        made = replace(made, low=noisy(made.low, draw))
    return made


def _bright(high: Tensor, blocks: Tensor, draw: np.random.Generator) -> Sample:
    """A well-lit frame and itself; half of them a little blurred, or noisy."""
    k = lift.log_k_for(lift.of_blocks(blocks[None]), float(draw.uniform(*DAY))).exp()[0]
    high, blocks = lift.curve(high, k), lift.curve(blocks, k)
    spoilt = draw.random(2) < (0.25, 0.25)
    low = _defocused(high, draw) if spoilt[0] else high
    return Sample(noisy(low, draw) if spoilt[1] else low, high, blocks)


def _flat(pair: Sample) -> Sample:
    low, high = (frame.mean((1, 2), keepdim=True).expand_as(frame).clone() for frame in (pair.low, pair.high))
    return Sample(low, high, low[:, :1, :1].expand_as(pair.blocks).clone())


def _cast(made: Sample, draw: np.random.Generator) -> Sample:
    """The light of another lamp, on the frame and on its truth."""
    gains = torch.tensor(1 + draw.uniform(-LARGEST_CAST, LARGEST_CAST, (3, 1, 1)), dtype=torch.float32)
    return Sample(*((frame * gains).clamp_(max=1) for frame in (made.low, made.high, made.blocks)))


def _defocused(low: Tensor, draw: np.random.Generator) -> Tensor:
    drawn = defocus.draw(LENS, draw)
    if min(low.shape[1:]) < DEFOCUSED_SIDE:
        return low
    return to_display(defocus.apply(to_linear(low[None]), LENS, drawn))[0]


def noisy(low: Tensor, draw: np.random.Generator) -> Tensor:
    """(3, h, w) display, 0..1 -> the same with camera noise; half of the fields are smoothed, and amplified."""
    noised = noise.apply(low[None], CAMERA, noise.draw(CAMERA, draw))[0]
    if draw.random() < 0.5:
        side, gain = draw.uniform(*SMOOTH), draw.uniform(1, MOST_NOISE_GAIN)
        row = torch.tensor([side, 1 - 2 * side, side], dtype=torch.float32)
        kernel = (row[:, None] * row).repeat(3, 1, 1, 1)
        field = F.conv2d(F.pad((noised - low)[None], (1, 1, 1, 1), "replicate"), kernel, groups=3)[0]
        noised = (low + gain * field).clamp_(0, 1)
    return noised


def _log_uniform(draw: np.random.Generator, limits: tuple[float, float]) -> float:
    return float(np.exp(draw.uniform(*np.log(limits))))
