"""Builds in this process: a worker takes seconds to start, and most tests are not about workers."""

import importlib

import pytest

from lolblur_synth.dataset import build


def run(target, tasks, jobs, report) -> None:
    """As `parallel.pool.run`, without workers."""
    module, function = target.split(":")
    generate = getattr(importlib.import_module(module), function)
    for payload, items in tasks:
        for kind, item, *result in generate(payload, items):
            if kind != "begin":
                report(kind, item, *result)


def patch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `lolblur_synth.build` use `run`."""
    monkeypatch.setattr(build.clusters, "choose", lambda backend, address: run)
