"""The report: its data, its warnings in words, hostile names, its size, and what is left of it without scripts."""

import html.parser
import json
import re
import shutil

import cv2
import numpy as np
import pytest
from test_cli import in_process

from lolblur_synth import recipes
from lolblur_synth.dataset import layout, manifest, report
from lolblur_synth.dataset.report import columns, figures, page, warnings
from lolblur_synth.dataset.report.figures import Figures
from lolblur_synth.errors import UsageError

MAX_PAGE_BYTES = 5e6  # a page of 12,000 pairs, which a browser opens in two seconds
HOSTILE = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;<!--\u2028.mp4"
STATE = {"failed": [], "refused": [], "left": 0, "bytes": 5_000_000, "train": 1, "test": 1}
FIGURES = Figures(psnr=8.25, ssim=0.31, level=25.0, truth=52.0, blur=6.0, noise={"luma_lag1": 0.3, "sigma_green": 1.1})


def record(clip: int = 0, number: int = 0, split: str = "train", **changes) -> dict:
    """A line of a manifest, as a build of recipe `lolblur` writes it."""
    draws = {
        "darken": {"exposure": 0.1, "drawn": 0.1, "dim": 0.8},
        "clip_reverse": {"r": 54.2, "gain": 0.0},
        "defocus": {"applied": True, "kernel": "generalized-gaussian", "radius": [1.5, 2.5]},
        "noise": {"applied": True, "iso": 800.0, "lamp": "warm-fluorescent"},
        "denoise": {"sigma": 0.5},
    }
    return {
        "pair": f"{clip:04d}/{number:04d}", "split": split, "source": {"name": f"clip{clip}.mp4", "fps": 250.0},
        "frames": [10 * number, 10 * number + 10], "mid": 10 * number + 5, "window": 9, "samples": 72,
        "exposure": 0.102, "confidence": 0.9, "draws": draws, "skipped": [], "version": "0.1.0", "segment": 0,
    } | changes  # fmt: skip


