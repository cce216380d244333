"""train-interpolator: scenes are what they say, items are true, a run learns, repeats and resumes, and refuses."""

import dataclasses
import shlex

import av
import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from lolblur_synth import cli, draw
from lolblur_synth.errors import InputError, UsageError, WeightsError
from lolblur_synth.files import weights
from lolblur_synth.kernels.exposure import reference
from lolblur_synth.models import flow, warping
from lolblur_synth.training import config, footage, interpolator, interpolator_card, scenes, triplets

SMALL = {"size": 64, "batch_size": 2, "checkpoint_every": 2}


def rng(name: str) -> np.random.Generator:
    return draw.rng(0, "test", name, "interpolate")


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos") / "made.png"
    coarse = rng("photo").uniform(20, 235, (12, 16, 3)).astype(np.float32)
    cv2.imwrite(str(path), cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC).clip(0, 255))
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """20 frames of a texture that moves by 2 px a frame, with a cut to its negative before frame 14."""
    path = tmp_path_factory.mktemp("clips") / "made.mkv"
    coarse = rng("clip").uniform(20, 235, (10, 20, 3)).astype(np.float32)
    wide = cv2.resize(coarse, (200, 80), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", 30)
        stream.width, stream.height, stream.pix_fmt = 128, 80, "bgr0"
        for k in range(20):
            picture = wide[:, 2 * k : 2 * k + 128]
            picture = np.ascontiguousarray(255 - picture[::-1] if k >= 14 else picture)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="bgr0")))
        container.mux(stream.encode())
    return path


def test_exact_flow_leads_to_the_same_point(photo):
    """A pan: the second frame, fetched along the exact flow, is the first one."""
    picture = cv2.imread(str(photo))
    for number in range(3):
        layers = scenes.draw_scene(rng(f"pan {number}"), [picture], 96)[:1]
        first, second = (torch.from_numpy(scenes.render(layers, t, 96)).permute(2, 0, 1)[None] for t in (0.0, 1.0))
        motion = torch.from_numpy(scenes.exact_flow(layers, 0, 1, 96)).permute(2, 0, 1)[None]
        error = (warping.warp(second, motion) - first).abs()
        place = np.mgrid[:96, :96][::-1] + motion[0].numpy()
        inside = torch.from_numpy(((place > 2) & (place < 93)).all(0))
        assert error[0, :, inside].mean() < 0.01
        assert (first - second).abs().mean() > 2 * error[0, :, inside].mean()


def test_what_is_in_front_hides_what_is_behind(photo):
    picture = cv2.imread(str(photo))
    layers = next(s for s in (scenes.draw_scene(rng(f"scene {k}"), [picture], 64) for k in range(20)) if len(s) > 2)
    motion = scenes.exact_flow(layers, 0, 1, 64)
    assert len(np.unique(motion.round(3).reshape(-1, 2), axis=0)) > 1
    assert scenes.render(layers, 0.5, 64).max() <= 1
    assert not np.array_equal(scenes.render(layers, 0.2, 64), scenes.render(layers, 0.8, 64))


def test_runs_do_not_cross_a_cut(clip):
    ((name, runs),) = footage.runs_of([clip], 128)
    assert name == "made.mkv"
    for run in runs:
        assert np.abs(np.diff(run.astype(int), axis=0)).mean((1, 2, 3)).max() < 40


def test_filmed_items_are_true_whatever_way_they_are_turned(photo, clip, monkeypatch):
    """Frames of a constant motion: DIS must find the same motion, halfway, in every turned and mirrored item."""
    taken = footage.gather([], [clip], 64)
    monkeypatch.setattr(triplets, "VIDEO_SHARE", 1.0)
    monkeypatch.setattr(triplets, "LIT_SHARE", 0.0)
    batch = triplets.batch(taken, 0, 0, 6, 64)
    assert not batch.known.any() and not batch.true_forward.any()
    for k in range(2):
        t = batch.times[:, k, None, None, None]
        motion = reference.carry(batch.forward, batch.backward, batch.bend, t)
        cells = torch.cat((motion, t.expand_as(motion[:, :1]), torch.zeros_like(motion[:, :1])), 1)
        splines = batch.first_spline, batch.second_spline
        shown = reference.render(batch.first, batch.second, splines, cells, t)
        error = (shown - batch.targets[:, k])[:, :, 20:-20, 20:-20]
        assert error.abs().mean() < 0.3 * (batch.first - batch.second).abs().mean()


