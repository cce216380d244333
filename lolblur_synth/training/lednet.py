"""Training of LEDNet (paper, section 5), on one CPU, one GPU, or several through torchrun.

    DATA  a built dataset or a LOL-Blur folder; its `test` split is never opened, nor a video that is in a test split
    OUT   checkpoints/00001000.pt   log.csv   lednet.safetensors (the averaged weights, for `evaluate` and `restore`)

The same command again continues where the last checkpoint ends: bit for bit on a CPU, because the learning rate and the
samples are functions of the iteration alone. Departures from the paper, each an option: weights are averaged (ema),
gradients are clipped (clip_grad), and a GPU computes in bfloat16.
"""

import contextlib
import copy
import dataclasses
import functools
import hashlib
import logging
import math
import os
import shutil
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from tqdm import tqdm

from lolblur_synth.dataset import lock
from lolblur_synth.errors import Diverged, ForeignOutput, Interrupted, UsageError, WeightsError
from lolblur_synth.files import weights
from lolblur_synth.metrics import image_quality
from lolblur_synth.models import vgg
from lolblur_synth.models.lednet import LEDNet, enhance, initialise
from lolblur_synth.training import checkpoint, data, distributed
from lolblur_synth.training.config import FREE, LednetConfig, checked, learning_rate
from lolblur_synth.training.losses import lednet_loss
from lolblur_synth.training.tensorboard_log import scalars

CHECKPOINT_SECONDS = 600  # at most this much work is lost to a crash
LOG_EVERY = 100
ADAM_BETAS = (0.9, 0.99)  # section 5
log = logging.getLogger(__name__)


def train_lednet(
    data_dir: str | Path | Sequence[str | Path] = "out",
    out: str | Path = "lednet-out",
    dry_run: bool = False,
    quiet: bool = False,
    **options,
) -> dict:
    """Train, or continue. options: the fields of LednetConfig. Returns {"iteration", "psnr", "loss", "weights"}.

    data_dir: one dataset, or several; a video that is held out in one of them is trained on in none.
    dry_run: time two steps, say what a whole training takes, write nothing. quiet: no progress bar.
    Raises UsageError, InputError, WeightsError, ForeignOutput, Locked, NoSpace; Interrupted after Ctrl-C, SIGTERM, with
    a checkpoint; Diverged when the loss is no longer finite, with the last checkpoint kept.
    """
    config = checked(LednetConfig, options)
    out = Path(out)
    with distributed.group(config.device) as (rank, world, device):
        if config.batch % world:
            raise UsageError(f"--batch {config.batch} cannot be shared by {world} processes", "use a multiple of it")
        roots = [data_dir] if isinstance(data_dir, str | Path) else data_dir
        run = _Run(config, [Path(root) for root in roots], rank, world, device)
        if dry_run:
            return run.rehearse()
        checkpoint.claim(out)
        hold = lock.hold(out / "checkpoints") if rank == 0 else contextlib.nullcontext()
        with hold, distributed.stop_signals() as stop:
            run.resume(out)
            return run.train(out, stop, quiet)


class WithSide(nn.Module):
    """The network in training: (N, 3, H, W) -> (side, out), or out alone."""

    def __init__(self, net: LEDNet, side_loss: bool):
        super().__init__()
        self.net, self.side_loss = net, side_loss

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        return self.net(x, side_loss=self.side_loss)


def recorded(model: nn.Module, sample: Tensor, autocast: torch.autocast) -> nn.Module:
    """The module, from now on as two CUDA graphs, forward and back, for inputs of the shape of `sample`.

    A step has thousands of kernels, most of them shorter than it takes to launch one; replayed they wait for no
    processor. autocast: as in the steps to come, but with cache_enabled=False.
    """
    with autocast:
        return torch.cuda.make_graphed_callables(model, (sample,))


