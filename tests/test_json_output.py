"""`--json`: what every command really prints fits its schema in docs/schema/, which leaves out no field."""

import copy
import json
from pathlib import Path

import click
import cv2
import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner
from conftest import OPTIONS
from tiny_pairs import TINY, write_pairs

from lolblur_synth.cli import main
from lolblur_synth.dataset import estimate

SCHEMAS = Path(__file__).parent.parent / "docs/schema"
QUICK = [*OPTIONS, "--pairs", "1", "--skip", "denoise,interpolate,defocus,noise"]  # no test here looks at pixels
TRAINING = [f"--{name.replace('_', '-')}={value}" for name, value in TINY.items()]
ENDS = {"summary", "error"}

# command: the words after it, `{…}` from `place`; the types of the lines that they print; the exit code
CASES = {
    "build": [
        (["{videos}", "{notes}", "{new}", *QUICK], {"survey", "surveyed", "plan", "pair", "failed", "summary"}, 3),
        (["{videos}", "{out}", *QUICK], {"survey", "plan", "summary"}, 0),
        (["{videos}", "{out}", *QUICK, "--dry-run"], {"summary"}, 0),
        (["{videos}", "{out}", "--seed", "7"], {"error"}, 10),
    ],
    "plan": [
        (["{videos}", "{notes}", "{out}", *QUICK], {"summary"}, 3),
        (["{notes}"], {"refused", "error"}, 5),
    ],
    "status": [(["{out}"], {"summary"}, 0), (["{photos}"], {"error"}, 10)],
    "verify": [
        (["{out}"], {"summary"}, 0),
        (["{damaged}"], {"summary"}, 12),
        (["{videos}", "{out}", "--rerun", "1"], {"summary"}, 0),
    ],
    "preview": [(["{out}", "-o", "{new}.png"], {"summary"}, 0)],
    "export": [
        (["{out}", "{new}"], {"summary"}, 0),
        (["{out}", "{photos}"], {"error"}, 10),
    ],
    "report": [(["{out}", "--quick", "-o", "{new}.html"], {"summary"}, 0)],
    "stage": [
        (["resize", "{photos}", "{new}", "--width", "32", "--height", "32", "--jobs", "1"],
         {"photograph", "failed", "summary"}, 3),
        (["darken", "{photo}", "{new}.png"], {"summary"}, 0),
    ],
    "shoot": [
        (["{photo}", "{notes}", "{new}", "--size", "32x32", "--frames", "3", "--jobs", "1"], {"error"}, 5),
        (["{photos}", "{shot}", "--size", "32x32", "--frames", "3", "--jobs", "1"], {"shot", "failed", "summary"}, 3),
        (["{photos}", "{shot}", "--size", "32x32", "--frames", "3", "--jobs", "1"], {"kept", "failed", "summary"}, 3),
    ],
    "recipe-ls": [([], {"recipe", "summary"}, 0)],
    "recipe-show": [(["night"], {"summary"}, 0)],
    "recipe-validate": [(["fast"], {"summary"}, 0), (["{notes}"], {"error"}, 4)],
    "recipe-diff": [(["night"], {"change", "summary"}, 3), (["lolblur"], {"summary"}, 0)],
    "train-lednet": [
        (["{pairs}", "-o", "{new}", "--iterations", "2", *TRAINING], {"step", "summary"}, 0),
        (["{pairs}", "-o", "{new}", "--dry-run", *TRAINING], {"summary"}, 0),
        (["{nothing}"], {"error"}, 2),
    ],
    "train-darken": [(["{photo}", "-o", "{new}.safetensors", "--steps", "1"], {"step", "summary"}, 0)],
    "train-interpolator": [
        (["--photos", "{large}", "-o", "{new}.safetensors", "--steps", "1"], {"step", "summary"}, 0),
    ],
    "train-noise": [(["{large}", "-o", "{new}", "--steps", "3"], {"step", "summary"}, 0)],
    "evaluate": [
        (["{out}/test/low_sharp", "{out}", "--metrics", "psnr_rgb"], {"summary"}, 0),
        (["--no-reference", "{dark}", "{dark}", "--metrics", "niqe"], {"summary"}, 0),
    ],
    "restore": [(["{photo}", "{new}.png", "--weights", "lednet"], {"note", "summary"}, 0)],
    "realism": [(["{dark}"], {"summary"}, 0), (["{dark}", "{dark}"], {"summary"}, 0)],
    "weights-ls": [([], {"weights", "summary"}, 0)],
    "weights-check": [(["lednet"], {"summary"}, 0), (["{notes}"], {"error"}, 2)],
    "weights-pack": [(["lednet", "{new}.safetensors"], {"summary"}, 0)],
    "weights-export": [(["lednet", "{new}.onnx", "--size", "64x64"], {"summary"}, 0)],
    "doctor": [([], {"summary"}, 0)],
}  # fmt: skip


