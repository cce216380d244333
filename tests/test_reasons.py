"""Reasons and remedies: what a command says, in its own process and without a build."""

import errno
import json
import os
import subprocess
import sys
import tempfile

import click
import cv2
import media
import numpy as np
import pytest
from click.testing import CliRunner

from lolblur_synth import recipes
from lolblur_synth.cli import main
from lolblur_synth.commands import options, parse
from lolblur_synth.commands.build import resolve
from lolblur_synth.dataset import build, estimate, export
from lolblur_synth.errors import Interrupted, RecipeError, UsageError, WeightsError
from lolblur_synth.files import atomic
from lolblur_synth.recipe.schema import Recipe

CONTINUES = "the same command continues"


def run(*words):
    return CliRunner().invoke(main, list(map(str, words)))


@pytest.fixture
def ours(tmp_path):
    """A folder that counts as a dataset of ours, of another recipe than the default."""
    out = tmp_path / "out"
    (out / ".lolblur").mkdir(parents=True)
    (out / "recipe.toml").write_text(recipes.to_toml(recipes.override(recipes.load("night"), ["dataset.pairs=2"])))
    return out


@pytest.mark.parametrize("command", ["plan", "build"])
def test_a_refusal_comes_with_its_remedy_though_all_are_refused(tmp_path, command):
    note = tmp_path / "notes.txt"
    note.write_text("no video")
    done = run(command, note, *([tmp_path / "out"] if command == "build" else []))
    lines = (done.stdout + done.stderr).splitlines()
    place = next(number for number, line in enumerate(lines) if "notes.txt: neither a folder nor one of" in line)
    assert lines[place + 1] == "  give videos, or folders of videos or of frames"
    assert done.exit_code == 5
    assert "no usable video" in done.stderr


def test_the_plan_as_json_holds_reasons_and_remedies_though_all_are_refused(tmp_path):
    note = tmp_path / "notes.txt"
    note.write_text("no video")
    done = run("plan", note, "--json")
    refusal, error = map(json.loads, done.stdout.splitlines())
    assert refusal["type"] == "refused"
    assert refusal["reason"] == "format"
    assert refusal["hint"]
    assert error["type"] == "error"
    assert error["exit"] == 5
    assert done.exit_code == 5


def test_a_plan_lists_the_remedy_of_what_is_refused_beside_what_is_not():
    found = {"clips": [], "refused": [{"message": "a: no rate", "hint": "pass --fps"}], "warnings": [], "off": [],
             "pairs": 0, "left": 0, "recipe": "lolblur"}  # fmt: skip
    assert "refused: a: no rate\n  pass --fps\n" in estimate.to_text(found)


def test_status_gives_the_remedy_of_each_failure(tmp_path):
    state = tmp_path / ".lolblur"
    (state / "failed/0000").mkdir(parents=True)
    (state / "plan.json").write_text(json.dumps({
        "clips": [{"sequence": "0000", "split": "train", "name": "a", "sha256": "0", "pairs": ["0000"]}],
        "refused": [{"name": "b", "reason": "no-fps", "message": "b: no rate", "hint": "pass --fps"}],
    }))  # fmt: skip
    (state / "failed/0000/0000.json").write_text(json.dumps(
        {"sequence": "0000", "name": "0000", "reason": "changed", "message": "a: changed", "hint": "run again"}
    ))  # fmt: skip
    lines = run("status", tmp_path).stdout.splitlines()
    assert lines[1:] == ["failed 0000/0000: a: changed", "  run again", "refused b: no rate", "  pass --fps"]
    state = json.loads(run("status", tmp_path, "--json").stdout)
    assert state["failed"][0]["hint"] == "run again"


def test_without_recipe_options_the_recipe_of_the_dataset_is_taken(ours, tmp_path):
    everyday = {"skip": (), "fps": None, "seed": None}
    assert resolve(None, (), ours, **everyday).dataset.pairs == 2
    assert resolve(None, (), ours, **everyday).name == "night"
    assert resolve("night", (), ours, **everyday) == recipes.load("night")
    assert resolve(None, ("dataset.pairs=3",), ours, **everyday).dataset.pairs == 3
    assert resolve(None, (), ours, **everyday | {"seed": 0}) == Recipe()
    assert resolve(None, (), tmp_path / "new", **everyday) == Recipe()
    (ours / ".lolblur").rmdir()
    assert resolve(None, (), ours, **everyday) == Recipe(), "a folder that is not ours has no say"


