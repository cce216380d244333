"""`lolblur-synth build --shoot PICTURES OUT`: clips are shot into the dataset's state folder, then removed.

They are the same bytes each time, so that an interrupted build finds its pairs again. Their records stay: they tell
the picture, the path and the light of each clip.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from lolblur_synth.dataset import build as dataset_build
from lolblur_synth.dataset import checks, layout
from lolblur_synth.dataset.lock import hold
from lolblur_synth.errors import UsageError
from lolblur_synth.recipe.schema import DatasetConfig, Recipe
from lolblur_synth.recipe.shoot import ShootConfig
from lolblur_synth.stages import average
from lolblur_synth.tools.shoot import run

FOLDER = "shot"  # in the state folder of the dataset


def build(
    pictures: Sequence[Path], out: Path, recipe: Recipe, options: dict
) -> tuple[dataset_build.Summary, list[dict]]:
    """Shoot a clip of each picture and build from them. options: of `dataset.build.build`.

    Returns what was built and which pictures failed. Errors as `build` and `tools.shoot.run`.
    """
    listener = options["listener"]
    if not pictures:
        raise UsageError("PICTURES and OUT are needed", "lolblur-synth build --shoot photos/ out/")
    checks.check_inputs(pictures, out)
    checks.claim(out, recipe)
    clips = out / layout.STATE / FOLDER

    def tell(kind: str, facts: dict) -> None:
        if kind == "failed":
            listener("failed", facts | {"message": facts["message"].removeprefix(f"{facts['name']}: ")})
        elif kind == "shot":
            for note in facts["notes"]:
                listener("note", {"message": f"{Path(facts['picture']).name}: {note}"})

    listener("note", {"message": "shooting a clip of each picture"})
    with hold(out / layout.STATE, (1, 1)):
        report = run.run(pictures, clips, settings(recipe), recipe.dataset.seed, options["jobs"], listener=tell)
        wanted = [clips / name for name in [*report.kept, *(Path(facts["clip"]).name for facts in report.shot)]]
    summary = dataset_build.build(wanted, out, recipe, **options)
    for clip in clips.glob("*.mkv"):
        clip.unlink(missing_ok=True)
    return summary, report.failed


def settings(recipe: Recipe) -> ShootConfig:
    """Of clips for a recipe: its size, its rate, and long enough for its pairs where it asks for a number of them; a
    single frame where it asks for one pair and averages nothing."""
    width, height, fps = recipe.resize.width, recipe.resize.height, recipe.input.fps or ShootConfig.fps
    if recipe.dataset.pairs == 1 and "average" in recipe.skip:
        return ShootConfig(width=width, height=height, fps=fps, frames=1)
    if recipe.dataset.pairs == DatasetConfig.pairs:
        return ShootConfig(width=width, height=height, fps=fps)
    window = max(recipe.average.window)
    stride = max(Fraction(fps) / Fraction(recipe.dataset.rate), Fraction(window))
    pairs = math.ceil(recipe.dataset.pairs / 2) if recipe.dataset.pairs > 1 else 1
    segment = math.ceil((pairs - 1) * stride) + 2 * average.reach(window) + 1
    return ShootConfig(width=width, height=height, fps=fps, frames=segment * min(2, recipe.dataset.pairs))
