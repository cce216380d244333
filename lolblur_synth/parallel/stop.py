"""Ctrl-C and SIGTERM, for commands that finish what is at hand before they stop."""

import contextlib
import signal
import threading
from collections.abc import Iterator

from lolblur_synth.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def stop_signals(second_stops_at_once: bool = True) -> Iterator[threading.Event]:
    """Within the block the first SIGINT or SIGTERM sets the event, and the second raises Interrupted.

    second_stops_at_once: False, and the second one is ignored too: torchrun sends its processes SIGTERM after the
    SIGINT of the terminal. Outside the main thread, where Python delivers no signals, the event is never set.
    """
    stop, former = threading.Event(), {}

    def handle(number, frame) -> None:
        if stop.is_set() and second_stops_at_once:
            raise Interrupted("stopped at once", "the same command continues")
        stop.set()

    if threading.current_thread() is threading.main_thread():
        former = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def ignore_stop_signals(*_) -> None:
    """For a process that its parent stops: a signal to the whole process group does not reach it."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
