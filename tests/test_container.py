"""What a container says of its picture: which track, which colours, what is cut off, and what alpha and fields mean."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import media
import numpy as np
import pytest

from lolblur_synth import recipes
from lolblur_synth.dataset import advice, worker
from lolblur_synth.errors import InputError
from lolblur_synth.files import video
from lolblur_synth.files.video.container_crop import Crop, container_crop
from lolblur_synth.files.video.yuv import Tags
from lolblur_synth.recipe.schema import InputConfig
from lolblur_synth.tools import request, restore, stage


def probe(path: Path) -> video.Video:
    return video.probe(video.Input(path, path.name, "video"), InputConfig())


def first(path: Path) -> np.ndarray:
    return next(video.read(probe(path)))


def about(path: Path) -> str:
    return "; ".join(probe(path).notes)


# ---- tracks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "defaults", "chosen", "suffix"),
    [
        ([(32, 32), (64, 48)], [1], 1, ".mp4"),
        ([(32, 32), (64, 48)], [1], 1, ".mkv"),  # a preview in front
        ([(64, 48), (32, 32)], [1], 1, ".mp4"),  # the default, although it is the smaller one
        ([(32, 32), (64, 48)], [], 1, ".mkv"),  # the largest; in MP4 one track at least is marked
        ([(32, 32), (64, 48), (64, 48)], [0, 1, 2], 1, ".mp4"),  # the first of the largest
    ],
)
def test_the_default_track_is_used_or_the_largest(tmp_path, suffix, sizes, defaults, chosen):
    path = media.two_tracks(tmp_path / f"a{suffix}", sizes, defaults)
    clip = probe(path)
    assert (clip.width, clip.height) == sizes[chosen]
    frames = np.stack(list(video.read(clip)))
    np.testing.assert_allclose(frames, 40 * (chosen + 1) / 255, atol=2 / 255)
    assert clip.notes[0].startswith(f"{len(sizes)} video tracks; track {chosen} ({clip.width}x{clip.height}")
    assert "default" not in clip.notes[0] or defaults


def test_one_track_needs_no_word(tmp_path):
    assert probe(media.encode(tmp_path / "a.mp4", media.scene(3))).notes == ()


# ---- colours -------------------------------------------------------------------------------------------------------


def hevc(path: Path, colr: tuple[int, int, int, int] | None, **tags: int) -> Path:
    """Flat HEVC pictures; colr: primaries, transfer, matrix and full range in the container alone."""
    pictures = [media.planes("yuv420p", 48, 64, 90, 100, 180) for _ in range(3)]
    media.encode_pictures(path, pictures, codec="libx265", options={"x265-params": "log-level=none"}, **tags)
    if colr:
        media.with_box(path, struct.pack(">I4s4sHHHB", 19, b"colr", b"nclx", *colr[:3], colr[3] << 7))
    return path


def test_colour_tags_of_the_container_count_where_the_bitstream_has_none(tmp_path):
    untagged = hevc(tmp_path / "a.mp4", None)
    assert probe(untagged).colour == "yuv420p bt601 limited"  # by its size
    tagged = hevc(tmp_path / "b.mp4", (1, 1, 1, 0))
    assert probe(tagged).colour == "yuv420p bt709 limited (tags of the container)"
    assert np.abs(first(untagged) - first(tagged)).max() > 0.03
    y, cb, cr = (90 - 16) / 219, (100 - 128) / 224, (180 - 128) / 224  # BT.709, section 3
    red, blue = y + 1.5748 * cr, y + 1.8556 * cb
    green = (y - 0.2126 * red - 0.0722 * blue) / 0.7152
    np.testing.assert_allclose(first(tagged)[20, 30], [red, green, blue], atol=2 / 255)


def test_the_bitstream_comes_before_the_container(tmp_path):
    path = hevc(tmp_path / "a.mp4", (1, 16, 1, 0), colorspace=6, full_range=False, transfer=6)
    assert probe(path).colour == "yuv420p bt601 limited"


@pytest.mark.parametrize(("transfer", "curve"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_measured_light_when_only_the_container_says_so(tmp_path, transfer, curve):
    clip = probe(hevc(tmp_path / "a.mp4", (9, transfer, 9, 0)))
    assert clip.light == "measured"
    assert clip.colour == f"yuv420p bt2020 limited {curve} (tags of the container)"
    assert f"{curve} with 8 bits" in " ".join(clip.notes)


def test_colours_that_are_not_converted_are_named_or_refused(tmp_path):
    picture = media.planes("yuv444p", 48, 64, 90, 100, 180)
    with pytest.raises(InputError, match="YCgCo") as caught:
        probe(media.encode_pictures(tmp_path / "a.mkv", [picture], colorspace=8))
    assert caught.value.reason == "format"
    assert "linear light" in about(media.encode_pictures(tmp_path / "b.mkv", [picture], transfer=8))
    assert "primaries (BT.2020)" in about(hevc(tmp_path / "c.mp4", (9, 1, 9, 0)))


def test_an_identity_matrix_is_no_matrix_of_yuv():
    frame = media.planes("yuv420p", 8, 8, 90, 100, 180)
    assert not video.yuv.fill(frame, Tags(matrix=0))
    assert video.yuv.matrix_of(frame)[0] == "bt601"


# ---- crop ----------------------------------------------------------------------------------------------------------


def padded(path: Path, crop: Crop, rotation: int = 0) -> Path:
    """Coloured corners with grey borders, in a file that asks to cut the borders off."""
    sides = ((0, 0), (crop.top, crop.bottom), (crop.left, crop.right), (0, 0))
    frames = np.pad(media.corners(), sides, constant_values=128)
    media.encode(path, frames, 250, pix_fmt="yuv444p", rotation=rotation, options={"qp": "0"})
    across, down = Fraction(crop.left - crop.right, 2), Fraction(crop.top - crop.bottom, 2)
    return media.with_box(path, media.clap(64, 48, across, down))


def matroska(path: Path) -> Path:
    """The same stream in Matroska; FFmpeg's own muxer writes the crop."""
    target = path.with_suffix(".mkv")
    with av.open(str(path)) as source, av.open(str(target), "w") as output:
        track = source.streams.video[0]
        copy = output.add_stream_from_template(track)
        for packet in source.demux(track):
            if packet.dts is not None:
                packet.stream = copy
                output.mux(packet)
    return target


