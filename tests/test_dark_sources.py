"""Dark source videos: the input of a pair is darker than its ground truth, for every pair of a segment alike."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from conftest import moving_street

from lolblur_synth import frames as fr
from lolblur_synth import recipes
from lolblur_synth.dataset import plan, worker
from lolblur_synth.dataset.records import Job, Plan
from lolblur_synth.files import video
from lolblur_synth.files.video import write_video
from lolblur_synth.recipe.schema import Recipe
from lolblur_synth.stages import darken
from lolblur_synth.stages.darken import lights

RECIPE = recipes.override(
    Recipe(),
    [
        "skip=denoise,interpolate,noise",
        "resize.width=96",
        "resize.height=64",
        "dataset.pairs=6",
        "darken.exposure=0.12:0.16",
    ],
)


def clip_of(path, recipe=RECIPE) -> Plan:
    item = video.Input(path, path.name, "video")
    return plan.make([worker.inspect(recipe, item)], [], recipe, {})


@pytest.fixture(scope="module")
def dark_video(tmp_path_factory):
    """A street at dusk, which fades to half of its light in the second half: mean L* about 19, then 12."""
    frames = 0.4 * moving_street(60, 3)
    frames[30:] *= 0.65
    path = tmp_path_factory.mktemp("dusk") / "dusk.mp4"
    write_video(path, frames, 250)
    return path


def built(clip, pairs, recipe=RECIPE) -> list[tuple[dict, dict]]:
    """The pairs as one job makes them, in one pass over the video."""
    job = Job(recipe, clip)
    return [worker.make(stack, pair, job) for stack, pair in zip(worker.read_stacks(job, pairs), pairs, strict=True)]


def exposure(images: dict, folder: str) -> float:
    frame, truth = (fr.lightness(fr.from_uint8(images[name])) for name in (folder, "high_sharp_scaled"))
    return float(frame[truth <= lights.SATURATED].mean())


def test_the_input_of_a_dark_clip_is_darker_than_its_truth(dark_video):
    clip = clip_of(dark_video).clips[0]
    for images, record in built(clip, clip.pairs):
        asked, truth = record["draws"]["darken"]["exposure"], exposure(images, "high_sharp_scaled")
        assert asked < 0.12 <= record["draws"]["darken"]["drawn"] <= 0.16, "the manifest holds both"
        assert asked == pytest.approx(0.6 * truth, rel=0.08)
        assert exposure(images, "low_sharp") == pytest.approx(asked, abs=0.006)
        assert record["exposure"] == pytest.approx(exposure(images, "low_sharp"), abs=0.001)
        json.dumps(record)


def test_one_exposure_for_a_segment_whatever_job_builds_it(dark_video):
    clip = clip_of(dark_video).clips[0]
    together = built(clip, clip.pairs)
    asked = [record["draws"]["darken"]["exposure"] for _, record in together]
    segments = [pair.segment for pair in clip.pairs]
    assert len(set(zip(segments, asked, strict=True))) == 2
    assert asked[-1] < 0.8 * asked[0], "the second segment is darker"
    for start in (1, 3):  # within the first segment, and at the beginning of the second
        for (images, record), (again, same) in zip(together[start:], built(clip, clip.pairs[start:]), strict=True):
            assert record == same
            assert all(np.array_equal(images[folder], again[folder]) for folder in images)


def test_without_the_cap_the_frames_stay_as_they_are(dark_video):
    recipe = recipes.override(RECIPE, ["darken.max_share=1", "darken.exposure=0.3", "dataset.pairs=1"])
    clip = clip_of(dark_video, recipe).clips[0]
    images, record = built(clip, clip.pairs, recipe)[0]
    assert record["draws"]["darken"]["exposure"] == record["draws"]["darken"]["drawn"] == 0.3
    assert np.array_equal(images["low_sharp"], images["high_sharp_scaled"])


def test_a_bright_clip_is_not_capped(tmp_path):
    path = tmp_path / "day.mp4"
    write_video(path, moving_street(24, 3), 250)
    clip = clip_of(path).clips[0]
    source = clip.moments(0)
    drawn = darken.Draw(0.16, 0.8, 0.16)
    assert asdict(darken.asked_of(drawn, RECIPE.darken, source)) == {
        "exposure": 0.16,
        "dim": 0.8,
        "drawn": 0.16,
        "share": None,
    }


def test_a_clip_too_dark_for_a_ground_truth_is_named(tmp_path):
    path = tmp_path / "night.mp4"
    write_video(path, 0.15 * moving_street(24, 3), 250)
    made = clip_of(path)
    assert not made.clips
    assert [refusal.reason for refusal in made.refused] == ["too-dark"]
    assert clip_of(path, recipes.override(RECIPE, ["dataset.min_lightness=0"])).pairs
