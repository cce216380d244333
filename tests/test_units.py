"""Units: neighbouring pairs are denoised as one stream, and their bytes do not depend on which of them are built."""

import dataclasses
from pathlib import Path

import numpy as np
import planned
import pytest
import torch

from lolblur_synth import frames as fr
from lolblur_synth import pipeline, recipes
from lolblur_synth.dataset import build, plan, worker
from lolblur_synth.dataset.records import Job, VideoInfo
from lolblur_synth.files import video
from lolblur_synth.recipe.schema import Recipe
from lolblur_synth.stages import denoise

SMALL = recipes.override(Recipe(), ["resize.width=64", "resize.height=48", "denoise.sigma=5", "dataset.pairs=12",
                                    "skip=interpolate,noise"])  # fmt: skip


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return planned.street(tmp_path_factory.mktemp("street"), 120, SMALL)


def info(frames: int, fps: float, cuts: tuple[int, ...] = ()) -> VideoInfo:
    return VideoInfo(
        "a.mp4", "/a.mp4", "video", "ab" * 32, fps, frames, 640, 480, 8, "yuv420p", "", cuts, 1.0, 3.0, 0.5
    )


def test_neighbours_share_a_unit_within_their_shot():
    pairs = plan.place(info(1000, 250, cuts=(100,)), recipes.override(SMALL, ["dataset.pairs=60"]))
    units = {}
    for pair in pairs:
        units.setdefault(pair.unit, []).append(pair)
    assert max(map(len, units.values())) == plan.UNIT == 4
    for (first, last), members in units.items():
        assert {(pair.first, pair.last) for pair in members} == {(members[0].first, members[0].last)}
        assert (members[0].shown[0], members[-1].shown[1]) == (first, last) or len(members) < 4
        assert members[0].first in (first - denoise.CONTEXT, first) and members[0].last in (
            last + denoise.CONTEXT,
            last,
        )
        assert not members[0].first <= 100 < members[0].last, "no unit crosses a cut"
    alone = plan.place(info(1000, 250, cuts=(100,)), recipes.override(SMALL, ["dataset.pairs=5"]))
    assert all(pair in pairs for pair in alone if pair.segment == 0), "fewer pairs have the same units"


def test_exposures_far_apart_are_denoised_alone_and_none_without_denoising():
    pairs = plan.place(info(2000, 960), SMALL)
    assert len({pair.unit for pair in pairs}) == len(pairs)
    assert all(pair.unit == pair.shown for pair in pairs)
    plain = plan.place(info(1000, 250), recipes.override(SMALL, ["skip=denoise"]))
    assert all(pair.unit is None and (pair.first, pair.last) == pair.shown for pair in plain)


def test_a_job_has_whole_units(clip):
    jobs = list(build.chunks(clip.pairs))
    assert [pair for job in jobs for pair in job] == list(clip.pairs)
    assert all(len(job) <= build.CHUNK for job in jobs)
    homes = [{pair.unit for pair in job} for job in jobs]
    assert all(one.isdisjoint(other) for n, one in enumerate(homes) for other in homes[:n])


def test_the_frames_of_a_pair_do_not_depend_on_the_others(clip):
    """All pairs in one pass, each alone, and a job that begins in the middle of a unit."""
    job = Job(SMALL, clip)
    together = [stack.clone() for stack in worker.read_stacks(job, clip.pairs)]
    assert len(clip.pairs) >= 9
    for pair, stack in zip(clip.pairs, together, strict=True):
        assert len(stack) == pair.shown[1] - pair.shown[0] + 1
        assert torch.equal(next(worker.read_stacks(job, (pair,))), stack)
    middle = clip.pairs[2:7]
    assert all(torch.equal(a, b) for a, b in zip(worker.read_stacks(job, middle), together[2:7], strict=True))


def test_a_unit_is_denoised_as_one_stack(clip):
    members = [pair for pair in clip.pairs if pair.unit == clip.pairs[4].unit]
    (first, last), whole = members[0].unit, members[0]
    source = video.probe(video.Input(Path(clip.video.path), "street.mp4", "video"), SMALL.input, 250)
    frames = torch.cat([pipeline.prepare(f, SMALL) for f in video.read(source, whole.first, whole.last + 1)])
    keep = slice(first - whole.first, last - whole.first + 1)
    wanted = denoise.apply(frames, SMALL.denoise, denoise.Draw(5.0), keep)
    stacks = list(worker.read_stacks(Job(SMALL, clip), tuple(members)))
    for pair, stack in zip(members, stacks, strict=True):
        assert torch.equal(stack, wanted[pair.shown[0] - first : pair.shown[1] - first + 1])
    assert not torch.equal(stacks[0], frames[keep][: len(stacks[0])])


def test_light_above_white_is_carried_past_the_denoiser():
    rng = np.random.default_rng(0)
    display = torch.from_numpy(0.4 + 0.02 * rng.standard_normal((12, 3, 32, 40))).float()
    extended = display.clone()
    extended[:, :, 10:14, 20:24] = 4 ** (1 / fr.GAMMA)  # 3 above white
    stream = pipeline.denoised(iter(extended.split(1)), 7, (9, 16), SMALL, denoise.Draw(5.0), "cpu")
    shown, above = fr.split(torch.cat(list(stream)))
    assert len(shown) == 8 and shown[:, :, :8, :16].std() < 0.7 * display[:8, :, :8, :16].std()
    assert above is not None and torch.allclose(above[:, :, 11:13, 21:23], torch.tensor(3.0), atol=1e-4)
    assert above[:, :, :8].max() == 0


def test_the_key_of_a_pair_without_denoising_has_no_unit():
    from lolblur_synth.dataset import keys

    found = info(200, 250)
    plain = recipes.override(SMALL, ["skip=denoise"])
    (made,) = plan.make([found], [], plain, {}).clips
    pair = made.pairs[0]
    key = keys.key(plain, made, pair, {}, "cpu")
    assert key == keys.key(plain, made, dataclasses.replace(pair, unit=None), {}, "cpu")
    assert key != keys.key(plain, made, dataclasses.replace(pair, unit=(0, 40)), {}, "cpu")
