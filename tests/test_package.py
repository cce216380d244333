"""What an installed package holds: its data files, its size, its program, and the marker that its names are typed."""

import configparser
import re
from pathlib import Path

import pytest

import lolblur_synth

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "lolblur_synth"


@pytest.fixture
def setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_every_data_file_is_installed(setup):
    patterns = setup["options.package_data"]["lolblur_synth"].split()
    declared = {path for pattern in patterns for path in PACKAGE.glob(pattern)}
    files = {path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {path for path in files - declared if path.suffix != ".py"} == set()


def test_the_package_is_marked_as_typed():
    assert (PACKAGE / "py.typed").is_file()


def test_every_checked_file_exists(setup):
    """A file that was moved would otherwise leave mypy's list unnoticed."""
    missing = [name for name in setup["mypy"]["files"].replace(",", " ").split() if not (ROOT / name).exists()]
    assert missing == []


def test_the_data_files_leave_the_wheel_under_20_mb(setup):
    """Weights and video hardly shrink in an archive, so their size is that of the wheel. PyPI's limit is 100 MB."""
    patterns = setup["options.package_data"]["lolblur_synth"].split()
    size = sum(path.stat().st_size for pattern in patterns for path in PACKAGE.glob(pattern) if path.is_file())
    assert size < 18e6


def test_pipx_and_uvx_find_the_program_under_the_name_of_the_project(setup):
    (script,) = setup["options.entry_points"]["console_scripts"].split("\n")[1:]
    assert script.split(" = ")[0] == setup["metadata"]["name"]


def test_the_citation_names_this_version():
    assert re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.M)[1] == lolblur_synth.__version__
