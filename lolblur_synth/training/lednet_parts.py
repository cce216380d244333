"""What a training of LEDNet is put together from: first weights, the perceptual network, and how a step is computed."""

import copy
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lolblur_synth.dataset.pair_folders import Pair, find_pairs, pair_names
from lolblur_synth.dataset.pairs import read_frame, read_pair
from lolblur_synth.draw import rng
from lolblur_synth.errors import UsageError, WeightsError
from lolblur_synth.files import weights
from lolblur_synth.metrics import image_quality
from lolblur_synth.models import lift, vgg
from lolblur_synth.models.lednet import HALVINGS, LEDNet, enhance, initialise
from lolblur_synth.models.lednet_blocks import LAYOUTS
from lolblur_synth.models.own_network import OwnNetwork
from lolblur_synth.models.scope import Scope
from lolblur_synth.training import mixture
from lolblur_synth.training.config import LednetConfig, growth
from lolblur_synth.training.crops import Crops
from lolblur_synth.training.distributed import Process

ADAM_BETAS = (0.9, 0.99)  # section 5
SCOPE_SAMPLES, SCOPE_STRIDE = 100, 7  # samples whose lightness is measured: every seventh, so of many pairs
SMALLEST_CROP = 16  # px
SMALLEST_CROP_PERCEPTUAL = 64  # px: the side output is an eighth of it, and the fourth stage of VGG an eighth of that
ReadPair = Callable[[Pair], tuple[Tensor, Tensor]]  # -> (low, high)
log = logging.getLogger(__name__)


def check_options(config: LednetConfig, process: Process) -> None:
    """Raise UsageError for options that cannot be combined, or not here."""
    if config.batch % process.world:
        hint = "use a multiple of it"
        raise UsageError(f"--batch {config.batch} cannot be shared by {process.world} processes", hint)
    if config.network and (config.lift or config.layout != "paper"):
        raise UsageError("--network is another network than LEDNet, which --lift and --layout are for",
                         "leave these out")  # fmt: skip
    if config.lift and config.range != "0..1":
        raise UsageError("--lift is for values of 0..1", "leave out --range")
    if config.mix and config.online:
        raise UsageError("--mix draws noise and defocus itself", "leave out --online")
    if config.grow and process.world > 1 and config.batch % (4 * process.world):
        raise UsageError(f"--grow: --batch {config.batch} has no quarter for each of {process.world} processes",
                         f"use a multiple of {4 * process.world}")  # fmt: skip
    if config.compile and not compilers():
        raise UsageError("--compile needs a C++ compiler, and there is none here", "install g++, or leave it out")


def compilers() -> list[str]:
    """The installed C++ compilers that torch.compile can use."""
    return [path for name in (os.environ.get("CXX"), "g++", "clang++") if name and (path := shutil.which(name))]


def perceptual_features(config: LednetConfig, device: torch.device) -> tuple[nn.Module | None, str]:
    """The network of the perceptual loss and its name; (None, "none") where it is not wanted, or, with a warning, where
    no weights of it are installed. Raises WeightsError where the weights that were asked for are missing."""
    if config.perceptual == "none":
        return None, "none"
    names = ("vgg19", "vgg16") if config.perceptual == "auto" else (config.perceptual,)
    for name in names:
        try:
            return vgg.perceptual(name, config.vgg_weights or None).to(device), name
        except WeightsError as error:
            if config.perceptual != "auto" or config.vgg_weights and name == names[-1]:
                raise
            missing = error
    log.warning("no ImageNet weights: training without the perceptual loss (%s)", missing.hint)
    return None, "none"


def multiple_of(config: LednetConfig) -> int:
    """Of which the sides of the frames are multiples, that the network takes. Raises UsageError."""
    return OwnNetwork(config.network).multiple if config.network else LAYOUTS[config.layout].fold << HALVINGS


def crop_size(config: LednetConfig, pair: Pair, perceptual: str) -> int:
    """The side of the crops: a multiple of 8, or 16, no larger than the frames of the pair allow. Raises UsageError."""
    frame_side = min(read_pair(pair)[0].shape[1:])
    multiple = multiple_of(config)
    crop = min(config.crop, frame_side) // multiple * multiple
    least = SMALLEST_CROP if perceptual == "none" else SMALLEST_CROP_PERCEPTUAL
    if crop < least:
        raise UsageError(f"crops of {crop} px are too small (frames: {frame_side} px)",
                         f"at least {least} px are needed")  # fmt: skip
    if crop < config.crop:
        log.warning("crops are %d px, not %d: the frames are no larger", crop, config.crop)
    return crop


def first_network(config: LednetConfig) -> LEDNet | OwnNetwork:
    """The network with its first weights, from torch's global random numbers or from a file. Raises UsageError."""
    if config.network:
        net = OwnNetwork(config.network)
        net.initialise()
        if config.weights:
            weights.load(net, config.weights)
        return net
    net = LEDNet(config.width, config.ppm, config.curve, config.skip, config.lift, config.layout)
    if config.weights:
        made_for = weights.about(config.weights).get("range", config.range)
        if made_for != config.range:
            raise UsageError(f"{config.weights} is for values in {made_for}", f"train with --range {made_for}")
        weights.load(net, config.weights)
    else:
        initialise(net)
    net.side_out.requires_grad_(config.side_loss)
    return net


def frozen_copy(net: nn.Module) -> nn.Module:
    """The network whose weights will be an average; it is not trained itself."""
    return copy.deepcopy(net).requires_grad_(False).eval()


