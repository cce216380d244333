"""The commands as a user types them: exit codes, and one clear line for each thing that can be wrong."""

import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import OPTIONS, Done
from test_dataset import tree

from lolblur_synth import kernels
from lolblur_synth.cli import main

QUICK = [*OPTIONS, "--pairs", "1", "--skip", "denoise,interpolate,defocus,noise"]  # where no test looks at pixels
ROLES = {"low_blur_noise", "low_blur", "low_sharp", "high_sharp_scaled", "high_sharp_original"}


def assert_one_clear_error(done) -> None:
    assert "Traceback" not in done.err + done.out
    assert done.err.strip() != ""


def in_process(*words) -> Done:
    """The command without a process of its own, whose start would take longer than the command."""
    done = CliRunner().invoke(main, [str(word) for word in words])
    return Done(done.exit_code, done.stdout, done.stderr, 0.0)


def test_build_makes_what_the_contract_says(reference):
    out = reference.out
    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert len(lines) == len(list((out / ".lolblur/pairs").rglob("*.json"))) > 4
    assert lines == sorted(lines, key=lambda line: (line["split"] != "train", line["pair"]))
    for line in lines:
        assert {
            "pair",
            "split",
            "source",
            "frames",
            "mid",
            "window",
            "samples",
            "draws",
            "weights",
            "sha256",
            "version",
        } <= set(line)
        assert set(line["sha256"]) == ROLES
        assert line["samples"] == 8 * line["window"]
        for role in ROLES:
            assert (out / line["split"] / role / f"{line['pair']}.png").is_file()
    assert {line["split"] for line in lines} == {"train", "test"}
    assert "/" not in json.dumps([line["source"]["name"] for line in lines])
    assert (out / "recipe.toml").is_file()
    assert not (out / ".lolblur/tmp").exists()


def test_building_again_does_nothing(reference, street_videos, run):
    done = run("build", street_videos, reference.out, *OPTIONS)
    assert done.code == 0
    assert "0 to build" in done.err
    assert tree(reference.out) == reference.tree


def test_recipe_toml_builds_the_same_dataset(reference, street_videos, tmp_path, run):
    assert run("build", street_videos, tmp_path / "out", "--recipe", reference.out / "recipe.toml").code == 0
    assert tree(tmp_path / "out") == reference.tree


def test_another_recipe_is_refused_with_the_difference(reference, street_videos, run):
    done = run("build", street_videos, reference.out, *OPTIONS, "--seed", "1")
    assert done.code == 10
    assert "dataset.seed: 0 -> 1" in done.err
    assert_one_clear_error(done)


def test_status_verify_and_plan_find_the_dataset_complete_and_change_nothing(reference, street_videos):
    state = json.loads(in_process("status", reference.out, "--json").out)
    assert state["done"] == state["planned"]
    assert state["left"] == 0
    assert state["failed"] == []
    assert in_process("verify", reference.out).code == 0
    assert in_process("verify", reference.out, "--pixels").code == 0
    plan = in_process("plan", street_videos, reference.out, *OPTIONS, "--json")
    assert plan.code == 0
    assert json.loads(plan.out)["left"] == 0
    assert tree(reference.out) == reference.tree


def test_plan_names_the_time_and_the_stages_left_out(street_videos):
    plan = in_process("plan", street_videos, *QUICK)
    assert plan.code == 0
    assert "with 1 worker" in plan.out
    assert "off: denoise, interpolate, defocus, noise" in plan.out


def test_the_report_shows_pictures_and_names_no_other_place(reference, tmp_path):
    page = tmp_path / "report.html"
    assert in_process("report", reference.out, "-o", page).code == 0
    text = page.read_text()
    pairs = len((reference.out / "manifest.jsonl").read_text().splitlines())
    assert text.count("data:image/jpeg") == pairs, "a thumbnail of each pair, as there are no more than 200"
    assert "://" not in text
    assert "<li>dataset.pairs: 60 -&gt; 4" in text, "departures from the recipe, with HTML's own characters escaped"
    assert tree(reference.out) == reference.tree


