"""Documentation that cannot drift: generated pages are up to date, every command and exit code is documented."""

import re
import subprocess
import sys
from pathlib import Path

import click

from lolblur_synth import cli, errors

ROOT = Path(__file__).parent.parent


def test_generated_pages_are_up_to_date():
    """In a process of its own: click keeps the help option that a command was first run with."""
    done = subprocess.run([sys.executable, ROOT / "docs/generate.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_and_option_has_help():
    def walk(command, words):
        assert command.help or words == [], f"{' '.join(words)} has no help"
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.name != "help":
                assert parameter.help, f"{' '.join(words)} {parameter.opts[0]} has no help"
        for name, sub in getattr(command, "commands", {}).items():
            walk(sub, [*words, name])

    walk(cli.main, [])


def test_readme_names_every_command_and_exit_code():
    readme = (ROOT / "README.md").read_text()
    for name in cli.main.commands:
        assert re.search(rf"`[^`]*\b{name}\b[^`]*`", readme), f"README does not mention {name}"
    codes = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)}
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", readme, re.M)}
    assert codes | {0} == documented


def test_readme_command_lines_parse():
    """Every `lolblur-synth …` line in README is one that the program accepts."""
    for line in re.findall(r"^lolblur-synth (.*?)\s*(?:#.*)?$", (ROOT / "README.md").read_text(), re.M):
        words, command = line.split(), cli.main
        while isinstance(command, click.Group):
            command = command.commands[words.pop(0)]
        command.make_parser(click.Context(command, help_option_names=["-h", "--help"])).parse_args(words)
