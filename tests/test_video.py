"""Videos in and out: every frame, at its place, in its colours, or one clear refusal."""

import dataclasses
import hashlib
import json
import os
import re
import socket
import struct
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import media
import numpy as np
import pytest

from lolblur_synth.errors import InputError, UsageError
from lolblur_synth.files import images, video
from lolblur_synth.files.video import Input
from lolblur_synth.recipe.schema import InputConfig

LIMITS = InputConfig()


def an_input(path: Path) -> Input:
    return Input(path, path.name, "images" if path.is_dir() else "video")


def probe(path: Path, fps: float | None = None, limits: InputConfig = LIMITS) -> video.Video:
    return video.probe(an_input(path), limits, fps)


def frames_of(path: Path, fps: float | None = None) -> np.ndarray:
    return np.stack(list(video.read(probe(path, fps))))


def refusal(path: Path, **options) -> InputError:
    """The error that probing or reading raises, within 10 s. Fails if every frame could be read."""
    started = time.monotonic()
    with pytest.raises(InputError) as caught:
        for _ in video.read(probe(path, **options)):
            pass
    assert time.monotonic() - started < 10
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)
    assert caught.value.hint
    return caught.value


# ---- what is found -------------------------------------------------------------------------------------------------


def test_find_walks_folders_and_sorts_by_name(tmp_path):
    for name in ("b.mp4", "a/z.MOV", "a/notes.txt", ".hidden.mp4", ".git/x.mp4", "c/sub/q.webm"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(b"x")
    for name in ("seq/10.png", "seq/2.png", "seq/.3.png", "two/more/1.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "a/cover.png").write_bytes(b"x")  # beside a video: not a sequence
    found, refused = video.find([tmp_path])
    assert [(item.name, item.kind) for item in found] == [
        ("a/z.MOV", "video"),
        ("b.mp4", "video"),
        ("c/sub/q.webm", "video"),
        ("seq", "images"),
        ("two/more", "images"),
    ]
    assert refused == []
    assert [path.name for path in video.inputs.image_files(tmp_path / "seq")] == ["2.png", "10.png"]
    assert video.find([tmp_path, tmp_path / "b.mp4"]) == (found, refused)  # given twice, listed once
    assert [item.name for item in video.find([tmp_path / "seq"])[0]] == ["seq"]


def test_find_refuses_what_is_not_a_regular_file_without_opening_it(tmp_path, monkeypatch):
    media.encode(tmp_path / "real.mkv", media.scene(3))
    os.symlink(tmp_path / "nowhere", tmp_path / "dangling.mp4")
    os.symlink(tmp_path, tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "folder.mp4" / "inner.mp4").write_bytes(b"x")
    server = socket.socket(socket.AF_UNIX)
    monkeypatch.chdir(tmp_path)  # the path of a socket may have 107 bytes at most
    server.bind("socket.mp4")
    server.close()
    found, refused = video.find([tmp_path, tmp_path / "missing.mp4", tmp_path / "real.mkv"])
    assert [item.name for item in found] == ["real.mkv"]
    assert [(r.name, r.reason) for r in refused] == [
        ("dangling.mp4", "dangling"),
        ("folder.mp4", "not-regular"),
        ("loop", "not-regular"),
        ("missing.mp4", "unreadable"),
        ("pipe.mp4", "not-regular"),
        ("socket.mp4", "not-regular"),
    ]
    assert all(r.hint for r in refused)
    assert "give that folder a name" in next(r.hint for r in refused if r.name == "folder.mp4")
    for name in ("pipe.mp4", "socket.mp4", "folder.mp4"):
        with pytest.raises(InputError) as caught:
            video.probe(Input(tmp_path / name, name, "video"), LIMITS)
        assert caught.value.reason == "not-regular"
    assert refusal(tmp_path / "dangling.mp4").reason == "dangling"


def test_links_are_followed_to_regular_files(tmp_path):
    (tmp_path / "store").mkdir()
    media.encode(tmp_path / "store" / "whole.mkv", media.scene(3)).rename(tmp_path / "store" / "ab12")
    os.mkfifo(tmp_path / "store" / "pipe")
    data = tmp_path / "data"
    (data / "seq").mkdir(parents=True)
    for name, target in (("film.mkv", "../store/ab12"), ("twice.mkv", "film.mkv"), ("pipe.mkv", "../store/pipe")):
        (data / name).symlink_to(target)
    for index in range(3):
        images.write_png(tmp_path / "store" / f"{index}", np.zeros((8, 8, 3), np.float32))
        (data / "seq" / f"{index:04d}.png").symlink_to(tmp_path / "store" / f"{index}")
    (tmp_path / "named").symlink_to(data)
    for top in (data, tmp_path / "named"):  # a folder that is given may be a link
        found, refused = video.find([top])
        assert [(item.name, item.kind) for item in found] == [("film.mkv", "video"), ("seq", "images")]
        assert [(r.name, r.reason) for r in refused] == [("pipe.mkv", "not-regular")]
        assert [len(list(video.read(video.probe(item, LIMITS, 250)))) for item in found] == [3, 3]
    assert video.digest(found[0]) == hashlib.sha256((tmp_path / "store" / "ab12").read_bytes()).hexdigest()
    assert [item.name for item in video.find([data / "twice.mkv"])[0]] == ["twice.mkv"]
    assert refusal(data / "pipe.mkv").reason == "not-regular"


def test_system_files_are_passed_over_but_not_what_is_given(tmp_path):
    for name in ("._a.mp4", "@eaDir/a.mp4", "lost+found/b.mp4", "__MACOSX/a.mp4", "seq/._0.png", "a.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [item.name for item in video.find([tmp_path])[0]] == ["a.mp4"]
    assert [item.name for item in video.find([tmp_path / "@eaDir", tmp_path / "._a.mp4"])[0]] == ["._a.mp4", "a.mp4"]


def test_what_is_not_read_but_may_have_been_meant_is_named(tmp_path):
    for name in ("a.mp4", "b.MTS", "c.cine", "d.bmp", "notes.txt", "a.json", "a.webp", "dng/1.DNG", "GOPR.LRV"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found, refused = video.find([tmp_path])
    assert [item.name for item in found] == ["a.mp4"]
    assert [r.name for r in refused] == ["b.MTS", "c.cine", "d.bmp", "dng"]
    assert {r.reason for r in refused} == {"format"}
    assert all(r.hint and r.message.startswith(r.name) for r in refused)
    assert refusal(tmp_path / "dng", fps=250).reason == "format"
    (given,) = video.find([tmp_path / "b.MTS"])[1]
    assert given.message == "b.MTS: .mts is not a container that is read"


@pytest.mark.parametrize("film", ["film.mp4", "film.gif", "0.gif"])
def test_frames_beside_a_video_are_not_hidden(tmp_path, film):
    folder = tmp_path / "seq"
    folder.mkdir()
    for name in (film, "0.png", "1.png", "2.png"):
        (folder / name).write_bytes(b"x")
    found, refused = video.find([tmp_path])
    assert [(item.name, item.kind) for item in found] == [(f"seq/{film}", "video")]
    ((name, reason, message, hint),) = map(dataclasses.astuple, refused)
    assert (name, reason) == ("seq", "mixed")
    assert "images" in message
    assert film in message
    assert ".png" in message
    assert "folder" in hint


def test_thumbnails_that_a_camera_writes_are_no_frames(tmp_path):
    for name in ("CLIP/C0001.MP4", "CLIP/C0002.MP4", "THMBNL/C0001T01.JPG", "THMBNL/C0002T01.JPG", "all/C0001.MP4",
                 "all/C0002.MP4", "all/C0001T01.JPG", "all/C0002.MP4.jpg"):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found, refused = video.find([tmp_path])
    assert {item.name for item in found} == {"CLIP/C0001.MP4", "CLIP/C0002.MP4", "all/C0001.MP4", "all/C0002.MP4"}
    assert refused == []
    (tmp_path / "all/C0001T02.JPG").write_bytes(b"x")  # two of one video: frames that were taken from it?
    assert [refusal.reason for refusal in video.find([tmp_path])[1]] == ["mixed"]


def test_a_link_that_ends_nowhere_among_frames_is_one_refusal(tmp_path):
    images.write_png(tmp_path / "0.png", np.zeros((8, 8, 3), np.float32))
    (tmp_path / "latest.png").symlink_to("/nowhere/latest.png")
    assert refusal(tmp_path, fps=250).reason == "dangling"


def test_odd_names_are_read_and_print_safely(tmp_path):
    names = [
        b"a\xff.mp4",
        b"..mp4"[1:],
        b"new\nline.mp4",
        b"-rf.mp4",
        b"a%03d.mp4",
        b"concat:x.mp4",
        "ü.mp4".encode(),
        b"x" * 200 + b".mp4",
        b"$(echo).mp4",
    ]
    source = media.encode(tmp_path / "source.mp4", media.scene(3)).read_bytes()
    folder = tmp_path / "in"
    folder.mkdir()
    for name in names[:1] + names[2:] + [b"...mp4"]:
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(source)
    (folder / "..mp4").write_bytes(source)  # hidden: it begins with a dot
    found, refused = video.find([folder])
    assert len(found) == len(names) - 1
    assert not refused
    for item in found:
        assert item.name.isprintable()
        assert json.dumps(item.name).encode("ascii")
        assert item.name.encode("utf-8")
        assert video.probe(item, LIMITS).frames == 3
    assert {"a\\xff.mp4", "new\\nline.mp4", "ü.mp4"} <= {item.name for item in found}
    assert [i.name for i in video.find([folder / ".." / "in" / "-rf.mp4"])[0]] == ["-rf.mp4"]
    given, _ = video.find([folder / "..mp4"])  # named by the user: taken
    assert [i.name for i in given] == ["..mp4"]
    assert video.probe(given[0], LIMITS).frames == 3


def test_digest_is_the_content(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"film")
    assert video.digest(an_input(path)) == hashlib.sha256(b"film").hexdigest()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for index in (0, 1):
            (tmp_path / name / f"{index}.png").write_bytes(bytes([index]))
    one, two = an_input(tmp_path / "one"), an_input(tmp_path / "two")
    assert video.digest(one) == video.digest(two)
    (tmp_path / "two" / "1.png").write_bytes(b"changed")
    assert video.digest(one) != video.digest(two)


# ---- time ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.mp4", "libx264", 250),
        ("a.mkv", "libx264", 240),
        ("a.mkv", "libx264", 960),
        ("a.mov", "libx264", 120),
        ("a.avi", "libx264", 25),
        ("a.avi", "mpeg4", 50),
        ("a.webm", "libvpx-vp9", 250),
        ("a.mxf", "mpeg2video", 25),
        ("a.gif", "gif", 30),
        ("a.mkv", "libx264", Fraction(30000, 1001)),
        ("a.mp4", "libx264", Fraction(24000, 1001)),
        ("a.mov", "mjpeg", 60),
    ],
)
def test_constant_rates_are_read_frame_by_frame(tmp_path, name, codec, rate):
    scene = media.scene(24, 64, 96)
    path = media.encode(tmp_path / name, scene, rate, codec)
    found = probe(path)
    assert (found.frames, found.width, found.height) == (24, 96, 64)
    assert found.fps == pytest.approx(float(rate), rel=2e-3 if codec == "gif" else 1e-9)  # GIF counts in 1/100 s
    assert probe(path, fps=480).fps == 480
    frames = frames_of(path)
    error = np.abs(frames[:, None] - scene[None] / np.float32(255)).mean((2, 3, 4))
    assert (error.argmin(1) == np.arange(24)).all()  # frame i is frame i
    part = list(video.read(found, 7, 9))
    assert np.array_equal(part, frames[7:9])
    assert list(video.read(found, 5, 5)) == []


def test_a_hidden_vp8_frame_is_not_counted(tmp_path):
    options = {"auto-alt-ref": "1", "lag-in-frames": "16", "arnr-maxframes": "7", "b": "200k"}
    path = media.encode(tmp_path / "a.webm", media.scene(60, 64, 96), 25, "libvpx", options=options)
    assert len(frames_of(path)) == probe(path).frames == 60


def test_a_stream_that_begins_late_and_a_fragmented_one(tmp_path):
    late = media.encode(tmp_path / "late.mp4", media.scene(20), 25, ticks=range(10, 30), clock=Fraction(1, 25))
    assert len(frames_of(late)) == 20
    options = {"movflags": "frag_keyframe+empty_moov"}
    fragments = media.encode(tmp_path / "f.mp4", media.scene(20), 25, container=options)
    assert len(frames_of(fragments)) == 20


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
@pytest.mark.parametrize(
    "ticks",
    [
        [t for t in range(60) if t % 3 != 2],
        [t for t in range(60) if t != 30],
        [t if t < 20 else 2 * t - 20 for t in range(40)],
    ],
)
def test_variable_rates_are_refused_with_the_measured_jitter(tmp_path, name, ticks):
    scene = media.scene(len(ticks))
    error = refusal(media.encode(tmp_path / name, scene, 250, ticks=ticks, clock=Fraction(1, 250)))
    assert error.reason == "vfr"
    assert float(re.search(r"deviate by ([0-9.]+) frame intervals", str(error))[1]) > LIMITS.max_jitter
    assert "limit is 0.02" in str(error)


def test_limits_on_frames_and_rate(tmp_path):
    path = media.encode(tmp_path / "a.mp4", media.scene(9))
    assert refusal(path, limits=InputConfig(max_frames=8)).reason == "too-many-frames"
    assert refusal(path, limits=InputConfig(max_pixels=48 * 64 - 1)).reason == "too-large"
    assert refusal(path, fps=0.0).reason == "no-fps"
    assert probe(path, limits=InputConfig(max_frames=9, max_pixels=48 * 64)).frames == 9
    assert probe(media.encode(tmp_path / "one.mp4", media.scene(1))).frames == 1
    with pytest.raises(InputError):
        next(video.read(probe(path), 3, 10))


# ---- geometry ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counter_clockwise", "seen"), [(0, "rgbw"), (270, "brwg"), (180, "wbgr"), (90, "gwrb")]
)  # colours of the corners, in reading order
def test_rotation_is_applied_once(tmp_path, counter_clockwise, seen):
    path = media.encode(tmp_path / "a.mp4", media.corners(), 25, rotation=counter_clockwise, pix_fmt="yuv444p")
    found = probe(path)
    assert found.rotation == -counter_clockwise % 360
    assert not found.mirrored
    assert (found.width, found.height) == ((64, 48) if counter_clockwise in (0, 180) else (48, 64))
    frame = next(video.read(found))
    assert frame.shape == (found.height, found.width, 3)
    assert frame.flags.c_contiguous
    assert _corners(frame) == seen


def test_a_mirrored_video_is_mirrored_back(tmp_path):
    path = media.encode(tmp_path / "a.mp4", media.corners(), 25, pix_fmt="yuv444p")
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    data[at : at + 36] = struct.pack(">9i", -65536, 0, 0, 0, 65536, 0, 64 << 16, 0, 1 << 30)
    path.write_bytes(data)
    assert probe(path).mirrored
    assert _corners(next(video.read(probe(path)))) == "grwb"


def _corners(frame: np.ndarray) -> str:
    names = {(1, 0, 0): "r", (0, 1, 0): "g", (0, 0, 1): "b", (1, 1, 1): "w"}
    picks = [frame[4, 4], frame[4, -5], frame[-5, 4], frame[-5, -5]]
    return "".join(names[tuple(int(value) for value in pick.round())] for pick in picks)


@pytest.mark.parametrize(
    ("sar", "rotation", "size"),
    [(Fraction(4, 3), 0, (85, 48)), (Fraction(8, 9), 0, (64, 54)), (Fraction(4, 3), 90, (48, 85))],
)
def test_pixels_are_made_square(tmp_path, sar, rotation, size):
    path = media.encode(tmp_path / "a.mp4", media.corners(), 25, sar=sar, rotation=rotation, pix_fmt="yuv444p")
    found = probe(path)
    assert (found.width, found.height) == size
    frame = next(video.read(found))
    assert frame.shape == (*size[::-1], 3)
    assert _corners(frame) == ("gwrb" if rotation else "rgbw")


def test_odd_and_tiny_sizes(tmp_path):
    y, x = np.mgrid[:27, :35]
    picture = np.stack([7 * x, 9 * y, 4 * x + 3 * y], axis=2).astype(np.uint8)
    back = frames_of(media.encode(tmp_path / "a.mkv", [picture], 25, "ffv1"))[0]
    assert np.abs(back - picture / 255)[:-2, :-2].mean() < 2 / 255
    for pix_fmt in ("yuv420p", "yuv422p", "yuv410p", "yuv411p", "gray"):
        for height, width in ((27, 35), (1, 1), (16, 1000), (3, 2)):
            count = 1 if pix_fmt == "gray" else 3
            picture = media.planes(pix_fmt, height, width, *[128] * count)
            path = media.encode_pictures(tmp_path / "b.mkv", [picture], 25, options={"level": "1"})
            assert frames_of(path).shape == (1, height, width, 3)


# ---- colour --------------------------------------------------------------------------------------------------------

KR_KB = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}


