"""shoot: clips from still pictures, through a camera in a hand."""

import dataclasses
import hashlib
import json
import os
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
import run_here
from click.testing import CliRunner
from scipy import ndimage

from lolblur_synth import cli, draw, recipes
from lolblur_synth.dataset import build as builder
from lolblur_synth.dataset import plan, worker
from lolblur_synth.dataset.records import VideoInfo
from lolblur_synth.errors import InputError, UsageError
from lolblur_synth.files import video
from lolblur_synth.files.video import pq_writer
from lolblur_synth.recipe.schema import STAGE_NAMES, InputConfig, Recipe
from lolblur_synth.recipe.shoot import ShootConfig
from lolblur_synth.tools.shoot import camera_path, clip, for_build, lamps, pictures, projection, run, scene, work

SMALL = ShootConfig(width=96, height=64, frames=9)
GAMMA = 2.2


def wall(width: int, height: int, seed: int = 0) -> np.ndarray:
    """(h, w, 3) uint8 BGR: smooth coloured texture, nothing clipped."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random((height, width, 3)), (2, 2, 0))
    return np.rint(40 + 180 * (noise - noise.min()) / np.ptp(noise)).astype(np.uint8)


def night(width: int = 240, height: int = 160) -> np.ndarray:
    """A dark wall with a white lamp of radius 6 in an orange halo, and a clipped sky in its upper quarter."""
    picture = (wall(width, height) * 0.15).astype(np.uint8)
    picture[: height // 4] = 255
    cv2.circle(picture, (width // 2, height // 2 + 20), 8, (40, 120, 230), -1)
    cv2.circle(picture, (width // 2, height // 2 + 20), 6, (255, 255, 255), -1)
    return picture


@pytest.fixture
def photo(tmp_path):
    cv2.imwrite(str(tmp_path / "wall.png"), wall(200, 140))
    return tmp_path / "wall.png"


@pytest.fixture
def here(monkeypatch):
    """Shoots in this process: a worker takes seconds to start."""

    def alike(target, tasks, jobs, report):
        assert target == "lolblur_synth.tools.shoot.work:shoot"
        for job, shots in tasks:
            for kind, shot, *result in work.shoot(job, shots):
                if kind != "begin":
                    report(kind, shot, *result)

    monkeypatch.setattr(run.pool, "run", alike)


def shoot(*words):
    return CliRunner().invoke(cli.main, ["shoot", *map(str, words), "--size", "96x64", "--frames", "5"])


def path_of(config: ShootConfig, seed: int = 0) -> camera_path.Path:
    return camera_path.draw(config, draw.rng(seed, "picture", "clip-0", "shoot.path"))


# the camera


def test_shake_has_the_rms_rate_that_was_drawn_and_its_angle_is_the_integral_of_its_rate():
    config = dataclasses.replace(SMALL, shake=(4.0, 4.0), exposure_time=(9 / 250, 9 / 250), fps=2000.0)
    path = path_of(config)
    rate = np.array(path.yaw.rate)
    assert np.sqrt((rate**2).sum() / 2) == pytest.approx(4, rel=0.02)
    s = np.linspace(0, 1, 20001)
    w, phase = 2 * np.pi * np.array(path.yaw.frequency), np.array(path.yaw.phase)
    rates = np.radians((rate * np.cos(np.multiply.outer(s, w) + phase)).sum(-1))
    assert np.allclose(np.gradient(path.yaw.angle(s), s)[1:-1], rates[1:-1], atol=1e-4)
    assert np.sqrt((np.array(path.roll.rate) ** 2).sum() / 2) == pytest.approx(0.7 * 4, rel=0.02)


def test_the_shake_of_the_drawn_exposure_time_fills_the_window():
    path = path_of(dataclasses.replace(SMALL, exposure_time=(0.25, 0.25), pan_share=0.0, walk_share=0.0))
    window = camera_path.WINDOW / SMALL.fps
    seen = camera_path.pose(path, np.array([window]))
    assert path.quickening * window == pytest.approx(0.25)
    assert seen.yaw[0] == pytest.approx(path.yaw.angle(np.array([0.25]))[0])


def test_shake_quicker_than_frames_can_show_is_left_out():
    path = path_of(dataclasses.replace(SMALL, exposure_time=(0.5, 0.5)))
    fastest = max(f for f, rate in zip(path.yaw.frequency, path.yaw.rate, strict=True) if rate)
    assert fastest * path.quickening <= SMALL.fps / camera_path.RESOLVED


@pytest.mark.parametrize("speed", [0.0, 0.5, 3.0])
def test_speed_is_the_mean_motion_of_the_middle_of_the_frame(speed):
    config = dataclasses.replace(SMALL, speed=speed)
    path, _ = projection.fit(path_of(config), config, (2000, 1500))
    assert camera_path.speed(path, config, projection.focal(config)) == pytest.approx(speed, abs=0.01)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("speed", ["drawn", 6.0])
def test_the_view_never_leaves_a_flat_picture(seed, speed):
    config = dataclasses.replace(SMALL, frames=60, speed=speed, rolling_shutter=(4.0, 4.0), walk_share=1.0)
    path, place = projection.fit(path_of(config, seed), config, (240, 130))
    y = np.linspace(-0.5, 0.5, 9) * config.height
    for t in camera_path.times(config):
        seen = camera_path.pose(path, t + path.readout * y / config.height)
        x, rows = place.locate(seen, np.linspace(-0.5, 0.5, 9) * config.width, y, projection.focal(config))
        assert x.min() >= 0 and x.max() <= 239
        assert rows.min() >= 0 and rows.max() <= 129


def test_a_panorama_is_seen_in_true_perspective():
    """A pixel x of the frame looks atan(x / f) to the right, and columns of a panorama are degrees."""
    config = dataclasses.replace(SMALL, field_of_view=90.0)
    still = camera_path.Pose(*np.zeros((3, 1)), np.zeros((1, 2)), np.zeros((1, 3)), np.ones(1))
    x = np.array([-48.0, 0.0, 24.0, 48.0])
    columns, rows = projection.Panorama(720, 360, 0.0, 0.0).locate(still, x, np.zeros(1), projection.focal(config))
    assert columns[0] + 0.5 == pytest.approx(360 + 2 * np.degrees(np.arctan(x / 48)), abs=1e-3)
    assert rows[0] + 0.5 == pytest.approx(180, abs=1e-3)


def test_the_rolling_shutter_shows_lower_rows_later(photo):
    config = dataclasses.replace(SMALL, rolling_shutter=(4.0, 4.0), speed=5.0)
    picture = pictures.read(photo, config)
    seen, _ = clip.draw_clip(picture, 0, config, 0)
    at_once = dataclasses.replace(seen, path=dataclasses.replace(seen.path, readout=0.0))
    rolling, row = scene.render(seen, 0.0), 60
    later = 0.004 * (row - (SMALL.height - 1) / 2) / SMALL.height
    assert np.abs(rolling[row] - scene.render(at_once, later)[row]).max() < 1e-3
    assert np.abs(rolling[row] - scene.render(at_once, 0.0)[row]).max() > 0.02


# the picture


def test_a_still_camera_shows_the_picture_and_its_light_is_preserved():
    config = dataclasses.replace(SMALL, shake=(0.0, 0.0), pan_share=0.0, walk_share=0.0, zoom_share=0.0)
    light = np.full((140, 210, 3), 0.01, np.float32)
    light[60:64, 100:104] = 20.0
    picture = pictures.Picture("lamp", "0" * 64, light, np.zeros(light.shape, bool), False)
    seen, _ = clip.draw_clip(picture, 0, config, 0)
    frame = scene.render(seen, 0.0).astype(np.float64) ** GAMMA
    assert (frame - 0.01).sum() == pytest.approx((light - 0.01).sum() / seen.density**2, rel=0.03)
    assert frame.min() > 0.0098  # nothing rings round the lamp


def test_frames_do_not_alias():
    """A grating of two pixels of the picture is grey in a frame that has a fifth of its pixels."""
    config = dataclasses.replace(SMALL, shake=(0.0, 0.0), pan_share=0.0, walk_share=0.0, zoom_share=0.0)
    light = np.zeros((360, 540, 3), np.float32)
    light[:, ::2] = 0.5
    picture = pictures.Picture("grating", "0" * 64, light, np.zeros(light.shape, bool), False)
    seen, _ = clip.draw_clip(picture, 0, config, 0)
    assert seen.density > 2
    assert np.ptp(scene.render(seen, 0.0)[8:-8, 8:-8]) < 0.02


def test_hdr_pictures_are_exposed_to_the_lightness_asked_for(tmp_path):
    light = (wall(200, 140)[:, :, ::-1] / 255.0) ** 3 * 700
    cv2.imwrite(str(tmp_path / "wall.hdr"), light.astype(np.float32))
    config = dataclasses.replace(SMALL, lightness=(0.4, 0.4))
    seen, _ = clip.draw_clip(pictures.read(tmp_path / "wall.hdr", config), 0, config, 0)
    frame = scene.render(seen, 0.0)
    assert lamps.mean_lightness(np.minimum(frame, 1) ** np.float32(GAMMA)) == pytest.approx(0.4, abs=0.01)


# lamps


def read_night(tmp_path, picture: np.ndarray, **options) -> tuple[pictures.Picture, ShootConfig]:
    cv2.imwrite(str(tmp_path / "night.png"), picture)
    config = dataclasses.replace(SMALL, **options)
    return pictures.read(tmp_path / "night.png", config), config


def test_a_lamp_gets_the_mean_excess_that_was_drawn_in_the_hue_of_its_rim(tmp_path):
    picture, config = read_night(tmp_path, night(), lamps="always")
    regions = lamps.find(picture.light, picture.clipped, config)
    assert len(regions.area) == 1  # the sky is none: it is larger than lamp_area
    red, green, blue = regions.hue[0]
    assert red == 1 and red > 2 * green > 2 * blue
    lit = lamps.lit(picture.light, regions, np.array([3.0]))
    inside = regions.labels > 0
    assert (lit[inside][:, 0] - 1).mean() == pytest.approx(3.0, rel=1e-3)
    centre, rim = lit[100, 120, 0], lit[100, 115, 0]
    assert centre > 1.5 * rim > 1.5
    assert np.array_equal(lit[~inside], picture.light[~inside])


def test_small_lamps_have_less_light(tmp_path):
    small = night()
    small[94:110, 112:130] = 20
    small[100, 120] = 255
    excess = {}
    for name, picture in (("large", night()), ("small", small)):
        read, config = read_night(tmp_path, picture, lamps="always", lamp_spread=0.0)
        excess[name] = lamps.draw(config, draw.rng(0, "", "", ""), lamps.find(read.light, read.clipped, config))[0]
    assert excess["large"] == pytest.approx(1.5)
    assert excess["small"] < 1.5


def test_what_is_clipped_amid_bright_pixels_is_no_lamp(tmp_path):
    paper = np.full((160, 240, 3), 235, np.uint8)
    paper[80:84, 100:104] = 255
    picture, config = read_night(tmp_path, paper, lamps="always")
    assert lamps.find(picture.light, picture.clipped, config) is None


def test_photographs_of_the_day_have_no_lamps(tmp_path):
    bright = wall(240, 160)
    bright[80:86, 100:106] = 255
    picture, config = read_night(tmp_path, bright)
    assert lamps.find(picture.light, picture.clipped, config) is None
    assert lamps.find(picture.light, picture.clipped, dataclasses.replace(config, lamps="always")) is not None


# the file


def test_light_up_to_forty_times_white_comes_back_from_the_file(tmp_path):
    frame = np.full((64, 96, 3), 0.4, np.float32)
    ramp = np.linspace(0.05, 1, 96, dtype=np.float32)
    frame[40:] = ramp[None, :, None]
    frame[8:16, 8:16] = 10 ** (1 / GAMMA)
    frame[8:16, 40:48] = 40 ** (1 / GAMMA)
    pq_writer.write_light(tmp_path / "lamps.mkv", [frame] * 3, (96, 64), 250)
    found, _ = video.find([tmp_path / "lamps.mkv"])
    clip_read = video.probe(found[0], InputConfig())
    light = next(iter(video.read(clip_read))).astype(np.float64) ** GAMMA
    assert (clip_read.fps, clip_read.frames, clip_read.light) == (250, 3, "measured")
    assert light[12, 12] == pytest.approx(10, rel=0.02)
    assert light[12, 44] == pytest.approx(40, rel=0.02)
    assert light[50, 4:] == pytest.approx(np.repeat(ramp[4:, None], 3, 1) ** GAMMA, rel=0.02)


def test_stream_and_frames_are_tagged(tmp_path):
    pq_writer.write_light(tmp_path / "a.mkv", [np.full((64, 96, 3), 0.5, np.float32)] * 2, (96, 64), 240)
    with av.open(str(tmp_path / "a.mkv")) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        before = context.color_trc, context.color_primaries, context.colorspace, context.color_range
        frame = next(container.decode(video=0))
    assert before == (16, 1, 1, 1)
    assert (frame.color_trc, frame.color_primaries, int(frame.colorspace), int(frame.color_range)) == (16, 1, 1, 1)
    assert stream.average_rate == Fraction(240)


@pytest.mark.parametrize("fps", [240.0, 300.0, 960.0])
def test_clips_of_other_rates_are_taken_by_build(tmp_path, fps):
    pq_writer.write_light(tmp_path / "a.mkv", [np.full((64, 96, 3), 0.5, np.float32)] * 20, (96, 64), fps)
    found, refused = video.find([tmp_path / "a.mkv"])
    assert not refused
    assert video.probe(found[0], InputConfig()).fps == pytest.approx(fps, rel=1e-3)


# the command


def test_the_same_pictures_give_the_same_bytes_whatever_else_is_shot(tmp_path, photo, here):
    cv2.imwrite(str(tmp_path / "other.png"), wall(200, 140, seed=1))
    assert shoot(photo, tmp_path / "one").exit_code == 0
    assert shoot(tmp_path / "other.png", photo, tmp_path / "two").exit_code == 0
    for name in ("wall.mkv", "wall.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert shoot(photo, tmp_path / "three", "--seed", "1").exit_code == 0
    assert (tmp_path / "one/wall.mkv").read_bytes() != (tmp_path / "three/wall.mkv").read_bytes()


def test_the_record_tells_the_source_the_path_and_the_light(tmp_path, photo, here):
    assert shoot(photo, tmp_path / "out").exit_code == 0
    record = json.loads((tmp_path / "out/wall.json").read_text())
    assert record["source"]["name"] == "wall.png"
    assert record["source"]["projection"] == "flat"
    assert record["settings"]["frames"] == len(record["poses"]["yaw"]) == 5
    axes = {name: camera_path.Shake(**{k: tuple(v) for k, v in record["path"][name].items()})
            for name in ("yaw", "pitch", "roll")}  # fmt: skip
    path = camera_path.Path(**record["path"] | axes)
    yaw = np.degrees(camera_path.pose(path, np.array(record["poses"]["time"])).yaw)
    assert yaw == pytest.approx(record["poses"]["yaw"], abs=1e-12)


def test_build_knows_which_picture_a_clip_is_of(tmp_path, photo, here):
    assert shoot(photo, tmp_path / "out").exit_code == 0
    recipe = recipes.override(Recipe(), ["skip=denoise", "resize.width=96", "resize.height=64"])
    (found,), _ = video.find([tmp_path / "out/wall.mkv"])
    picture = worker.inspect(recipe, found).picture
    assert picture == hashlib.sha256(photo.read_bytes()).hexdigest()
    for record in ("{", "[]", json.dumps({"poses": {}, "source": {"sha256": "../x"}})):
        (tmp_path / "out/wall.json").write_text(record)
        assert worker.inspect(recipe, found).picture == ""


def test_finished_clips_are_kept_and_an_interrupted_one_is_shot_again(tmp_path, photo, here):
    out = tmp_path / "out"
    assert shoot(photo, out, "--clips", "2").exit_code == 0
    first, second = (out / "wall.mkv").stat().st_mtime_ns, (out / "wall-2.mkv").read_bytes()
    (out / "wall-2.mkv").unlink()
    again = shoot(photo, out, "--clips", "2")
    assert "wall.mkv is there already" in again.output
    assert "1 clip shot, 1 already there" in again.output
    assert (out / "wall.mkv").stat().st_mtime_ns == first
    assert (out / "wall-2.mkv").read_bytes() == second


def test_nothing_is_overwritten_unless_asked_for(tmp_path, photo, here):
    out = tmp_path / "out"
    out.mkdir()
    (out / "wall.mkv").write_bytes(b"mine")
    refused = shoot(photo, out)
    assert refused.exit_code == 2
    assert "exists, and was not shot with these settings" in refused.output
    assert (out / "wall.mkv").read_bytes() == b"mine"
    assert shoot(photo, out, "--overwrite").exit_code == 0
    assert shoot(photo, out, "--seed", "3").exit_code == 2
    assert len((out / "wall.mkv").read_bytes()) > 100


def test_a_picture_that_cannot_be_used_does_not_stop_the_others(tmp_path, photo, here):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    cv2.imwrite(str(tmp_path / "tiny.png"), wall(90, 70))
    done = shoot(tmp_path / "broken.jpg", tmp_path / "tiny.png", photo, tmp_path / "out")
    assert done.exit_code == 3
    assert "failed: broken.jpg: not a readable" in done.output
    assert "failed: tiny.png: 90x70 is smaller than the frames, 96x64" in done.output
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["wall.json", "wall.mkv"]


def test_json_is_a_line_for_each_clip_and_a_summary(tmp_path, photo, here):
    done = CliRunner().invoke(cli.main, ["shoot", str(photo), str(tmp_path / "out"), "--size", "96x64", "--frames", "3",
                                         "--json"])  # fmt: skip
    shot, summary = map(json.loads, done.stdout.splitlines())
    assert (summary["type"], summary["exit"], summary["failed"]) == ("summary", 0, [])
    assert [{"type": "shot"} | clip for clip in summary["shot"]] == [shot]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{tmp}/none.png"], "no such file or folder"),
        (["{tmp}/empty"], "no pictures in this folder"),
        (["{tmp}/notes.txt"], "not a picture that is read"),
        (["{photo}", "--frames", "0"], "--frames = 0 is outside"),
        (["{photo}", "--rolling-shutter", "5"], "do not fit into a frame of 4 ms"),
        (["{photo}", "{tmp}/twin/wall.jpg"], "would both become wall.mkv"),
        (["{photo}", "--projection", "panorama"], "200x140 is no panorama, which is twice as wide as high"),
    ],
)
def test_mistakes_are_told_in_one_line(tmp_path, photo, here, words, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "twin").mkdir()
    cv2.imwrite(str(tmp_path / "twin/wall.jpg"), wall(200, 140))
    paths = [word.format(tmp=tmp_path, photo=photo) for word in words]
    options = paths[1:] if paths[1:] and paths[1].startswith("--") else []
    inputs = paths[: len(paths) - len(options)]
    done = CliRunner().invoke(cli.main, ["shoot", *inputs, str(tmp_path / "out"), "--size", "96x64", *options])
    assert done.exit_code in (2, 5)
    assert message in done.output
    assert not (tmp_path / "out").exists() or not os.listdir(tmp_path / "out")


def test_an_hdr_picture_with_not_a_number_is_refused(tmp_path):
    light = np.ones((70, 100, 3), np.float32)
    light[3, 4] = np.nan
    cv2.imwrite(str(tmp_path / "a.tiff"), light)
    with pytest.raises(InputError, match="a.tiff: NaN"):
        pictures.read(tmp_path / "a.tiff", SMALL)


def test_negative_light_is_black(tmp_path):
    light = np.ones((70, 100, 3), np.float32)
    light[3, 4] = -0.5
    cv2.imwrite(str(tmp_path / "a.tiff"), light)
    assert pictures.read(tmp_path / "a.tiff", SMALL).light[3, 4].tolist() == [0, 0, 0]


def test_which_pictures_are_panoramas(tmp_path):
    cv2.imwrite(str(tmp_path / "wide.hdr"), np.ones((70, 140, 3), np.float32))
    cv2.imwrite(str(tmp_path / "flat.hdr"), np.ones((70, 120, 3), np.float32))
    cv2.imwrite(str(tmp_path / "wide.jpg"), wall(140, 70))
    xmp = b'<rdf GPano:ProjectionType="equirectangular"/>'
    data = (tmp_path / "wide.jpg").read_bytes()
    segment = b"\xff\xe1" + (2 + 29 + len(xmp)).to_bytes(2, "big") + b"http://ns.adobe.com/xap/1.0/\0" + xmp
    (tmp_path / "sphere.jpg").write_bytes(data[:2] + segment + data[2:])
    read = {name: pictures.read(tmp_path / name, SMALL) for name in ("wide.hdr", "flat.hdr", "wide.jpg", "sphere.jpg")}
    assert {name for name, picture in read.items() if picture.is_panorama} == {"wide.hdr", "sphere.jpg"}
    assert any("not 2:1" in note for note in read["flat.hdr"].notes)
    assert any("nothing calls it a panorama" in note for note in read["wide.jpg"].notes)
    assert pictures.read(tmp_path / "wide.jpg", dataclasses.replace(SMALL, projection="panorama")).is_panorama


def test_clips_for_build_hold_the_pairs_that_the_recipe_asks_for():
    recipe = Recipe()
    recipe = dataclasses.replace(recipe, dataset=dataclasses.replace(recipe.dataset, pairs=9),
                                 resize=dataclasses.replace(recipe.resize, width=96, height=64))  # fmt: skip
    config = for_build.settings(recipe)
    assert (config.width, config.height) == (96, 64)
    facts = VideoInfo(
        name="a", path="a", kind="video", sha256="0" * 64, fps=config.fps, frames=config.frames, width=96, height=64,
        bits=10, colour="", decoder="", cuts=(), repeats=1.0, sigma=0.0, lightness=0.5,
    )  # fmt: skip
    assert len(plan.place(facts, recipe)) == 9
    shorter = dataclasses.replace(facts, frames=config.frames - 4)
    assert len(plan.place(shorter, recipe)) < 9


def test_a_build_of_stills_shoots_one_frame_of_each_picture():
    recipe = recipes.override(Recipe(), ["dataset.pairs=1", "skip=average"])
    assert for_build.settings(recipe).frames == 1
    assert for_build.settings(recipes.override(recipe, ["dataset.pairs=2"])).frames > 1
    assert for_build.settings(recipes.override(recipe, ["skip=noise"])).frames > 1


def test_build_only_darken_makes_dark_and_normal_stills_of_photographs(tmp_path, photo, here, monkeypatch):
    run_here.patch(monkeypatch)
    out = tmp_path / "out"
    done = CliRunner().invoke(cli.main, ["build", "--shoot", str(photo), str(out), "--only", "darken", "--pairs", "1",
                                         "--size", "96x64", "--test-fraction", "0"])  # fmt: skip
    assert done.exit_code == 0, done.output
    low, high = (cv2.imread(str(out / "train" / name / "0000/0000.png")) for name in ("low_sharp", "high_sharp_scaled"))
    assert low.mean() < 0.6 * high.mean()
    assert cv2.imread(str(out / "train/low_blur_noise/0000/0000.png")).shape == low.shape
    assert recipes.load(str(out / "recipe.toml")).skip == tuple(
        stage for stage in STAGE_NAMES if stage not in ("resize", "darken")
    )


def test_build_shoot_is_for_one_whole_build(tmp_path, photo):
    done = CliRunner().invoke(cli.main, ["build", "--shoot", str(photo), str(tmp_path / "out"), "--shard", "1/2"])
    assert done.exit_code == UsageError.exit_code
    assert "--shoot shoots clips for one whole build" in done.output


def test_build_shoot_builds_from_clips_that_it_does_not_keep(tmp_path, photo, here, monkeypatch):
    cv2.imwrite(str(tmp_path / "tiny.png"), wall(90, 70))
    built_from = []

    def build(videos, out, recipe, **options):
        built_from.extend((path.name, path.stat().st_size > 0) for path in videos)
        return builder.Summary(3, 3, 0, (), ())

    monkeypatch.setattr(builder, "build", build)
    out = tmp_path / "out"
    done = CliRunner().invoke(cli.main, ["build", "--shoot", str(photo), str(tmp_path / "tiny.png"), str(out),
                                         "--size", "96x64", "--pairs", "1"])  # fmt: skip
    assert done.exit_code == 3
    assert "tiny.png: 90x70 is smaller than the frames, 96x64" in done.output
    assert built_from == [("wall.mkv", True)]
    assert [file.name for file in (out / ".lolblur/shot").iterdir()] == ["wall.json"]


def test_a_lamp_of_one_pixel_of_a_coarse_panorama_is_round():
    config = dataclasses.replace(SMALL, shake=(0.0, 0.0), pan_share=0.0, walk_share=0.0, zoom_share=0.0)
    light = np.full((64, 128, 3), 0.02, np.float32)
    light[::8, ::8] = 30.0
    picture = pictures.Picture("lamps", "0" * 64, light, np.zeros(light.shape, bool), True)
    seen, _ = clip.draw_clip(picture, 0, config, 0)
    assert seen.density < 0.5
    clipped = (scene.render(seen, 0.0)[:, :, 0] >= 1).astype(np.uint8)
    boxes = cv2.connectedComponentsWithStats(clipped)[2][1:]
    whole = [box for box in boxes if 0 < box[0] < 95 - box[2] and 0 < box[1] < 63 - box[3]]
    assert len(whole) >= 4
    fullness = np.median([area / (width * height) for _, _, width, height, area in whole])
    assert fullness < 0.88  # of the box round it: a disc has 0.79, a square 1


def test_shake_blurs_as_the_gyro_of_hands_does():
    """Extent over a quarter of a second at 8 deg/s and 1120 px: recorded while walking 12, 23, 36 px (10, 50, 90 %)."""
    config = dataclasses.replace(SMALL, shake=(8.0, 8.0), exposure_time=(9 / 250, 9 / 250), fps=2000.0)
    t, extents = np.linspace(0, 0.25, 30), []
    for seed in range(60):
        path = path_of(config, seed)
        places = 0.714 * 1120 * np.stack([path.yaw.angle(t), path.pitch.angle(t)], 1)
        extents.append(np.linalg.norm(places[:, None] - places, axis=2).max())
    assert np.percentile(extents, [10, 50, 90]) == pytest.approx([12, 23, 36], rel=0.25)


def test_long_clips_neither_walk_through_the_picture_nor_zoom_without_end():
    config = dataclasses.replace(SMALL, frames=5000, walk_share=1.0, zoom_share=1.0, zoom=(2.0, 2.0))
    path, place = projection.fit(path_of(config), config, (900, 600))
    seen = camera_path.pose(path, camera_path.times(config))
    assert np.abs(seen.shift[:, 2]).max() <= 0.4
    assert np.abs(np.log(seen.zoom)).max() <= 0.5
    assert place.density(projection.focal(config)) > 1
