"""The bundled clips are what their README says; their renderer is a measuring instrument: deterministic and exact."""

import hashlib
import math
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from scene import pan, scenes
from scipy import ndimage
from skimage.color import rgb2lab

from lolblur_synth import draw, recipes
from lolblur_synth.commands import options
from lolblur_synth.dataset import plan
from lolblur_synth.dataset.records import VideoInfo
from lolblur_synth.stages import noise

STREET, HARBOUR = options.sample_clip(), options.sample_clips()[0]
FRAMES = {STREET: 90, HARBOUR: 34}
EVERY_CLIP = pytest.mark.parametrize("clip", FRAMES, ids=lambda clip: clip.stem)
WALLS = (slice(20, 96), slice(190, 330))  # no foreground layer comes here in the pan scenes of 448x256


def decoded(clip: Path, indices) -> dict[int, np.ndarray]:
    """A clip's frames of these numbers, (H, W, 3) uint8 RGB."""
    with av.open(str(clip)) as container:
        return {
            i: frame.reformat(format="rgb24", src_colorspace="ITU709", src_color_range="MPEG").to_ndarray()
            for i, frame in enumerate(container.decode(video=0))
            if i in indices
        }


def psnr(a: np.ndarray, b: np.ndarray, peak: float) -> float:
    return 10 * math.log10(peak**2 / np.mean((a.astype(float) - b) ** 2))


def measured_shift(before: np.ndarray, after: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Translation (x, y) from before to after in the crop WALLS, by phase correlation, searched about `near`.

    A plane is fitted to the phase of the cross spectrum. The window does not move with the picture, which pulls the
    answer towards zero, so `before` is moved by the answer and measured again until nothing is left.
    """
    rows, columns = WALLS
    window = np.outer(np.hanning(rows.stop - rows.start), np.hanning(columns.stop - columns.start))
    fy, fx = np.meshgrid(*map(np.fft.fftfreq, window.shape), indexing="ij")
    band = (np.hypot(fx, fy) < 0.25) & (np.hypot(fx, fy) > 0.04)
    waves = 2 * np.pi * np.stack([fx[band], fy[band]], axis=1)
    b = np.fft.fft2(after[WALLS] * window)[band]
    total = np.array(near, float)
    for _ in range(4):
        a = np.fft.fft2(ndimage.shift(before, total[::-1], order=5, mode="nearest")[WALLS] * window)[band]
        cross = a * np.conj(b)
        weight = np.abs(cross)
        total += np.linalg.lstsq(waves * weight[:, None], np.angle(cross) * weight, rcond=None)[0]
    return total


def test_all_clips_together_are_small():
    assert set(options.sample_clips()) == set(FRAMES)
    assert sum(clip.stat().st_size for clip in FRAMES) < 4_000_000


@EVERY_CLIP
def test_clip_is_constant_250_fps_and_tagged(clip):
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        times = sorted(packet.pts for packet in container.demux(stream) if packet.pts is not None)
        steps = set(np.diff(times) * stream.time_base)
        codec = stream.codec_context
        assert stream.average_rate == 250 and steps == {Fraction(1, 250)}
        assert len(times) == FRAMES[clip]
        assert (codec.width, codec.height, codec.pix_fmt) == (1120, 640, "yuv420p")
        assert (codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range) == (1, 1, 1, 1)


@EVERY_CLIP
def test_clip_is_well_exposed_and_its_lights_clip(clip):
    for frame in decoded(clip, {0, FRAMES[clip] // 2, FRAMES[clip] - 1}).values():
        lightness = rgb2lab(frame)[..., 0]
        assert 0.25 < lightness.mean() / 100 < 0.45
        assert 0.002 < (lightness > 98).mean() < 0.03
        coloured = (frame.max(axis=-1) >= 250) & (lightness < 90)  # neon, tail lights: clipped, yet not white
        assert coloured.mean() > 0.0005


@pytest.mark.slow
@pytest.mark.parametrize(("clip", "place"), [(STREET, "Street"), (HARBOUR, "Harbour")])
def test_clip_shows_what_the_renderer_renders(clip, place):
    scene = getattr(scenes(), place)()
    assert scene.frames == FRAMES[clip]
    for i, frame in decoded(clip, {0, scene.frames // 2, scene.frames - 1}).items():
        assert psnr(frame, scene.frame(i), 255) > 36


def test_the_demo_trains_on_the_street_tests_on_the_harbour_and_shows_noise():
    """By the rules and the default recipe alone: the comments in the files decide, see samples/README.md."""
    recipe = recipes.load("lolblur")
    videos = [
        VideoInfo(
            clip.name,
            str(clip),
            "video",
            hashlib.sha256(clip.read_bytes()).hexdigest(),
            250.0,
            frames,
            1120,
            640,
            8,
            "yuv420p",
            "",
            (),
            1,
            0.0,
            0.35,
        )  # fmt: skip
        for clip, frames in FRAMES.items()
    ]
    planned = plan.make(videos, [], recipe, {}).clips
    assert {clip.video.name: clip.split for clip in planned} == {STREET.name: "train", HARBOUR.name: "test"}
    assert sum(len(clip.pairs) for clip in planned) == 10
    for clip in planned:
        streams = (draw.rng(0, clip.video.sha256, f"segment-{segment}", "noise") for segment in (0, 1))
        drawn = [noise.draw(recipe.noise, stream) for stream in streams]
        assert all(each.applied for each in drawn)
        assert max(each.iso for each in drawn) > 330


def test_renderer_is_deterministic_and_moves():
    one, again = (scenes().Street(112, 64, speed=6, frames=14) for _ in range(2))
    first = one.radiance(5.3)
    assert np.array_equal(first, again.radiance(5.3))
    assert first.dtype == np.float32 and first.shape == (64, 112, 3) and first.min() >= 0 and first.max() > 4
    assert not np.array_equal(first, again.radiance(5.4))


@pytest.mark.parametrize("speed", [2, 6, 16])
def test_pan_is_the_stated_motion(speed):
    scene = pan(speed)
    for t, step in ((6.5, 1.0), (6.8, 1 / 8)):
        before, after = (scene.radiance(u).clip(0, 1).mean(axis=-1) for u in (t, t + step))
        stated = np.subtract(scene.camera(t + step), scene.camera(t))
        assert math.isclose(np.hypot(*stated), speed * step, rel_tol=1e-9)
        assert np.abs(measured_shift(before, after, np.rint(stated)) - stated).max() < 0.05


def test_exposure_converges():
    scene = pan(6)
    coarse, fine = scene.exposure(6.5, 7.5, 24), scene.exposure(6.5, 7.5, 96)
    assert psnr(coarse ** (1 / 2.2), fine ** (1 / 2.2), 1.0) > 62


def test_clipping_each_instant_loses_light_that_the_true_exposure_has():
    scene = pan(6)
    clipped, true = scene.exposure(6.5, 7.5, 24, clip=True), scene.exposure(6.5, 7.5, 24, clip=False)
    assert clipped.max() <= 1 and true.max() > 4
    assert (true >= clipped - 1e-6).all() and (true > clipped + 0.1).mean() > 0.002


def test_no_scene_outside_its_time():
    with pytest.raises(ValueError, match="exists from 0 to 14"):
        pan(6).radiance(14.5)