def reference_rgb(y, cb, cr, bits, matrix, full):
    """Codes to RGB 0..1 in float64, by the equations of ITU-R BT.709 (section 3) and BT.2100 (table 9)."""
    kr, kb = KR_KB[matrix]
    scale = 2.0 ** (bits - 8)
    if full:
        luma, b, r = y / (2**bits - 1), (cb - 128 * scale) / (2**bits - 1), (cr - 128 * scale) / (2**bits - 1)
    else:
        luma, b, r = (y / scale - 16) / 219, (cb / scale - 128) / 224, (cr / scale - 128) / 224
    red, blue = luma + 2 * (1 - kr) * r, luma + 2 * (1 - kb) * b
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip([red, green, blue], 0, 1)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", [1, 6, 9])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p12le"])
def test_colours_agree_with_the_equations(tmp_path, pix_fmt, matrix, full):
    bits = int((re.search(r"p(1\d)", pix_fmt) or [0, 8])[1])
    codes = np.array([(60, 110, 150), (128, 128, 128), (200, 140, 90), (235, 128, 128), (16, 128, 128)]) << (bits - 8)
    pictures = [media.planes(pix_fmt, 18, 22, *map(int, code)) for code in codes]
    path = media.encode_pictures(tmp_path / "a.mkv", pictures, 25, colorspace=matrix, full_range=full)
    found = probe(path)
    assert found.bits == bits
    assert found.colour == f"{pix_fmt} {video.yuv.MATRICES[matrix][0]} {'full' if full else 'limited'}"
    for frame, code in zip(video.read(found), codes, strict=True):
        assert frame.dtype == np.float32
        worst = np.abs(frame - reference_rgb(*map(float, code), bits, matrix, full).astype(np.float32)).max()
        assert worst < 1e-5  # a code value is 1/255


