"""The options of training, evaluation and restoration: what each means, its range, and where its default comes from.

The numbers of the paper's section 5 stand here once. Imports no torch, so that `--help` starts at once.
"""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path

from lolblur_synth import recipes
from lolblur_synth.errors import RecipeError, UsageError
from lolblur_synth.recipe.schema import option

TENSORBOARD = "folder for a tensorboard log of the losses"
WANDB = "project of Weights & Biases for the losses, which goes online unless WANDB_MODE=offline is set"


@dataclass(frozen=True)
class LednetConfig:
    preset: str = option(
        "auto",
        "values for all options that are not given: demo takes minutes, laptop a night, paper a GPU; auto: that of the "
        "training in OUT, else paper on a GPU and laptop without one; the defaults shown here are those of paper",
        choices=("auto", "demo", "laptop", "paper"),
    )
    iterations: int = option(500_000, "optimiser steps", lo=1, source="section 5")
    batch: int = option(8, "pairs a step, over all GPUs together", lo=1, source="section 5")
    crop: int = option(
        256, "side of the square crops; smaller where the frames are", unit="px", lo=16, hi=4096, source="section 5"
    )
    lr: float = option(1e-4, "learning rate at the start", lo=0, hi=1, source="section 5")
    lr_end: float = option(1e-7, "learning rate at the end of the cosine", lo=0, hi=1, source="section 5")
    perceptual: str = option(
        "auto",
        "features of the perceptual loss; auto: the first of vgg19, vgg16, none at hand",
        choices=("auto", "vgg19", "vgg16", "none"),
        source="section 4.4: vgg19",
    )
    vgg_weights: str = option("", "file of torchvision's weights for the perceptual loss")
    side_loss: bool = option(True, "the enhancement loss on the encoder's output", source="Eq. 4; Table 3")
    ppm: bool = option(True, "pyramid pooling in the encoder", source="section 4.1; Table 3")
    curve: bool = option(True, "CurveNLU in the encoder", source="section 4.1; Table 3")
    skip: str = option(
        "fac",
        "skip connections: filter-adaptive, or plain concatenation",
        choices=("fac", "concat"),
        source="section 4.3; Table 3",
    )
    lift: bool = option(False, "the network is given frames brightened by one curve, and adds to them")
    layout: str = option(
        "paper",
        "lite: LEDNet-lite, which works at half the resolution, for a CPU",
        choices=("paper", "lite"),
    )
    network: str = option("", "a network of your own in LEDNet's place: module:Class or file.py:Class")
    width: float = option(1.0, "multiplies every channel count of the network", lo=0.125, hi=4)
    range: str = option(
        "0..1",
        "values the network sees and gives",
        choices=("0..1", "-1..1"),
        source="published weights: 0..1; their BasicSR retraining: -1..1",
    )
    weights: str = option("", "weights to start from: a bundled name or a file")
    pair: str = option(
        "low_blur_noise:high_sharp_scaled", "folders of the input and of the ground truth", source="section 5"
    )
    online: bool = option(
        False,
        "draw noise (on low_sharp: and defocus) afresh for every sample; with --pair low_blur:high_sharp_scaled "
        "or low_sharp:high_sharp_scaled",
    )
    mix: bool = option(
        False,
        "teach what real frames need: noise, defocus and colour casts drawn afresh, and among the dark, blurred frames "
        "sharp, bright and flat ones; needs low_blur, low_sharp and high_sharp_scaled",
    )
    vary: bool = option(False, "for little footage: crops are also zoomed, and their colours change places")
    grow: bool = option(
        False,
        "crops of twice the side after 70 % of the iterations, whole frames in the last 10 %; a quarter of the batch",
    )
    warm_up: int = option(0, "iterations in which the learning rate rises to lr", lo=0)
    matched: float = option(
        0.0, "share of the L1 loss that is taken after matching the means of output and truth", lo=0, hi=1
    )
    fft: float = option(0.0, "weight of the L1 loss between Fourier transforms", lo=0)
    ssim: float = option(0.0, "weight of 1 - SSIM of the lumas, after matching the means", lo=0)
    ema: float = option(0.999, "decay of the averaged weights; 0: no averaging", lo=0, hi=0.999999)
    clip_grad: float = option(1.0, "largest norm of the gradient; 0: not clipped", lo=0)
    precision: str = option(
        "auto", "auto: bfloat16 on a GPU, float32 on a CPU", choices=("auto", "float32", "bfloat16")
    )
    compile: bool = option(False, "compile the network with torch.compile")
    graph: bool = option(False, "on one GPU, without --compile: record the kernels of a step once and replay them")
    seed: int = option(0, "seed of the first weights and of the samples", lo=0)
    save_every: int = option(5000, "iterations between checkpoints, each with a validation", lo=1)
    val_pairs: int = option(30, "most validation pairs, evenly spread over the held-out clips", lo=1)
    store: bool = option(False, "decode the frames once, into OUT/frames-HASH.u8, which all processes share")
    workers: int = option(2, "processes that read frames; 0: none", lo=0, hi=256)
    max_minutes: float = option(
        0.0,
        "time for the whole training, over all of its parts; the learning rate comes to its end with it; 0: no limit",
        unit="minutes",
        lo=0,
    )
    device: str = option("auto", "auto, cpu or cuda[:N]")
    tensorboard: str = option("", f"{TENSORBOARD}, beside log.csv")
    wandb: str = option("", WANDB)


