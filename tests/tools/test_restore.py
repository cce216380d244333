"""restore: images, folders and videos, of any size, with the sound kept; refusals that name the file."""

import errno
import itertools
import logging
import os
import signal
import struct
import subprocess
import sys
import zlib
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from media import encode_pictures

from lolblur_synth.errors import InputError, Interrupted, UsageError, WeightsError
from lolblur_synth.files import images, video, weights
from lolblur_synth.models import lednet
from lolblur_synth.models.curve_rates import curve_rates
from lolblur_synth.models.lednet import LEDNet, enhance
from lolblur_synth.recipe.schema import InputConfig
from lolblur_synth.tools import curve_sheet
from lolblur_synth.tools.onnx_export import export_onnx
from lolblur_synth.tools.restore import restore


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


def start_times(path):
    with av.open(str(path)) as container:
        return {stream.type: float(stream.start_time * stream.time_base) for stream in container.streams}


def late(path, frames, video_start, sound_start, codec="aac", count=8000):
    """A video of `frames` frames at 25 frames/s whose picture and sound begin at these seconds; 16 kHz, mono."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", rate=25)
        picture.width, picture.height, picture.pix_fmt = 48, 32, "yuv420p"
        sound = container.add_stream(codec, rate=16000)
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((32, 48, 3), 40 + index % 200, np.uint8), format="rgb24")
            frame.pts, frame.time_base = index + round(25 * video_start), Fraction(1, 25)
            container.mux(picture.encode(frame))
        container.mux(picture.encode())
        tone = np.sin(np.arange(count) / 8).astype(np.float32)[None] / 4
        tone = tone if codec == "aac" else (tone * 30000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(tone, format="fltp" if codec == "aac" else "s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 16000, round(16000 * sound_start), Fraction(1, 16000)
        container.mux([*sound.encode(frame), *sound.encode()])
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize(("video_start", "sound_start"), [(1, 0), (0, 1), (0.2, 0), (3, 2)])
def test_the_offset_of_the_sound_stays(tmp_path, net, suffix, video_start, sound_start):
    source = late(tmp_path / f"in{suffix}", 30, video_start, sound_start)
    assert restore(source, tmp_path / f"out{suffix}", **net) == 30
    before, after = (start_times(tmp_path / f"{name}{suffix}") for name in ("in", "out"))
    assert after["video"] - after["audio"] == pytest.approx(before["video"] - before["audio"], abs=0.002)
    assert sound_of(tmp_path / f"out{suffix}") == sound_of(source)
    (found,), _ = video.find([tmp_path / f"out{suffix}"])
    assert video.probe(found, InputConfig()).frames == 30


def test_sound_that_cannot_go_along_is_told(tmp_path, net, caplog):
    """AVI has no times: sound that begins a second early would be late."""
    source = late(tmp_path / "in.mkv", 5, 1, 0)
    restore(source, tmp_path / "out.avi", **net)
    assert "left out of" in caplog.text and "AVI cannot say" in caplog.text
    restore(source, tmp_path / "frames", **net)
    assert "its sound" in caplog.text


def test_alpha_of_a_video_and_other_tracks_are_told(tmp_path, net, caplog):
    frames = [av.VideoFrame.from_ndarray(np.full((32, 48, 4), 99, np.uint8), format="rgba") for _ in range(3)]
    encode_pictures(tmp_path / "in.mkv", frames, 25, "ffv1", pix_fmt="bgra")
    restore(tmp_path / "in.mkv", tmp_path / "out.mp4", **net)
    assert "left out of" in caplog.text and "its alpha channel" in caplog.text


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".mov"])
def test_a_damaged_frame_leaves_the_frames_before_it(tmp_path, net, suffix, monkeypatch):
    source = late(tmp_path / "in.mkv", 60, 0, 0, count=38400)
    read = video.display

    def torn(clip):
        yield from itertools.islice(read(clip), 40)
        raise InputError("in.mkv: frame 40 of 60 is damaged or missing", "copy the file again", "corrupt")

    monkeypatch.setattr(video, "display", torn)
    target = tmp_path / f"out{suffix}"
    with pytest.raises(InputError, match=rf"40 of 60 frames restored; they are in .*out\.partial\{suffix}: .*damaged"):
        restore(source, target, **net)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name not in ("in.mkv", "net")) == [
        f"out.partial{suffix}"]  # fmt: skip
    (found,), _ = video.find([tmp_path / f"out.partial{suffix}"])
    assert video.probe(found, InputConfig()).frames == 40
    assert 0 < len(sound_of(found.path)) < len(sound_of(source))
    monkeypatch.undo()
    assert restore(source, target, **net) == 60, "the same command again"


def decoded(path):
    """How many frames of a video PyAV decodes; raises where it is no video."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_ctrl_c_leaves_the_frames_so_far(tmp_path, net, monkeypatch, suffix, number):
    source, read = late(tmp_path / "in.mkv", 20, 0, 0), video.display

    def stopped(clip):
        for index, frame in enumerate(read(clip)):
            if index == 10:
                os.kill(os.getpid(), number)
            yield frame

    monkeypatch.setattr(video, "display", stopped)
    with pytest.raises(Interrupted, match=rf"10 of 20 frames restored; they are in .*out\.partial\{suffix}"):
        restore(source, tmp_path / f"out{suffix}", **net)
    assert not (tmp_path / f"out{suffix}").exists()
    assert decoded(tmp_path / f"out.partial{suffix}") == 10
    with pytest.raises(Interrupted, match="10 of 20 frames restored: interrupted"):
        restore(source, tmp_path / "frames", **net)
    assert len(list((tmp_path / "frames").iterdir())) == 10