def test_untagged_colours_and_players(tmp_path):
    small = media.encode_pictures(tmp_path / "s.mkv", [media.planes("yuv420p", 48, 64, 90, 100, 180)])
    large = media.encode_pictures(tmp_path / "l.mkv", [media.planes("yuv420p", 720, 1280, 90, 100, 180)])
    assert probe(small).colour == "yuv420p bt601 limited"
    assert probe(large).colour == "yuv420p bt709 limited"
    np.testing.assert_allclose(frames_of(small)[0, 5, 5], reference_rgb(90, 100, 180, 8, 6, False), atol=1e-5)
    np.testing.assert_allclose(frames_of(large)[0, 5, 5], reference_rgb(90, 100, 180, 8, 1, False), atol=1e-5)


def test_chroma_is_interpolated_at_its_place(tmp_path):
    """A chroma gradient, sampled where 4:2:0 samples lie (on even columns, between rows), comes back as a gradient."""
    rows, columns = np.arange(16) * 2 + 0.5, np.arange(24) * 2
    chroma = np.rint(400 + 4 * rows[:, None] + 6 * columns[None])
    picture = media.planes("yuv420p10le", 32, 48, 500, chroma, 512)
    frame = frames_of(media.encode_pictures(tmp_path / "a.mkv", [picture], colorspace=1, full_range=False))[0]
    true = 400 + 4 * np.arange(32)[:, None] + 6 * np.arange(48)[None]
    blue = reference_rgb(500.0, true, np.full_like(true, 512.0, float), 10, 1, False)[2]
    assert np.abs(frame[:, :, 2] - blue)[4:-4, 4:-4].max() * 1023 < 0.6


