"""What `restore` says about its weights: which they are, what to expect, and which frames they were not trained on."""

import dataclasses
import logging
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lolblur_synth.errors import WeightsError
from lolblur_synth.files import weights
from lolblur_synth.models import lift, scope
from lolblur_synth.models.own_network import OwnNetwork
from lolblur_synth.models.scope import Scope
from lolblur_synth.training.config import RestoreConfig

BUNDLED = "lednet"  # the weights that are used where a training has left none
log = logging.getLogger(__name__)


def with_file(config: RestoreConfig) -> RestoreConfig:
    """The config with the weights as a file, or a bundled name. Raises WeightsError for a training without any yet."""
    path = Path(config.weights)
    if config.weights == RestoreConfig.weights and not path.is_dir():
        log.warning("no %s/ here: using the bundled %s", path, BUNDLED)
        path = Path(BUNDLED)
    if path.is_dir() and not (path / "lednet.safetensors").is_file():
        raise WeightsError(f"{path}: its training has left no lednet.safetensors yet",
                           f"let train-lednet go on, or use the bundled network: --weights {BUNDLED}")  # fmt: skip
    return dataclasses.replace(config, weights=str(path / "lednet.safetensors" if path.is_dir() else path))


def of(file: str | Path) -> Scope:
    """The scope of a weight file. Logs entries of its header that are not as they should be, and leaves them out."""
    made_for, invalid = scope.read(weights.about(file))
    if invalid:
        log.warning("%s: not valid in its header, and left out: %s", file, ", ".join(invalid))
    return made_for


def introduction(file: str | Path, net: nn.Module) -> str:
    """One line: name and origin of the weights, size of the network, length of the training, what to expect."""
    about = weights.about(file)
    made_for, _ = scope.read(about)
    origin = "bundled" if str(file) in weights.bundled() else "of train-lednet" if "training" in about else "a file"
    size = sum(parameter.numel() for parameter in net.parameters())
    iterations = about.get("iterations")
    if isinstance(net, OwnNetwork):
        network, width = net.options["class"], ""
    else:
        network, width = net.options["layout"], f" (width {net.options['width']:g})"
        network = "LEDNet-lite" if network == "lite" else "LEDNet"
    trained = f", trained for {iterations:,} iterations" if type(iterations) is int and 0 <= iterations < 1e12 else ""
    return (f"weights: {file} ({origin}), {network} with {size:,} parameters{width}{trained}. "
            f"{_expectation(made_for)}")  # fmt: skip


def _expectation(made_for: Scope) -> str:
    ranges = []
    if made_for.lightness:
        ranges.append(f"a mean L* of {_lightness(made_for)}")
    if made_for.side:
        ranges.append(f"sides of {_side(made_for)}")
    if ranges:
        seen = f"Trained on frames with {' and '.join(ranges)}"
    else:
        seen = "Nothing is known about the frames that they were trained on"
    return f"{made_for.expect.rstrip('.')}. {seen}." if made_for.expect else f"{seen}."


def _lightness(made_for: Scope) -> str:
    return " to ".join(f"{100 * value:.0f}" for value in made_for.lightness)


def _side(made_for: Scope) -> str:
    return f"{made_for.side[0]} to {made_for.side[1]} px"


def untouched_from(file: str | Path) -> float | None:
    """Mean L*/100 from which on the network gives a frame back as it is; None: it changes every frame."""
    options = weights.about(file).get("options")
    return lift.UNTOUCHED[1] if isinstance(options, dict) and options.get("lift") else None


class ScopeCheck:
    """Tells frames that the weights were not trained on, and those that come back as they are: the first of each kind,
    and at the end how many there were."""

    def __init__(self, made_for: Scope, untouched: float | None = None):
        self.made_for, self.untouched = made_for, untouched
        self.frames, self.outside, self.bright = 0, {"lightness": 0, "side": 0}, 0

    def __call__(self, name: str, pixels: np.ndarray) -> None:
        """name: of the frame; pixels: (H, W, 3) float32 display, 0..1."""
        self.frames += 1
        value = scope.mean_lightness(torch.from_numpy(pixels).permute(2, 0, 1))
        if self.untouched is not None and value >= self.untouched:
            self.bright += 1
            if self.bright == 1:
                log.warning(
                    "%s: with a mean L* of %.0f it is bright already, and comes back as it is", name, 100 * value
                )
        elif self.made_for.lightness is not None:
            lo, hi = self.made_for.lightness
            if not lo <= value <= hi:
                self._outside("lightness", f"{name}: its mean L* of {100 * value:.0f} lies", _lightness(self.made_for))
        if self.made_for.side is not None:
            (height, width), (smallest, largest) = pixels.shape[:2], self.made_for.side
            if min(height, width) < smallest or max(height, width) > largest:
                self._outside("side", f"{name}: its sides of {width}x{height} px lie", _side(self.made_for))

    def _outside(self, kind: str, words: str, limits: str) -> None:
        self.outside[kind] += 1
        if self.outside[kind] == 1:
            log.warning("%s outside %s, which the weights were trained on; the result may be poor", words, limits)

    def __enter__(self) -> "ScopeCheck":
        return self

    def __exit__(self, *error) -> None:
        if self.bright > 1:
            log.warning("%d of %d frames are bright already and come back as they are", self.bright, self.frames)
        for kind, count in self.outside.items():
            if count > 1:
                what = {"lightness": "mean lightness", "side": "size"}[kind]
                log.warning("%d of %d frames have a %s that the weights were not trained on", count, self.frames, what)
