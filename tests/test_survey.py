"""The identity of inputs: what was surveyed is what is built, whatever names, sizes and dates of files say."""

import dataclasses
import json
import os
import shutil
from pathlib import Path

import cv2
import media
import numpy as np
import pytest

import lolblur_synth
from lolblur_synth import recipes
from lolblur_synth.dataset import layout, stored, survey, worker
from lolblur_synth.dataset.build import Summary
from lolblur_synth.dataset.records import VideoInfo
from lolblur_synth.errors import ForeignOutput, InputError
from lolblur_synth.files import video
from lolblur_synth.parallel import clusters

PLAIN = recipes.override(
    recipes.load("lolblur"),
    ["skip=denoise,darken,interpolate,clip_reverse,defocus,noise", "resize.width=64", "resize.height=48",
     "dataset.pairs=2", "average.window=7", "input.fps=250", "dataset.test_fraction=0"],
)  # fmt: skip
DATE = (1_700_000_000, 1_700_000_000)  # s; one date for all, as a reproducible archive unpacks them


def here(target: str, tasks: list, jobs: int, report) -> None:
    """`pool.run` without processes."""
    generate = getattr(worker, target.partition(":")[2])
    for payload, items in tasks:
        for kind, item, *result in generate(payload, items):
            if kind != "begin":
                report(kind, item, *result)


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    monkeypatch.setattr(clusters, "choose", lambda backend, address: here)


def clip(path: Path, seed: int) -> Path:
    """A video whose size depends on nothing but its frame count, with the date of all."""
    media.encode(path, media.scene(24, seed=seed), codec="rawvideo", pix_fmt="bgr24")
    os.utime(path, DATE)
    return path


def frames(folder: Path, seed: int) -> Path:
    folder.mkdir(parents=True)
    for number, pixels in enumerate(media.scene(24, seed=seed)):
        write_frame(folder / f"{number:04d}.tif", pixels)
    return folder


def write_frame(path: Path, pixels: np.ndarray) -> None:
    cv2.imwrite(str(path), pixels[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 1])
    os.utime(path, DATE)


def build(inputs, out: Path, **options) -> tuple[Summary, list[str]]:
    """The summary, and every note and failure that the user is told."""
    lines = []

    def listen(kind, facts):
        if kind in ("note", "failed"):
            lines.append(facts["message"])

    return lolblur_synth.build(inputs, out, PLAIN, jobs=1, listener=listen, **options), lines


def sources(out: Path) -> dict[str, tuple[str, str]]:
    """pair -> (name, sha256) of its source."""
    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    return {line["pair"]: (line["source"]["name"], line["source"]["sha256"]) for line in lines}


def sha(path: Path) -> str:
    return video.digest(video.Input(path, path.name, "images" if path.is_dir() else "video"))


def test_two_folders_of_one_name_are_two_clips_on_every_run(tmp_path):
    days = [frames(tmp_path / "day1/clip", 1), frames(tmp_path / "day2/clip", 2)]
    for _ in range(2):
        done, lines = build(days, tmp_path / "out")
        assert done.planned == 4
        assert not any("same content" in line for line in lines)
    assert done.already == 4
    assert sources(tmp_path / "out") == {
        "0000/0000": ("day1/clip", sha(days[0])), "0000/0001": ("day1/clip", sha(days[0])),
        "0001/0000": ("day2/clip", sha(days[1])), "0001/0001": ("day2/clip", sha(days[1])),
    }  # fmt: skip


def test_two_folders_of_one_name_are_shared_out_to_shards(tmp_path):
    days = [frames(tmp_path / "day1/clip", 1), frames(tmp_path / "day2/clip", 2)]
    for number in (1, 2):
        build(days, tmp_path / "out", shard=(number, 2))
    assert len(sources(tmp_path / "out")) == 4


def test_a_video_replaced_by_one_of_the_same_size_and_date_counts_as_a_new_one(tmp_path):
    path, out = clip(tmp_path / "clip.avi", 1), tmp_path / "out"
    first, size = sha(path), path.stat().st_size
    build(path, out)
    (out / "train/low_sharp/0000/0001.png").unlink()
    clip(path, 2)
    assert (path.stat().st_size, path.stat().st_mtime) == (size, DATE[1])
    _, lines = build(path, out)
    pairs = {pair: digest for pair, (_, digest) in sources(out).items()}
    assert pairs == {"0000/0000": first, "0000/0001": first, "0001/0000": sha(path), "0001/0001": sha(path)}
    (line,) = [line for line in lines if "earlier" in line]
    assert "clip.avi: its content has changed; 2 pairs of the earlier content stay" in line
    assert "1 of them lack files" in line
    build(path, tmp_path / "alone")
    for name in ("0000.png", "0001.png"):
        built = (out / "train/high_sharp_original/0001" / name).read_bytes()
        assert built == (tmp_path / "alone/train/high_sharp_original/0000" / name).read_bytes()


