"""Measured light through the commands: a build guesses nothing; single stages and `restore` show it clipped."""

import dataclasses
import json
import logging

import cv2
import media
import numpy as np
import pytest
from click.testing import CliRunner

from lolblur_synth import recipes
from lolblur_synth.cli import main
from lolblur_synth.dataset import build, keys, manifest, plan, verify, worker
from lolblur_synth.dataset.records import Clip, Job
from lolblur_synth.errors import InputError, UsageError
from lolblur_synth.files import images, video
from lolblur_synth.recipe.schema import Recipe
from lolblur_synth.tools import realism, restore, stage
from lolblur_synth.tools.request import Request
from lolblur_synth.training import photos

WORDS = "holds light above white: measured, not guessed"
FRAMES = 20


def street(index: int) -> np.ndarray:
    """(96, 128, 3) linear light: a grey pattern that moves one pixel a frame, and a lamp of 10."""
    rng = np.random.default_rng(0)
    wall = rng.random((12, 24, 3)).repeat(8, 0).repeat(8, 1)[:, index : index + 128] * 0.5 + 0.05
    wall[30:42, 40:52] = 10
    return wall


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A PQ video. Not to be written to."""
    path = tmp_path_factory.mktemp("pq") / "pq.mp4"
    lights = [street(index) for index in range(FRAMES)]
    options = {"x265-params": "lossless=1:log-level=none", "preset": "ultrafast"}
    return media.hdr(path, lights, "libx265", rate=250, options=options)


def recipe(*words: str) -> Recipe:
    return recipes.override(Recipe(), ["resize.width=128", "resize.height=96", "dataset.pairs=1", *words])


@pytest.fixture
def words(monkeypatch):
    """Runs a command with its workers in this process: starting two of their own takes ten times the work."""

    def here(target, tasks, jobs, report):
        for payload, items in tasks:
            for kind, item, *result in getattr(worker, target.rpartition(":")[2])(payload, items):
                if kind != "begin":
                    report(kind, item, *result)

    monkeypatch.setattr(build.clusters, "choose", lambda backend, address="": here)
    monkeypatch.setattr(build.pool, "run", here)
    return lambda *words: CliRunner().invoke(main, list(map(str, words)))


def test_a_pq_clip_builds_and_the_manifest_says_measured(clip, tmp_path, words):
    out = tmp_path / "out"
    left_out = ["--skip", "denoise", "--skip", "noise"]
    done = words("build", clip, out, *left_out, "--size", "128x96", "--pairs", "1")
    assert done.exit_code == 0, done.output
    (pair,) = manifest.read(out)
    assert pair["light"] == "measured"
    assert pair["source"]["colour"] == "yuv420p10le bt2020 limited PQ"
    assert "clip_reverse" not in pair["draws"]
    assert pair["skipped"] == ["denoise", "noise"]
    sharp = cv2.imread(str(out / pair["split"] / "high_sharp_original" / f"{pair['pair']}.png"))[..., ::-1] / 255
    lamp = sharp[32:40, 42:50]
    assert (lamp == 1).all(), "the ground truth is the clipped display frame"
    assert np.abs(sharp - np.minimum(street(pair["mid"]) ** (1 / 2.2), 1)).mean() < 0.05
    assert verify.verify(out) == []
    state = words("status", out)
    assert f"pq.mp4: {WORDS}" in state.stdout.splitlines()
    assert verify.status(out)["measured"] == ["pq.mp4"]
    planned = words("plan", clip, out)
    assert f"pq.mp4 ({WORDS})" in planned.stdout


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ((), False),
        (("skip=clip_reverse",), True),
        (("clip_reverse.space=hdr",), True),
        (("skip=noise",), False),
        (("skip=clip_reverse,average",), False),
    ],
)
def test_a_wish_about_clip_reverse_that_has_no_effect_is_told(clip, changes, told):
    asked = recipe(*changes)
    info = worker.inspect(recipe("skip=denoise"), video.Input(clip, "pq.mp4", "video"))
    guessed = dataclasses.replace(info, light="guessed", sha256="0" * 64, name="sdr.mp4")
    notes = {
        videos: [note for note in plan.make(list(videos), [], asked, {}).warnings if "clip_reverse" in note]
        for videos in ((info,), (info, guessed), (guessed,))
    }
    words = (
        "neither clip_reverse nor leaving it out makes a difference to {}, "
        "whose light above white is measured (HDR, or shot from pictures)"
    )
    assert notes[(info,)] == ([words.format("every clip")] if told else [])
    assert notes[info, guessed] == ([words.format("1 of 2 clips")] if told else [])
    assert notes[(guessed,)] == []


def test_what_is_left_out_of_the_draws_is_the_guess_alone(clip):
    info = worker.inspect(recipe("skip=denoise"), video.Input(clip, "pq.mp4", "video"))
    assert info.light == "measured"
    assert info.lightness < 0.7, "lightness is that of the clipped frame"
    (pair,) = plan.place(info, recipe("skip=denoise"))
    draws = worker.draws_of(pair, Job(recipe("skip=denoise"), Clip("0000", "train", info, (pair,))))
    assert set(draws) == {"resize", "darken", "interpolate", "average", "defocus", "noise"}


def test_the_estimate_of_noise_sees_the_clipped_frame(clip, monkeypatch):
    stacks = []
    monkeypatch.setattr(worker.denoise, "estimate", lambda stack: stacks.append(stack) or worker.denoise.Draw(1.0))
    worker.inspect(recipe(), video.Input(clip, "pq.mp4", "video"))
    assert stacks[0].max() <= 1


def test_a_pair_that_was_built_by_guessing_is_built_again(clip):
    info = worker.inspect(recipe("skip=denoise"), video.Input(clip, "pq.mp4", "video"))
    (pair,) = plan.place(info, recipe("skip=denoise"))
    measured, guessed = (
        keys.key(recipe(), Clip("0000", "train", dataclasses.replace(info, light=light), (pair,)), pair, {}, "cpu")
        for light in ("measured", "guessed")
    )
    assert measured != guessed


def test_status_of_a_dataset_from_before_light_was_noted(tmp_path):
    (tmp_path / ".lolblur").mkdir()
    clips = [{"sequence": "0000", "split": "train", "name": "a", "sha256": "0", "pairs": ["0000"]}]
    (tmp_path / ".lolblur/plan.json").write_text(json.dumps({"clips": clips}))
    assert verify.status(tmp_path)["measured"] == []


# ---- tools that know no light above white --------------------------------------------------------------------------


@pytest.fixture
def lamp(tmp_path):
    """A .exr and a .hdr of the same street."""
    light = street(0).astype(np.float32)
    return media.rgb_exr(tmp_path / "a.exr", light), media.radiance(tmp_path / "b.hdr", light)


def ask(name, source, target, *words):
    return stage.run(Request(name, source, target, recipe(*words)))


def test_a_stage_of_display_frames_shows_light_clipped_at_white(lamp, clip, tmp_path, caplog):
    expected = np.minimum(street(0) ** (1 / 2.2), 1)
    for source in (*lamp, clip):
        caplog.clear()
        target = tmp_path / f"{source.stem}-out"
        ask("resize", source, target)
        assert "clipped at white" in caplog.text
        shown = images.read_image(min(target.iterdir()))
        assert np.abs(shown - expected).mean() < 0.02


def test_a_stage_of_linear_light_keeps_what_is_above_white(lamp, tmp_path, caplog):
    for source in lamp:
        ask("defocus", source, tmp_path / f"{source.stem}.tiff", "defocus.radius=0.3")
        assert images.read_image(tmp_path / f"{source.stem}.tiff").max() > 9
    assert "clipped" not in caplog.text


@pytest.mark.parametrize("name", ["average", "clip_reverse", "defocus"])
def test_a_stage_that_carries_light_takes_the_whole_of_a_video(name, clip, tmp_path, caplog):
    """Linear light out, or display frames of a lamp that was spread while it was brighter than white."""
    whole, clipped = [], []
    for video_light, frames in ((video.MEASURED, whole), (video.GUESSED, clipped)):
        caplog.clear()
        source = stage._open(Request(name, clip, tmp_path, recipe("defocus.radius=2")))
        source = dataclasses.replace(source, extended=video_light == video.MEASURED)
        assert "clipped at white" not in caplog.text
        request = Request(name, clip, tmp_path, recipe("defocus.radius=2"))
        drawn, shown = stage._draw(request, source)
        frames += [drawn, next(iter(shown))]
    assert whole[1].max() > 2
    assert clipped[1].max() <= 1


def test_clip_reverse_adds_nothing_to_measured_light(lamp, clip, tmp_path, caplog):
    for source in (*lamp, clip):
        caplog.clear()
        report = ask("clip_reverse", source, tmp_path / f"{source.stem}-out")
        assert caplog.text.count("is measured: clip-reverse has nothing to add") == 1
        assert report.results[0].draw["gain"] == 0
        light = images.read_image(min((tmp_path / f"{source.stem}-out").iterdir()))
        assert light.max() > 8
        assert np.abs(light - street(0)).mean() < 0.05


def test_light_is_not_written_as_exr(lamp, tmp_path):
    with pytest.raises(UsageError, match=r"cannot write \.exr files"):
        ask("defocus", lamp[0], tmp_path / "out.exr")


def test_restore_shows_light_clipped_at_white(lamp, clip, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(restore, "_network", lambda config, say: lambda pixels: pixels)
    expected = np.minimum(street(0) ** (1 / 2.2), 1)
    for source in (*lamp, clip):
        with caplog.at_level(logging.WARNING):
            caplog.clear()
            restore.restore(source, tmp_path / f"{source.stem}-out", quiet=True)
        assert "clipped at white" in caplog.text
        assert np.abs(images.read_image(min((tmp_path / f"{source.stem}-out").iterdir())) - expected).mean() < 0.02


def test_figures_are_of_display_frames_alone(lamp, tmp_path):
    with pytest.raises(InputError, match="no noisy frames"):
        realism.frames_of(tmp_path)


def test_trainings_take_pictures_of_light_as_a_display_shows_them(lamp, clip):
    for _, _, pixels in photos.stills([*lamp, clip], 1):
        assert pixels.max() == 1
        assert np.abs(pixels - np.minimum(street(0) ** (1 / 2.2), 1)).mean() < 0.02
