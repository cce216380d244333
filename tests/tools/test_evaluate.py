"""evaluate: its means are those of its metrics, files are found in both layouts, and nothing missing is passed over."""

import csv
import io
import json
import logging

import cv2
import numpy as np
import pytest
import torch

from lolblur_synth.errors import InputError, UsageError, WeightsError
from lolblur_synth.files import weights
from lolblur_synth.metrics import image_quality
from lolblur_synth.models.lednet import LEDNet
from lolblur_synth.parallel import progress
from lolblur_synth.tools.evaluate import evaluate
from lolblur_synth.tools.evaluation.report import PAPER, table

FAST = {"metrics": "psnr_rgb,ssim_y", "quiet": True}


def scene(seed, size=(24, 32)):
    generator = np.random.default_rng(seed)
    return cv2.resize(generator.random((4, 5, 3)), size[::-1], interpolation=cv2.INTER_CUBIC).clip(0, 1)


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.rint(255 * image).astype(np.uint8)[..., ::-1])


@pytest.fixture
def dataset(tmp_path):
    """Two clips of two frames, a white patch in one frame alone."""
    for clip in range(2):
        for frame in range(2):
            high = scene(10 * clip + frame) * 0.9
            if (clip, frame) == (1, 1):
                high[:8, :8] = 1
            write(tmp_path / f"data/test/high_sharp_scaled/{clip:04d}/{frame:04d}.png", high)
            write(tmp_path / f"data/test/low_blur_noise/{clip:04d}/{frame:04d}.png", 0.5 * high**2)
    return tmp_path / "data"


def results(dataset, folder, pattern):
    """The ground truth, 10 code values brighter."""
    for file in (dataset / "test/high_sharp_scaled").rglob("*.png"):
        brighter = np.clip(cv2.imread(str(file)).astype(int) + 10, 0, 255)
        write(folder / pattern.format(clip=file.parent.name, frame=file.stem), brighter[..., ::-1] / 255)
    return folder


@pytest.mark.parametrize("pattern", ["{clip}/{frame}.png", "{clip}_{frame}.png", "deep/er/{clip}/{frame}.png"])
def test_results_are_found_in_every_layout(dataset, tmp_path, pattern):
    report = evaluate(results(dataset, tmp_path / "results", pattern), dataset, **FAST)
    assert len(report["frames"]) == 4 and [clip["clip"] for clip in report["clips"]] == ["0000", "0001"]
    assert report["frames"][0]["psnr_rgb"] == pytest.approx(20 * np.log10(255 / 10), abs=0.05)


def test_system_files_and_links_among_results(dataset, tmp_path):
    folder = results(dataset, tmp_path / "store", "{clip}/{frame}.png")
    (tmp_path / "results").mkdir()
    for file in sorted(folder.rglob("*.png")):
        (tmp_path / "results" / f"{file.parent.name}_{file.name}").symlink_to(file)
        (tmp_path / "results" / f"._{file.parent.name}_{file.name}").write_bytes(b"\0\5\26\7")
    (tmp_path / "results" / "0000_0000.jpg").mkdir()
    report = evaluate(tmp_path / "results", dataset, **FAST)
    assert report["frames"][0]["psnr_rgb"] == pytest.approx(20 * np.log10(255 / 10), abs=0.05)


@pytest.mark.parametrize(("second", "both"), [
    ("high/{clip}/{frame}.png", "high/0000/0000.png and low_blur/0000/0000.png"),
    ("low_blur/{clip}/{frame}.tif", "low_blur/0000/0000.png and low_blur/0000/0000.tif"),
    ("{clip}_{frame}.png", "0000_0000.png and low_blur/0000/0000.png")])  # fmt: skip
def test_two_results_for_one_frame_are_refused(dataset, tmp_path, second, both):
    results(dataset, tmp_path / "results", "low_blur/{clip}/{frame}.png")
    results(dataset, tmp_path / "results", second)
    with pytest.raises(InputError, match="two results for frame 0000/0000") as caught:
        evaluate(tmp_path / "results", dataset, **FAST)
    assert both in str(caught.value)
    assert caught.value.reason == "ambiguous"


