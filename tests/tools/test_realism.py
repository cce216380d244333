"""realism FOLDER [REFERENCE]: the figures of frames, the bands they miss, and how far one noise is from another."""

import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from lolblur_synth.cli import main
from lolblur_synth.errors import InputError
from lolblur_synth.tools import realism


def frames(folder, sigma, seed=0, count=2):
    """Flat patches of rising level, and independent noise on them."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    level = np.repeat(np.repeat(np.linspace(20, 90, 16).reshape(4, 4), 64, axis=0), 64, axis=1)[..., None]
    for number in range(count):
        noisy = level + sigma * rng.standard_normal((256, 256, 3))
        cv2.imwrite(str(folder / f"{number}.png"), noisy.round().clip(0, 255).astype(np.uint8))
    return folder


@pytest.fixture
def folder(tmp_path):
    return frames(tmp_path / "ours", 2.0)


def test_like_noise_is_near_and_unlike_noise_far(folder, tmp_path):
    same = realism.compare(folder, frames(tmp_path / "same", 2.0, seed=1))
    other = realism.compare(folder, frames(tmp_path / "other", 4.0, seed=2))
    assert same["figures"]["sigma_green"] == pytest.approx(2, rel=0.06) and same["frames"] == 2
    assert same["divergence"] < 0.01 < 0.1 < other["divergence"]
    assert same["noise_level_distance"] < 0.2 and other["noise_level_distance"] == pytest.approx(2, abs=0.2)
    assert {"luma_lag1", "chroma_lag1", "blue_to_green"} <= set(same["outside"])


def test_levels_that_never_meet_are_not_compared(folder, tmp_path):
    bright = tmp_path / "bright"
    bright.mkdir()
    pixels = 200 + 2 * np.random.default_rng(0).standard_normal((256, 256, 3))
    cv2.imwrite(str(bright / "0.png"), pixels.round().astype(np.uint8))
    assert realism.compare(folder, bright)["noise_level_distance"] is None


def test_of_a_dataset_only_the_noisy_pairs_count(tmp_path):
    noisy = frames(tmp_path / "train" / "low_blur_noise" / "0000", 2.0, count=3)
    pairs = [{"pair": f"0000/{i}", "split": "train", "draws": {"noise": {"applied": i != 1}}} for i in range(3)]
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    assert realism.frames_of(tmp_path) == [noisy / "0.png", noisy / "2.png"]


def test_system_files_and_folders_named_like_frames_are_passed_over(folder, tmp_path):
    (folder / "._0.png").write_bytes(b"\0\5\26\7\0\2\0\0Mac OS X")
    (folder / "@eaDir").mkdir()
    (folder / "@eaDir" / "0.png").write_bytes(b"thumbnail")
    (folder / "shot.png").mkdir()
    (folder / "linked.png").symlink_to(folder / "1.png")
    assert [file.name for file in realism.frames_of(folder)] == ["0.png", "1.png", "linked.png"]
    (tmp_path / "named").symlink_to(folder)
    assert len(realism.frames_of(tmp_path / "named")) == 3
    (folder / "lost.png").symlink_to("nowhere.png")
    with pytest.raises(InputError, match=r"lost\.png: a link to a file that is not there"):
        realism.frames_of(folder)
    with pytest.raises(InputError, match="no noisy frames"):
        realism.frames_of(tmp_path / "nowhere")


def test_the_command_prints_a_table_or_json(folder):
    shown = CliRunner().invoke(main, ["realism", str(folder)])
    assert shown.exit_code == 0 and "blue_to_green" in shown.output and "1.20 to 1.90  outside" in shown.output
    report = json.loads(CliRunner().invoke(main, ["realism", str(folder), str(folder), "--json"]).output)
    assert report["divergence"] == 0 and report["noise_level_distance"] == 0 and report["reference_frames"] == 2


def test_nothing_to_measure_is_one_clear_line(tmp_path):
    with pytest.raises(InputError, match="no noisy frames"):
        realism.compare(tmp_path)
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(InputError, match="no frame has a flat patch"):
        realism.compare(tmp_path)
    cv2.imwrite(str(tmp_path / "light.tiff"), np.ones((64, 64, 3), np.float32))
    with pytest.raises(InputError, match="linear light"):
        realism.compare(tmp_path)
