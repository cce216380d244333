"""Where exposures are placed, and what never changes when something else does."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from lolblur_synth import recipes
from lolblur_synth.dataset import plan
from lolblur_synth.dataset.records import Place, VideoInfo
from lolblur_synth.errors import InputError
from lolblur_synth.recipe.schema import Recipe
from lolblur_synth.stages import average

RECIPE = recipes.override(Recipe(), ["skip=denoise"])


def video(name="a.mp4", frames=1000, fps=250.0, cuts=(), sha="00", **facts) -> VideoInfo:
    return VideoInfo(name, f"/x/{name}", "video", sha, fps, frames, 1280, 720, 8, "yuv420p", "test", tuple(cuts),
                 facts.get("repeats", 1), 0.0, facts.get("lightness", 0.5))  # fmt: skip


def test_two_segments_of_thirty_that_never_meet():
    pairs = plan.place(video(frames=1000), RECIPE)
    assert [p.segment for p in pairs] == [0] * 30 + [1] * 30
    assert [p.name for p in pairs] == [f"{i:04d}" for i in range(60)]
    for pair in pairs:
        assert 0 <= pair.first <= pair.mid - average.reach(pair.window)
        assert pair.mid + average.reach(pair.window) <= pair.last < 1000
        assert (pair.last < 500) if pair.segment == 0 else (pair.first >= 500)
    for a, b in zip(pairs[:-1], pairs[1:], strict=True):
        if a.segment == b.segment:
            assert a.window == b.window
            assert b.mid - a.mid >= a.window, "exposures must not overlap"
            assert abs(Fraction(b.mid - a.mid) - Fraction(250, 24)) <= 1


def test_the_blurred_rate_does_not_drift():
    pairs = [p for p in plan.place(video(frames=1000), RECIPE) if p.segment == 0]
    assert abs((pairs[-1].mid - pairs[0].mid) - 29 * 250 / 24) <= 1


def test_no_window_crosses_a_scene_cut():
    cuts = (40, 47, 300, 760)
    for pair in plan.place(video(cuts=cuts), RECIPE):
        assert not any(pair.first <= cut < pair.last for cut in cuts)


def test_scene_cuts_are_named():
    text = "\n".join(plan.make([video(cuts=(40, 47, 300, 760))], [], RECIPE, {}).warnings)
    assert "4 scene cuts, after frames 40, 47, 300, …" in text
    assert "none crosses one" in text


@pytest.mark.parametrize("frames", [9, 10, 11, 12, 18, 19, 23, 97])
def test_short_clips_give_what_fits(frames):
    pairs = plan.place(video(frames=frames), RECIPE)
    assert pairs
    assert all(p.first >= 0 and p.last < frames for p in pairs)


@pytest.mark.parametrize("frames", [0, 1, 8])
def test_too_short_says_needed_and_found(frames):
    with pytest.raises(InputError, match=f"{frames} frame.*needs 9") as caught:
        plan.place(video(frames=frames), RECIPE)
    assert caught.value.reason == "too-short"


def test_cut_to_pieces():
    with pytest.raises(InputError, match="without a scene cut"):
        plan.place(video(frames=100, cuts=range(0, 100, 5)), RECIPE)


def test_pairs_option_limits_a_video():
    for wanted in (1, 2, 5, 8):
        recipe = recipes.override(RECIPE, [f"dataset.pairs={wanted}"])
        assert len(plan.place(video(), recipe)) == wanted


def test_denoising_context_stays_inside_the_segment():
    recipe = recipes.override(Recipe(), ["skip=[]"])
    for pair in plan.place(video(cuts=(100,)), recipe):
        assert pair.first >= (500 if pair.segment else 0)
        assert not pair.first <= 100 < pair.last


@pytest.mark.parametrize(("fps", "word"), [(960.0, "7 to 9 ms"), (120.0, "58 to 75 ms"), (250.0, ""), (480.0, "")])
def test_exposures_unlike_a_real_one_are_named(fps, word):
    text = "\n".join(plan.make([video(fps=fps)], [], RECIPE, {}).warnings)
    assert ("unlike a video by night" in text) == bool(word)
    assert word in text


def test_adding_a_video_changes_nothing_else():
    videos = [video(f"{c}.mp4", sha=c * 4) for c in "bdf"]
    before = plan.make(videos, [], RECIPE, {})
    previous = {clip.video.sha256: Place(clip.sequence, clip.split) for clip in before.clips}
    after = plan.make([video("a.mp4", sha="aaaa"), *videos], [], RECIPE, previous)
    kept = {clip.video.sha256: clip for clip in after.clips}
    assert all(kept[clip.video.sha256] == clip for clip in before.clips)
    assert kept["aaaa"].sequence == "0003"


def test_the_order_of_inputs_does_not_matter():
    videos = [video(f"{c}.mp4", sha=c * 4) for c in "abcdefghij"]
    assert plan.make(videos, [], RECIPE, {}) == plan.make(videos[::-1], [], RECIPE, {})


def test_the_split_is_by_video_and_near_the_fraction():
    videos = [video(f"{i}.mp4", sha=f"{i:064d}") for i in range(20)]
    splits = [clip.split for clip in plan.make(videos, [], RECIPE, {}).clips]
    assert splits.count("test") == 3


@pytest.mark.parametrize("count", [2, 3])
def test_of_a_few_videos_one_is_for_test(count):
    videos = [video(f"{i}.mp4", sha=f"{i:064d}") for i in range(count)]
    assert [clip.split for clip in plan.make(videos, [], RECIPE, {}).clips].count("test") == 1
    none = recipes.override(RECIPE, ["dataset.test_fraction=0"])
    assert {clip.split for clip in plan.make(videos, [], none, {}).clips} == {"train"}
    one_scene = [dataclasses.replace(each, picture="c" * 64) for each in videos]
    assert {clip.split for clip in plan.make(one_scene, [], RECIPE, {}).clips} == {"train"}, "nothing to train on else"


def test_a_second_video_is_for_test_and_the_first_stays():
    first, second = (video(f"{i}.mp4", sha=f"{i:064d}") for i in (4, 7))
    for known, new in ((first, second), (second, first)):
        clips = plan.make([known, new], [], RECIPE, {known.sha256: Place("0000", "train")}).clips
        assert {clip.video.name: clip.split for clip in clips} == {known.name: "train", new.name: "test"}


def test_the_split_does_not_depend_on_the_seed():
    """Datasets of the same videos with several seeds may be joined: none trains on the test videos of another."""
    videos = [video(f"{i}.mp4", sha=f"{i:064d}") for i in range(40)]
    splits = {seed: [clip.split for clip in plan.make(videos, [], recipes.override(RECIPE, [f"dataset.seed={seed}"]),
                                                      {}).clips] for seed in range(4)}  # fmt: skip
    assert all(split == splits[0] for split in splits.values())
    assert splits[0].count("test") == 6


def test_clips_of_one_picture_are_in_one_split():
    """`shoot` makes several clips of a picture: one in train and one in test would show the same scene."""
    shots = [dataclasses.replace(video(f"{i}.mkv", sha=f"{i:064d}"), picture=f"{i // 4:x}" * 64) for i in range(40)]
    clips = plan.make(shots, [], RECIPE, {}).clips
    splits = {}
    for clip in clips:
        splits.setdefault(clip.video.picture, set()).add(clip.split)
    assert all(len(found) == 1 for found in splits.values())
    assert sum(clip.split == "test" for clip in clips) == 8, "6 asked for, in fours"
    previous = {clip.video.sha256: Place(clip.sequence, clip.split) for clip in clips}
    tested = next(clip for clip in clips if clip.split == "test").video
    again = plan.make([*shots, dataclasses.replace(tested, name="new.mkv", sha256="e" * 64)], [], RECIPE, previous)
    assert {clip.video.name: clip.split for clip in again.clips}["new.mkv"] == "test", (
        "a later clip goes with its scene"
    )


def test_the_same_content_is_used_once_and_said():
    found = plan.make([video("a.mp4"), video("b.mp4")], [], RECIPE, {})
    assert len(found.clips) == 1
    assert "same content as a.mp4" in found.warnings[0]


def plan_of(lightness, *words):
    return plan.make([video(frames=1000, lightness=lightness)], [], recipes.override(RECIPE, list(words)), {})


def test_a_clip_darker_than_the_exposures_is_named():
    def said(lightness, *words):
        return "\n".join(plan_of(lightness, "darken.dim=0.75", *words).warnings)

    assert "a mean L* of 16 (unsaturated pixels)" in said(0.2)  # 0.2 - 0.25 * 0.2 * 0.8
    assert "are above 0.6 of that and are lowered to it" in said(0.2)
    assert not said(0.6)
    assert not said(0.2, "darken.exposure=0.03:0.1")
    assert not said(0.2, "skip=denoise,darken")
    assert "100 %" in said(0.2, "darken.exposure=0.4")
    assert "above that and leave it as it is" in said(0.2, "darken.exposure=0.4", "darken.max_share=1")


def test_a_clip_too_dark_for_a_ground_truth_is_left_out_unless_asked_for():
    refused = plan_of(0.09).refused
    assert [refusal.reason for refusal in refused] == ["too-dark"]
    assert "too dark for a ground truth: mean L*" in refused[0].message
    assert plan_of(0.12).pairs == 60
    assert plan_of(0.09, "dataset.min_lightness=0").pairs == 60
    assert plan_of(0.12, "dataset.min_lightness=20").pairs == 0
    assert plan_of(0.0, "skip=denoise,darken").pairs == 60, "without darkening no pair needs a bright clip"


def test_the_lightness_of_a_segment_is_that_of_the_frames_that_its_pairs_span():
    levels = np.linspace(0.2, 0.6, 1000)
    facts = dataclasses.replace(video(frames=4000), moments=tuple(zip(levels, levels**2, strict=True)))
    clip = plan.make([facts], [], RECIPE, {}).clips[0]
    for segment in (0, 1):
        pairs = [pair for pair in clip.pairs if pair.segment == segment]
        frames = np.arange(pairs[0].first, pairs[-1].last + 1)
        expected = levels[frames // 4]
        assert clip.moments(segment) == pytest.approx((expected.mean(), (expected**2).mean()))
    assert clip.moments(1)[0] > clip.moments(0)[0]


def test_warnings():
    small = dataclasses.replace(video(fps=30.0, repeats=8), width=640)
    text = "\n".join(plan.make([small], [], RECIPE, {}).warnings)
    assert "enlarged" in text
    assert "stored 8 times" in text
    assert "--fps 250" in text


def test_a_clip_shorter_than_an_exposure_is_a_still_where_nothing_is_averaged():
    only_dark = recipes.override(Recipe(), ["skip=denoise,interpolate,clip_reverse,average,defocus,noise"])
    (pair,) = plan.place(video(frames=1), recipes.override(only_dark, ["dataset.pairs=1"]))
    assert (pair.window, pair.mid, pair.first, pair.last, pair.shown) == (0, 0, 0, 0, (0, 0))
    assert [pair.mid for pair in plan.place(video(frames=3), only_dark)] == [0, 1], "one of each half"
    assert plan.place(video(frames=1000), only_dark) == plan.place(video(frames=1000), RECIPE)
    with pytest.raises(InputError, match="1 frame, one exposure needs 9"):
        plan.place(video(frames=1), RECIPE)