def test_means_baselines_and_saturated_pixels(dataset, tmp_path):
    report = evaluate(results(dataset, tmp_path / "results", "{clip}/{frame}.png"), dataset, tmp_path / "out", **FAST)
    frames = [row["psnr_rgb"] for row in report["frames"]]
    assert report["mean"]["psnr_rgb"] == pytest.approx(np.mean(frames))
    assert report["clips"][1]["psnr_rgb"] == pytest.approx(np.mean(frames[2:]))
    assert np.isnan(report["frames"][0]["psnr_saturated"]), "no white pixel there"
    assert report["frames"][3]["psnr_saturated"] == float("inf"), "white stayed white"
    assert report["baselines"]["gamma_gain"]["psnr_rgb"] > report["baselines"]["input"]["psnr_rgb"] + 10
    with (tmp_path / "out/evaluation.csv").open() as file:
        assert [row["frame"] for row in csv.DictReader(file)] == ["0000", "0001"] * 2
    written = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert written["frames"][0]["psnr_saturated"] is None
    text = table(report)
    assert all(name in text for name, *_ in PAPER) and "0001" in text and "(gamma_gain)" in text


def test_frames_that_equal_their_ground_truth_are_counted_and_left_out_of_the_means(dataset, tmp_path):
    folder = results(dataset, tmp_path / "results", "{clip}/{frame}.png")
    for frame in ("0000", "0001"):
        true = dataset / f"test/high_sharp_scaled/0000/{frame}.png"
        (folder / f"0000/{frame}.png").write_bytes(true.read_bytes())
    report = evaluate(folder, dataset, tmp_path / "out", **FAST)
    others = [row["psnr_rgb"] for row in report["frames"] if row["clip"] == "0001"]
    assert report["mean"]["psnr_rgb"] == pytest.approx(np.mean(others))
    assert report["clips"][0]["psnr_rgb"] == float("inf"), "both frames of the clip are equal"
    assert report["identical"]["psnr_rgb"] == 2
    assert report["identical"]["ssim_y"] == 0
    assert report["mean"]["ssim_y"] > np.mean([row["ssim_y"] for row in report["frames"][2:]]), "1 is a figure like any"
    assert "psnr_rgb: infinite for 2 of 4 frames" in table(report)
    written = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert written["identical"]["psnr_rgb"] == 2
    assert written["mean_over"] == "frames whose figure is finite"
    assert written["mean"]["psnr_rgb"] == pytest.approx(np.mean(others))
    assert written["clips"][0]["psnr_rgb"] is None


def test_the_table_names_what_was_scored_and_which_way_is_better(dataset, tmp_path):
    report = evaluate(results(dataset, tmp_path / "mine", "{clip}/{frame}.png"), dataset, **FAST)
    assert report["name"] == "mine"
    assert report["better"] == dict.fromkeys(report["metrics"], "higher")
    first, groups, heads, *_ = table(report).splitlines()
    assert "split test" in first
    assert "2 clips" in first
    assert "4 frames" in first
    assert "psnr_rgb ↑" in heads
    assert "lpips_vgg ↓" in table(report)
    columns = next(line for line in table(report).splitlines() if line.startswith("mean over frames")).split()
    assert columns[3:] == ["mine", "(input)", "(gamma_gain)"]
    row = next(line for line in table(report).splitlines() if line.startswith("psnr_rgb ↑")).split()
    assert row[2] == f"{report['mean']['psnr_rgb']:.2f}"
    assert row[4] == f"{report['baselines']['gamma_gain']['psnr_rgb']:.2f}"
    assert evaluate("lednet", dataset, metrics="ssim_y", baselines=False, quiet=True)["name"] == "lednet"


def test_progress_in_a_pipe_is_plain_lines(dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0)
    evaluate(results(dataset, tmp_path / "results", "{clip}/{frame}.png"), dataset, **FAST | {"quiet": False})
    printed = capsys.readouterr().err
    assert "\r" not in printed
    assert [line.split(",")[0] for line in printed.splitlines()] == [f"{number} of 4 frames" for number in (1, 2, 3, 4)]


