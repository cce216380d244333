"""What is fuzzed: for each parser some good files, and a function that reads a changed one.

A target may raise a LolblurError, which is one line for the user; anything else is a finding. tests/fuzz/test_fuzz.py
runs a few hundred examples of each, tests/soak.py runs them by time.
"""

import functools
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import cv2
import media
import numpy as np
import tifffile
import torch
from safetensors.torch import save_file

from lolblur_synth import recipes
from lolblur_synth.dataset import export, layout, manifest, record_checks, report, stored, verify
from lolblur_synth.errors import LolblurError
from lolblur_synth.files import capture_rates, images, video, weights
from lolblur_synth.recipe.schema import InputConfig, Recipe
from lolblur_synth.training import checkpoint

MAX_PIXELS = 1 << 16  # a mutated header may claim more than the memory of the machine
FRAMES_READ = 3


class Target(NamedTuple):
    """seeds(): (suffix, content) of good files. read(path): the code under test; path: the changed file."""

    seeds: Callable[[], list[tuple[str, bytes]]]
    read: Callable[[Path], object]


def run(name: str, suffix: str, data: bytes) -> bool:
    """Read one changed file. Returns whether it was taken; raises whatever is no LolblurError."""
    with tempfile.TemporaryDirectory() as folder, mock.patch("os.fsync"):  # slow, and only a power failure tells
        path = Path(folder) / f"a{suffix}"
        path.write_bytes(data)
        try:
            TARGETS[name].read(path)
        except LolblurError as error:
            assert "\n" not in str(error), f"more than one line: {error!r}"
            return False
        finally:
            assert {entry.name for entry in Path(folder).iterdir()} <= {path.name, "out", "exported"}
    return True