def built(out, clips: int = 2, count: int = 3, width: int = 96):
    """A dataset folder as a build leaves it: `count` pairs of each clip, the last clip is test; returns `out`."""
    rng = np.random.default_rng(0)
    plan = []
    for clip in range(clips):
        split = "test" if clip == clips - 1 else "train"
        texture = cv2.GaussianBlur(rng.random((width * 2 // 3, width, 3), np.float32), (0, 0), 2) * 255
        for number in range(count):
            truth = np.roll(texture, 5 * number, axis=1)
            dark = np.rint(0.3 * truth).astype(np.uint8)
            noisy = np.clip(np.rint(dark + rng.normal(0, 2, dark.shape)), 0, 255).astype(np.uint8)
            pictures = dict.fromkeys(layout.FOLDERS, np.rint(truth).astype(np.uint8))
            pictures |= {"low_sharp": dark, "low_blur": cv2.blur(dark, (7, 1)), "low_blur_noise": noisy}
            names = {"sequence": f"{clip:04d}", "name": f"{number:04d}"}
            trust = 0.3 if number == 3 else 0.9
            layout.commit(out, record(clip, number, split, confidence=trust) | names, pictures, 1)
        names = [f"{number:04d}" for number in range(count)]
        plan.append({"sequence": f"{clip:04d}", "split": split, "name": f"clip{clip}.mp4", "pairs": names})
    layout.write_atomic(out, out / layout.STATE / "plan.json", layout.to_json({"clips": plan, "refused": []}))
    (out / "recipe.toml").write_text(recipes.to_toml(recipes.load("night")))
    manifest.write(out)
    return out


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Not to be written to."""
    return built(tmp_path_factory.mktemp("report") / "out")


def render(tmp_path, pairs, measured=None, thumbnails=False, **state) -> str:
    (tmp_path / "recipe.toml").write_text(recipes.to_toml(recipes.load("lolblur")))
    place = page.Place(tmp_path, tmp_path / "report.html", tmp_path / "report" if thumbnails else None)
    return page.render(place, pairs, measured or [FIGURES] * len(pairs), STATE | state)


def data_of(text: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1])


class Tags(html.parser.HTMLParser):
    """Every start tag with its attributes, and the text outside scripts."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, text):
        self.text += text


def words_of(pairs, measured=None, **state) -> list[str]:
    measured = measured or [FIGURES] * len(pairs)
    return [note.text for note in warnings.of(pairs, measured, columns.table(pairs, measured), STATE | state)]


def test_the_data_holds_every_pair_and_its_draws_in_words(tmp_path):
    pairs = [record(0, 0), record(0, 1), record(1, 0, "test", skipped=["noise"])]
    data = data_of(render(tmp_path, pairs))
    assert data["clips"] == [["0000", "train", "clip0.mp4", 250, 0, 2], ["0001", "test", "clip1.mp4", 250, 2, 1]]
    assert data["pairs"]["name"] == ["0000", "0001", "0000"]
    assert data["pairs"]["mid"] == [5, 15, 5]
    assert data["pairs"]["ms"] == [36, 36, 36]
    assert data["pairs"]["motion"] == [0.6667] * 3
    assert data["pairs"]["defocus"] == [2.5] * 3
    assert data["pairs"]["words"] == [0, 0, 1], "the pairs of a segment share their words"
    assert "Noise: ISO 800, warm-fluorescent light" in data["words"][0]
    assert "Left out: noise" in data["words"][1]


def test_what_a_manifest_lacks_or_garbles_is_left_out(tmp_path):
    bad = record(0, 0, draws="none", window="<b>", source=None, frames=[1], exposure=float("nan"), skipped=7)
    del bad["mid"]
    data = data_of(render(tmp_path, [bad], [Figures()]))
    assert set(data["pairs"]) == {"clip", "name", "words", "samples", "trust", "noisy"}


@pytest.mark.parametrize("field", ["name", "kernel", "lamp", "skipped", "version"])
def test_hostile_text_stays_text(tmp_path, field):
    pair = record()
    if field == "name":
        pair["source"]["name"] = HOSTILE
    elif field == "kernel":
        pair["draws"]["defocus"]["kernel"] = HOSTILE
    elif field == "lamp":
        pair["draws"]["noise"]["lamp"] = HOSTILE
    else:
        pair[field] = [HOSTILE] if field == "skipped" else HOSTILE
    harmless, hostile = Tags(render(tmp_path, [record()])), render(tmp_path, [pair])
    parsed = Tags(hostile)
    assert [tag for tag, _ in parsed.tags] == [tag for tag, _ in harmless.tags], "no tag more or less"
    assert [sorted(names) for _, names in parsed.tags] == [sorted(names) for _, names in harmless.tags]
    assert HOSTILE in json.dumps(data_of(hostile), ensure_ascii=False).replace('\\"', '"') or HOSTILE in parsed.text


def test_a_hostile_failure_and_folder_name_stay_text(tmp_path):
    out = tmp_path / '"><script>alert(1)</script>#?%'.replace("/", "_")
    out.mkdir()
    text = render(out, [record()], failed=[{"message": HOSTILE, "hint": None}])
    scripts = [attributes for tag, attributes in Tags(text).tags if tag == "script"]
    assert len(scripts) == 2
    elsewhere = page.Place(out, tmp_path / "report.html", None)
    assert re.fullmatch(r"[\w.%/-]+", elsewhere.link(out / "train")), "a URL without a character of HTML or of a query"


def test_links_lead_from_the_page_to_the_images(tmp_path):
    out = tmp_path / "a b"
    assert page.Place(out, out / "report.html", None).folder(out) == ""
    assert page.Place(out, tmp_path / "x" / "report.html", None).folder(out) == "../a%20b/"


def test_no_other_place_is_named_and_no_other_script_may_run(tmp_path):
    text = render(tmp_path, [record()])
    assert not re.search(r"https?:|//[a-z]|@import|fetch\(|XMLHttpRequest|innerHTML|eval\(", text)
    policy = next(a["content"] for tag, a in Tags(text).tags if "http-equiv" in a)
    assert policy.startswith("default-src 'none'")
    assert "script-src 'sha256-" in policy


def test_twelve_thousand_pairs_fit_into_five_megabytes(tmp_path):
    pairs = [record(clip, number, "train" if clip < 170 else "test", exposure=0.04 + (clip * 60 + number) * 1e-5)
             for clip in range(200) for number in range(60)]  # fmt: skip
    measured = [Figures(psnr=5 + i / 997, ssim=i / 12347, level=10 + i / 433, truth=30 + i / 511, blur=i % 40 / 1.7,
                        noise={"luma_lag1": 0.3, "sigma_green": i / 9973}) for i in range(12_000)]  # fmt: skip
    text = render(tmp_path, pairs, measured, thumbnails=True)
    assert len(text) < MAX_PAGE_BYTES
    assert len(data_of(text)["pairs"]["name"]) == 12_000
    assert text.count("<figure") == page.SHEET_ROWS


def test_without_scripts_the_page_is_a_contact_sheet(dataset, tmp_path):
    target = tmp_path / "report.html"
    assert report.write(dataset, target) == target
    parsed = Tags(target.read_text())
    pairs = (dataset / "manifest.jsonl").read_text().splitlines()
    images = [a for tag, a in parsed.tags if tag == "img" and "data-pair" in a]
    assert len(images) == len(pairs)
    assert all(a["src"].startswith("data:image/jpeg;base64,") for a in images)
    linked = {a["href"] for tag, a in parsed.tags if tag == "a"}
    every = {(dataset / path) for path in dataset.glob("t*/*/*/*.png")}
    assert every <= {(tmp_path / link).resolve() for link in linked}, "each of the five images of every pair"
    assert any(a.get("name") == "viewport" for tag, a in parsed.tags if tag == "meta")


def test_thumbnails_of_many_pairs_are_files_and_measured_once(dataset, tmp_path, monkeypatch):
    out = tmp_path / "out"
    shutil.copytree(dataset, out)
    monkeypatch.setattr(report, "EMBEDDED_PAIRS", 3)
    text = report.write(out).read_text()
    assert "base64," not in text.split("<body>")[1]
    thumbnails = sorted((out / "report").glob("*/*.jpg"))
    assert len(thumbnails) == len(data_of(text)["pairs"]["name"])
    assert cv2.imread(str(thumbnails[0])).shape[1] == 2 * figures.THUMB
    monkeypatch.setattr(figures, "measure", None)  # nothing is measured again
    assert report.write(out).read_text() == text
    assert in_process("verify", out).code == 0


@pytest.mark.parametrize("name", ["train.html", "page", "recipe.toml.html"])
def test_thumbnails_stay_out_of_what_is_there(dataset, tmp_path, monkeypatch, name):
    out = tmp_path / "out"
    shutil.copytree(dataset, out)
    monkeypatch.setattr(report, "EMBEDDED_PAIRS", 3)
    with pytest.raises(UsageError, match="another|thumbnails"):
        report.write(out, out / name)
    assert not list(out.rglob("*.jpg"))


def test_a_quick_report_measures_nothing_and_claims_nothing(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "measure", None)
    text = report.write(dataset, tmp_path / "report.html", quick=True).read_text()
    assert len(data_of(text)["pairs"]["name"]) == 6
    assert "psnr" not in data_of(text)["pairs"]
    assert "no input has noise" not in text
    images = [a["src"] for tag, a in Tags(text).tags if tag == "img" and "data-pair" in a]
    assert all(re.search(r"/high_sharp_scaled/\d+/\d+\.png$", source) for source in images)


def test_an_interrupted_report_measures_the_rest_only(dataset, tmp_path, monkeypatch):
    out = tmp_path / "out"
    shutil.copytree(dataset, out)
    monkeypatch.setattr(report, "EMBEDDED_PAIRS", 3)

    def interrupted(stream, total):
        return [next(stream) for _ in range(2)] + [1 / 0]

    with pytest.raises(ZeroDivisionError):
        report.write(out, progress=interrupted)
    assert not (out / "report.html").exists()
    measured, measure = [], figures.measure
    monkeypatch.setattr(figures, "measure", lambda paths, file: measured.append(file) or measure(paths, file))
    report.write(out)
    assert len(measured) == 4, "of six pairs"


def test_a_missing_image_is_a_warning(dataset, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(dataset, out)
    victim = next(out.glob("train/low_blur/*/*.png"))
    victim.write_bytes(b"torn")
    text = report.write(out).read_text()
    pair = f"{victim.parent.name}/{victim.stem}"
    assert f"{pair}: low_blur missing, unreadable or of another size; `lolblur-synth build` makes them again" in text


def test_warnings_say_what_is_wrong_in_words():
    dark = [Figures(truth=14.0, level=9.0, fastest=0.0)]
    pairs = [record(2, 0, exposure=0.138)]
    words = words_of(pairs, dark)
    assert "clip 0002: ground truth has mean L* 14, darkening had no effect" in words
    assert "no test split: every clip went to train" in words
    assert "all pairs miss the exposure asked for by more than 0.02" in words
    assert "all of the frames show no motion (blur of at most a pixel everywhere)" in words
    assert "1 pair got noise that vanishes in 8 bits: the inputs are too dark to show it" in words


def test_half_of_the_frames_without_motion_is_said():
    pairs = [record(0, number) for number in range(4)]
    measured = [Figures(fastest=length) for length in (0.0, 0.5, 4.0, 9.0)]
    notes = warnings.of(pairs, measured, columns.table(pairs, measured), STATE)
    still = next(note for note in notes if "no motion" in note.text)
    assert still.text == "half of the frames show no motion (blur of at most a pixel everywhere)"
    assert still.pairs == (0, 1)


def test_what_was_not_built_is_said():
    words = words_of([record()], failed=[{"message": "m"}], refused=[{"message": "r"}], left=3)
    assert words[:3] == ["1 pair failed", "1 input refused", "2 pairs not built yet: the same build command continues"]


def test_a_good_dataset_has_no_warnings():
    pairs = [record(0, 0), record(1, 0, "test")]
    assert words_of(pairs) == []


def test_noise_outside_of_the_published_band_is_said_and_links_to_the_band(tmp_path):
    pairs = [record(0, 0), record(1, 0, "test")]
    measured = [Figures(level=25.0, truth=50.0, blur=5.0, noise={"chroma_lag1": 0.1})] * 2
    assert words_of(pairs, measured) == ["noise: chroma lag1 is 0.10 (median), published frames have 0.4 to 0.7"]
    links = [a["href"] for tag, a in Tags(render(tmp_path, pairs, measured)).tags if tag == "a"]
    assert "#fingerprint" in links


def test_every_warning_links_to_a_place_on_the_page(tmp_path):
    pairs = [record(2, 0, exposure=0.3), record(3, 0)]
    text = render(tmp_path, pairs, [Figures(truth=14.0), Figures()], failed=[{"message": "m", "hint": "h"}])
    tags = Tags(text).tags
    ids = {a["id"] for _, a in tags if "id" in a}
    links = [a for tag, a in tags if tag == "a" and a["href"].startswith("#")]
    assert len(links) >= 4
    assert {a["href"][1:] for a in links} <= ids
    runs = data_of(text)["warnings"]
    assert all(runs[int(a["data-warning"])] for a in links if "data-warning" in a)


def test_blur_lengths_are_those_of_the_motion():
    rng = np.random.default_rng(0)
    wall = cv2.GaussianBlur(rng.random((320, 560, 3), np.float32), (0, 0), 3)
    light = (0.4 * (wall - wall.min()) / (wall.max() - wall.min())) ** 2.2
    for length in (0, 12, 24):
        line = np.zeros((1, 61), np.float32)
        line[0, 30 - length // 2 : 31 + length // 2] = 1 / (2 * (length // 2) + 1)
        sharp, blurred = (
            np.rint(255 * x ** (1 / 2.2)).astype(np.uint8) for x in (light, cv2.filter2D(light, -1, line))
        )
        assert figures.blur_lengths(sharp, blurred) == pytest.approx((length, length), abs=0.2 * length)


def test_noise_figures_and_quality_are_those_of_the_images(tmp_path):
    rng = np.random.default_rng(1)
    clean = np.full((64, 96, 3), 30, np.uint8)
    noisy = np.clip(np.rint(clean + rng.normal(0, 2, clean.shape)), 0, 255).astype(np.uint8)
    pictures = dict.fromkeys(layout.FOLDERS, clean) | {"low_blur_noise": noisy}
    paths = {folder: tmp_path / f"{folder}.png" for folder in layout.FOLDERS}
    for folder, path in paths.items():
        path.write_bytes(layout.encode_png(pictures[folder], 1))
    measured = figures.measure(paths)
    assert measured.noise["sigma_green"] == pytest.approx(2, rel=0.05)
    assert measured.psnr == pytest.approx(20 * np.log10(255 / 2), abs=0.3)
    assert measured.blur is None, "nothing to see"
    assert figures.noise_figures(clean, clean) is None


def test_the_progress_goes_to_stderr_and_the_words_to_stdout(dataset, tmp_path):
    done = in_process("report", dataset, "-o", tmp_path / "page.html", "--jobs", "1")
    assert done.code == 0
    assert done.out == f"wrote {tmp_path / 'page.html'}\n"
    assert in_process("-q", "report", dataset, "-o", tmp_path / "page.html", "--jobs", "1").out == ""
