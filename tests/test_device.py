"""One pair on a device: nothing is mixed, nothing is read without being fetched, and the pictures are those of the CPU.

The device is a pretended one, whose kernels run through the shim, and a GPU where there is one.
"""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from cuda_shim import run
from pretend_cuda import PretendCuda, is_marked
from scene import pan

from lolblur_synth import frames as fr
from lolblur_synth import pipeline, recipes
from lolblur_synth.files import images
from lolblur_synth.kernels import cuda
from lolblur_synth.recipe.schema import STAGE_NAMES, Recipe
from lolblur_synth.stages import average, interpolate
from lolblur_synth.tools import stage
from lolblur_synth.tools.request import Request

FOG = f"stages={Path(__file__).parent.parent / 'examples/fog/fog.py'}:fog"
RECIPES = {
    "default": ["denoise.sigma=4"],
    "hdr, raw-eld": ["denoise.sigma=4", "clip_reverse.space=hdr", "noise.model=raw-eld"],
    "no interpolation, poisson": ["skip=denoise,interpolate", "noise.model=poisson"],
    "vbm4d": ["denoise.sigma=4", "denoise.profile=vbm4d"],
    "a user's stage, in each sample": ["skip=denoise,interpolate", FOG, "fog.after=clip_reverse"],
}


def pair(settings: list[str], device: str) -> dict[str, np.ndarray]:
    recipe = recipes.override(Recipe(), [*settings, "defocus.probability=1", "noise.probability=1"])
    recipe = recipes.import_stages(recipe)
    scene, window = pan(2), 3
    reach = average.reach(window)
    source = fr.from_uint8(np.stack([scene.frame(i)[:34, :46] for i in range(2 * reach + 1)]))
    draws = pipeline.draw_all(recipe, "0" * 64, 0, "0000", window, 4.0)
    return pipeline.synthesise(source, reach, recipe, draws, device)[0]


def check(got: dict, expected: dict) -> None:
    for name, image in expected.items():
        off = np.abs(got[name].astype(float) - image)
        assert off.max() <= 1 and off.mean() < 0.01, f"{name} differs by up to {off.max()}, on the mean {off.mean()}"


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ for CUDA C on the CPU")
@pytest.mark.parametrize("settings", RECIPES.values(), ids=RECIPES)
def test_a_pretended_device(monkeypatch, settings):
    expected, called = pair(settings, "cpu"), set()
    monkeypatch.setattr(cuda, "available", lambda: True)
    monkeypatch.setattr(cuda, "run", lambda source, name, *rest: (called.add(name), run(source, name, *rest)))
    with PretendCuda():
        check(pair(settings, "cuda"), expected)
    expected_kernels = {"add_given"} if "interpolate" in settings[0] else {"grey", "sweep", "weigh_bends", "add_warped"}
    assert expected_kernels <= called, called


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ for CUDA C on the CPU")
@pytest.mark.parametrize("factor", [8, "adaptive"])
def test_motion_stays_on_the_device(monkeypatch, factor):
    """Only what the host decides by comes back: which pairs rest, and a trust a pair."""
    scene, config = pan(2), dataclasses.replace(Recipe().interpolate, factor=factor)
    frames = fr.from_uint8(np.stack([scene.frame(i)[:34, :46] for i in range(5)]))
    expected, fetched = interpolate.motion(frames, config), []
    monkeypatch.setattr(cuda, "available", lambda: True)
    monkeypatch.setattr(cuda, "run", run)

    class Watched(PretendCuda):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            if getattr(function, "__name__", "") == "cpu" and is_marked(args[0]):
                fetched.append(args[0].numel())
            return super().__torch_function__(function, types, args, kwargs)

    with Watched():
        got = interpolate.motion(frames.to("cuda"), config)
        steps = interpolate.factor(got, config)
        assert got.forward.is_cuda and got.backward.is_cuda and got.bend.is_cuda
        assert max(fetched) <= len(frames) - 1
        for name in ("forward", "backward", "bend"):
            ours, theirs = getattr(got, name).cpu().numpy(), getattr(expected, name)
            assert (np.abs(ours - theirs) < 1e-4).mean() > 0.999, name
    assert np.allclose(got.confidence, expected.confidence, atol=1e-3)  # trust is by difference in whole code values
    assert np.array_equal(got.still, expected.still) and np.array_equal(got.cut, expected.cut)
    assert steps == interpolate.factor(expected, config)


def test_a_pretended_device_without_cupy(monkeypatch):
    """The torch specification stands in for the exposure, and the CPU for denoising."""
    expected = pair(RECIPES["default"], "cpu")
    monkeypatch.setattr(cuda, "available", lambda: False)
    with PretendCuda():
        check(pair(RECIPES["default"], "cuda"), expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
@pytest.mark.parametrize("settings", RECIPES.values(), ids=RECIPES)
def test_a_gpu(settings):
    check(pair(settings, "cuda"), pair(settings, "cpu"))


def test_the_pretence_finds_what_cuda_would():
    with PretendCuda():
        on_device = torch.zeros(2, 3, device="cuda")
        assert on_device.is_cuda and (on_device + 1).is_cuda and not on_device.cpu().is_cuda
        with pytest.raises(TypeError, match="numpy"):
            on_device.numpy()
        with pytest.raises(RuntimeError, match="beside CUDA"):
            on_device + torch.zeros(2, 3)


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ for CUDA C on the CPU")
@pytest.mark.parametrize("kernels", [True, False], ids=["CuPy", "no CuPy"])
@pytest.mark.parametrize("name,profile", [*((name, "fast") for name in STAGE_NAMES), ("denoise", "vbm4d")])
def test_each_stage_alone(tmp_path, monkeypatch, caplog, name, profile, kernels):
    """`stage NAME --device cuda` writes what it writes on the CPU."""
    recipe = recipes.override(Recipe(), ["denoise.sigma=4", f"denoise.profile={profile}", "interpolate.factor=2",
                                         "average.window=3", "resize.width=32", "resize.height=24"])  # fmt: skip
    (tmp_path / "in").mkdir()
    for number in range(3 if name == "noise" else 11):  # that is slow under the pretence, and looks at one at a time
        images.write_png(tmp_path / "in" / f"{number}.png", pan(2).frame(number)[:34, :46] / np.float32(255), 8)
    ask = Request(name, tmp_path / "in", tmp_path / "cpu", recipe, bits=16)
    count = stage.run(ask).results[0].frames
    monkeypatch.setattr(cuda, "available", lambda: kernels)
    monkeypatch.setattr(cuda, "run", run)
    with PretendCuda():
        again = dataclasses.replace(ask, target=tmp_path / "cuda", device="cuda")
        assert stage.run(again).results[0].frames == count
    assert not any("on the CPU" in record.message for record in caplog.records)
    for file in sorted((tmp_path / "cpu").iterdir()):
        expected, got = (images.read_image(tmp_path / where / file.name) for where in ("cpu", "cuda"))
        assert np.abs(got - expected).max() < 0.5 / 255, file.name