def test_a_partial_file_is_not_overwritten_while_it_is_read(tmp_path, net):
    source = late(tmp_path / "out.partial.mkv", 5, 0, 0)
    before = source.read_bytes()
    with pytest.raises(UsageError, match="is the input"):
        restore(source, tmp_path / "out.mp4", **net)
    assert source.read_bytes() == before


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_process_that_is_killed_leaves_a_file_that_plays(tmp_path, suffix):
    """At 25 frames a second it lacks 100 ms, the four frames in the encoder, and the one that is being made."""
    source = late(tmp_path / "in.mkv", 60, 0, 0, count=38400)
    code = (
        "import os, sys, numpy as np\n"
        "from pathlib import Path\n"
        "from lolblur_synth.files.video import recorder, tracks\n"
        "def frames():\n"
        "    for index in range(60):\n"
        "        if index == 50: os.kill(os.getpid(), 9)\n"
        "        yield np.full((32, 48, 3), index / 60, np.float32)\n"
        "source, target = map(Path, sys.argv[1:])\n"
        "found = tracks.tracks_of(source, target.suffix, 1 << 20)\n"
        "recorder.record(target, frames(), 25, found)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(source), str(tmp_path / f"out{suffix}")])
    assert done.returncode == -signal.SIGKILL and not (tmp_path / f"out{suffix}").exists()
    assert decoded(tmp_path / "out.partial.mkv") >= 50 - 3 - 4 - 1


@pytest.mark.parametrize(("suffix", "bits"), [(".png", 8), (".png", 16), (".tiff", 8)])
def test_alpha_is_kept(tmp_path, net, suffix, bits):
    kind = np.uint8 if bits == 8 else np.uint16
    pixels = np.full((16, 24, 4), 2 ** (bits - 2), kind)
    pixels[:, :, 3] = np.arange(24) * (2 ** (bits - 8)) * 10 + 1
    cv2.imwrite(str(tmp_path / "in.png"), pixels)
    restore(tmp_path / "in.png", tmp_path / f"out{suffix}", bits=bits, **net)
    result = images.load(tmp_path / f"out{suffix}")
    assert result.shape == (16, 24, 4) and np.array_equal(result[:, :, 3], pixels[:, :, 3])
    assert abs(int(result[0, 0, 2]) - 2 ** (bits - 1)) <= 1, "the colour of the network, not darkened by alpha"


def test_alpha_that_jpeg_cannot_hold_is_told(tmp_path, net, caplog):
    cv2.imwrite(str(tmp_path / "in.png"), np.full((16, 24, 4), 128, np.uint8))
    restore(tmp_path / "in.png", tmp_path / "out.jpg", **net)
    assert "JPEG holds no alpha channel" in caplog.text
    assert (tmp_path / "out.jpg").read_bytes()[:2] == b"\xff\xd8"


def test_system_files_are_passed_over_and_folders_with_a_suffix_are_entered(tmp_path, net, caplog):
    picture(tmp_path / "in/a.png")
    picture(tmp_path / "in/shot.png/b.png")
    for name in ("._a.png", "Thumbs.db", "@eaDir/a.png", "c.heic"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"\0\5\26\7")
    assert restore(tmp_path / "in", tmp_path / "out", **net) == 2
    assert (tmp_path / "out/shot.png/b.png").is_file()
    assert "passed over: 1 .heic" in caplog.text


def test_a_link_to_a_missing_file_is_named(tmp_path, net):
    picture(tmp_path / "in/a.png")
    (tmp_path / "in/b.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(InputError, match=r"b\.png: a link to a file that is not there"):
        restore(tmp_path / "in", tmp_path / "out", **net)
    with pytest.raises(InputError, match=r"b\.png: a link to a file that is not there"):
        restore(tmp_path / "in/b.png", tmp_path / "out", **net)
    assert not (tmp_path / "out").exists()


def test_results_are_not_read_again(tmp_path, net):
    picture(tmp_path / "in/a.png")
    for target in (tmp_path / "in/out", tmp_path / "in/out.v2"):
        with pytest.raises(UsageError, match="lies in the input folder"):
            restore(tmp_path / "in", target, **net)
    picture(tmp_path / "night/night/a.png")
    picture(tmp_path / "night/a.png")
    with pytest.raises(UsageError, match="is the input"):
        restore(tmp_path / "night/night", tmp_path / "night/night/../night", overwrite=True, **net)


def test_frames_of_a_longer_video_are_not_mixed_with_new_ones(tmp_path, net, clip):
    picture(tmp_path / "frames/000007.png")
    with pytest.raises(UsageError, match=r"no frames of this run: 000007\.png"):
        restore(clip, tmp_path / "frames", overwrite=True, **net)


def test_without_a_training_the_bundled_network_is_used_and_named(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    with caplog.at_level(logging.INFO):
        assert restore(picture(tmp_path / "night.png", (32, 32)), tmp_path / "day.png", quiet=True, device="cpu") == 1
    assert "using the bundled lednet" in caplog.text
    assert rgb(tmp_path / "day.png").mean() > 64, "brighter than it came"


@pytest.mark.slow
@pytest.mark.extra
@pytest.mark.parametrize(
    ("options", "value_range"), [({}, "-1..1"), ({"width": 0.25, "lift": True, "layout": "lite"}, "0..1")]
)
def test_onnx_gives_the_same_answer(tmp_path, options, value_range):
    """At a size that needs padding, and whose pooling grids do not divide it; also with a lift.

    The strength of the lift is part of the file: frames of three levels have three.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    import onnxruntime

    torch.manual_seed(0)
    model = LEDNet(**{"width": 0.125} | options).eval()
    weights.save(
        model, tmp_path / "w.safetensors", {"network": "lednet", "options": model.options, "range": value_range}
    )
    export_onnx(tmp_path / "w.onnx", 90, 66, weights=str(tmp_path / "w.safetensors"))
    session = onnxruntime.InferenceSession(str(tmp_path / "w.onnx"), providers=["CPUExecutionProvider"])
    for level in (1.0, 0.2, 0.02):
        frame = level * torch.rand(1, 3, 66, 90)
        (answer,) = session.run(None, {"dark": frame.numpy()})
        assert np.abs(answer - enhance(model, frame, value_range).numpy()).max() < 1e-5


def test_onnx_without_its_packages(tmp_path, monkeypatch):
    monkeypatch.setattr("lolblur_synth.tools.onnx_export.find_spec", lambda name: None)
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


def test_what_is_not_converted_in_an_image_is_told_once(tmp_path, net, caplog):
    (tmp_path / "in").mkdir()
    data = cv2.imencode(".png", np.full((16, 24, 3), 90, np.uint8))[1].tobytes()
    gamma = b"gAMA" + struct.pack(">I", 100_000)
    chunk = struct.pack(">I", 4) + gamma + struct.pack(">I", zlib.crc32(gamma))
    for name in ("a.png", "b.png"):
        (tmp_path / "in" / name).write_bytes(data[:33] + chunk + data[33:])
    restore(tmp_path / "in", tmp_path / "out", **net)
    assert caplog.text.count("its gamma of 1 is not undone") == 1


def test_a_damaged_image_is_named_with_its_folder(tmp_path, net):
    (tmp_path / "in/night").mkdir(parents=True)
    (tmp_path / "in/night/a.png").write_bytes(b"\x89PNG damaged")
    with pytest.raises(InputError, match="in/night/a.png"):
        restore(tmp_path / "in", tmp_path / "out", **net)


def test_a_video_that_cannot_be_written_is_named(tmp_path, net, clip, monkeypatch):
    """As root may write everywhere, the disk says no by itself."""

    def refuse(self):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(PermissionError) as caught:
        restore(clip, tmp_path / "out.mp4", **net)
    assert caught.value.filename == str(tmp_path / "out.mp4")
    assert not list(tmp_path.glob("*.partial*"))


@pytest.fixture(scope="module")
def with_curve(tmp_path_factory):
    """LEDNet as it is before a training, with CurveNLU; and without."""
    folder = tmp_path_factory.mktemp("curve")
    torch.manual_seed(0)
    for name, curve in (("with", True), ("without", False)):
        model = LEDNet(0.125, curve=curve)
        about = {"network": "lednet", "options": model.options, "range": "0..1"}
        weights.save(model, folder / f"{name}.safetensors", about)
    return folder


def test_rates_are_what_the_curve_multiplies_with(with_curve):
    net, _ = lednet.load(with_curve / "with.safetensors")
    features = {}
    net.conv_2c.register_forward_hook(lambda unit, given, answer: features.update(given=given[0], answer=answer))
    rates = curve_rates(net, torch.rand(1, 3, 32, 48))
    assert [tuple(rate.shape) for rate in rates] == [(1, 8, 16, 24), (1, 16, 8, 12), (1, 16, 4, 6)]
    clipped = features["given"].clamp(0, 1)
    known = ~rates[1].isnan()
    assert (known == (clipped > 0)).all()
    assert known.any()
    assert torch.allclose((rates[1] * clipped)[known], features["answer"][known], atol=1e-5)
    assert 1 <= rates[1][known].min() <= rates[1][known].max() <= 8


def test_show_curve_writes_the_maps_of_every_channel(tmp_path, with_curve):
    source = picture(tmp_path / "night.png", (64, 128))
    words = {"weights": with_curve / "with.safetensors", "show": "curve", "quiet": True, "device": "cpu"}
    assert restore(source, tmp_path / "maps.png", **words) == 1
    rows = 2 + 1 + 2 + 2  # the frame and the means, twice as high; then 8, 16 and 16 channels, eight in a row
    assert rgb(tmp_path / "maps.png").shape == (rows * 8 + 3 * curve_sheet.GAP, 128, 3)


def test_show_curve_is_refused_where_there_is_no_curve(tmp_path, with_curve, net):
    source = picture(tmp_path / "night.png")
    with pytest.raises(UsageError, match="no CurveNLU"):
        restore(source, tmp_path / "a.png", weights=with_curve / "without.safetensors", show="curve", quiet=True)
    with pytest.raises(UsageError, match="--show curve has the frame beside its maps"):
        restore(source, tmp_path / "a.png", show="curve", compare=True, **net)
    assert not (tmp_path / "a.png").exists()
