"""The pages of docs/ say what the program does: their commands are its commands, their code runs, the site builds."""

import ast
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import click
import cv2
import numpy as np
import pytest
import run_here
from conftest import moving_street

import lolblur_synth
from lolblur_synth import cli, errors, recipes
from lolblur_synth.dataset import export
from lolblur_synth.files.video import write_video

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs/pictures").glob("*.md")])
GENERATED = ROOT / "docs/cli.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
OF_USERS = ("fog", "haze")  # stages that pages make up; tests/test_user_stages.py runs them
PROGRAMS = ("pip", "pipx", "uvx", "make", "eval", "sbatch", "torchrun", "git", "cd", "OMP_NUM_THREADS=1",
            "_LOLBLUR_SYNTH_COMPLETE=fish_source", ".venv/bin/python")  # fmt: skip
EXTRAS = ("lmdb", "datasets", "webdataset")  # packages of others that pages use; a block is compiled without them
SMALLER = {"crop=256": "crop=16", "num_workers=4": "num_workers=0", "persistent_workers=True": "drop_last=False",
           '"dataset.pairs=4"': '"dataset.pairs=2", "resize.width=32", "resize.height=32", "dataset.test_fraction=0"',
           "range(10)": "range(2)"}  # fmt: skip
MOST_BYTES = 4_000_000  # of all committed pictures


def blocks(page: Path, *languages: str) -> list[str]:
    return [text for language, text in BLOCK.findall(page.read_text()) if language in languages]


def shell_lines(page: Path) -> list[list[str]]:
    """The words of each command of a page, comments left out."""
    text = "\n".join(blocks(page, "sh", "")).replace("\\\n", " ")
    return [shlex.split(line, comments=True) for line in text.splitlines() if line.startswith("lolblur-synth ")]


def check_command(words: list[str]) -> None:
    """Fail where the program would not take the words: a command, an option, a choice or a number of arguments."""
    command, context = cli.main, click.Context(cli.main, info_name="lolblur-synth")
    while isinstance(command, click.Group) and words and words[0] != "--version":
        name, words = words[0], words[1:]
        if command.name == "stage" and name.split(".py:")[0] in OF_USERS:
            return
        command = command.get_command(context, name)
        assert command is not None, f"no command {name}"
    context = click.Context(command, help_option_names=["-h", "--help"])
    values, left, _ = command.make_parser(context).parse_args(words)
    assert not left, f"too many arguments: {left}"
    for parameter in command.params:
        value = values.get(parameter.name)
        missing = value is None or parameter.value_is_missing(value)
        assert not (parameter.required and missing) or "help" in values, f"{parameter.name} is missing"
        if isinstance(parameter.type, click.Choice | click.IntRange | click.FloatRange) and not missing:
            parameter.type_cast_value(context, value)


@pytest.mark.parametrize("page", [page for page in PAGES if page != GENERATED], ids=lambda page: page.stem)
def test_commands_of_a_page_are_commands_of_the_program(page):
    for words in shell_lines(page):
        try:
            check_command(words[1 : words.index("&&") if "&&" in words else None])
        except (click.ClickException, AssertionError) as error:
            pytest.fail(f"{page.name}: {shlex.join(words)}: {error}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_other_programs_that_a_page_runs_are_known_ones(page):
    """Blocks of shell hold nothing else that could go unchecked; each `make` names a target."""
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
    for line in "\n".join(blocks(page, "sh")).replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if not words or words[0] == "lolblur-synth":
            continue
        assert words[0] in PROGRAMS, f"{page.name}: {line}"
        if words[0] == "make":
            assert words[1] in targets, f"{page.name}: {line}"


def test_the_check_of_commands_sees_what_is_wrong():
    for line in ("buidl videos out", "build videos out --exposures 1", "verify", "recipe show night day",
                 "build videos out --backend cloud", "stage sharpen"):  # fmt: skip
        with pytest.raises((click.ClickException, AssertionError)):
            check_command(line.split())


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with videos/ and out/, a dataset of 32x32, which blocks of Python may add to."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "videos").mkdir()
    write_video(folder / "videos/a.mp4", moving_street(48, 1), 250)
    cv2.imwrite(str(folder / "photo.png"), np.full((32, 32, 3), 128, np.uint8))
    with pytest.MonkeyPatch.context() as monkeypatch:
        run_here.patch(monkeypatch)
        settings = ["resize.width=32", "resize.height=32", "dataset.pairs=2", "dataset.test_fraction=0"]
        lolblur_synth.build(folder / "videos", folder / "out", recipe="fast", set=settings)
    for form in ("lmdb", "webdataset", "huggingface"):
        if form != "lmdb" or importlib.util.find_spec("lmdb"):
            name = {"webdataset": "wds", "huggingface": "hf"}.get(form, form)
            export.export(folder / "out", folder / name, form, ("low_blur_noise", "high_sharp_scaled"))
    return folder


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page, place, tmp_path, monkeypatch):
    """Its blocks in order, in one namespace, at a small size; one that imports a package of others which is not here
    is compiled only."""
    folder = tmp_path / "page"
    shutil.copytree(place, folder)
    monkeypatch.chdir(folder)
    run_here.patch(monkeypatch)
    module = types.ModuleType(f"page_{page.stem}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for text in blocks(page, "python"):
        for long, short in SMALLER.items():
            text = text.replace(long, short)
        code = compile(text, f"{page.name}", "exec")
        if all(importlib.util.find_spec(name) for name in imported(text) & set(EXTRAS)):
            exec(code, vars(module))


def imported(text: str) -> set[str]:
    """The packages that a block imports; each is a part of ours, of what ours needs, or one of EXTRAS."""
    names = {alias.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)}
    packages = {name.split(".")[0] for name in names}
    for name in packages - set(EXTRAS):
        assert importlib.util.find_spec(name), f"no package {name}"
    return packages


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "toml")], ids=lambda page: page.stem)
def test_recipes_of_a_page_are_recipes(page, tmp_path):
    for text in blocks(page, "toml"):
        if "stages" in (fields := tomllib.loads(text)) or any(name.endswith(".mp4") for name in fields):
            continue
        (tmp_path / "mine.toml").write_text(text)
        recipes.load(str(tmp_path / "mine.toml"))