def schema(command: str) -> dict:
    return json.loads((SCHEMAS / f"{command}.json").read_text())


def strict(part):
    """The schema, but of objects that hold the fields that it names and no others."""
    if isinstance(part, list):
        return [strict(item) for item in part]
    if not isinstance(part, dict):
        return part
    closed = {"additionalProperties": False} if "properties" in part else {}  # unless it tells of others itself
    return closed | {key: strict(value) for key, value in part.items()}


def commands_with_json(group: click.Group, words: tuple[str, ...] = ()):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands_with_json(command, (*words, name))
        elif any("--json" in parameter.opts for parameter in command.params):
            yield "stage" if words == ("stage",) else "-".join((*words, name))


def test_every_command_with_json_has_a_schema_and_a_case():
    files = {path.stem for path in SCHEMAS.glob("*.json")} - {"recipe"}
    assert set(commands_with_json(main)) == files == set(CASES)


@pytest.fixture(scope="module")
def place(street_videos, tmp_path_factory) -> dict[str, Path]:
    """The words that the cases name."""
    folder = tmp_path_factory.mktemp("json")
    out = folder / "out"
    built = CliRunner().invoke(main, ["build", str(street_videos), str(out), *QUICK])
    assert built.exit_code == 0, built.output
    rng = np.random.default_rng(0)
    for name, size in (("photos/a.png", (48, 40)), ("photos/b.png", (40, 48)), ("large/a.png", (240, 200)),
                       ("dark/a.png", (320, 240))):  # fmt: skip
        (folder / name).parent.mkdir(exist_ok=True)
        picture = cv2.resize(rng.uniform(60, 250, (3, 4, 3)), size, interpolation=cv2.INTER_CUBIC)
        noise = rng.normal(0, 2, picture.shape)
        cv2.imwrite(str(folder / name), (picture + noise).clip(0, 250).astype(np.uint8))
    (folder / "photos/broken.png").write_bytes(b"\x89PNG no picture")
    (folder / "notes.txt").write_text("no video")
    (folder / "damaged").mkdir()
    for path in out.rglob("*"):
        if path.is_file() and path.suffix != ".png":
            copied = folder / "damaged" / path.relative_to(out)
            copied.parent.mkdir(parents=True, exist_ok=True)
            copied.write_bytes(path.read_bytes())
    return {
        "videos": street_videos, "out": out, "notes": folder / "notes.txt", "photos": folder / "photos",
        "photo": folder / "photos/a.png", "large": folder / "large", "dark": folder / "dark", "shot": folder / "shot",
        "damaged": folder / "damaged", "pairs": write_pairs(folder / "pairs"), "nothing": folder / "nothing",
    }  # fmt: skip


def lines_of(command: str, words: list[str], place: dict[str, Path]) -> tuple[list[dict], int]:
    typed = command.split("-", 1) if command.startswith(("recipe-", "weights-")) else [command]
    done = CliRunner().invoke(main, [*typed, *(word.format(**place) for word in words), "--json"])
    return [json.loads(line) for line in done.stdout.splitlines()], done.exit_code


@pytest.mark.parametrize("command", CASES)
def test_what_a_command_prints_fits_its_schema(command, place, tmp_path, monkeypatch):
    if command == "doctor":  # builds a pair of full size
        monkeypatch.setattr(
            estimate, "plan", lambda *args: {"pairs": 8, "left": 8, "seconds": 80.0, "pair_seconds": 10.0}
        )
    if command == "weights-export":
        pytest.importorskip("onnxscript")
    told = schema(command)
    jsonschema.Draft7Validator.check_schema(told)
    open_, closed = jsonschema.Draft7Validator(told), jsonschema.Draft7Validator(strict(copy.deepcopy(told)))
    for number, (words, kinds, code) in enumerate(CASES[command]):
        lines, exit_code = lines_of(command, words, place | {"new": tmp_path / f"new{number}"})
        assert exit_code == code, lines
        assert {line["type"] for line in lines} == kinds
        assert lines[-1]["type"] in ENDS
        assert not any(line["type"] in ENDS for line in lines[:-1])
        assert lines[-1]["exit"] == code
        for line in lines:
            assert not [error.message for error in open_.iter_errors(line)], line
            assert not [error.message for error in closed.iter_errors(line)], line
