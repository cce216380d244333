"""Training: it learns, it resumes bit for bit, two processes equal one, and nothing bad is passed over in silence."""

import csv
import dataclasses
import logging
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tiny_pairs import TINY, write_pairs

from lolblur_synth.dataset.pair_folders import Pair, find_pairs, pair_names
from lolblur_synth.dataset.pairs import PairDataset, read_frame, read_pair
from lolblur_synth.dataset.splits import gather, hold_out
from lolblur_synth.errors import Diverged, ForeignOutput, InputError, Interrupted, NoSpace, UsageError, WeightsError
from lolblur_synth.files import weights
from lolblur_synth.metrics import image_quality
from lolblur_synth.models import lift, scope, vgg
from lolblur_synth.models.lednet import enhance, load
from lolblur_synth.training import checkpoint, crops, lednet, lednet_parts
from lolblur_synth.training.config import LednetConfig, checked, learning_rate
from lolblur_synth.training.distributed import Process
from lolblur_synth.training.frame_store import FrameFiles
from lolblur_synth.training.lednet import train_lednet
from lolblur_synth.training.losses import Weights, lednet_loss, structural_similarity
from lolblur_synth.training.mixture import KINDS


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("data"))


def of_16(n):
    """Height and width of every sample."""
    return 16, 16


def final_state(out):
    return checkpoint.latest(out / "checkpoints")


def same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


# the loop


def test_it_learns(tmp_path, dataset):
    """After 100 small steps the loss has fallen, and frames come out better than the input and their mean colour."""
    result = train_lednet(
        dataset,
        tmp_path / "run",
        quiet=True,
        iterations=100,
        lr=2e-3,
        save_every=50,
        **TINY | {"width": 0.25, "batch": 4, "crop": 24},
    )
    with (tmp_path / "run" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["iteration"] for row in rows] == ["50", "100"]
    assert float(rows[1]["loss"]) < float(rows[0]["loss"])
    net, value_range = load(result["weights"])
    assert value_range == "0..1" and net.options["width"] == 0.25
    assert weights.about(result["weights"])["iterations"] == 100
    scores = []
    for pair in hold_out(find_pairs(dataset, "train"))[0]:
        low, high = (frame[None] for frame in read_pair(pair))
        mean = high.mean((2, 3), keepdim=True).expand_as(high)
        scores.append([image_quality.psnr_rgb(x, high).item() for x in (enhance(net, low), low, mean)])
    ours, identity, mean = np.mean(scores, 0)
    assert ours > identity + 5 and ours > mean + 0.5


def test_resume_is_bit_exact(tmp_path, dataset):
    """Stopped in the middle by a signal and continued, with other loader settings, it ends in the same bits."""
    options = TINY | {"iterations": 6, "lr": 1e-3}
    train_lednet(dataset, tmp_path / "whole", quiet=True, **options)
    original = lednet.LednetRun.advance

    def advance(run, batch):
        if run.step == 2:
            run.stop = lambda: True
        return original(run, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lednet.LednetRun, "advance", advance)
        assert train_lednet(dataset, tmp_path / "parts", quiet=True, **options)["iteration"] == 3
    train_lednet(dataset, tmp_path / "parts", quiet=True, **options | {"workers": 1, "save_every": 2})
    whole, parts = final_state(tmp_path / "whole"), final_state(tmp_path / "parts")
    assert whole["iteration"] == parts["iteration"] == 6
    assert same(whole["params"], parts["params"]) and same(whole["params_ema"], parts["params_ema"])
    assert same(whole["adam"]["state"], parts["adam"]["state"])
    assert (tmp_path / "whole/lednet.safetensors").read_bytes() == (tmp_path / "parts/lednet.safetensors").read_bytes()


