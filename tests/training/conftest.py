"""Fixtures of the trainings."""

import sys
import types

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    """Steps as small as these wait for each other's threads longer than they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tensorboard(monkeypatch) -> dict[str, list[tuple[int, str, float]]]:
    """A stand-in for the package: folder -> (step, name, value) of what was written there."""
    written: dict[str, list[tuple[int, str, float]]] = {}

    class SummaryWriter:
        def __init__(self, folder: str, purge_step: int | None = None):
            self.rows = written.setdefault(folder, [])
            if purge_step is not None:
                self.rows[:] = [row for row in self.rows if row[0] < purge_step]

        def add_scalar(self, name: str, value: float, step: int) -> None:
            self.rows.append((step, name, float(value)))

        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    return written
