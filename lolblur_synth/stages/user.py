"""A stage of the user, called like one of ours: `draw(config, rng)`, `apply(frames, config, draw)`.

What its code gives back is checked here, and what goes wrong in it becomes one line that names its file.
"""

import dataclasses
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lolblur_synth import draw as draws
from lolblur_synth import frames as fr
from lolblur_synth.errors import LolblurError, RecipeError
from lolblur_synth.recipe import user_stages
from lolblur_synth.recipe.schema import Recipe
from lolblur_synth.recipe.stage_record import UserStage

TRIAL_SIZE = (2, 3, 24, 40)  # of the frames that a stage is tried on: two, not square


class Module(NamedTuple):
    """An imported stage of the user in the place of a module of this package."""

    stage: UserStage

    def draw(self, config: Any, rng: np.random.Generator) -> Any:
        """What the stage draws. Raises RecipeError where its code fails, or draws what no manifest can hold."""
        try:
            drawn = user_stages.load(self.stage).draw(config, rng)
        except LolblurError:
            raise
        except Exception as error:
            raise self._failure("draw", error) from error
        try:
            json.dumps(values(drawn), allow_nan=False)
        except (TypeError, ValueError) as error:
            hint = "return a dataclass or a dict of numbers, texts and lists; float(x) is a number where x is numpy's"
            message = f"{self._where}: stage {self.stage.name}, draw: {error}; the manifest cannot hold it"
            raise RecipeError(message, hint) from error
        return drawn

    def apply(self, frames: Tensor, config: Any, drawn: Any) -> Tensor:
        """(T, 3, H, W) float32 RGB, display values or linear light by the place of the stage, to the same.

        Display values are clipped to 0..1, light at 0. Raises RecipeError where the code of the stage fails, or gives
        frames of another kind.
        """
        if not values(drawn).get("applied", True):
            return frames
        try:
            with torch.no_grad():
                result = user_stages.load(self.stage).apply(frames, config, drawn)
        except LolblurError:
            raise
        except Exception as error:
            raise self._failure("apply", error) from error
        if fault := _fault(frames, result):
            raise RecipeError(f"{self._where}: stage {self.stage.name}, apply: {fault}",
                              "return float32 frames of the shape and on the device of those that came")  # fmt: skip
        most = 1.0 if user_stages.domain(self.stage) == user_stages.DISPLAY else None
        return result.clamp(0, most)

    @property
    def _where(self) -> str:
        return self.stage.path or self.stage.target

    def _failure(self, function: str, error: Exception) -> RecipeError:
        words = user_stages.in_words(error, self._where)
        return RecipeError(f"{words} (stage {self.stage.name}, {function})", f"repair it; {user_stages.EXAMPLE}")


def draw_all(recipe: Recipe, sha256: str, segment: int, pair: str) -> dict:
    """The draws of one pair, by stage; sha256: of the video."""
    drawn = {}
    for stage in recipe.stages:
        unit = f"pair-{pair}" if user_stages.load(stage).unit == "pair" else f"segment-{segment}"
        config, rng = (
            user_stages.config_of(recipe, stage.name),
            draws.rng(recipe.dataset.seed, sha256, unit, stage.name),
        )
        drawn[stage.name] = Module(stage).draw(config, rng)
    return drawn


def after(place: str, shown: Tensor, recipe: Recipe, drawn: dict) -> Tensor:
    """The frames (T, 3, H, W) after the user's stages that stand after the stage `place`, as far as they are drawn."""
    for stage in recipe.stages:
        if stage.after == place and stage.name in drawn:
            shown = Module(stage).apply(shown, user_stages.config_of(recipe, stage.name), drawn[stage.name])
    return shown


def stream_after(place: str, shown: Iterator[Tensor], recipe: Recipe, drawn: dict) -> Iterator[Tensor]:
    """As `after`, for display frames (1, 3, H, W) that come one by one; light above white passes beside the stages."""
    for frame in shown:
        display, above = fr.split(frame)
        yield fr.join(after(place, display, recipe, drawn), above)


def values(drawn: Any) -> dict:
    """A draw as a dict of plain values, for the manifest. Raises TypeError for what is neither dataclass nor dict."""
    if dataclasses.is_dataclass(drawn) and not isinstance(drawn, type):
        return dataclasses.asdict(drawn)
    if not isinstance(drawn, dict):
        raise TypeError(f"a draw is a dataclass or a dict, not {type(drawn).__name__}")
    return dict(drawn)


def in_words(name: str, drawn: dict) -> str:
    """`fog density 0.312`, or `no fog`: the draw of a stage of the user, as the manifest holds it."""
    if not drawn.get("applied", True):
        return f"no {name}"
    shown = {key: value for key, value in drawn.items() if isinstance(value, int | float | str) and key != "applied"}
    return " ".join([name, *(f"{key} {v:.3g}" if isinstance(v, float) else f"{key} {v}" for key, v in shown.items())])


def _fault(frames: Tensor, result: Any) -> str:
    """What is wrong with the frames that a stage gave back; "" where nothing is."""
    if not isinstance(result, Tensor):
        return f"gave {type(result).__name__}, not a tensor"
    if result.shape != frames.shape:
        return f"gave frames of shape {tuple(result.shape)} for {tuple(frames.shape)}"
    if result.dtype != frames.dtype or result.device != frames.device:
        return f"gave {result.dtype} on {result.device} for {frames.dtype} on {frames.device}"
    return "" if torch.isfinite(result.sum()) else "gave NaN or infinite values"


def try_out(stage: UserStage) -> None:
    """Run an imported stage once on small frames, so that what is broken is told before a build begins.

    Raises RecipeError where draw or apply fails, where the same draw gives other frames the second time, or where
    apply changes the frames that it got.
    """
    module, config = Module(stage), user_stages.load(stage).config(**dict(stage.values))
    first, again = (module.draw(config, draws.rng(0, "trial", "segment-0", stage.name)) for _ in range(2))
    where = f"{stage.path or stage.target}: stage {stage.name}"
    if values(first) != values(again):
        raise RecipeError(f"{where}: draw gave two values for one rng", "draw from the rng that it gets, only")
    pixels = draws.rng(0, "trial", "frames", stage.name).random(TRIAL_SIZE, dtype=np.float32)
    frames = torch.from_numpy(pixels)
    kept = frames.clone()
    one, other = (module.apply(frames, config, first) for _ in range(2))
    if not torch.equal(frames, kept):
        raise RecipeError(f"{where}: apply changed the frames that it got", "work on a copy: frames.clone()")
    if not torch.equal(one, other):
        hint = "draw in draw; for a field, draw its seed: lolblur_synth.draw.seed_of and .field"
        raise RecipeError(f"{where}: apply gave two results for one draw", hint)
