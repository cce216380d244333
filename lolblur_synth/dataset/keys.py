"""What the bytes of a pair depend on: a pair that was built is up to date as long as nothing of it has changed."""

import dataclasses
import hashlib
import json

from lolblur_synth import __version__, recipes
from lolblur_synth.recipe.schema import Recipe


def weights_of(recipe: Recipe) -> dict[str, str]:
    """sha256 of each file beside the videos that the pixels depend on: the networks, and a camera of the user's own.

    Raises WeightsError, RecipeError.
    """
    from lolblur_synth.camera import tables
    from lolblur_synth.files import weights
    from lolblur_synth.models import cycleisp, flow, sepconv

    used = {} if "darken" in recipe.skip else {"darken": recipe.darken.weights}
    if "interpolate" not in recipe.skip and recipe.interpolate.method == "sepconv":
        used["interpolate"] = sepconv.required(recipe.interpolate)
    elif "interpolate" not in recipe.skip and recipe.interpolate.method == "net":
        used["interpolate"] = recipe.interpolate.weights or flow.BUNDLED
    hashes = {stage: weights.sha256(weights.resolve(name)) for stage, name in used.items()}
    if "noise" in recipe.skip or recipe.noise.model in ("gaussian", "poisson", "none"):
        return hashes
    if recipe.noise.model == "cycleisp":
        hashes |= {f"noise.{file.stem}": weights.sha256(file) for file in cycleisp.files(recipe.noise.weights)}
    own = None if recipe.noise.camera == "auto" else tables.sha256(recipe.noise.camera)
    return hashes | ({"noise.camera": own} if own else {})


def key(recipe: Recipe, clip, pair, weights: dict[str, str], device: str) -> str:
    """Decides whether a built pair is up to date: everything its bytes depend on."""
    parts = (
        recipes.sha256(recipe),
        clip.facts.sha256,
        clip.facts.fps,
        clip.split,
        dataclasses.astuple(pair),
        weights,
        clip.facts.sigma,
        clip.facts.curve,
        clip.facts.moments,
        device.split(":")[0],
        clip.facts.decoder,
        __version__,
        *([clip.facts.light] if clip.facts.light != "guessed" else []),  # a key from before there was any is kept
    )
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
