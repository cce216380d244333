"""Time in a video: complete files are used, cut ones never; uneven, dropped and repeated frames are told apart."""

import itertools
import re
import struct
from fractions import Fraction
from pathlib import Path

import av
import cv2
import media
import numpy as np
import pytest

from lolblur_synth.errors import InputError
from lolblur_synth.files import video
from lolblur_synth.recipe.schema import InputConfig

LIMITS = InputConfig()


def probe(path: Path, fps: float | None = None) -> video.Video:
    return video.probe(video.Input(path, path.name, "video"), LIMITS, fps)


def refusal(path: Path, fps: float | None = None) -> InputError:
    with pytest.raises(InputError) as caught:
        probe(path, fps)
    assert "\n" not in str(caught.value)
    return caught.value


# ---- is the end there? ---------------------------------------------------------------------------------------------


def film(
    path: Path, frames: int = 60, rate: int = 250, sound: float = 0.0, chapter: float = 0.0, options: dict | None = None
) -> Path:
    """A video with sound and a chapter that end after so many seconds; 0 leaves one out."""
    with av.open(str(path), "w", options=options or {}) as output:
        stream = output.add_stream("libx264", rate=rate, options={"g": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        packets = []
        noise = np.random.default_rng(0).integers(0, 64, (frames, 48, 64, 3), dtype=np.uint8)
        tone = output.add_stream("aac", rate=48000, layout="mono") if sound else None
        if chapter:
            output.set_chapters([{"id": 1, "start": 0, "end": round(chapter * 1000), "time_base": Fraction(1, 1000),
                                  "metadata": {"title": "one"}}])  # fmt: skip
        for index, pixels in enumerate(noise + media.scene(frames) // 2):
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            picture.pts, picture.time_base = index, Fraction(1, rate)
            packets += stream.encode(picture)
        packets += stream.encode()
        for index in range(int(sound * 48000 / 1024)):
            block = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            block.sample_rate, block.pts, block.time_base = 48000, index * 1024, Fraction(1, 48000)
            packets += tone.encode(block)
        packets += tone.encode() if tone else []
        output.start_encoding()
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            output.mux(packet)
    return path


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
@pytest.mark.parametrize(
    "longer", [{"chapter": 0.5}, {"sound": 0.6}, {"chapter": 30.0}, {"chapter": 0.5, "sound": 0.2}]
)
def test_a_chapter_or_sound_that_is_longer_than_the_picture_cuts_nothing_short(tmp_path, name, longer):
    found = probe(film(tmp_path / name, **longer))
    assert (found.frames, found.fps) == (60, 250)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {"movflags": "faststart"}),
        ("b.mp4", {}),
        ("a.mkv", {}),
        ("c.mp4", {"movflags": "frag_keyframe+delay_moov"}),
    ],
)
def test_a_cut_file_with_sound_and_chapters_is_never_a_short_clip(tmp_path, name, options):
    path = film(tmp_path / name, sound=0.22, chapter=0.5, options=options)
    whole = path.read_bytes()
    assert probe(path).frames == 60
    reasons = set()
    for percent in range(1, 100):
        path.write_bytes(whole[: len(whole) * percent // 100])
        try:
            assert sum(1 for _ in video.reader.decode(probe(path), 60)) == 60  # all frames, or an error
        except InputError as error:
            reasons.add(error.reason)
    assert reasons & {"truncated", "unreadable"}
    assert reasons <= {"truncated", "corrupt", "unreadable", "no-video", "vfr"}


def test_a_cut_matroska_without_tags_is_never_a_short_clip(tmp_path):
    path = film(tmp_path / "a.mkv", sound=0.22, chapter=0.5)
    whole = path.read_bytes().replace(b"DURATION", b"XURATION")
    path.write_bytes(whole)
    assert probe(path).frames == 60
    for missing in (1, 20, 300, 900, 2000):
        path.write_bytes(whole[:-missing])
        assert refusal(path).reason in ("truncated", "corrupt")


def mjpeg_avi(path: Path, drops: tuple[int, ...], frames: int = 40, index: bool = True) -> Path:
    """An AVI in which the frames of `drops` are empty chunks: "show the last picture again"."""
    jpegs = [cv2.imencode(".jpg", frame)[1].tobytes() for frame in media.scene(frames)]
    chunks = [b"" if number in drops else jpeg for number, jpeg in enumerate(jpegs)]

    def chunk(tag: bytes, data: bytes) -> bytes:
        return tag + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)

    movi, entries = b"movi", b""
    for data in chunks:
        entries += struct.pack("<4sIII", b"00dc", 0x10 if data else 0, len(movi), len(data))
        movi += chunk(b"00dc", data)
    avih = struct.pack("<14I", 4000, 0, 0, 0x10, frames, 0, 1, 100000, 64, 48, 0, 0, 0, 0)
    strh = struct.pack("<4s4sIHHIIIIIIIIHHHH", b"vids", b"MJPG", *[0] * 4, 1, 250, 0, frames, 0, 0, 0, 0, 0, 64, 48)
    strf = struct.pack("<IiiHH4sIiiII", 40, 64, 48, 1, 24, b"MJPG", 64 * 48 * 3, 0, 0, 0, 0)
    strl = chunk(b"LIST", b"strl" + chunk(b"strh", strh) + chunk(b"strf", strf))
    body = chunk(b"LIST", b"hdrl" + chunk(b"avih", avih) + strl) + chunk(b"LIST", movi)
    path.write_bytes(chunk(b"RIFF", b"AVI " + body + (chunk(b"idx1", entries) if index else b"")))
    return path


@pytest.mark.parametrize("fps", [None, 250.0])
@pytest.mark.parametrize("index", [True, False])
def test_frames_that_an_avi_recorder_dropped_are_named_and_nothing_is_cut_short(tmp_path, fps, index):
    error = refusal(mjpeg_avi(tmp_path / "a.avi", (10, 25), index=index), fps)
    assert error.reason == "vfr"
    assert "a.avi: 2 frames were dropped by the recorder, after frame 9, 23" in str(error)
    one = refusal(mjpeg_avi(tmp_path / "one.avi", (20,), index=index), fps)
    assert "1 frame was dropped by the recorder, after frame 19" in str(one)


def test_empty_frames_at_the_end_of_an_avi_leave_the_others(tmp_path):
    assert probe(mjpeg_avi(tmp_path / "a.avi", (38, 39))).frames == 38


def test_a_cut_avi_with_dropped_frames_is_cut_short(tmp_path):
    path = mjpeg_avi(tmp_path / "a.avi", (5, 39))
    whole = path.read_bytes()
    for percent in range(5, 95, 3):
        path.write_bytes(whole[: len(whole) * percent // 100])
        assert refusal(path).reason in ("truncated", "corrupt", "no-video", "unreadable")


# ---- uneven stamps -------------------------------------------------------------------------------------------------


def stamped(path: Path, ticks, clock: Fraction) -> Path:
    scene = media.scene(len(ticks))
    return media.encode(path, scene, 30, ticks=list(ticks), clock=clock, options={"bf": "0"},
                        container={"video_track_timescale": str(clock.denominator)})  # fmt: skip


def jittered(count: int, step: int, jitter: tuple[int, ...]) -> list[int]:
    return [step + step * i + j for i, j in zip(range(count), itertools.cycle(jitter), strict=False)]


PHONES = [
    ("android.mp4", Fraction(1, 90000), jittered(60, 3000, (0, 140, -120, 20, 150, -130, 0, 70, -90, 10))),
    ("iphone.mov", Fraction(1, 2400), jittered(60, 10, (0, 1, 0, 0, -1, 0, 0, 1, 0, 0))),
    ("rough.mp4", Fraction(1, 90000), jittered(60, 3000, (0, 900, -900, 300, 1100, -1000, -200))),
]


@pytest.mark.parametrize(("name", "clock", "ticks"), PHONES)
def test_uneven_stamps_are_used_where_the_capture_rate_is_given(tmp_path, name, clock, ticks):
    path = stamped(tmp_path / name, ticks, clock)
    found = probe(path, 240)
    assert (found.frames, found.fps) == (60, 240)
    assert sum(1 for _ in video.read(found)) == 60
    error = refusal(path)
    assert error.reason == "vfr"
    assert f"--fps RATE, or {name}@RATE" in error.hint
    assert "-r RATE" not in error.hint


def test_the_jitter_that_the_hint_names_is_enough(tmp_path):
    path = stamped(tmp_path / "a.mp4", PHONES[0][2], PHONES[0][1])
    jitter = float(re.search(r"input.max_jitter=([0-9.]+)", refusal(path).hint)[1])
    item = video.Input(path, path.name, "video")
    assert video.probe(item, InputConfig(max_jitter=jitter)).frames == 60


@pytest.mark.parametrize("frames", [10, 60])
@pytest.mark.parametrize("jitter", [(0,), (0, 1, 0, 0, -1, 0, 0, 1, 0, 0)])
def test_a_dropped_frame_is_refused_whatever_rate_is_given(tmp_path, frames, jitter):
    ticks = jittered(frames, 10, jitter)
    del ticks[frames // 2]
    error = refusal(stamped(tmp_path / "a.mov", ticks, Fraction(1, 2400)), 240)
    assert error.reason == "vfr"
    assert f"1 frame was dropped by the recorder, after frame {frames // 2 - 1}" in str(error)
    assert "input.max_jitter" not in error.hint


@pytest.mark.parametrize(
    "ticks",
    [
        [*range(0, 400, 10), *range(400, 4000, 80), *range(4000, 4400, 10)],  # 240, 30, 240 fps
        [*range(0, 400, 20), *range(400, 700, 10)],  # 120, 240 fps
        [*range(0, 400, 10), *range(400, 800, 20)],  # 240, 120 fps
        [round(10 * i + 0.05 * i * i) for i in range(60)],  # slower and slower
    ],
)
def test_slow_motion_ramps_are_refused_whatever_rate_is_given(tmp_path, ticks):
    path = stamped(tmp_path / "a.mov", ticks, Fraction(1, 2400))
    for fps in (None, 240):
        error = refusal(path, fps)
        assert error.reason == "vfr"
        assert "-r RATE" not in error.hint


def test_a_frame_that_is_stamped_twice_is_refused_whatever_rate_is_given(tmp_path):
    ticks = sorted([*range(0, 6000, 100), 3010])
    assert refusal(stamped(tmp_path / "a.mov", ticks, Fraction(1, 24000)), 240).reason == "vfr"


@pytest.mark.parametrize("rate", [240, 700, 960])
def test_rates_that_a_clock_of_a_millisecond_rounds_are_no_jitter(tmp_path, rate):
    ticks = [round(i * 1000 / rate) for i in range(200)]
    assert probe(media.encode(tmp_path / "a.mkv", media.scene(200), rate, ticks=ticks, clock=Fraction(1, 1000),
                              options={"bf": "0"})).frames == 200  # fmt: skip


@pytest.mark.parametrize("rate", [60, 240, Fraction(60000, 1001)])
def test_an_mp4_that_was_copied_from_matroska_keeps_its_milliseconds_and_is_used(tmp_path, rate):
    clock = Fraction(1, 15360)

    def copied(name: str, *frames: int, late: int = 0) -> Path:
        ticks = [round(Fraction(round(1000 * frame / rate), 1000) / clock) for frame in frames]
        ticks[-1] += late
        return media.encode(tmp_path / name, media.scene(len(ticks)), 60, ticks=ticks, clock=clock, options={"bf": "0"})

    assert probe(copied("a.mp4", *range(90))).fps == pytest.approx(float(rate), rel=2e-3)
    assert refusal(copied("b.mp4", *range(20), *range(21, 60))).reason == "vfr"
    assert refusal(copied("c.mp4", *range(60), late=round(16 * 1.5))).reason == "vfr"


# ---- repeated frames -----------------------------------------------------------------------------------------------


def pan(count: int, seed: int) -> np.ndarray:
    """A pan whose every step is a clear change, 6 of 160 px."""
    blocks = np.random.default_rng(seed).integers(0, 256, (5, (160 + 6 * count) // 20 + 1, 3), dtype=np.uint8)
    wall = cv2.GaussianBlur(blocks.repeat(20, 0).repeat(20, 1), (0, 0), 4)[:90]
    return np.stack([wall[:, 6 * i : 6 * i + 160] for i in range(count)])


def held(frames: np.ndarray, pattern: tuple[int, ...]) -> np.ndarray:
    return np.repeat(frames, [pattern[i % len(pattern)] for i in range(len(frames))], axis=0)


@pytest.mark.parametrize("pattern", [
    (1,), (2,), (3,), (8,), (2, 3), (2, 3, 3, 2), (1, 2), (1, 1, 1, 1, 2), (1, 1, 2, 1, 2)])  # fmt: skip
def test_repeated_frames_make_no_cuts_and_hide_none(tmp_path, pattern):
    shots = np.concatenate([pan(20, 1), pan(20, 2)])
    path = media.encode(tmp_path / "a.mp4", held(shots, pattern), 250, options={"crf": "20"})
    found = video.scan_frames(probe(path))
    assert found.cuts == (len(held(shots[:20], pattern)) - 1,)
    assert found.repeats == pytest.approx(np.mean(pattern), abs=0.05)


def test_a_flash_that_is_stored_twice_is_no_cut(tmp_path):
    frames = pan(40, 1)
    frames[20] = 255
    path = media.encode(tmp_path / "a.mp4", held(frames, (2,)), 250, options={"crf": "18"})
    assert video.scan_frames(probe(path)).cuts == ()


def test_a_cut_at_which_the_repeats_change_places_is_found(tmp_path):
    frames = np.concatenate([held(pan(20, 1), (2,))[1:], held(pan(20, 2), (2,))])
    path = media.encode(tmp_path / "a.mp4", frames, 250, options={"crf": "18"})
    assert video.scan_frames(probe(path)).cuts == (38,)


def test_still_shots_keep_their_cuts(tmp_path):
    first, second = pan(1, 1), pan(1, 2)
    frames = np.concatenate([held(first, (40,)), held(second, (40,)), held(first, (40,))])
    assert video.scan_frames(probe(media.encode(tmp_path / "a.mp4", frames, 250))).cuts == (39, 79)
