"""What an installed package holds: its data files, and the marker that its public names are typed."""

import configparser
from pathlib import Path

import pytest

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