def test_signal_saves_and_says_so(tmp_path, dataset, monkeypatch):
    original = lednet.LednetRun.advance

    def advance(run, batch):
        if run.step == 1:
            os.kill(os.getpid(), 15)
        return original(run, batch)

    monkeypatch.setattr(lednet.LednetRun, "advance", advance)
    with pytest.raises(Interrupted, match="after iteration"):
        train_lednet(dataset, tmp_path, quiet=True, iterations=50, **TINY)
    assert 2 <= final_state(tmp_path)["iteration"] <= 3


def test_time_limit(tmp_path, dataset):
    result = train_lednet(dataset, tmp_path, quiet=True, iterations=50, max_minutes=1e-9, **TINY)
    assert result["iteration"] == final_state(tmp_path)["iteration"] == 1


def test_the_losses_can_be_written_for_tensorboard(tmp_path, dataset, tensorboard):
    """The rows of log.csv; a run that goes on from a checkpoint takes the curves up there. A log may lie in OUT."""
    out, logs = tmp_path / "run", tmp_path / "run" / "curves"
    options = {"save_every": 2, "tensorboard": str(logs), "quiet": True, **TINY}
    train_lednet(dataset, out, iterations=4, **options)
    names = {name for _, name, _ in tensorboard[str(logs)]}
    assert names == {"loss", "l1", "side_l1", "lr", "val_psnr_rgb"}
    with (out / "log.csv").open() as file:
        expected = [(int(row["iteration"]), float(row["loss"])) for row in csv.DictReader(file)]
    shown = [(step, value) for step, name, value in tensorboard[str(logs)] if name == "loss"]
    assert shown == [(step, pytest.approx(value, rel=1e-5)) for step, value in expected] and len(shown) == 2
    (out / "checkpoints" / "00000004.pt").unlink()
    logs.mkdir()
    (logs / "events.out.tfevents.0").touch()
    train_lednet(dataset, out, iterations=4, **options)
    assert [step for step, name, _ in tensorboard[str(logs)] if name == "loss"] == [2, 4]


def test_dry_run_writes_nothing(tmp_path, dataset):
    result = train_lednet(dataset, tmp_path / "run", dry_run=True, iterations=50, **TINY)
    assert result["seconds_per_step"] > 0 and result["pairs"] == 4 and result["val_pairs"] == 2
    assert not (tmp_path / "run").exists()


