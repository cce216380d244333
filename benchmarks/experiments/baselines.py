"""Tables 1 and 2: LEDNet beside cascades, another network and tone curves; real frames without ground truth."""

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import torch

from experiments import sets
from experiments.ablations import DATA, TESTS, about
from experiments.data import real_frames
from experiments.place import Place
from experiments.scoring import mean_of, scored
from experiments.training import Trained, trained
from lolblur_synth.dataset.pair_folders import pair_names
from lolblur_synth.dataset.pairs import read_pair
from lolblur_synth.dataset.splits import gather
from lolblur_synth.files import pictures
from lolblur_synth.files.images import read_display
from lolblur_synth.frames import to_uint8
from lolblur_synth.metrics import tone_curves
from lolblur_synth.models import lednet
from lolblur_synth.tools.restore import restore

TABLE1 = ("input", "enhance-deblur", "deblur-enhance", "mimo", "lednet")
TABLE2 = ("input", "auto-exposure", "lift", "bundled", "lednet")
FIT_PAIRS = 100  # that the tone curve of auto exposure is learnt from
ROUNDS = 3  # of which the fastest counts


def table1(place: Place, part: str, seed: int) -> dict:
    """One row: figures, parameters, seconds a frame on one thread."""
    if part == "input":
        input_frames = sets.made(place, TESTS[0]) / "test/low_blur_noise"
        figures = scored(place, input_frames, TESTS[:1], fit=DATA)["baselines"]
        other = scored(place, sets.made(place, TESTS[1]) / "test/low_blur_noise", TESTS[1:], fit=DATA)["baselines"]
        sizes = [one["clips"] for one in sets.facts(place, *TESTS).values()]
        return about(place) | {"figures": {name: _joined(figures[name], other[name], sizes) for name in figures}}
    if part in ("mimo", "lednet"):
        one = trained(place, DATA, "mimo" if part == "mimo" else "whole", seed)
        figures = scored(place, one.folder, TESTS, network=one.network)
        return about(place, one) | {"figures": figures} | _cost(place, one)
    enhancer, deblurrer = trained(place, DATA, "enhancer", seed), trained(place, "sets/daylight", "mimo", seed)
    steps = (enhancer, deblurrer) if part == "enhance-deblur" else (deblurrer, enhancer)
    every = [scored(place, _restored(place, part, seed, steps, test), (test,)) for test in TESTS]
    clips = {clip: row for one in every for clip, row in one["clips"].items()}
    figures = {"mean": mean_of(list(clips.values())), "clips": clips}
    return about(place, *steps, data=(DATA, "sets/daylight")) | {"figures": figures} | _cost(place, *steps)


def _joined(one: dict, other: dict, sizes: list[int]) -> dict:
    shared = one.keys() & other.keys()
    return {key: (one[key] * sizes[0] + other[key] * sizes[1]) / sum(sizes) for key in sorted(shared)}


def _restored(place: Place, part: str, seed: int, steps: tuple[Trained, ...], test: str) -> Path:
    """The test frames through one network after the other."""
    frames = sets.made(place, test) / "test/low_blur_noise"
    for number, step in enumerate(steps):
        target = place.work / "frames" / f"{part}-{seed}-{test.replace('/', '-')}-{number}"
        restore(frames, target, quiet=True, overwrite=True, weights=step.folder, network=step.network, device="cpu",
                bits=16)  # fmt: skip
        frames = target
    return frames


def _cost(place: Place, *steps: Trained) -> dict:
    """Parameters of all networks, and CPU-seconds that they take for a frame, one after the other."""
    width, height = map(int, place.scale.size.split("x"))
    frame, parameters, seconds = torch.rand(1, 3, height, width), 0, 0.0
    for step in steps:
        net, _ = lednet.load(step.folder / "lednet.safetensors", network=step.network)
        parameters += sum(parameter.numel() for parameter in net.parameters())
        times = []
        for _ in range(ROUNDS):
            start = time.process_time()
            lednet.enhance(net, frame)
            times.append(time.process_time() - start)
        seconds += min(times)
    return {"parameters": parameters, "seconds_per_frame": seconds}


def table2(place: Place, part: str, seed: int) -> dict:
    """One row on the real pictures in RUNS/real. Raises FileNotFoundError where there are none."""
    if not place.real.is_dir():
        raise FileNotFoundError(f"{place.real}: put real dark pictures there; they need no ground truth")
    if part == "lednet":
        one = trained(place, DATA, "whole", seed)
        return about(place, one, tests=()) | {"figures": real_frames(place, one.folder)}
    if part == "bundled":
        return {"data": {}, "figures": real_frames(place, "lednet")}
    if part == "input":
        return {"data": {}, "figures": real_frames(place, place.real)}
    brighten = _auto_exposure(place) if part == "auto-exposure" else lednet.load("lednet")[0].lift
    return {"data": {}, "figures": real_frames(place, _brightened(place, part, brighten))}


def _auto_exposure(place: Place) -> Callable[[torch.Tensor], torch.Tensor]:
    """The curve that training pairs teach."""
    names = pair_names("low_blur_noise:high_sharp_scaled")
    pairs = gather([sets.made(place, DATA)], "train", names)
    some = pairs[:: max(1, len(pairs) // FIT_PAIRS)]
    learnt = tone_curves.fit(tuple(frame[None] for frame in read_pair(pair)) for pair in some)
    return lambda frame: tone_curves.auto_exposure(frame, learnt)


@torch.no_grad()
def _brightened(place: Place, name: str, brighten: Callable[[torch.Tensor], torch.Tensor]) -> Path:
    """The real pictures, each brightened, in a folder of that name."""
    target = place.work / "frames" / name
    for file in pictures.below(place.real):
        frame = torch.from_numpy(read_display(file)).permute(2, 0, 1)[None].contiguous()
        path = target / file.relative_to(place.real).with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), to_uint8(brighten(frame)[0])[..., ::-1])
    return target
