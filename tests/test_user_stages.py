"""Stages of the user in a recipe: read as text, imported where they are named, checked, part of the hash."""

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lolblur_synth import draw, pipeline, recipes
from lolblur_synth.commands import stage as stage_command
from lolblur_synth.errors import RecipeError
from lolblur_synth.recipe import user_stages
from lolblur_synth.recipe.schema import STAGE_NAMES, Recipe
from lolblur_synth.stages import user

FOG = (Path(__file__).parent.parent / "examples/fog/fog.py").read_text()
PLAIN = """
from dataclasses import dataclass
from lolblur_synth import Stage, option

@dataclass(frozen=True)
class Config:
    gain: float = option(0.5, "factor", lo=0, hi=1)

def draw(config, rng):
    return {"gain": config.gain * rng.uniform(0.5, 1)}

def apply(frames, config, draw):
    return frames * draw["gain"]

plain = Stage(after="denoise", config=Config, draw=draw, apply=apply)
"""
SECTION = "[fog]\ndensity = 0.3\n"


def recipe_of(folder, code=FOG, name="fog", section="", base=""):
    """A recipe file that names the stage file beside it."""
    (folder / f"{name}.py").write_text(code)
    path = folder / "mine.toml"
    path.write_text(f'{base}stages = ["{name}.py:{name}"]\n{section}')
    return path


def imported(folder, code=FOG, name="fog", section="", words=()):
    read = recipes.load(str(recipe_of(folder, code, name, section)))
    return recipes.import_stages(recipes.override(read, list(words)))


def test_a_stage_has_a_section_with_its_own_options(tmp_path):
    recipe = imported(tmp_path, section=SECTION, words=["fog.glow=0.1"])
    assert dict(recipe.stages[0].values) == {"density": (0.3, 0.3), "glow": 0.1}
    assert user_stages.config_of(recipe, "fog").density == (0.3, 0.3)
    assert recipe.stages[0].after == "defocus"


def test_a_written_recipe_reads_back_with_meaning_and_checksum(tmp_path):
    recipe = imported(tmp_path, section=SECTION)
    text = recipes.to_toml(recipe)
    assert "# share of the light that is lost; 0..1\ndensity = [0.3, 0.3]" in text
    again = recipes.parse(text, str(tmp_path / "again.toml"), "mine")
    assert again == recipe
    assert recipes.sha256(again) == recipes.sha256(recipe)
    assert recipes.changes(recipe, again) == []


def test_reading_a_recipe_runs_no_code(tmp_path):
    path = recipe_of(tmp_path, f"open({str(tmp_path / 'ran')!r}, 'w')\n" + FOG)
    recipe = recipes.load(str(path))
    recipes.to_toml(recipe), recipes.sha256(recipe), recipes.changes(Recipe(), recipe)
    assert not (tmp_path / "ran").exists()
    recipes.import_stages(recipe)
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("words", [["fog.density=0.4"], ["fog.after=average"]])
def test_a_value_or_another_place_makes_another_recipe(words, tmp_path):
    assert recipes.sha256(imported(tmp_path, words=words)) != recipes.sha256(imported(tmp_path))


def test_changed_code_makes_another_recipe_and_is_named(tmp_path):
    before = imported(tmp_path)
    after = imported(tmp_path, FOG + "\n# a comment\n")
    assert recipes.sha256(before) != recipes.sha256(after)
    assert [change.split(":")[0] for change in recipes.changes(before, after)] == ["fog.sha256"]


def test_a_recipe_without_such_stages_has_the_hash_that_it_had():
    assert "stages" not in recipes.to_dict(Recipe())
    assert "stages =" not in recipes.to_toml(Recipe())


def test_the_checksum_in_a_recipe_holds_its_stage_to_its_code(tmp_path):
    written = recipes.to_toml(imported(tmp_path))
    (tmp_path / "fog.py").write_text(FOG.replace("0.02", "0.03"))
    changed = recipes.parse(written, str(tmp_path / "again.toml"))
    with pytest.raises(RecipeError, match="another code than the recipe was written for"):
        recipes.import_stages(changed)