def test_grey_rgb_and_alpha(tmp_path):
    grey = frames_of(media.encode_pictures(tmp_path / "g.mkv", [media.planes("gray", 20, 30, 51)]))
    np.testing.assert_allclose(grey, np.full((1, 20, 30, 3), 0.2), atol=1e-6)
    scene = media.scene(3)
    rgb = media.encode(tmp_path / "rgb.avi", scene, 25, "png")
    np.testing.assert_array_equal(frames_of(rgb), scene / np.float32(255))
    half = media.planes("yuva444p", 20, 30, 235, 128, 128, 128)  # white, half transparent, over black
    path = media.encode_pictures(tmp_path / "alpha.mkv", [half], colorspace=1, full_range=False)
    np.testing.assert_allclose(frames_of(path), np.full((1, 20, 30, 3), 128 / 255), atol=1e-5)
    deep = media.planes("gbrp10le", 20, 30, 100, 200, 300)
    path = media.encode_pictures(tmp_path / "deep.mkv", [deep])
    np.testing.assert_allclose(frames_of(path)[0, 3, 3], np.array([300, 100, 200]) / 1023, atol=1 / 1023)


# ---- damage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "codec", "container"),
    [
        ("a.mp4", "libx264", {"movflags": "faststart"}),
        ("a.mkv", "libx264", {}),
        ("a.webm", "libvpx-vp9", {}),
        ("a.avi", "mpeg4", {}),
        ("a.mxf", "mpeg2video", {}),
        ("a.gif", "gif", {}),
        ("b.mp4", "libx264", {}),
        ("c.mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
    ],
)
def test_a_truncated_file_is_never_a_short_clip(tmp_path, name, codec, container):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 64, (60, 64, 96, 3), dtype=np.uint8) + media.scene(60, 64, 96) // 2
    whole = media.encode(tmp_path / name, noise, 25, codec, container=container).read_bytes()
    reasons = set()
    for percent in range(1, 100, 2):
        (tmp_path / name).write_bytes(whole[: len(whole) * percent // 100])
        try:
            frames = frames_of(tmp_path / name)
        except InputError as error:
            reasons.add(error.reason)
        else:  # cut within the index behind the last frame: all the frames are there
            assert len(frames) == 60
    assert reasons & {"truncated", "unreadable"}
    assert reasons <= {"truncated", "corrupt", "unreadable", "no-video", "vfr"}  # vfr: frames between the last are lost


def test_one_missing_frame_shows(tmp_path):
    path = media.encode(tmp_path / "a.mkv", media.scene(50), 250, options={"bf": "0"})
    with av.open(str(path)) as container:
        last = [packet for packet in container.demux() if packet.size][-1]
    path.write_bytes(path.read_bytes()[: last.pos])
    assert refusal(path).reason == "truncated"


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.mkv", "ffv1"), ("a.webm", "libvpx-vp9")]
)
def test_bit_rot_gives_an_error_or_all_the_frames(tmp_path, name, codec):
    path = media.encode(tmp_path / name, media.scene(40, 64, 96), 250, codec)
    whole = path.read_bytes()
    refused = 0
    for seed in range(12):
        path.write_bytes(whole)
        media.rot(path, seed)
        try:
            assert len(frames_of(path)) == 40
        except InputError as error:
            refused += error.reason in ("corrupt", "truncated", "unreadable", "vfr", "size-changes", "no-video")
    assert refused >= 10


def test_hostile_files_are_refused(tmp_path):
    whole = media.encode(tmp_path / "whole.mp4", media.scene(9)).read_bytes()
    png = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    jpeg = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    contents = {
        "zero.mp4": (b"", "zero-byte"),
        "text.mp4": (b"not a video\n" * 200, "unreadable"),
        "png.mp4": (png, "unreadable"),
        "jpeg.mp4": (jpeg, "unreadable"),
        "list.mp4": (f"ffconcat version 1.0\nfile '{tmp_path}/whole.mp4'\n".encode(), "unreadable"),
        "playlist.mp4": (f"#EXTM3U\n#EXTINF:1,\n{tmp_path}/whole.mp4\n#EXT-X-ENDLIST\n".encode(), "unreadable"),
        "head.mp4": (whole[:40], "unreadable"),
        "random.mkv": (np.random.default_rng(0).bytes(9999), "unreadable"),
    }
    for name, (content, reason) in contents.items():
        (tmp_path / name).write_bytes(content)
        assert refusal(tmp_path / name).reason == reason, name
    assert refusal(media.audio(tmp_path / "sound.mp4")).reason == "no-video"
    assert refusal(tmp_path / "missing.mp4").reason == "unreadable"
    renamed = tmp_path / "really-matroska.mp4"
    renamed.write_bytes(media.encode(tmp_path / "a.mkv", media.scene(5)).read_bytes())
    assert probe(renamed).frames == 5


def test_a_size_bomb_is_refused_from_its_header(tmp_path):
    path = media.encode(tmp_path / "bomb.avi", media.scene(2), 25, "mjpeg")
    data = bytearray(path.read_bytes())
    struct.pack_into("<ii", data, data.index(b"strf") + 12, 14000, 14000)
    for start in (m.start() for m in re.finditer(rb"\xff\xc0\x00\x11", bytes(data))):
        struct.pack_into(">HH", data, start + 5, 14000, 14000)
    path.write_bytes(data)
    count = media.encode(tmp_path / "frames.mp4", media.scene(3), 25)
    data = bytearray(count.read_bytes())
    for box, offset, value in ((b"stsz", 8, 1), (b"stsz", 12, 10**9), (b"stts", 12, 10**9), (b"stsc", 16, 10**9)):
        struct.pack_into(">I", data, data.index(box) + offset, value)
    count.write_bytes(data)
    sequence = tmp_path / "images"
    sequence.mkdir()
    (sequence / "0.png").write_bytes(_png_header(14000, 14000))
    for target, reason in ((path, "too-large"), (count, "too-many-frames"), (sequence, "too-large")):
        found, extra = _probe_in_a_process(target)
        assert found == reason
        assert extra < 60


def _png_header(width: int, height: int) -> bytes:
    small = bytearray(cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    struct.pack_into(">II", small, 16, width, height)
    return bytes(small)


def _probe_in_a_process(path: Path) -> tuple[str, float]:
    """(reason, MB of memory above what the imports need)."""
    if not Path("/proc/self/status").exists():
        pytest.skip("peak memory is read from /proc, which this system lacks")
    code = """if True:
        import re, sys
        from pathlib import Path
        from lolblur_synth import errors
        from lolblur_synth.files import video
        from lolblur_synth.recipe import schema
        peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
        path, before = Path(sys.argv[1]), peak()
        try:
            item = video.Input(path, path.name, "images" if path.is_dir() else "video")
            video.probe(item, schema.InputConfig(), 25.0)
        except errors.InputError as error:
            print(error.reason, peak() - before)"""
    result = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, timeout=60, check=True)
    reason, extra = result.stdout.split()
    return reason, float(extra)


def test_the_file_is_closed_when_reading_stops_early(tmp_path):
    found = probe(media.encode(tmp_path / "a.mp4", media.scene(20)))
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("open files are counted in /proc, which this system lacks")

    def times_open() -> int:
        return sum(os.path.realpath(entry) == os.path.realpath(found.path) for entry in descriptors.iterdir())

    reader = video.read(found)
    next(reader)
    assert times_open() == 1
    reader.close()
    assert times_open() == 0


# ---- image sequences and images ------------------------------------------------------------------------------------


def test_an_image_sequence(tmp_path):
    scene = media.scene(12)
    for index, frame in enumerate(scene):
        images.write_png(tmp_path / f"{index}.png", frame / np.float32(255))
    assert refusal(tmp_path).reason == "no-fps"
    assert "--fps" in refusal(tmp_path).hint
    found = probe(tmp_path, 250)
    assert (found.frames, found.width, found.height, found.fps, found.bits) == (12, 64, 48, 250, 8)
    np.testing.assert_array_equal(np.stack(list(video.read(found))), scene / np.float32(255))  # 2.png before 10.png
    np.testing.assert_array_equal(np.stack(list(video.read(found, 3, 5))), scene[3:5] / np.float32(255))
    assert video.scan_frames(found).frames == 12
    (tmp_path / "5.png").rename(tmp_path / "five")
    error = refusal(tmp_path, fps=250)
    assert error.reason == "vfr"
    assert "frame 5 is missing between 4.png and 6.png" in str(error)
    (tmp_path / "five").rename(tmp_path / "5.png")
    (tmp_path / "11.png").rename(tmp_path / "eleven")
    with pytest.raises(InputError, match="11 images, there were 12"):
        next(video.read(found))
    (tmp_path / "eleven").rename(tmp_path / "11.png")
    images.write_png(tmp_path / "7.png", scene[7][:40] / np.float32(255))
    error = refusal(tmp_path, fps=250)
    assert error.reason == "size-changes"
    assert "7.png" in str(error)
    media.truncate(tmp_path / "3.png", 0.6)
    assert refusal_in_sequence(tmp_path, "3.png").reason == "corrupt"


def refusal_in_sequence(folder: Path, name: str) -> InputError:
    with pytest.raises(InputError, match=name) as caught:
        list(video.read(probe(folder, 250)))
    return caught.value


def test_images_come_back_value_for_value(tmp_path):
    frame = np.random.default_rng(0).random((27, 35, 3), dtype=np.float32)
    images.write_tiff(tmp_path / "a.tiff", frame * 3)
    np.testing.assert_array_equal(images.read_image(tmp_path / "a.tiff"), frame * 3)
    for bits in (8, 16):
        images.write_png(tmp_path / "a.png", frame, bits)
        peak = 2**bits - 1
        np.testing.assert_array_equal(images.read_image(tmp_path / "a.png"), np.rint(frame * peak) / np.float32(peak))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "a.tiff"]
    linear = next(video.read(probe(_moved(tmp_path, "a.tiff", "linear"), 25)))
    np.testing.assert_allclose(linear, (frame * 3) ** (1 / 2.2), atol=1e-6)
    with pytest.raises(UsageError):
        images.write_png(tmp_path / "a.png", frame, 12)
    with pytest.raises(OSError):
        images.write_png(tmp_path / "a.png" / "below_a_file.png", frame)


