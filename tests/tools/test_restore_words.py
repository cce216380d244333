"""restore: what it says of its weights and of frames that they were not trained on; an image that cannot be read."""

import logging

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from lolblur_synth.cli import main
from lolblur_synth.errors import ClipsFailed, InputError
from lolblur_synth.files import images, video, weights
from lolblur_synth.models.lednet import LEDNet
from lolblur_synth.models.scope import Scope
from lolblur_synth.parallel import progress
from lolblur_synth.tools.restore import restore


@pytest.fixture
def save(tmp_path):
    """Writes weights with more entries in their header; returns the options of restore that use them."""
    torch.manual_seed(0)
    net = LEDNet(0.125)

    def saved(about, name="net.safetensors"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        weights.save(net, tmp_path / name, {"network": "lednet", "options": net.options, "range": "0..1"} | about)
        return {"weights": str(tmp_path / name), "quiet": True, "device": "cpu"}

    return saved


def picture(path, code=60, size=(16, 24)):
    """A grey of this code value: 60 has L* 24.9, 200 has L* 80.6."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((*size, 3), code, np.uint8))
    return path


def warnings(caplog):
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


def said(tmp_path, options):
    lines = []
    restore(picture(tmp_path / "dark.png"), tmp_path / "out.png", overwrite=True, say=lines.append, **options)
    (line,) = lines
    return line


def test_the_weights_are_introduced(tmp_path, save):
    size = sum(parameter.numel() for parameter in LEDNet(0.125).parameters())
    scope = Scope("Made for dark, blurred frames of phones.", (0.02, 0.45), (16, 320))
    line = said(tmp_path, save({"iterations": 60000, "training": {}} | scope.header()))
    assert line == (
        f"weights: {tmp_path}/net.safetensors (of train-lednet), LEDNet with {size:,} parameters (width 0.125), "
        "trained for 60,000 iterations. Made for dark, blurred frames of phones. Trained on frames with a mean L* of 2 "
        "to 45 and sides of 16 to 320 px."
    )
    line = said(tmp_path, save({"iterations": "many"}))
    assert line.startswith(f"weights: {tmp_path}/net.safetensors (a file), ")
    assert "trained for" not in line


def test_the_bundled_weights_say_what_to_expect(tmp_path):
    line = said(tmp_path, {"weights": "lednet", "quiet": True, "device": "cpu"})
    assert line.startswith("weights: lednet (bundled), LEDNet-lite with 1,860,697 parameters (width 0.5), trained for ")
    assert "Made for real frames on a CPU" in line


def test_a_header_of_a_stranger_prints_nothing_else(tmp_path, save, caplog):
    line = said(tmp_path, save({"expect": "\x1b[2J", "trained_on": {"side": [9, "x"]}, "iterations": [1]}))
    assert "\x1b" not in line
    assert line.endswith("Nothing is known about the frames that they were trained on.")
    assert "not valid in its header, and left out: expect, trained_on.side" in caplog.text


def test_the_command_prints_the_line_and_quiet_does_not(tmp_path, save):
    options = ["--weights", save({})["weights"], "--device", "cpu", "--overwrite"]
    words = ["restore", str(picture(tmp_path / "dark.png")), str(tmp_path / "out.png"), *options]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert done.stderr.startswith("weights: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == f"1 frame in {tmp_path}/out.png\n"
    assert CliRunner().invoke(main, ["-q", *words]).output == ""


def test_frames_outside_the_range_are_told_once_and_counted(tmp_path, save, caplog):
    options = save(Scope(lightness=(0.02, 0.45), side=(16, 32)).header())
    for name, code, size in (("a", 60, (16, 24)), ("b", 200, (16, 24)), ("c", 200, (16, 40)), ("d", 60, (8, 24))):
        picture(tmp_path / f"in/{name}.png", code, size)
    restore(tmp_path / "in", tmp_path / "out", **options)
    assert warnings(caplog) == [
        f"{tmp_path}/in/b.png: its mean L* of 81 lies outside 2 to 45, which the weights were trained on; the result "
        "may be poor",
        f"{tmp_path}/in/c.png: its sides of 40x16 px lie outside 16 to 32 px, which the weights were trained on; the "
        "result may be poor",
        "2 of 4 frames have a mean lightness that the weights were not trained on",
        "2 of 4 frames have a size that the weights were not trained on",
    ]


def test_frames_inside_the_range_and_weights_without_one_warn_of_nothing(tmp_path, save, caplog):
    picture(tmp_path / "in/a.png", 60)
    picture(tmp_path / "in/b.png", 255)
    restore(tmp_path / "in", tmp_path / "one", **save({}))
    restore(tmp_path / "in", tmp_path / "two", **save(Scope(lightness=(0.2, 1.0), side=(16, 24)).header()))
    assert not warnings(caplog)


def test_bright_frames_that_come_back_as_they_are_are_told_once_and_counted(tmp_path, caplog):
    for name, code in (("a", 20), ("b", 200), ("c", 220)):
        picture(tmp_path / f"in/{name}.png", code)
    restore(tmp_path / "in", tmp_path / "out", weights="lednet", device="cpu")
    assert warnings(caplog) == [
        f"{tmp_path}/in/b.png: with a mean L* of 81 it is bright already, and comes back as it is",
        "2 of 3 frames are bright already and come back as they are",
    ]
    assert (images.read_image(tmp_path / "out/b.png") == images.read_image(tmp_path / "in/b.png")).all()


def test_the_frame_of_a_video_is_named(tmp_path, save, caplog):
    frames = (np.full((32, 48, 3), 0.2 if number < 2 else 0.9, np.float32) for number in range(4))
    video.write_video(tmp_path / "in.mkv", frames, 25)
    restore(tmp_path / "in.mkv", tmp_path / "out.mkv", **save(Scope(lightness=(0.02, 0.45)).header()))
    assert f"{tmp_path}/in.mkv, frame 2: its mean L* of " in caplog.text
    assert "2 of 4 frames have a mean lightness" in caplog.text


def test_progress_in_a_pipe_is_plain_lines(tmp_path, save, monkeypatch, capsys):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0)
    video.write_video(tmp_path / "in.mkv", (np.full((32, 48, 3), 0.2, np.float32) for _ in range(2)), 25)
    for name in ("a", "b"):
        picture(tmp_path / f"in/{name}.png")
    options = save({}) | {"quiet": False}
    restore(tmp_path / "in.mkv", tmp_path / "out.mkv", **options)
    restore(tmp_path / "in", tmp_path / "out", **options)
    printed = capsys.readouterr().err
    assert "\r" not in printed
    assert [line.split(" %")[0] for line in printed.splitlines()] == [
        "1 of 2 frames, 50", "2 of 2 frames, 100", "1 of 2 images, 50", "2 of 2 images, 100"
    ]  # fmt: skip


def test_an_image_that_cannot_be_read_does_not_stop_the_folder(tmp_path, save, caplog):
    for name in ("a", "c"):
        picture(tmp_path / f"in/{name}.png")
    (tmp_path / "in/b.png").write_bytes((tmp_path / "in/a.png").read_bytes()[:60])
    options = save({})
    with caplog.at_level(logging.WARNING), pytest.raises(ClipsFailed, match=r"2 of 3 images restored.*in/b\.png"):
        restore(tmp_path / "in", tmp_path / "out", **options)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "c.png"]
    assert "in/b.png" in caplog.text, "with its reason, when it happened"
    words = ["restore", str(tmp_path / "in"), str(tmp_path / "again"), "--weights", options["weights"]]
    assert CliRunner().invoke(main, words).exit_code == 3


def test_a_folder_without_any_usable_image_is_no_input(tmp_path, save):
    for name in ("a", "b"):
        (tmp_path / f"in/{name}.png").parent.mkdir(exist_ok=True)
        (tmp_path / f"in/{name}.png").write_bytes(b"\x89PNG damaged")
    with pytest.raises(InputError, match="none of its 2 images can be used"):
        restore(tmp_path / "in", tmp_path / "out", **save({}))
