"""A build with a stage of the user: it resumes, is verified, and runs code only where its recipe is named."""

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import run_here
from click.testing import CliRunner
from test_dataset import tree

import lolblur_synth
from lolblur_synth import cli, recipes
from lolblur_synth.dataset import checks, estimate, layout, preview, stored, verify
from lolblur_synth.dataset.report import columns
from lolblur_synth.errors import ForeignOutput, RecipeError
from lolblur_synth.files import images

FOG = Path(__file__).parent.parent / "examples/fog/fog.py"
WORDS = [
    "skip=denoise,interpolate,noise",
    "resize.width=96",
    "resize.height=64",
    "dataset.pairs=4",
    "dataset.test_fraction=0",
]


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recipe")
    shutil.copy(FOG, folder / "fog.py")
    (folder / "mine.toml").write_text('stages = ["fog.py:fog"]\n[fog]\ndensity = [0.2, 0.5]\n')
    return folder / "mine.toml"


@pytest.fixture(scope="module")
def built(recipe_file, street_videos, tmp_path_factory) -> Path:
    """A dataset with fog, of one video."""
    out = tmp_path_factory.mktemp("built") / "out"
    with pytest.MonkeyPatch.context() as patch:
        run_here.patch(patch)
        summary = lolblur_synth.build(street_videos / "a.mp4", out, str(recipe_file), set=WORDS)
    assert (summary.built, summary.failed) == (4, ())
    return out


@pytest.fixture
def copy(built, tmp_path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "out"))


def test_the_manifest_has_the_draws_and_the_code(built):
    lines = [json.loads(line) for line in (built / "manifest.jsonl").read_text().splitlines()]
    densities = [line["draws"]["fog"]["density"] for line in lines]
    assert all(0.2 <= density <= 0.5 for density in densities)
    assert len(set(densities)) == len({line["segment"] for line in lines}) == 2
    assert {line["stages"]["fog"] for line in lines} == {recipes.load(str(built / "recipe.toml")).stages[0].sha256}
    assert (built / "stages/fog.py").read_bytes() == FOG.read_bytes()


def test_a_build_that_lost_its_second_half_is_completed_by_two_workers(built, copy, recipe_file, street_videos):
    expected = tree(built)
    for path in sorted((copy / ".lolblur/pairs").rglob("*.json"))[2:]:
        path.unlink()
    shutil.rmtree(copy / "stages")
    summary = lolblur_synth.build(street_videos / "a.mp4", copy, str(recipe_file), set=WORDS, jobs=2)
    assert (summary.built, summary.already) == (2, 2)
    assert tree(copy) == expected
    assert verify.verify(copy) == []


def test_the_stored_recipe_continues_where_it_is_named(copy, street_videos):
    summary = lolblur_synth.build(street_videos / "a.mp4", copy, str(copy / "recipe.toml"), jobs=1)
    assert (summary.built, summary.already) == (0, 4)


