"""HDR video and frames of linear light: what is written as light comes back as light, and what holds none is as it was.

The bounds: a lamp is read within 2 %, a grey within 1.2 %, which is half a step of 10-bit PQ and some rounding.
"""

import struct
from fractions import Fraction
from pathlib import Path

import cv2
import media
import numpy as np
import pytest
import tifffile

from lolblur_synth.errors import InputError
from lolblur_synth.files import images, video
from lolblur_synth.files.video import dolby, reader, yuv
from lolblur_synth.recipe.schema import InputConfig

LAMP_ERROR, GREY_ERROR = 0.02, 0.012
SIZE, HEIGHT = 16, 64  # pixels of a patch: no codec smears it to its middle, and SVT-AV1 starts at 64
GREYS = (0.01, 0.03, 0.1, 0.2, 0.5, 0.9, 1.0)
LAMPS = {16: (10.0, 40.0), 18: (3.0, 6.0)}  # HLG ends at 6.19 times white
LOSSLESS = {"libx265": {"x265-params": "lossless=1:log-level=none"}, "libx264": {"qp": "0"}, "libsvtav1": {"crf": "1"}}
COLOUR = (0.6, 0.2, 0.1)  # linear BT.709


def probe(path: Path, fps: float | None = None) -> video.Video:
    kind = "images" if path.is_dir() else "video"
    return video.probe(video.Input(path, path.name, kind), InputConfig(), fps)


def light_of(path: Path, fps: float | None = None) -> np.ndarray:
    """(H, W, 3) linear light of the first frame."""
    return next(video.read(probe(path, fps))).astype(np.float64) ** 2.2


def patches(*levels: float | tuple) -> np.ndarray:
    """(HEIGHT, SIZE * n, 3) linear light: a patch for each level."""
    return np.concatenate([np.broadcast_to(np.array(level, float), (HEIGHT, SIZE, 3)) for level in levels], axis=1)