# Values of `train-lednet --preset`, for the options that a user does not give. What runs without a GPU is LEDNet-lite
# behind a lift, a twentieth of the paper's cost, taught what real frames need (`mix`); small crops first, so that more
# scenes are seen in the same time; a higher rate, as so small a network stands it; no perceptual loss, since VGG takes
# longer than the network; `matched`, `fft`, `ssim` count detail, which brightness would drown (docs/notes/lednet.md).
WITHOUT_GPU = {
    "layout": "lite", "width": 0.5, "lift": True, "mix": True, "grow": True, "store": True, "batch": 8,
    "perceptual": "none", "matched": 0.5, "fft": 0.5, "ssim": 0.2, "lr": 1e-3,
}  # fmt: skip
PRESETS: dict[str, dict] = {
    # Minutes on two cores with the 8 training pairs of `make demo`: to see it learn. The weights' average is as short.
    "demo": WITHOUT_GPU
    | {"iterations": 300, "crop": 96, "lr_end": 1e-5, "ema": 0.99, "save_every": 150, "val_pairs": 4, "warm_up": 20},
    # About a night on a laptop: half a second a step on one core of 2020.
    "laptop": WITHOUT_GPU
    | {"iterations": 60_000, "crop": 128, "lr_end": 1e-6, "save_every": 2000, "val_pairs": 10, "warm_up": 500},
    # Section 5 of the paper: the defaults of LednetConfig.
    "paper": {},
}
# Option -> what a preset does not set where the user gives it: they exclude each other.
EXCLUDES = {"pair": ("mix",), "online": ("mix",), "range": ("lift",), "network": ("lift", "layout", "width")}


# A run may continue with other values of these: they do not change the weights.
FREE = {"preset", "save_every", "val_pairs", "workers", "store", "max_minutes", "device", "compile", "graph",
        "tensorboard", "wandb"}  # fmt: skip
GROWN, WHOLE = 0.7, 0.9  # of the iterations, with `grow`: from here on twice the side, and whole frames


def learning_rate(config: LednetConfig, iteration: int, time_share: float = 0.0) -> float:
    """Cosine annealing from lr to lr_end (section 5) over all iterations, or over the time limit where that ends first,
    after the warm-up.

    time_share: how much of the time limit is over, 0..1; 0 without a limit.
    """
    progress = max(iteration / config.iterations, time_share)
    rate = config.lr_end + (config.lr - config.lr_end) * 0.5 * (1 + math.cos(math.pi * progress))
    return rate * min(1.0, (iteration + 1) / config.warm_up) if config.warm_up else rate


def growth(config: LednetConfig, iteration: int) -> int:
    """How the crops of an iteration have grown: 0 not, 1 twice the side, 2 whole frames."""
    done = iteration / config.iterations
    return 0 if not config.grow else (done >= GROWN) + (done >= WHOLE)


@dataclass(frozen=True)
class SynthesisTraining:
    """What the trainings of the synthesis networks share. Their commands have options for some of these only."""

    steps: int = option(1000, "optimiser steps", lo=1)
    seed: int = option(0, "seed of the first weights and of the samples", lo=0)
    size: int = option(64, "side of the crops", lo=8)
    batch_size: int = option(8, "crops a step", lo=1)
    rate: float = option(1e-3, "peak learning rate: warmed up, then a cosine down to 0", lo=0, hi=1)
    device: str = option("cpu", "auto, cpu or cuda[:N]")
    checkpoint_every: int = option(100, "steps between checkpoints", lo=1)
    note: str = option("", "text for the card: origin and licence of the inputs")
    tensorboard: str = option("", TENSORBOARD)
    wandb: str = option("", WANDB)

    def recipe(self, **inputs: object) -> dict:
        """Everything that decides the weights: the numbers of the training, and what identifies its inputs."""
        numbers = {name: value for name, value in dataclasses.asdict(self).items() if name not in SYNTHESIS_FREE}
        return numbers | inputs


# A training of a synthesis network may continue with other values of these.
SYNTHESIS_FREE = {"device", "checkpoint_every", "note", "tensorboard", "wandb", "until", "start"}


@dataclass(frozen=True)
class DarkenTraining(SynthesisTraining):
    steps: int = option(450, "optimiser steps", lo=1)
    size: int = option(64, "side of the crops", unit="cells of 8x8 px of a 1120x640 frame", lo=8)
    rate: float = option(2e-3, "peak learning rate of Adam: warmed up, then a cosine down to 0", lo=0, hi=1)
    frames_per_video: int = option(12, "frames taken from each video, evenly spread", lo=1)