CROPS = [Crop(2, 4, 8, 16), Crop(0, 0, 0, 16), Crop(6, 0, 0, 0), Crop(3, 5, 7, 10)]


@pytest.mark.parametrize("crop", CROPS)
def test_what_the_container_cuts_off_is_cut_off(tmp_path, crop):
    path = padded(tmp_path / "a.mp4", crop)
    for file in (path, matroska(path)):
        clip = probe(file)
        assert clip.crop == crop, "MP4 as FFmpeg reads it into Matroska"
        assert (clip.width, clip.height) == (64, 48)
        np.testing.assert_allclose(first(file), media.corners()[0] / 255, atol=0.02)
        assert next(video.reader.luma(clip)).shape == (48, 64)
        assert f"cropped from {64 + crop.left + crop.right}x{48 + crop.top + crop.bottom} to 64x48" in about(file)


def test_the_crop_comes_before_the_rotation(tmp_path):
    path = padded(tmp_path / "a.mp4", Crop(2, 4, 8, 16), rotation=270)
    clip = probe(path)
    assert (clip.width, clip.height, clip.rotation) == (48, 64, 90)
    np.testing.assert_allclose(first(path), np.rot90(media.corners()[0], -1) / 255, atol=0.02)


def test_a_crop_that_does_not_fit_is_not_applied(tmp_path):
    path = media.with_box(media.encode(tmp_path / "a.mp4", media.scene(3)), media.clap(80, 48, 0, 0))
    assert probe(path).crop == Crop()
    assert probe(path).notes == ()
    crop, notes = video.reader.fitting(Crop(40, 0, 24, 0), 64, 48)
    assert crop == Crop()
    assert "leaves nothing" in notes[0]


