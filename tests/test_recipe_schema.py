"""The JSON Schema of recipes accepts what `recipes.load` accepts, and refuses what it refuses."""

import dataclasses
import math
import tomllib
from importlib import resources

import jsonschema
import pytest

from lolblur_synth import recipes
from lolblur_synth.errors import RecipeError
from lolblur_synth.recipe import json_schema
from lolblur_synth.recipe.schema import SECTIONS, Recipe, option
from lolblur_synth.recipe.values import check

SCHEMA = jsonschema.Draft7Validator(json_schema.of_recipes(recipes.names()))
OPTIONS = [(section, field) for section in SECTIONS for field in dataclasses.fields(getattr(Recipe, section))]


def candidates(field: dataclasses.Field) -> list:
    """Values of every kind, at the limits of the option and beyond them."""
    low, high = (value if math.isfinite(value) else 0 for value in (field.metadata["lo"], field.metadata["hi"]))
    numbers = [low, high, low - 1, high + 1, 8, 8.5, 0]
    pairs = [[low, high], [low - 1, high], [low, low, low], [low], []]
    words = ["", "a word", *field.metadata["choices"], *field.metadata["words"], "gg"]
    return [*numbers, *pairs, *words, True, field.default if not isinstance(field.default, tuple) else [*field.default]]


def is_accepted(field: dataclasses.Field, value) -> bool:
    try:
        check(field, value, "value")
    except RecipeError:
        return False
    return True


@pytest.mark.parametrize(("section", "field"), OPTIONS, ids=lambda part: getattr(part, "name", part))
def test_each_option_takes_the_values_that_the_program_takes(section, field):
    for value in candidates(field):
        if isinstance(value, list) and len(value) == 2 and value[0] > value[1]:
            continue  # an empty range; no schema can tell
        accepted = is_accepted(field, value)
        assert SCHEMA.is_valid({section: {field.name: value}}) == accepted, value


@pytest.mark.parametrize("name", recipes.names())
def test_the_built_in_recipes_are_valid(name):
    text = (resources.files("lolblur_synth.recipe.builtin") / f"{name}.toml").read_text()
    SCHEMA.validate(tomllib.loads(text))
    SCHEMA.validate(tomllib.loads(recipes.to_toml(recipes.load(name))))


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ('base = "night"', True),
        ('base = "noon"', False),
        ('skip = ["denoise", "clip-reverse"]', True),
        ('skip = ["resize"]', False),
        ('skip = "denoise,noise"', True),
        ("[clip-reverse]\nr = 30", True),
        ("[nois]\niso = 100", False),
        ("[noise]\nizo = 100", False),
        ("seed = 1", False),
        ('stages = ["fog.py:fog"]\n[fog]\nafter = "defocus"\ndensity = [0.1, 0.4]', True),
        ('stages = ["fog.py:fog"]\n[fog]\nafter = "fog"', False),
        ("[fog]\ndensity = 1", False),
    ],
)
def test_keys_sections_and_stages_of_the_user(text, valid, tmp_path):
    (tmp_path / "fog.py").write_text("")
    (tmp_path / "recipe.toml").write_text(text)
    assert SCHEMA.is_valid(tomllib.loads(text)) == valid
    if valid:
        recipes.load(str(tmp_path / "recipe.toml"))
    else:
        with pytest.raises(RecipeError):
            recipes.load(str(tmp_path / "recipe.toml"))


def test_every_option_has_its_meaning_and_default():
    for section, field in OPTIONS:
        told = json_schema.of_recipes(recipes.names())["definitions"][section]["properties"][field.name]
        assert told["description"].startswith(field.metadata["help"])
        assert told["default"] == ([*field.default] if isinstance(field.default, tuple) else field.default)


def test_a_number_says_its_range_and_unit():
    @dataclasses.dataclass
    class Config:
        radius: float = option(1.0, "size of the kernel", unit="px", lo=0, hi=20, source="section 3")

    (field,) = dataclasses.fields(Config)
    assert json_schema.of_option(field) == {
        "description": "size of the kernel; 0..20 px; section 3", "type": "number", "minimum": 0, "maximum": 20,
        "default": 1.0,
    }  # fmt: skip


def test_every_built_in_recipe_says_in_words_what_it_is_for():
    for name in recipes.names():
        summary = recipes.summary(name)
        assert summary[0].isupper() and " " in summary
        assert len(summary) < 80
