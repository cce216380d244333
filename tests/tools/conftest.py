"""The program within the process of the tests: starting it for each of a hundred commands would take minutes."""

import contextlib
import logging
import time

import pytest
import torch
from click.testing import CliRunner
from conftest import Done

from lolblur_synth.cli import main


@pytest.fixture(autouse=True)
def one_thread():
    """Frames as small as these wait for each other's threads longer than they are worked on."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def run(caplog):
    """Run `lolblur-synth`; its warnings are a part of what is written to stderr, as they are outside of pytest."""

    def command(*words, cwd: str = ".") -> Done:
        started = time.monotonic()
        caplog.clear()
        with contextlib.chdir(cwd):
            done = CliRunner().invoke(main, list(map(str, words)))
        warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        return Done(done.exit_code, done.stdout, "\n".join([*warnings, done.stderr]), time.monotonic() - started)

    return command
