"""The restored frames that `evaluate` scores: a network's answers, or files that stand beside the inputs by name."""

import logging
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from lolblur_synth.dataset.pair_folders import Pair
from lolblur_synth.dataset.pairs import read_frame
from lolblur_synth.errors import InputError
from lolblur_synth.files import pictures
from lolblur_synth.files.video.names import DISPLAY_SUFFIXES
from lolblur_synth.metrics.alignment import rounded
from lolblur_synth.models import lednet
from lolblur_synth.training.config import EvaluateConfig

WEIGHTS = "lednet.safetensors"  # what train-lednet leaves in its folder
log = logging.getLogger(__name__)


def name_of(results: str | Path) -> str:
    """The name of RESULTS in the report: a bundled name, the name of a file, or the folder that train-lednet made."""
    path = Path(results)
    if path.name == WEIGHTS:
        path = path.parent
    return path.stem if path.is_file() else path.resolve().name or str(results)


def are_frames(results: str | Path) -> bool:
    """Whether RESULTS is a folder of frames; anything else is a network."""
    return Path(results).is_dir() and not (Path(results) / WEIGHTS).is_file()


def network(results: str | Path, config: EvaluateConfig, device: torch.device) -> Callable[[Tensor], Tensor]:
    """A function from a dark frame, (1, 3, H, W) display, to the restored one, rounded to 8 bits, as a PNG holds it.

    config: `range` and `network` count. Raises WeightsError, UsageError.
    """
    path = Path(results)
    net, value_range = lednet.load(path / WEIGHTS if path.is_dir() else results, config.range, config.network)
    log.info("%s: input and output in %s", results, value_range)
    net.to(device)
    return lambda low: rounded(lednet.enhance(net, low, value_range))


def files_of_pairs(folder: Path, pairs: list[Pair]) -> dict[tuple[str, str], Path]:
    """(clip, frame) -> its result, wherever it lies below `folder`; a frame must not have two. Raises InputError."""
    places: dict[tuple[str, str], list[Path]] = {}
    joined = {f"{pair.clip}_{pair.frame}": (pair.clip, pair.frame) for pair in pairs}
    for file in pictures.at(folder, DISPLAY_SUFFIXES):
        keys = {(file.parent.name, file.stem), joined.get(file.stem)}
        for key in keys - {None}:
            places.setdefault(key, []).append(file)
    wanted = [(pair.clip, pair.frame) for pair in pairs]
    missing = [key for key in wanted if key not in places]
    if missing:
        raise InputError(
            f"{folder}: {len(missing)} of {len(pairs)} frames are missing, first {'/'.join(missing[0])}",
            "name results <clip>/<frame>.png or <clip>_<frame>.png",
            "missing",
        )
    for key in wanted:
        if len(places[key]) > 1:
            one, two = (file.relative_to(folder).as_posix() for file in places[key][:2])
            raise InputError(
                f"{folder}: two results for frame {'/'.join(key)}: {one} and {two}",
                "name the folder that holds one result a frame",
                "ambiguous",
            )
    return {key: places[key][0] for key in wanted}


def read_result(file: Path, low: Tensor) -> Tensor:
    """A restored frame, (1, 3, H, W) display, on the device of `low`. Raises InputError where it has another size."""
    frame = read_frame(file)[None].to(low.device)
    check_size(file, frame, low, "the dataset")
    return frame


def check_size(file: Path, frame: Tensor, low: Tensor, other: str) -> None:
    """Raise InputError where the frame of a file has another size than its input; `other`: whose size is right."""
    if frame.shape != low.shape:
        raise InputError(
            f"{file}: {frame.shape[3]}x{frame.shape[2]}, {other} has {low.shape[3]}x{low.shape[2]}",
            "restore frames at their own size",
            "size",
        )
