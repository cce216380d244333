"""Training of LEDNet (paper, section 5), on one CPU, one GPU, or several through torchrun.

    DATA  a built dataset or a LOL-Blur folder; its `test` split is never opened, nor a video that is in a test split
    OUT   checkpoints/00001000.pt   log.csv   lednet.safetensors (the averaged weights, for `evaluate` and `restore`)
          pictures/00001000.jpg (input, output and truth of some validation frames)

The same command again continues where the last checkpoint ends: bit for bit on a CPU, because the learning rate and the
samples are functions of the iteration alone. With a time limit the learning rate depends on the clock too, so that it
comes to its end in time; the weights then depend on the speed of the machine. Departures from the paper, each an
option: weights are averaged (ema), gradients are clipped (clip_grad), and a GPU computes in bfloat16.
"""

import contextlib
import dataclasses
import functools
import hashlib
import logging
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import DataLoader

from lolblur_synth.dataset import lock
from lolblur_synth.dataset.splits import content_hash, gather, hold_out
from lolblur_synth.errors import Interrupted
from lolblur_synth.files import weights
from lolblur_synth.models.scope import Scope
from lolblur_synth.parallel.progress import Meter
from lolblur_synth.parallel.stop import ignore_stop_signals, stop_signals
from lolblur_synth.training import checkpoint, crops, distributed, frame_store, lednet_parts, pictures, presets
from lolblur_synth.training.config import FREE, LednetConfig, growth, learning_rate
from lolblur_synth.training.distributed import Process
from lolblur_synth.training.loss_logs import loss_logs
from lolblur_synth.training.losses import Weights, lednet_loss
from lolblur_synth.training.run import Report, Run, follow
from lolblur_synth.training.time_limit import TimeLimit

CHECKPOINT_SECONDS = 600  # a crash loses at most so much work
LOG_EVERY = 100  # iterations between rows of log.csv
WEIGHTS = "lednet.safetensors"
log = logging.getLogger(__name__)


def train_lednet(
    data_dir: str | Path | Sequence[str | Path] = "out",
    out: str | Path = "lednet-out",
    dry_run: bool = False,
    quiet: bool = False,
    report: Report | None = None,
    **options,
) -> dict:
    """Train, or continue. options: the fields of LednetConfig. Returns {"iteration", "psnr", "loss", "weights"}.

    data_dir: one dataset, or several; a video that is held out in one of them is trained on in none.
    dry_run: time two steps, return {"seconds_per_step", "hours", "pairs", "val_pairs"}, write nothing.
    quiet: no progress, and nothing about the preset.
    report: called after each step with its number, its losses, `lr`, and `val_psnr_rgb` where it was validated.
    Raises UsageError, InputError, WeightsError, ForeignOutput, Locked, NoSpace; Interrupted after Ctrl-C or SIGTERM,
    with a checkpoint; Diverged when the loss is no longer finite, with the last checkpoint kept.
    """
    out = Path(out)
    config = presets.configured(options, out, quiet or not distributed.is_first())
    with distributed.group(config.device) as process:
        roots = [data_dir] if isinstance(data_dir, str | Path) else data_dir
        run = LednetRun(config, [Path(root) for root in roots], out, process)
        if dry_run:
            return run.rehearse()
        checkpoint.claim(out)
        hold = lock.hold(out / "checkpoints") if process.is_first else contextlib.nullcontext()
        with hold, stop_signals(second_stops_at_once=False) as stop:
            run.resume()
            if config.store:
                run.store_frames(quiet)
            return run.train_to_the_end(stop.is_set, quiet, report)