def test_dry_run_writes_nothing(street_videos, tmp_path):
    done = in_process("build", street_videos, tmp_path / "out", *QUICK, "--dry-run")
    assert done.code == 0
    assert "2 pairs, 2 to build" in done.out
    assert not (tmp_path / "out").exists()


def test_json_lines_of_a_build(street_videos, tmp_path, run):
    done = run("build", street_videos, tmp_path / "out", *QUICK, "--json")
    *events, summary = [json.loads(line) for line in done.out.splitlines()]
    assert done.code == 0
    assert summary["type"] == "summary"
    assert summary["failed"] == 0
    assert summary["built"] == summary["planned"] == 2
    assert sum(event["type"] == "pair" for event in events) == 2


def test_one_bad_folder_of_everything(street_videos, tmp_path, run):
    """Each bad input is one line with its name; the good video beside them is built; exit code 3."""
    folder, outside = tmp_path / "videos", tmp_path / "outside"
    folder.mkdir(), outside.mkdir()
    good = street_videos / "a.mp4"
    data = good.read_bytes()
    shutil.copy(good, folder / "good.mp4")
    bad = {
        "zero.mp4": b"", "text.mp4": b"this is not a video\n" * 50, "cut.mp4": data[: len(data) // 2],
        "playlist.mp4": f"ffconcat version 1.0\nfile '{good}'\n".encode(),
    }  # fmt: skip
    for name, content in bad.items():
        (folder / name).write_bytes(content)
    os.mkfifo(folder / "pipe.mp4")
    (folder / "link.mp4").symlink_to(good)
    (folder / "nothing.mp4").symlink_to(tmp_path / "nowhere")
    (folder / "folder.mp4").mkdir()
    (folder / "notes.txt").write_text("ignored")
    strange = os.fsdecode(os.fsencode(folder) + b"/na\xffme\n.mkv")
    shutil.copy(street_videos / "b.mkv", strange)
    before = sorted(p.name for p in tmp_path.iterdir())
    done = run("build", folder, tmp_path / "out", *QUICK)
    assert done.code == 3, done.err
    assert_one_clear_error(done)
    assert "link.mp4: same content as good.mp4; used once" in done.err, "a link is followed to its file"
    for name in [*bad, "pipe.mp4", "nothing.mp4", "folder.mp4"]:
        assert len([line for line in done.err.splitlines() if name in line and "failed" in line]) == 1, name
    assert "notes.txt" not in done.err
    lines = [json.loads(line) for line in (tmp_path / "out/manifest.jsonl").read_text().splitlines()]
    assert {line["source"]["name"] for line in lines} == {"good.mp4", "na\\xffme\\n.mkv"}
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*before, "out"]), "nothing is written beside OUT"
    assert in_process("verify", tmp_path / "out").code == 0
    assert json.loads(in_process("status", tmp_path / "out", "--json").out)["refused"]


