"""evaluate: what is left of a figure without brightness, and whether the results beat the input."""

import csv
import json

import cv2
import numpy as np
import pytest
import torch

from lolblur_synth.metrics import alignment, image_quality
from lolblur_synth.tools.evaluate import evaluate
from lolblur_synth.tools.evaluation import comparison
from lolblur_synth.tools.evaluation.report import table

FAST = {"metrics": "psnr_rgb,ssim_y", "quiet": True}
WIDTH = 110  # characters of a terminal that the tables fit into
CLIPS = ("sharp", "input", "darker")


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.rint(255 * image.clip(0, 1)).astype(np.uint8)[..., ::-1])


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """Three clips of two dark, blurred frames with a lamp, and results of three kinds: the truth bent by a gamma and a
    gain; the input as it is; the input, softer and darker. Returns the report and the folder."""
    root = tmp_path_factory.mktemp("yardstick")
    for number, clip in enumerate(CLIPS):
        for frame in range(2):
            generator = np.random.default_rng(10 * number + frame)
            high = cv2.resize(generator.random((8, 10, 3)), (40, 32), interpolation=cv2.INTER_CUBIC).clip(0, 0.9)
            high[:6, :6] = 1
            low = 0.4 * cv2.GaussianBlur(high, (0, 0), 2) ** 1.5
            result = {"sharp": 0.8 * high**1.3, "input": low, "darker": 0.8 * cv2.GaussianBlur(low, (0, 0), 2)}[clip]
            write(root / f"data/test/high_sharp_scaled/{clip}/{frame:04d}.png", high)
            write(root / f"data/test/low_blur_noise/{clip}/{frame:04d}.png", low)
            write(root / f"data/train/high_sharp_scaled/other/{frame:04d}.png", high)
            write(root / f"data/train/low_blur_noise/other/{frame:04d}.png", low)
            write(root / f"mine/{clip}/{frame:04d}.png", result)
    return evaluate(root / "mine", root / "data", root / "out", **FAST), root


def by_clip(report):
    return {row["clip"]: row for row in report["clips"]}


def test_a_truth_bent_by_a_gamma_and_a_gain_is_whole_when_aligned(scored):
    sharp = by_clip(scored[0])["sharp"]
    assert sharp["psnr_rgb"] < 20
    assert sharp["aligned_psnr_rgb"] > 45, "what is left is the rounding to 8 bits"
    assert sharp["aligned_ssim_y"] > 0.99
    assert sharp["aligned_psnr_saturated"] > sharp["psnr_saturated"] + 20


def test_the_aligned_input_is_the_best_gamma_and_gain(scored):
    baselines = scored[0]["baselines"]
    assert baselines["gamma_gain"]["psnr_rgb"] > baselines["input"]["psnr_rgb"] + 5
    for name in scored[0]["metrics"]:
        assert baselines["input"][f"aligned_{name}"] == baselines["gamma_gain"][name]
        assert baselines["gamma_gain"][f"aligned_{name}"] == baselines["gamma_gain"][name]
    means = [row["input_aligned_psnr_rgb"] for row in scored[0]["frames"]]
    assert np.mean(means) == pytest.approx(baselines["gamma_gain"]["psnr_rgb"])


