"""Pairs whose defocus and noise are drawn anew for each sample: `lolblur_synth.OnlinePairs`."""

import json
from pathlib import Path

from torch import Tensor

from lolblur_synth import draw, pipeline, recipes
from lolblur_synth.dataset.pairs import PairDataset, Transform
from lolblur_synth.errors import UsageError
from lolblur_synth.frames import to_linear
from lolblur_synth.recipe import user_stages
from lolblur_synth.recipe.schema import NoiseConfig, Recipe

PAIR = ("low_blur", "high_sharp_scaled")
ONLINE = Recipe(noise=NoiseConfig(model="raw-pg"))  # cycleisp imitates raw-pg, many times more slowly


class OnlinePairs(PairDataset):
    """As `PairDataset`, with the last stages drawn anew for each sample, so that no two epochs see the same noise.

    pair    its input is "low_blur", which gets noise, or "low_sharp", which gets defocus and noise (and no motion blur)
    recipe  a Recipe, a built-in name or a TOML file, whose stages defocus and noise are used, with their probabilities,
            and the user's stages that stand after them; by default those of recipe lolblur with the noise model raw-pg

    The crop comes first: only what is shown is made. With return_meta, `draws` of the meta is what was drawn, as JSON.
    Item n is a function of (seed, epoch, n). Raises UsageError for another input, RecipeError, InputError.
    """

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        pair: tuple[str, str] = PAIR,
        crop: int | tuple[int, int] | None = None,
        transform: Transform | None = None,
        return_meta: bool = False,
        seed: int = 0,
        recipe: Recipe | str | Path = ONLINE,
    ):
        if pair[0] not in ("low_blur", "low_sharp"):
            raise UsageError(f"OnlinePairs adds noise, and {pair[0]} is not free of it",
                             "take low_blur or low_sharp as the input")  # fmt: skip
        super().__init__(root, split, pair, crop, transform, return_meta, seed)
        self.recipe = recipes.import_stages(recipe if isinstance(recipe, Recipe) else recipes.load(str(recipe)))
        self.is_sharp = pair[0] == "low_sharp"
        places = ("defocus", "noise") if self.is_sharp else ("noise",)
        self.stages = [name for name in places if name not in self.recipe.skip]
        self.stages += [stage.name for stage in self.recipe.stages if stage.after in places]

    def degrade(self, low: Tensor, unit: str) -> tuple[Tensor, dict[str, str]]:
        draws = {
            name: pipeline.stage_called(self.recipe, name).draw(
                user_stages.config_of(self.recipe, name), draw.rng(self.seed, "online", unit, name)
            )
            for name in self.stages
        }
        if self.is_sharp:
            low = pipeline.blurred(to_linear(low[None]), self.recipe, draws)[0]
        low = pipeline.noisy(low[None], self.recipe, draws)[0]
        return low, {"draws": json.dumps(pipeline.plain(draws))}
