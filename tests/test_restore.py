"""restore: images, folders and videos, of any size, with the sound kept; refusals that name the file."""

import logging

import av
import cv2
import numpy as np
import pytest
import torch

from lolblur_synth import video, weights
from lolblur_synth.errors import InputError, UsageError, WeightsError
from lolblur_synth.models.lednet import LEDNet, enhance
from lolblur_synth.recipe import InputConfig
from lolblur_synth.restore import export_onnx, restore


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    """Weights that answer one colour, so that what comes out is known: half red, a quarter green, no blue."""
    folder = tmp_path_factory.mktemp("net")
    model = LEDNet(0.125)
    with torch.no_grad():
        model.D_block0[1].weight.zero_()
        model.D_block0[1].bias.copy_(torch.tensor([0.5, 0.25, 0.0]))
    weights.save(model, folder / "lednet.safetensors", {"network": "lednet", "options": model.options, "range": "0..1"})
    return {"weights": str(folder), "quiet": True, "device": "cpu"}


def picture(path, size=(13, 21), bits=8):
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = np.uint8 if bits == 8 else np.uint16
    cv2.imwrite(str(path), np.full((*size, 3), 2 ** (bits - 2), kind))
    return path


def rgb(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1]


def test_one_image_of_an_odd_size(tmp_path, net):
    source = picture(tmp_path / "night.png")
    assert restore(source, tmp_path / "day.png", **net) == 1
    assert rgb(tmp_path / "day.png").shape == (13, 21, 3)
    assert (rgb(tmp_path / "day.png") == [128, 64, 0]).all(), "RGB in RGB order, rounded"
    assert restore(source, tmp_path / "folder", bits=16, **net) == 1
    assert (rgb(tmp_path / "folder/night.png") == [32768, 16384, 0]).all()


def test_a_folder_keeps_its_names_and_compares(tmp_path, net):
    picture(tmp_path / "in/a/0001.png")
    picture(tmp_path / "in/b/0001.jpg", (16, 16))
    assert restore(tmp_path / "in", tmp_path / "out", compare=True, **net) == 2
    both = rgb(tmp_path / "out/a/0001.png")
    assert both.shape == (13, 42, 3)
    assert (both[:, :21] == 64).all() and (both[:, 21:] == [128, 64, 0]).all()
    assert (tmp_path / "out/b/0001.png").is_file()


@pytest.fixture
def clip(tmp_path):
    """Five frames with a tone of the same length."""
    frames = (np.full((32, 48, 3), 0.2, np.float32) for _ in range(5))
    video.write_video(tmp_path / "silent.mp4", frames, 25)
    with av.open(str(tmp_path / "silent.mp4")) as pictures, av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream_from_template(pictures.streams.video[0])
        sound = container.add_stream("aac", rate=16000)
        for packet in pictures.demux(pictures.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
        tone = np.sin(np.arange(3200) / 8).astype(np.float32)[None] / 4
        frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux([*sound.encode(frame), *sound.encode()])
    return tmp_path / "clip.mp4"


def sound_of(path):
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def test_a_video_keeps_its_sound_and_length(tmp_path, net, clip):
    assert restore(clip, tmp_path / "bright.mp4", **net) == 5
    assert sound_of(tmp_path / "bright.mp4") == sound_of(clip) != []
    (found,), _ = video.find([tmp_path / "bright.mp4"])
    probed = video.probe(found, InputConfig())
    assert (probed.frames, probed.fps, probed.width, probed.height) == (5, 25, 48, 32)
    frame = next(iter(video.read(probed)))
    assert np.abs(frame.mean((0, 1)) - [0.5, 0.25, 0]).max() < 0.03
    assert not list(tmp_path.glob(".restoring-*"))


def test_a_video_without_sound_and_a_video_to_frames(tmp_path, net, clip):
    assert restore(tmp_path / "silent.mp4", tmp_path / "bright.mkv", **net) == 5
    assert restore(clip, tmp_path / "frames", **net) == 5
    assert sorted(file.name for file in (tmp_path / "frames").iterdir()) == [f"{i:06d}.png" for i in range(5)]


def test_without_a_training_the_bundled_network_is_used_and_named(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    with caplog.at_level(logging.INFO):
        assert restore(picture(tmp_path / "night.png", (32, 32)), tmp_path / "day.png", quiet=True, device="cpu") == 1
    assert "using the bundled lednet-small" in caplog.text
    assert rgb(tmp_path / "day.png").mean() > 64, "brighter than it came"


@pytest.mark.slow
@pytest.mark.parametrize(("expose", "value_range"), [(0.0, "-1..1"), (0.35, "0..1")])
def test_onnx_gives_the_same_answer(tmp_path, expose, value_range):
    """At a size that needs padding, and whose pooling grids do not divide it; also where the network is exposed.

    Of an exposed network the gain of each frame is part of the file: frames of three levels have three gains.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    import onnxruntime

    torch.manual_seed(0)
    model = LEDNet(0.125, expose=expose).eval()
    weights.save(model, tmp_path / "w.safetensors",
                 {"network": "lednet", "options": model.options, "range": value_range})
    export_onnx(tmp_path / "w.onnx", 90, 66, weights=str(tmp_path / "w.safetensors"))
    session = onnxruntime.InferenceSession(str(tmp_path / "w.onnx"), providers=["CPUExecutionProvider"])
    for level in (1.0, 0.2, 0.02):
        frame = level * torch.rand(1, 3, 66, 90)
        (answer,) = session.run(None, {"dark": frame.numpy()})
        assert np.abs(answer - enhance(model, frame, value_range).numpy()).max() < 1e-5


def test_onnx_without_its_packages(tmp_path, monkeypatch):
    monkeypatch.setattr("lolblur_synth.restore.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="onnxscript"):
        export_onnx(tmp_path / "w.onnx", 64, 64)


def test_refusals(tmp_path, net, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = picture(tmp_path / "night.png")
    quiet = {"quiet": True}
    restore(source, tmp_path / "day.png", **net)
    with pytest.raises(UsageError, match="day.png exists"):
        restore(source, tmp_path / "day.png", **net)
    restore(source, tmp_path / "day.png", overwrite=True, **net)
    with pytest.raises(UsageError, match="is the input"):
        restore(source, source, overwrite=True, **net)
    with pytest.raises(UsageError, match="cannot write"):
        restore(source, tmp_path / "day.webp", **net)
    with pytest.raises(UsageError, match="--bits"):
        restore(source, tmp_path / "x.png", bits=12, **net)
    with pytest.raises(InputError, match="nothing.png"):
        restore(tmp_path / "nothing.png", tmp_path / "x.png", **net)
    with pytest.raises(WeightsError, match="no-such-weights"):
        restore(source, tmp_path / "x.png", weights="no-such-weights", **quiet)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no images"):
        restore(tmp_path / "empty", tmp_path / "x", **net)
    picture(tmp_path / "twins/a.png")
    picture(tmp_path / "twins/a.jpg")
    with pytest.raises(InputError, match="suffix alone"):
        restore(tmp_path / "twins", tmp_path / "x", **net)
    (tmp_path / "torn.png").write_bytes(source.read_bytes()[:60])
    with pytest.raises(InputError, match="torn.png"):
        restore(tmp_path / "torn.png", tmp_path / "x.png", **net)
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(InputError, match="notes.txt"):
        restore(tmp_path / "notes.txt", tmp_path / "x.png", **net)
    assert not (tmp_path / "x.png").exists()