class _Run:
    """One training: what is drawn from (net, average, optimiser) and the iteration it has reached."""

    def __init__(self, config: LednetConfig, roots: list[Path], rank: int, world: int, device: torch.device):
        self.rank, self.world, self.device = rank, world, device
        if config.expose and config.range != "0..1":
            raise UsageError("--expose is for values of 0..1", "leave out --range")
        names = data.pair_names(config.pair)
        pairs = data.gather(roots, "train", names)
        train_pairs, held_out = data.hold_out(pairs)
        self.val = held_out[:: math.ceil(len(held_out) / config.val_pairs)]
        self.features, perceptual = _features(config, device)
        self.config = dataclasses.replace(config, crop=_crop(config, train_pairs[0], perceptual), perceptual=perceptual)
        degrade = data.online(names) if config.online else None
        self.crops = data.Crops(train_pairs, self.config.crop, config.seed, degrade, config.expose, config.vary)
        self.pairs = pairs
        torch.manual_seed(config.seed)
        self.net = LEDNet(config.width, config.ppm, config.curve, config.skip, config.expose)
        if config.weights:
            made_for = weights.about(config.weights).get("range", config.range)
            if made_for != config.range:
                raise UsageError(f"{config.weights} is for values in {made_for}", f"train with --range {made_for}")
            weights.load(self.net, config.weights)
        else:
            initialise(self.net)
        self.net.side_out.requires_grad_(config.side_loss)
        layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
        self.net.to(device, memory_format=layout)
        self.average = copy.deepcopy(self.net).requires_grad_(False).eval()
        self.adam = torch.optim.Adam(
            [p for p in self.net.parameters() if p.requires_grad], config.lr, ADAM_BETAS, fused=device.type == "cuda"
        )
        if config.compile and not compilers():
            raise UsageError("--compile needs a C++ compiler, and there is none here", "install g++, or leave it out")
        self.model = WithSide(self.net, config.side_loss)
        if config.compile:
            self.model = torch.compile(self.model)
        elif config.graph and device.type == "cuda" and world == 1:
            sample = torch.rand(config.batch, 3, self.config.crop, self.config.crop, device=device)
            self.model = recorded(self.model, sample, self._autocast(cache_enabled=False))
        if world > 1:
            self.model = DistributedDataParallel(self.model)
        self.iteration, self.psnr = 0, float("nan")
        log.info(
            "%d pairs to train, %d to validate, %d parameters, perceptual loss: %s, on %d x %s",
            len(train_pairs),
            len(self.val),
            sum(p.numel() for p in self.net.parameters()),
            perceptual,
            world,
            device,
        )

    def _autocast(self, **options) -> torch.autocast:
        precision, device = self.config.precision, self.device.type
        half = precision == "bfloat16" or precision == "auto" and device == "cuda"
        return torch.autocast(device, torch.bfloat16, enabled=half, **options)

    def facts(self) -> dict:
        """What must be the same for a run to continue."""
        options = {k: v for k, v in dataclasses.asdict(self.config).items() if k not in FREE}
        return options | self.hashes

    @functools.cached_property
    def hashes(self) -> dict[str, str]:
        """Of the names of the pairs, and of what their frames hold."""
        names = "\n".join(f"{p.clip}/{p.frame}" for p in self.pairs)
        return {"pairs": hashlib.sha256(names.encode()).hexdigest(), "frames": data.content_hash(self.pairs)}

    def resume(self, out: Path) -> None:
        """Take up the newest sound checkpoint in OUT, if any. Raises ForeignOutput where it is of another training."""
        facts = self.facts()  # the frames are hashed before the first step, not when a checkpoint is due
        state = checkpoint.latest(out / "checkpoints")
        if state is None:
            return
        if "frames" not in state["facts"]:
            log.warning(
                "%s: an earlier version began this training and kept no hash of its frames; whether they were "
                "rebuilt since is not known",
                out,
            )
        former = {"frames": facts["frames"]} | state["facts"]
        differ = sorted(k for k, v in facts.items() if former.get(k) != v)
        if differ == ["frames"]:
            raise ForeignOutput(
                f"{out} holds a training on other frames: they have the same names, but were built or changed since",
                "train anew into another output folder, or restore the frames; "
                "--weights OUT/lednet.safetensors starts from what was learnt",
            )
        if differ:
            raise ForeignOutput(
                f"{out} holds a training with another {', '.join(differ)}",
                "use the same options and data, or another output folder",
            )
        self.net.load_state_dict(state["params"])
        self.average.load_state_dict(state["params_ema"])
        self.adam.load_state_dict(state["adam"])
        self.iteration, self.psnr = state["iteration"], state["psnr"]
        log.info("continuing %s after iteration %d", out, self.iteration)

    def save(self, out: Path) -> None:
        """Validate, then write the checkpoint and the averaged weights; with several processes, the first one does."""
        if self.rank:
            return
        self.psnr = self.validate()
        state = {
            "params": self.net.state_dict(),
            "params_ema": self.average.state_dict(),
            "adam": self.adam.state_dict(),
            "iteration": self.iteration,
            "psnr": self.psnr,
            "facts": self.facts(),
        }
        checkpoint.save(out / "checkpoints", self.iteration, state)
        about = {
            "network": "lednet",
            "options": self.net.options,
            "range": self.config.range,
            "iterations": self.iteration,
            "validation_psnr_rgb": self.psnr,
            "training": self.facts(),
        }
        with checkpoint.disk_full_told(out):
            weights.save(self.average, out / "lednet.safetensors", about)

    @torch.no_grad()
    def validate(self) -> float:
        """Mean PSNR (RGB, dB) of the averaged weights on whole held-out frames."""
        scores = []
        for pair in self.val:
            low, high = (frame[None].to(self.device) for frame in data.read_pair(pair))
            scores.append(image_quality.psnr_rgb(enhance(self.average, low, self.config.range), high).item())
        return sum(scores) / len(scores)

    def loader(self, stop: int) -> DataLoader:
        """The batches from the present iteration to `stop`, in order."""
        numbers = data.batches(self.iteration, stop, self.config.batch, self.rank, self.world)
        return DataLoader(
            self.crops,
            batch_sampler=numbers,
            num_workers=self.config.workers,
            worker_init_fn=distributed.leave_stopping_to_the_parent,
            pin_memory=self.device.type == "cuda",
        )

    def step(self, low: Tensor, high: Tensor, stop: bool = False) -> tuple[dict[str, float], bool]:
        """One optimiser step. Returns the losses and whether any process wants to stop. Raises Diverged on NaN."""
        config = self.config
        for group in self.adam.param_groups:
            group["lr"] = learning_rate(config, self.iteration)
        low, high = low.to(self.device, non_blocking=True), high.to(self.device, non_blocking=True)
        signed = config.range == "-1..1"
        with self._autocast():
            given = self.model(low * 2 - 1 if signed else low)
        side, out = given if config.side_loss else (None, given)
        side, out = (None if x is None else (x.float() + 1) / 2 if signed else x.float() for x in (side, out))
        terms = lednet_loss(side, out, high, self.features)
        self.adam.zero_grad(set_to_none=True)
        terms["loss"].backward()
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), config.clip_grad or math.inf)
        shared = torch.stack([t.detach() for t in terms.values()] + [norm, norm.new_tensor(float(stop))])
        if self.world > 1:
            dist.all_reduce(shared)
            shared /= self.world
        *values, norm, stopping = shared.tolist()
        if not math.isfinite(norm) or not all(map(math.isfinite, values)):
            raise Diverged(
                f"the loss is not finite at iteration {self.iteration}; the checkpoints before it are kept",
                "train with a smaller --lr into another folder; --weights OUT/lednet.safetensors goes on "
                "from the last checkpoint",
            )
        self.adam.step()
        self.iteration += 1
        self._follow()
        return dict(zip(terms, values, strict=True)), stopping > 0

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the averaged weights; at first fast, so that a short run is not an average with its random start."""
        decay = min(self.config.ema, (1 + self.iteration) / (10 + self.iteration)) if self.config.ema else 0.0
        get_ema_multi_avg_fn(decay)(list(self.average.parameters()), list(self.net.parameters()), None)

    def train(self, out: Path, stop: threading.Event, quiet: bool) -> dict:
        """To the last iteration, the time limit or a signal, with checkpoints, log and progress."""
        config = self.config
        started = saved = time.monotonic()
        terms, done = {}, self.iteration >= config.iterations
        rows = checkpoint.Log(out / "log.csv", self.iteration) if self.rank == 0 else None
        curves = scalars(config.tensorboard if self.rank == 0 else None, self.iteration + 1)
        bar = tqdm(
            total=config.iterations,
            initial=self.iteration,
            unit="it",
            disable=quiet or self.rank > 0,
            mininterval=0.5 if sys.stderr.isatty() else 10,
            dynamic_ncols=True,
        )
        with bar, curves as write:
            for low, high in () if done else self.loader(config.iterations):
                late = config.max_minutes and time.monotonic() - started > 60 * config.max_minutes
                terms, done = self.step(low, high, bool(late or stop.is_set()))
                done = done or self.iteration == config.iterations
                bar.update()
                psnr = {} if math.isnan(self.psnr) else {"val_psnr": f"{self.psnr:.2f}"}
                bar.set_postfix(loss=f"{terms['loss']:.4f}", **psnr, refresh=False)
                due = self.iteration % config.save_every == 0 or time.monotonic() - saved > CHECKPOINT_SECONDS
                if done or due:
                    self.save(out)
                    saved = time.monotonic()
                if rows and (done or due or self.iteration % LOG_EVERY == 0):
                    rate, score = learning_rate(config, self.iteration - 1), self.psnr if done or due else None
                    rows.add(self.iteration, rate, terms, score)
                    write(self.iteration, terms | {"lr": rate} | ({} if score is None else {"val_psnr_rgb": score}))
                if done:
                    break
        if stop.is_set():
            raise Interrupted(f"stopped after iteration {self.iteration}", "the same command continues")
        return {
            "iteration": self.iteration,
            "psnr": self.psnr,
            "loss": terms.get("loss"),
            "weights": str(out / "lednet.safetensors"),
        }

    def rehearse(self) -> dict:
        """Two steps, the second timed: what a whole training would take."""
        for low, high in self.loader(self.iteration + 2):
            start = time.monotonic()
            self.step(low, high)
        seconds = time.monotonic() - start
        hours = seconds * self.config.iterations / 3600
        log.info("one step takes %.2f s; %d steps about %.1f hours", seconds, self.config.iterations, hours)
        return {"seconds_per_step": seconds, "hours": hours, "pairs": len(self.crops.pairs), "val_pairs": len(self.val)}


def compilers() -> list[str]:
    """The C++ compilers at hand that torch.compile can use."""
    return [found for name in (os.environ.get("CXX"), "g++", "clang++") if name and (found := shutil.which(name))]


def _features(config: LednetConfig, device: torch.device) -> tuple[nn.Module | None, str]:
    """The perceptual network and its name; what is missing is said, never skipped in silence."""
    if config.perceptual == "none":
        return None, "none"
    wanted = ("vgg19", "vgg16") if config.perceptual == "auto" else (config.perceptual,)
    for network in wanted:
        try:
            return vgg.perceptual(network, config.vgg_weights or None).to(device), network
        except WeightsError as error:
            if config.perceptual != "auto" or config.vgg_weights and network == wanted[-1]:
                raise
            missing = error
    log.warning("no ImageNet weights: training without the perceptual loss (%s)", missing.hint)
    return None, "none"


def _crop(config: LednetConfig, pair: data.Pair, perceptual: str) -> int:
    """The crop, a multiple of 8, cut down to what the first frame can give."""
    smallest = min(data.read_pair(pair)[0].shape[1:])
    crop = min(config.crop, smallest) // 8 * 8
    least = 64 if perceptual != "none" else 16  # the fourth stage of VGG halves the side output three times
    if crop < least:
        raise UsageError(f"crops of {crop} px are too small (frames: {smallest} px)", f"at least {least} px are needed")
    if crop < config.crop:
        log.warning("crops are %d px, not %d: the frames are no larger", crop, config.crop)
    return crop
