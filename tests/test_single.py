"""Each stage alone: an image gives an image, a folder a folder with the same names, a video frames or a video."""

import cv2
import numpy as np
import pytest
import torch
from conftest import moving_street

from lolblur_synth import bayer, cameras, frames, images, recipes, single, video
from lolblur_synth.kernels import mosaic
from lolblur_synth.recipe import STAGE_NAMES, InputConfig

SMALL = {
    "resize": ["--width", "64", "--height", "48"],
    "noise": ["--probability", "1"],
    "defocus": ["--probability", "1"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("frames")
    for number, frame in enumerate(moving_street(10, 4)):
        images.write_png(path / f"shot_{number:03d}.png", frame)
    return path


@pytest.mark.parametrize("name", [n for n in STAGE_NAMES if n not in ("interpolate", "average", "clip_reverse")])
def test_a_folder_gives_a_folder_with_the_same_names(name, folder, tmp_path, run):
    done = run("stage", name, folder, tmp_path / "out", *SMALL.get(name, []))
    assert done.code == 0, done.err
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(p.name for p in folder.iterdir())
    changed = cv2.imread(str(tmp_path / "out/shot_003.png"))
    assert changed.shape == ((48, 64, 3) if name == "resize" else (64, 96, 3))
    assert not np.array_equal(changed, cv2.imread(str(folder / "shot_003.png")))


def test_an_image_gives_an_image_and_a_second_run_refuses(folder, tmp_path, run):
    source, target = folder / "shot_000.png", tmp_path / "dark.png"
    words = [
        "stage",
        "darken",
        source,
        target,
        "--exposure",
        "0.1",
        "--bits",
        "16",
        "--save-curves",
        tmp_path / "curves",
    ]
    assert run(*words).code == 0
    dark = cv2.imread(str(target), cv2.IMREAD_UNCHANGED)
    assert dark.dtype == np.uint16 and dark.mean() / 65535 < 0.3
    assert cv2.imread(str(tmp_path / "curves/000000.png"), cv2.IMREAD_UNCHANGED).dtype == np.uint16
    again = run(*words)
    assert again.code == 2 and "--overwrite" in again.err
    assert run(*words, "--overwrite").code == 0


def test_light_travels_as_float_tiff_from_stage_to_stage(folder, tmp_path, run):
    """interpolate, clip-reverse and average one after the other are the exposure of the pipeline."""
    assert run("stage", "interpolate", folder, tmp_path / "2000fps").code == 0
    assert len(list((tmp_path / "2000fps").iterdir())) == 9 * 8 + 1
    assert run("stage", "clip-reverse", tmp_path / "2000fps", tmp_path / "light", "--r", "100").code == 0
    light = images.load(next(iter(sorted((tmp_path / "light").iterdir()))))
    assert light.dtype == np.float32 and light.max() > 1.3, "the lamp is above white"
    assert run("stage", "average", tmp_path / "light", tmp_path / "blur", "--window", "9").code == 0
    (blur,) = (tmp_path / "blur").iterdir()
    assert blur.suffix == ".tiff" and images.load(blur).shape == (64, 96, 3)
    refused = run("stage", "darken", tmp_path / "light", tmp_path / "x")
    assert refused.code == 5 and "linear light" in refused.err


def test_a_video_gives_a_video_of_the_new_rate(street_videos, tmp_path, run):
    target = tmp_path / "2000fps.mp4"
    assert run("stage", "interpolate", street_videos / "a.mp4", target, "--frames", "5").code == 0
    clip = video.probe(video.find([target])[0][0], InputConfig())
    assert clip.fps == 2000 and clip.frames == 33


def test_images_of_different_sizes_are_no_clip(folder, tmp_path, run):
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for number, size in enumerate(((32, 48), (48, 32))):
        images.write_png(mixed / f"{number}.png", np.full((*size, 3), 0.5, np.float32))
    done = run("stage", "darken", mixed, tmp_path / "out")
    assert done.code == 5 and "differ in size" in done.err
    assert run("stage", "noise", mixed, tmp_path / "out").code == 0


def test_the_raw_behind_the_noise_is_saved_as_dng(folder, tmp_path):
    """The noisy one is the very raw of the frame that is written: developing the difference gives its noise."""
    words = ["noise.model=raw-pg", "noise.probability=1", "noise.white_balance=tungsten", "noise.iso=400"]
    recipe = recipes.override(recipes.load("lolblur"), words)
    _, drawn = single.run("noise", folder, tmp_path / "out", recipe, 16, 2, raws=tmp_path / "raw")
    assert sorted(file.relative_to(tmp_path / "raw").as_posix() for file in (tmp_path / "raw").rglob("*.dng")) == [
        f"{kind}/shot_00{number}.dng" for kind in ("clean", "noisy") for number in range(2)]  # fmt: skip
    clean, noisy = (bayer.read_dng(tmp_path / "raw" / kind / "shot_001.dng") for kind in ("clean", "noisy"))
    grain = torch.from_numpy(noisy - clean)[None]
    colours = mosaic.rgb_to_camera(cameras.load(cameras.PAPER_CAMERA).xyz_to_camera)
    developed = mosaic.develop(grain, colours, (1.0, 1.0, 1.0))[0].permute(1, 2, 0).numpy()
    before, after = (images.read_image(path / "shot_001.png") for path in (folder, tmp_path / "out"))
    seen = (after > 0) & (after < 1) & (before < 1)
    difference = (frames.srgb_to_light(torch.from_numpy(x)).numpy() for x in (after, before))
    assert np.corrcoef(np.subtract(*difference)[seen], developed[seen])[0, 1] > 0.9
    assert drawn["lamp"] == "tungsten"


def test_without_input_and_output_the_sample_is_used_and_said(tmp_path, run):
    for _ in range(2):  # the default folder may be written again
        done = run("stage", "darken", "--exposure", "0.2", "--frames", "2", cwd=tmp_path)
        assert done.code == 0 and "bundled sample" in done.err and "darken-out" in done.err
    assert len(list((tmp_path / "darken-out").glob("*.png"))) == 2


@pytest.mark.parametrize(("words", "code", "expected"), [
    (["darken", "--exposure", "2"], 4, "outside"),
    (["defocus", "--kernel", "square"], 4, "one of"),
    (["interpolate", "{folder}", "{out}", "--factor", "adaptive"], 2, "give a number"),
    (["clip-reverse", "{folder}", "{out}.mp4"], 2, "linear light"),
    (["darken", "{folder}/shot_000.png", "{out}", "--weights", "nothing.pth"], 2, "no such weights"),
    (["noise", "{folder}", "{out}", "--probability", "1", "--iso", "100:25600"], 4, "outside the table"),
    (["noise", "{folder}", "{out}", "--probability", "1", "--model", "gaussian", "--save-raw", "{out}"], 2, "no raw"),
    (["defocus", "{folder}", "{out}", "--probability", "1", "--radius", "20"], 2, "larger than the frame"),
])  # fmt: skip
def test_what_can_be_wrong(words, code, expected, folder, tmp_path, run):
    done = run("stage", *[word.format(folder=folder, out=tmp_path / "out") for word in words])
    assert done.code == code and expected in done.err and "Traceback" not in done.err, done.err