def test_rendered_items_know_their_flow_whatever_way_they_are_turned(photo, monkeypatch):
    monkeypatch.setattr(scenes, "PAN_SHARE", 1.0)
    monkeypatch.setattr(scenes, "MOTION", (2.0, 4.0))
    monkeypatch.setattr(triplets, "LIT_SHARE", 0.0)
    batch = triplets.batch(footage.gather([photo], [], 64), 0, 0, 6, 64)
    assert batch.known.all()
    for true, dis in ((batch.true_forward, batch.forward), (batch.true_backward, batch.backward)):
        wrong = (true - dis[:, :2]).norm(dim=1)[:, 10:-10, 10:-10].flatten(1).median(1).values
        assert (wrong < 0.5).all()


@pytest.mark.parametrize("name", ["whole", "spot", "other"])
def test_light_changes_linearly_in_time_and_moves_nothing(name):
    light = triplets.changing_light(rng(name), 64)
    first, second, middle = light(torch.full((3, 3, 64, 64), 0.4), (0.0, 1.0, 0.5))
    assert torch.allclose(middle, (first + second) / 2, atol=1e-6)
    assert (first - second).abs().max() > 0.01


def test_a_batch_is_a_function_of_seed_and_step(photo, clip):
    taken = footage.gather([photo], [clip], 64)
    a, b, c = (triplets.batch(taken, 0, step, 2, 64) for step in (3, 3, 4))
    assert torch.equal(a.targets, b.targets) and torch.equal(a.forward, b.forward)
    assert not torch.equal(a.targets, c.targets)


def test_training_learns(photo, monkeypatch):
    """One batch of large motions again and again: the samples of it get clearly better."""
    monkeypatch.setattr(scenes, "MOTION", (10.0, 20.0))
    monkeypatch.setattr(interpolator, "WARM_UP", 4)
    taken = footage.gather([photo], [], 64)
    batch = triplets.batch(taken, 1, 0, 2, 64)
    state = interpolator.InterpolatorRun({"steps": 60, "seed": 0, "rate": 4e-3}, "cpu")
    terms = [state.advance(batch) for _ in range(15)]
    assert terms[-1]["psnr"] > terms[0]["psnr"] + 0.3
    assert terms[-1]["photometric"] < terms[0]["photometric"]


def test_repeated_and_interrupted_runs_give_the_same_weights(photo, clip, tmp_path):
    class Stop(Exception):
        pass

    def stop(step, losses):
        if step == 2:
            raise Stop

    options = SMALL | {"steps": 3, "checkpoint_every": 1}
    whole = interpolator.train_interpolator([photo], [clip], tmp_path / "a.safetensors", **options)
    with pytest.raises(Stop):
        interpolator.train_interpolator([photo], [clip], tmp_path / "b.safetensors", report=stop, **options)
    with pytest.raises(UsageError, match="other options"):
        interpolator.train_interpolator([photo], [clip], tmp_path / "b.safetensors", **options | {"steps": 5})
    resumed = interpolator.train_interpolator([photo], [clip], tmp_path / "b.safetensors", **options)
    assert whole["sha256"] == resumed["sha256"] == weights.sha256(tmp_path / "b.safetensors")
    assert not (tmp_path / "b.checkpoint").exists()
    other = interpolator.train_interpolator([photo], [clip], tmp_path / "c.safetensors", until=1, **options)
    assert other["sha256"] != whole["sha256"]
    assert weights.about(tmp_path / "c.safetensors")["step"] == other["step"] == 1


