"""evaluate --no-reference: burnt pixels and a cast that the test puts in are found, and files find each other."""

import csv
import json

import cv2
import numpy as np
import pytest
import torch

from lolblur_synth.errors import InputError, UsageError, WeightsError
from lolblur_synth.files import weights
from lolblur_synth.frames import light_to_srgb, srgb_to_light
from lolblur_synth.models.lednet import LEDNet
from lolblur_synth.tools.no_reference import MOST_ROWS, evaluate_without_reference, table

NAMES = ("street", "park/bench")  # of pictures of two sizes
BURNT = 0.1  # share of the pixels that the test burns


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.rint(255 * image).astype(np.uint8)[..., ::-1])


def lifted(dark, gains):
    """A gain for each channel in linear light."""
    light = srgb_to_light(torch.from_numpy(dark)) * torch.tensor(gains)
    return light_to_srgb(light.clamp(0, 1)).numpy()


@pytest.fixture
def night(tmp_path):
    """Two dark pictures, of one size each."""
    for number, name in enumerate(NAMES):
        generator = np.random.default_rng(number)
        dark = np.rint(generator.uniform(20, 90, (40 + 10 * number, 50, 3))) / 255
        write(tmp_path / f"night/{name}.png", dark)
    return tmp_path / "night"


def restored(night, gains=(3.0, 3.0, 3.0), burnt=0.0, suffix=".png"):
    """Results of the pictures: a gain for each channel, the first rows white."""
    folder = night.parent / "mine"
    for name in NAMES:
        dark = cv2.imread(str(night / f"{name}.png"))[..., ::-1] / 255
        frame = lifted(dark, gains)
        frame[: round(burnt * len(frame))] = 1
        write(folder / f"{name}{suffix}", frame)
    return folder


@pytest.fixture
def measured_niqe(monkeypatch, tmp_path):
    """NIQE that is at hand, and is the mean code value of a frame."""
    cache = tmp_path / "cache/lolblur-synth"
    cache.mkdir(parents=True)
    (cache / "niqe.safetensors").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    from lolblur_synth.tools.evaluation import scores

    monkeypatch.setitem(scores.FUNCTIONS, "niqe", lambda frame: 255 * frame.mean((1, 2, 3)))


@pytest.fixture(autouse=True)
def no_weights(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))


def test_a_plain_gain_in_linear_light_burns_nothing_and_moves_no_colour(night):
    report = evaluate_without_reference(restored(night), night, quiet=True)
    for row in report["frames"]:
        assert row["burnt_growth"] == 0
        assert row["colour_shift"] < 0.1
        assert row["gain"] == pytest.approx(3, rel=0.01)


def test_the_share_that_was_burnt_is_found(night):
    report = evaluate_without_reference(restored(night, burnt=BURNT), night, quiet=True)
    for row in report["frames"]:
        assert row["input_burnt"] == 0
        assert row["burnt"] == pytest.approx(100 * BURNT)
        assert row["burnt_growth"] == pytest.approx(100 * BURNT)
    assert report["mean"]["burnt_growth"] == pytest.approx(100 * BURNT)


def test_pixels_that_were_burnt_before_are_no_growth(night):
    for name in NAMES:
        dark = cv2.imread(str(night / f"{name}.png"))[..., ::-1] / 255
        dark[: round(BURNT * len(dark))] = 1
        write(night / f"{name}.png", dark)
    row = evaluate_without_reference(restored(night), night, quiet=True)["frames"][0]
    assert row["input_burnt"] == pytest.approx(100 * BURNT)
    assert row["burnt_growth"] == 0


@pytest.mark.parametrize(("gains", "name", "sign"), [
    ((3.9, 3.0, 3.0), "shift_a", 1), ((3.0, 3.9, 3.0), "shift_a", -1), ((3.0, 3.0, 3.9), "shift_b", -1),
    ((3.0, 3.0, 2.3), "shift_b", 1)])  # fmt: skip
def test_a_cast_is_found_and_named(night, gains, name, sign):
    for row in evaluate_without_reference(restored(night, gains), night, quiet=True)["frames"]:
        assert sign * row[name] > 4
        assert row["colour_shift"] == pytest.approx(np.hypot(row["shift_a"], row["shift_b"]))


def test_frames_below_the_lifted_inputs_niqe_are_counted(night, measured_niqe):
    """By a stand-in that rises with the mean code value: a white bar has more luminance than it has code values."""
    folder = restored(night)
    bright = cv2.imread(str(folder / "street.png"))[..., ::-1] / 255
    bright[:10] = 1
    write(folder / "street.png", bright)
    flat = cv2.imread(str(folder / "park/bench.png"))
    write(folder / "park/bench.png", np.full(flat.shape, 0.4))
    report = evaluate_without_reference(folder, night, quiet=True)
    rows = {row["frame"]: row for row in report["frames"]}
    assert rows["street"]["niqe"] < rows["street"]["lifted_input_niqe"]
    assert rows["park/bench"]["niqe"] > rows["park/bench"]["lifted_input_niqe"]
    assert report["frames_better"] == {"niqe": {"better": 1, "frames": 2}}
    assert "NIQE below the lifted input's on 1 of 2 frames" in table(report).splitlines()