def test_two_processes_equal_one(tmp_path, dataset):
    """torchrun with gloo on the CPU: same global batch, same weights to 1e-5."""
    options = TINY | {"iterations": 2, "lr": 1e-3}
    train_lednet(dataset, tmp_path / "one", quiet=True, **options)
    script = tmp_path / "train.py"
    script.write_text(
        "import sys\nfrom lolblur_synth.training.lednet import train_lednet\n"
        f"train_lednet({str(dataset)!r}, {str(tmp_path / 'two')!r}, quiet=True, **{options!r})\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    alone = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=alone, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = final_state(tmp_path / "one")["params"], final_state(tmp_path / "two")["params"]
    assert max((one[key] - two[key]).abs().max().item() for key in one) < 1e-5


@pytest.mark.parametrize(
    "ablation",
    [
        {"side_loss": False, "lift": True, "matched": 0.5, "fft": 0.1, "ssim": 0.2, "warm_up": 2},
        {"layout": "lite", "lift": True},
        {"ppm": False, "curve": False},
        {"skip": "concat"},
        {"range": "-1..1", "ema": 0.0, "precision": "bfloat16"},
    ],
)
def test_ablations_run_by_option(tmp_path, dataset, ablation):
    result = train_lednet(dataset, tmp_path, quiet=True, iterations=2, **TINY | ablation)
    net, value_range = load(result["weights"])
    assert result["iteration"] == 2 and value_range == ablation.get("range", "0..1")
    assert net.options["lift"] == ablation.get("lift", False)
    assert net.options["layout"] == ablation.get("layout", "paper")
    assert net.options["skip"] == ablation.get("skip", "fac") and net.options["ppm"] == ablation.get("ppm", True)


def test_compiling_needs_a_compiler(tmp_path, dataset, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(UsageError, match="compiler"):
        train_lednet(dataset, tmp_path / "run", quiet=True, iterations=1, compile=True, **TINY)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_compiled_network_learns_the_same(tmp_path, dataset):
    if not lednet_parts.compilers():
        pytest.skip("no C++ compiler here")
    options = TINY | {"iterations": 3, "lr": 1e-3}
    plain = train_lednet(dataset, tmp_path / "plain", quiet=True, **options)
    compiled = train_lednet(dataset, tmp_path / "compiled", quiet=True, compile=True, **options)
    assert compiled["loss"] == pytest.approx(plain["loss"], rel=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
def test_a_recorded_network_learns_the_same(tmp_path, dataset):
    options = TINY | {"iterations": 5, "device": "cuda", "precision": "float32"}
    plain = train_lednet(dataset, tmp_path / "plain", quiet=True, **options)
    replayed = train_lednet(dataset, tmp_path / "recorded", quiet=True, graph=True, **options)
    assert replayed["loss"] == pytest.approx(plain["loss"], rel=1e-3)


# losses


def test_loss_is_equation_6():
    torch.manual_seed(0)
    side, out, target = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)

    def double(frame):
        return [frame * 2, frame]

    terms = lednet_loss(side, out, target, double)
    small = torch.nn.functional.interpolate(target, (8, 8), mode="bicubic", align_corners=False)
    l1, side_l1 = (out - target).abs().mean(), (side - small).abs().mean()
    assert terms["loss"].item() == pytest.approx((l1 * 1.03 + 0.8 * side_l1 * 1.03).item(), rel=1e-5)
    assert lednet_loss(None, out, target, None).keys() == {"l1", "loss"}


def test_ssim_as_a_loss_is_that_of_evaluate():
    draw = torch.Generator().manual_seed(0)
    a, b = (torch.rand(1, 3, 40, 56, generator=draw) for _ in range(2))
    for other in (a, 0.9 * a + 0.05, b, torch.full_like(a, 0.2)):
        assert abs(structural_similarity(a, other).item() - image_quality.ssim_y(a, other).item()) < 5e-3
    dark = (a / 3).requires_grad_()
    terms = lednet_loss(None, dark, a, None, Weights(ssim=0.2))
    assert abs(terms["ssim"].item()) < 1e-3, "brightness alone costs nothing"
    assert torch.allclose(terms["loss"], terms["l1"] + 0.2 * terms["ssim"])
    lednet_loss(None, dark, b, None, Weights(ssim=0.2))["ssim"].backward()
    assert torch.isfinite(dark.grad).all() and dark.grad.abs().max() > 0


def test_learning_rate():
    config = LednetConfig(iterations=1000)
    rates = [learning_rate(config, i) for i in (0, 500, 1000)]
    assert rates == pytest.approx([1e-4, (1e-4 + 1e-7) / 2, 1e-7])


def test_perceptual_loss_is_never_skipped_in_silence(tmp_path, dataset, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "empty"))
    with pytest.raises(WeightsError, match="vgg19"):
        train_lednet(dataset, tmp_path / "a", dry_run=True, **TINY | {"perceptual": "vgg19"})
    with caplog.at_level(logging.WARNING):
        train_lednet(dataset, tmp_path / "a", dry_run=True, **TINY | {"perceptual": "auto"})
    assert "without the perceptual loss" in caplog.text


def test_perceptual_loss_trains(tmp_path):
    dataset = write_pairs(tmp_path / "data", clips=2, frames=1, size=(64, 64))
    torch.manual_seed(0)
    net = vgg.Features("vgg16", vgg.PERCEPTUAL["vgg16"])
    weights.save(net, tmp_path / "vgg16.safetensors", {})
    result = train_lednet(
        dataset,
        tmp_path / "run",
        quiet=True,
        iterations=1,
        **TINY | {"crop": 64, "batch": 1, "perceptual": "vgg16", "vgg_weights": str(tmp_path / "vgg16.safetensors")},
    )
    with (tmp_path / "run" / "log.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["perceptual"]) > 0 and float(row["side_perceptual"]) > 0 and result["iteration"] == 1
    with pytest.raises(UsageError, match="too small"):
        train_lednet(
            dataset,
            tmp_path / "b",
            dry_run=True,
            **TINY | {"crop": 32, "perceptual": "vgg16", "vgg_weights": str(tmp_path / "vgg16.safetensors")},
        )


# checkpoints


def test_three_checkpoints_are_kept_and_a_damaged_one_is_stepped_over(tmp_path, caplog):
    for iteration in (1, 2, 3, 4):
        checkpoint.save(tmp_path, iteration, {"iteration": iteration, "x": torch.full((1000,), iteration)})
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["00000002.pt", "00000003.pt", "00000004.pt"]
    with zipfile.ZipFile(files[-1]) as archive:
        at = next(i for i in archive.infolist() if "data/0" in i.filename).header_offset + 2000
    broken = bytearray(files[-1].read_bytes())
    broken[at] ^= 1  # one bit of a tensor: torch alone would not notice
    files[-1].write_bytes(broken)
    with caplog.at_level(logging.WARNING):
        assert checkpoint.latest(tmp_path)["iteration"] == 3
    assert "00000004.pt" in caplog.text
    for file in files:
        file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError, match="all checkpoints are damaged"):
        checkpoint.latest(tmp_path)


def test_a_hostile_checkpoint_runs_nothing(tmp_path):
    class Shell:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    torch.save({"x": Shell()}, tmp_path / "00000001.pt")
    with pytest.raises(InputError, match="not a readable checkpoint"):
        checkpoint.load(tmp_path / "00000001.pt")
    assert not (tmp_path / "owned").exists()


def test_full_disk_keeps_the_earlier_checkpoint(tmp_path, monkeypatch):
    checkpoint.save(tmp_path, 1, {"iteration": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NoSpace):
        checkpoint.save(tmp_path, 2, {"iteration": 2})
    assert [file.name for file in tmp_path.iterdir()] == ["00000001.pt"]
    assert checkpoint.latest(tmp_path)["iteration"] == 1


def test_nan_stops_and_keeps_the_checkpoint(tmp_path, dataset, monkeypatch):
    train_lednet(dataset, tmp_path, quiet=True, iterations=50, max_minutes=1e-9, **TINY)
    monkeypatch.setattr(lednet, "lednet_loss", lambda side, out, *_: {"l1": out.mean(), "loss": out.mean() * torch.nan})
    with pytest.raises(Diverged, match="not finite after step 1") as error:
        train_lednet(dataset, tmp_path, quiet=True, iterations=50, **TINY)
    assert error.value.exit_code == 2 and "--lr" in error.value.hint
    assert final_state(tmp_path)["iteration"] == 1


def test_other_options_or_a_foreign_folder_are_refused(tmp_path, dataset):
    train_lednet(dataset, tmp_path / "run", quiet=True, iterations=1, **TINY)
    with pytest.raises(ForeignOutput, match="lr"):
        train_lednet(dataset, tmp_path / "run", quiet=True, iterations=1, lr=0.5, **TINY)
    with pytest.raises(UsageError, match="values in 0..1"):
        train_lednet(
            dataset,
            tmp_path / "more",
            dry_run=True,
            range="-1..1",
            **TINY | {"weights": str(tmp_path / "run/lednet.safetensors")},
        )
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("work of years")
    with pytest.raises(ForeignOutput, match="not the output"):
        train_lednet(dataset, tmp_path / "mine", quiet=True, iterations=1, **TINY)


# data


@pytest.mark.parametrize(
    "pattern",
    [
        "{split}/{folder}/{clip}/{frame}.png",
        "LOLBlur/{split}/{folder}/{clip}/{frame}.png",
        "LOL-Blur/{split}/{split}/{folder}/{clip}/{frame}.png",
        "LOL_blur/{split}/{folder}/{folder}/{clip}/{frame}.png",
        "LOLBlur_Dataset/{split}/{folder}/{clip}_{frame}.png",
    ],
)
def test_every_nesting_is_read(tmp_path, pattern):
    write_pairs(tmp_path, pattern=pattern)
    write_pairs(tmp_path, pattern=pattern, clips=1, split="test")
    pairs = find_pairs(tmp_path, "train")
    assert [(p.clip, p.frame) for p in pairs] == [(f"{c:04d}", f"{f:04d}") for c in range(3) for f in range(2)]
    assert all("low_blur_noise" in str(p.low) and "high_sharp_scaled" in str(p.high) for p in pairs)
    assert len(find_pairs(tmp_path, "test")) == 2


def test_held_out_clips_are_not_trained_on(dataset, tmp_path):
    train, val = hold_out(find_pairs(dataset, "train"))
    assert {p.clip for p in train}.isdisjoint(p.clip for p in val) and len(train) + len(val) == 6
    write_pairs(tmp_path, clips=1, frames=5)
    train, val = hold_out(find_pairs(tmp_path, "train"))
    assert len(train) == 4 and len(val) == 1


def test_several_datasets_hold_out_the_same_clip(dataset, tmp_path):
    """Two builds of the same videos: a clip that validates is in neither training half."""
    other = write_pairs(tmp_path / "other", frames=1)
    pairs = gather([dataset, other], "train")
    assert len(pairs) == 9
    train, val = hold_out(pairs)
    assert {p.clip for p in val} == {"0002"} and len(val) == 3 and {p.clip for p in train} == {"0000", "0001"}
    assert train_lednet([dataset, other], tmp_path / "run", dry_run=True, **TINY)["pairs"] == 6


def test_samples_depend_on_their_number_alone(dataset):
    pairs = find_pairs(dataset, "train")
    one, two = crops.Crops(pairs, of_16, seed=3), crops.Crops(pairs, of_16, seed=3)
    two[40]
    assert all(torch.equal(a, b) for a, b in zip(one[5], two[5], strict=True))
    assert not torch.equal(one[5][0], crops.Crops(pairs, of_16, seed=4)[5][0])
    epoch = crops.Crops(pairs, of_16, seed=3)
    epoch[0]
    assert sorted(epoch.order) == list(range(6))
    low, high = one[7]
    assert low.shape == high.shape == (3, 16, 16)
    assert np.corrcoef(low.flatten(), high.flatten())[0, 1] > 0.5, "both frames are turned alike"


def test_crops_that_vary_are_zoomed_and_recoloured_alike(dataset):
    pairs = find_pairs(dataset, "train")
    plain, varied = crops.Crops(pairs, of_16, 3), crops.Crops(pairs, of_16, 3, vary=True)
    items = [varied[n] for n in range(12)]
    assert all(low.shape == high.shape == (3, 16, 16) for low, high in items)
    alike = [np.corrcoef(low.flatten(), high.flatten())[0, 1] for low, high in items]
    assert min(alike) > 0.5 and not any(torch.equal(items[n][1], plain[n][1]) for n in range(12))
    assert all(torch.equal(varied[n][0], items[n][0]) for n in range(12)), "a function of the number alone"


def test_crops_are_told_of_their_whole_frame(dataset):
    pairs = find_pairs(dataset, "train")
    plain, told = crops.Crops(pairs, of_16, 3), crops.Crops(pairs, of_16, 3, told=True)
    for n in range(4):
        low, high, statistics = told[n]
        whole = read_frame(pairs[told.order[n]].low)[None]
        assert torch.allclose(statistics, lift.statistics(whole)[0]) and torch.equal(low, plain[n][0])


def with_sharp(dataset, root):
    """The dataset with the folders that --mix takes."""
    for folder, source in (
        ("low_blur", "low_blur_noise"),
        ("low_sharp", "low_blur_noise"),
        ("high_sharp_scaled", "high_sharp_scaled"),
    ):
        (root / "train").mkdir(parents=True, exist_ok=True)
        (root / "train" / folder).symlink_to(dataset / "train" / source)
    return root


def test_mixed_samples_are_of_every_kind_and_a_function_of_their_number(tmp_path, dataset):
    root = with_sharp(dataset, tmp_path / "data")
    pairs = find_pairs(root, "train", ("low_blur", "high_sharp_scaled"))
    files = lednet_parts.frame_files(pairs, lednet_parts.sharp_partners(pairs, [root]))
    mixed = crops.Crops(pairs, of_16, 1, told=True, frames=FrameFiles(files))
    items = [mixed[n] for n in range(150)]
    assert all(torch.equal(a, b) for a, b in zip(items[7], mixed[7], strict=True))
    bright = [low for low, high, _ in items if torch.equal(low, high)]
    flat = [high for _, high, _ in items if high.flatten(1).std(1).max() < 1e-6]
    darker = [low for low, high, _ in items if low.mean() < 0.6 * high.mean()]
    as_they_are = KINDS["bright"] / 2
    assert len(bright) / 150 == pytest.approx(as_they_are, abs=0.06), "half of the bright frames return as they are"
    assert len(flat) >= 1 and len(darker) / 150 == pytest.approx(1 - KINDS["bright"] - KINDS["flat"], abs=0.1)
    assert all(0 <= value.min() and value.max() <= 1 for item in items for value in item)
    brightness = [statistics[:32].mean().item() for low, high, statistics in items if torch.equal(low, high)]
    assert min(brightness) > 0.25, "what the lift is told follows the frame"


def test_weights_say_which_lightness_they_were_trained_on(tmp_path, dataset):
    result = train_lednet(dataset, tmp_path / "run", quiet=True, iterations=1, **TINY)
    low, high = weights.about(result["weights"])["trained_on"]["lightness"]
    frames = [read_frame(pair.low) for pair in hold_out(find_pairs(dataset, "train"))[0]]
    means = [scope.mean_lightness(frame) for frame in frames]
    assert low == pytest.approx(min(means), abs=0.03) and high == pytest.approx(max(means), abs=0.03)


def test_a_store_of_frames_trains_the_same_network(tmp_path, dataset):
    root, options = with_sharp(dataset, tmp_path / "data"), TINY | {"mix": True, "lift": True, "iterations": 2}
    files = train_lednet(root, tmp_path / "files", quiet=True, **options)
    stored = train_lednet(root, tmp_path / "store", quiet=True, store=True, **options)
    (store,) = (tmp_path / "store").glob("frames-*.u8")
    assert store.stat().st_size == 4 * 3 * 24 * 32 * 3
    assert same(*(load(result["weights"])[0].state_dict() for result in (files, stored)))
    again = train_lednet(root, tmp_path / "store", quiet=True, store=True, **options | {"iterations": 2})
    assert again["iteration"] == 2, "its folder is recognised as that of a training"


def test_crops_grow_and_batches_shrink(tmp_path, dataset):
    config = checked(LednetConfig, TINY | {"grow": True, "iterations": 10, "batch": 4})
    size = lednet_parts.sizes(config, (24, 38))
    assert [size(4 * iteration) for iteration in (0, 6, 7, 8, 9)] == [(16, 16), (16, 16), (24, 32), (24, 32), (24, 32)]
    seen = []
    original = lednet.LednetRun.advance

    def advance(run, batch):
        seen.append(tuple(batch[0].shape))
        return original(run, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lednet.LednetRun, "advance", advance)
        train_lednet(dataset, tmp_path / "run", quiet=True, grow=True, iterations=10, **TINY | {"batch": 4})
    assert seen == [(4, 3, 16, 16)] * 7 + [(1, 3, 24, 32)] * 3
    config, two = checked(LednetConfig, TINY | {"grow": True, "batch": 4}), Process(0, 2, torch.device("cpu"))
    with pytest.raises(UsageError, match="no quarter"):
        lednet_parts.check_options(config, two)


def test_clips_of_one_picture_stay_together():
    """`shoot` made two clips of one picture in one build, and a third in another: NAME.mkv, NAME-2.mkv, NAME.mkv."""
    names = ["street.mkv", "street-2.mkv", "street.mkv", "lake.mkv", "hill.mkv"]
    pairs = [Pair(Path(f"{n}.png"), Path(f"{n}h.png"), f"{n:04d}", "0000", source=f"sha{n}", video=name)
             for n, name in enumerate(names)]  # fmt: skip
    for order in (pairs, pairs[3:] + pairs[:3]):
        train, validation = hold_out(order)
        assert {pair.video[:4] for pair in train}.isdisjoint(pair.video[:4] for pair in validation)


def test_online_draws_the_noise_of_each_sample_anew(tmp_path, dataset):
    (tmp_path / "train").mkdir()
    for folder, source in (
        ("low_blur", "low_blur_noise"),
        ("low_sharp", "high_sharp_scaled"),
        ("high_sharp_scaled", "high_sharp_scaled"),
    ):
        (tmp_path / "train" / folder).symlink_to(dataset / "train" / source)
    pair = ("low_sharp", "high_sharp_scaled")
    pairs = find_pairs(tmp_path, "train", pair)
    samples = crops.Crops(pairs, of_16, 0, crops.online(pair))
    changed = [n for n in range(12) if not torch.allclose(*samples[n], atol=1e-4)]
    assert 3 <= len(changed) < 12, "noise and defocus are for half of the samples each"
    assert all(torch.equal(a, b) for a, b in zip(samples[changed[0]], samples[changed[0]], strict=True))
    result = train_lednet(
        tmp_path, tmp_path / "run", quiet=True, iterations=1, online=True, pair="low_blur:high_sharp_scaled", **TINY
    )
    assert result["iteration"] == 1
    with pytest.raises(UsageError, match="low_blur_noise is not free"):
        train_lednet(dataset, tmp_path / "b", dry_run=True, online=True, **TINY)


def test_each_process_gets_its_share():
    whole = [list(batch) for batch in crops.batches(2, 4, lambda iteration: 4)]
    parts = [[list(batch) for batch in crops.batches(2, 4, lambda iteration: 4, rank, 2)] for rank in (0, 1)]
    assert whole == [[8, 9, 10, 11], [12, 13, 14, 15]]
    assert [a + b for a, b in zip(*parts, strict=True)] == whole


def test_bad_data_is_named(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        find_pairs(tmp_path / "none", "train")
    write_pairs(tmp_path)
    with pytest.raises(InputError, match="train/low_sharp"):
        find_pairs(tmp_path, "train", ("low_sharp", "high_sharp_scaled"))
    frame = tmp_path / "train/low_blur_noise/0001/0000.png"
    whole = frame.read_bytes()
    frame.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="train/low_blur_noise/0001/0000.png"):
        PairDataset(tmp_path)[2]
    cv2.imwrite(str(frame), np.zeros((24, 40, 3), np.uint8))
    with pytest.raises(InputError, match="40x24 and 32x24"):
        PairDataset(tmp_path)[2]
    frame.unlink()
    with pytest.raises(InputError, match="no partner, first 0001/0000"):
        find_pairs(tmp_path, "train")
    with pytest.raises(UsageError, match="INPUT:TARGET"):
        pair_names("low_blur")


# options


def test_options_are_checked_and_taken_as_text():
    config = checked(LednetConfig, {"width": "0.25", "batch": "4", "ppm": "false", "lr": "3e-4"})
    assert (config.width, config.batch, config.ppm, config.lr) == (0.25, 4, False, 3e-4)
    for options, what in (
        ({"widht": 1}, "widht"),
        ({"batch": 0}, "batch"),
        ({"skip": "sum"}, "skip"),
        ({"ppm": "perhaps"}, "ppm"),
        ({"crop": "big"}, "crop"),
        ({"batch": 1.5}, "batch"),
    ):
        with pytest.raises(UsageError, match=what):
            checked(LednetConfig, options)
    assert all(field.metadata["help"] for field in dataclasses.fields(LednetConfig))
