"""What `stage` writes: the suffix says the format, nothing of a user's is lost, a stage named is applied."""

import json
import os

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from lolblur_synth import recipes
from lolblur_synth.commands import stage
from lolblur_synth.errors import InputError, Interrupted, UsageError
from lolblur_synth.files import images, sample_count, video
from lolblur_synth.recipe.schema import InputConfig
from lolblur_synth.tools import outputs, photographs, sources
from lolblur_synth.tools import stage as single
from lolblur_synth.tools.request import Request

MAGIC = {".png": b"\x89PNG", ".jpg": b"\xff\xd8", ".jpeg": b"\xff\xd8", ".tif": b"II*\0", ".tiff": b"II*\0"}


def texture(height=48, width=64, seed=0):
    rng = np.random.default_rng(seed)
    return cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), dtype=np.uint8), (0, 0), 2)


def fill(folder, *names, size=(48, 64)):
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        cv2.imwrite(str(folder / name), texture(*size, seed=number))
    return folder


def ask(name, source, target, *words, **options):
    recipe = recipes.override(recipes.load("lolblur"), [f"{name}.{word}" for word in words])
    return photographs.run(Request(name, source, target, recipe, **options))


@pytest.fixture
def frames(tmp_path):
    return fill(tmp_path / "frames", *(f"{i:04}.png" for i in range(10)))


@pytest.mark.parametrize("suffix", [*MAGIC, ".PNG", ".JPG"])
def test_the_bytes_of_a_file_are_what_its_suffix_says(suffix, frames, tmp_path):
    target = tmp_path / f"out{suffix}"
    ask("resize", frames / "0000.png", target, "width=64", "height=48")
    assert target.read_bytes().startswith(MAGIC[suffix.lower()])
    difference = images.read_image(target) - images.read_image(frames / "0000.png")
    assert np.sqrt((difference**2).mean()) < 2 / 255


def test_sixteen_bits_are_written_to_png_and_tiff(frames, tmp_path):
    for suffix in (".png", ".tif"):
        ask("resize", frames / "0000.png", tmp_path / f"a{suffix}", "width=32", "height=24", bits=16)
        assert images.load(tmp_path / f"a{suffix}").dtype == np.uint16


@pytest.mark.parametrize(("name", "output", "options", "expected"), [
    ("clip_reverse", "c.png", {}, "linear light does not fit into .png"),
    ("clip_reverse", "c.jpg", {}, "linear light does not fit into .jpg"),
    ("resize", "c.jpg", {"bits": 16}, "JPEG has 8 bits a channel, not 16"),
    ("resize", "c.mp4", {"bits": 16}, "video is written with 8 bits"),
    ("resize", "c.bmp", {}, "cannot write .bmp files"),
    ("resize", "c.unknown", {}, "cannot write .unknown files"),
    ("resize", "c.gif", {}, "cannot write .gif files"),
])  # fmt: skip
def test_a_suffix_that_cannot_be_written_is_refused(name, output, options, expected, frames, tmp_path):
    with pytest.raises(UsageError, match=expected):
        ask(name, frames / "0000.png", tmp_path / output, **options)
    assert not (tmp_path / output).exists()


@pytest.mark.parametrize("output", ["c.gif", "c.webm", "c.mxf", "c.bmp", "c.webp", "c.zip", "c.png", "c.tiff"])
def test_a_folder_of_frames_does_not_go_into_one_file_of_another_kind(output, frames, tmp_path):
    with pytest.raises(UsageError, match="cannot write|cannot hold 10 frames"):
        ask("resize", frames, tmp_path / output, "width=32", "height=24")
    assert not (tmp_path / output).exists()


def test_a_dot_in_the_name_of_a_folder_is_no_suffix(frames, tmp_path):
    assert ask("resize", frames, tmp_path / "out.v2", "width=32", "height=24", limit=2).results[0].frames == 2
    assert len(list((tmp_path / "out.v2").iterdir())) == 2


def test_two_images_of_one_name_are_refused_before_anything_is_written(tmp_path):
    source = fill(tmp_path / "in", "0010.jpg", "0010.png", "0011.png")
    for name in ("resize", "noise"):
        with pytest.raises(InputError, match="differ in their suffix alone"):
            ask(name, source, tmp_path / "out")
        assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="differ in their suffix alone"):
        ask("resize", source, tmp_path / "out", each=True)


def test_fewer_than_one_frame_is_refused(frames, tmp_path, run):
    for count in ("-1", "0"):
        done = run("stage", "resize", frames, tmp_path / "out", "--frames", count)
        assert done.code == 2 and f"{count} is not in the range x>=1" in done.err
        assert not (tmp_path / "out").exists()