@pytest.mark.parametrize(("words", "code", "expected"), [
    (["build"], 2, "VIDEOS and OUT"),
    (["build", "{videos}"], 2, "VIDEOS and OUT"),
    (["build", "nowhere", "{out}"], 5, "no such file"),
    (["build", "{empty}", "{out}"], 5, "no usable video"),
    (["build", "{videos}", "{out}", "--recipe", "lolblurr"], 4, "did you mean"),
    (["build", "{videos}", "{out}", "--set", "darken.exposur=1"], 4, "did you mean"),
    (["build", "{videos}", "{out}", "--window", "x"], 4, "average.window"),
    (["build", "{videos}", "{out}", "--size", "big"], 2, "1120x640"),
    (["build", "{videos}", "{out}", "--jobs", "0"], 2, "jobs"),
    (["build", "{videos}", "{out}", "--shard", "3/2"], 2, "shard"),
    (["build", "{videos}", "{out}", "--device", "tpu"], 2, "device"),
    (["build", "{videos}", "{videos}/out"], 2, "inside the input"),
    (["build", "{videos}", "{foreign}"], 10, "not a lolblur-synth dataset"),
    (["build", "{videos}", "{foreign}/file"], 10, "is a file"),
    (["status", "{empty}"], 10, "not a lolblur-synth dataset"),
    (["verify", "{foreign}"], 10, "not a lolblur-synth dataset"),
    (["stage", "darken", "nowhere.png", "{out}"], 5, "nowhere.png"),
    (["stage", "darken", "{foreign}", "{out}"], 5, "no PNG"),
    (["recipe", "validate", "nowhere.toml"], 4, "nowhere.toml"),
])  # fmt: skip
def test_what_a_user_can_get_wrong(words, code, expected, street_videos, tmp_path):
    (tmp_path / "empty").mkdir(), (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign/file").write_text("mine")
    places = {
        "videos": street_videos,
        "out": tmp_path / "out",
        "empty": tmp_path / "empty",
        "foreign": tmp_path / "foreign",
    }
    done = in_process(*[word.format(**places) for word in words])
    assert done.code == code, done.err
    assert expected in done.err
    assert_one_clear_error(done)
    assert (tmp_path / "foreign/file").read_text() == "mine"
    assert sorted(p.name for p in street_videos.iterdir()) == ["a.mp4", "b.mkv"]


def test_read_only_output_is_refused_before_any_work(street_videos, tmp_path, run):
    out = tmp_path / "out"
    out.mkdir()
    if os.geteuid() == 0:  # permissions do not stop root: use a file system that refuses
        out = Path("/proc/lolblur-out")
    else:
        out.chmod(0o555)
    done = run("build", street_videos, out, *OPTIONS)
    assert done.code == 10
    assert "cannot write" in done.err
    assert_one_clear_error(done)


def test_recipe_commands(tmp_path):
    assert {"lolblur", "fast", "night"} <= {line.split()[0] for line in in_process("recipe", "ls").out.splitlines()}
    mine = tmp_path / "mine.toml"
    assert in_process("recipe", "cp", "night", mine).code == 0
    checked = in_process("recipe", "validate", mine)
    assert checked.code == 0
    assert "mine.toml: valid, hash " in checked.out
    assert in_process("recipe", "diff", "night", mine).code == 0
    assert in_process("recipe", "diff", "night").code == 3
    assert in_process("recipe", "cp", "night", mine).code == 2
    assert "section 3.2" in in_process("recipe", "show", "lolblur").out


@pytest.mark.parametrize(
    ("words", "completion"),
    [
        ("bui", "build"),
        ("stage dar", "darken"),
        ("build --exp", "--exposure"),
        ("export out --format web", "webdataset"),
    ],
)
def test_shells_complete_commands_options_and_choices(words, completion):
    typed = f"lolblur-synth {words}"
    env = {"_LOLBLUR_SYNTH_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": str(len(words.split()))}
    done = CliRunner().invoke(main, env=env, prog_name="lolblur-synth")
    assert completion in [line.split(",")[1] for line in done.stdout.splitlines()]


@pytest.mark.parametrize("shell", ("bash", "zsh", "fish"))
def test_the_program_prints_the_script_for_completion(shell):
    done = CliRunner().invoke(main, env={"_LOLBLUR_SYNTH_COMPLETE": f"{shell}_source"}, prog_name="lolblur-synth")
    assert "_LOLBLUR_SYNTH_COMPLETE" in done.stdout


def test_a_first_build_is_known_by_its_missing_kernels(tmp_path, monkeypatch):
    fresh = tmp_path / "kernels"
    (fresh / "vbm4d" / "__pycache__").mkdir(parents=True)
    monkeypatch.setattr(kernels, "__file__", str(fresh / "__init__.py"))
    assert not kernels.are_compiled()
    (fresh / "vbm4d" / "__pycache__" / "cpu.index.nbi").touch()
    assert kernels.are_compiled()
