"""benchmarks/paper.py: what it refuses, what it does not run twice, how results become the tables of docs/paper.md."""

import importlib
import json
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def paper():
    """The script as a module, with its folder on the path, as when it runs."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
        before = set(sys.modules)
        yield importlib.import_module("paper")
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None) or ""
            if file.startswith(str(ROOT / "benchmarks")):
                del sys.modules[name]


@pytest.fixture
def page(paper):
    return paper.page


def result(experiment, part="", seed=1, **fields) -> dict:
    return {"experiment": experiment, "part": part, "seed": seed, "data": {}, "trainings": {}} | fields


def ablation(part, seed, *psnr, **fields) -> dict:
    """A result of Table 3 with a PSNR for each clip."""
    clips = {f"lolblur/{n:04d}": {"psnr_rgb": value, "aligned_psnr_rgb": value} for n, value in enumerate(psnr)}
    mean = {"psnr_rgb": sum(psnr) / len(psnr), "aligned_psnr_rgb": sum(psnr) / len(psnr), "ssim_y": 0.5}
    return result("table3", part, seed, figures={"mean": mean, "clips": clips}, **fields)


def run(paper, monkeypatch, *words) -> int:
    monkeypatch.setattr(sys, "argv", ["paper.py", *map(str, words)])
    return paper.main()


# the command


def test_without_arguments_it_lists_every_experiment(paper, monkeypatch, capsys):
    assert run(paper, monkeypatch) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(paper.EXPERIMENTS)
    assert "/15 results  Table 3: ablations (whole, no-ppm, no-curve, concat, no-l-en)" in "\n".join(lines)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["table3"], "two folders MATERIAL and RUNS"),
        (["table9", "here", "there"], "give page, or some of"),
        (["table3", "no-such-folder", "runs"], "no-such-folder: no such folder of material"),
        (["table3", ROOT, "runs", "--part", "no-fasc"], "--part no-fasc: table3 has whole no-ppm"),
        (["fig2", ROOT, "runs", "--part", "whole"], "--part whole: fig2 has no parts"),
    ],
)
def test_words_that_make_no_sense_are_told_in_a_line(paper, monkeypatch, capsys, words, message):
    with pytest.raises(SystemExit) as caught:
        run(paper, monkeypatch, *words)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_missing_material_is_named(paper, monkeypatch, capsys, tmp_path):
    (tmp_path / "material").mkdir()
    assert run(paper, monkeypatch, "fig4", tmp_path / "material", tmp_path / "runs", "--scale", "trial") == 1
    assert "no such photograph; MATERIAL is laid out as for bundled_lednet.sh" in capsys.readouterr().err
    words = ("table3", tmp_path / "material", tmp_path / "runs", "--scale", "trial", "--part", "whole", "--seed", "1")
    assert run(paper, monkeypatch, *words) == 1
    assert "photos/train: no such material" in capsys.readouterr().err


def test_a_result_is_written_once(paper, monkeypatch, tmp_path, capsys):
    calls = []

    def measure(place, part, seed):
        calls.append((part, seed))
        return {"data": {}, "figures": {"third": 1 / 3, "none": float("nan")}}

    monkeypatch.setitem(paper.EXPERIMENTS, "fig2", paper.Experiment("Figure 2", measure, ("a", "b"), (1, 2)))
    words = ("fig2", tmp_path, tmp_path / "runs", "--scale", "trial")
    assert run(paper, monkeypatch, *words, "--part", "a") == 0
    assert run(paper, monkeypatch, *words) == 0
    assert calls == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    assert "--again runs it again" in capsys.readouterr().out
    run(paper, monkeypatch, *words, "--again", "--part", "b", "--seed", "2")
    assert calls[4:] == [("b", 2)]
    told = json.loads((tmp_path / "runs/paper-trial/results/fig2-b-2.json").read_text())
    assert told["figures"] == {"third": 0.33333, "none": None}
    assert (told["experiment"], told["part"], told["seed"], told["scale"]["name"]) == ("fig2", "b", 2, "trial")
    assert told["cpu_seconds_of_this_run"] >= 0


def test_a_part_in_which_nothing_is_random_is_run_once(paper):
    experiment = paper.Experiment("Table 2", print, ("input", "lednet"), (1, 2), fixed=("input",))
    assert experiment.runs() == [("input", 1), ("lednet", 1), ("lednet", 2)]
    assert experiment.runs(["input"], [7]) == [("input", 1)]
    assert experiment.runs(["lednet"], [7]) == [("lednet", 7)]
    assert paper.name_of("table2", "input", 1) == "table2-input"
    assert paper.name_of("table2", "lednet", 2) == "table2-lednet-2"


def test_a_trial_never_reaches_the_results_of_the_page(paper, tmp_path):
    for scale in paper.SCALES.values():
        path = paper.Place(tmp_path, tmp_path / "runs", scale).result("table3-whole-1")
        assert path.is_relative_to(paper.RESULTS) == (scale.name == "full")


def test_a_ledger_adds_up_the_parts_of_work_that_was_cut_short(paper, tmp_path):
    place = sys.modules["experiments.place"]
    with pytest.raises(KeyboardInterrupt), place.counted(tmp_path / "cost.json"):
        sum(range(5_000_000))
        raise KeyboardInterrupt
    first = place.spent(tmp_path / "cost.json")
    with place.counted(tmp_path / "cost.json"):
        sum(range(5_000_000))
    assert place.spent(tmp_path / "cost.json") > first > 0
    assert place.spent(tmp_path / "other.json") is None


# trainings and networks


def test_the_arms_of_an_ablation_differ_in_one_option(paper, tmp_path):
    training = sys.modules["experiments.training"]
    place = paper.Place(tmp_path, tmp_path)
    whole = training.options_of(place, "whole", 1)
    for part, option in {"no-ppm": "ppm", "no-curve": "curve", "concat": "skip", "no-l-en": "side_loss"}.items():
        assert set(training.options_of(place, part, 1).items()) - set(whole.items()) == {
            (option, "concat" if option == "skip" else False)
        }
    assert {name for name, value in training.options_of(place, "whole", 2).items() if whole[name] != value} == {"seed"}
    assert whole["iterations"] == 4000


def test_no_weights_are_trained_on_what_is_scored(paper, tmp_path):
    sets = sys.modules["experiments.sets"]
    for folder in (sets.PHOTOS, sets.HELD_OUT, sets.HDR, "videos/licensed"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("a", "b", "c", "d", "e", *sets.TEST_CLIPS):
        for folder, suffix in (
            (sets.PHOTOS, "jpg"),
            (sets.HELD_OUT, "jpg"),
            (sets.HDR, "hdr"),
            ("videos/licensed", "mp4"),
        ):
            (tmp_path / folder / f"{name}.{suffix}").touch()
    place = paper.Place(tmp_path, tmp_path / "runs")
    files = {name: set(sets.files_of(place, spec)) for name, spec in sets.SETS.items()}
    trained_on = set().union(*(found for name, found in files.items() if name.startswith("sets/")))
    scored = set().union(*(found for name, found in files.items() if name.startswith("tests/")))
    assert trained_on
    assert scored
    assert not trained_on & scored


@pytest.mark.parametrize("name", ["CurveEnhancer", "SmallMimo"])
def test_networks_of_table_1_are_ones_that_train_lednet_takes(paper, name):
    from lolblur_synth.models.own_network import OwnNetwork

    net = OwnNetwork(f"{ROOT / 'benchmarks/experiments/networks.py'}:{name}")
    assert net.has_side == (name == "SmallMimo")
    assert sum(parameter.numel() for parameter in net.parameters()) < 600_000
    net.initialise()
    frame = torch.rand(1, 3, 32, 48)
    answer = net(frame)
    if name == "SmallMimo":
        assert torch.equal(answer, frame), "it begins as the frame itself"
    else:
        assert (answer >= frame).all(), "it only brightens"
        assert answer.max() <= 1


# differences


def test_a_difference_within_the_spread_of_the_seeds_is_no_result(paper):
    scoring = sys.modules["experiments.scoring"]
    assert scoring.is_result([-1.0, -1.2, -1.1])
    assert not scoring.is_result([-1.0, -1.2]), "two seeds give no spread"
    assert not scoring.is_result([-1.0, 0.1, -1.2]), "one seed says the contrary"
    assert not scoring.is_result([0.1, 1.5, 0.2]), "less than twice the spread"


def test_differences_are_paired_by_clip(paper):
    scoring = sys.modules["experiments.scoring"]
    ours, theirs = {"a": {"psnr": 20.0}, "b": {"psnr": 30.0}}, {"a": {"psnr": 19.0}, "c": {"psnr": 0.0}}
    assert scoring.differences([ours], [theirs], "psnr") == [1.0]
    assert scoring.differences(
        [{"a": {"psnr": None}} | {"b": ours["b"]}], [theirs | {"b": {"psnr": 31.0}}], "psnr"
    ) == [-1.0]


# the page


def test_rows_without_results_say_so(page):
    for name, fill in page.TABLES.items():
        assert page.NOT_RUN in fill([]), name


def test_table_3_says_which_differences_are_results(page):
    results = [ablation("whole", seed, 20 + seed / 10, 24) for seed in (1, 2, 3)]
    results += [ablation("no-ppm", seed, 18 + seed / 10, 22) for seed in (1, 2, 3)]
    results += [ablation("no-curve", seed, 20, 24 + seed) for seed in (1, 2, 3)]
    results += [ablation("concat", 2, 20, 24)]
    rows = {line.split(" | ")[0].strip("| "): line for line in page.table3(results).splitlines()}
    assert "-2.00, -2.00, -2.00: yes" in rows["no PPM"]
    assert "21.85, .781" in rows["no PPM"]
    assert "within the spread" in rows["no CurveNLU"]
    assert "-0.10: too few seeds to tell" in rows["concat for FASC"]
    assert "22.10 ± 0.05" in rows["whole"]
    assert page.NOT_RUN in rows["no L_en"]


def test_figure_8b_tells_streaks_and_saturated_pixels_apart(page):
    def trained(part, seed, saturated, streaks):
        clip = {"psnr_saturated": saturated, "aligned_psnr_saturated": 30.0, "aligned_psnr_streaks": 12.0,
                "psnr_streaks": streaks}  # fmt: skip
        return result("fig8b", part, seed, figures={"mean": clip, "clips": {"lamps/0000": clip}})

    results = [trained("without", seed, 26.0 + seed, 10.0) for seed in (1, 2, 3)]
    results += [trained("linear", seed, 26.0, 10.5) for seed in (1, 2, 3)]
    scores, gains = (table.splitlines() for table in page.fig8b(results).split("\n\n"))
    assert "26.00 ± 0.00" in scores[3]
    assert page.NOT_RUN in scores[5]
    assert "-1.00, -2.00, -3.00: within the spread | +0.50, +0.50, +0.50: yes |" in gains[2]


def test_streaks_are_pixels_to_which_blur_brings_light(paper):
    sharp = torch.full((1, 3, 4, 6), 0.1)
    sharp[..., 0] = 1.0  # a lamp
    blurred = sharp.clone()
    blurred[..., 0] = 0.6  # dimmed where it was
    blurred[:, 1, :, 1:3] = 0.6  # a green streak beside it
    blurred[..., 5] = 0.3  # ordinary blur
    mask = paper.figure8.streaks(blurred, sharp)
    assert mask.shape == (1, 1, 4, 6)
    assert mask[0, 0].any(0).tolist() == [False, True, True, False, False, False]


def test_costs_are_counted_once(page):
    training = {"lolblur-a-whole-1": {"options": {}, "cpu_seconds": 1800.0}}
    data = {"sets/lolblur-a": {"pairs": 8, "clips": 4, "cpu_seconds": 360.0},
            "tests/lolblur": {"pairs": 8, "clips": 4, "cpu_seconds": None}, "pictures": 4}  # fmt: skip
    results = [ablation("whole", 1, 20, trainings=training, data=data), result("fig9", trainings=training, data=data)]
    text = page.cost(results)
    assert "| trainings | 1 | 0.5 |" in text
    assert "| datasets made for this | 1 | 0.1 |" in text
    assert "| together | 2 | 0.6 |" in text


def test_the_page_is_filled_between_its_marks_and_nowhere_else(page, tmp_path):
    (tmp_path / "results").mkdir()
    mean = {"measured": 38.7, "code": 15.1, "hdr": 16.2, "linear": 14.3, "none": 13.4}
    told = result("fig2", data={"pictures": 4}, figures={"mean": mean, "clips": {}})
    (tmp_path / "results/fig2.json").write_text(json.dumps(told))
    text = "# Head\n<!-- results: fig2 -->\nold\n<!-- end -->\nbetween\n<!-- results: fig10 -->\n<!-- end -->\ntail\n"
    (tmp_path / "page.md").write_text(text)
    assert page.rewrite(tmp_path / "page.md", tmp_path / "results").endswith("2 tables from 1 results")
    filled = (tmp_path / "page.md").read_text()
    assert "| mean of 4 pictures | 13.40 | 14.30 | 15.10 | 16.20 | 38.70 |" in filled
    assert "old" not in filled
    assert filled.startswith("# Head\n<!-- results: fig2 -->\n|")
    assert filled.endswith("<!-- end -->\ntail\n")
    page.rewrite(tmp_path / "page.md", tmp_path / "results")
    assert (tmp_path / "page.md").read_text() == filled


def test_the_page_of_the_documentation_is_up_to_date(page, tmp_path):
    text = (ROOT / "docs/paper.md").read_text()
    (tmp_path / "paper.md").write_text(text)
    page.rewrite(tmp_path / "paper.md")
    assert (tmp_path / "paper.md").read_text() == text, "run: python benchmarks/paper.py page"
    assert {name for _, name, _ in page.BLOCK.findall(text)} == set(page.TABLES)


def test_results_in_the_repository_are_of_the_full_scale_and_small(paper):
    for file in paper.RESULTS.glob("*.json"):
        told = json.loads(file.read_text())
        assert told["scale"]["name"] == "full"
        assert file.stem == paper.name_of(told["experiment"], told["part"], told["seed"])
        assert file.stat().st_size < 60_000
