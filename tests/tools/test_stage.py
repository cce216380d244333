"""Each stage alone: an image gives an image, a folder a folder with the same names, a video frames or a video."""

import cv2
import numpy as np
import pytest
import torch
from conftest import moving_street
from media import scene

from lolblur_synth import frames, recipes
from lolblur_synth.camera import dng, mosaic, tables
from lolblur_synth.files import images, video
from lolblur_synth.recipe.schema import STAGE_NAMES, DarkenConfig, InputConfig
from lolblur_synth.stages import darken
from lolblur_synth.tools import stage
from lolblur_synth.tools.request import Request

SMALL = {
    "resize": ["--width", "64", "--height", "48"],
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
    assert cv2.imread(str(tmp_path / "curves/shot_000.png"), cv2.IMREAD_UNCHANGED).dtype == np.uint16
    again = run(*words)
    assert again.code == 2 and "--overwrite" in again.err
    assert run(*words, "--overwrite").code == 0


def test_the_maps_are_named_like_the_frames_and_those_that_were_used(folder, tmp_path, run):
    done = run("stage", "darken", folder, tmp_path / "out", "--exposure", "0.1", "--save-curves", tmp_path / "curves")
    assert done.code == 0, done.err
    files = sorted(folder.iterdir())
    assert sorted(p.name for p in (tmp_path / "curves").iterdir()) == [p.name for p in files]
    window = torch.cat([torch.from_numpy(images.read_image(p)).permute(2, 0, 1)[None] for p in files]).contiguous()
    used = darken.maps(window, DarkenConfig(), darken.Draw(0.1, 1.0))[3, 0].numpy()
    saved = images.read_image(tmp_path / "curves" / files[3].name)[..., 0]
    assert np.abs(saved - used).max() < 1e-4 and saved.max() > 0.05


def test_frames_darker_than_the_exposure_are_named_once(folder, tmp_path, run):
    done = run("stage", "darken", folder, tmp_path / "out", "--exposure", "0.9")
    assert done.code == 0 and done.err.count("darker than the exposure 0.900 and stay as they are") == 1
    first = "shot_000.png"
    assert np.array_equal(cv2.imread(str(tmp_path / "out" / first)), cv2.imread(str(folder / first)))


def test_an_exposure_that_is_not_reached_is_said(tmp_path, run):
    cv2.imwrite(str(tmp_path / "white.png"), np.full((40, 60, 3), 255, np.uint8))
    done = run("stage", "darken", tmp_path / "white.png", tmp_path / "out.png", "--exposure", ".1")
    assert done.code == 0 and "the exposure is 1.000, not 0.100" in done.err and "--lamp-area" in done.err
    options = "--exposure", ".1", "--lamp-area", ".1"
    done = run("stage", "darken", tmp_path / "white.png", tmp_path / "dark.png", *options)
    assert done.code == 0 and "the exposure is" not in done.err


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


@pytest.mark.parametrize("recipe", ["lolblur", "night"])
def test_r_can_be_drawn_again_from_the_kept_mask(recipe, folder, tmp_path, run):
    """mean light + amount * mean mask is what clip-reverse and average give for that amount, in linear and hdr."""
    kept = run("stage", "average", folder, tmp_path / "kept", "--window", "1", "--recipe", recipe, "--keep-mask")
    assert kept.code == 0, kept.err
    amount = {"lolblur": ["--r", "80"], "night": ["--gain", "3"]}[recipe]
    assert run("stage", "clip-reverse", folder, tmp_path / "light", "--recipe", recipe, *amount).code == 0
    assert run("stage", "average", tmp_path / "light", tmp_path / "blur", "--window", "1").code == 0
    fresh, light, mask = (
        images.load(tmp_path / name) for name in ("blur/000000.tiff", "kept/000000.tiff", "kept/mask/000000.tiff")
    )
    assert 0.9 < mask.max() <= 1
    again = light + mask * np.float32(80 / 255 if recipe == "lolblur" else 3)
    assert np.abs(again - fresh).max() < 1e-5


def test_a_video_gives_a_video_of_the_new_rate(street_videos, tmp_path, run):
    target = tmp_path / "2000fps.mp4"
    assert run("stage", "interpolate", street_videos / "a.mp4", target, "--frames", "5").code == 0
    clip = video.probe(video.find([target])[0][0], InputConfig())
    assert clip.fps == 2000 and clip.frames == 33


def test_a_scene_cut_is_held_and_said(tmp_path, run):
    """Nothing lies between two shots: each frame is held for its half of the interval, and no sample mixes them."""
    shots = [*scene(6, seed=0), *scene(6, seed=5)[:, ::-1]]
    (tmp_path / "in").mkdir()
    for number, frame in enumerate(shots):
        images.write_png(tmp_path / "in" / f"{number:02}.png", frame / np.float32(255))
    done = run("stage", "interpolate", tmp_path / "in", tmp_path / "out", "--factor", "4")
    assert done.code == 0
    assert "1 scene cut, after frame 5" in done.err
    out = [images.read_image(path) for path in sorted((tmp_path / "out").iterdir())]
    assert len(out) == 11 * 4 + 1
    for number, held in ((21, 5), (22, 6), (23, 6)):
        assert np.abs(out[number] - shots[held] / 255).max() < 1e-6


def test_repeated_frames_are_said(tmp_path, run):
    (tmp_path / "in").mkdir()
    for number, frame in enumerate(scene(8).repeat(3, 0)):
        images.write_png(tmp_path / "in" / f"{number:02}.png", frame / np.float32(255))
    done = run("stage", "interpolate", tmp_path / "in", tmp_path / "out", "--factor", "2")
    assert done.code == 0 and "every frame is stored 3 times" in done.err


@pytest.mark.parametrize("sigma", ["auto", "5"])
def test_frames_smaller_than_a_block_are_named(sigma, tmp_path, run):
    images.write_png(tmp_path / "tiny.png", np.zeros((5, 40, 3), np.float32))
    done = run("stage", "denoise", tmp_path / "tiny.png", tmp_path / "out.png", "--sigma", sigma)
    assert done.code == 5 and str(tmp_path / "tiny.png") in done.err and "40x5" in done.err


def test_the_raw_behind_the_noise_is_saved_as_dng(folder, tmp_path):
    """The noisy one is the very raw of the frame that is written: developing the difference gives its noise."""
    words = ["noise.model=raw-pg", "noise.probability=1", "noise.white_balance=tungsten", "noise.iso=400"]
    recipe = recipes.override(recipes.load("lolblur"), words)
    raws = tmp_path / "raw"
    report = stage.run(Request("noise", folder, tmp_path / "out", recipe, bits=16, limit=2, raws=raws))
    assert sorted(file.relative_to(tmp_path / "raw").as_posix() for file in (tmp_path / "raw").rglob("*.dng")) == [
        f"{kind}/shot_00{number}.dng" for kind in ("clean", "noisy") for number in range(2)]  # fmt: skip
    clean, noisy = (dng.read_dng(tmp_path / "raw" / kind / "shot_001.dng") for kind in ("clean", "noisy"))
    grain = torch.from_numpy(noisy - clean)[None]
    colours = mosaic.rgb_to_camera(tables.load(tables.PAPER_CAMERA).xyz_to_camera)
    developed = mosaic.develop(grain, colours, (1.0, 1.0, 1.0))[0].permute(1, 2, 0).numpy()
    before, after = (images.read_image(path / "shot_001.png") for path in (folder, tmp_path / "out"))
    seen = (after > 0) & (after < 1) & (before < 1)
    difference = (frames.srgb_to_light(torch.from_numpy(x)).numpy() for x in (after, before))
    assert np.corrcoef(np.subtract(*difference)[seen], developed[seen])[0, 1] > 0.9
    assert report.results[0].draw["lamp"] == "tungsten"


def test_without_input_and_output_the_sample_is_used_and_said(tmp_path, run):
    for count in ("3", "2"):  # the default folder may be written again, and no frame of a longer run is left in it
        done = run("stage", "darken", "--exposure", "0.2", "--frames", count, cwd=tmp_path)
        assert done.code == 0 and "bundled sample" in done.err and "darken-out" in done.err
    assert "replaced 3 files of an earlier run" in done.err
    assert len(list((tmp_path / "darken-out").glob("*.png"))) == 2
    assert "dim" not in done.out and "darken: exposure 0.200, 2 frames -> darken-out" in done.out


@pytest.mark.parametrize(("words", "code", "expected"), [
    (["darken", "--exposure", "2"], 4, "outside"),
    (["defocus", "--kernel", "square"], 4, "one of"),
    (["interpolate", "{folder}", "{out}", "--factor", "adaptive"], 2, "give a number"),
    (["clip-reverse", "{folder}", "{out}.mp4"], 2, "linear light"),
    (["interpolate", "{folder}", "{out}", "--method", "sepconv"], 2, "none come with this package"),
    (["interpolate", "{folder}", "{out}", "--method", "sepconv", "--weights", "no.pth"], 2, "no such weights"),
    (["noise", "{folder}", "{out}", "--keep-mask"], 2, "stage average"),
    (["darken", "{folder}/shot_000.png", "{out}", "--weights", "nothing.pth"], 2, "no such weights"),
    (["darken", "--exposure", "0"], 4, "outside"),
    (["noise", "{folder}", "{out}", "--save-curves", "{out}"], 2, "only darken"),
    (["noise", "{folder}", "{out}", "--probability", "1", "--iso", "100:25600"], 4, "outside the table"),
    (["noise", "{folder}", "{out}", "--probability", "1", "--model", "gaussian", "--save-raw", "{out}"], 2, "no raw"),
    (["defocus", "{folder}", "{out}", "--probability", "1", "--radius", "20"], 2, "larger than the frame"),
])  # fmt: skip
def test_what_can_be_wrong(words, code, expected, folder, tmp_path, run):
    done = run("stage", *[word.format(folder=folder, out=tmp_path / "out") for word in words])
    assert done.code == code and expected in done.err and "Traceback" not in done.err, done.err