def test_a_frame_without_a_niqe_is_not_counted(night, measured_niqe, monkeypatch):
    from lolblur_synth.tools.evaluation import scores

    some = iter([5.0, 6.0, float("nan"), 6.0])
    monkeypatch.setitem(scores.FUNCTIONS, "niqe", lambda frame: torch.tensor([next(some)]))
    report = evaluate_without_reference(restored(night), night, quiet=True)
    assert report["frames_better"] == {"niqe": {"better": 1, "frames": 1}}
    assert report["mean"]["niqe"] == 5
    assert "on 1 of 1 frames (1 more have none: too small, or nothing to see)" in table(report)


def test_the_table_has_a_row_a_frame_and_fits_a_terminal(night, measured_niqe):
    report = evaluate_without_reference(restored(night, burnt=BURNT), night, quiet=True)
    lines = table(report).splitlines()
    assert max(map(len, lines[1:])) <= 110  # the first line names two folders of any length
    row = next(line for line in lines if line.startswith("street")).split()
    assert row[3:6] == ["0.00", "10.00", "+10.00"]
    assert "niqe ↓" in lines[1]
    many = report | {"frames": report["frames"] * MOST_ROWS}
    assert not any(line.startswith("street") for line in table(many).splitlines())
    assert any(line.startswith("mean") for line in table(many).splitlines())


def test_files_and_json_hold_every_frame(night, run):
    folder = restored(night, burnt=BURNT, suffix=".tif")
    done = run("evaluate", "--no-reference", folder, night, "-o", night.parent / "out", "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert [row["frame"] for row in report["frames"]] == sorted(NAMES)
    assert (report.pop("type"), report.pop("exit")) == ("summary", 0)
    assert report == json.loads((night.parent / "out/evaluation.json").read_text())
    with (night.parent / "out/evaluation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["burnt"]) == pytest.approx(report["frames"][0]["burnt"])
    assert "without niqe" in done.err


def test_a_network_is_run_on_pictures_of_any_size(night):
    """One that answers mid grey, whatever it sees."""
    net = LEDNet(0.125)
    with torch.no_grad():
        net.D_block0[1].weight.zero_()
        net.D_block0[1].bias.fill_(0.5)
    about = {"network": "lednet", "options": net.options, "range": "0..1"}
    weights.save(net, night.parent / "run/lednet.safetensors", about)
    report = evaluate_without_reference(night.parent / "run", night, quiet=True)
    assert report["name"] == "run"
    assert len(report["frames"]) == 2
    assert report["mean"]["burnt"] == 0


def test_results_that_lie_among_the_pictures_are_no_pictures(night):
    restored(night).rename(night / "mine")
    assert len(evaluate_without_reference(night / "mine", night, quiet=True)["frames"]) == 2


def test_what_is_missing_or_wrong_is_one_line(night, run, tmp_path):
    folder = restored(night)
    (tmp_path / "empty").mkdir()

    def said(*words):
        done = run("evaluate", "--no-reference", *words)
        assert done.code in (2, 5), done.err
        return done.err

    assert f"Error: {tmp_path}/empty: no pictures in this folder\n" in said(folder, tmp_path / "empty")
    assert f"Error: {tmp_path}/empty: no pictures in this folder\n" in said(tmp_path / "empty", night)
    assert "no such file or folder" in said(folder, tmp_path / "nowhere")
    assert "Error: --split needs ground truth, and --no-reference has none\n" in said(folder, night, "--split", "test")
    assert "Error: psnr_y needs ground truth\n" in said(folder, night, "--metrics", "psnr_y")
    (folder / "street.png").rename(folder / "road.png")
    assert "mine: 1 of 2 pictures have no result here, first street\n" in said(folder, night)


def test_pictures_that_do_not_fit_are_refused(night):
    folder = restored(night)
    write(folder / "street.png", np.zeros((8, 8, 3)))
    with pytest.raises(InputError, match="street.png: 8x8, its input has 50x40"):
        evaluate_without_reference(folder, night, quiet=True)
    write(night / "street.tif", np.zeros((8, 8, 3)))
    with pytest.raises(InputError, match="have the same name"):
        evaluate_without_reference(folder, night, quiet=True)
    with pytest.raises(WeightsError, match="nowhere"):
        evaluate_without_reference(night.parent / "nowhere", night / "park", quiet=True)
    with pytest.raises(UsageError, match="--baselines"):
        evaluate_without_reference(folder, night, quiet=True, baselines=True)
