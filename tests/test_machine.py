"""How many workers fit: by cores and memory, of the machine or of the container."""

import pytest

from lolblur_synth.files import limits
from lolblur_synth.parallel import machine

GB = 10**9


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A machine of 16 cores with 40 GB free, whose process is in the control group /jobs/7."""
    (tmp_path / "meminfo").write_text(f"MemTotal: 64000000 kB\nMemAvailable:   {40 * GB // 1024} kB\n")
    (tmp_path / "own").write_text("0::/jobs/7\n")
    (tmp_path / "groups/jobs/7").mkdir(parents=True)
    monkeypatch.setattr(limits, "MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(limits, "OWN_GROUP", tmp_path / "own")
    monkeypatch.setattr(limits, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    return tmp_path


def limit_memory(group, most: int | str, used: int, cache: int) -> None:
    (group / "memory.max").write_text(f"{most}\n")
    (group / "memory.current").write_text(f"{used}\n")
    (group / "memory.stat").write_text(f"anon 5\ninactive_file {cache}\nactive_file 7\n")


def test_cores_are_the_limit_where_memory_is_enough(system):
    assert machine.auto_jobs() == 16


def test_memory_is_the_limit_where_it_is_short(system):
    (system / "meminfo").write_text(f"MemAvailable: {6 * GB // 1024} kB\n")
    assert machine.auto_jobs() == int(0.8 * 6 / 1.5) == 3


def test_a_container_has_the_memory_of_its_group(system):
    limit_memory(system / "groups/jobs/7", 8 * GB, 3 * GB, 1 * GB)
    assert machine.auto_jobs() == int(0.8 * (8 - 3 + 1) / 1.5) == 3


def test_a_container_has_the_cores_of_its_group(system):
    (system / "groups/jobs/7/cpu.max").write_text("250000 100000\n")
    assert machine.auto_jobs() == 2


def test_the_limits_of_an_outer_group_hold_too(system):
    (system / "groups/jobs/7/cpu.max").write_text("max 100000\n")
    limit_memory(system / "groups/jobs/7", "max", 3 * GB, 0)
    (system / "groups/jobs/cpu.max").write_text("400000 100000\n")
    assert machine.auto_jobs() == 4


def test_a_full_machine_has_one_worker(system):
    limit_memory(system / "groups/jobs/7", 4 * GB, 4 * GB, 0)
    assert machine.auto_jobs() == 1


def test_a_system_that_says_nothing_has_its_cores(system, monkeypatch):
    (system / "meminfo").write_text("")
    monkeypatch.setattr(limits, "OWN_GROUP", system / "none")
    monkeypatch.delattr(limits.os, "sysconf")
    assert machine.auto_jobs() == 16