def test_a_terminal_without_arrows_gets_plain_letters(dataset, tmp_path, monkeypatch):
    from lolblur_synth.commands import options

    text = table(evaluate(results(dataset, tmp_path / "mine", "{clip}/{frame}.png"), dataset, **FAST))
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), "ascii"))
    assert "psnr_rgb ^" in options.printable_lines(text)
    assert options.printable_lines(text).count("\n") == text.count("\n")


def test_a_network_is_scored_in_its_range(dataset, tmp_path):
    """A network that answers mid grey, whatever it sees, in either range."""
    scores = []
    for value_range, grey in (("0..1", 0.5), ("-1..1", 0.0)):
        net = LEDNet(0.125)
        with torch.no_grad():
            net.D_block0[1].weight.zero_()
            net.D_block0[1].bias.fill_(grey)
        about = {"network": "lednet", "options": net.options, "range": value_range}
        weights.save(net, tmp_path / f"run{value_range}/lednet.safetensors", about)
        report = evaluate(tmp_path / f"run{value_range}", dataset, baselines=False, **FAST)
        scores.append(report["mean"]["psnr_rgb"])
        assert report["baselines"] == {}
    high = torch.from_numpy(np.stack([cv2.imread(str(f)) for f in (dataset / "test/high_sharp_scaled").rglob("*.png")]))
    high = high.permute(0, 3, 1, 2).float() / 255
    wanted = image_quality.psnr_rgb(torch.full_like(high, 128 / 255), high).mean().item()
    assert scores == pytest.approx([wanted, wanted], abs=1e-3)


def test_without_a_test_split_train_is_scored_and_said(dataset, tmp_path, caplog):
    folder = results(dataset, tmp_path / "results", "{clip}/{frame}.png")
    (dataset / "test").rename(dataset / "train")
    with caplog.at_level(logging.WARNING):
        report = evaluate(folder, dataset, **FAST)
    assert report["split"] == "train" and len(report["frames"]) == 4 and "no test split" in caplog.text
    with pytest.raises(InputError, match="test/low_blur_noise"):
        evaluate(folder, dataset, split="test", **FAST)


def test_learnt_curves_are_scored_where_there_are_training_pairs(dataset, tmp_path):
    folder = results(dataset, tmp_path / "results", "{clip}/{frame}.png")
    assert evaluate(folder, dataset, **FAST)["baselines"].keys() == {"input", "gamma_gain"}
    with pytest.raises(InputError, match="no folder train"):
        evaluate(folder, dataset, fit=str(dataset), **FAST)
    (tmp_path / "more").mkdir()
    (tmp_path / "more/train").symlink_to(dataset / "test")
    found = evaluate(folder, dataset, fit=str(tmp_path / "more"), **FAST)["baselines"]
    assert found["gamma_gain"]["psnr_rgb"] > found["fitted_gamma_gain"]["psnr_rgb"] - 0.5 > found["input"]["psnr_rgb"]
    assert found["auto_exposure"]["psnr_rgb"] > found["input"]["psnr_rgb"]


def test_what_is_missing_or_wrong_is_named(dataset, tmp_path, monkeypatch, caplog):
    folder = results(dataset, tmp_path / "results", "{clip}/{frame}.png")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))
    with caplog.at_level(logging.WARNING):
        assert evaluate(folder, dataset, quiet=True)["metrics"][-1] == "ssim_rgb"
    assert "without lpips_alex, lpips_vgg, niqe" in caplog.text
    with pytest.raises(WeightsError, match="lpips_alex"):
        evaluate(folder, dataset, metrics="lpips_alex", quiet=True)
    with pytest.raises(UsageError, match="'psnr'"):
        evaluate(folder, dataset, metrics="psnr", quiet=True)
    with pytest.raises(WeightsError, match="nowhere"):
        evaluate(tmp_path / "nowhere", dataset, **FAST)
    with pytest.raises(InputError, match="train/low_blur_noise"):
        evaluate(folder, dataset, split="train", **FAST)
    write(folder / "0001/0000.png", scene(0, (8, 8)))
    with pytest.raises(InputError, match="8x8, the dataset has 32x24"):
        evaluate(folder, dataset, **FAST)
    (folder / "0001/0000.png").unlink()
    with pytest.raises(InputError, match="1 of 4 frames are missing, first 0001/0000"):
        evaluate(folder, dataset, **FAST)