class LednetRun(Run):
    """One training of LEDNet: its data, its networks, and the iteration that it has reached (`step`)."""

    on_divergence = (
        "train with a smaller --lr into another folder; --weights OUT/lednet.safetensors goes on from the last "
        "checkpoint"
    )

    def __init__(self, config: LednetConfig, roots: list[Path], out: Path, process: Process):
        self.out, self.process = out, process
        lednet_parts.check_options(config, process)

        # Data: the pairs whose video is held out nowhere. The last tenth of the videos validates.
        folders = lednet_parts.folders(config)
        self.pairs = gather(roots, "train", folders)
        self.train_pairs, held_out = hold_out(self.pairs)
        self.val_pairs = held_out[:: math.ceil(len(held_out) / config.val_pairs)]
        self.read = lednet_parts.validation_reader(config)

        # Losses: L1, and the perceptual loss where its weights are installed, which needs larger crops.
        self.features, perceptual = lednet_parts.perceptual_features(config, process.device)
        crop = lednet_parts.crop_size(config, self.train_pairs[0], perceptual)
        self.config = config = dataclasses.replace(config, crop=crop, perceptual=perceptual)

        # Samples: random crops, with noise and defocus drawn for each of them if --online.
        degrade = crops.online(folders) if config.online else None
        sharp = lednet_parts.sharp_partners(self.train_pairs, roots) if config.mix else {}
        self.files = lednet_parts.frame_files(self.train_pairs, sharp)
        whole = lednet_parts.smallest_frame(self.train_pairs) if config.grow else (crop, crop)
        size = lednet_parts.sizes(config, whole)
        self.crops = crops.Crops(self.train_pairs, size, config.seed, degrade, config.vary, config.lift,
                                 frame_store.FrameFiles(self.files))  # fmt: skip

        # The network, whose first weights depend on the seed alone, and the average of its weights, which is what the
        # training is for.
        super().__init__(lambda: lednet_parts.first_network(config), config.seed, process.device)
        if not config.network:  # 8 % less time on a CPU; a network of the user's own may not stand it (Tensor.view)
            self.net.to(memory_format=torch.channels_last)
        if config.network and not self.net.has_side:
            self.config = config = dataclasses.replace(config, side_loss=False)
        self.average = lednet_parts.frozen_copy(self.net)

        # The optimiser, and the network as a step runs it.
        self.optimiser = lednet_parts.adam(self.net, config, self.device)
        self.largest_norm = config.clip_grad or math.inf
        self.weights = Weights(config.matched, config.fft, config.ssim)
        self.model = lednet_parts.step_module(self.net, config, process)

        # Where the run is.
        self.psnr, self.validated = math.nan, -1  # of the averaged weights; after which step
        self.saved = time.monotonic()
        self.stop: Callable[[], bool] = lambda: False
        self.clock, self.time_share = TimeLimit(config.max_minutes), 0.0  # the share of the limit that the rate follows
        self.rate = config.lr  # of the last step
        log.info(
            "%d pairs to train, %d to validate, %d parameters, perceptual loss: %s, on %d x %s",
            len(self.train_pairs),
            len(self.val_pairs),
            sum(parameter.numel() for parameter in self.net.parameters()),
            perceptual,
            process.world,
            self.device,
        )

    # One step

    def advance(self, batch: Sequence[Tensor]) -> dict[str, float]:
        """One step of the optimiser and of the average on a batch of items of `Crops`. Raises Diverged."""
        config = self.config
        low, high, *told = (part.to(self.device, non_blocking=True) for part in batch)
        signed = config.range == "-1..1"
        with lednet_parts.autocast(config, self.device):
            outputs = self.model(low * 2 - 1 if signed else low, *told)
        side, out = outputs if config.side_loss else (None, outputs)
        side, out = (None if x is None else (x.float() + 1) / 2 if signed else x.float() for x in (side, out))
        terms = lednet_loss(side, out, high, self.features, self.weights)
        self.rate = learning_rate(config, self.step, self.time_share)
        losses = self.descend(self.rate, terms["loss"], terms)
        # At first the average moves fast, so that after a short run it is not mostly the random start.
        follow(self.average, self.net, min(config.ema, (1 + self.step) / (10 + self.step)) if config.ema else 0.0)
        return losses

    def over_processes(self, values: Sequence[Tensor]) -> list[float]:
        """Means over the processes. All of them stop after the step in which one of them wants to, and go by the clock
        of the first one."""
        share = self.clock.share() if self.process.is_first else 0.0
        shared = torch.stack([*values, *values[0].new_tensor((self.stop(), share * self.process.world))])
        if self.process.world > 1:
            dist.all_reduce(shared)
            shared /= self.process.world
        *means, stopping, self.time_share = shared.tolist()
        self.stopping = stopping > 0
        return means

    def loader(self, last: int) -> DataLoader:
        """The batches of this process, from the iteration that is reached to `last`, in order."""
        process = self.process
        numbers = crops.batches(self.step, last, self.samples_in, process.rank, process.world)
        return DataLoader(
            self.crops,
            batch_sampler=numbers,
            num_workers=self.config.workers,
            worker_init_fn=ignore_stop_signals,  # readers end with their parent, which finishes its step first
            pin_memory=self.device.type == "cuda",
        )

    def samples_in(self, iteration: int) -> int:
        """In the global batch of an iteration: a quarter of it, one at least, where the crops have grown."""
        return max(1, self.config.batch // 4) if growth(self.config, iteration) else self.config.batch

    def store_frames(self, quiet: bool) -> None:
        """Decode the frames into OUT, unless they are there, and read them from there. Raises InputError, NoSpace."""
        store = frame_store.path(self.out, self.hashes["frames"])
        if self.process.is_first and not store.is_file():
            with Meter(len(self.files), "pair", quiet) as meter:
                frame_store.write(store, self.files, meter.add)
        if self.process.world > 1:
            dist.barrier()
        self.crops.frames = frame_store.FrameStore(store, len(self.files[0]))

    # The whole run

    def train_to_the_end(self, interrupted: Callable[[], bool], quiet: bool, listener: Report | None = None) -> dict:
        """To the last iteration, the time limit or an interruption, with checkpoints, log and progress."""
        config, first = self.config, self.process.is_first
        self.time_share = self.clock.begin()
        self.stop = lambda: interrupted() or self.clock.is_over()
        self.saved, last_losses = time.monotonic(), {}
        rows = checkpoint.Log(self.out / "log.csv", self.step) if first else None
        meter = Meter(config.iterations, "step", quiet or not first, self.step, self.clock.left)
        logs = loss_logs(config, self.out, self.step + 1) if first else contextlib.nullcontext()
        with meter, logs as write:

            def report(step: int, losses: dict[str, float]) -> None:
                last_losses.update(losses)
                psnr = "" if math.isnan(self.psnr) else f", val_psnr {self.psnr:.2f}"
                meter.add(note=f"loss {losses['loss']:.4f}{psnr}")
                score = self.psnr if self.validated == step else None
                values = losses | {"lr": self.rate} | ({} if score is None else {"val_psnr_rgb": score})
                if rows and (score is not None or step % LOG_EVERY == 0):
                    rows.add(step, self.rate, losses, score)
                    write(step, values)
                if listener:
                    listener(step, values)

            if self.step < config.iterations and self.time_share >= 1:
                log.warning("its %g minutes are over; a larger --max-minutes goes on", config.max_minutes)
            elif self.step < config.iterations:
                self.train(self.loader(config.iterations), config.iterations, report)
        if interrupted():
            raise Interrupted(f"stopped after iteration {self.step}", "the same command continues")
        return {
            "iteration": self.step,
            "psnr": self.psnr,
            "loss": last_losses.get("loss"),
            "weights": str(self.out / WEIGHTS),
        }

    def rehearse(self) -> dict:
        """Two steps, of which the second is timed: what the whole training would take."""
        for batch in self.loader(self.step + 2):
            start = time.monotonic()
            self.advance(batch)
        seconds = time.monotonic() - start
        hours = seconds * self.config.iterations / 3600
        log.info("one step takes %.2f s; %d steps about %.1f hours", seconds, self.config.iterations, hours)
        counts = {"pairs": len(self.train_pairs), "val_pairs": len(self.val_pairs)}
        return {"seconds_per_step": seconds, "hours": hours} | counts

    # Checkpoints

    def checkpoint_is_due(self) -> bool:
        return self.step % self.config.save_every == 0 or time.monotonic() - self.saved > CHECKPOINT_SECONDS

    def identity(self) -> dict:
        """What must be the same for a run to continue: the options that matter, and the pairs by name and content."""
        options = {name: value for name, value in dataclasses.asdict(self.config).items() if name not in FREE}
        if not self.config.network:
            del options["network"]  # so that trainings that began before there was this option go on
        return options | self.hashes

    @functools.cached_property
    def hashes(self) -> dict[str, str]:
        names = "\n".join(f"{pair.clip}/{pair.frame}" for pair in self.pairs)
        return {"pairs": hashlib.sha256(names.encode()).hexdigest(), "frames": content_hash(self.pairs)}

    @functools.cached_property
    def scope(self) -> Scope:
        return lednet_parts.scope_of(self.crops)

    def validate(self) -> None:
        """Score the averaged weights; of several processes, the first one does."""
        if self.process.is_first:
            self.psnr = lednet_parts.validation_psnr(self.average, self.config.range, self.val_pairs, self.read)
        self.validated = self.step

    def save(self) -> None:
        """Write pictures, the averaged weights and the checkpoint; of several processes, the first one does.

        The checkpoint is the last: a training that goes on from it does not write again what was due before.
        """
        if self.process.is_first:
            with checkpoint.full_disk_as_error(self.out):
                pictures.write(self.out, self.step, self.average, self.config.range, self.val_pairs, self.read)
            self.write()
        self.saved = time.monotonic()

    def write(self) -> None:
        """The averaged weights, then the checkpoint. Raises NoSpace."""
        state = {
            "params": self.net.state_dict(),
            "params_ema": self.average.state_dict(),
            "adam": self.optimiser.state_dict(),
            "iteration": self.step,
            "psnr": self.psnr,
            "seconds": self.clock.seconds(),
            "facts": self.identity(),
        }
        about = {
            "network": "own" if self.config.network else "lednet",
            "options": self.net.options,
            "range": self.config.range,
            "iterations": self.step,
            "validation_psnr_rgb": self.psnr,
            "preset": self.config.preset,
            "training": self.identity(),
        } | self.scope.header()
        with checkpoint.full_disk_as_error(self.out):
            weights.save(self.average, self.out / WEIGHTS, about)
        checkpoint.save(self.out / "checkpoints", self.step, state)

    def resume(self) -> None:
        """Go on from the newest undamaged checkpoint in OUT, if there is one.

        Raises ForeignOutput where it is of another training.
        """
        identity = self.identity()  # hashes the frames before the first step, not when a checkpoint is due
        state = checkpoint.latest(self.out / "checkpoints")
        if state is None:
            return
        checkpoint.refuse_other_training(self.out, state["facts"], identity)
        self.net.load_state_dict(state["params"])
        self.average.load_state_dict(state["params_ema"])
        self.optimiser.load_state_dict(state["adam"])
        self.step, self.psnr = state["iteration"], state["psnr"]
        self.clock.before = state.get("seconds", 0.0)  # earlier versions kept none
        log.info("continuing %s after iteration %d", self.out, self.step)
