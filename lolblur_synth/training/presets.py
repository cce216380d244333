"""Which preset a training of LEDNet takes, where the user names none, and what it says about that."""

import logging
from pathlib import Path

from lolblur_synth.errors import WeightsError
from lolblur_synth.files import weights
from lolblur_synth.parallel.machine import resolve_device
from lolblur_synth.training.config import EXCLUDES, PRESETS, LednetConfig, checked

log = logging.getLogger(__name__)


def configured(options: dict, out: Path, quiet: bool = False) -> LednetConfig:
    """The config of a training in OUT: the options that were given over the values of their preset. Raises UsageError.

    Without a preset a training in OUT keeps its own, so that the same command continues it on any machine; a new one
    takes `paper` on a GPU, and `laptop` without one: the paper's 500,000 steps take hundreds of hours on a CPU.
    """
    config = checked(LednetConfig, options)  # the options alone: an error names what the user wrote
    preset, has_gpu = config.preset, resolve_device(config.device) != "cpu"
    chosen = preset != "auto"
    if not chosen:
        preset = _former(out) or ("paper" if has_gpu else "laptop")
    excluded = {other for name in options.keys() & EXCLUDES.keys() for other in EXCLUDES[name]}
    values = {name: value for name, value in PRESETS[preset].items() if name not in excluded}
    values |= options | {"preset": preset}
    config = checked(LednetConfig, values)
    if not has_gpu and not quiet:
        if not chosen and preset == "laptop":
            log.warning("no GPU: --preset laptop, %d iterations at %g of the paper's width; --preset demo takes "
                        "minutes, --preset paper needs a GPU", config.iterations, config.width)  # fmt: skip
        if preset == "paper" and not options.keys() & {"iterations", "max_minutes"}:
            log.warning("--preset paper takes hundreds of hours without a GPU, which --dry-run estimates; "
                        "--preset demo or laptop, or --max-minutes, ends sooner")  # fmt: skip
    return config


def _former(out: Path) -> str | None:
    """The preset of the training in OUT, or None where there is none yet; before there were presets it was `paper`."""
    file = out / "lednet.safetensors"
    try:
        name = weights.about(file).get("preset", "paper") if file.is_file() else None
    except WeightsError:  # the checkpoints beside it count
        return None
    return name if isinstance(name, str) and name in PRESETS else None