def test_the_aligned_figures_are_those_of_the_aligned_frame(scored):
    report, root = scored
    pair = [cv2.imread(str(root / path / "darker/0001.png")) for path in ("mine", "data/test/high_sharp_scaled")]
    frame, high = (torch.from_numpy(pixels[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255 for pixels in pair)
    row = next(row for row in report["frames"] if row["clip"] == "darker" and row["frame"] == "0001")
    assert row["psnr_rgb"] == pytest.approx(image_quality.psnr_rgb(frame, high).item(), abs=1e-4)
    best = alignment.aligned(frame, high)
    assert row["aligned_psnr_rgb"] == pytest.approx(image_quality.psnr_rgb(best, high).item(), abs=1e-4)
    assert row["aligned_ssim_y"] == pytest.approx(image_quality.ssim_y(best, high).item(), abs=1e-5)


def test_a_curve_of_the_input_aligned_is_about_the_input_aligned(scored):
    baselines = scored[0]["baselines"]
    best = baselines["gamma_gain"]["psnr_rgb"]
    for name in ("auto_exposure", "fitted_gamma_gain"):
        assert baselines[name]["psnr_rgb"] < best
        assert baselines[name]["aligned_psnr_rgb"] == pytest.approx(best, abs=0.3)


def test_clips_that_are_worse_than_their_input_are_counted(scored):
    report, _ = scored
    raw, aligned = report["comparison"]["raw"], report["comparison"]["aligned"]
    assert (raw["clips"], raw["worse"], raw["better"]) == (3, 1, 1), "results that are the input are neither"
    assert (aligned["worse"], aligned["better"]) == (1, 1)
    assert aligned["better_share"] == pytest.approx(1 / 3)
    assert raw["worst_clip"] == aligned["worst_clip"] == "darker"
    clip = by_clip(report)["darker"]
    assert raw["worst_gain"] == pytest.approx(clip["psnr_rgb"] - clip["input_psnr_rgb"])
    assert aligned["worst_gain"] == pytest.approx(clip["aligned_psnr_rgb"] - clip["input_aligned_psnr_rgb"])
    assert aligned["worst_gain"] < -0.5, "softness is no matter of brightness"
    words = [line for line in table(report).splitlines() if line.startswith(("raw PSNR", "aligned PSNR"))]
    same = "PSNR: worse than the input on 1 of 3 clips, better on 1 (33 %); worst: darker,"
    assert words == [f"{kind} {same} {found['worst_gain']:.2f} dB" for kind, found in report["comparison"].items()]


def test_a_frame_that_equals_its_truth_counts_in_its_clip():
    """It would drop out of a mean that leaves infinite figures out, and the clip would seem worse than its input."""
    rows = []
    for ours in (float("inf"), 19.0):
        figures = {"psnr_rgb": ours, "aligned_psnr_rgb": ours, "input_psnr_rgb": 20.0, "input_aligned_psnr_rgb": 20.0}
        rows.append({"clip": "a"} | figures)
    found = comparison.compare(rows)
    assert found["raw"]["worse"] == 0
    assert "least gain: a, +39.50 dB" in comparison.in_words(found)[0]


def test_the_table_fits_a_terminal_and_shows_both_kinds_of_figures(scored):
    report, _ = scored
    lines = table(report).splitlines()
    assert max(map(len, lines[1:])) <= WIDTH, "the first line names folders of any length"
    row = next(line for line in lines if line.startswith("darker")).split()
    clip = by_clip(report)["darker"]
    names = ("psnr_rgb", "ssim_y", "aligned_psnr_rgb", "aligned_ssim_y")
    assert row[1:5] == [f"{clip[name]:.{2 if 'psnr' in name else 4}f}" for name in names]
    assert row[5:] == [f"{report['comparison'][kind]['worst_gain']:+.2f}" for kind in ("raw", "aligned")]
    titles = [number for number, line in enumerate(lines) if line.startswith(("- as they are", "- aligned"))]
    assert len(titles) == 2
    means = [line.split() for line in lines[titles[1] :] if line.startswith("psnr_rgb")]
    assert means[0][2:4] == [
        f"{figures['aligned_psnr_rgb']:.2f}" for figures in (report["mean"], report["baselines"]["input"])
    ]
    for name in report["baselines"]:
        assert any(line.startswith(f"({name}): ") for line in lines), f"{name} is explained"


def test_every_metric_still_fits_a_terminal(scored):
    report, _ = scored
    more = ("psnr_y", "ssim_rgb", "lpips_alex", "lpips_vgg", "niqe")
    figures = {f"{prefix}{name}": 0.5 for prefix in ("", "aligned_") for name in more}
    wide = report | {
        "name": "a-run-with-quite-a-long-name-of-its-own",
        "metrics": [*report["metrics"], *more],
        "mean": report["mean"] | figures,
        "clips": [row | figures for row in report["clips"]],
        "baselines": {name: mean | figures for name, mean in report["baselines"].items()},
    }
    text = table(wide)
    assert max(map(len, text.splitlines()[1:])) <= WIDTH
    assert "niqe ↓" in text


def test_files_hold_the_aligned_figures_and_the_input_of_each_frame(scored):
    report, root = scored
    with (root / "out/evaluation.csv").open() as file:
        rows = list(csv.DictReader(file))
    for name in ("psnr_rgb", "aligned_psnr_rgb", "aligned_ssim_y", "input_psnr_rgb", "input_aligned_psnr_rgb"):
        assert float(rows[0][name]) == pytest.approx(report["frames"][0][name])
    written = json.loads((root / "out/evaluation.json").read_text())
    assert written["comparison"]["raw"]["worse"] == 1
    assert written["aligned"] == [f"aligned_{name}" for name in written["metrics"]]
    assert not [name for name in written["mean"] if name.startswith("input_")]


def test_without_baselines_nothing_is_compared_with_the_input(scored):
    _, root = scored
    report = evaluate(root / "mine", root / "data", baselines=False, **FAST)
    assert report["comparison"] == {}
    assert report["mean"]["aligned_psnr_rgb"] == pytest.approx(scored[0]["mean"]["aligned_psnr_rgb"])
    assert "PSNR: worse" not in table(report)
    assert "dB above the input" not in table(report)