@pytest.mark.parametrize(("suffix", "kind"), [(".mp4", "mov,mp4"), (".mkv", "matroska,webm")])
def test_hostile_headers_end_the_search_for_a_crop(tmp_path, suffix, kind):
    path = padded(tmp_path / "a.mp4", Crop(2, 4, 8, 16))
    path = matroska(path) if suffix == ".mkv" else path
    whole = path.read_bytes()
    assert container_crop(path, kind, 0, 1) == Crop(2, 4, 8, 16)
    rng = np.random.default_rng(0)
    for attempt in range(200):
        data = bytearray(whole[: rng.integers(0, len(whole))] if attempt % 2 else whole)
        for at in rng.integers(0, max(len(data), 1), 20 if data else 0):
            data[at] = rng.integers(0, 256)
        path.write_bytes(data)
        assert min(container_crop(path, kind, 0, 1)) >= 0
    for filling in (bytes(10_000), b"\xff" * 10_000, struct.pack(">I4s", 8, b"moov") * 1000, b"\x81\x80" * 5000):
        path.write_bytes(filling)
        assert container_crop(path, kind, 0, 1) == Crop()


# ---- alpha ---------------------------------------------------------------------------------------------------------


def with_alpha(path: Path, codec: str, pix_fmt: str, *levels: int) -> Path:
    """A scene whose frames have these levels of alpha."""
    frames = (np.dstack([frame, np.full(frame.shape[:2], level, np.uint8)])
              for frame, level in zip(media.scene(len(levels)), levels, strict=True))  # fmt: skip
    pictures = (av.VideoFrame.from_ndarray(frame, format="rgba").reformat(format=pix_fmt) for frame in frames)
    return media.encode_pictures(path, pictures, 25, codec)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.avi", "rawvideo", "bgra"),
        ("a.mov", "rawvideo", "argb"),
        ("a.mov", "qtrle", "argb"),
        ("a.mov", "png", "rgba"),
        ("a.mkv", "ffv1", "yuva444p"),
    ],
)
def test_an_alpha_of_zero_everywhere_is_not_used(tmp_path, name, codec, pix_fmt):
    path = with_alpha(tmp_path / name, codec, pix_fmt, 0, 0)
    clip = probe(path)
    assert "its alpha channel is 0 everywhere" in about(path)
    frames = np.stack(list(video.read(clip)))
    np.testing.assert_allclose(frames, media.scene(2) / 255, atol=0.02)
    assert next(video.reader.luma(clip)).mean() > 0.2


def test_an_alpha_that_carries_something_is_used_in_every_frame(tmp_path):
    path = with_alpha(tmp_path / "a.mov", "qtrle", "argb", 255, 128, 0)
    frames = list(video.read(probe(path)))
    np.testing.assert_allclose(frames[1], media.scene(2)[1] / 255 * 128 / 255, atol=1e-6)
    assert not frames[2].any()
    assert probe(path).notes == ()
    assert "transparent parts are shown on black" in about(with_alpha(tmp_path / "b.mov", "qtrle", "argb", 128, 128))


def test_an_alpha_that_begins_later_is_refused(tmp_path):
    clip = probe(with_alpha(tmp_path / "a.mov", "qtrle", "argb", 0, 255))
    for reader in (video.read, video.reader.luma):
        with pytest.raises(InputError, match="not in frame 1") as caught:
            list(reader(clip))
        assert caught.value.reason == "alpha"
        assert "ffmpeg" in caught.value.hint


# ---- fields, and where notes are shown -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [("a.mp4", "libx264", {"x264-params": "interlaced=1:tff=1"}), ("a.avi", "mpeg2video", {"flags": "+ildct+ilme"})],
)
def test_interlaced_video_is_named_with_the_remedy(tmp_path, name, codec, options):
    path = media.encode(tmp_path / name, media.scene(5), 25, codec, options=options)
    assert "interlaced" in about(path)
    assert "bwdif" in about(path)
    assert about(media.encode(tmp_path / name, media.scene(5), 25, codec)) == ""


def test_notes_reach_the_plan_and_the_log(tmp_path, caplog):
    path = media.two_tracks(tmp_path / "a.mkv", [(32, 32), (64, 48)], [1])
    recipe = recipes.override(recipes.load("lolblur"), ["skip=denoise", "resize.width=32", "resize.height=24"])
    info = worker.inspect(recipe, video.Input(path, "a.mkv", "video"))
    assert advice.about(info, recipe, 60)[0].startswith("a.mkv: 2 video tracks; track 1 (64x48, default) is used")
    stage.run(request.Request("resize", path, tmp_path / "out", recipe))
    assert "a.mkv: 2 video tracks" in caplog.text
    caplog.clear()
    restore.restore(path, tmp_path / "restored", quiet=True, weights="lednet")
    assert "a.mkv: 2 video tracks" in caplog.text
