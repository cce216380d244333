"""The progress of a long command on stderr: a bar on a terminal, else plain lines, for pipes and log files.

Every command but `build` shows its progress in this way; `build` reports failures among it (commands/progress.py).
"""

import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO, TypeVar

from tqdm import tqdm

from lolblur_synth.errors import counted

LINE_SECONDS = 10.0  # a plain line is due after this time
TENTH_SECONDS = 1.0  # and after this time where a further tenth of the whole is done

Item = TypeVar("Item")


class Meter:
    """Shows how much of something is done. A context manager."""

    def __init__(self, total: int | None, unit: str, quiet: bool = False, done: int = 0,
                 at_most: Callable[[], float] | None = None, stream: TextIO | None = None):  # fmt: skip
        """total: how many there are, or None until `total` is set; unit: what is counted, in the singular.

        done: how many earlier runs did. at_most: the seconds left until a time limit. quiet: nothing is shown.
        """
        self.total, self.unit, self.quiet, self.at_most = total, unit, quiet, at_most
        self.first = self.done = done
        self.stream = stream or sys.stderr
        self.bar: tqdm | None = None
        self.started = self.last_line = time.monotonic()
        self.tenths = self._tenths()
        if total is not None:
            self._show_bar()

    def add(self, count: int = 1, note: str = "") -> None:
        """So many more are done. note: figures to show beside it, such as `loss 0.0123`."""
        self.done += count
        if self.quiet:
            return
        self._show_bar()
        if self.bar is not None:
            self.bar.total = self.total
            self.bar.set_postfix_str(note, refresh=False)
            self.bar.update(count)
        elif self._is_due():
            self.last_line, self.tenths = time.monotonic(), self._tenths()
            print(self._line(note), file=self.stream, flush=True)

    def _show_bar(self) -> None:
        if self.bar is None and not self.quiet and shows_bars(self.stream):
            self.bar = tqdm(total=self.total, initial=self.first, unit=self.unit, file=self.stream, dynamic_ncols=True,
                            mininterval=0.5)  # fmt: skip

    def _is_due(self) -> bool:
        elapsed = time.monotonic() - self.last_line
        return elapsed >= LINE_SECONDS or elapsed >= TENTH_SECONDS and self._tenths() > self.tenths

    def _tenths(self) -> int:
        return 10 * self.done // self.total if self.total else 0

    def _line(self, note: str) -> str:
        """`12 of 257 frames, 4 %, 3 min left, loss 0.0123`."""
        words = [counted(self.done, self.unit)]
        if self.total:
            seconds = (time.monotonic() - self.started) / max(1, self.done - self.first) * (self.total - self.done)
            left = min(max(0.0, seconds), self.at_most() if self.at_most else math.inf)
            words = [f"{self.done} of {counted(self.total, self.unit)}",
                     f"{100 * self.done // self.total} %", f"{duration(left)} left"]  # fmt: skip
        return ", ".join([*words, *([note] if note else [])])

    def __enter__(self) -> "Meter":
        return self

    def __exit__(self, *error) -> None:
        if self.bar is not None:
            self.bar.close()


def shows_bars(stream: TextIO) -> bool:
    """Whether a stream is a terminal that can go back to the start of a line."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def metered(items: Iterable[Item], total: int | None, unit: str, quiet: bool = False) -> Iterator[Item]:
    """The items one by one, with a Meter that counts those that the caller has finished with."""
    with Meter(total, unit, quiet) as meter:
        for item in items:
            yield item
            meter.add()


def duration(seconds: float) -> str:
    """`40 s`, `3 min`, `2 h 10 min`, `12 days`."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 48 * 60 else f"{minutes // 1440} days"
