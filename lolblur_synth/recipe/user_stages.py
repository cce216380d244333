"""Stages of a user: how they are declared (`Stage`), loaded, and checked. Standard library only.

A stage comes from a file that the recipe names, or from an installed package, through the entry point group
`lolblur_synth.stages`. docs/extending.md shows how to write one.
"""

import dataclasses
import functools
import importlib
import linecache
import sys
import traceback
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lolblur_synth.errors import LolblurError, RecipeError
from lolblur_synth.recipe.schema import SECTIONS, STAGE_NAMES, Recipe
from lolblur_synth.recipe.stage_record import UserStage
from lolblur_synth.recipe.values import check, describe_range

GROUP = "lolblur_synth.stages"  # of the entry points
DISPLAY, LINEAR = "display", "linear"
DOMAINS = {  # of the frames after each stage: display values 0..1, or linear light, 0 and up (frames.py)
    "resize": DISPLAY, "denoise": DISPLAY, "darken": DISPLAY, "interpolate": DISPLAY,
    "clip_reverse": LINEAR, "average": LINEAR, "defocus": LINEAR, "noise": DISPLAY,
}  # fmt: skip
UNITS = ("segment", "pair")
RESERVED = {  # keys of the section of a stage, and options of the command `stage`
    "after", "sha256", "input", "output", "recipe", "seed", "device", "jobs", "as_json", "json", "bits", "fps",
    "frames", "each", "overwrite", "save_curves", "keep_mask", "save_raw", "samples", "factor", "help",
}  # fmt: skip
EXAMPLE = "docs/extending.md shows a stage in twenty lines"


@dataclass(frozen=True)
class Stage:
    """A stage of your own.

    after    the built-in stage after which it stands; `DOMAINS` tells whether its frames are display values or light
    config   a dataclass whose fields are declared with `option`
    draw     (config, rng) -> draw: a dataclass or a dict of plain values, which goes into the manifest. rng: a numpy
             Generator, the only source of randomness. A draw with `applied` False leaves the frames as they are
    apply    (frames, config, draw) -> frames: pure; (T, 3, H, W) float32 RGB tensors on the device of the build, T any
             number of frames, each treated alike
    unit     "segment": drawn once for half of a video, so that nothing flickers; "pair": drawn for each pair
    summary  one line for `lolblur-synth stage NAME --help`
    """

    after: str
    config: type
    draw: Callable[[Any, Any], Any]
    apply: Callable[[Any, Any, Any], Any]
    unit: str = "segment"
    summary: str = ""


def load(stage: UserStage) -> Stage:
    """Run the code of a stage, once in a process. Raises RecipeError where it is missing or fails."""
    if not stage.found:
        if stage.path:
            raise RecipeError(f"{_origin(stage)}: {stage.path}: no such file, or no text",
                              "check `stages`: a path is relative to the recipe")  # fmt: skip
        raise RecipeError(f"{_origin(stage)}: no installed package has the stage {stage.target!r}",
                          'install it; or name a file, stages = ["fog.py:fog"]')  # fmt: skip
    if stage.sha256 != stage.found:
        message = f"{_origin(stage)}: {stage.path or stage.target} is another code than the recipe was written for"
        hint = f"restore it; or remove the line sha256 from [{stage.name}], for another dataset"
        raise RecipeError(f"{message} (sha256 {stage.found[:12]}, not {stage.sha256[:12]})", hint)
    return _loaded(stage.code, stage.path, stage.source, stage.found)


@functools.lru_cache
def _loaded(code: str, path: str, source: str, sha256: str) -> Stage:
    try:
        if path:
            module = _module(path, source, sha256)
        else:
            module = importlib.import_module(code.partition(":")[0])
    except LolblurError:
        raise
    except (Exception, SystemExit) as error:
        raise RecipeError(in_words(error, path or code), f"repair it; {EXAMPLE}") from None
    name = code.rpartition(":")[2]
    value: Any = module
    for part in name.split("."):
        value = getattr(value, part, None)
    if not isinstance(value, Stage):
        what = "is not there" if value is None else f"is a {type(value).__name__}"
        raise RecipeError(f"{path or code}: {name} {what}, not a lolblur_synth.Stage", EXAMPLE)
    return value