@pytest.mark.parametrize("command", ["plan", "build"])
def test_another_recipe_is_refused_with_the_remedy(ours, tmp_path, command):
    media.encode(tmp_path / "a.mp4", media.scene(4))
    done = run(command, tmp_path / "a.mp4", ours, "--seed", "1")
    assert done.exit_code == 10
    assert "dataset.seed: 0 -> 1" in done.stderr
    assert f"leave the recipe options out to continue with the recipe of {ours}" in done.stderr


@pytest.mark.parametrize(
    ("words", "first"),
    [(["doctor"], "doctor: building one pair of the sample"), (["plan", "{video}"], "plan: reads the inputs")],
)
def test_doctor_and_plan_say_at_once_what_they_do(tmp_path, monkeypatch, words, first):
    words = [word.format(video=media.encode(tmp_path / "a.mp4", media.scene(4))) for word in words]
    without_torch = "import sys; sys.modules['torch'] = None; from lolblur_synth.cli import main; main(sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", without_torch, *words], capture_output=True, text=True)
    assert done.stderr.startswith(first), "the line comes before torch is imported, which takes seconds"

    def stop(*words, **options):
        raise UsageError("that is all")

    monkeypatch.setattr("lolblur_synth.dataset.estimate.plan", stop)
    monkeypatch.setattr("lolblur_synth.tools.doctor.examine", stop)
    assert first in run(*words).stderr
    for quiet in (["-q", *words], [*words, "--json"]):
        assert first not in run(*quiet).output


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), Interrupted("stopped", CONTINUES)])
def test_only_commands_that_continue_say_so_when_interrupted(tmp_path, monkeypatch, raised):
    def stop(*words, **options):
        raise raised

    for tool in (build, estimate):
        monkeypatch.setattr(tool, "build" if tool is build else "plan", stop)
    monkeypatch.setattr("lolblur_synth.tools.doctor.examine", stop)
    done = run("build", tmp_path, tmp_path / "out")
    assert (done.exit_code, CONTINUES in done.stderr) == (130, True)
    for words in (["plan", tmp_path], ["doctor"], ["build", tmp_path, tmp_path / "out", "--dry-run"]):
        done = run(*words)
        assert done.exit_code == 130
        assert CONTINUES not in done.stderr
        assert "interrupted" in done.stderr


@pytest.mark.parametrize(
    "words", [("clip-reverse",), ("clip_reverse",), ("Clip-Reverse",), ("clip_reverse,clip-reverse",)]
)
def test_a_stage_is_left_out_by_either_spelling(words):
    skip = parse.parse_stages(words)
    assert recipes.override(Recipe(), options.overrides((), skip=skip)).skip == ("clip_reverse",)


def test_only_leaves_out_every_other_stage_but_resize():
    words = options.overrides((), only=parse.parse_stages(("darken,clip-reverse",)), base_skip=("denoise", "darken"))
    skip = ("denoise", "interpolate", "average", "defocus", "noise")
    assert recipes.override(Recipe(), words).skip == skip
    with pytest.raises(UsageError, match="--skip and --only"):
        options.overrides((), skip=("noise",), only=("darken",))


def test_a_stage_that_is_none_is_named_with_those_that_are():
    with pytest.raises(click.BadParameter, match="clip is no stage that can be left out; did you mean clip-reverse"):
        parse.parse_stages(("clip",))
    with pytest.raises(click.BadParameter, match="resize is no stage .* give one of denoise, darken"):
        parse.parse_stages(("resize",))
    assert run("stage", "clip_reverse", "--help").exit_code == 0