def _moved(folder: Path, name: str, to: str) -> Path:
    (folder / to).mkdir()
    (folder / name).rename(folder / to / name)
    return folder / to


def test_grey_alpha_and_turned_images(tmp_path):
    def encoded(suffix: str, pixels: np.ndarray) -> Path:
        path = tmp_path / f"a{suffix}"
        path.write_bytes(cv2.imencode(suffix, pixels)[1].tobytes())
        return path

    assert images.read_image(encoded(".png", np.full((4, 6), 51, np.uint8)))[0, 0] == pytest.approx([0.2] * 3)
    bgra = np.array([[[10, 20, 30, 255], [255, 255, 255, 0]]], np.uint8)
    expected = np.array([[[30, 20, 10], [0, 0, 0]]]) / np.float32(255)
    np.testing.assert_allclose(images.read_image(encoded(".png", bgra)), expected, atol=1e-6)
    path = encoded(".jpg", media.corners(48, 64, 1)[0][:, :, ::-1])
    data = path.read_bytes()
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"  # orientation 6: turn clockwise
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])
    frame = images.read_image(path)
    assert frame.shape == (64, 48, 3)
    assert _corners(frame) == "brwg"


def test_broken_images_are_refused(tmp_path):
    frame = np.random.default_rng(0).random((60, 80, 3), dtype=np.float32)
    for suffix in (".png", ".jpg", ".tiff"):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(cv2.imencode(suffix, np.rint(frame * 255).astype(np.uint8))[1].tobytes())
        whole = path.read_bytes()
        assert images.header_size(whole) == (80, 60)
        for share, reason in ((0, "zero-byte"), (0.01, "unreadable"), (0.5, "corrupt")):
            path.write_bytes(whole[: int(len(whole) * share)])
            with pytest.raises(InputError, match=path.name) as caught:
                images.read_image(path)
            assert caught.value.reason in (reason, "unreadable", "corrupt")
        path.write_bytes(whole)
        with pytest.raises(InputError) as caught:
            images.read_image(path, max_pixels=80 * 60 - 1)
        assert caught.value.reason == "too-large"
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(InputError):
        images.read_image(tmp_path / "text.png")