def test_a_default_folder_with_a_file_of_the_users_is_not_written_again(frames, tmp_path):
    target, size = tmp_path / "resize-out", ("width=32", "height=24")
    ask("resize", frames, target, *size, limit=3, default_target=True)
    report = ask("resize", frames, target, *size, limit=2, default_target=True)
    assert report.replaced == 3 and len(list(target.glob("*.png"))) == 2
    (target / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not as a stage run left them: notes.txt"):
        ask("resize", frames, target, *size, limit=2, default_target=True)
    (target / "notes.txt").unlink()
    cv2.imwrite(str(target / "0000.png"), texture())  # painted over
    with pytest.raises(UsageError, match="not as a stage run left them: 0000.png"):
        ask("resize", frames, target, *size, limit=2, default_target=True)
    assert cv2.imread(str(target / "0000.png")).shape == (48, 64, 3)
    ask("resize", frames, target, *size, limit=2, default_target=True, overwrite=True)
    assert cv2.imread(str(target / "0000.png")).shape == (24, 32, 3)


def test_frames_of_an_earlier_longer_run_are_not_mixed_with_new_ones(frames, tmp_path):
    ask("resize", frames, tmp_path / "out", "width=32", "height=24", limit=4)
    with pytest.raises(UsageError, match=r"0000\.png exists"):
        ask("resize", frames, tmp_path / "out", "width=32", "height=24", limit=3)
    with pytest.raises(UsageError, match=r"no frames of this run: 0003\.png"):
        ask("resize", frames, tmp_path / "out", "width=32", "height=24", limit=3, overwrite=True)
    assert ask("resize", frames, tmp_path / "out", "width=32", "height=24", limit=4, overwrite=True).results


def test_an_output_never_replaces_its_input(frames, tmp_path):
    for source, target in ((frames, frames), (frames / "0000.png", frames)):
        before = (frames / "0000.png").read_bytes()
        with pytest.raises(UsageError, match="is the input"):
            ask("resize", source, target, "width=32", "height=24", overwrite=True)
        assert (frames / "0000.png").read_bytes() == before
    with pytest.raises(UsageError, match="the frames are written there"):
        ask("darken", frames, tmp_path / "out", curves=tmp_path / "out")
    with pytest.raises(UsageError, match="is the name of a file, but a folder is written"):
        ask("darken", frames, tmp_path / "out", curves=tmp_path / "maps.png")


@pytest.mark.parametrize("seed", range(4))
def test_noise_and_defocus_are_applied_for_every_seed(seed, frames, tmp_path, run):
    """The words of the command line; the draw itself is checked below, where it is cheap."""
    for words in (["noise", "--model", "gaussian", "--sigma", "5"], ["defocus", "--radius", "2"]):
        command = ["stage", words[0], str(frames / "0000.png"), str(tmp_path / f"{words[0]}.png"), *words[1:]]
        done = CliRunner().invoke(stage.stage, [*command[1:], "--seed", str(seed), "--json", "--device", "cpu"],
                                  obj="human")  # fmt: skip
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["draw"]["applied"]
        assert not np.array_equal(cv2.imread(command[3]), cv2.imread(str(frames / "0000.png")))
        never = CliRunner().invoke(stage.stage, [*command[1:], "--probability", "0", "--overwrite"], obj="human")
        assert never.exit_code == 0 and f"{words[0]}: not applied -> " in never.stdout


def test_what_was_done_is_said_in_words_and_as_json(frames, tmp_path):
    words = ["noise", str(frames / "0000.png"), str(tmp_path / "coffee.png"), "--model", "raw-pg", "--iso", "176",
             "--white-balance", "tungsten"]  # fmt: skip
    done = CliRunner().invoke(stage.stage, words, obj="human")
    assert done.stdout == f"noise: ISO 176, tungsten -> {tmp_path / 'coffee.png'}\n"
    done = CliRunner().invoke(stage.stage, [*words, "--json", "--overwrite"], obj="human")
    record = json.loads(done.stdout)
    assert (record["stage"], record["frames"], record["draw"]["iso"]) == ("noise", 1, pytest.approx(176))
    done = CliRunner().invoke(stage.stage, ["darken", str(frames), str(tmp_path / "out"), "--json"], obj="human")
    assert list(json.loads(done.stdout)["draw"]) == ["exposure"]


def test_average_takes_windows_of_source_frames(frames, tmp_path):
    assert ask("average", frames, tmp_path / "out", "window=3").results[0].frames == 3
    mean = np.mean([(images.read_image(frames / f"{i:04}.png") ** 2.2) for i in (3, 4, 5)], 0)
    assert np.abs(images.load(tmp_path / "out/000001.tiff")[..., ::-1] - mean).max() < 1e-5


def test_average_takes_windows_of_samples_of_what_interpolate_made(frames, tmp_path):
    ask("interpolate", frames, tmp_path / "fast", "factor=4", "method=blend", limit=4)
    assert ask("average", tmp_path / "fast", tmp_path / "one", "window=3").results[0].frames == 1
    ask("clip_reverse", tmp_path / "fast", tmp_path / "light")
    assert ask("average", tmp_path / "light", tmp_path / "two", "window=3").results[0].frames == 1
    assert ask("average", tmp_path / "light", tmp_path / "six", "window=3", samples=1).results[0].frames == 4
    ask("interpolate", frames, tmp_path / "fast.mp4", "factor=4", "method=blend", limit=4)
    assert ask("average", tmp_path / "fast.mp4", tmp_path / "three", "window=3").results[0].frames == 1


def test_the_note_of_the_sampling_does_not_change_a_pixel():
    frame = texture()
    for suffix in (".png", ".tiff"):
        data = images.encode(suffix, frame / np.float32(255))
        noted = sample_count.marked(data, 8)
        assert sample_count.samples_of(noted) == 8 and sample_count.samples_of(data) == 1
        before, after = (cv2.imdecode(np.frombuffer(part, np.uint8), -1) for part in (data, noted))
        assert np.array_equal(before, after)
    assert sample_count.samples_of(sample_count.marked(images.encode_linear(frame / np.float32(255)), 72)) == 72
    assert sample_count.samples_of(b"\x89PNG\r\n\x1a\nxx") == 1


@pytest.mark.parametrize(("name", "words", "expected"), [
    ("interpolate", [], "interpolate needs at least 2 frames, this is 1"),
    ("average", ["window=7"], "average needs at least 7 frames for --window 7, this is 1"),
    ("average", ["window=1"], "average needs at least 2 frames"),
])  # fmt: skip
def test_one_image_has_no_neighbours(name, words, expected, frames, tmp_path):
    with pytest.raises(InputError, match=expected):
        ask(name, frames / "0000.png", tmp_path / "out", *words)


def test_too_few_frames_for_a_window_are_refused(frames, tmp_path):
    with pytest.raises(InputError, match="average needs at least 12 frames for --window 12, this is 10"):
        ask("average", frames, tmp_path / "out", "window=12")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    fill(folder, "beach.jpg", "coffee.png", size=(48, 64))
    cv2.imwrite(str(folder / "tower.png"), texture(64, 48, 5))
    return folder


@pytest.mark.parametrize(("name", "words"), [
    ("resize", ["width=32", "height=24"]), ("darken", ["exposure=0.1"]), ("denoise", ["sigma=5"]),
    ("defocus", ["probability=1"]), ("noise", ["probability=1", "model=raw-pg"]), ("clip_reverse", []),
])  # fmt: skip
def test_photographs_of_different_sizes_each_get_a_draw(name, words, photos, tmp_path):
    report = ask(name, photos, tmp_path / "out", *words, jobs=1)
    suffix = ".tiff" if name == "clip_reverse" else ".png"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"{stem}{suffix}" for stem in ("beach", "coffee", "tower")]  # fmt: skip
    assert images.load(tmp_path / f"out/tower{suffix}").shape[:2] == ((24, 32) if name == "resize" else (64, 48))
    draws = [json.dumps(result.draw) for result in report.results]
    if name in ("defocus", "noise", "clip_reverse"):
        assert len(set(draws)) == 3
    alone = single.run(
        Request(
            name,
            photos / "tower.png",
            tmp_path / f"alone{suffix}",
            recipes.override(recipes.load("lolblur"), [f"{name}.{word}" for word in words]),
        )
    )
    assert alone.results[0].draw == report.results[2].draw


