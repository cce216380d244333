"""Documentation that cannot drift: generated pages are up to date, every command and exit code is documented."""

import re
import subprocess
import sys
from pathlib import Path

import click

from lolblur_synth import cli, errors
from lolblur_synth.recipe.schema import Recipe

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


def test_the_list_of_commands_cuts_no_sentence():
    def walk(command):
        for name, sub in getattr(command, "commands", {}).items():
            if command.name != "stage":  # whose first sentences may be long
                assert not sub.get_short_help_str(55).endswith("..."), f"{name} needs a shorter short_help"
            walk(sub)

    walk(cli.main)


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


PAGES = [ROOT / name for name in ("README.md", "DESIGN.md", "CONTRIBUTING.md")] + [
    *(ROOT / "docs").glob("*.md"), *(ROOT / "docs/notes").glob("*.md"),
]  # fmt: skip


def test_every_link_to_a_file_leads_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_paths_that_the_pages_name_exist():
    """`models/lednet.py` and `kernels/` may be named from the package on."""
    for page in PAGES:
        for name in re.findall(r"`((?:[\w-]+/)+(?:[\w-]+\.(?:py|cu|md|toml))?)`", page.read_text()):
            if name.startswith(("out/", "OUT/", "videos/", "build/", "mask/", "clean/", "noisy/")):
                continue
            places = (ROOT / name, ROOT / "lolblur_synth" / name)
            assert any(place.exists() for place in places) or "NAME" in name, f"{page.name} names {name}"


def test_functions_that_the_design_names_exist():
    """`dataset.plan.place` is a function or class of lolblur_synth/dataset/plan.py, or of a folder's __init__.py;
    `darken.max_share` is an option of the recipe."""
    names = re.findall(r"`((?:[a-z_0-9]+\.)+[A-Za-z_0-9]+)(?:\([^`)]*\))?`", (ROOT / "DESIGN.md").read_text())
    checked = 0
    for name in names:
        *parts, leaf = name.split(".")
        if len(parts) == 1 and hasattr(getattr(Recipe(), parts[0], None), leaf):
            continue
        module = ROOT.joinpath("lolblur_synth", *parts)
        files = [file for file in (module.with_suffix(".py"), module / "__init__.py") if file.is_file()]
        if files and leaf not in ("py", "cu", "md", "toml"):
            checked += 1
            text = files[0].read_text()
            assert re.search(rf"^(def|class) {leaf}\b|^{leaf}\b.*=", text, re.M), f"DESIGN names {name}"
    assert checked > 15
