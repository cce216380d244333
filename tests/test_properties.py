"""Properties that hold for every recipe, video and name, on random examples: `LOLBLUR_TEST_SEED=N` chooses others."""

import dataclasses
import math
import os
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from lolblur_synth import recipes
from lolblur_synth.dataset import plan
from lolblur_synth.dataset.records import Place, VideoInfo
from lolblur_synth.errors import InputError
from lolblur_synth.files.video import frames_of
from lolblur_synth.recipe.schema import SECTIONS, STAGE_NAMES, Recipe
from lolblur_synth.stages import average

SEED = int(os.environ.get("LOLBLUR_TEST_SEED", 0))


def holds(*strategies, examples=150):
    """Run a test on random examples, chosen by SEED."""

    def decorate(test):
        quick = settings(max_examples=examples, deadline=None, database=None, print_blob=True,
                         suppress_health_check=list(HealthCheck))  # fmt: skip
        return seed(SEED)(quick(given(*strategies)(test)))

    return decorate


def values_of(field: dataclasses.Field) -> st.SearchStrategy:
    """Every value that an option of the recipe may have, at most a million where it has no limit."""
    meta = field.metadata
    low, high = max(meta["lo"], -1e6), min(meta["hi"], 1e6)
    number = st.floats(low, high, allow_nan=False)
    if meta["flag"] == "range":
        return st.tuples(number, number).map(sorted).map(tuple)
    if meta["flag"] == "list":
        whole = st.integers(math.ceil(low), math.floor(high))
        return st.lists(whole, min_size=1, max_size=3, unique=True).map(tuple)
    if meta["choices"]:
        return st.sampled_from(meta["choices"])
    if isinstance(field.default, str) and not meta["words"]:
        return st.text(st.characters(codec="utf-8"), max_size=20)
    if isinstance(field.default, int):
        return st.integers(math.ceil(low), math.floor(high))
    return number | st.sampled_from(meta["words"]) if meta["words"] else number


@st.composite
def any_recipe(draw: st.DrawFn) -> Recipe:
    sections = {}
    for section in sorted(draw(st.sets(st.sampled_from(SECTIONS), max_size=4))):
        config = getattr(Recipe, section)
        chosen = sorted(draw(st.sets(st.sampled_from([f.name for f in dataclasses.fields(config)]), max_size=3)))
        fields = {field.name: field for field in dataclasses.fields(config)}
        sections[section] = dataclasses.replace(config, **{name: draw(values_of(fields[name])) for name in chosen})
    skip = draw(st.sets(st.sampled_from(STAGE_NAMES[1:]), max_size=3))
    return dataclasses.replace(Recipe(), skip=tuple(name for name in STAGE_NAMES if name in skip), **sections)


@holds(any_recipe())
def test_a_recipe_written_and_read_is_the_same(recipe):
    again = recipes.parse(recipes.to_toml(recipe), "again.toml")
    assert again == recipe
    assert recipes.sha256(again) == recipes.sha256(recipe)


@holds(st.text(max_size=200))
def test_any_text_is_a_recipe_or_one_line(text):
    try:
        recipes.parse(text, "a.toml")
    except recipes.RecipeError as error:
        assert "a.toml" in str(error)


@st.composite
def videos(draw: st.DrawFn, count: int = 1) -> list[VideoInfo]:
    found = []
    for number in range(count):
        frames = draw(st.integers(1, 1500))
        cuts = sorted(draw(st.sets(st.integers(0, max(0, frames - 2)), max_size=6)))
        fps = draw(st.sampled_from([24.0, 30000 / 1001, 120.0, 240.0, 250.0, 960.0, 239.76]))
        picture = draw(st.sampled_from(["", "", "p" * 64]))
        found.append(VideoInfo(f"{number}.mp4", "", "video", f"{number:064d}", fps, frames, 64, 48, 8, "", "",
                               tuple(cuts), 1.0, 0.0, 0.5, picture=picture))  # fmt: skip
    return found