def _module(path: str, source: str, sha256: str) -> types.ModuleType:
    """The module of a stage file, made from the text that was hashed, so that what runs is what the hash names."""
    name = f"lolblur_synth_stage_{sha256[:16]}"
    module = types.ModuleType(name)
    module.__file__ = path
    sys.modules[name] = module  # dataclasses look their module up
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)  # tracebacks quote this text
    try:
        exec(compile(source, path, "exec"), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def in_words(error: BaseException, path: str) -> str:
    """`fog.py:7: NameError: …`: where in the file of a stage the error arose, and what it is."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return f"{path}:{error.lineno}: {type(error).__name__}: {error.msg}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{path}:{lines[-1]}: {text}" if lines else f"{path}: {text}"


def import_stage(stage: UserStage) -> UserStage:
    """The stage with all its values, checked against its code, which is run. Raises RecipeError."""
    if stage.imported:
        load(stage)
        return stage
    declared, where = load(stage), stage.path or stage.target
    fields = _checked_fields(declared, where)
    place = _place(stage, declared, where)
    stated, origins = dict(stage.values), dict(stage.origins)
    for key in stated.keys() - fields.keys():
        keys = ", ".join(["after", *fields])
        raise RecipeError(f"{origins.get(key, 'recipe')}: unknown key '{stage.name}.{key}'", f"{stage.name} has {keys}")
    values = {name: check(field, stated[name], f"{origins.get(name, 'recipe')}: {stage.name}.{name}")
              if name in stated else field.default for name, field in fields.items()}  # fmt: skip
    notes = tuple((name, _note(field)) for name, field in fields.items())
    return dataclasses.replace(stage, sha256=stage.found, after=place, values=tuple(sorted(values.items())),
                               notes=notes, imported=True)  # fmt: skip


def _note(field: dataclasses.Field) -> str:
    meta = field.metadata
    return "; ".join(note for note in (meta["help"], describe_range(meta), meta["source"]) if note)


def _checked_fields(declared: Stage, where: str) -> dict[str, dataclasses.Field]:
    """The options of a stage. Raises RecipeError where its declaration is not complete."""
    if not (isinstance(declared.config, type) and dataclasses.is_dataclass(declared.config)):
        raise RecipeError(f"{where}: config is no dataclass", EXAMPLE)
    if not callable(declared.draw) or not callable(declared.apply):
        raise RecipeError(f"{where}: draw and apply are not both functions", EXAMPLE)
    if declared.unit not in UNITS:
        raise RecipeError(f"{where}: unit = {declared.unit!r}", f"one of {', '.join(UNITS)}")
    fields = {field.name: field for field in dataclasses.fields(declared.config)}
    for name, field in fields.items():
        if not {"help", "lo", "flag"} <= field.metadata.keys() or isinstance(field.default, bool):
            hint = 'write it as name: float = option(0.5, "what it is", lo=0, hi=1); yes or no as choices'
            raise RecipeError(f"{where}: {name} of the config is not declared with option", hint)
        if name in RESERVED:
            raise RecipeError(f"{where}: an option cannot be called {name}", "the command `stage` has one of this name")
        if check(field, field.default, f"{where}: the default of {name}") != field.default:
            raise RecipeError(f"{where}: the default of {name}, {field.default!r}, is not of its own form",
                              "write a range as (LO, HI), a list as a tuple")  # fmt: skip
    return fields


def _place(stage: UserStage, declared: Stage, where: str) -> str:
    """After which stage it stands: as the recipe says, or else its code. Raises RecipeError."""
    if declared.after not in DOMAINS:
        raise RecipeError(f"{where}: after = {declared.after!r} is no stage", f"one of {', '.join(STAGE_NAMES)}")
    if stage.after and DOMAINS[stage.after] != (domain := DOMAINS[declared.after]):
        places = ", ".join(name for name in STAGE_NAMES if DOMAINS[name] == domain)
        message = f"{dict(stage.origins).get('after', 'recipe')}: {stage.name} works on {domain} frames"
        raise RecipeError(f"{message}; after {stage.after} they are {DOMAINS[stage.after]}", f"give one of {places}")
    place = stage.after or declared.after
    if place == "resize" and declared.unit == "pair":
        raise RecipeError(f"{where}: a stage after resize cannot draw for each pair: neighbours share its frames",
                          'give unit="segment", or another place')  # fmt: skip
    return place


def _origin(stage: UserStage) -> str:
    return dict(stage.origins).get("", "recipe")


def domain(stage: UserStage) -> str:
    """`DISPLAY` or `LINEAR`: what the frames are that an imported stage takes and gives."""
    return DOMAINS[stage.after]


def named(recipe: Recipe, name: str) -> UserStage | None:
    """The stage of the user that has this name, or None."""
    return next((stage for stage in recipe.stages if stage.name == name), None)


def config_of(recipe: Recipe, name: str) -> Any:
    """The config of a stage by its name: a section of the package, or that of an imported stage of the user."""
    stage = None if name in SECTIONS else named(recipe, name)
    return getattr(recipe, name) if stage is None else load(stage).config(**dict(stage.values))
