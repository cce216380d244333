"""Recipes: every number in its range, errors that help, files that say what the program says."""

import dataclasses

import pytest

from lolblur_synth import recipes
from lolblur_synth.errors import RecipeError
from lolblur_synth.recipe.schema import SECTIONS, Recipe


def test_lolblur_is_the_default_and_its_file_is_generated():
    assert recipes.load("lolblur") == Recipe()
    text = (recipes.resources.files("lolblur_synth.recipe.builtin") / "lolblur.toml").read_text()
    words, _, values = text.partition("\n")
    assert words.startswith("# ") and values == recipes.to_toml(Recipe()), "run `make docs`"


@pytest.mark.parametrize("name", recipes.names())
def test_written_recipes_read_back(name):
    recipe = recipes.load(name)
    again = recipes.parse(recipes.to_toml(recipe), "again.toml")
    assert again == recipe
    assert recipes.diff(recipe, again) == []


def test_every_default_is_inside_its_own_range():
    for section in SECTIONS:
        for field in dataclasses.fields(getattr(Recipe, section)):
            assert recipes.check(field, field.default, field.name) == field.default
            assert field.metadata["help"], f"{section}.{field.name} has no help"


@pytest.mark.parametrize(
    ("word", "key", "value"),
    [
        ("darken.exposure=0.1:0.2", "darken.exposure", (0.1, 0.2)),
        ("darken.exposure=0.2", "darken.exposure", (0.2, 0.2)),
        ("average.window=7,9", "average.window", (7, 9)),
        ("average.window=9", "average.window", (9,)),
        ("denoise.sigma=auto", "denoise.sigma", "auto"),
        ("denoise.sigma=12", "denoise.sigma", 12.0),
        ("clip_reverse.space=code", "clip_reverse.space", "code"),
        ("skip=noise,defocus", "skip", ("defocus", "noise")),
    ],
)
def test_overrides(word, key, value):
    recipe = recipes.override(Recipe(), [word])
    section, _, name = key.rpartition(".")
    assert getattr(getattr(recipe, section) if section else recipe, name) == value
    assert recipes.sha256(recipe) != recipes.sha256(Recipe()) or recipe == Recipe()


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("darken.exposur=1", "did you mean 'darken.exposure'"),
        ("darken.exposure=2", "outside 0.001..0.999"),
        ("darken.exposure=0.3:0.1", "empty"),
        ("darken.exposure=nan", "not a number"),
        ("dataset.pairs=1e400", "not a whole number"),
        ("dataset.pairs=1.5", "not a whole number"),
        ("dataset.pairs=true", "not a whole number"),
        ("dataset.seed=-1", "outside"),
        ("clip_reverse.space=lab", "linear"),
        ("average.window=[]", "empty"),
        ("skip=resize", "resize is no stage that can be left out"),
        ("skip=darkn", "darkn is no stage that can be left out"),
        ("nonsense", "no '='"),
        ("a.b.c=1", "unknown key"),
    ],
)
def test_bad_values_are_one_helpful_line(word, expected):
    with pytest.raises(RecipeError) as caught:
        recipes.override(Recipe(), [word])
    text = f"{caught.value} | {caught.value.hint}"
    assert expected in text
    assert caught.value.hint
    assert "\n" not in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[darken]\n\nexposure = 3", "mine.toml:3: darken.exposure"),
        ("[darken]\nexposre = [0.1, 0.2]", "mine.toml:2"),
        ("darken = 3", "mine.toml:1: darken is a section"),
        ("skip = []\n[nosie]  # a typing error\nprobability = 1", "mine.toml:2: unknown key 'nosie'"),
        ("[darken", "mine.toml"),
        ("base = 'nothing'", "not built in"),
        ("[darken]\nexposure = 0.1\nexposure = 0.2", "mine.toml"),
        ("x = " + "[" * 5000, "mine.toml"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(text, expected):
    with pytest.raises(RecipeError, match="mine.toml") as caught:
        recipes.parse(text, "mine.toml")
    assert expected in str(caught.value)


def test_unknown_names_suggest():
    with pytest.raises(RecipeError) as caught:
        recipes.load("lolblurr")
    assert "lolblur" in caught.value.hint


@pytest.mark.parametrize("camera", ["\U0001f4f7.json", 'a\x7fb\n\t"\\', "Kamera-für-Nacht.json", "\\ud83d\\udcf7"])
def test_any_text_can_be_written_and_read(camera):
    noise = dataclasses.replace(Recipe().noise, camera=camera)
    recipe = dataclasses.replace(Recipe(), noise=noise, name=camera)
    assert recipes.parse(recipes.to_toml(recipe), "again.toml") == recipe


def test_text_that_no_file_can_hold_is_refused():
    with pytest.raises(RecipeError, match="not valid Unicode"):
        recipes.override(Recipe(), ["noise.camera=caf\udce9.json"])


def test_departures_build_on_a_base():
    recipe = recipes.parse('base = "fast"\n[dataset]\nseed = 7\n', "mine.toml")
    assert recipe.dataset.seed == 7
    assert recipe.resize == recipes.load("fast").resize
    assert {key for key, *_ in recipes.diff(recipes.load("fast"), recipe)} == {"dataset.seed"}


@pytest.mark.parametrize(("word", "expected"), [(".1", (0.1, 0.1)), (".05:.3", (0.05, 0.3)), ("[.1, 0.2]", (0.1, 0.2))])
def test_a_number_may_begin_with_its_point(word, expected):
    assert recipes.override(Recipe(), [f"darken.exposure={word}"]).darken.exposure == expected
