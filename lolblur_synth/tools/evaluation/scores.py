"""The metrics of `evaluate` by name, the figures of a frame, and their means.

A frame that equals its ground truth has an infinite PSNR, as in BasicSR. One such frame would make every mean infinite,
so means leave infinite figures out, and the report counts them ("identical"); a mean is infinite only where all of its
frames are. The same holds for the saturated and the unsaturated pixels of a frame.
"""

import logging
import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from lolblur_synth.errors import UsageError, WeightsError
from lolblur_synth.frames import luminance
from lolblur_synth.metrics import image_quality
from lolblur_synth.models import vgg

SATURATED = ((98 + 16) / 116) ** 3  # CIE Y of L* = 98 (paper, section 3.2)
REFERENCE_FREE = ("niqe", "musiq", "nrqm")
LOWER_IS_BETTER = ("lpips_alex", "lpips_vgg", "niqe")
ALIGNED = "aligned_"  # before the name of a figure that is measured after the frame's best gamma and gain
FUNCTIONS: dict[str, Callable] = {
    "psnr_rgb": image_quality.psnr_rgb,
    "psnr_y": image_quality.psnr_y,
    "ssim_y": image_quality.ssim_y,
    "ssim_rgb": image_quality.ssim_rgb,
    "lpips_alex": lambda a, b: image_quality.lpips(a, b, "alex"),
    "lpips_vgg": lambda a, b: image_quality.lpips(a, b, "vgg"),
    "niqe": image_quality.niqe,
}
CHEAP = ("psnr_rgb", "psnr_y", "ssim_y", "ssim_rgb")  # the others run a network, or take about as long
CACHED = {"lpips_alex": "alexnet", "lpips_vgg": "vgg16", "niqe": "niqe"}
Scores = dict[str, Callable[..., Tensor]]
log = logging.getLogger(__name__)


def chosen(names: str, reference: bool = True) -> Scores:
    """name -> function, of a list as in --metrics. Without `reference` only what needs no ground truth; may be empty.

    Raises UsageError for a name that is unknown or cannot be measured, WeightsError for one whose weights are missing.
    """
    if names == "auto":
        usable = {name: function for name, function in FUNCTIONS.items() if reference or name in REFERENCE_FREE}
        missing = [name for name in usable if name in CACHED and not _at_hand(name)]
        if missing:
            log.warning("without %s, whose weights are not installed (%s)", ", ".join(missing), vgg.INSTALL_HINT)
        return {name: function for name, function in usable.items() if name not in missing}
    scores = {}
    for name in filter(None, names.split(",")):
        if name not in FUNCTIONS and name not in REFERENCE_FREE:
            raise UsageError(f"no metric is called {name!r}", f"known: {', '.join([*FUNCTIONS, 'musiq', 'nrqm'])}")
        if not reference and name not in REFERENCE_FREE:
            raise UsageError(f"{name} needs ground truth", f"with --no-reference: {', '.join(REFERENCE_FREE)}")
        if name in CACHED and not _at_hand(name):
            raise WeightsError(f"{name}: its weights are not in {vgg.cache()}", vgg.INSTALL_HINT)
        scores[name] = FUNCTIONS.get(name) or _pyiqa(name)
    if not scores:
        example = "psnr_rgb,ssim_y" if reference else "niqe"
        raise UsageError("no metric is asked for", f"for example --metrics {example}")
    return scores


def _at_hand(name: str) -> bool:
    return (vgg.cache() / f"{CACHED[name]}.safetensors").is_file()


def _pyiqa(name: str) -> Callable[[Tensor], Tensor]:
    try:
        import pyiqa
    except ImportError:
        raise UsageError(
            f"{name} needs the package pyiqa (its licence is non-commercial)", "pip install pyiqa, if that suits you"
        ) from None
    return pyiqa.create_metric(name)


@torch.no_grad()
def figures(scores: Scores, frame: Tensor, high: Tensor | None) -> dict[str, float]:
    """Every figure of one frame; PSNR also where the ground truth is saturated (L* > 98), and where it is not.

    high: the ground truth; None where all metrics do without.
    """
    values = {}
    for name, function in scores.items():
        values[name] = (function(frame) if name in REFERENCE_FREE else function(frame, high)).item()
        if name == "psnr_rgb":
            mask = luminance(high) > SATURATED
            values["psnr_saturated"] = image_quality.psnr_rgb(frame, high, mask).item()
            values["psnr_unsaturated"] = image_quality.psnr_rgb(frame, high, ~mask).item()
    return values


def cheap(scores: Scores) -> Scores:
    """The metrics that cost little beside a tone curve."""
    return {name: function for name, function in scores.items() if name in CHEAP}


def with_prefix(prefix: str, values: dict[str, float]) -> dict[str, float]:
    return {f"{prefix}{name}": value for name, value in values.items()}


def better(name: str) -> str:
    """ "lower" or "higher": which figures of a metric are the better ones."""
    return "lower" if name.removeprefix(ALIGNED) in LOWER_IS_BETTER else "higher"


def means(rows: list[dict], names: Iterable[str]) -> dict[str, float]:
    """Mean of each figure over the frames that have a finite one; infinite where all that have one are equal frames,
    NaN where none has one."""
    return {name: _mean(row.get(name, math.nan) for row in rows) for name in names}


def _mean(values: Iterable[float]) -> float:
    values = [value for value in values if not math.isnan(value)]
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.inf if values else math.nan
