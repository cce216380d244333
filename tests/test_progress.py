"""Progress: a bar on a terminal, plain lines in a pipe, nothing where it is not wanted."""

import io
from pathlib import Path

import pytest

from lolblur_synth.parallel import progress
from lolblur_synth.parallel.progress import Meter, duration, metered

PACKAGE = Path(progress.__file__).parent.parent
SHOW_BARS = ("parallel/progress.py", "commands/progress.py")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Seconds, which a test sets forward."""

    class Clock:
        now = 100.0

        @classmethod
        def monotonic(cls):
            return cls.now

    monkeypatch.setattr(progress, "time", Clock)
    return Clock


def test_a_pipe_gets_a_plain_line_every_ten_seconds(clock):
    stream = io.StringIO()
    with Meter(257, "frame", stream=stream) as meter:
        for _ in range(12):
            clock.now += 1
            meter.add(note="loss 0.0123")
    assert stream.getvalue() == "10 of 257 frames, 3 %, 4 min left, loss 0.0123\n"


def test_a_further_tenth_is_told_earlier_but_no_line_follows_within_a_second(clock):
    stream = io.StringIO()
    with Meter(10, "image", stream=stream) as meter:
        for seconds in (2, 0.5, 0.6, 0.1):
            clock.now += seconds
            meter.add()
    assert [line.split(",")[0] for line in stream.getvalue().splitlines()] == ["1 of 10 images", "3 of 10 images"]


def test_what_an_earlier_run_did_does_not_count_as_fast(clock):
    stream = io.StringIO()
    with Meter(1000, "step", done=900, stream=stream) as meter:
        clock.now += 20
        meter.add(10)
    assert stream.getvalue() == "910 of 1000 steps, 91 %, 3 min left\n"


def test_the_time_left_is_not_more_than_the_limit(clock):
    stream = io.StringIO()
    with Meter(1000, "step", at_most=lambda: 30.0, stream=stream) as meter:
        clock.now += 20
        meter.add()
    assert "30 s left" in stream.getvalue()


def test_a_total_may_be_known_later(clock):
    stream = io.StringIO()
    with Meter(None, "pair", stream=stream) as meter:
        clock.now += 10
        meter.add()
        meter.total = 4
        clock.now += 10
        meter.add()
    assert stream.getvalue() == "1 pair\n2 of 4 pairs, 50 %, 20 s left\n"


def test_a_terminal_gets_a_bar():
    stream = Terminal()
    assert list(counted_into(stream)) == [0, 1, 2]
    assert "\r" in stream.getvalue() and "3/3" in stream.getvalue()


def counted_into(stream):
    with Meter(3, "frame", stream=stream) as meter:
        for number in range(3):
            yield number
            meter.add()


def test_quiet_is_silent(clock, capsys):
    for _ in metered(range(3), 3, "frame", quiet=True):
        clock.now += 60
    with Meter(3, "frame", True, stream=Terminal()) as meter:
        meter.add()
        assert meter.stream.getvalue() == ""
    assert capsys.readouterr() == ("", "")


def test_counted_counts_what_is_finished(clock, capsys):
    for _ in metered("abc", 3, "frame"):
        clock.now += 30
    assert capsys.readouterr().err.splitlines() == [
        "1 of 3 frames, 33 %, 60 s left", "2 of 3 frames, 66 %, 30 s left", "3 of 3 frames, 100 %, 0 s left"
    ]  # fmt: skip


def test_durations_are_read_at_a_glance():
    assert [duration(seconds) for seconds in (4.4, 100, 3570, 7800, 400_000)] == [
        "4 s", "2 min", "1 h 0 min", "2 h 10 min", "4 days"
    ]  # fmt: skip


def test_a_terminal_that_cannot_go_back_gets_plain_lines(clock, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    with Meter(2, "frame", stream=stream) as meter:
        clock.now += 20
        meter.add()
    assert stream.getvalue() == "1 of 2 frames, 50 %, 20 s left\n"


def test_no_module_shows_a_bar_or_colours_of_its_own():
    """A bar is shown by `Meter` and by the progress of a build, which ask whether there is a terminal. Nothing writes
    colours, so NO_COLOR is honoured."""
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        assert "tqdm" not in text or path.relative_to(PACKAGE).as_posix() in SHOW_BARS, path
        for word in ("click.style", "click.secho", "x1b[", "033["):
            assert word not in text, f"{path} has {word}"
