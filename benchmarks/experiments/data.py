"""The same network on other data: Figures 8a and 8b, and darkening by a power against the network (section 3.1)."""

import numpy as np
import torch

from experiments import sets
from experiments.ablations import DATA, about
from experiments.place import Place
from experiments.scoring import metrics, scored
from experiments.training import trained
from lolblur_synth import frames as fr
from lolblur_synth.files.images import read_image
from lolblur_synth.recipe.schema import DarkenConfig
from lolblur_synth.stages import darken
from lolblur_synth.tools.no_reference import evaluate_without_reference

CLIP_REVERSE = {"without": "sets/no-cr", "linear": DATA, "hdr": "sets/hdr-cr"}
DARKENING = {"network": DATA, "gamma": "sets/gamma"}
STILL_PAIR = "low_sharp:high_sharp_scaled"
EXPOSURES = (0.05, 0.1, 0.2)
LEAST_CHROMA = 5.0  # C*ab of a pixel whose hue is judged


def fig8b(place: Place, part: str, seed: int) -> dict:
    """Trained on blur without clipping reverse, with Eq. 2, or with the gain of `hdr`; scored on measured light, whose
    streaks are true, saturated and unsaturated pixels apart."""
    data, tests = CLIP_REVERSE[part], ("tests/measured",)
    one = trained(place, data, "whole", seed)
    return about(place, one, tests=tests, data=(data,)) | {"figures": scored(place, one.folder, tests)}


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
    """The colours of photographs that no weights were trained on, darkened by each method; no training."""
    figures: dict[str, dict[str, list[float]]] = {}
    files = sorted((place.material / sets.HELD_OUT).iterdir())[: place.scale.files or None]
    for file in files:
        frame = torch.from_numpy(read_image(file)).permute(2, 0, 1)[None, :, ::2, ::2].contiguous()
        for exposure in EXPOSURES:
            if not darken.achievable(frame, exposure):
                continue
            for method in ("network", "gamma"):
                dark = darken.apply(frame, DarkenConfig(method=method), darken.Draw(exposure, 1))
                values = figures.setdefault(f"{method} {exposure}", {"hue": [], "chroma": [], "b": []})
                for key, value in colour_change(frame, dark).items():
                    values[key].append(value)
    means = {name: {key: float(np.mean(one)) for key, one in values.items()} for name, values in figures.items()}
    return {"data": {"photographs": len(files)}, "figures": means}


def colour_change(before: torch.Tensor, after: torch.Tensor) -> dict[str, float]:
    """hue: mean turn, degrees; chroma: mean ratio of C*ab; b: mean change of b*, above 0 towards yellow. Against the
    frame before at the luminance of the one after, over coloured pixels that are not saturated, weighted by chroma."""
    gain = fr.luminance(after) / fr.luminance(before).clamp_min(1e-6)
    reference = fr.light_to_srgb(fr.srgb_to_light(before) * gain)
    (a1, b1), (a2, b2) = (_ab(frame) for frame in (reference, after))
    chroma, other = np.hypot(a1, b1), np.hypot(a2, b2)
    weight = chroma * (chroma > LEAST_CHROMA) * (fr.lightness(before)[0, 0] <= 0.98).numpy()
    weight = weight / weight.sum().clip(1e-9)
    turn = np.degrees(np.arctan2(b2, a2) - np.arctan2(b1, a1))
    turn = np.abs((turn + 180) % 360 - 180)
    return {"hue": float((weight * turn).sum()), "chroma": float((weight * other / chroma.clip(1e-6)).sum()),
            "b": float((weight * (b2 - b1)).sum())}  # fmt: skip


def _ab(frame: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    from skimage.color import rgb2lab

    lab = rgb2lab(frame[0].permute(1, 2, 0).double().numpy())
    return lab[..., 1], lab[..., 2]


def fig8a(place: Place, part: str, seed: int) -> dict:
    """Enhancement alone: trained on photographs that were only darkened, scored on others, and on real frames."""
    data, tests = "sets/only-dark", ("tests/only-dark",)
    one = trained(place, data, "still", seed)
    figures = scored(place, one.folder, tests, fit=data, pair=STILL_PAIR)
    told = {"figures": figures, "metrics": metrics(), "real": real_frames(place, one.folder)}
    return about(place, one, tests=tests, data=(data,)) | told