def test_the_command_writes_weights_and_a_card_with_figures(photo, clip, tmp_path, monkeypatch):
    @dataclasses.dataclass(frozen=True)
    class SmallTraining(config.InterpolatorTraining):
        size: int = config.option(64, "smaller items, which the command has no option for")

    monkeypatch.setattr(interpolator, "InterpolatorTraining", SmallTraining)
    out = tmp_path / "own.safetensors"
    result = CliRunner().invoke(
        cli.main,
        [
            "train-interpolator",
            "--photos",
            str(photo),
            "--held-out",
            str(clip),
            "--steps",
            "1",
            "--note",
            "All of it is ours.",
            "-o",
            str(out),
        ],
    )
    assert result.exit_code == 0, result.output
    assert flow.load(str(out)) and weights.about(out)["network"] == "FlowNet"
    card = out.with_suffix(".md").read_text()
    command = [
        "lolblur-synth",
        "train-interpolator",
        "--photos",
        str(photo),
        "--held-out",
        str(clip),
        "-o",
        str(out),
        "--steps",
        "1",
        "--seed",
        "0",
        "--preset",
        "fine",
        "--device",
        "cpu",
    ]
    assert command in [shlex.split(line) for line in card.splitlines() if line.startswith("lolblur-synth")]
    for word in ("steps=1", "CPU-seconds", "All of it is ours.", "| made.mkv | 4 |", "| mean | 2 |"):
        assert word in card
    assert weights.sha256(out) in card


def test_training_goes_on_from_given_weights(photo, tmp_path):
    """With a rate of next to nothing the weights stay what they were; the card tells where they began."""
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    interpolator.train_interpolator([photo], [], first, steps=1, **SMALL)
    interpolator.train_interpolator([photo], [], second, steps=1, start=first, **SMALL | {"rate": 1e-9, "seed": 7})
    for a, b in zip(flow.load(str(first)).parameters(), flow.load(str(second)).parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    card = second.with_suffix(".md").read_text()
    assert f"--start {first}" in card, "a file, which the command takes; its sha256 would not be taken"
    assert f"start={weights.sha256(first)}" in card
    with pytest.raises(WeightsError, match="absent"):
        interpolator.train_interpolator([photo], [], tmp_path / "a.safetensors", start=tmp_path / "absent.safetensors")


def test_training_goes_on_from_weights_without_the_deep_blocks(photo, tmp_path):
    """They are nothing yet: the network does what it did. No other part may lack."""
    first, old = tmp_path / "first.safetensors", tmp_path / "old.safetensors"
    interpolator.train_interpolator([photo], [], first, steps=1, **SMALL)
    parts = flow.load(str(first)).state_dict()
    shallow = {name: value for name, value in parts.items() if not name.startswith(flow.DEEP)}
    assert len(shallow) < len(parts)
    save_file(shallow, old)
    state = interpolator.InterpolatorRun({"seed": 3, "rate": 1e-3}, "cpu", old)
    for name, value in state.net.state_dict().items():
        if name in shallow:
            assert torch.equal(value, parts[name]), name
        elif ".last." in name:
            assert not value.any(), name
    with pytest.raises(WeightsError, match="lacks"):
        flow.load(str(old))
    shallow.pop("out.weight")
    save_file(shallow, old)
    with pytest.raises(WeightsError, match="lacks out.weight"):
        interpolator.InterpolatorRun({"seed": 3, "rate": 1e-3}, "cpu", old)


def test_a_held_out_video_may_be_too_short_for_figures(photo, clip, tmp_path, monkeypatch):
    monkeypatch.setattr(interpolator_card, "SPANS", (2, 40))
    done = interpolator.train_interpolator([photo], [], tmp_path / "a.safetensors", held_out=[clip], steps=1, **SMALL)
    assert list(done["figures"]["made.mkv"]) == [2]


def test_a_held_out_video_is_not_trained_on_and_system_files_are_no_photographs(photo, clip, tmp_path, caplog):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.png").write_bytes(photo.read_bytes())
    (folder / "._a.png").write_bytes(b"\0\5\26\7")
    with caplog.at_level("WARNING"):
        taken = footage.gather([folder], [clip], 64, held_out=[clip])
    assert [name for name, _ in taken.files] == ["a.png"] and not taken.runs
    assert f"{clip.name} is held out, and not trained on" in caplog.text


def test_nothing_to_train_on_is_refused(tmp_path):
    with pytest.raises(InputError, match="nothing to train on"):
        interpolator.train_interpolator([], [], tmp_path / "a.safetensors", steps=1)
    with pytest.raises(InputError, match="no such file"):
        interpolator.train_interpolator([tmp_path / "absent.png"], [], tmp_path / "a.safetensors", steps=1)
