"""Figure 8: enhancement alone (a), and training with clipping reverse (b), with a picture of each."""

import itertools
from collections.abc import Iterator

import numpy as np
import torch

from experiments import sets
from experiments.ablations import NAMES, about
from experiments.data import real_frames
from experiments.place import Place
from experiments.scoring import mean_of, metrics, name_of, scored
from experiments.streaks import UNSHOWN, enlarged, most_light
from experiments.training import Trained, trained
from lolblur_synth.dataset.pair_folders import Pair, find_pairs, pair_names
from lolblur_synth.dataset.pairs import read_pair
from lolblur_synth.frames import to_uint8
from lolblur_synth.metrics import image_quality
from lolblur_synth.metrics.alignment import aligned
from lolblur_synth.models import lednet

CLIP_REVERSE = {
    "without": "sets/lamps-no-cr",
    "linear": "sets/lamps-cr",
    "hdr": "sets/lamps-hdr-cr",
    "measured": "sets/lamps-measured",
}
TESTS = "tests/lamps"
STILL_PAIR = "low_sharp:high_sharp_scaled"
CROP = (96, 64)  # px, around the brightest streak of a frame
STREAK = 0.25  # display value by which blur brightens a pixel of a streak
LEAST = 100  # pixels of streaks in a frame that counts
ROWS = 3  # crops shown, each of another clip


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
    the light of their lamps; scored on measured light, whose streaks are true: saturated pixels of the ground truth,
    the others, and those of streaks, apart."""
    data = CLIP_REVERSE[part]
    one = trained(place, data, "whole", seed)
    figures = scored(place, one.folder, (TESTS,))
    for clip, values in over_streaks(place, one).items():
        figures["clips"][clip] |= values
    figures["mean"] = mean_of(list(figures["clips"].values()))
    return about(place, one, tests=(TESTS,), data=(data,)) | {"figures": figures}


def over_streaks(place: Place, one: Trained) -> dict[str, dict[str, float]]:
    """Clip -> figures of a network over its streaks, means over the frames that have some."""
    net, _ = lednet.load(one.folder / "lednet.safetensors")
    clips: dict[str, list[dict]] = {}
    for pair, blurred, sharp in with_blur(place):
        mask = streaks(blurred[None], sharp[None])
        if mask.sum() >= LEAST:
            low, high = (frame[None] for frame in read_pair(pair))
            answer = lednet.enhance(net, low)
            figures = {
                "psnr_streaks": image_quality.psnr_rgb(answer, high, mask).item(),
                "aligned_psnr_streaks": image_quality.psnr_rgb(aligned(answer, high), high, mask).item(),
            }
            clips.setdefault(name_of(TESTS, pair.clip), []).append(figures)
    return {clip: mean_of(rows) for clip, rows in clips.items()}


def with_blur(place: Place) -> Iterator[tuple[Pair, torch.Tensor, torch.Tensor]]:
    """Each test pair, its blurred frame without noise, and the sharp moment of that, (3, H, W)."""
    root = sets.made(place, TESTS)
    blurred = find_pairs(root, "test", ("low_blur", "low_sharp"))
    for pair, of_blur in zip(find_pairs(root, "test", NAMES), blurred, strict=True):
        yield pair, *read_pair(of_blur)


def streaks(blurred: torch.Tensor, sharp: torch.Tensor) -> torch.Tensor:
    """(N, 3, H, W) display, twice -> (N, 1, H, W) bool: pixels to which blur brings light.

    A lamp lights such a pixel for a part of the exposure; a network that does not know streaks leaves it bright.
    """
    return (blurred - sharp).amax(1, keepdim=True) > STREAK


def fig8b_crops(place: Place, part: str, seed: int) -> dict:
    """A picture of the strongest streaks of measured light: the input, the four networks, the truth. Its figures are
    the PSNR of each crop."""
    networks = {name: trained(place, data, "whole", seed) for name, data in CLIP_REVERSE.items()}
    nets = {name: lednet.load(one.folder / "lednet.safetensors")[0] for name, one in networks.items()}
    sources = sets.sources(place, TESTS)
    strongest: dict[str, tuple[float, int, int, Pair]] = {}  # of each clip: light of its streak, top, left
    for pair, blurred, sharp in with_blur(place):
        strength, top, left = streak(blurred, sharp)
        if UNSHOWN not in sources[pair.clip] and strength > strongest.get(pair.clip, (0.0,))[0]:
            strongest[pair.clip] = (strength, top, left, pair)
    rows, figures = [], {}
    for _, top, left, pair in sorted(strongest.values(), key=lambda found: -found[0])[:ROWS]:
        low, high = (frame[None] for frame in read_pair(pair))
        window = (..., slice(top, top + CROP[1]), slice(left, left + CROP[0]))
        truth = high[window]
        answers = {name: lednet.enhance(net, low)[window] for name, net in nets.items()}
        figures[f"{pair.clip}/{pair.frame}"] = {
            name: image_quality.psnr_rgb(one, truth).item() for name, one in answers.items()
        }
        rows.append(np.concatenate([enlarged(to_uint8(one[0])) for one in (low[window], *answers.values(), truth)], 1))
    place.save_picture(f"fig8b-{seed}", np.concatenate(rows))
    told = about(place, *networks.values(), tests=(TESTS,), data=tuple(CLIP_REVERSE.values()))
    return told | {"figures": figures}


def first_of_each_clip(pairs: list[Pair]) -> list[Pair]:
    return [next(group) for _, group in itertools.groupby(pairs, key=lambda pair: pair.clip)]


def streak(blurred: torch.Tensor, sharp: torch.Tensor) -> tuple[float, int, int]:
    """The strongest streak of a frame, (3, H, W): its light, 0 where there is none, and top and left of its crop."""
    added = (blurred - sharp).amax(0) * streaks(blurred[None], sharp[None])[0, 0]
    return most_light(added.numpy(), CROP)
