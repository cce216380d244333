"""Every parser of a file that a stranger may have made, on changed files: one line of error, never another exception
(reliability classes T5, T12, T15 to T17). `LOLBLUR_TEST_SEED=N` chooses other examples."""

import os

import pytest
from fuzz import mutations, targets
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

SEED = int(os.environ.get("LOLBLUR_TEST_SEED", 0))
EXAMPLES = {"manifest": 60, "record": 60, "plan": 60, "survey": 100, "video": 150}  # the others are quicker
JSON = ("manifest", "record", "plan", "survey")


@st.composite
def file_of(draw: st.DrawFn, name: str) -> tuple[str, bytes]:
    suffix, data = draw(st.sampled_from(targets.TARGETS[name].seeds()))
    strategy = mutations.changed_json if name in JSON and draw(st.booleans()) else mutations.changed
    return suffix, draw(strategy(data))


def fuzz(name: str, examples: int, first: int) -> tuple[int, int]:
    """Try examples of a target. Returns how many were tried and how many were refused; raises the shortest finding."""
    counts = [0, 0]

    @seed(first)
    @settings(max_examples=examples, deadline=None, database=None, print_blob=True,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(file_of(name))
    def attempt(file: tuple[str, bytes]) -> None:
        counts[0] += 1
        counts[1] += not targets.run(name, *file)

    attempt()
    return counts[0], counts[1]


@pytest.mark.parametrize("name", targets.TARGETS)
def test_seeds_are_taken(name):
    for suffix, data in targets.TARGETS[name].seeds():
        assert targets.run(name, suffix, data), f"the unchanged {suffix} is refused"


@pytest.mark.parametrize("name", targets.TARGETS)
def test_changed_files_are_read_or_refused_in_one_line(name, record_property):
    tried, refused = fuzz(name, EXAMPLES.get(name, 200), SEED)
    words = f"{tried} changed files of kind {name}, {refused} refused, 0 other exceptions, seed {SEED}"
    record_property("counted", words)
