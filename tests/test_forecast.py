"""The forecast of `plan`: what it adds up, what it measures once a machine, and what it says."""

import json

import pytest
from click.testing import CliRunner
from test_plan import RECIPE, video

from lolblur_synth import recipes
from lolblur_synth.cli import main
from lolblur_synth.dataset import build, calibration, estimate, forecast, plan
from lolblur_synth.dataset.calibration import Overhead
from lolblur_synth.dataset.rehearsal import Rehearsal
from lolblur_synth.files import user_cache

SMALL = recipes.override(RECIPE, ["resize.width=96", "resize.height=64", "dataset.pairs=4"])


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return user_cache.folder() / calibration.NAME


@pytest.fixture
def surveyed(monkeypatch):
    """A clip that nobody reads: what `prepare` makes of its survey."""
    planned = plan.make([video(frames=200)], [], SMALL, {})
    monkeypatch.setattr(build, "prepare", lambda *words, **options: (planned, list(planned.clips[0].pairs)))


@pytest.mark.parametrize(("jobs", "workers", "seconds"), [
    ([1, 1, 1, 1], 2, 2), ([3, 1, 1, 1], 2, 3), ([1, 1, 3], 2, 4), ([5], 8, 5), ([], 2, 0)])  # fmt: skip
def test_the_last_worker_ends_the_build(jobs, workers, seconds):
    assert forecast.makespan(jobs, workers) == seconds


def test_jobs_are_those_of_the_build(tmp_path):
    planned = plan.make([video("a.mp4", sha="aa"), video("b.mp4", frames=200, sha="bb")], [], RECIPE, {})
    pairs = [pair for clip in planned.clips for pair in clip.pairs][3:]
    tasks = build._tasks(planned, pairs, tmp_path, RECIPE, "cpu", (1, 1))
    assert [pairs for _, pairs in forecast.jobs_of(planned, pairs)] == [pairs for _, pairs in tasks]


def test_what_a_forecast_adds_up():
    """One clip of 1280x720 at 1 ns a pixel decoded; 2 s a pair."""
    planned = plan.make([video(frames=1000)], [], RECIPE, {})
    jobs = forecast.jobs_of(planned, planned.clips[0].pairs)
    decode = 1280 * 720 / 1e9
    cost = [decode * (pairs[-1].last + 1) + 2 * len(pairs) for _, pairs in jobs]
    rehearsals = {
        n: Rehearsal(len(jobs[n][1]), decode, 1.5, cost[n], 3_000_000 * len(jobs[n][1]), 5.0) for n in (0, 14)
    }
    future = forecast.forecast(jobs, rehearsals, 2, 10.0, Overhead(1, 2, 3))
    assert future.pair == pytest.approx(2)
    assert future.seconds == pytest.approx(1 + 2 + 3 + 10 + 1.5 + forecast.makespan(cost, 2))
    assert (future.low, future.high) == pytest.approx((0.8 * future.seconds, 1.25 * future.seconds))
    assert (future.bytes, future.motion) == (180_000_000, 5)
    guess = forecast.forecast(jobs, rehearsals, 2, 10.0, None)
    assert guess.low / guess.seconds < 0.8 < 1.25 < guess.high / guess.seconds


def test_rehearsals_that_differ_widen_the_range():
    planned = plan.make([video(frames=1000)], [], RECIPE, {})
    jobs = forecast.jobs_of(planned, planned.clips[0].pairs)
    rehearsals = {n: Rehearsal(4, 0.0, 0.0, 4 * cost, 4_000_000, 5.0) for n, cost in ((0, 1.0), (14, 3.0))}
    future = forecast.forecast(jobs, rehearsals, 2, 0.0, Overhead(0, 0, 0))
    assert (future.low, future.high) == pytest.approx((future.seconds / 1.5, future.seconds * 1.5))


def test_a_machine_is_calibrated_once(cache, monkeypatch, tmp_path):
    monkeypatch.setattr(calibration, "_timed", lambda jobs, device: Overhead(1.0, 2.0, float(jobs)))
    assert calibration.measured(2, "cpu") is None
    assert calibration.measure(2, "cpu") == calibration.measured(2, "cpu") == Overhead(1, 2, 2)
    assert calibration.measured(3, "cpu") is None, "another number of workers starts in another time"
    calibration.measure(3, "cpu")
    assert len(json.loads(cache.read_bytes())) == 2
    monkeypatch.setattr(calibration, "_version", lambda name: "9.9")
    assert calibration.measured(2, "cpu") is None, "another version too"


SPOILT = ("", "[]", "{", '{"KEY": 1}', '{"KEY": [1, 2]}', '{"KEY": [1, 2, "x"]}', '{"KEY": [1, 2, NaN]}',
          '{"KEY": [-1, 2, 3]}', '{"KEY": {"a": 1}}')  # fmt: skip


@pytest.mark.parametrize("text", SPOILT)
def test_a_cache_that_somebody_spoilt_is_measured_anew(cache, text):
    cache.parent.mkdir()
    cache.write_text(text.replace("KEY", calibration.key(2, "cpu")))
    assert calibration.measured(2, "cpu") is None


def test_a_cache_that_cannot_be_written_costs_nothing(cache, monkeypatch):
    monkeypatch.setattr(calibration, "_timed", lambda jobs, device: Overhead(1.0, 2.0, 3.0))
    cache.parent.parent.mkdir(exist_ok=True)
    cache.parent.write_text("a file in the place of the folder")
    assert calibration.measure(2, "cpu") == Overhead(1, 2, 3)


def test_plan_says_when_it_calibrates(cache, monkeypatch, surveyed, street_videos):
    monkeypatch.setattr(calibration, "_timed", lambda jobs, device: Overhead(1.0, 2.0, 3.0))
    monkeypatch.setattr(forecast, "rehearse", lambda *words: {0: Rehearsal(2, 0.001, 1.0, 3.0, 80_000, 5.0)})
    words = ["plan", str(street_videos), "--size", "96x64", "--pairs", "2", "--skip", "denoise", "--jobs", "1"]
    done = [CliRunner().invoke(main, [*words, option]) for option in ("--no-calibrate", "--calibrate", "--calibrate")]
    assert [each.exit_code for each in done] == [0, 0, 0]
    assert ["measuring once how long" in each.stderr for each in done] == [False, True, False]
    lines = done[1].stdout.splitlines()
    assert [line.partition(":")[0] for line in lines[-3:]] == ["disk", "time", "motion"]
    assert " to " in lines[-2]


def test_a_forecast_of_a_real_clip(street_videos):
    told = estimate.plan([street_videos], None, SMALL, 2, "cpu")
    assert told["seconds_range"][0] < told["seconds"] < told["seconds_range"][1]
    assert told["bytes_range"][0] < told["bytes"] < told["bytes_range"][1]
    assert 3 < told["motion_px"] < 9, "the wall pans by 0.7 px a frame, over 7 or 9 frames"
    assert told["left"] == told["pairs"]


def test_what_cannot_be_made_is_not_forecast(street_videos, surveyed, monkeypatch):
    monkeypatch.setattr(forecast, "rehearse", lambda *words: {})
    told = estimate.plan([street_videos], None, SMALL, 2, "cpu")
    assert (told["seconds"], told["bytes"], told["motion_px"]) == (None, None, None)
    assert "no pair could be made" in estimate.to_text(told)


def test_the_sample_build_that_calibrates_tells_its_moments(cache):
    overhead = calibration.measure(1, "cpu")
    assert overhead is not None
    assert all(0 <= seconds < 60 for seconds in overhead)
    assert overhead.begin > 0