def _bytes_of(write: Callable[[Path], object], suffix: str) -> tuple[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        write(path)
        return suffix, path.read_bytes()


@functools.cache
def videos() -> list[tuple[str, bytes]]:
    frames = media.scene(6, 32, 48)
    kinds = [(".mp4", "libx264"), (".mkv", "ffv1"), (".mov", "mjpeg"), (".avi", "rawvideo"), (".webm", "libvpx-vp9"),
             (".gif", "gif")]  # fmt: skip
    found = [
        _bytes_of(lambda path, codec=codec: media.encode(path, frames, 25, codec), suffix) for suffix, codec in kinds
    ]
    return found + [_bytes_of(lambda path: media.two_tracks(path, [(32, 32), (64, 48)], [1]), ".mp4")]


def read_video(path: Path) -> None:
    clip = video.probe(video.Input(path, path.name, "video"), InputConfig(max_pixels=MAX_PIXELS, max_frames=100))
    for number, frame in enumerate(video.read(clip)):
        assert frame.shape == (clip.height, clip.width, 3)
        if number == FRAMES_READ:
            break


@functools.cache
def pictures() -> list[tuple[str, bytes]]:
    colour = media.scene(1, 24, 32)[0]
    alpha = np.dstack([colour, np.full(colour.shape[:2], 128, np.uint8)])
    found = [(suffix, cv2.imencode(suffix, pixels)[1].tobytes()) for suffix, pixels in
             ((".png", colour), (".png", alpha), (".png", colour.astype("u2") * 257), (".jpg", colour))]  # fmt: skip
    for options in ({}, {"planarconfig": "separate"}, {"bigtiff": True, "byteorder": ">"}, {"tile": (16, 16)}):
        pixels = colour.transpose(2, 0, 1).copy() if "planarconfig" in options else colour
        pixels = pixels.astype(np.uint16) * 257 if "tile" in options else pixels
        write = functools.partial(tifffile.imwrite, data=pixels, photometric="rgb", **options)
        found.append(_bytes_of(write, ".tif"))
    return found


@functools.cache
def hdr_pictures() -> list[tuple[str, bytes]]:
    light = np.linspace(0, 8, 24 * 32 * 3, dtype=np.float32).reshape(24, 32, 3)
    found = [(".hdr", cv2.imencode(".hdr", light)[1].tobytes()),
             _bytes_of(lambda path: tifffile.imwrite(path, light, photometric="rgb"), ".tif")]  # fmt: skip
    return [*found, (".exr", _exr(light))]


def _exr(light: np.ndarray) -> bytes:
    import av

    encoder = av.CodecContext.create("exr", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = light.shape[1], light.shape[0], "gbrpf32le", 1
    frame = av.VideoFrame(light.shape[1], light.shape[0], "gbrpf32le")
    for plane, channel in zip(frame.planes, (1, 2, 0), strict=True):
        rows = np.zeros((plane.height, plane.line_size // 4), np.float32)
        rows[:, : plane.width] = light[..., channel]
        plane.update(rows.tobytes())
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def read_picture(path: Path) -> None:
    pixels, _ = images.inspect(path, MAX_PIXELS)
    assert pixels.shape[0] * pixels.shape[1] <= MAX_PIXELS
    assert np.isfinite(images.to_rgb(pixels)).all()


@functools.cache
def dataset() -> Path:
    """A dataset of three tiny pairs, with recipe and manifest; never written to, and removed by the system."""
    from test_dataset import PAIRS, build

    out = Path(tempfile.mkdtemp(prefix="lolblur-fuzz-")) / "out"
    build(out)
    for split, sequence, name in PAIRS:
        path = layout.record_path(out, split, sequence, name)
        facts = {"source": {"name": "a.mp4", "sha256": sequence * 16, "fps": 250.0}, "frames": [0, 9], "mid": 4,
                 "window": 7, "samples": 56, "exposure": 0.1, "light": "guessed", "version": "0.1.0", "weights": {},
                 "skipped": [], "segment": 0, "confidence": 0.9,
                 "draws": {"darken": {"exposure": 0.1}, "noise": {"applied": True, "iso": 100.0},
                           "defocus": {"applied": False}, "denoise": {"sigma": 1.0}}}  # fmt: skip
        path.write_bytes(layout.to_json(json.loads(path.read_text()) | facts))
    manifest.write(out)
    (out / "recipe.toml").write_text(recipes.to_toml(Recipe()))
    return out


def _state(name: str) -> Callable[[], list[tuple[str, bytes]]]:
    return lambda: [(".txt", (dataset() / name).read_bytes())]


def _reader_of(name: str) -> Callable[[Path], None]:
    """Puts the changed file in its place in a copy of the dataset, and runs every command that reads a dataset."""

    def read(path: Path) -> None:
        out, errors = path.parent / "out", []
        shutil.copytree(dataset(), out)
        shutil.copy(path, out / name)
        for step in (verify.verify, verify.status, manifest.read, _export, _report, stored.clips, manifest.write):
            try:
                step(out)
            except LolblurError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    return read


def _export(out: Path) -> None:
    for form in ("flat", "webdataset", "huggingface"):
        target = out.parent / "exported"
        shutil.rmtree(target, ignore_errors=True)
        export.export(out, target, form, ("low_blur_noise",))


def _report(out: Path) -> None:
    report.write(out, quick=True)


def read_survey(path: Path) -> None:
    out = path.parent / "out"
    shutil.copytree(dataset(), out)
    (out / layout.STATE / "surveys").mkdir()
    shutil.copy(path, out / layout.STATE / "surveys/a.json")
    for videos_ in record_checks.surveyed(out).values():
        assert all(isinstance(info.name, str) for info in videos_)
    verify.verify(out)


def surveys() -> list[tuple[str, bytes]]:
    import dataclasses

    from lolblur_synth.dataset.records import VideoInfo

    info = VideoInfo("", "", "video", "0000" * 16, 250.0, 99, 64, 48, 8, "", "", (3,), 1.0, 1.0, 0.5, ((0.5, 1.0),), (),
                     ((0.5, 0.3),))  # fmt: skip
    return [(".json", layout.to_json(dataclasses.asdict(info)))]


def read_recipe(path: Path) -> None:
    recipe = recipes.load(str(path))
    assert recipes.parse(recipes.to_toml(recipe), "again.toml").resize == recipe.resize


def recipe_files() -> list[tuple[str, bytes]]:
    small = b'base = "fast"\nskip = ["noise"]\n[dataset]\nseed = 7\n[darken]\nexposure = [0.1, 0.2]\n'
    return [(".toml", recipes.to_toml(recipes.load(name)).encode()) for name in recipes.names()] + [(".toml", small)]


def read_rates(path: Path) -> None:
    shutil.copy(path, path.parent / "exported")
    folder = path.parent / "out"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(b"x")
    shutil.copy(path, folder / capture_rates.FILE)
    video.find_clips([folder])


def network() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.Conv2d(4, 1, 3))


@functools.cache
def weight_files() -> list[tuple[str, bytes]]:
    torch.manual_seed(0)
    state = network().state_dict()
    found = [_bytes_of(lambda path: save_file(state, path, {"about": '{"steps": 1}'}), ".safetensors")]
    for zipped in (True, False):
        write = functools.partial(torch.save, {"params": state}, _use_new_zipfile_serialization=zipped)
        found.append(_bytes_of(write, ".pth"))
    return found


def read_weights(path: Path) -> None:
    module = network()
    weights.load(module, path)
    assert all(torch.isfinite(value).all() for value in module.state_dict().values())
    assert isinstance(weights.about(path), dict)


@functools.cache
def checkpoints() -> list[tuple[str, bytes]]:
    state = {"iteration": 3, "model": network().state_dict(), "config": {"lr": 1e-4}}
    return [_bytes_of(lambda path: checkpoint.write(path, state), ".pt")]


TARGETS = {
    "video": Target(videos, read_video),
    "image": Target(pictures, read_picture),
    "hdr": Target(hdr_pictures, read_picture),
    "manifest": Target(_state("manifest.jsonl"), _reader_of("manifest.jsonl")),
    "record": Target(_state(".lolblur/pairs/train/0000/0001.json"), _reader_of(".lolblur/pairs/train/0000/0001.json")),
    "plan": Target(_state(".lolblur/plan.json"), _reader_of(".lolblur/plan.json")),
    "survey": Target(surveys, read_survey),
    "recipe": Target(recipe_files, read_recipe),
    "rates": Target(lambda: [(".toml", b'["a.mp4"]\nfps = 240\n')], read_rates),
    "weights": Target(weight_files, read_weights),
    "checkpoint": Target(checkpoints, checkpoint.load),
}
