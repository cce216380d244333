"""DNG: what is written comes back, with the tags that a raw developer needs; other files are refused.

Tag numbers are those of Adobe's Digital Negative Specification 1.4, and of TIFF/EP for the pattern.
"""

import dataclasses

import numpy as np
import pytest
import tifffile

from lolblur_synth.camera import dng, tables
from lolblur_synth.errors import InputError

PATTERN, VERSION, MODEL, BLACK, WHITE = 33422, 50706, 50708, 50714, 50717
MATRIX, NEUTRAL, NOISE = 50721, 50728, 51041
CAMERA = tables.load("sony-rx10m4")
GAINS = CAMERA.white_balance["tungsten"]
RAW = np.random.default_rng(0).uniform(0, 0.25, (6, 8)).astype(np.float32)


@pytest.fixture
def written(tmp_path):
    dng.write_dng(tmp_path / "a.dng", RAW, CAMERA, GAINS, (1e-5, 2e-5, 3e-5), (1e-8, 2e-8, 3e-8))
    return tmp_path / "a.dng"


def test_the_mosaic_comes_back_as_balanced_planes(written):
    planes = dng.read_dng(written)
    assert planes.shape == (4, 3, 4) and planes.dtype == np.float32
    for plane, (y, x, gain) in zip(planes, ((0, 0, 1.41), (0, 1, 1), (1, 0, 1), (1, 1, 3.29)), strict=True):
        np.testing.assert_allclose(plane, RAW[y::2, x::2] * gain, atol=1e-4 * gain)


def test_a_developer_finds_levels_colours_and_noise(written):
    with tifffile.TiffFile(written) as file:
        page = file.pages[0]
        tags = {tag.code: tag.value for tag in page.tags}
        assert page.photometric == 32803 and page.dtype == np.uint16 and page.compression == 1
    assert bytes(tags[VERSION]) == bytes((1, 4, 0, 0)) and bytes(tags[PATTERN]) == bytes((0, 1, 1, 2))
    assert (tags[BLACK], tags[WHITE]) == (4 * 800, 4 * 16380) and tags[MODEL] == "Sony DSC-RX10M4"
    matrix = np.array(tags[MATRIX], float).reshape(9, 2)
    np.testing.assert_allclose(matrix[:, 0] / matrix[:, 1], np.ravel(CAMERA.xyz_to_camera), atol=1e-4)
    assert tags[NOISE] == (1e-5, 1e-8, 2e-5, 2e-8, 3e-5, 3e-8)


def test_a_black_pedestal_keeps_what_lies_below_black(tmp_path):
    """And whole code values stay whole: those of raw-eld are."""
    camera = dataclasses.replace(CAMERA, levels=(512, 512 + 1000))
    dng.write_dng(tmp_path / "a.dng", np.array([[-0.1, 0.001], [0.002, 1.1]], np.float32), camera, (1.0, 1.0, 1.0))
    codes = tifffile.imread(tmp_path / "a.dng")
    assert codes.tolist() == [[4 * 412, 4 * 513], [4 * 514, 4 * 1612]]
    with tifffile.TiffFile(tmp_path / "a.dng") as file:
        assert NOISE not in {tag.code for tag in file.pages[0].tags}


def test_other_files_are_one_clear_line(tmp_path, written):
    (tmp_path / "torn.dng").write_bytes(written.read_bytes()[:100])
    (tmp_path / "words.dng").write_text("no raw")
    tifffile.imwrite(tmp_path / "grey.dng", np.zeros((4, 4), np.uint16))
    tifffile.imwrite(tmp_path / "bggr.dng", np.zeros((4, 4), np.uint16), extratags=[
        (PATTERN, 1, 4, (2, 1, 1, 0), True), (NEUTRAL, 5, 3, (1, 1, 1, 1, 1, 1), True),
        (WHITE, 3, 1, 9, True)])  # fmt: skip
    for name in ("torn", "words", "grey", "bggr", "missing"):
        with pytest.raises(InputError, match=f"{name}.dng") as error:
            dng.read_dng(tmp_path / f"{name}.dng")
        assert error.value.hint and "\n" not in str(error.value)
