"""A network of the user in LEDNet's place: `--network module:Class` or `--network file.py:Class`.

The class is a torch module that is made without arguments and maps (N, 3, H, W) to the same shape, or to (side, out),
side a small picture of the enhanced frame, (N, 3, h, w), for the enhancement loss. What it may also have:

    multiple      of which H and W are multiples, 8 unless the class says otherwise; `enhance` pads
    initialise()  sets first weights; without it torch's defaults stay

A header of weights names the class, and never makes this package import it: only the user's own option does.
"""

import importlib
import importlib.util
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from lolblur_synth.errors import UsageError

MULTIPLE = 8  # of H and W, where the class does not say
TRIED = 32  # px: side of the frame that a network is tried on
EXAMPLE = "docs/extending.md shows a network in twenty lines"


class OwnNetwork(nn.Module):
    """The user's network behind LEDNet's face: `options`, `multiple`, `lift`, `forward` as models/lednet.py has them.

    Raises UsageError where the class cannot be found, made, or does not map frames to frames.
    """

    lift = None

    def __init__(self, spec: str):
        super().__init__()
        made = _class(spec)
        try:
            self.net = made()
        except Exception as error:
            hint = f"it is made without arguments; {EXAMPLE}"
            raise UsageError(f"--network {spec}: {_in_words(error)}", hint) from error
        if not isinstance(self.net, nn.Module):
            raise UsageError(f"--network {spec}: makes a {type(self.net).__name__}, not a torch module", EXAMPLE)
        self.options = {"class": made.__name__}
        self.multiple = int(getattr(self.net, "multiple", MULTIPLE))
        self.has_side = self._try(spec)

    def forward(self, x: Tensor, side_loss: bool = False, told: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """As LEDNet's; `told` is for a lift, which this has not."""
        answer = self.net(x)
        if isinstance(answer, tuple):
            return answer if side_loss else answer[1]
        return answer

    def initialise(self) -> None:
        if hasattr(self.net, "initialise"):
            self.net.initialise()

    @torch.no_grad()
    def _try(self, spec: str) -> bool:
        """Whether the network gives a side output. Raises UsageError where it does not map frames to frames."""
        side = max(self.multiple, TRIED // self.multiple * self.multiple)
        frame, was_training = torch.zeros(1, 3, side, side), self.net.training
        try:
            answer = self.net.eval()(frame)
        except Exception as error:
            message = f"--network {spec}: fails on a frame of {side}x{side}: {_in_words(error)}"
            raise UsageError(message, EXAMPLE) from error
        finally:
            self.net.train(was_training)
        out = answer[1] if isinstance(answer, tuple) and len(answer) == 2 else answer
        if not isinstance(out, Tensor) or out.shape != frame.shape:
            what = f"gives {tuple(out.shape)}" if isinstance(out, Tensor) else f"gives a {type(out).__name__}"
            raise UsageError(f"--network {spec}: {what} for {tuple(frame.shape)}",
                             f"it gives frames of the size that it gets, or (side, frames); {EXAMPLE}")  # fmt: skip
        return isinstance(answer, tuple)


def _class(spec: str) -> type:
    place, _, name = spec.rpartition(":")
    if not place or not name.isidentifier():
        raise UsageError(f"--network {spec}: expected module:Class or file.py:Class", EXAMPLE)
    try:
        module = _file(Path(place)) if place.endswith(".py") else _module(place)
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(f"--network {spec}: {_in_words(error)}", f"repair it; {EXAMPLE}") from error
    found = getattr(module, name, None)
    if not isinstance(found, type):
        raise UsageError(f"--network {spec}: {place} has no class {name}", EXAMPLE)
    return found


def _file(path: Path):
    if not path.is_file():
        raise UsageError(f"{path}: no such file", "--network takes module:Class or file.py:Class")
    name = f"lolblur_synth_network_{path.stem}"
    described = importlib.util.spec_from_file_location(name, path)
    assert described is not None and described.loader is not None
    module = importlib.util.module_from_spec(described)
    sys.modules[name] = module  # dataclasses and pickles look their module up
    described.loader.exec_module(module)
    return module


def _module(name: str):
    """An installed module, or one in the folder where the command was given."""
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.append(here)
    try:
        return importlib.import_module(name)
    finally:
        if added:
            sys.path.remove(here)


def _in_words(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