# ---- survey and writing --------------------------------------------------------------------------------------------


def shots(*seeds: int, length: int = 20, gain: float = 1.0) -> np.ndarray:
    return np.concatenate([(media.scene(length, 90, 160, seed) * gain).astype(np.uint8) for seed in seeds])


@pytest.mark.parametrize("gain", [1.0, 0.15])
def test_cuts_are_found_and_flashes_are_not(tmp_path, gain):
    frames = shots(1, 2, 3, gain=gain)
    frames[10] = np.minimum(frames[10].astype(int) + 90, 255)  # a flash
    frames[50, :, :80] = 255  # lightning on one side
    path = media.encode(tmp_path / "a.mp4", frames, 250, options={"crf": "12"})
    found = video.scan_frames(probe(path))
    assert found.cuts == (19, 39)
    assert found.frames == 60
    assert len(found.differences) == 59
    assert found.repeats == 1
    assert found.differences[9] > 0.05 < found.differences[10]
    json.dumps(dataclasses.asdict(found))


@pytest.mark.parametrize("times", [2, 3, 8])
def test_repeated_frames_are_noticed(tmp_path, times):
    texture = media.scene(1, 90, 160)[0]
    frames = np.stack([np.roll(texture, 2 * index, 1) for index in range(30)]).repeat(times, axis=0)[1:]
    assert video.scan_frames(probe(media.encode(tmp_path / "a.mp4", frames, 240))).repeats == times