def test_changed_code_is_another_recipe(copy, recipe_file, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(recipe_file.parent, other)
    (other / "fog.py").write_text(FOG.read_text() + "\n# changed\n")
    asked = recipes.import_stages(recipes.override(recipes.load(str(other / "mine.toml")), WORDS))
    with pytest.raises(ForeignOutput, match="fog.sha256: .* -> ") as caught:
        checks.claim(copy, asked)
    assert f"--recipe {copy / 'recipe.toml'}" in caught.value.hint


def test_verify_names_a_stage_file_that_is_not_the_one_of_the_recipe(copy):
    assert verify.verify(copy) == []
    (copy / "stages/fog.py").write_text("# something else\n")
    assert verify.verify(copy) == [verify.Damage("corrupt", "stages/fog.py")]
    (copy / "stages/fog.py").unlink()
    assert verify.verify(copy) == [verify.Damage("missing", "stages/fog.py")]


def test_the_contact_sheet_tells_the_fog(built):
    line = json.loads((built / "manifest.jsonl").read_text().splitlines()[0])
    assert f"fog density {line['draws']['fog']['density']:.3g}" in preview.drawn(line)
    assert f"Stage fog: density {line['draws']['fog']['density']:.3g}" in columns.words(line)


def test_a_found_dataset_runs_none_of_its_code(copy, street_videos, tmp_path):
    """Neither a build without --recipe, nor what reads a dataset."""
    marker = tmp_path / "ran"
    evil = f"open({str(marker)!r}, 'w')\n" + FOG.read_text()
    (copy / "stages/fog.py").write_text(evil)
    text = (copy / "recipe.toml").read_text()
    lines = [line for line in text.splitlines(keepends=True) if not line.startswith("sha256")]
    (copy / "recipe.toml").write_text("".join(lines))  # so that the checksum does not stop it
    with pytest.raises(RecipeError, match="names code, stages/fog.py:fog, which is not run unasked"):
        lolblur_synth.build(street_videos, copy)
    own = copy / "recipe.toml"
    reads = [["status", copy], ["verify", copy], ["report", copy], ["preview", copy, "-o", tmp_path / "sheet.png"],
             ["recipe", "validate", own], ["recipe", "show", own], ["export", copy, tmp_path / "flat"]]  # fmt: skip
    for words in (["build", street_videos, copy], ["plan", street_videos, copy], *reads):
        done = CliRunner().invoke(cli.main, [*map(str, words)])
        assert done.exit_code == (4 if words[0] in ("build", "plan") else 0), done.output
    assert not marker.exists()
    recipes.import_stages(recipes.load(str(copy / "recipe.toml")))
    assert marker.exists(), "the marker works"


def test_a_link_does_not_lead_stage_files_out_of_the_dataset(tmp_path, recipe_file):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    os.symlink(tmp_path / "elsewhere", tmp_path / "out/stages")
    with pytest.raises(ForeignOutput, match="is a link that leads out"):
        stored.write_recipe(tmp_path / "out", recipes.import_stages(recipes.load(str(recipe_file))))
    assert not list((tmp_path / "elsewhere").iterdir())


def test_the_program_says_which_code_runs_and_what_is_broken_in_it(recipe_file, street_videos, tmp_path):
    shutil.copytree(recipe_file.parent, tmp_path / "recipe")
    path = tmp_path / "recipe/fog.py"
    path.write_text(FOG.read_text().replace("frames * (1", "framse * (1"))
    words = ["build", street_videos, tmp_path / "out", "--recipe", tmp_path / "recipe/mine.toml", "--jobs", "1"]
    done = CliRunner().invoke(cli.main, [*map(str, words)])
    assert done.exit_code == 4
    first, error, hint = done.stderr.strip().splitlines()
    assert first.startswith(f"recipe mine runs the code of {path} (sha256 ")
    assert error == f"Error: {path}:19: NameError: name 'framse' is not defined (stage fog, apply)"
    assert hint.startswith("  repair it; ")
    assert not (tmp_path / "out").exists()


def test_plan_counts_the_pairs_of_such_a_recipe(copy, recipe_file, street_videos):
    recipe = recipes.override(recipes.load(str(recipe_file)), WORDS)
    account = estimate.plan([street_videos / "a.mp4"], copy, recipe, 1, "cpu")
    assert (account["pairs"], account["left"]) == (4, 0)
    assert layout.read_json(copy / ".lolblur/plan.json")["recipe"] == account["recipe_sha256"]


@pytest.fixture(scope="module")
def picture(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "grey.png"
    images.write_png(path, np.full((24, 32, 3), 0.5, np.float32))
    return path


def invoke(*words):
    done = CliRunner().invoke(cli.main, ["stage", *map(str, words)])
    return done.exit_code, done.output


def test_the_command_stage_lays_fog_over_light(picture, tmp_path):
    code, said = invoke(
        f"{FOG}:fog", picture, tmp_path / "fog.png", "--density", "0.4", "--glow", "1", "--device", "cpu"
    )
    assert code == 0, said
    assert "fog: density 0.4 -> " in said
    light = 0.5**2.2 * 0.6 + 0.4
    assert cv2.imread(str(tmp_path / "fog.png"))[0, 0].tolist() == [round(255 * light ** (1 / 2.2))] * 3


def test_the_command_finds_the_stage_of_a_recipe_and_its_values(picture, recipe_file, tmp_path):
    options = ["--recipe", recipe_file, "--json", "--device", "cpu"]
    code, said = invoke("fog", picture, tmp_path / "fog.png", *options)
    assert code == 0, said
    record = json.loads(said.splitlines()[-1])
    assert record["settings"] == {"density": [0.2, 0.5], "glow": 0.02}
    assert 0.2 <= record["draw"]["density"] <= 0.5


def test_a_stage_of_display_values_refuses_linear_frames(picture, tmp_path):
    (tmp_path / "late.py").write_text(FOG.read_text().replace('after="defocus"', 'after="noise"'))
    images.write_tiff(tmp_path / "light.tiff", np.full((24, 32, 3), 0.5, np.float32))
    code, said = invoke(f"{tmp_path / 'late.py'}:fog", tmp_path / "light.tiff", tmp_path / "out.tiff")
    assert code == 5
    assert "fog works on display frames" in said


def test_an_unknown_stage_is_a_usage_error():
    code, said = invoke("fgo")
    assert code == 2
    assert "stage fgo: no such stage" in said and "a --recipe that names it" in said


def test_a_stage_before_denoising_is_applied_once(street_videos, tmp_path, monkeypatch):
    """Neighbouring pairs share the denoised frames."""
    run_here.patch(monkeypatch)
    halve = FOG.read_text().replace('"defocus"', '"resize"').replace("config.glow *", "0 *")
    (tmp_path / "fog.py").write_text(halve)
    words = ["skip=darken,interpolate,noise,defocus", "denoise.sigma=2", *WORDS[1:], "dataset.pairs=2"]
    means = []
    for stage in ([], [f"stages={tmp_path / 'fog.py'}:fog", "fog.density=0.5"]):
        out = tmp_path / f"out{len(stage)}"
        lolblur_synth.build(street_videos / "a.mp4", out, set=[*words, *stage])
        means.append(images.read_image(out / "train/high_sharp_original/0000/0001.png").mean())
    assert means[1] / means[0] == pytest.approx(0.5, abs=0.01)


def test_a_stage_before_denoising_cannot_draw_for_each_pair(tmp_path):
    text = FOG.read_text().replace('after="defocus"', 'after="resize", unit="pair"')
    (tmp_path / "fog.py").write_text(text)
    with pytest.raises(RecipeError, match="neighbours share its frames"):
        recipes.import_stages(recipes.override(recipes.load("lolblur"), [f"stages={tmp_path / 'fog.py'}:fog"]))
