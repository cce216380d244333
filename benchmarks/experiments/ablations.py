"""Table 3, and Figures 9 and 10, which look at its networks."""

import numpy as np
import torch

from experiments import sets
from experiments.place import Place
from experiments.scoring import scored
from experiments.training import Trained, trained
from lolblur_synth.dataset.pair_folders import Pair, find_pairs
from lolblur_synth.dataset.pairs import read_pair
from lolblur_synth.frames import lightness, to_uint8
from lolblur_synth.metrics import image_quality
from lolblur_synth.metrics.alignment import aligned
from lolblur_synth.models import lednet
from lolblur_synth.models.curve_rates import curve_rates
from lolblur_synth.tools.restore import restore

DATA = "sets/lolblur-a"
TESTS = ("tests/lolblur", "tests/lolblur-clips")
PARTS = ("whole", "no-ppm", "no-curve", "concat", "no-l-en")
FIG10 = ("bundled", "trained")
NAMES = ("low_blur_noise", "high_sharp_scaled")
FRAMES = 4  # of each test set, evenly spread, for Figures 9 and 10
SHOWN = (1, 2)  # those of the clips that the picture of Figure 9 has; a licence allows to publish the clips


def about(place: Place, *trainings: Trained, tests: tuple[str, ...] = TESTS, data: tuple[str, ...] = (DATA,)) -> dict:
    """What a result says of its data and its trainings."""
    return {
        "data": sets.facts(place, *data, *tests),
        "trainings": {one.name: {"options": one.options, "cpu_seconds": one.cpu_seconds} for one in trainings},
    }


def table3(place: Place, part: str, seed: int) -> dict:
    """One of the five networks, scored on clips that no training saw."""
    one = trained(place, DATA, part, seed)
    return about(place, one) | {"figures": scored(place, one.folder, TESTS)}


def _frames(place: Place) -> list[Pair]:
    """Some test pairs: first those of the clips, then those of photographs."""
    chosen = []
    for test in reversed(TESTS):
        pairs = find_pairs(sets.made(place, test), "test", NAMES)
        chosen += pairs[:: max(1, len(pairs) // FRAMES)][:FRAMES]
    return chosen


def _by_tiles(net: lednet.LEDNet, low: torch.Tensor, side: int) -> torch.Tensor:
    """The network on tiles as large as the crops of its training, put together."""
    rows = [torch.cat([lednet.enhance(net, tile) for tile in row.split(side, 3)], 3) for row in low.split(side, 2)]
    return torch.cat(rows, 2)


def fig9(place: Place, part: str, seed: int) -> dict:
    """Frames larger than the crops: the network with PPM and the one without, whole and by tiles; a picture."""
    both = {name: trained(place, DATA, name, seed) for name in ("whole", "no-ppm")}
    figures: dict[str, dict] = {}
    rows = []
    for number, pair in enumerate(_frames(place)):
        low, high = (frame[None] for frame in read_pair(pair))
        shown = [low]
        for name, one in both.items():
            net, _ = lednet.load(one.folder / "lednet.safetensors")
            answers = {"frame": lednet.enhance(net, low), "tiles": _by_tiles(net, low, place.scale.crop)}
            for way, answer in answers.items():
                values = figures.setdefault(f"{name}, {way}", {})
                for key, value in _figures(answer, high).items():
                    values.setdefault(key, []).append(value)
            shown.append(answers["frame"])
        if number in SHOWN:
            rows.append(np.concatenate([to_uint8(frame[0].clamp(0, 1)) for frame in (*shown, high)], 1))
    place.save_picture(f"fig9-{seed}", np.concatenate(rows))
    means = {name: {key: float(np.mean(one)) for key, one in values.items()} for name, values in figures.items()}
    return about(place, *both.values()) | {"figures": means}


def _figures(answer: torch.Tensor, high: torch.Tensor) -> dict[str, float]:
    psnr, of_aligned = (image_quality.psnr_rgb(frame, high).item() for frame in (answer, aligned(answer, high)))
    return {"psnr_rgb": psnr, "aligned_psnr_rgb": of_aligned, "unevenness": unevenness(answer, high)}


def unevenness(answer: torch.Tensor, high: torch.Tensor) -> float:
    """Standard deviation, over blocks of 32 px, of the difference of mean L*. Patches of wrong brightness, the
    artefacts of Fig. 9, raise it; a frame that is too bright everywhere by one step has 0."""
    error = lightness(answer.clamp(0, 1)) - lightness(high)
    return 100 * torch.nn.functional.avg_pool2d(error, 32).std().item()


def fig10(place: Place, part: str, seed: int) -> dict:
    """The enhancement rate F_out / F_in at each scale, of the dark, middle and bright third of the pixels: in the
    network of Table 3, and in the bundled one, which is another (LEDNet-lite)."""
    trainings = [] if part == "bundled" else [trained(place, DATA, "whole", seed)]
    weights = str(trainings[0].folder / "lednet.safetensors") if trainings else "lednet"
    net, _ = lednet.load(weights)
    sums: dict[str, list[list[float]]] = {}
    pairs = _frames(place)
    for pair in pairs:
        low = read_pair(pair)[0][None]
        for scale, rate in enumerate(curve_rates(net, low), 1):
            mean = torch.nanmean(rate, 1)[0]
            light = torch.nn.functional.interpolate(lightness(low), mean.shape, mode="area")[0, 0]
            ends = torch.quantile(light, torch.tensor((1 / 3, 2 / 3)))
            thirds = (light <= ends[0], (light > ends[0]) & (light <= ends[1]), light > ends[1])
            values = [torch.nanmean(mean[third]).item() for third in thirds]
            sums.setdefault(f"1/{2**scale * net.fold}", []).append(values)
    target = place.pictures / f"fig10-{part}-{seed}.png"
    restore(pairs[0].low, target, quiet=True, overwrite=True, weights=weights, show="curve", device="cpu")
    figures = {scale: dict(zip(("dark", "middle", "bright"), np.nanmean(rows, 0).tolist(), strict=True))
               for scale, rows in sums.items()}  # fmt: skip
    return about(place, *trainings, data=(DATA,) if trainings else ()) | {"figures": figures}