def test_the_lightness_of_unsaturated_pixels_is_told_by_parts_of_the_video(tmp_path):
    """Of what the output shows: the bright edges that the crop takes away do not count, nor does the lamp."""
    pictures = np.full((40, 90, 160, 3), 60, np.uint8)
    pictures[20:] = 120
    pictures[:, :, :40] = pictures[:, :, -40:] = 200
    pictures[:, 40:50, 70:90] = 255
    path = media.encode(tmp_path / "a.mkv", pictures, 250, "ffv1")
    found = video.scan_frames(probe(path), shown=(0.5, 1.0))
    assert len(found.moments) == 40
    for (mean, square), code in ((found.moments[0], 60), (found.moments[-1], 120)):
        lightness = 1.16 * (((code / 255 + 0.055) / 1.055) ** 2.4) ** (1 / 3) - 0.16
        assert mean == pytest.approx(lightness, abs=0.005)
        assert square == pytest.approx(lightness**2, abs=0.005)
    assert video.scan_frames(probe(path)).moments[0][0] > found.moments[0][0] + 0.1
    upright = media.encode(tmp_path / "b.mp4", pictures, 250, rotation=90)
    assert video.scan_frames(probe(upright), shown=(1.0, 0.5)).moments[0][0] == pytest.approx(
        found.moments[0][0], abs=0.01
    )


