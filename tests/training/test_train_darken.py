"""train-darken: the losses are their equations; a run is repeatable and resumable, and refuses what cannot be."""

import importlib.util
import logging
import sys

import cv2
import numpy as np
import pytest
import torch

from lolblur_synth import frames
from lolblur_synth.errors import InputError, UsageError
from lolblur_synth.files import weights
from lolblur_synth.models import dce
from lolblur_synth.training import darken
from lolblur_synth.training import photos as training_photos
from lolblur_synth.training.photos import batch, pictures
from lolblur_synth.training.tensorboard_log import is_log, scalars

SMALL = {"size": 24, "batch_size": 2, "checkpoint_every": 2}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of four bright made-up photographs, of different shapes."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number, shape in enumerate(((90, 120, 3), (120, 90, 3), (64, 64, 3), (40, 200, 3))):
        picture = cv2.resize(rng.uniform(60, 255, (6, 8, 3)), shape[1::-1], interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{number}.png"), picture.clip(0, 255).astype(np.uint8))
    return folder


def plane(*values: float) -> torch.Tensor:
    """Two equal rows: (1, 1, 2, n)."""
    return torch.tensor(values, dtype=torch.float32).expand(1, 1, 2, -1)


def test_exposure_loss_is_the_squared_log_ratio_of_the_means():
    share = plane(1, 1, 0)
    got = darken.exposure_loss(plane(0.1, 0.3, 0.9), plane(0.1, 0.1, 0.9), share)
    assert got.item() == pytest.approx(np.log(2) ** 2)
    assert darken.exposure_loss(plane(0.05, 0.15), plane(0.1, 0.1), plane(1, 1)).item() == pytest.approx(0)


def test_contrast_loss_is_zero_for_pure_dimming_and_ignores_lamps():
    lightness, exposure = plane(0.2, 0.6, 0.4), torch.full((1, 1, 1, 1), 0.1)
    dimmed = darken.in_less_light(lightness, exposure)
    everywhere = torch.ones_like(lightness)
    assert darken.contrast_loss(dimmed, lightness, exposure, everywhere).item() == pytest.approx(0)
    flat = torch.full_like(lightness, 0.1)
    steps = (dimmed.diff(dim=3)[0, 0, 0] * 0.4 / 0.1).tolist()  # in units of the contrast that E/mean leaves
    assert darken.contrast_loss(flat, lightness, exposure, everywhere).item() == pytest.approx(
        (steps[0] ** 2 + steps[1] ** 2) / 2
    )
    assert darken.contrast_loss(flat, lightness, exposure, plane(0, 1, 1)).item() == pytest.approx(steps[1] ** 2 / 2)


def test_less_light_is_one_gain_of_luminance():
    lightness = torch.tensor([[[[0.2, 0.6, 0.4]]], [[[0.3, 0.3, 0.9]]]])
    out = darken.in_less_light(lightness, torch.tensor([0.05, 0.3])[:, None, None, None])
    gain = frames.lightness_to_luminance(out) / frames.lightness_to_luminance(lightness)
    assert out.mean((1, 2, 3)).tolist() == pytest.approx([0.05, 0.3], abs=1e-5)
    assert gain.amax(3).allclose(gain.amin(3), rtol=1e-3)


def test_lamp_and_smoothness_losses():
    assert darken.lamp_loss(plane(0.5, 0.1), plane(1.0, 1.0), plane(1, 0)).item() == pytest.approx(0.25 / 2)
    maps = torch.tensor([[0.1, 0.3], [0.1, 0.3]]).view(1, 1, 2, 2)
    assert darken.smoothness_loss(maps).item() == pytest.approx(0.04)


def test_pictures_are_reduced_lightness_of_images_and_videos(photos, tmp_path):
    import av

    with av.open(tmp_path / "clip.mp4", "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 100 + 10 * level, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    found = pictures([photos, tmp_path / "clip.mp4", photos / "2.png"], size=16, frames_per_video=4)
    assert len(found) == 4 + 4 + 1 and all(min(p.lightness.shape) == 16 for p in found)
    assert [p.name for p in found if "clip" in p.name] == [f"clip.mp4 frame {i}" for i in (0, 3, 6, 9)]
    (tmp_path / "among-videos.png").write_bytes((photos / "2.png").read_bytes())
    mixed = pictures([tmp_path], size=16, frames_per_video=2)
    assert [p.name for p in mixed] == ["clip.mp4 frame 0", "clip.mp4 frame 9", "among-videos.png"]
    levels = [p.lightness.mean() for p in found if "clip" in p.name]
    assert np.all(np.diff(levels) > 0) and all(0 <= p.lightness.min() and p.lightness.max() <= 1 for p in found)


def test_batches_depend_on_seed_and_step_only(photos):
    found = pictures([photos], size=48, frames_per_video=1)
    first, again = (batch(found, seed=1, step=7, count=8, size=24) for _ in range(2))
    other = batch(found, seed=1, step=8, count=8, size=24)
    assert first[0].equal(again[0]) and first[1].equal(again[1]) and not first[0].equal(other[0])
    assert first[0].shape == (8, 1, 24, 24) and first[1].shape == (8, 1, 1, 1)
    assert (first[1] >= 0.03).all() and (first[1] <= 0.5).all() and first[0].min() >= 0 and first[0].max() <= 1


def test_training_lowers_the_exposure_loss(photos, tmp_path):
    losses = []
    darken.train_darken(
        [photos],
        tmp_path / "a.safetensors",
        steps=60,
        size=24,
        batch_size=4,
        report=lambda step, terms: losses.append(terms["exposure"]),
    )
    assert len(losses) == 60 and np.mean(losses[-15:]) < 0.4 * np.mean(losses[:15])


def test_a_run_writes_weights_that_load_and_a_card(photos, tmp_path):
    result = darken.train_darken([photos], tmp_path / "my.safetensors", steps=3, seed=4, note="For a test.", **SMALL)
    assert weights.load(dce.CurveNet(), tmp_path / "my.safetensors") == result["sha256"]
    assert weights.about(tmp_path / "my.safetensors")["seed"] == 4
    card = (tmp_path / "my.md").read_text()
    assert "For a test." in card and "steps=3 seed=4" in card and "3.png" in card and result["sha256"] in card
    assert f"lolblur-synth train-darken {photos} -o {tmp_path / 'my.safetensors'} --steps 3 --seed 4" in card
    assert sorted(file.name for file in tmp_path.iterdir()) == ["my.md", "my.safetensors"]


def test_the_exposure_on_the_card_is_what_the_network_alone_achieves(photos):
    found, net = pictures([photos], size=48, frames_per_video=1), dce.CurveNet()
    torch.nn.init.constant_(net.conv7.bias, -30.0)  # r = 0: nothing is darkened
    torch.nn.init.zeros_(net.conv7.weight)
    achieved = darken.achieved_exposures(net, found)
    own = [p.lightness[p.lightness <= 0.98].mean() for p in found]
    assert achieved["0.1"] == pytest.approx((np.mean(own), np.std(own)), abs=1e-3)


def interrupted(inputs, out, at: int, **options) -> None:
    def report(step, losses):
        if step == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        darken.train_darken(inputs, out, report=report, **options)


def test_interrupted_runs_end_like_uninterrupted_ones_and_seeds_differ(photos, tmp_path):
    options = {"steps": 7, "seed": 1, **SMALL}
    whole = darken.train_darken([photos], tmp_path / "whole.safetensors", **options)
    interrupted([photos], tmp_path / "parts.safetensors", 3, **options)
    interrupted([photos], tmp_path / "parts.safetensors", 6, **options)
    parts = darken.train_darken([photos], tmp_path / "parts.safetensors", **options)
    assert parts["sha256"] == whole["sha256"] and parts["losses"] == whole["losses"]
    other = darken.train_darken([photos], tmp_path / "other.safetensors", **{**options, "seed": 2})
    assert other["sha256"] != whole["sha256"]


def test_same_weights_for_any_number_of_threads(photos, tmp_path):
    threads, found = torch.get_num_threads(), set()
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            options = {**SMALL, "size": 64, "batch_size": 8}
            found.add(darken.train_darken([photos], tmp_path / "a.safetensors", steps=3, **options)["sha256"])
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)
    assert len(found) == 1


def test_a_checkpoint_of_another_run_or_damaged_is_not_continued(photos, tmp_path):
    interrupted([photos], tmp_path / "a.safetensors", 3, steps=5, **SMALL)
    with pytest.raises(UsageError, match="other options"):
        darken.train_darken([photos], tmp_path / "a.safetensors", steps=6, **SMALL)
    (tmp_path / "a.checkpoint").write_bytes(b"torn")
    with pytest.raises(UsageError, match="not a readable checkpoint"):
        darken.train_darken([photos], tmp_path / "a.safetensors", steps=5, **SMALL)


def test_the_losses_can_be_written_for_tensorboard(photos, tmp_path, tensorboard):
    darken.train_darken([photos], tmp_path / "a.safetensors", steps=2, tensorboard=tmp_path / "logs", **SMALL)
    assert [(step, name) for step, name, _ in tensorboard[str(tmp_path / "logs")]] == [
        (step, f"loss/{name}") for step in (1, 2) for name in ("exposure", "contrast", "lamp", "smoothness")
    ]


def test_without_tensorboard_one_line_says_what_to_install(photos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError, match="tensorboard is not installed") as caught:
        darken.train_darken([photos], tmp_path / "a.safetensors", steps=2, tensorboard=tmp_path / "logs", **SMALL)
    assert "lolblur-synth[train]" in caught.value.hint and not any(tmp_path.iterdir())


@pytest.mark.extra
@pytest.mark.skipif(not importlib.util.find_spec("tensorboard"), reason="tensorboard is not installed")
def test_tensorboard_reads_what_was_written(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with scalars(tmp_path / "log") as write:
        write(3, {"loss": 0.5})
        write(4, {"loss": 0.25})
    with scalars(tmp_path / "log", first=4) as write:
        write(4, {"loss": 0.125})
    events = EventAccumulator(str(tmp_path / "log"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(3, 0.5), (4, 0.125)]
    assert is_log(tmp_path / "log") and not is_log(tmp_path / "none")
    (tmp_path / "log" / "mine.txt").write_text("mine")
    assert not is_log(tmp_path / "log")


def test_a_named_folder_without_pictures_is_not_passed_over(photos, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "a.png").symlink_to("nowhere.png")
    (tmp_path / "notes.txt").write_text("no picture")
    for name in ("empty", "links", "notes.txt"):
        with pytest.raises(InputError, match=name):
            pictures([photos, tmp_path / name], 16, 2)


def test_what_is_held_out_is_not_trained_on(photos, tmp_path, caplog):
    held_out = tmp_path / "copy of 2.png"
    held_out.write_bytes((photos / "2.png").read_bytes())
    with caplog.at_level(logging.WARNING):
        result = darken.train_darken([photos], tmp_path / "a.safetensors", held_out=[held_out], steps=1, **SMALL)
    assert result["pictures"] == 3 and "2.png is held out, and not trained on" in caplog.text
    with pytest.raises(InputError, match="everything to train on is held out"):
        darken.train_darken([photos / "2.png"], tmp_path / "b.safetensors", held_out=[held_out], steps=1, **SMALL)


def test_folders_of_the_system_hold_no_pictures(photos, tmp_path):
    for name in ("0.png", "a.txt/1.png", "@eaDir/0.png", ".thumbnails/0.png", "lost+found/0.png"):
        (tmp_path / "album" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "album" / name).write_bytes((photos / "0.png").read_bytes())
    (tmp_path / "album/._0.png").write_bytes(b"\0\5\26\7")
    (tmp_path / "album/clip.mkv").touch()  # so that the pictures are no sequence
    folders = [folder.relative_to(tmp_path).as_posix() for folder in training_photos.folders_in(tmp_path / "album")]
    assert folders == ["album", "album/a.txt"]


def test_dark_or_missing_pictures_are_refused(tmp_path):
    with pytest.raises(InputError, match="no image and no video"):
        darken.train_darken([tmp_path], tmp_path / "a.safetensors", steps=1, **SMALL)
    cv2.imwrite(str(tmp_path / "dark.png"), np.full((64, 64, 3), 20, np.uint8))
    with pytest.raises(InputError, match="all 1 pictures are dark"):
        darken.train_darken([tmp_path], tmp_path / "a.safetensors", steps=1, **SMALL)
    (tmp_path / "dark.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="dark.png"):
        darken.train_darken([tmp_path], tmp_path / "a.safetensors", steps=1, **SMALL)