BROKEN = {
    "syntax": (FOG.replace("def draw(config, rng):", "def draw(config, rng)"), r"fog.py:14: SyntaxError"),
    "import": ("import no_such_module\n" + FOG, r"fog.py:1: ModuleNotFoundError: No module named 'no_such_module'"),
    "exit": ("raise SystemExit(3)\n", r"fog.py:1: SystemExit: 3"),
    "absent": (FOG.replace("fog = Stage", "mist = Stage"), r"fog is not there, not a lolblur_synth.Stage"),
    "function": (FOG + "\ndef fog(): pass\n", r"fog is a function, not a lolblur_synth.Stage"),
    "place": (FOG.replace('after="defocus"', 'after="defocs"'), r"after = 'defocs' is no stage"),
    "config": (FOG.replace("config=FogConfig", "config=dict"), r"config is no dataclass"),
    "plain field": (FOG.replace("    glow:", "    bright: float = 1.0\n    glow:"), r"bright of the config is not"),
    "reserved": (FOG.replace("glow:", "seed: int = option(1, 'seed', lo=0)\n    glow:"), r"cannot be called seed"),
    "default": (FOG.replace("option(0.02", "option(1.02"), r"the default of glow = 1.02 is outside 0..1"),
    "no range": (FOG.replace("option((0.1, 0.4)", "option(0.1"), r"default of density, 0.1, is not of its own form"),
    "unit": (FOG.replace("fog = Stage(", 'fog = Stage(unit="frame", '), r"unit = 'frame'"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_stage_file_is_one_line_with_file_and_reason(case, tmp_path):
    code, words = BROKEN[case]
    with pytest.raises(RecipeError, match=words) as caught:
        imported(tmp_path, code)
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "fog.py") in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('stages = ["gone.py:fog"]', r"mine.toml:1: .*gone.py: no such file"),
        ('stages = ["gone"]', r"mine.toml:1: no installed package has the stage 'gone'"),
        ('stages = ["no_such_package.fog:fog"]', "no installed package has the stage"),
        ('stages = ["fog.py"]', "does not say which stage"),
        ('stages = ["fog.py:noise"]', "cannot be called 'noise'"),
        ('stages = ["fog.py:fog", "fog.py:fog"]', "two stages are called fog"),
        ("stages = 3", "is not a list"),
        ('stages = ["fog.py:fog"]\n[fog]\ndensty = 0.3', r"mine.toml:3: unknown key 'fog.densty'"),
        ('stages = ["fog.py:fog"]\n[fog]\ndensity = 3', r"mine.toml:3: fog.density = 3 is outside 0..1"),
        (
            'stages = ["fog.py:fog"]\n[fog]\nafter = "denoise"',
            r"mine.toml:3: fog works on linear frames; after denoise",
        ),
        ("[fog]\ndensity = 0.3", "unknown key 'fog'"),
    ],
)
def test_what_is_wrong_in_the_recipe_is_named_with_its_line(text, expected, tmp_path):
    path = recipe_of(tmp_path)
    path.write_text(text)
    with pytest.raises(RecipeError, match=expected):
        recipes.import_stages(recipes.load(str(path)))