def test_the_yaml_of_basicsr_names_what_export_writes(place, tmp_path):
    export.export(place / "out", tmp_path / "basicsr", "basicsr")
    (text,) = blocks(ROOT / "docs/using.md", "yaml")
    paths = re.findall(r"(?:dataroot_\w+|meta_info_file): (\S+)", text)
    assert len(paths) == 6
    for path in paths:
        assert (tmp_path / path).exists() or "test" in path, path


def test_every_command_and_option_is_documented():
    """In docs/cli.md, under the heading of its command."""
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", GENERATED.read_text(), re.M | re.S))

    def walk(command, words):
        assert words in sections, f"docs/cli.md has no {words}: run `make docs`"
        for parameter in command.params:
            for name in parameter.opts if isinstance(parameter, click.Option) and not parameter.hidden else ():
                assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", sections[words]), f"{words} {name}"
        for name, sub in getattr(command, "commands", {}).items():
            walk(sub, f"{words} {name}")

    walk(cli.main, "lolblur-synth")


def test_every_field_of_the_manifest_is_documented(place):
    page = (ROOT / "docs/dataset.md").read_text()
    for line in (place / "out/manifest.jsonl").read_text().splitlines():
        record = json.loads(line)
        names = {*record, *record["source"], *record["draws"], *next(iter(record["sha256"].values()))}
        names |= {name for drawn in record["draws"].values() for name in drawn}
        for name in names - {"read"}:
            assert f"`{name}`" in page, f"docs/dataset.md does not tell what {name} is"


def test_exit_codes_of_the_page_are_those_of_the_errors():
    rows = re.findall(r"^\| (\d+) \| (.*?) \|", (ROOT / "docs/troubleshooting.md").read_text(), re.M)
    documented = {name: int(code) for code, names in rows for name in re.findall(r"`(\w+)`", names)}
    kinds = {name: kind.exit_code for name, kind in vars(errors).items()
             if isinstance(kind, type) and issubclass(kind, errors.LolblurError)}  # fmt: skip
    assert documented == {name: code for name, code in kinds.items() if name != "LolblurError"}
    assert {int(code) for code, _ in rows} == {0, 1, *kinds.values()}


def test_every_page_is_in_a_table_of_contents():
    index = (ROOT / "docs/index.md").read_text()
    trees = "\n".join(re.findall(r"^```\{toctree\}\n(.*?)^```$", index, re.M | re.S))
    for page in PAGES:
        if page.parent != ROOT and page.name != "index.md":
            name = page.relative_to(ROOT / "docs").with_suffix("").as_posix()
            assert re.search(rf"^{re.escape(name)}$", trees, re.M), f"docs/index.md does not list {name}"


def test_pictures_are_small_attributed_and_shown():
    files = [path for path in (ROOT / "docs/pictures").iterdir() if path.suffix != ".md"]
    assert sum(path.stat().st_size for path in files) < MOST_BYTES
    assert (ROOT / "docs/pictures/slider.gif").stat().st_size < 2_000_000
    text = "".join(page.read_text() for page in PAGES)
    for path in files:
        assert f"pictures/{path.name}" in text, f"no page shows {path.name}"


def test_the_site_builds_without_a_warning(tmp_path):
    for package in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(package)
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", ROOT / "docs", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": ":".join(sys.path)})
    assert done.returncode == 0, done.stderr
    assert "low_blur_noise" in (tmp_path / "dataset.html").read_text()
