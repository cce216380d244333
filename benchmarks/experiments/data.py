"""Section 3.1: darkening by a power against the network, by colour, and by what a training makes of either."""

import itertools

import numpy as np
import torch
from darken import colour_change

from experiments import sets
from experiments.ablations import DATA, about
from experiments.place import Place
from experiments.scoring import scored
from experiments.training import trained
from lolblur_synth.files.images import read_image
from lolblur_synth.recipe.schema import DarkenConfig
from lolblur_synth.stages import darken
from lolblur_synth.tools.no_reference import evaluate_without_reference

DARKENING = {"network": DATA, "gamma": "sets/gamma"}
EXPOSURES = (0.05, 0.1, 0.2)


def gamma(place: Place, part: str, seed: int) -> dict:
    """Trained on frames darkened by the network, or by a power; scored on frames of both, and of recipe night."""
    data, tests = DARKENING[part], ("tests/lolblur", "tests/gamma", "tests/night")
    one = trained(place, data, "whole", seed)
    figures = {test.removeprefix("tests/"): scored(place, one.folder, (test,)) for test in tests}
    return about(place, one, tests=tests, data=(data,)) | {"figures": figures, "real": real_frames(place, one.folder)}


def real_frames(place: Place, results, network: str = "") -> dict | None:
    """Figures without ground truth on the pictures in RUNS/real; None where there are none."""
    if not place.real.is_dir() or not any(place.real.iterdir()):
        return None
    report = evaluate_without_reference(results, place.real, quiet=True, network=network, metrics=unreferenced())
    return {"mean": report["mean"], "frames": len(report["frames"]), "frames_better": report["frames_better"]}


def unreferenced() -> str:
    """NIQE, and MUSIQ and NRQM where the user's pyiqa is installed."""
    try:
        import pyiqa  # noqa: F401
    except ImportError:
        return "niqe"
    return "niqe,musiq,nrqm"


def cast(place: Place, part: str, seed: int) -> dict:
    """The colours of photographs that no weights were trained on, darkened by each method; no training.

    hue: mean turn, degrees; chroma: mean |change|, share; b: mean change of b*, above 0 towards yellow. Over coloured
    pixels, as benchmarks/darken.py weights them, against the photograph at the luminance of the dark frame.
    """
    sums: dict[str, np.ndarray] = {}
    files = sorted((place.material / sets.HELD_OUT).iterdir())[: place.scale.files or None]
    for file in files:
        frame = torch.from_numpy(read_image(file)).permute(2, 0, 1)[None, :, ::2, ::2].contiguous()
        for exposure, method in itertools.product(EXPOSURES, DARKENING):
            if darken.achievable(frame, exposure):
                dark = darken.apply(frame, DarkenConfig(method=method), darken.Draw(exposure, 1))
                name = f"{method} {exposure}"
                sums[name] = sums.get(name, np.zeros(4)) + colour_change(frame, dark, levels=0)
    figures = {name: dict(zip(("hue", "chroma", "b"), (found[:3] / found[3]).tolist(), strict=True))
               for name, found in sums.items()}  # fmt: skip
    return {"data": {"photographs": len(files)}, "figures": figures}