FAULTS = {
    "raises": ('return {"gain": 1 / 0}', "return frames", r"plain.py:10: ZeroDivisionError.*\(stage plain, draw\)"),
    "numpy": ('return {"gain": rng.integers(3)}', "return frames", "the manifest cannot hold it"),
    "infinite": ('return {"gain": float("inf")}', "return frames", "the manifest cannot hold it"),
    "no draw": ("return None", "return frames", "a draw is a dataclass or a dict, not NoneType"),
    "own dice": ('import random; return {"gain": random.random()}', "return frames", "draw gave two values"),
    "shape": ('return {"gain": 0.5}', "return frames[:1]", r"gave frames of shape \(1, 3, 24, 40\) for \(2, 3, "),
    "dtype": ('return {"gain": 0.5}', "return frames.double()", "gave torch.float64"),
    "numpy frames": ('return {"gain": 0.5}', "return frames.numpy()", "gave ndarray, not a tensor"),
    "nan": ('return {"gain": 0.5}', 'return frames * float("nan")', "gave NaN"),
    "in place": ('return {"gain": 0.5}', "return frames.mul_(0.5)", "apply changed the frames"),
    "impure": ('return {"gain": 0.5}', "import torch; return torch.rand_like(frames)", "apply gave two results"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_a_stage_is_tried_before_a_build_begins(case, tmp_path):
    drawing, applying, words = FAULTS[case]
    code = PLAIN.replace('return {"gain": config.gain * rng.uniform(0.5, 1)}', drawing)
    recipe = imported(tmp_path, code.replace('return frames * draw["gain"]', applying), "plain")
    with pytest.raises(RecipeError, match=words) as caught:
        user.try_out(recipe.stages[0])
    assert "\n" not in str(caught.value)


def test_a_sound_stage_passes_the_trial(tmp_path):
    user.try_out(imported(tmp_path).stages[0])


def at(folder, place, code="frames * 0.5", unit="segment"):
    """A recipe whose stage `plain` stands after `place`."""
    text = PLAIN.replace('return frames * draw["gain"]', f"return {code}").replace(
        'after="denoise"', f'after="{place}"'
    )
    recipe = imported(folder, text.replace("apply=apply)", f'apply=apply, unit="{unit}")'), "plain")
    return recipes.override(recipe, ["skip=denoise,noise", "average.window=3", "interpolate.factor=2",
                                     "defocus.probability=1"])  # fmt: skip


@pytest.fixture(scope="module")
def source():
    """A pan over a texture, in which a lamp clips: (5, 3, 40, 56) display."""
    rng = draw.rng(0, "texture", "", "")
    wall = torch.from_numpy(rng.random((1, 3, 12, 24), dtype=np.float32))
    wide = torch.nn.functional.interpolate(wall, (40, 72), mode="bicubic").clamp(0.2, 0.9)
    wide[..., 10:16, 30:36] = 1
    return torch.cat([wide[..., i : i + 56] for i in range(5)]).contiguous()


def images_of(source, recipe):
    draws = pipeline.draw_all(recipe, "0" * 64, 0, "0000", 3, 0.0)
    return pipeline.synthesise(source, 2, recipe, draws)[0]


CHANGES = {  # of the folders, in the order of the pipeline: those that a stage at this place changes
    "resize": "high_sharp_original high_sharp_scaled low_sharp low_blur low_blur_noise",
    "denoise": "high_sharp_original high_sharp_scaled low_sharp low_blur low_blur_noise",
    "darken": "low_sharp low_blur low_blur_noise",
    "interpolate": "low_blur low_blur_noise",
    "clip_reverse": "low_blur low_blur_noise",
    "average": "low_blur low_blur_noise",
    "defocus": "low_blur low_blur_noise",
    "noise": "low_blur_noise",
}


@pytest.fixture(scope="module")
def without(source, tmp_path_factory):
    recipe = at(tmp_path_factory.mktemp("without"), "noise", "frames")
    return images_of(source, recipe)


@pytest.mark.parametrize("place", STAGE_NAMES)
def test_a_stage_changes_the_images_from_its_place_on(place, source, without, tmp_path):
    pictures = images_of(source, at(tmp_path, place))
    changed = [name for name in without if not np.array_equal(pictures[name], without[name])]
    assert set(changed) == set(CHANGES[place].split())


@pytest.mark.parametrize("place", ["interpolate", "clip_reverse"])
@pytest.mark.parametrize("space", ["linear", "code", "hdr"])
def test_sample_by_sample_is_the_same_exposure_as_one_pass(place, space, source, tmp_path):
    recipe = recipes.override(at(tmp_path, place, "frames + 0"), [f"clip_reverse.space={space}"])
    draws = pipeline.draw_all(recipe, "0" * 64, 0, "0000", 3, 0.0)
    above = torch.where(source == 1, 2.0, 0.0) if space == "hdr" else None
    if space == "hdr":
        del draws["clip_reverse"]
    light, measured = pipeline.expose(source, source, 2, recipe, draws, above)
    plain = recipes.override(recipe, ["stages="])
    expected, same = pipeline.expose(source, source, 2, plain, draws, above)
    assert measured == same
    assert light.max() > 1.01
    assert torch.allclose(light, expected, atol=2e-5)


def test_light_behind_defocus_is_linear_and_unclipped(source, tmp_path):
    recipe = at(tmp_path, "defocus", "frames.clamp(max=1) if frames.max() > 1 else 1 / 0")
    images_of(source, recipe)  # divides by zero where the lamp's light is cut off already


def test_draws_are_of_the_segment_or_of_the_pair(tmp_path):
    def gains(unit):
        recipe = at(tmp_path, "noise", unit=unit)
        pairs = [(0, "0000"), (0, "0001"), (1, "0002")]
        return [pipeline.draw_all(recipe, "0" * 64, segment, pair, 3, 0.0)["plain"]["gain"] for segment, pair in pairs]

    assert len(set(gains("segment"))) == 2
    assert len(set(gains("pair"))) == 3


def test_a_draw_that_is_not_applied_leaves_the_frames_alone(tmp_path):
    recipe = at(tmp_path, "noise")
    shown = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert user.Module(recipe.stages[0]).apply(shown, None, {"applied": False}) is shown


def test_display_values_are_clipped_behind_a_stage_and_light_is_not(tmp_path):
    shown = torch.full((1, 3, 4, 4), 0.8)
    for place, most in (("noise", 1.0), ("average", 1.6)):
        module = user.Module(at(tmp_path, place, "frames * 2").stages[0])
        assert module.apply(shown, None, {}).max() == pytest.approx(most)


def test_a_recipe_with_code_is_plain_values_for_workers(tmp_path):
    recipe = imported(tmp_path, section=SECTION)
    (tmp_path / "fog.py").unlink()
    user_stages._loaded.cache_clear()
    again = pickle.loads(pickle.dumps(recipe))
    stage = user.Module(again.stages[0])
    result = stage.apply(torch.ones(1, 3, 4, 4), user_stages.config_of(again, "fog"), {"density": 0.5})
    assert result.unique().tolist() == pytest.approx([0.5 + 0.02 * 0.5])


def test_an_error_on_real_frames_is_one_line_that_a_worker_can_send(source, tmp_path):
    recipe = at(tmp_path, "noise", "frames if frames.shape[3] < 50 else frames[9]")
    user.try_out(recipe.stages[0])
    with pytest.raises(RecipeError) as caught:
        images_of(source, recipe)
    sent = pickle.loads(pickle.dumps(caught.value))
    assert str(sent).startswith(f"{tmp_path / 'plain.py'}:13: IndexError: index 9")
    assert str(sent).endswith("(stage plain, apply)")
    assert (sent.hint, sent.exit_code) == (caught.value.hint, 4)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package with the stages `haze`, installed as by pip."""
    package, info = tmp_path / "site/hazy", tmp_path / "site/hazy-1.0.dist-info"
    package.mkdir(parents=True), info.mkdir()
    (package / "__init__.py").write_text("")
    (package / "stage.py").write_text(FOG)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hazy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lolblur_synth.stages]\nhaze = hazy.stage:fog\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    yield package
    for name in [name for name in sys.modules if name.partition(".")[0] == "hazy"]:
        del sys.modules[name]


def test_an_installed_stage_is_named_without_a_file(installed):
    recipe = recipes.import_stages(recipes.override(Recipe(), ["stages=haze", "haze.density=0.2"]))
    assert user_stages.config_of(recipe, "haze").density == (0.2, 0.2)
    direct = recipes.import_stages(recipes.override(Recipe(), ["stages=hazy.stage:fog"]))
    assert direct.stages[0].sha256 == recipe.stages[0].sha256
    with pytest.raises(RecipeError, match="unknown key 'haze.density'") as caught:
        recipes.override(Recipe(), ["haze.density=0.2"])
    assert "--set stages=haze" in caught.value.hint


def test_another_file_of_its_package_makes_another_recipe(installed):
    before = recipes.override(Recipe(), ["stages=haze"])
    (installed / "table.py").write_text("X = 1\n")
    assert recipes.sha256(recipes.override(Recipe(), ["stages=haze"])) != recipes.sha256(before)


def test_options_of_the_command_are_reserved():
    common = {parameter for option in stage_command.COMMON for parameter in option(lambda: 0).__click_params__}
    assert {parameter.name for parameter in common} | stage_command.OWN.keys() <= user_stages.RESERVED


def test_the_domain_of_each_place_is_documented():
    page = (Path(__file__).parent.parent / "docs/extending.md").read_text()
    for place, domain in user_stages.DOMAINS.items():
        assert f"| `{place}` | {domain} |" in page
