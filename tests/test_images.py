"""Odd images: each is read right, or refused in one line; none is garbage, black, or one picture of several."""

import struct
import zlib
from pathlib import Path

import cv2
import media
import numpy as np
import pytest
import tifffile

from lolblur_synth.errors import InputError
from lolblur_synth.files import images, tiff, video
from lolblur_synth.recipe.schema import InputConfig

HEIGHT, WIDTH = 22, 30
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH]
RGB8 = np.stack([8 * COLUMNS, 11 * ROWS, 4 * (ROWS + COLUMNS)], 2).astype(np.uint8)
RGB16 = RGB8.astype(np.uint16) * 257
TRUTH = RGB8 / np.float32(255)
GREY = np.repeat(TRUTH[:, :, 1:2], 3, 2)
HALF = np.full((HEIGHT, WIDTH), 32768, np.uint16)
STRAIGHT, MULTIPLIED = {"extrasamples": ["unassalpha"]}, {"extrasamples": ["assocalpha"]}
PLANES = {"photometric": "rgb", "planarconfig": "separate"}
SHOWN = 32768 / 65535  # of a half transparent picture on black


def planes(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def with_half(pixels: np.ndarray) -> np.ndarray:
    return np.dstack([pixels, HALF])


READ = {
    "planes of 16 bits": (planes(RGB16), PLANES, TRUTH),
    "planes in strips": (planes(RGB16), PLANES | {"compression": "zlib", "predictor": True, "rowsperstrip": 7}, TRUTH),
    "planes in tiles": (planes(RGB16), PLANES | {"tile": (16, 16)}, TRUTH),
    "planes, big-endian BigTIFF": (planes(RGB16), PLANES | {"bigtiff": True, "byteorder": ">"}, TRUTH),
    "planes of float": (planes(TRUTH), PLANES, TRUTH),
    "planes with alpha": (planes(with_half(RGB16)), PLANES | STRAIGHT, TRUTH * SHOWN),
    "planes of 8 bits": (planes(RGB8), PLANES, TRUTH),
    "alpha of 16 bits": (with_half(RGB16), {"photometric": "rgb"} | STRAIGHT, TRUTH * SHOWN),
    "alpha of 8 bits": (np.dstack([RGB8, HALF >> 8]), {"photometric": "rgb"} | STRAIGHT, TRUTH * 128 / 255),
    "alpha that is multiplied already": (with_half(RGB16), {"photometric": "rgb"} | MULTIPLIED, TRUTH),
    "the same in 8 bits": (np.dstack([RGB8, HALF >> 8]), {"photometric": "rgb"} | MULTIPLIED, TRUTH),
    "a fourth sample": (with_half(RGB16), {"photometric": "rgb", "extrasamples": ["unspecified"]}, TRUTH),
    "grey and alpha": (with_half(RGB16[:, :, 1]), {"photometric": "minisblack", "planarconfig": "contig"} | STRAIGHT,
                       GREY * SHOWN),
    "white is zero": (65535 - RGB16[:, :, 1], {"photometric": "miniswhite"}, GREY),
    "white is zero in 8 bits": (255 - RGB8[:, :, 1], {"photometric": "miniswhite"}, GREY),
    "BigTIFF": (RGB16, {"photometric": "rgb", "bigtiff": True}, TRUTH),
    "a plain one": (RGB16, {"photometric": "rgb", "compression": "zlib"}, TRUTH),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_every_layout_of_tiff_comes_back(tmp_path, case):
    pixels, options, truth = READ[case]
    kind = pixels.dtype if "8 bits" not in case else np.uint8
    tifffile.imwrite(tmp_path / "a.tif", pixels.astype(kind), **options)
    np.testing.assert_allclose(images.read_image(tmp_path / "a.tif"), truth, atol=1e-4)


REFUSED = {
    "several pages": (np.stack([RGB16, RGB16]), {"photometric": "rgb"}, "pages"),
    "a stack of grey": (np.stack([RGB8[:, :, 0]] * 3), {"photometric": "minisblack"}, "pages"),
    "a stack of ImageJ": (np.stack([RGB16[:, :, 0]] * 3), {"imagej": True}, "pages"),
    "half floats": (TRUTH.astype(np.float16), {"photometric": "rgb"}, "format"),
    "doubles": (TRUTH.astype(np.float64), {"photometric": "rgb"}, "format"),
    "signed": (RGB8.astype(np.int16), {"photometric": "rgb"}, "format"),
    "32 bits": (RGB16.astype(np.uint32), {"photometric": "rgb"}, "format"),
    "five samples": (np.dstack([RGB8, RGB8[:, :, :2]]), {"photometric": "rgb", "planarconfig": "contig"}, "format"),
    "CMYK of 16 bits": (with_half(RGB16), {"photometric": "separated"}, "format"),
    "an unknown compression": (RGB16, {"photometric": "rgb", "compression": "lzma"}, "format"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_other_tiffs_are_refused_with_the_reason(tmp_path, case, capfd):
    pixels, options, reason = REFUSED[case]
    tifffile.imwrite(tmp_path / "a.tif", pixels, **options)
    error = refusal(tmp_path / "a.tif")
    assert error.reason == reason
    assert error.hint
    assert capfd.readouterr().err == ""  # OpenCV does not tell it a second time


def refusal(path: Path) -> InputError:
    with pytest.raises(InputError, match=path.name) as caught:
        images.read_image(path)
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_thumbnail_is_no_second_page(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(RGB16, photometric="rgb")
        file.write(RGB8[::4, ::4], photometric="rgb", subfiletype=1)
    np.testing.assert_allclose(images.read_image(tmp_path / "a.tif"), TRUTH, atol=1e-6)


def test_damaged_tiffs_give_an_error_or_a_picture(tmp_path):
    path = tmp_path / "a.tif"
    rng = np.random.default_rng(0)
    layouts = ((planes(with_half(RGB16)), PLANES | STRAIGHT), (RGB16, {"photometric": "rgb"}),
               (planes(RGB16), PLANES | {"bigtiff": True}))  # fmt: skip
    for pixels, options in layouts:
        tifffile.imwrite(path, pixels, **options)
        data = path.read_bytes()
        for attempt in range(150):
            damaged = bytearray(data[: rng.integers(8, len(data))] if attempt % 3 == 0 else data)
            for at in rng.integers(4, min(len(damaged), 400), 6):  # the directory and its values
                damaged[at] = rng.integers(0, 256)
            path.write_bytes(damaged)
            try:
                assert images.read_image(path, max_pixels=10**6).ndim == 3
            except InputError as error:
                assert path.name in str(error)


def test_a_directory_that_points_at_itself_ends():
    entry = struct.pack("<HHII", tiff.WIDTH, 3, 1, 5)
    loop = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 1) + entry + struct.pack("<I", 8)
    assert tiff.pages(tiff.first_page(loop)) <= 2


# ---- orientation ---------------------------------------------------------------------------------------------------


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """What a viewer shows: TIFF 6.0, section Orientation, written out."""
    return {1: pixels, 2: np.fliplr(pixels), 3: np.rot90(pixels, 2), 4: np.flipud(pixels),
            5: np.rot90(np.fliplr(pixels)), 6: np.rot90(pixels, -1), 7: np.rot90(np.fliplr(pixels), -1),
            8: np.rot90(pixels)}[orientation]  # fmt: skip


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_with(path: Path, pixels: np.ndarray, *chunks: bytes, last: bool = False) -> Path:
    """A PNG with more chunks: before the pixels, or behind them."""
    data = cv2.imencode(".png", pixels[:, :, ::-1] if pixels.ndim == 3 else pixels)[1].tobytes()
    at = len(data) - 12 if last else 33
    path.write_bytes(data[:at] + b"".join(chunks) + data[at:])
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(tmp_path, orientation):
    truth = turned(TRUTH, orientation)
    exif = chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" + bytes([orientation]) + bytes(6))
    for pixels, last in ((RGB8, False), (RGB16, True)):
        path = png_with(tmp_path / "a.png", pixels, exif, last=last)
        np.testing.assert_allclose(images.read_image(path), truth, atol=1e-6)
    tag = {"extratags": [(tiff.ORIENTATION, "H", 1, orientation, True)]}
    layouts = ((RGB16, {"photometric": "rgb"}), (planes(RGB16), PLANES),
               (np.dstack([RGB16[:, :, 1], np.full_like(HALF, 65535)]),
                {"photometric": "minisblack", "planarconfig": "contig"} | STRAIGHT))  # fmt: skip
    for pixels, options in layouts:
        tifffile.imwrite(tmp_path / "a.tif", pixels, **options, **tag)
        right = truth if options["photometric"] == "rgb" else np.repeat(truth[:, :, 1:2], 3, 2)
        np.testing.assert_allclose(images.read_image(tmp_path / "a.tif"), right, atol=1e-6)


# ---- what a PNG says -----------------------------------------------------------------------------------------------


def test_png_animations_and_hdr_are_refused_and_a_gamma_is_named(tmp_path):
    animated = png_with(tmp_path / "anim.png", RGB8, chunk(b"acTL", struct.pack(">II", 3, 0)))
    assert refusal(animated).reason == "pages"
    single = png_with(tmp_path / "single.png", RGB8, chunk(b"acTL", struct.pack(">II", 1, 0)))
    np.testing.assert_allclose(images.read_image(single), TRUTH, atol=1e-6)
    hdr = png_with(tmp_path / "hdr.png", RGB16, chunk(b"cICP", bytes([9, 16, 0, 1])))
    assert refusal(hdr).reason == "hdr"
    linear = png_with(tmp_path / "linear.png", RGB16, chunk(b"gAMA", struct.pack(">I", 100_000)))
    np.testing.assert_allclose(images.read_image(linear), TRUTH, atol=1e-6)
    assert images.inspect(linear)[1] == ["its gamma of 1 is not undone; it is read as sRGB"]
    assert images.inspect(png_with(tmp_path / "usual.png", RGB8, chunk(b"gAMA", struct.pack(">I", 45455))))[1] == []


def test_a_transparent_level_of_grey_is_black(tmp_path):
    for pixels, level in ((RGB8[:, :, 1], 110), (RGB16[:, :, 1], 110 * 257)):
        path = png_with(tmp_path / "a.png", pixels, chunk(b"tRNS", struct.pack(">H", level)))
        expected = np.where(pixels == level, 0, pixels)[:, :, None] / np.float32(np.iinfo(pixels.dtype).max)
        np.testing.assert_allclose(images.read_image(path), np.repeat(expected, 3, 2), atol=1e-6)


def test_a_jpeg_of_another_kind_is_not_called_damaged(tmp_path):
    data = bytearray(cv2.imencode(".jpg", RGB8)[1].tobytes())
    at = data.index(b"\xff\xc0")
    data[at + 1] = 0xC3  # lossless
    (tmp_path / "a.jpg").write_bytes(data)
    assert refusal(tmp_path / "a.jpg").reason == "format"


@pytest.mark.parametrize("name", [b"Display P3", "Adobe RGB (1998)".encode("utf-16-be")])
def test_a_profile_of_a_wide_gamut_is_named(tmp_path, name):
    profile = bytes(128) + name + bytes(30)
    png_with(tmp_path / "a.png", RGB8, chunk(b"iCCP", b"icc\0\0" + zlib.compress(profile)))
    jpeg = cv2.imencode(".jpg", RGB8)[1].tobytes()
    segment = b"ICC_PROFILE\0\x01\x01" + profile
    (tmp_path / "a.jpg").write_bytes(jpeg[:2] + b"\xff\xe2" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:])
    tifffile.imwrite(tmp_path / "a.tif", RGB8, photometric="rgb", iccprofile=profile)
    for file in ("a.png", "a.jpg", "a.tif"):
        assert "colour profile" in " ".join(images.inspect(tmp_path / file)[1])
    bomb = chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(1 << 24)))
    assert images.inspect(png_with(tmp_path / "b.png", RGB8, bomb))[1] == []


# ---- alpha that carries nothing ------------------------------------------------------------------------------------


def test_an_alpha_of_zero_everywhere_is_not_used(tmp_path):
    empty = np.dstack([RGB8, np.zeros((HEIGHT, WIDTH), np.uint8)])
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", cv2.cvtColor(empty, cv2.COLOR_RGBA2BGRA))[1].tobytes())
    tifffile.imwrite(tmp_path / "a.tif", empty, photometric="rgb", **STRAIGHT)
    for name in ("a.png", "a.tif"):
        np.testing.assert_allclose(images.read_image(tmp_path / name), TRUTH, atol=1e-6)
        assert "its alpha channel is 0 everywhere" in " ".join(images.inspect(tmp_path / name)[1])


def test_alpha_is_judged_once_for_a_sequence(tmp_path):
    def sequence(name: str, *alphas: int) -> video.Video:
        folder = tmp_path / name
        folder.mkdir()
        for index, (frame, alpha) in enumerate(zip(media.scene(len(alphas)), alphas, strict=True)):
            pixels = np.dstack([frame[:, :, ::-1], np.full(frame.shape[:2], alpha, np.uint8)])
            (folder / f"{index}.png").write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
        return video.probe(video.Input(folder, name, "images"), InputConfig(), 250)

    unused = sequence("unused", 0, 0)
    assert any("alpha" in note for note in unused.notes)
    np.testing.assert_allclose(next(video.read(unused)), media.scene(1)[0] / 255, atol=1e-6)
    used = sequence("used", 255, 0)
    assert not used.notes
    assert not list(video.read(used))[1].any()  # transparent on black, as before
    with pytest.raises(InputError, match=r"its alpha is 0 in all of the first image, and is not in 1\.png") as caught:
        list(video.read(sequence("late", 0, 255)))
    assert caught.value.reason == "alpha"


def test_a_frame_that_is_all_transparent_among_frames_without_alpha_is_refused(tmp_path):
    first, second = media.scene(2)
    transparent = np.dstack([second[:, :, ::-1], np.zeros(second.shape[:2], np.uint8)])
    for name, pixels in (("0.png", first[:, :, ::-1]), ("1.png", transparent)):
        (tmp_path / name).write_bytes(cv2.imencode(".png", np.ascontiguousarray(pixels))[1].tobytes())
    clip = video.probe(video.Input(tmp_path, "s", "images"), InputConfig(), 250)
    with pytest.raises(InputError, match=r"the alpha of 1\.png is 0 everywhere, and the first image has none"):
        list(video.read(clip))