def test_a_folder_with_one_frame_replaced_counts_as_a_new_one(tmp_path):
    folder, out = frames(tmp_path / "clip", 1), tmp_path / "out"
    first = sha(folder)
    build(folder, out)
    write_frame(folder / "0007.tif", 255 - media.scene(1)[0])
    build(folder, out)
    assert {digest for _, digest in sources(out).values()} == {first, sha(folder)}


def test_a_stamp_changes_with_the_file_though_size_and_date_stay(tmp_path):
    path = clip(tmp_path / "a.avi", 1)
    item = video.Input(path, "a.avi", "video")
    before = video.stamp(item)
    assert video.stamp(item) == before
    os.replace(clip(tmp_path / "b.avi", 2), path)
    assert video.stamp(item) != before


def test_what_was_surveyed_is_not_read_again_until_it_changes_or_moves(tmp_path):
    path, out = clip(tmp_path / "a.avi", 1), tmp_path / "out"
    todo = []

    def listen(kind, facts):
        if kind == "survey":
            todo.append(facts["todo"])

    def look():
        found, _ = video.find([tmp_path / "a.avi"])
        return survey.all_inputs(found, out, PLAIN, 1, listen, here)[0]

    first, second = look(), look()
    assert first == second
    path.chmod(0o600)
    third = look()
    assert todo == [1, 0, 1]
    assert [facts.sha256 for facts in third] == [facts.sha256 for facts in first]
    assert str(tmp_path) not in "".join(file.read_text() for file in (out / ".lolblur/surveys").iterdir())


def test_a_cache_that_is_torn_or_of_another_form_is_read_over(tmp_path):
    clip(tmp_path / "a.avi", 1)
    found, _ = video.find([tmp_path / "a.avi"])
    facts, _ = survey.all_inputs(found, tmp_path / "out", PLAIN, 1, lambda *_: None, here)
    (cache,) = (tmp_path / "out/.lolblur/surveys").iterdir()
    for content in ("{}", "[]", "", '{"name": "a.avi"}'):
        cache.write_text(content)
        assert survey.all_inputs(found, tmp_path / "out", PLAIN, 1, lambda *_: None, here)[0] == facts


def test_an_input_that_changes_while_it_is_surveyed_is_refused(tmp_path, monkeypatch):
    path = clip(tmp_path / "a.avi", 1)
    digest = video.digest

    def slow(item):
        found = digest(item)
        clip(path, 2)
        return found

    monkeypatch.setattr(video, "digest", slow)
    found, _ = video.find([path])
    facts, refused = survey.all_inputs(found, None, PLAIN, 1, lambda *_: None, here)
    assert facts == []
    assert refused[0].reason == "changed"
    assert refused[0].message == "a.avi: changed while it was read"
    assert "run again" in refused[0].hint


@pytest.mark.parametrize("when", ["before", "during"])
def test_a_video_replaced_during_a_build_never_lends_its_pixels(tmp_path, monkeypatch, when):
    path, out = clip(tmp_path / "a.avi", 1), tmp_path / "out"
    first = sha(path)
    original = worker.check_content if when == "before" else worker.make

    def replace_first(*words):
        if sha(path) == first:
            clip(path, 2)
        return original(*words)

    def make_then_replace(*words):
        made = original(*words)
        if sha(path) == first:
            clip(path, 2)
        return made

    with monkeypatch.context() as patch:
        name, changed = ("check_content", replace_first) if when == "before" else ("make", make_then_replace)
        patch.setattr(worker, name, changed)
        done, _ = build(path, out)
    assert done.built == 0
    assert {failure.reason for failure in done.failed} == {"changed"}
    assert done.failed[0].message == "a.avi: changed since it was surveyed"
    assert "run the same command again" in done.failed[0].hint
    assert sources(out) == {}
    done, _ = build(path, out)
    assert done.failed == ()
    assert {digest for _, digest in sources(out).values()} == {sha(path)}
    assert list(layout.failures(out)) == [], "failures of the earlier content are no longer of interest"


