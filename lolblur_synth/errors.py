"""Errors that a user can cause: each has a message (what, to which file), a hint (what to do) and an exit code.

README.md and `lolblur-synth --help` document the exit codes; scripts may rely on them.
"""

from collections.abc import Sequence

NAMED = 3  # names in a message; the others are counted


def listed(names: Sequence[object]) -> str:
    """The first names of a list for a message: "a, b, c and 4 more"."""
    text = ", ".join(map(str, names[:NAMED]))
    return f"{text} and {len(names) - NAMED} more" if len(names) > NAMED else text


def counted(number: int, noun: str) -> str:
    """ "1 frame", "12 frames"."""
    return f"{number} {noun}{'s' * (number != 1)}"


class LolblurError(Exception):
    """Base of every foreseen error. `hint`: one line that says what to do."""

    exit_code = 1

    def __init__(self, message: str, hint: str = ""):
        super().__init__(message)
        self.hint = hint


class UsageError(LolblurError):
    """The command line asks for something impossible: a bad value, a missing package, a bad combination."""

    exit_code = 2


class ClipsFailed(LolblurError):
    """The command finished, but some videos, pairs or images of a folder failed."""

    exit_code = 3


class RecipeError(LolblurError):
    """A recipe or a `--set` has an unknown key, a wrong type or a value out of range."""

    exit_code = 4


class InputError(LolblurError):
    """One input cannot be used. `reason` is a stable word such as `truncated`, for machines."""

    exit_code = 5

    def __init__(self, message: str, hint: str = "", reason: str = "unreadable"):
        super().__init__(message, hint)
        self.reason = reason


class ForeignOutput(LolblurError):
    """The output folder is not a dataset of ours, cannot be written, or was built with another recipe."""

    exit_code = 10


class Locked(LolblurError):
    """Another build is running on the output folder."""

    exit_code = 11


class Damaged(LolblurError):
    """`verify` found files that are missing, extra, corrupt or stale."""

    exit_code = 12


class NoSpace(LolblurError):
    """The disk is full."""

    exit_code = 13


class WeightsError(LolblurError):
    """A weight file is missing, malformed or fits another network."""

    exit_code = 2


class Diverged(UsageError):
    """The loss of a training is no longer finite: the learning rate is too high, or the data are unsuitable."""


class Interrupted(LolblurError):
    """Stopped by Ctrl-C or SIGTERM, with its files in order; the hint says whether the same command continues."""

    exit_code = 130
