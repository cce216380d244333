"""What a person sees while a build or a training runs: a bar on a terminal, else plain lines; or JSON lines."""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator

import click
from tqdm import tqdm

EVERY = 10.0  # seconds between plain lines


class Progress:
    """A listener for `build.build`. `close` it at the end.

    style: "human" writes to stderr; "json" writes one object a line to stdout, `{"type": "plan" | "pair" | "failed" |
    "note" | "status"}`; "quiet" shows failures only. Fields are only ever added.
    """

    def __init__(self, style: str = "human", stream=None):
        self.style = style
        self.stream = stream or sys.stderr
        self.bar: tqdm | None = None
        self.total = self.before = self.built = self.failed = self.bytes = 0
        self.surveyed = self.inputs = 0
        self.started = self.spoken = time.monotonic()

    def __call__(self, kind: str, facts: dict) -> None:
        if self.style == "json":
            click.echo(json.dumps({"type": kind, **facts}))
            return
        getattr(self, f"_{kind}")(facts)

    def _survey(self, facts: dict) -> None:
        self.inputs = facts["todo"]
        if facts["todo"]:
            self._say(f"reading {facts['todo']} of {facts['inputs']} inputs once, from end to end, to plan")

    def _surveyed(self, facts: dict) -> None:
        self.surveyed += 1
        if time.monotonic() - self.spoken > EVERY:
            self._say(f"read {self.surveyed} of {self.inputs} inputs")

    def _plan(self, facts: dict) -> None:
        self.total, self.before = facts["todo"], facts["already"]
        self._say(f"{facts['pairs']} pairs planned, {facts['already']} already there, {facts['todo']} to build")
        self.started = time.monotonic()
        if self.style == "human" and self.stream.isatty():
            self.bar = tqdm(total=self.total, unit="pair", file=self.stream, dynamic_ncols=True)

    def _pair(self, facts: dict) -> None:
        self.built += 1
        self.bytes += facts["bytes"]
        self._advance()

    def _failed(self, facts: dict) -> None:
        self.failed += 1
        text = (
            f"failed: {facts['message']}"
            if facts["name"] in facts["message"]
            else (f"failed: {facts['name']}: {facts['message']}")
        )
        if facts.get("hint"):
            text += f"\n  {facts['hint']}"
        (self.bar.write(text, file=self.stream) if self.bar else click.echo(text, file=self.stream))

    def _note(self, facts: dict) -> None:
        self._say(f"note: {facts['message']}")

    def _advance(self) -> None:
        if self.bar is not None:
            self.bar.set_postfix_str(f"{self.failed} failed, {self.bytes / 1e6:.0f} MB")
            self.bar.update()
        elif time.monotonic() - self.spoken > EVERY or self.built == self.total:
            rate = self.built / max(1e-6, time.monotonic() - self.started)
            left = (self.total - self.built) / rate
            self._say(
                f"{self.built}/{self.total} pairs, {self.failed} failed, {rate:.2f} pairs/s, "
                f"{self.bytes / 1e6:.0f} MB, {left / 60:.0f} min {left % 60:.0f} s left"
            )

    def _say(self, text: str) -> None:
        self.spoken = time.monotonic()
        if self.style == "human":
            click.echo(text, file=self.stream)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


@contextlib.contextmanager
def training_progress(steps: int, style: str) -> Iterator[Callable[[int, dict[str, float]], None]]:
    """A bar of so many steps, and the function that a training calls after each step with its number and losses."""
    with tqdm(total=steps, unit="step", disable=style == "quiet") as bar:

        def report(step: int, losses: dict[str, float]) -> None:
            bar.set_postfix({name: f"{value:.4f}" for name, value in losses.items()}, refresh=False)
            bar.update(step - bar.n)

        yield report