def test_a_video_that_is_gone_during_a_build_is_named_with_the_reason(tmp_path):
    path = clip(tmp_path / "a.avi", 1)
    info = worker.inspect(PLAIN, video.Input(path, "a.avi", "video"))
    path.unlink()
    with pytest.raises(InputError, match=r"a.avi: was read by the survey, but not now: No such file"):
        worker.check_content(info)


def test_a_link_or_new_permissions_during_a_build_cost_nothing(tmp_path):
    path = clip(tmp_path / "a.avi", 1)
    info = worker.inspect(PLAIN, video.Input(path, "a.avi", "video"))
    os.link(path, tmp_path / "b.avi")
    path.chmod(0o600)
    assert worker.check_content(info) != info.stamp


def test_hard_links_of_one_file_are_used_once_and_both_are_named(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    os.link(clip(folder / "a.avi", 1), folder / "b.avi")
    done, lines = build(folder, tmp_path / "out")
    assert done.planned == 2
    assert "b.avi: same content as a.avi; used once" in lines


def test_names_that_would_be_alike_begin_further_up(tmp_path):
    for day in ("x/day1", "x/day2", "y/day2"):
        (tmp_path / day).mkdir(parents=True)
        (tmp_path / day / "C0001.avi").write_bytes(b"")
        os.mkfifo(tmp_path / day / "pipe.avi")

    def names(*tops):
        found, refused = video.find([tmp_path / top for top in tops])
        return [item.name for item in found], [(refusal.name, refusal.message.split(":")[0]) for refusal in refused]

    assert names("x/day1") == (["C0001.avi"], [("pipe.avi", "pipe.avi")])
    assert names("x/day1", "x/day1")[0] == ["C0001.avi"]
    assert names("x/day1", "x/day2") == (
        ["day1/C0001.avi", "day2/C0001.avi"],
        [("day1/pipe.avi", "day1/pipe.avi"), ("day2/pipe.avi", "day2/pipe.avi")],
    )
    assert names("x/day1/C0001.avi", "x/day2/C0001.avi")[0] == ["day1/C0001.avi", "day2/C0001.avi"]
    assert names("x/day2", "y/day2")[0] == ["x/day2/C0001.avi", "y/day2/C0001.avi"]


def test_the_number_of_a_video_that_is_not_given_any_more_stays_taken(tmp_path):
    a, b, c = (clip(tmp_path / f"{name}.avi", seed) for seed, name in enumerate("abc"))
    out = tmp_path / "out"
    build([a, b], out)
    _, lines = build([a], out)
    assert "b.avi: not among the inputs any more; its 2 pairs stay in train/*/0001" in lines
    build([a, c], out)
    assert {pair.split("/")[0]: name for pair, (name, _) in sources(out).items()} == {
        "0000": "a.avi", "0001": "b.avi", "0002": "c.avi"
    }  # fmt: skip
    build([b], out)
    assert stored.clips(out)[sha(b)] == ("0001", "train"), "coming back, it keeps its number and its split"


def test_without_a_recipe_a_dataset_continues_with_its_own(tmp_path):
    path, out = clip(tmp_path / "a.avi", 1), tmp_path / "out"
    build(path, out)
    shutil.rmtree(out / "train/low_blur")
    done = lolblur_synth.build(path, out, jobs=1)
    assert (done.built, done.planned) == (2, 2)
    with pytest.raises(ForeignOutput, match="another recipe") as error:
        lolblur_synth.build(path, out, "lolblur", jobs=1)
    assert "leave the recipe options out to continue with the recipe of" in error.value.hint


def test_a_refusal_of_the_reader_keeps_its_hint(tmp_path):
    ticks = [*range(12), *range(13, 25)]
    path = media.encode(tmp_path / "a.mp4", media.scene(24), ticks=ticks)
    with pytest.raises(InputError, match="no usable video"):
        build(path, tmp_path / "out")
    found, _ = video.find([path])
    _, (refusal,) = survey.all_inputs(found, None, PLAIN, 1, lambda *_: None, here)
    assert refusal.reason == "vfr"
    assert "ffmpeg" in refusal.hint


def test_a_survey_read_back_from_json_is_the_one_that_was_written():
    info = VideoInfo(
        name="a", path="p", kind="video", sha256="0", fps=250.0, frames=9, width=64, height=48, bits=8, colour="rgb",
        decoder="x", cuts=(3, 7), repeats=1, sigma=0.5, lightness=0.4, curve=((0.1, 2.0),), notes=("n",),
        moments=((0.1, 0.2), (0.3, 0.4)), stamp="s",
    )  # fmt: skip
    assert survey.from_json(json.loads(layout.to_json(dataclasses.asdict(info)))) == info