def adam(net: nn.Module, config: LednetConfig, device: torch.device) -> torch.optim.Adam:
    """Adam over what is trained (section 5), in one kernel on a GPU."""
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    return torch.optim.Adam(trained, config.lr, ADAM_BETAS, fused=device.type == "cuda")


def autocast(config: LednetConfig, device: torch.device, **options) -> torch.autocast:
    """bfloat16 where the precision says so, or by default on a GPU."""
    half = config.precision == "bfloat16" or config.precision == "auto" and device.type == "cuda"
    return torch.autocast(device.type, torch.bfloat16, enabled=half, **options)


def validation_reader(config: LednetConfig) -> ReadPair:
    """Reads the frames of a pair for validation; with `mix`, whose inputs have no noise, each gets its own."""

    def noisy_pair(pair: Pair) -> tuple[Tensor, Tensor]:
        low, high = read_pair(pair)
        return mixture.noisy(low, rng(config.seed, "lednet", f"{pair.clip}/{pair.frame}", "validation")), high

    return noisy_pair if config.mix else read_pair


@torch.no_grad()
def validation_psnr(net: LEDNet, value_range: str, pairs: Sequence[Pair], read: ReadPair = read_pair) -> float:
    """Mean PSNR (RGB, dB) of a network on the whole frames of some pairs. value_range: what it was trained on."""
    device, scores = next(net.parameters()).device, []
    for pair in pairs:
        low, high = (frame[None].to(device) for frame in read(pair))
        scores.append(image_quality.psnr_rgb(enhance(net, low, value_range), high).item())
    return sum(scores) / len(scores)


def folders(config: LednetConfig) -> tuple[str, str]:
    """The folders of the input and of the ground truth; --mix degrades low_blur itself. Raises UsageError."""
    return (mixture.FOLDERS[0], mixture.FOLDERS[2]) if config.mix else pair_names(config.pair)


def sharp_partners(pairs: Sequence[Pair], roots: Sequence[Path]) -> dict[Path, Path]:
    """Ground truth -> the dark frame before the blur. Raises InputError where a dataset has none."""
    partners = {pair.high: pair.low for root in roots for pair in find_pairs(root, "train", mixture.FOLDERS[1:])}
    return {pair.high: partners[pair.high] for pair in pairs}


def smallest_frame(pairs: Sequence[Pair]) -> tuple[int, int]:
    """The smallest height and width among the first frames of the clips; the frames of a clip have one size."""
    first = {(pair.high.parent, pair.clip): pair.high for pair in reversed(pairs)}
    shapes = [read_frame(file).shape[1:] for file in first.values()]
    return min(height for height, _ in shapes), min(width for _, width in shapes)


def frame_files(pairs: Sequence[Pair], sharp: dict[Path, Path]) -> list[tuple[Path, ...]]:
    """The files of each sample: low, high, and between them, with `sharp_partners`, the dark frame before the blur."""
    return [(pair.low, sharp[pair.high], pair.high) if sharp else (pair.low, pair.high) for pair in pairs]


def sizes(config: LednetConfig, whole: tuple[int, int]) -> Callable[[int], tuple[int, int]]:
    """The height and width of sample n: a square crop, twice its side, or whole frames, as far as frames reach."""
    multiple = multiple_of(config)
    whole = tuple(side // multiple * multiple for side in whole)
    grown = tuple(min(2 * config.crop, side) for side in whole)
    stages = ((config.crop, config.crop), grown, whole)
    return lambda n: stages[growth(config, n // config.batch)]


def scope_of(samples: Crops, count: int = SCOPE_SAMPLES) -> Scope:
    """The mean L*/100 of the input frames of `count` samples of a training, for the header of its weights."""
    told = copy.copy(samples)
    told.told = True
    means = [lift.mean_lightness(told[n * SCOPE_STRIDE][2]) for n in range(count)]
    low, high = np.percentile(means, (0.5, 99.5))
    return Scope(lightness=(round(float(low), 4), round(float(high), 4)))


class WithSide(nn.Module):
    """The network in training: (N, 3, H, W) -> (side, out), or out alone."""

    def __init__(self, net: LEDNet, side_loss: bool):
        super().__init__()
        self.net, self.side_loss = net, side_loss

    def forward(self, x: Tensor, told: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        return self.net(x, side_loss=self.side_loss, told=told)


def step_module(net: LEDNet, config: LednetConfig, process: Process) -> nn.Module:
    """The network as a step runs it: plain, compiled or recorded as CUDA graphs, on one process or on several."""
    model: nn.Module = WithSide(net, config.side_loss)
    device = process.device
    if config.compile:
        model = torch.compile(model)
    elif config.graph and device.type == "cuda" and process.world == 1:
        sample = torch.rand(config.batch, 3, config.crop, config.crop, device=device)
        model = recorded(model, sample, autocast(config, device, cache_enabled=False))
    return DistributedDataParallel(model) if process.world > 1 else model


def recorded(model: nn.Module, sample: Tensor, precision: torch.autocast) -> nn.Module:
    """The module, from now on as two CUDA graphs, forward and back, for inputs of the shape of `sample`.

    A step has thousands of kernels, most of which run for less time than it takes to launch one; replayed from a graph
    they need no launches. precision: as in the steps to come, but with cache_enabled=False.
    """
    with precision:
        return torch.cuda.make_graphed_callables(model, (sample,))
