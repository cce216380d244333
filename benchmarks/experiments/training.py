"""One training of an experiment, in RUNS/paper/trainings under a name that says data, variant and seed.

Experiments share it. One that was cut short goes on, bit for bit; one that is over is not trained again.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from experiments import sets
from experiments.place import Place, counted, spent
from lolblur_synth.training.lednet import train_lednet

NETWORKS = Path(__file__).parent / "networks.py"
COMMON = {
    # Section 5 where the scale does not forbid it: L1 with the enhancement loss, Adam, cosine. A quarter of the width
    # stands a higher rate. VGG takes longer than the network, so that there is no perceptual loss.
    "preset": "paper", "width": 0.25, "lr": 1e-3, "lr_end": 1e-6, "perceptual": "none",
    "save_every": 1000, "val_pairs": 4, "workers": 0, "store": True, "device": "cpu",
}  # fmt: skip
VARIANTS = {
    "whole": {},
    "no-ppm": {"ppm": False},
    "no-curve": {"curve": False},
    "concat": {"skip": "concat"},
    "no-l-en": {"side_loss": False},
    "enhancer": {"network": f"{NETWORKS}:CurveEnhancer", "pair": "low_sharp:high_sharp_scaled"},
    "mimo": {"network": f"{NETWORKS}:SmallMimo"},
    "still": {"pair": "low_sharp:high_sharp_scaled"},
}
SAVED_EVERY = 50  # steps between notes of the CPU time


@dataclass(frozen=True)
class Trained:
    """folder: of train-lednet; network: for `evaluate` and `restore`, "" for LEDNet."""

    name: str
    folder: Path
    network: str
    options: dict
    cpu_seconds: float


def options_of(place: Place, variant: str, seed: int) -> dict:
    """The options of train-lednet."""
    scale = place.scale
    sized = {"iterations": scale.iterations, "crop": scale.crop, "batch": scale.batch, "seed": seed,
             "warm_up": scale.iterations // 20}  # fmt: skip
    return COMMON | sized | VARIANTS[variant]


def trained(place: Place, data: str, variant: str, seed: int) -> Trained:
    """The training of a variant on the set `data`, begun, continued or found. Raises errors of `train_lednet`."""
    name = f"{data.removeprefix('sets/')}-{variant}-{seed}"
    out, options = place.work / "trainings" / name, options_of(place, variant, seed)
    cost = place.work / "cost" / f"training-{name}.json"
    if not (out / "finished").is_file():
        root = sets.made(place, data)
        print(f"{name}: {options['iterations']} steps into {out}", flush=True)
        with counted(cost) as ledger:

            def note(step: int, losses: dict) -> None:
                if step % SAVED_EVERY == 0:
                    ledger.save()

            train_lednet(root, out, quiet=not os.isatty(2), report=note, **options)
        for store in out.glob("frames-*"):  # decoded frames, which only a training needs
            store.unlink()
        (out / "finished").touch()
    network = options.get("network", "")
    told = options | ({"network": network.rpartition("/")[2]} if network else {})
    return Trained(name, out, network, told, spent(cost) or 0.0)