@pytest.mark.parametrize("name", ["interpolate", "average"])
def test_photographs_are_no_clip(name, photos, tmp_path):
    with pytest.raises(InputError, match="differ in size"):
        ask(name, photos, tmp_path / "out")
    with pytest.raises(UsageError, match="--each"):
        ask(name, photos, tmp_path / "out", each=True)


def test_the_bytes_do_not_depend_on_the_number_of_processes(photos, tmp_path):
    for jobs in (1, 2):
        ask("darken", photos, tmp_path / f"out{jobs}", jobs=jobs)
    for file in sorted((tmp_path / "out1").iterdir()):
        assert file.read_bytes() == (tmp_path / "out2" / file.name).read_bytes()


def test_photographs_of_one_size_are_one_clip_unless_each_is_said(frames, tmp_path):
    assert len(ask("noise", frames, tmp_path / "clip", "model=gaussian", limit=3).results) == 1
    report = ask("noise", frames, tmp_path / "each", "model=gaussian", limit=3, each=True, jobs=1)
    assert [result.frames for result in report.results] == [1, 1, 1]


def test_a_turned_photograph_counts_with_the_size_it_is_shown_at(tmp_path):
    """Two JPEG files of 64x48 pixels, one of which is marked as turned by a quarter."""
    folder = fill(tmp_path / "in", "a.jpg", "b.jpg")
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    data = (folder / "b.jpg").read_bytes()
    turned = data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:]
    (folder / "b.jpg").write_bytes(turned)
    assert len(ask("noise", folder, tmp_path / "out", "model=gaussian", jobs=1).results) == 2