@st.composite
def plan_recipes(draw: st.DrawFn) -> Recipe:
    words = [f"dataset.pairs={draw(st.integers(1, 60))}", f"dataset.segment_pairs={draw(st.integers(1, 30))}",
             f"dataset.rate={draw(st.floats(0.5, 300))}", f"dataset.seed={draw(st.integers(0, 9))}",
             f"average.window={draw(st.sampled_from(['7', '9', '7,9']))}",
             f"dataset.test_fraction={draw(st.floats(0, 1))}"]  # fmt: skip
    return recipes.override(recipes.load("lolblur"), [*words, *draw(st.sampled_from([[], ["skip=denoise"]]))])


@holds(videos(), plan_recipes())
def test_exposures_lie_in_their_segment_and_shot_and_never_overlap(found, recipe):
    (video,) = found
    try:
        pairs = plan.place(video, recipe)
    except InputError as error:
        assert error.reason in ("too-short", "cuts")
        return
    assert 0 < len(pairs) <= recipe.dataset.pairs
    assert [pair.name for pair in pairs] == [f"{number:04d}" for number in range(len(pairs))]
    for pair in pairs:
        first, last = pair.shown
        assert 0 <= pair.first <= first < pair.mid < last <= pair.last < video.frames
        assert pair.mid - first == last - pair.mid == average.reach(pair.window)
        assert not any(pair.first <= cut < pair.last for cut in video.cuts)
        assert pair.unit is None or pair.first <= pair.unit[0] <= first <= last <= pair.unit[1] <= pair.last
    for one, two in zip(pairs, pairs[1:], strict=False):
        assert two.mid - one.mid >= one.window - 1 or one.segment != two.segment
        if one.segment != two.segment:
            assert one.last < two.first, "no window crosses the seam"
        else:
            assert one.window == two.window
            assert two.mid - one.mid >= int(Fraction(video.fps) / Fraction(recipe.dataset.rate)), "not above the rate"


@holds(videos(8), plan_recipes(), st.randoms(use_true_random=False), st.integers(1, 7), examples=60)
def test_the_split_keeps_scenes_together_and_what_was_placed_stays(found, recipe, rng, first):
    def places(videos_, previous):
        made = plan.make(videos_, [], recipe, previous)
        return {clip.video.sha256: Place(clip.sequence, clip.split) for clip in made.clips}

    shuffled = rng.sample(found, len(found))
    whole = places(found, {})
    assert places(shuffled, {}) == whole
    other_seed = dataclasses.replace(recipe, dataset=dataclasses.replace(recipe.dataset, seed=77))
    splits = {clip.video.sha256: clip.split for clip in plan.make(found, [], other_seed, {}).clips}
    assert all(splits[sha] == place.split for sha, place in whole.items() if sha in splits)
    split_by_scene = {}
    for video in found:
        if video.sha256 in whole:
            assert split_by_scene.setdefault(video.scene, whole[video.sha256].split) == whole[video.sha256].split
    earlier = places(shuffled[:first], {})
    later = places(found, earlier)
    assert earlier.items() <= later.items()
    assert len({place.sequence for place in later.values()}) == len(later)


@holds(st.integers(1, 64), st.integers(1, 64))
def test_the_centroid_of_an_exposure_is_the_ground_truth(window, factor):
    times = average.times(window, factor)
    assert len(times) == window * factor
    assert abs(times.mean()) < 1e-3
    np.testing.assert_allclose(times, -times[::-1], atol=1e-9)
    np.testing.assert_allclose(np.diff(times), 1 / factor, atol=1e-9)
    assert abs(times).max() < average.reach(window)


@holds(st.integers(0, 10**9), st.integers(1, 40), st.integers(1, 12), st.integers(2, 30), st.booleans())
def test_numbered_frames_come_in_the_order_of_their_numbers(tmp_path_factory, first, step, digits, count, padded):
    folder = tmp_path_factory.mktemp("frames")
    numbers = [first + step * index for index in range(count)]
    names = [f"shot_{number:0{digits if padded else 1}d}.png" for number in numbers]
    for name in sorted(names):
        (folder / name).write_bytes(b"x")
    assert [path.name for path in frames_of(folder)] == names
    if count > 3:
        (folder / names[count // 2]).unlink()
        with pytest.raises(InputError) as caught:
            frames_of(folder)
        assert caught.value.reason == "vfr", "a missing frame is named"
