"""lolblur-synth: paired data for joint low-light enhancement and deblurring, made from high-frame-rate video.

    lolblur_synth.build(videos, out, recipe="lolblur")     the dataset
    lolblur_synth.PairDataset(root, split="train")         its pairs, for training
    lolblur_synth.OnlinePairs(root, split="train")         with noise drawn anew for each sample
    lolblur_synth.stages.<stage>.draw / .apply             one stage
    lolblur_synth.Stage, lolblur_synth.option              a stage of your own (docs/extending.md)

Names are imported on first use, so that importing the package takes no time.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "build": "lolblur_synth.dataset.build",
    "PairDataset": "lolblur_synth.dataset.pairs",
    "OnlinePairs": "lolblur_synth.dataset.online_pairs",
    "Stage": "lolblur_synth.recipe.user_stages",
    "option": "lolblur_synth.recipe.schema",
}
_PACKAGES = ("stages", "models", "recipes")


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _PACKAGES:
        return importlib.import_module(f"lolblur_synth.{name}")
    raise AttributeError(f"module 'lolblur_synth' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES, *_PACKAGES])