def test_recipe_keys_have_either_spelling():
    for word in ("clip-reverse.r=30:40", "clip_reverse.r=30:40"):
        assert recipes.override(Recipe(), [word]).clip_reverse.r == (30.0, 40.0)
    assert recipes.override(Recipe(), ["dataset.test-fraction=0.5"]).dataset.test_fraction == 0.5
    mine = recipes.parse('skip = ["clip-reverse"]\n[clip-reverse]\nr = [30, 40]\n', "mine.toml")
    assert (mine.skip, mine.clip_reverse.r) == (("clip_reverse",), (30.0, 40.0))


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("noise.iso=400-1600", "write 400:1600"),
        ("noise.iso=400..1600", "write 400:1600"),
        ("noise.iso=400...1600", "write 400:1600"),
        ("noise.iso=400 1600", "write 400:1600"),
        ("noise.iso=400 to 1600", "write 400:1600"),
        ("noise.iso=400;1600", "write 400:1600"),
        ("darken.exposure=.1-.3", "write 0.1:0.3"),
        ("darken.exposure=10-30%", "write 0.1:0.3"),
        ("darken.exposure=20%", "write 0.2"),
        ("darken.exposure=20:30", "20 % is written 0.2"),
        ("dataset.test_fraction=15%", "write 0.15"),
        ("dataset.test_fraction=15", "15 % is written 0.15"),
        ("darken.exposure=bright", "write LO:HI ([LO, HI] in a file) or one number"),
        ("noise.model=cyclisp", "did you mean 'cycleisp'? one of"),
    ],
)
def test_a_value_in_another_form_is_shown_in_ours(word, expected):
    with pytest.raises(RecipeError) as error:
        recipes.override(Recipe(), [word])
    assert expected in error.value.hint


def test_a_range_is_written_with_a_colon_or_a_comma():
    for word in ("noise.iso=400:1600", "noise.iso=400,1600", "noise.iso=[400, 1600]"):
        assert recipes.override(Recipe(), [word]).noise.iso == (400.0, 1600.0)


def test_a_number_below_a_range_without_an_end_reads_well():
    with pytest.raises(RecipeError, match="dataset.seed = -1 is outside its range, at least 0"):
        recipes.override(Recipe(), ["dataset.seed=-1"])


def test_a_size_has_one_of_the_signs_that_stand_for_times():
    for word in ("1120x640", "1120X640", "1120*640", "1120×640"):
        assert parse.parse_size(word) == (1120, 640)
    with pytest.raises(UsageError, match="not a size"):
        parse.parse_size("1120")


@pytest.mark.parametrize(
    ("name", "form"), [("basicsr", "flat"), ("HF", "huggingface"), ("wds", "webdataset"), ("lmdb", "lmdb")]
)
def test_export_forms_have_the_names_of_the_codes_that_read_them(tmp_path, monkeypatch, name, form):
    assert export.form_called(name) == form
    calls = []
    monkeypatch.setattr(export, "export", lambda out, dest, form, *rest: calls.append((dest.name, form)) or 0)
    monkeypatch.setattr(export, "how_to_load", lambda *rest: "nothing")
    assert run("export", tmp_path / "out", "--format", name).exit_code == 0
    assert calls == [(f"out-{form}", form)]


def test_a_form_that_is_none_is_named_with_those_that_are(tmp_path):
    with pytest.raises(UsageError, match="no format is called 'tar'") as error:
        export.export(tmp_path, tmp_path / "x", "tar")
    assert "flat, lmdb, webdataset, huggingface, basicsr, wds, hf" in error.value.hint


def test_a_gpu_that_is_not_there_is_named(monkeypatch):
    import torch

    from lolblur_synth.parallel import machine

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert machine.resolve_device("cuda:0") == "cuda:0"
    with pytest.raises(UsageError, match="--device cuda:3: torch sees 1 CUDA devices"):
        machine.resolve_device("cuda:3")


def test_a_dataset_is_not_taken_for_videos(ours, tmp_path):
    done = run("plan", ours)
    assert done.exit_code == 2
    assert f"Error: {ours} is a dataset, not a folder of videos\n" in done.stderr
    assert f"lolblur-synth status {ours}" in done.stderr
    assert run("build", ours, tmp_path / "more").exit_code == 2


def test_an_output_before_the_videos_is_told_from_a_wrong_path(tmp_path):
    (tmp_path / "videos").mkdir()
    done = run("build", tmp_path / "out", tmp_path / "videos")
    assert done.exit_code == 5
    assert "the output folder comes last" in done.stderr
    assert "comes last" not in run("build", tmp_path / "wrong", tmp_path / "new").stderr


def test_one_folder_for_both_is_told(tmp_path):
    done = run("build", tmp_path, tmp_path)
    assert done.exit_code == 2
    assert f"{tmp_path} is the input and the output" in done.stderr