def test_one_damaged_photograph_is_listed_and_the_others_are_written(photos, tmp_path, run):
    (photos / "torn.png").write_bytes((photos / "tower.png").read_bytes()[:60])
    done = run("stage", "resize", photos, tmp_path / "out", "--width", "32", "--height", "24", "--jobs", "1")
    assert done.code == 3 and "1 of 4 photographs failed" in done.err
    assert len([line for line in done.err.splitlines() if "torn.png" in line]) == 1
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_frames_whose_names_have_gaps_do_where_no_neighbour_is_needed(frames, tmp_path):
    (frames / "0004.png").unlink()
    assert ask("resize", frames, tmp_path / "out", "width=32", "height=24").results[0].frames == 9
    for name in ("denoise", "darken", "interpolate", "average"):
        with pytest.raises(InputError):
            ask(name, frames, tmp_path / "other")


def test_what_was_passed_over_and_might_have_been_meant_is_named(frames, tmp_path, caplog):
    (frames / "clip.MTS").write_bytes(b"x")
    (frames / "b.bmp").write_bytes(b"x")
    (frames / "._0000.png").write_bytes(b"x")
    ask("resize", frames, tmp_path / "out", "width=32", "height=24")
    assert "passed over: 1 .bmp, 1 .mts" in caplog.text


def test_an_alpha_channel_that_is_left_out_is_told(tmp_path, caplog):
    cv2.imwrite(str(tmp_path / "a.png"), np.dstack((texture(), np.full((48, 64), 128, np.uint8))))
    ask("resize", tmp_path / "a.png", tmp_path / "out.png", "width=64", "height=48")
    assert "a.png: its transparent parts are shown on black" in caplog.text


def test_a_pipe_with_the_name_of_an_image_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(InputError):
        ask("resize", tmp_path / "a.png", tmp_path / "out.png")


def test_the_form_of_an_output_follows_from_its_suffix(tmp_path):
    (tmp_path / "old.png").mkdir()
    assert outputs.form(tmp_path / "old.png", 5) == "folder", "it is there, as a folder"
    assert outputs.form(tmp_path / "a.MP4", 5) == "video"
    assert outputs.form(tmp_path / "a", 5) == "folder"
    assert outputs.form(tmp_path / "a.tiff", 1, linear=True) == "image"


def test_the_comment_of_a_video_is_kept(tmp_path):
    for suffix in (".mp4", ".mkv", ".mov", ".m4v", ".avi"):
        path = tmp_path / f"a{suffix}"
        video.write_video(path, (np.full((32, 48, 3), 0.5, np.float32) for _ in range(3)), 250, sample_count.note(8))
        clip = video.probe(video.find([path])[0][0], InputConfig())
        assert clip.frames == 3
        assert sources.movie(path, recipes.load("lolblur"), None).samples == 8


def test_a_remedy_for_photographs_is_one_that_works(photos, tmp_path):
    for target in ("a.png", "a.exr", "a.mp4"):
        with pytest.raises(UsageError) as caught:
            ask("noise", photos, tmp_path / target)
        assert ".mp4" not in caught.value.hint and "name a folder" in caught.value.hint


@pytest.mark.parametrize(("each", "options", "remedy"), [
    (False, {}, "add --overwrite to begin again"), (True, {"jobs": 1}, "add --overwrite to begin again"),
    (False, {"default_target": True}, "the same command begins again"),
])  # fmt: skip
def test_ctrl_c_tells_what_is_kept_and_how_to_begin_again(frames, tmp_path, monkeypatch, each, options, remedy):
    write, calls = outputs.write_frame, []

    def interrupted(*words, **more):
        calls.append(words)
        if len(calls) == 4:
            raise KeyboardInterrupt
        write(*words, **more)

    monkeypatch.setattr(outputs, "write_frame", interrupted)
    what = "photographs" if each else "frames"
    with pytest.raises(Interrupted, match=f"out: interrupted after 3 of 10 {what}; they are kept") as caught:
        ask("resize", frames, tmp_path / "out", "width=32", "height=24", each=each, **options)
    assert caught.value.hint == remedy
    monkeypatch.setattr(outputs, "write_frame", write)
    ask("resize", frames, tmp_path / "out", "width=32", "height=24", each=each, **options, overwrite="--" in remedy)
    assert len(list((tmp_path / "out").glob("*.png"))) == 10, "the remedy works"
