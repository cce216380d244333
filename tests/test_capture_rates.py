"""The capture rate of a clip: as the user says it, of one clip or of all, and as the file tells it."""

import struct
import unicodedata
from pathlib import Path

import av
import media
import numpy as np
import pytest
from click.testing import CliRunner

from lolblur_synth import recipes
from lolblur_synth.cli import main
from lolblur_synth.dataset import build, checks, estimate, plan, worker
from lolblur_synth.dataset.records import VideoInfo
from lolblur_synth.errors import ForeignOutput, InputError, RecipeError, UsageError
from lolblur_synth.files import capture_rates, images, video
from lolblur_synth.recipe.schema import InputConfig, Recipe
from lolblur_synth.tools import request, stage

PLAIN = recipes.override(Recipe(), ["skip=denoise,darken,interpolate,clip_reverse,defocus,noise", "resize.width=64",
                                    "resize.height=48", "dataset.pairs=2", "average.window=7"])  # fmt: skip


def clip(path: Path, rate: int = 30, seed: int = 0, frames: int = 24) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return media.encode(path, media.scene(frames, seed=seed), rate)


def told(path: Path, fps: float | None = None) -> video.Video:
    return video.probe(video.Input(path, path.name, "video"), InputConfig(), fps)


def rate_by_name(*words: str | Path) -> dict[str, float | None]:
    return {item.name: item.fps for item in video.find_clips(words)[0]}


# ---- NAME@RATE -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("word", "fps"), [
    ("a.mp4@960", 960), ("a.mp4@59.94", 59.94), ("a.mp4@240000/1001", 240000 / 1001), ("a@b.mp4@250", 250),
    ("videos/@250", 250)])  # fmt: skip
