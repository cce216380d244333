"""The worker pool: deaths, bugs and interruptions (reliability classes T3 and T4), on files instead of pixels."""

import os
import signal
import threading
import time

import pytest

from lolblur_synth.errors import Interrupted, LolblurError
from lolblur_synth.parallel import pool

TARGET = "toy_jobs:write_files"


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.path.dirname(__file__))


def run(folder, tasks, jobs=2):
    events = {}
    pool.run(
        TARGET,
        [(str(folder), items) for items in tasks],
        jobs,
        lambda kind, item, result: events.update({item: (kind, result)}),
    )
    return events


def test_every_item_is_done_once(tmp_path):
    tasks = [(f"a{i}", f"b{i}") for i in range(5)]
    events = run(tmp_path, tasks)
    assert {kind for kind, _ in events.values()} == {"done"} and len(events) == 10
    assert all((tmp_path / f"attempts-{item}").read_text() == "x" for items in tasks for item in items)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_poison_item_costs_itself_alone(tmp_path, jobs):
    events = run(tmp_path, [("a", "poison", "b"), ("c", "dies-once", "d"), ("e", "f")], jobs)
    kind, failure = events.pop("poison")
    assert kind == "failed" and failure["reason"] == "worker-killed" and "killed" in failure["message"]
    assert set(events) == {"a", "b", "c", "d", "e", "f", "dies-once"}
    assert {kind for kind, _ in events.values()} == {"done"}
    assert (tmp_path / "attempts-poison").read_text() == "xx"


def test_a_bug_and_a_refusal_cost_one_item_each(tmp_path):
    events = run(tmp_path, [("a", "bug", "b", "refused", "c")], 1)
    assert events["bug"][1]["reason"] == "error" and "ZeroDivisionError" in events["bug"][1]["message"]
    assert events["refused"] == ("failed", {"reason": "short", "message": "too short"})
    assert all(events[item][0] == "done" for item in "abc")


def test_a_lack_of_memory_is_named_and_costs_one_item(tmp_path):
    events = run(tmp_path, [("a", "memory", "b")], 1)
    assert events["memory"][1]["reason"] == "memory"
    assert "--jobs" in events["memory"][1]["hint"]
    assert all(events[item][0] == "done" for item in "ab")


def signal_once_begun(folder, *signals):
    """Send this process signals, 0.1 s apart, once a worker has begun an item."""
    while not any(folder.glob("attempts-slow*")):
        time.sleep(0.01)
    for number in signals:
        os.kill(os.getpid(), number)
        time.sleep(0.1)


def test_the_first_interrupt_finishes_what_is_in_flight(tmp_path):
    threading.Thread(target=signal_once_begun, args=(tmp_path, signal.SIGINT), daemon=True).start()
    with pytest.raises(Interrupted):
        run(tmp_path, [tuple(f"slow{i}{j}" for j in range(20)) for i in range(2)])
    finished = {p.name for p in tmp_path.glob("slow*")}
    begun = {p.name.removeprefix("attempts-") for p in tmp_path.glob("attempts-*")}
    assert begun == finished
    assert 0 < len(finished) < 20


def test_a_second_interrupt_stops_at_once(tmp_path):
    threading.Thread(target=signal_once_begun, args=(tmp_path, signal.SIGTERM, signal.SIGTERM), daemon=True).start()
    with pytest.raises(Interrupted, match="stopped at once"):
        run(tmp_path, [tuple(f"slow{i}{j}" for j in range(20)) for i in range(2)])
    begun = {p.name.removeprefix("attempts-") for p in tmp_path.glob("attempts-*")}
    assert begun - {p.name for p in tmp_path.glob("slow*")}, "what was in flight is not finished"


def test_workers_that_cannot_start_are_an_error_not_a_loop(tmp_path):
    with pytest.raises(LolblurError, match="die before they begin"):
        pool.run("no_such_module:f", [(str(tmp_path), ("a",))], 1, lambda *event: None)
