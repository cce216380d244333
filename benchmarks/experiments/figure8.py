"""Figure 8: enhancement alone (a), and training with clipping reverse (b), with a picture of each."""

import itertools

import numpy as np
import torch

from experiments import sets
from experiments.ablations import NAMES, about
from experiments.data import real_frames
from experiments.place import Place
from experiments.scoring import metrics, scored
from experiments.streaks import UNSHOWN, enlarged, most_light
from experiments.training import trained
from lolblur_synth.dataset.pair_folders import Pair, find_pairs, pair_names
from lolblur_synth.dataset.pairs import read_pair
from lolblur_synth.frames import to_uint8
from lolblur_synth.metrics import image_quality
from lolblur_synth.models import lednet

CLIP_REVERSE = {
    "without": "sets/lamps-no-cr",
    "linear": "sets/lamps-cr",
    "hdr": "sets/lamps-hdr-cr",
    "measured": "sets/lamps-measured",
}
STILL_PAIR = "low_sharp:high_sharp_scaled"
CROP = (96, 64)  # px, around the brightest streak of a frame
ROWS = 4  # crops shown, each of another clip


def fig8a(place: Place, part: str, seed: int) -> dict:
    """Enhancement alone: trained on photographs that were only darkened, scored on others, and on real frames."""
    data, tests = "sets/only-dark", ("tests/only-dark",)
    one = trained(place, data, "still", seed)
    figures = scored(place, one.folder, tests, fit=data, pair=STILL_PAIR)
    told = {"figures": figures, "metrics": metrics(), "real": real_frames(place, one.folder)}
    net, _ = lednet.load(one.folder / "lednet.safetensors")
    rows = []
    stills = find_pairs(sets.made(place, "tests/lolblur-clips"), "test", pair_names(STILL_PAIR))
    for pair in first_of_each_clip(stills):
        low, high = (frame[None] for frame in read_pair(pair))
        rows.append(np.concatenate([to_uint8(frame[0]) for frame in (low, lednet.enhance(net, low), high)], 1))
    place.save_picture(f"fig8a-{seed}", np.concatenate(rows))
    return about(place, one, tests=tests, data=(data,)) | told


def fig8b(place: Place, part: str, seed: int) -> dict:
    """Trained on 8-bit video without clipping reverse, with Eq. 2, or with the gain of `hdr`, and on clips that hold
    the light of their lamps; scored on measured light, whose streaks are true, saturated and unsaturated pixels
    apart."""
    data, tests = CLIP_REVERSE[part], ("tests/lamps",)
    one = trained(place, data, "whole", seed)
    return about(place, one, tests=tests, data=(data,)) | {"figures": scored(place, one.folder, tests)}


def fig8b_crops(place: Place, part: str, seed: int) -> dict:
    """A picture of the strongest streaks of measured light: the input, the four networks, the truth. Its figures are
    the PSNR of each crop."""
    networks = {name: trained(place, data, "whole", seed) for name, data in CLIP_REVERSE.items()}
    nets = {name: lednet.load(one.folder / "lednet.safetensors")[0] for name, one in networks.items()}
    root = sets.made(place, "tests/lamps")
    sources = sets.sources(place, "tests/lamps")
    every = find_pairs(root, "test", ("low_blur", "low_sharp"))
    blurred = [pair for pair in every if UNSHOWN not in sources[pair.clip]]
    strengths = {(pair.clip, pair.frame): streak(*read_pair(pair)) for pair in first_of_each_clip(blurred)}
    pairs = [pair for pair in find_pairs(root, "test", NAMES) if (pair.clip, pair.frame) in strengths]
    pairs.sort(key=lambda pair: -strengths[pair.clip, pair.frame][0])
    rows, figures = [], {}
    for pair in pairs[:ROWS]:
        low, high = (frame[None] for frame in read_pair(pair))
        _, top, left = strengths[pair.clip, pair.frame]
        window = (..., slice(top, top + CROP[1]), slice(left, left + CROP[0]))
        truth = high[window]
        answers = {name: lednet.enhance(net, low)[window] for name, net in nets.items()}
        figures[f"{pair.clip}/{pair.frame}"] = {
            name: image_quality.psnr_rgb(one, truth).item() for name, one in answers.items()
        }
        rows.append(np.concatenate([enlarged(to_uint8(one[0])) for one in (low[window], *answers.values(), truth)], 1))
    place.save_picture(f"fig8b-{seed}", np.concatenate(rows))
    told = about(place, *networks.values(), tests=("tests/lamps",), data=tuple(CLIP_REVERSE.values()))
    return told | {"figures": figures}


def first_of_each_clip(pairs: list[Pair]) -> list[Pair]:
    return [next(group) for _, group in itertools.groupby(pairs, key=lambda pair: pair.clip)]


def streak(blurred: torch.Tensor, sharp: torch.Tensor) -> tuple[float, int, int]:
    """Where blur adds most light: how much, and top and left of the crop. Frames (3, H, W)."""
    return most_light((blurred - sharp).amax(0).clamp(min=0).numpy(), CROP)