def test_a_rate_stands_behind_the_last_at(word, fps, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert capture_rates.split(word) == (Path(word.rpartition("@")[0]), fps)


@pytest.mark.parametrize("tail", ["fast", "0", "1e9999", "-5", "nan", "inf", "9999999", "1/0", "", "240fps"])
def test_what_is_no_rate_is_refused_where_the_file_exists(tail, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"x")
    with pytest.raises(UsageError, match="is not a frame rate") as caught:
        capture_rates.split(tmp_path / f"a.mp4@{tail}")
    assert caught.value.hint
    assert capture_rates.split(f"missing@{tail}").fps is None


def test_a_file_that_is_itself_called_so_wins(tmp_path):
    path = clip(tmp_path / "a@960.mp4")
    odd = path.rename(tmp_path / "a.mp4@960")
    assert capture_rates.split(odd) == (odd, None)


def test_a_folder_gives_its_rate_to_each_clip_in_it_and_a_clip_goes_before_its_folder(tmp_path):
    for name in ("v/a.mp4", "v/deep/b.mp4", "c.mp4"):
        clip(tmp_path / name)
    named = rate_by_name(f"{tmp_path}/v@250", f"{tmp_path}/v/a.mp4@960", tmp_path / "c.mp4")
    assert named == {"a.mp4": 960, "deep/b.mp4": 250, "c.mp4": None}
    with pytest.raises(UsageError, match="a.mp4: two capture rates, 240 and 960 fps"):
        rate_by_name(f"{tmp_path}/v/a.mp4@240", f"{tmp_path}/v/a.mp4@960")


# ---- clips.toml ----------------------------------------------------------------------------------------------------


def test_a_list_beside_the_videos_gives_each_its_rate(tmp_path):
    for name in ("GX01.MP4", "GX02.MP4", "deep/IMG_3.MP4", "other.MP4"):
        clip(tmp_path / name)
    text = '["GX*.MP4"]\nfps = 240\n["GX02.MP4"]\nfps = 120.5\n["deep/IMG_3.MP4"]\nfps = 960\n'
    (tmp_path / "clips.toml").write_text(text)
    assert rate_by_name(tmp_path) == {"GX01.MP4": 240, "GX02.MP4": 120.5, "deep/IMG_3.MP4": 960, "other.MP4": None}
    assert rate_by_name(tmp_path / "GX01.MP4", tmp_path / "other.MP4") == {"GX01.MP4": 240, "other.MP4": None}
    assert rate_by_name(f"{tmp_path}/GX01.MP4@480") == {"GX01.MP4": 480}
    (tmp_path / "deep" / "clips.toml").write_text('["*.MP4"]\nfps = 480\n')  # nearer
    assert rate_by_name(tmp_path)["deep/IMG_3.MP4"] == 480


def test_a_folder_of_frames_is_named_by_its_folder(tmp_path):
    (tmp_path / "shot").mkdir()
    for index, frame in enumerate(media.scene(3)):
        images.write_png(tmp_path / "shot" / f"{index}.png", frame / np.float32(255))
    (tmp_path / "clips.toml").write_text("[shot]\nfps = 250\n")
    assert rate_by_name(tmp_path) == {"shot": 250}
    assert rate_by_name(tmp_path / "shot") == {"shot": 250}


@pytest.mark.parametrize(("text", "message", "hint"), [
    ('["a.mp4"]\n\n["A1.MP4"]\nfps = 240', "clips.toml:3: there is no 'A1.MP4'", "a.mp4"),
    ('["a.mp4"]\nfp = 240', "clips.toml:1: unknown key 'fp'", "did you mean 'fps'?"),
    ('["a.mp4"]\nfps = "fast"', "fps = 'fast' of 'a.mp4' is not a frame rate", "a number"),
    ('["a.mp4"]\nfps = true', "is not a frame rate", "a number"),
    ('["a.mp4"]\nfps = nan', "is not a frame rate", "a number"),
    ('["a.mp4"]\nfps = 0', "is not a frame rate", "a number"),
    ("[a.mp4]\nfps = 240", "a name with a dot needs quotes", '["a.mp4"]'),
    ("fps = 240", "clips.toml:1: 'fps' is a value, not a clip", "above"),
    ('["a.mp4"\nfps', "clips.toml: ", "fps = 240"),
])  # fmt: skip
def test_mistakes_in_the_list_are_named(tmp_path, text, message, hint):
    clip(tmp_path / "a.mp4")
    (tmp_path / "clips.toml").write_text(text)
    with pytest.raises(RecipeError) as caught:
        rate_by_name(tmp_path)
    assert message in str(caught.value)
    assert hint in caught.value.hint


# ---- what the file tells -------------------------------------------------------------------------------------------


def android(path: Path, text: str, rate: int = 30) -> Path:
    """A video with Android's tag as text."""
    plain = clip(path.with_name("plain.mp4"), rate)
    with av.open(str(plain)) as source, av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as output:
        output.metadata["com.android.capture.fps"] = text
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux():
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    plain.unlink()
    return path


def as_float32(path: Path, value: float) -> Path:
    """Android's tag as phones write it: the text of `android` replaced by a 32-bit float (type 23 of QuickTime)."""
    data = path.read_bytes()
    at = data.index(b"data", data.index(b"ilst")) - 4
    (size,) = struct.unpack_from(">I", data, at)
    assert size == 20, "the text must have four characters"
    path.write_bytes(data[: at + 8] + struct.pack(">IIf", 23, 0, value) + data[at + 20 :])
    return path


def test_the_rate_of_androids_tag_is_used_and_said(tmp_path):
    for path in (android(tmp_path / "a.mp4", "240.000000"), as_float32(android(tmp_path / "b.mp4", "0000"), 240.0)):
        found = told(path)
        assert (found.fps, found.played) == (240, 30)
        assert found.notes == ("captured at 240 fps according to the file (com.android.capture.fps)",)
        assert told(path, 960).fps == 960
        assert not told(path, 960).notes  # what a user says goes first


@pytest.mark.parametrize(("text", "rate"), [("240.0", 240), ("30.000000", 30), ("29.97", 30), ("40", 30)])
def test_a_rate_at_which_the_file_plays_is_no_matter(tmp_path, text, rate):
    found = told(android(tmp_path / "a.mp4", text, rate))
    assert (found.fps, found.notes) == (rate, ())


@pytest.mark.parametrize("text", ["0", "nan", "inf", "-240", "1e7", "fast", "1" * 500, "a\nb"])
def test_a_rate_that_makes_no_sense_is_named_and_not_used(tmp_path, text):
    found = told(android(tmp_path / "a.mp4", text))
    assert found.fps == 30
    assert len(found.notes) == 1
    assert found.notes[0].startswith("the capture rate in the file (")
    assert found.notes[0].isprintable()
    assert len(found.notes[0]) < 200


def test_a_time_lapse_is_named_and_its_rate_not_used(tmp_path):
    found = told(android(tmp_path / "a.mp4", "2.5"))
    assert found.fps == 30
    assert "captured at 2.5 fps according to the file" in found.notes[0]


SONY = """<?xml version="1.0" encoding="UTF-8"?>
<NonRealTimeMeta xmlns="urn:schemas-professionalDisc:nonRealTimeMeta:ver.2.00"><Duration value="60"/>
<!-- <VideoFrame captureFps="500p"/> --><VideoFormat><VideoRecPort port="DIRECT"/>
<VideoFrame videoCodec="AVC_1920_1080_HP@L51" captureFps="{}" formatFps="23.98p"/></VideoFormat></NonRealTimeMeta>"""


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def with_xml(path: Path, document: bytes) -> Path:
    """A video with the document where Sony's cameras write it: `xml ` in a `meta` behind everything else."""
    handler = box(b"hdlr", bytes(8) + b"nrtm" + bytes(12))
    meta = box(b"meta", bytes(4) + handler + box(b"xml ", bytes(4) + document + b"\0"))
    path.write_bytes(path.read_bytes() + meta)
    return path


@pytest.mark.parametrize(("text", "fps"), [("239.76p", 240000 / 1001), ("959.04p", 960000 / 1001), ("250.00p", 250),
                                           ("179.82p", 180000 / 1001), ("100", 100)])  # fmt: skip
def test_the_rate_of_sonys_xml_is_used_and_said(tmp_path, text, fps):
    found = told(with_xml(clip(tmp_path / "a.mp4", 24), SONY.format(text).encode()))
    assert found.fps == pytest.approx(fps, rel=1e-12)
    assert found.played == 24
    assert found.notes == (f"captured at {fps:g} fps according to the file (captureFps of Sony's XML metadata)",)


def test_sonys_xml_beside_a_video_is_read(tmp_path):
    path = clip(tmp_path / "C0001.MP4", 24)
    (tmp_path / "C0001M01.XML").write_text(SONY.format("239.76p"))
    assert told(path).fps == pytest.approx(240000 / 1001)
    assert "according to the file (C0001M01.XML)" in told(path).notes[0]
    (tmp_path / "C0001M01.XML").write_bytes(b" " * (2 << 20) + SONY.format("239.76p").encode())
    assert told(path).fps == 24


HOSTILE = {
    "entities": '<!DOCTYPE a [<!ENTITY b "240p">]>' + SONY.format("&b;"),
    "declared": "<!DOCTYPE a>" + SONY.format("240p"),
    "comments": "NonRealTimeMeta" + "<!--" * 200_000, "tags": "NonRealTimeMeta" + "<VideoFrame " * 80_000,
    "spaces": "NonRealTimeMeta<VideoFrame " + "captureFps " * 90_000 + ">",
    "empty": "", "fields": SONY.format("59.94i"),
    "another": SONY.format("240p").replace("NonRealTimeMeta", "Meta"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_xml_is_passed_over_quickly(tmp_path, name):
    assert told(with_xml(clip(tmp_path / "a.mp4", 24), HOSTILE[name].encode())).fps == 24


@pytest.mark.parametrize("tail", [
    b"\0\0\0\1meta\xff\xff\xff\xff\xff\xff\xff\xff", b"\xff\xff\xff\xffmeta", b"\0\0\0\0meta", b"\0\0\0\7meta",
    b"\0\0\0\x10meta\0\0\0\0\0\0\0\0", b"\0\0\0\x09uuid1"])  # fmt: skip
def test_boxes_that_lie_about_their_size_are_passed_over(tmp_path, tail):
    path = clip(tmp_path / "a.mp4", 24)
    path.write_bytes(path.read_bytes() + tail)
    assert video.capture.rate(path, {}, 24.0) == (None, ())


# ---- in a build ----------------------------------------------------------------------------------------------------


def here(function: str, tasks: list, jobs: int, report) -> None:
    """As `pool.run`, in this process."""
    assert function == "lolblur_synth.dataset.worker:survey"
    for recipe, found in tasks:
        for kind, item, *result in worker.survey(recipe, found):
            if kind != "begin":
                report(kind, item, *result)


def planned(out: Path, *words: str | Path) -> list[VideoInfo]:
    """The clips of the plan of a build into `out`."""
    made, _ = build.prepare(
        video.find_clips([Path(word) for word in words]), out, PLAIN, 1, "cpu", lambda *facts: None, run=here
    )
    return [made_clip.video for made_clip in made.clips]


def test_a_build_takes_each_clip_at_its_rate_and_is_not_continued_at_another(tmp_path):
    clip(tmp_path / "v/a.mp4", seed=1)
    clip(tmp_path / "v/b.mp4", seed=2)
    words, out = (f"{tmp_path}/v/a.mp4@960", tmp_path / "v/b.mp4"), tmp_path / "out"
    for _ in range(2):
        assert {facts.name: facts.fps for facts in planned(out, *words)} == {"a.mp4": 960, "b.mp4": 30}
    before = (out / ".lolblur/plan.json").read_bytes()
    for other in (tmp_path / "v", f"{tmp_path}/v@240"):
        with pytest.raises(ForeignOutput, match=r"a\.mp4: .* was built with it at 960 fps") as caught:
            planned(out, other)
        assert "a.mp4@960" in caught.value.hint
    assert (out / ".lolblur/plan.json").read_bytes() == before
    (tmp_path / "v/clips.toml").write_text('["a.mp4"]\nfps = 960\n')  # the same rate, said elsewhere
    assert {facts.name: facts.fps for facts in planned(out, tmp_path / "v")} == {"a.mp4": 960, "b.mp4": 30}


def test_the_survey_that_was_kept_knows_the_rate(tmp_path):
    path, out = clip(tmp_path / "C0001.MP4"), tmp_path / "out"
    rates_learnt = []
    for word in (path, f"{path}@240", path):
        rates_learnt.append(planned(out, word)[0].fps)
        (out / ".lolblur/plan.json").unlink()  # so that nothing but the survey may remember
    assert rates_learnt == [30, 240, 30]
    (tmp_path / "C0001M01.XML").write_text(SONY.format("239.76p"))
    for _ in range(2):  # read, then kept
        facts = planned(out, path)[0]
        assert facts.fps == pytest.approx(240000 / 1001)
        assert facts.notes == ("captured at 239.76 fps according to the file (C0001M01.XML)",)
        assert f"C0001.MP4: {facts.notes[0]}" in plan.make([facts], [], PLAIN, {}).warnings


def test_the_commands_take_a_rate_behind_an_at(tmp_path, monkeypatch):
    clip(tmp_path / "a.mp4", seed=1)
    clip(tmp_path / "b.mp4", seed=2)
    monkeypatch.chdir(tmp_path)
    asked = []

    def look(videos, out, *options):
        asked.append((sorted(rate_by_name(*videos).items()), out))
        return {"refused": []}

    monkeypatch.setattr(estimate, "plan", look)

    def run(*words: str) -> str:
        done = CliRunner().invoke(main, words)
        return f"{done.exit_code} {done.output} {done.exception}"

    for words in (["plan", "a.mp4@960", "b.mp4@240"], ["plan", "a.mp4@960", "b.mp4@240", "out"],
                  ["build", "a.mp4@960", "b.mp4@240", "out", "--dry-run"]):  # fmt: skip
        assert run(*words, "--json").startswith("0 ")
    both = [("a.mp4", 960), ("b.mp4", 240)]
    assert asked == [(both, None), (both, Path("out")), (both, Path("out"))]


def test_a_file_that_is_missing_is_named_without_its_rate(tmp_path):
    with pytest.raises(InputError, match=r"c\.mp4: no such file"):
        checks.check_inputs([tmp_path / "c.mp4@960"], None)


def test_what_is_written_plays_as_fast_as_the_file(tmp_path):
    path = android(tmp_path / "a.mp4", "240")
    for name, recipe, fps in (("b.mp4", PLAIN, 30), ("c.mp4", recipes.override(PLAIN, ["input.fps=240"]), 240)):
        stage.run(request.Request("resize", path, tmp_path / name, recipe))
        assert told(tmp_path / name).fps == fps


def test_a_list_names_an_accented_clip_in_either_form_of_unicode(tmp_path):
    clip(tmp_path / unicodedata.normalize("NFD", "café.mp4"))
    (tmp_path / "clips.toml").write_text(f'["{unicodedata.normalize("NFC", "café.mp4")}"]\nfps = 960\n', "utf-8")
    assert list(rate_by_name(tmp_path).values()) == [960]