def middles(light: np.ndarray) -> np.ndarray:
    """(n, 3): the middle of each patch."""
    return light[HEIGHT // 2, SIZE // 2 :: SIZE]


def notes_of(path: Path, fps: float | None = None) -> str:
    return " ".join(probe(path, fps).notes)


def refusal(path: Path, fps: float | None = None) -> InputError:
    with pytest.raises(InputError) as caught:
        list(video.read(probe(path, fps)))
    assert path.name in str(caught.value)
    assert caught.value.hint
    return caught.value


# ---- video ---------------------------------------------------------------------------------------------------------

FILES = [
    ("a.mp4", "libx265", "yuv420p10le", False),
    ("a.mp4", "libx265", "yuv420p12le", False),
    ("a.mp4", "libsvtav1", "yuv420p10le", False),
    ("a.mkv", "libx264", "yuv444p10le", False),
    ("a.mkv", "ffv1", "yuv420p10le", False),
    ("a.mkv", "ffv1", "yuv444p10le", True),
    ("a.mkv", "ffv1", "gbrp10le", True),
    ("a.mkv", "ffv1", "gbrp12le", True),
    ("a.mkv", "ffv1", "gbrp12le", False),
    ("a.mkv", "ffv1", "gbrp16le", True),
]


@pytest.mark.parametrize(("name", "codec", "pix_fmt", "full_range"), FILES)
@pytest.mark.parametrize("transfer", [16, 18])
def test_lamps_and_greys_of_an_hdr_video_are_read_as_light(tmp_path, name, codec, pix_fmt, full_range, transfer):
    lamps = [min(lamp, 3.7) if full_range and transfer == 18 else lamp for lamp in LAMPS[transfer]]
    path = media.hdr(tmp_path / name, [patches(*GREYS, *lamps)] * 2, codec, pix_fmt=pix_fmt, transfer=transfer,
                     full_range=full_range, options=LOSSLESS.get(codec))  # fmt: skip
    clip = probe(path)
    assert clip.light == "measured"
    assert yuv.HDR[transfer] in clip.colour
    found = middles(light_of(path))
    np.testing.assert_allclose(found[: len(GREYS)], np.repeat(np.array(GREYS)[:, None], 3, 1), rtol=GREY_ERROR)
    np.testing.assert_allclose(found[len(GREYS) :], np.repeat(np.array(lamps)[:, None], 3, 1), rtol=LAMP_ERROR)


@pytest.mark.parametrize("pix_fmt", ["yuv444p10le", "gbrp12le"])
@pytest.mark.parametrize("primaries", [1, 9])
def test_a_colour_comes_out_in_bt709(tmp_path, pix_fmt, primaries):
    red = (8.0, 0.8, 0.3)
    path = media.hdr(tmp_path / "a.mkv", [patches(COLOUR, red)], pix_fmt=pix_fmt, primaries=primaries)
    bound = 0.03 if pix_fmt.startswith("yuv") else 0.01  # each code of Cb and Cr adds half a step to red and blue
    np.testing.assert_allclose(middles(light_of(path)), [COLOUR, red], rtol=bound)
    assert not probe(path).notes


def test_display_p3_is_converted(tmp_path):
    white, red = (1.0, 1.0, 1.0), (1.0, 0.0, 0.0)
    path = media.hdr(tmp_path / "a.mkv", [patches(white, red)], pix_fmt="gbrp12le", primaries=12)
    found = middles(light_of(path))
    np.testing.assert_allclose(found[0], 1, rtol=0.005)
    np.testing.assert_allclose(found[1], [1.22494, 0, 0], atol=0.005)  # SMPTE EG 432-1: P3 red in BT.709
    assert "50 % of the pixels of its first frame have a colour outside BT.709" in notes_of(path)


def test_what_decides_sees_the_clipped_frame(tmp_path):
    path = media.hdr(tmp_path / "a.mkv", [patches(0.1, 10.0)] * 2)
    clip = probe(path)
    (grey, _) = reader.luma(clip)
    np.testing.assert_allclose(middles(grey[..., None])[:, 0], [0.1 ** (1 / 2.2), 1], rtol=GREY_ERROR)
    np.testing.assert_array_equal(next(video.display(clip)), np.minimum(next(video.read(clip)), 1))
    coloured = media.hdr(tmp_path / "b.mkv", [patches(0.1, 10.0)] * 2, pix_fmt="gbrp10le", full_range=True)
    assert next(reader.luma(probe(coloured))).max() == 1


def test_an_sdr_twin_is_read_as_before(tmp_path):
    picture = media.hdr_picture(patches(*GREYS, 10.0), "yuv444p10le")
    twin = media.encode_pictures(tmp_path / "sdr.mkv", [picture], colorspace=9, full_range=False, transfer=1)
    clip = probe(twin)
    assert clip.light == "guessed"
    assert clip.colour == "yuv444p10le bt2020 limited"
    codes = np.frombuffer(picture.planes[0], "<u2").reshape(HEIGHT, -1)[:, : picture.width].astype(np.float64)
    frame = next(video.read(clip))
    np.testing.assert_allclose(frame, np.repeat(((codes - 64) / 876).clip(0, 1)[..., None], 3, 2), atol=1e-6)


def test_linear_floats_are_light_and_other_floats_are_cut_with_a_note(tmp_path):
    light = patches(*GREYS, 40.0).astype(np.float32)
    picture = media.float_planes("gbrpf32le", light)
    options = {"strict": "experimental"}
    linear = media.encode_pictures(tmp_path / "a.mkv", [picture], transfer=8, primaries=1, options=options)
    np.testing.assert_allclose(light_of(linear), light, rtol=1e-5)
    assert not probe(linear).notes
    other = media.encode_pictures(tmp_path / "b.mkv", [picture], options=options)
    assert probe(other).light == "guessed"
    assert next(video.read(probe(other))).max() == 1
    assert "cut at 1" in notes_of(other)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_light_that_is_no_number_is_refused_by_name(tmp_path, value):
    light = patches(0.5).astype(np.float32)
    bad = light.copy()
    bad[3, 4] = value
    pictures = [media.float_planes("gbrpf32le", frame) for frame in (light, bad)]
    path = media.encode_pictures(tmp_path / "a.mkv", pictures, transfer=8, primaries=1,
                                 options={"strict": "experimental"})  # fmt: skip
    error = refusal(path)
    assert error.reason == "not-finite"
    assert "frame 1" in str(error)


def test_pixels_that_are_not_square_keep_the_light_of_a_lamp(tmp_path):
    light = patches(0.1, 40.0, 0.1)
    picture = media.hdr_picture(light, "yuv444p10le")
    path = media.encode_pictures(tmp_path / "a.mp4", [picture], codec="libx264", transfer=16, primaries=9, colorspace=9,
                                 full_range=False, sar=Fraction(2), options={"qp": "0"})  # fmt: skip
    found = light_of(path)
    assert found.shape == (HEIGHT, 6 * SIZE, 3)
    np.testing.assert_allclose(found.mean(), light.mean(), rtol=0.01)
    assert found.max() < 41, "no ringing"


def test_untagged_colours_that_may_hide_light_are_named(tmp_path):
    picture = media.hdr_picture(patches(0.5), "yuv420p10le")
    log = media.encode_pictures(tmp_path / "a.mkv", [picture], colorspace=9, full_range=False, primaries=9)
    assert "may be log footage" in notes_of(log)
    plain = media.encode_pictures(tmp_path / "b.mkv", [picture], colorspace=1, full_range=False, primaries=1)
    assert not probe(plain).notes
    guessed = media.encode_pictures(tmp_path / "c.mkv", [picture], full_range=False, transfer=16)
    assert probe(guessed).colour == "yuv420p10le bt2020 limited PQ"
    assert "taken for those of BT.2020" in notes_of(guessed)


# ---- what a container tells ----------------------------------------------------------------------------------------

XML = (b'<?xml version="1.0"?><NonRealTimeMeta><AcquisitionRecord><Group name="CameraUnitMetadataSet">'
       b'<Item name="CaptureGammaEquation" value="%s"/></Group></AcquisitionRecord></NonRealTimeMeta>')  # fmt: skip


@pytest.mark.parametrize("beside", [True, False])
def test_log_footage_that_says_so_is_refused(tmp_path, beside):
    path = media.encode(tmp_path / "C0001.MP4", media.scene(4), 100)
    if beside:
        (tmp_path / "C0001M01.XML").write_bytes(XML % b"s-log3-cine")
    else:
        document = XML % b"s-log2"
        inner = struct.pack(">I4sI", len(document) + 12, b"xml ", 0) + document
        path.write_bytes(path.read_bytes() + struct.pack(">I4sI", len(inner) + 12, b"meta", 0) + inner)
    error = refusal(path)
    assert error.reason == "log"
    assert ("s-log3-cine" if beside else "s-log2") in str(error)
    assert "HLG" in error.hint


def test_other_curves_of_the_camera_are_no_reason(tmp_path):
    path = media.encode(tmp_path / "C0001.MP4", media.scene(4), 100)
    (tmp_path / "C0001M01.XML").write_bytes(XML % b"rec709")
    assert probe(path).light == "guessed"


def dolby_box(profile: int, compatibility: int) -> bytes:
    """The box of a Dolby Vision configuration, level 6, with a base layer and its data."""
    kind = b"dvcC" if profile < 8 else b"dvvC"
    return struct.pack(">I4sBBHB19x", 32, kind, 1, 0, profile << 9 | 6 << 3 | 0b101, compatibility << 4)


def with_dolby(path: Path, profile: int, compatibility: int, transfer: int) -> Path:
    lights = [patches(0.5, 3.0)] * 3
    media.hdr(path, lights, "libx265", transfer=transfer, options=LOSSLESS["libx265"])
    return media.with_box(path, dolby_box(profile, compatibility))


def test_dolby_vision_without_a_base_picture_is_refused(tmp_path):
    error = refusal(with_dolby(tmp_path / "a.mp4", 5, 0, 16))
    assert error.reason == "dolby-vision"
    assert "profile 5" in str(error)


@pytest.mark.parametrize(("compatibility", "transfer"), [(4, 18), (1, 16)])
def test_the_base_picture_of_dolby_vision_is_read(tmp_path, compatibility, transfer):
    path = with_dolby(tmp_path / "a.mp4", 8, compatibility, transfer)
    assert dolby.configuration(path, "mov,mp4", 0, 1) == (8, compatibility)
    np.testing.assert_allclose(middles(light_of(path))[:, 1], [0.5, 3.0], rtol=LAMP_ERROR)


def test_dolby_vision_in_matroska_is_found(tmp_path):
    def element(identity: int, content: bytes) -> bytes:
        return identity.to_bytes((identity.bit_length() + 7) // 8) + bytes([0x80 | len(content)]) + content

    mapping = element(dolby.MAPPING_TYPE, b"dvcC") + element(dolby.MAPPING_DATA, dolby_box(5, 0)[8:])
    entry = element(0x83, b"\1") + element(dolby.MAPPING, mapping)
    path = tmp_path / "a.mkv"
    path.write_bytes(element(0x18538067, element(0x1654AE6B, element(0xAE, entry))))
    assert dolby.configuration(path, "matroska,webm", 0, 1) == (5, 0)
    assert dolby.configuration(path, "matroska,webm", 1, 1) is None


# ---- frames --------------------------------------------------------------------------------------------------------


def a_picture() -> np.ndarray:
    """(27, 35, 3) float32 linear light with a lamp of 40."""
    light = np.random.default_rng(0).random((27, 35, 3), dtype=np.float32) * 3
    light[4:8, 4:8] = 40
    return light


def sequence(folder: Path, suffix: str, light: np.ndarray, write) -> Path:
    folder.mkdir()
    for index in range(2):
        write(folder / f"{index:04d}{suffix}", light)
    return folder


def write_tiff(path: Path, light: np.ndarray) -> None:
    tifffile.imwrite(path, light, photometric="rgb")


@pytest.mark.parametrize(
    ("suffix", "write", "error"),
    [
        (".exr", media.rgb_exr, 1e-6),
        (".exr", lambda path, light: media.rgb_exr(path, light, kind=1), 2**-11),  # half: 11 bits
        (".hdr", media.radiance, 2**-7),  # 8 bits beside the largest channel, which are cut, not rounded
        (".tif", write_tiff, 1e-6),
    ],
)
def test_frames_of_light_come_back_as_light(tmp_path, suffix, write, error):
    light = a_picture()
    folder = sequence(tmp_path / "frames", suffix, light, write)
    clip = probe(folder, 250)
    assert (clip.light, clip.colour, clip.width, clip.height) == ("measured", "rgb linear", 35, 27)
    assert not clip.notes
    found = light_of(folder, 250)
    largest = light.max(2, keepdims=True)
    assert (np.abs(found - light) / largest).max() <= error * 1.01 + 2e-6
    assert video.digest(video.Input(folder, "frames", "images")) == video.digest_of(sorted(folder.iterdir()))
    stored = images.read_image(folder / f"0000{suffix}")
    np.testing.assert_allclose(stored ** (1 / 2.2), next(video.read(clip)), rtol=1e-6)
    np.testing.assert_allclose(images.read_display(folder / f"0000{suffix}"), next(video.display(clip)), rtol=1e-6)


def test_the_size_is_read_before_a_picture_is_decoded(tmp_path):
    for path in (media.rgb_exr(tmp_path / "a.exr", a_picture()), media.radiance(tmp_path / "a.hdr", a_picture())):
        assert images.header_size(path.read_bytes()) == (35, 27)
        with pytest.raises(InputError, match=path.name) as caught:
            images.load(path, max_pixels=27 * 35 - 1)
        assert caught.value.reason == "too-large"


def test_alpha_of_an_exr_is_not_multiplied_again(tmp_path):
    light = a_picture()
    channels = {name: light[..., index] for index, name in enumerate("RGB")}
    path = media.exr(tmp_path / "a.exr", channels | {"A": np.full(light.shape[:2], 0.5)})
    np.testing.assert_array_equal(images.read_image(path), light)
    grey = media.exr(tmp_path / "b.exr", {"Y": light[..., 0]})
    np.testing.assert_array_equal(images.read_image(grey), np.repeat(light[..., :1], 3, 2))


def test_a_compressed_exr_is_read_exactly(tmp_path):
    light = np.tile(a_picture(), (2, 1, 1))
    (tmp_path / "a.exr").write_bytes(media.encoded_exr(light, compression=3))  # ZIP, 16 lines a block
    np.testing.assert_array_equal(images.read_image(tmp_path / "a.exr"), light)


def image_refusal(path: Path) -> InputError:
    with pytest.raises(InputError, match=path.name) as caught:
        images.load(path)
    return caught.value


def test_pictures_of_light_that_are_none_are_refused(tmp_path):
    light, half = a_picture(), {"kind": 1}
    layers = {f"beauty.{name}": light[..., index] for index, name in enumerate("RGB")}
    error = image_refusal(media.exr(tmp_path / "a.exr", layers))
    assert error.reason == "format"
    assert "beauty.B, beauty.G, beauty.R" in str(error)
    assert "oiiotool" in error.hint
    assert image_refusal(media.exr(tmp_path / "b.exr", {"R": light[..., 0]}, **half)).reason == "format"
    assert image_refusal(media.rgb_exr(tmp_path / "c.exr", light, kind=0)).reason == "format"
    assert image_refusal(media.rgb_exr(tmp_path / "d.exr", light, flags=0x1000)).reason == "pages"
    path = media.radiance(tmp_path / "e.hdr", light)
    whole = path.read_bytes()
    for old, new in ((b"rgbe", b"xyze"), (b"-Y 27 +X 35", b"+X 35 -Y 27")):
        path.write_bytes(whole.replace(old, new))
        assert image_refusal(path).reason == "format"


@pytest.mark.parametrize("share", [0.005, 0.2, 0.5, 0.99])
def test_pictures_of_light_that_are_cut_short_are_refused(tmp_path, share):
    exr, hdr = media.rgb_exr(tmp_path / "a.exr", a_picture()), media.radiance(tmp_path / "a.hdr", a_picture())
    compressed = tmp_path / "b.exr"
    compressed.write_bytes(media.encoded_exr(a_picture(), compression=3))
    for path in (exr, hdr, compressed):
        assert image_refusal(media.truncate(path, share)).reason in ("corrupt", "unreadable")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pictures_of_no_numbers_are_refused(tmp_path, value):
    light = a_picture()
    light[3, 4, 1] = value
    write_tiff(tmp_path / "a.tif", light)
    for path in (tmp_path / "a.tif", media.rgb_exr(tmp_path / "a.exr", light)):
        assert image_refusal(path).reason == "not-finite"


def test_negative_light_is_read_as_none_and_named(tmp_path):
    light = a_picture()
    light[:3] = -0.5
    folder = sequence(tmp_path / "frames", ".exr", light, media.rgb_exr)
    assert not next(video.read(probe(folder, 250)))[:3].any()
    assert notes_of(folder, 250) == "11 % of its values are negative light, and are read as 0"


def test_primaries_of_an_exr_are_named_where_they_are_not_converted(tmp_path):
    aces = struct.pack("<8f", 0.713, 0.293, 0.165, 0.83, 0.128, 0.044, 0.32168, 0.33767)
    path = media.rgb_exr(tmp_path / "a.exr", a_picture(), chromaticities=aces)
    assert "chromaticities" in " ".join(images.inspect(path)[1])
    bt709 = struct.pack("<8f", 0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329)
    assert images.inspect(media.rgb_exr(path, a_picture(), chromaticities=bt709))[1] == []


def test_a_list_of_channels_without_an_end_is_refused(tmp_path):
    path = media.rgb_exr(tmp_path / "a.exr", a_picture())
    data = bytearray(path.read_bytes())
    at = data.index(b"chlist\0") + 7
    size = struct.unpack_from("<i", data, at)[0]
    data[at + 4 : at + 4 + size] = b"R" * size
    path.write_bytes(data)
    assert image_refusal(path).reason == "format"


def test_an_ultra_hdr_picture_is_read_as_sdr_with_a_note(tmp_path):
    data = cv2.imencode(".jpg", media.scene(1)[0])[1].tobytes()
    (tmp_path / "sdr.jpg").write_bytes(data)
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x xmlns:hdrgm='http://ns.adobe.com/hdr-gain-map/1.0/' hdrgm:Version='1.0'/>"
    path = tmp_path / "hdr.jpg"
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(xmp) + 2) + xmp + data[2:])
    pixels, notes = images.inspect(path)
    np.testing.assert_array_equal(pixels, images.load(tmp_path / "sdr.jpg"))
    assert "Ultra HDR" in notes[0]
    assert images.inspect(tmp_path / "sdr.jpg")[1] == []
