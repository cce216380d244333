"""The progress of a build or a training: a bar on a terminal, else a line every ten seconds; or JSON lines."""

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator

import click
from tqdm import tqdm

from lolblur_synth.commands import json_lines
from lolblur_synth.errors import counted
from lolblur_synth.parallel.progress import Meter, duration, shows_bars

LINE_INTERVAL = 10.0  # seconds between plain lines
STEP_INTERVAL = 1.0  # seconds between JSON lines of a training


class Progress:
    """A listener for `dataset.build.build`; `close` it at the end.

    style: "human" writes to stderr. "json" writes one object a line to stdout, with `type` (survey, surveyed, plan,
    pair, failed or note) and the fields of the event; later versions may add fields, but remove none. "quiet" writes
    failures only.
    """

    def __init__(self, style: str = "human", stream=None):
        self.style = style
        self.stream = stream or sys.stderr
        self.bar: tqdm | None = None
        self.total = self.before = self.built = self.failed = self.bytes = 0
        self.surveyed = self.inputs = 0
        self.started = self.last_line = time.monotonic()

    def __call__(self, kind: str, fields: dict) -> None:
        if self.style == "json":
            json_lines.line(kind, fields)
            return
        getattr(self, f"_{kind}")(fields)

    def _survey(self, fields: dict) -> None:
        self.inputs = fields["todo"]
        if fields["todo"]:
            self._say(
                f"reading {fields['todo']} of {counted(fields['inputs'], 'input')} once, from the first frame to the "
                "last, to plan"
            )

    def _surveyed(self, fields: dict) -> None:
        self.surveyed += 1
        if time.monotonic() - self.last_line > LINE_INTERVAL:
            self._say(f"read {self.surveyed} of {counted(self.inputs, 'input')}")

    def _plan(self, fields: dict) -> None:
        self.total, self.before = fields["todo"], fields["already"]
        self._say(
            f"{counted(fields['pairs'], 'pair')} planned, {fields['already']} already there, {fields['todo']} to build"
        )
        self.started = time.monotonic()
        if self.style == "human" and shows_bars(self.stream):
            self.bar = tqdm(total=self.total, unit="pair", file=self.stream, dynamic_ncols=True)

    def _pair(self, fields: dict) -> None:
        self.built += 1
        self.bytes += fields["bytes"]
        self._advance()

    def _failed(self, fields: dict) -> None:
        self.failed += 1
        text = (
            f"failed: {fields['message']}"
            if fields["name"] in fields["message"]
            else (f"failed: {fields['name']}: {fields['message']}")
        )
        if fields.get("hint"):
            text += f"\n  {fields['hint']}"
        (self.bar.write(text, file=self.stream) if self.bar else click.echo(text, file=self.stream))

    def _note(self, fields: dict) -> None:
        self._say(f"note: {fields['message']}")

    def _advance(self) -> None:
        if self.bar is not None:
            self.bar.set_postfix_str(f"{self.failed} failed, {self.bytes / 1e6:.0f} MB")
            self.bar.update()
        elif time.monotonic() - self.last_line > LINE_INTERVAL or self.built == self.total:
            rate = self.built / max(1e-6, time.monotonic() - self.started)
            left = (self.total - self.built) / rate
            self._say(
                f"{self.built}/{self.total} pairs, {self.failed} failed, {rate:.2f} pairs/s, "
                f"{self.bytes / 1e6:.0f} MB, {duration(left)} left"
            )

    def _say(self, text: str) -> None:
        self.last_line = time.monotonic()
        if self.style == "human":
            click.echo(text, file=self.stream)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


class StepLines:
    """The steps of a training as JSON lines: at most one a second, and every validation and the last step."""

    def __init__(self, steps: int | None = None):
        """steps: of the whole training, where it is known."""
        self.steps, self.told = steps, -math.inf

    def report(self, step: int, losses: dict[str, float]) -> None:
        """One step is done. losses: and what else is known of it, `lr` and `val_psnr_rgb` of LEDNet."""
        now = time.monotonic()
        if now - self.told >= STEP_INTERVAL or step == self.steps or "val_psnr_rgb" in losses:
            self.told = now
            json_lines.line("step", {"step": step, "losses": losses} | ({"steps": self.steps} if self.steps else {}))


@contextlib.contextmanager
def training_progress(steps: int, style: str) -> Iterator[Callable[[int, dict[str, float]], None]]:
    """The progress of so many steps, and the function that a training calls after each with its number and losses."""
    if style == "json":
        yield StepLines(steps).report
        return
    with Meter(steps, "step", style == "quiet") as meter:

        def report(step: int, losses: dict[str, float]) -> None:
            meter.add(step - meter.done, ", ".join(f"{name} {value:.4f}" for name, value in losses.items()))

        yield report
