"""The key of a pair: a hash of everything its bytes depend on. A built pair is up to date while its key is."""

import dataclasses
import hashlib
import json

from lolblur_synth import __version__, recipes
from lolblur_synth.dataset.records import Clip, Pair
from lolblur_synth.recipe.schema import Recipe


def weight_hashes(recipe: Recipe) -> dict[str, str]:
    """sha256 of each further file that the pixels depend on: the networks, and a camera file of the user.

    Keys: "darken", "interpolate", "noise.NETWORK", "noise.camera", as far as the recipe uses them.
    Raises WeightsError, RecipeError.
    """
    from lolblur_synth.camera import tables
    from lolblur_synth.files import weights
    from lolblur_synth.models import cycleisp, flow, sepconv

    networked = "darken" not in recipe.skip and recipe.darken.method == "network"
    used = {"darken": recipe.darken.weights} if networked else {}
    if "interpolate" not in recipe.skip and recipe.interpolate.method == "sepconv":
        used["interpolate"] = sepconv.required(recipe.interpolate)
    elif "interpolate" not in recipe.skip and recipe.interpolate.method == "net":
        used["interpolate"] = recipe.interpolate.weights or flow.BUNDLED
    hashes = {stage: weights.sha256(weights.resolve(name)) for stage, name in used.items()}
    if "noise" in recipe.skip or recipe.noise.model in ("gaussian", "poisson", "none"):
        return hashes
    if recipe.noise.model == "cycleisp":
        hashes |= {f"noise.{file.stem}": weights.sha256(file) for file in cycleisp.files(recipe.noise.weights)}
    camera = None if recipe.noise.camera == "auto" else tables.sha256(recipe.noise.camera)  # None for bundled ones
    return hashes | ({"noise.camera": camera} if camera else {})


def key(recipe: Recipe, clip: Clip, pair: Pair, weights: dict[str, str], device: str) -> str:
    """The key of one pair. weights: of `weight_hashes`; of the device only its class counts, cpu or cuda."""
    video = clip.video
    parts = (
        recipes.sha256(recipe),
        video.sha256,
        video.fps,
        clip.split,
        dataclasses.astuple(pair)[: None if pair.unit else -1],  # so that keys without denoising stay the same
        weights,
        video.sigma,
        video.curve,
        video.moments,
        device.split(":")[0],
        video.decoder,
        __version__,
        *([video.light] if video.light != "guessed" else []),  # so that keys of earlier versions stay the same
    )
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