@dataclass(frozen=True)
class InterpolatorTraining(SynthesisTraining):
    steps: int = option(1100, "optimiser steps", lo=1)
    size: int = option(160, "side of the items", unit="px", lo=32)
    batch_size: int = option(4, "items a step", lo=1)
    rate: float = option(1e-3, "peak learning rate of AdamW: warmed up, then a cosine down to 0", lo=0, hi=1)
    checkpoint_every: int = option(50, "steps between checkpoints", lo=1)
    preset: str = option("fine", "search of motion that the network learns to correct", choices=("medium", "fine"))
    start: str = option("", "weights to start from, a file or a bundled name, instead of random ones")
    until: int = option(0, "stop after this step and keep the average up to there; 0: train all steps", lo=0)


@dataclass(frozen=True)
class NoiseTraining(SynthesisTraining):
    network: str = option("lite", "size of the networks: for a CPU, or as in the paper", choices=("lite", "published"))
    steps: int = option(8000, "optimiser steps of all three phases", lo=1)
    size: int = option(48, "side of the crops", unit="px", lo=16)
    rate: float = option(2e-3, "peak learning rate of Adam: warmed up in each phase, then a cosine to 0", lo=0, hi=1)
    frames_per_video: int = option(12, "frames taken from each video, evenly spread", lo=1)
    checkpoint_every: int = option(200, "steps between checkpoints", lo=1)


@dataclass(frozen=True)
class EvaluateConfig:
    split: str = option(
        "auto",
        "part of the dataset to compare with; auto: the first of test, eval, val that is there, or train where "
        "there is none of them",
    )
    pair: str = option(
        "low_blur_noise:high_sharp_scaled", "folders of the input and of the ground truth", source="section 5"
    )
    metrics: str = option(
        "auto",
        "comma-separated, of psnr_rgb, psnr_y, ssim_y, ssim_rgb, lpips_alex, lpips_vgg, niqe, musiq, nrqm; "
        "auto: all but the last two, as far as their weights are at hand; with --no-reference the last three alone",
    )
    baselines: bool = option(
        True,
        "also score the input, each frame's best gamma and gain, and tone curves learnt from training pairs, and count "
        "the clips on which RESULTS are worse than the input",
    )
    fit: str = option("", "dataset whose train split the learnt tone curves come from; default: DATA itself")
    range: str = option(
        "auto", "values the network sees; auto: as the weights say, or found out", choices=("auto", "0..1", "-1..1")
    )
    network: str = option("", "what the weights are of, where it is no LEDNet: module:Class or file.py:Class")
    device: str = option("auto", "auto, cpu or cuda[:N]")


@dataclass(frozen=True)
class RestoreConfig:
    weights: str = option(
        "lednet-out",
        "a file of weights, a bundled name, or the output folder of train-lednet; where the default is "
        "missing: the bundled lednet",
    )
    range: str = option(
        "auto", "values the network sees; auto: as the weights say, or found out", choices=("auto", "0..1", "-1..1")
    )
    compare: bool = option(False, "write each frame as before | after, side by side")
    show: str = option(
        "result",
        "result: the restored frame; curve: in its place what CurveNLU multiplies the features with, a map for each "
        "channel at three scales",
        choices=("result", "curve"),
        source="Fig. 10: F_out / F_in",
    )
    bits: int = option(8, "bits a channel of PNG and TIFF output, 8 or 16", lo=8, hi=16)
    precision: str = option(
        "auto", "auto: bfloat16 on a GPU, float32 on a CPU", choices=("auto", "float32", "bfloat16")
    )
    network: str = option("", "what the weights are of, where it is no LEDNet: module:Class or file.py:Class")
    device: str = option("auto", "auto, cpu or cuda[:N]")


def checked(config_class: type, options: dict):
    """A config from keyword options, or from their text, each in its type and range; paths become text.

    Raises UsageError.
    """
    fields = {field.name: field for field in dataclasses.fields(config_class)}
    unknown = sorted(options.keys() - fields.keys())
    if unknown:
        raise UsageError(f"no option is called {unknown[0]!r}", f"known: {', '.join(fields)}")
    try:
        return config_class(**{name: _checked(fields[name], value) for name, value in options.items()})
    except RecipeError as error:
        raise UsageError(str(error), error.hint) from None


def _checked(field: dataclasses.Field, value):
    name = f"--{field.name.replace('_', '-')}"
    if isinstance(value, Path):
        value = str(value)
    if isinstance(field.default, bool):
        words = {"true": True, "false": False}
        if str(value).lower() not in words:
            raise UsageError(f"{name} = {value!r}", "use true or false")
        return words[str(value).lower()]
    if isinstance(value, str) and isinstance(field.default, int | float):
        try:
            value = float(value)
        except ValueError:
            raise UsageError(f"{name} = {value!r} is not a number", field.metadata["help"]) from None
    return recipes.check(field, value, name)