def test_another_recipe_is_told_in_the_words_of_the_options(ours, tmp_path):
    (tmp_path / "videos").mkdir()
    options = ("--recipe", "night", "--window", "9", "--exposure", "0.1", "--skip", "denoise", "--pairs", "3")
    done = run("build", tmp_path / "videos", ours, *options)
    assert done.exit_code == 10
    assert "skip: none -> denoise" in done.stderr
    assert "average.window: 7,9 -> 9" in done.stderr
    assert "-> 0.1;" in done.stderr
    assert "dataset.pairs: 2 -> 3" in done.stderr


@pytest.mark.parametrize("style", ["human", "json"])
def test_that_the_recipe_of_the_dataset_is_taken_is_told_to_people(ours, capsys, style):
    resolve(None, (), ours, style, skip=())
    assert ("recipe night, as in" in capsys.readouterr().err) == (style == "human")


def test_a_recipe_file_that_is_not_there_is_told():
    with pytest.raises(RecipeError, match=r"^mine\.toml: no such file$"):
        recipes.load("mine.toml")


def test_a_section_that_is_misspelt_is_recognised():
    with pytest.raises(RecipeError) as caught:
        recipes.parse("[darke]\nexposure = 0.1\n", "mine.toml")
    assert caught.value.hint == "did you mean 'darken'?"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_place_that_cannot_be_written_is_no_bug(ours, monkeypatch, number):
    """As root may write everywhere, the disk says no by itself."""

    def refuse(*words, **options):
        raise OSError(number, os.strerror(number), "/x/.writing-1.png")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    with pytest.raises(OSError) as caught:
        atomic.write(ours / "preview.png", b"")
    monkeypatch.setattr(estimate, "plan", lambda *words: atomic.write(ours / "preview.png", b""))
    done = run("plan", "videos")
    assert caught.value.filename == str(ours / "preview.png"), "the name that the user knows"
    assert f"Error: {ours / 'preview.png'}: {os.strerror(number)}\n" in done.stderr
    assert done.exit_code == 10


def test_a_training_without_weights_yet_is_named(tmp_path):
    from lolblur_synth.tools import restore

    frame, folder = tmp_path / "a.png", tmp_path / "lednet-out"
    frame.write_bytes(b"")
    folder.mkdir()
    with pytest.raises(WeightsError, match=r"its training has left no lednet\.safetensors yet"):
        restore.restore(frame, tmp_path / "b.png", weights=str(folder))


def test_a_restoration_that_is_interrupted_says_itself_what_is_left(tmp_path, monkeypatch):
    def stop(*words, **options):
        raise Interrupted("out: 3 of 9 images restored: interrupted", "add --overwrite to begin again")

    monkeypatch.setattr("lolblur_synth.tools.restore.restore", stop)
    done = run("restore", tmp_path, tmp_path / "out")
    assert done.exit_code == 130
    assert done.stderr == "Error: out: 3 of 9 images restored: interrupted\n  add --overwrite to begin again\n"


@pytest.mark.parametrize("words", [
    ("stage", "noise", "{image}", "{image}/a.png"), ("stage", "noise", "{image}", "{image}/a.mp4"),
    ("restore", "{image}", "{image}/a.png"), ("restore", "{video}", "{image}/a.mp4"),
    ("restore", "{video}", "{image}/frames"), ("evaluate", "{data}/test/sharp", "{data}", "--pair", "blur:sharp",
                                               "--metrics", "psnr_rgb", "-o", "{image}/a"),
])  # fmt: skip
def test_an_output_that_cannot_be_there_is_no_bug(tmp_path, words):
    pixels = media.scene(3)
    image = tmp_path / "a.png"
    cv2.imwrite(str(image), np.zeros((16, 16, 3), np.uint8))
    for folder in ("blur", "sharp"):
        (tmp_path / "data/test" / folder / "c").mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "data/test" / folder / "c/0000.png"), np.zeros((16, 16, 3), np.uint8))
    video = media.encode(tmp_path / "v.mp4", pixels) if "{video}" in words else ""
    done = run(*(word.format(image=image, video=video, data=tmp_path / "data") for word in words))
    assert done.exit_code == 2, done.stderr
    assert "a.png" in done.stderr
    assert "bug" not in done.stderr
