"""The stages of Figure 3, one file each: `draw(config, rng) -> Draw` and `apply(frames, config, draw) -> frames`.

Frames are (T, 3, H, W) float32 RGB. A stage opens no file, knows no other stage and draws nothing in `apply`.
"""

import importlib
from types import ModuleType

from lolblur_synth.recipe.schema import STAGE_NAMES


def __getattr__(name: str) -> ModuleType:
    if name in STAGE_NAMES:
        return importlib.import_module(f"lolblur_synth.stages.{name}")
    raise AttributeError(f"no stage {name!r}")