def test_a_survey_never_misses_damage(tmp_path):
    path = media.encode(tmp_path / "a.mp4", media.scene(40, 64, 96), 250, container={"movflags": "faststart"})
    found = probe(path)
    media.rot(path, 0)
    with pytest.raises(InputError):
        video.scan_frames(found)


def test_fireworks_at_night():
    path = Path(__file__).parents[2] / "shared/videos/test-only/night-lights/mcdaga_fireworks_night_720p25.mp4"
    if not path.exists():
        pytest.skip("the footage of fireworks is not here")
    found = video.scan_frames(probe(path))
    assert found.cuts == (100, 225, 250, 302, 353, 479, 695)  # as seen by eye
    assert found.repeats == 1


@pytest.mark.parametrize(("height", "width"), [(48, 64), (27, 35)])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_written_video_reads_back(tmp_path, name, height, width):
    y, x = np.mgrid[:height, :width].astype(np.float32)
    frames = [np.stack([x / width, y / height, np.full_like(x, index / 9)], axis=2) for index in range(10)]
    video.write_video(tmp_path / name, iter(frames), 29.97)
    found = probe(tmp_path / name)
    assert (found.frames, found.colour) == (10, "yuv420p bt709 limited")
    assert found.fps == pytest.approx(29.97)
    back = np.stack(list(video.read(found)))[:, :height, :width]
    assert np.abs(back - frames).mean() < 2 / 255
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert video.digest(an_input(tmp_path / name)) == _digest_of_second_copy(tmp_path / name, frames)


def _digest_of_second_copy(path: Path, frames: list[np.ndarray]) -> str:
    video.write_video(path, frames, 29.97)
    return video.digest(an_input(path))


def test_a_failed_write_leaves_nothing(tmp_path):
    def breaking():
        yield np.zeros((48, 64, 3), np.float32)
        raise RuntimeError("the lamp went out")

    with pytest.raises(RuntimeError):
        video.write_video(tmp_path / "a.mp4", breaking(), 25)
    with pytest.raises(InputError):
        video.write_video(tmp_path / "a.mp4", [], 25)
    with pytest.raises(InputError):
        video.write_video(tmp_path / "a.mp4", [np.zeros((48, 64, 3)), np.zeros((48, 60, 3))], 25)
    for name, fps in (("a.gif", 25), ("a.mp4", 0)):
        with pytest.raises(UsageError):
            video.write_video(tmp_path / name, [np.zeros((48, 64, 3))], fps)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("pix_fmt", ["yuyv422", "uyvy422", "nv12"])
def test_packed_video_is_not_said_to_be_of_full_range(tmp_path, pix_fmt):
    path = media.encode(tmp_path / "a.avi", media.corners(), 250, "rawvideo", pix_fmt=pix_fmt)
    found = probe(path)
    assert found.colour == f"{pix_fmt} bt601 limited"
    first = next(video.read(found))
    assert np.allclose(first[4, 4], (1, 0, 0), atol=0.02)
    assert np.allclose(first[-5, -5], 1, atol=0.02)
