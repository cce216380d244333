"""A folder of frames is one sequence, in the order of its numbers, or one refusal that names the files."""

import os
import time
from pathlib import Path

import pytest

from lolblur_synth.errors import InputError
from lolblur_synth.files.video import frames_of, image_files


def fill(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"x")
    return folder


def order(tmp_path: Path, *names: str) -> list[str]:
    return [path.name for path in frames_of(fill(tmp_path / "seq", *names))]


def refusal(tmp_path: Path, *names: str, reason: str) -> str:
    with pytest.raises(InputError) as caught:
        frames_of(fill(tmp_path / "seq", *names))
    assert caught.value.reason == reason, str(caught.value)
    assert str(caught.value).startswith("seq: ")
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    return str(caught.value)


def numbered(*numbers: int, pattern: str = "{:04d}.png") -> list[str]:
    return [pattern.format(number) for number in numbers]


@pytest.mark.parametrize("names", [
    ["only.png"], ["cover 3.png"], ["2.png", "10.png", "18.png"], numbered(*range(12)), numbered(*range(1001, 1030)),
    numbered(*range(0, 90, 2)), numbered(*range(12), pattern="cam1_{:04d}_left.png"),
    numbered(*range(12), pattern="20240101_120000_{:03d}.png"), numbered(9, 10, 11, pattern="v1.{}.png"),
    ["IMG_1.JPG", "img_2.jpg", "IMG_3.jpeg"], numbered(*range(3), pattern="a.{:04d}.tiff"),
    ["20240101_115959_0007.png", "20240101_120000_0008.png", "20240102_000001_0009.png"]])  # fmt: skip
def test_one_number_that_counts_evenly_is_the_order(tmp_path, names):
    assert order(tmp_path, *names) == names


@pytest.mark.parametrize("names", [
    numbered(*range(-12, -2), pattern="{:05d}.tif"), numbered(*range(-12, -2), pattern="cine_{:04d}.tif"),
    numbered(*range(-5, 6), pattern="Img{:06d}.tif")])  # fmt: skip
def test_frames_before_a_trigger_have_negative_numbers(tmp_path, names):
    assert order(tmp_path, *names) == names


def test_a_hyphen_before_a_counter_is_no_sign(tmp_path):
    names = numbered(*range(12), pattern="shot-{:04d}.png")
    assert order(tmp_path, *names) == names
    both = refusal(tmp_path, *numbered(*range(12), pattern="shot{:04d}.png"), reason="twins")
    assert "shot-0000.png and shot0000.png" in both


def test_a_gap_in_a_counter_behind_a_dot_is_no_twin(tmp_path):
    names = [f"v2.{number}.png" for number in range(1, 15) if number != 7]
    assert "frame 7 is missing between v2.6.png and v2.8.png" in refusal(tmp_path, *names, reason="vfr")


def test_decimal_time_stamps_are_ordered_by_value(tmp_path):
    stamps = [f"{round(1305031102 + index / 250, 4)}.png" for index in range(300)]
    assert order(tmp_path, *stamps) == stamps
    assert [path.name for path in image_files(tmp_path / "seq")] != stamps


@pytest.mark.parametrize("names", [
    [f"{index / 30:.3f}.png" for index in range(40)], [f"t={index / 240:.4f}s.png" for index in range(40)],
    [f"{1403636579763555584 + 50_000_000 * index + index % 2 * 256}.png" for index in range(40)],
    [f"{round(1000 * index / 240)}.png" for index in range(100)], ["7.png", "7.25.png", "7.5.png"]])  # fmt: skip
def test_time_stamps_may_be_rounded(tmp_path, names):
    assert order(tmp_path, *names) == names


@pytest.mark.parametrize("names", [
    ["0.00.png", "0.10.png", "0.24.png", "0.30.png"], [f"{250 * i + i % 2 * 40}.png" for i in range(30)]])  # fmt: skip
def test_time_stamps_that_are_not_even_are_refused_as_a_video_is(tmp_path, names):
    assert "frame rate is not constant (time stamps deviate by" in refusal(tmp_path, *names, reason="vfr")


@pytest.mark.parametrize("names", [
    [f"{index / 30:.3f}.png" for index in range(40) if index != 20],
    [f"{round(1000 * index / 240)}.png" for index in range(100) if index != 20]])  # fmt: skip
def test_a_frame_that_is_missing_among_rounded_time_stamps_is_said_to_be_dropped(tmp_path, names):
    assert "1 frame was dropped by the recorder, after frame 19 (" in refusal(tmp_path, *names, reason="vfr")


def test_a_jitter_of_time_stamps_is_admitted_when_asked_for(tmp_path):
    folder = fill(tmp_path / "seq", "0.00.png", "0.10.png", "0.24.png", "0.30.png")
    assert len(frames_of(folder, max_jitter=0.4)) == 4


def test_missing_numbers_are_named(tmp_path):
    text = refusal(tmp_path, *numbered(*(i for i in range(90) if i not in (4, 52, 53))), reason="vfr")
    assert text == (
        "seq: the frame rate is not constant: frame 4 is missing between 0003.png and 0005.png, "
        "frames 52 to 53 are missing between 0051.png and 0054.png"
    )


def test_many_gaps_are_counted(tmp_path):
    text = refusal(tmp_path, *numbered(*(i for i in range(30) if i % 5)), reason="vfr")
    assert text.endswith("frame 15 is missing between 0014.png and 0016.png, and 2 more gaps")


def test_a_gap_between_decimal_time_stamps_is_named(tmp_path):
    text = refusal(tmp_path, *(f"7.{i}.png" for i in (0, 2, 4, 8)), reason="vfr")
    assert "a frame is missing between 7.4.png and 7.8.png" in text


@pytest.mark.parametrize("numbers", [(9998, 9999, 0, 1), (9998, 9999, 1, 2, 3)])
def test_a_counter_that_rolls_over_is_refused(tmp_path, numbers):
    assert "did the counter roll over?" in refusal(tmp_path, *numbered(*numbers), reason="vfr")


@pytest.mark.parametrize(("names", "both"), [
    (["0009.png", "0010.png", "0010 (1).png", "0011.png"], "0010.png and 0010 (1).png"),
    (["0009.png", "0010.png", "0010 copy.png"], "0010.png and 0010 copy.png"),
    (["0009.png", "0010.png", "0010 - Copy.png"], "0010.png and 0010 - Copy.png"),
    (["0009.png", "0010.png", "0010 2.png"], "0010.png and 0010 2.png"),
    (["0009.png", "0010.png", "Copy of 0010.png"], "Copy of 0010.png"),
    (["left_0001.png", "left_0002.png", "right_0001.png"], "left_0001.png and right_0001.png"),
    (["cam1_0001.png", "cam1_0002.png", "cam2_0001.png", "cam2_0002.png"], "cam1_0001.png and cam2_0001.png"),
    (["0000.png", "0001.jpg", "0002.png"], "0000.png and 0001.jpg"),
    (["0000.png", "0001.png", "poster.jpg"], "0000.png and poster.jpg"),
    (["0000.png", "0001.webp", "0002.png"], "0000.png and 0001.webp"),
    (["0000.tif", "0001.exr"], "0000.tif and 0001.exr")])  # fmt: skip
def test_copies_and_second_sequences_are_named(tmp_path, names, both):
    assert both in refusal(tmp_path, *names, reason="mixed")


@pytest.mark.parametrize("names", [
    ["0009.png", "0010.png", "0010.jpg"], ["0009.png", "0010.png", "10.png"], ["0009.png", "0010.png", "0010.PNG"],
    ["0009.jpg", "0010.jpg", "0010.jpeg"], ["0010.png", "0010.bmp"], ["10.png", "0010.png"], ["a.png", "A.PNG"],
    ["7.5.png", "7.50.png", "7.6.png"]])  # fmt: skip
def test_twins_are_refused(tmp_path, names):
    refusal(tmp_path, *names, reason="twins")


@pytest.mark.parametrize("names", [
    ["a.png", "b.png"], ["0001.png", "0002.png", "cover.png"], ["12_00_59_998.png", "12_01_00_002.png",
                                                               "12_01_00_006.png"]])  # fmt: skip
def test_names_that_tell_no_order_are_refused(tmp_path, names):
    refusal(tmp_path, *names, reason="unnumbered")


def test_uneven_counters_are_refused(tmp_path):
    assert "rise by 2 to 3" in refusal(tmp_path, *numbered(0, 2, 5, 7, 10), reason="vfr")


def test_numbers_of_any_length_end_in_an_order_or_a_refusal(tmp_path):
    names = [f"{10**60 + i}.png" for i in range(3)]
    assert order(tmp_path, *names) == names
    refusal(tmp_path, "1.png", "2.png", reason="unnumbered")


def test_a_format_that_is_not_read_is_named(tmp_path):
    assert ".webp images (0000.webp) are not read" in refusal(tmp_path, "0000.webp", "0001.webp", reason="format")


def test_what_is_no_image_does_not_matter(tmp_path):
    names = numbered(*range(3))
    fill(tmp_path / "seq", "._0001.png", ".DS_Store", "Thumbs.db", "meta.json", "README.txt", "0001.xml")
    (tmp_path / "seq" / "0001.jpg").mkdir()
    (tmp_path / "seq" / "@eaDir").mkdir()
    assert order(tmp_path, *names) == names


def test_links_are_followed_to_files_and_dangling_ones_refused(tmp_path):
    store = fill(tmp_path / "store", "ab", "cd")
    folder = fill(tmp_path / "seq", "0000.png")
    (folder / "0001.png").symlink_to(store / "ab")
    (folder / "0002.png").symlink_to("0001.png")
    assert order(tmp_path) == numbered(0, 1, 2)
    (folder / "latest.png").symlink_to("/nowhere/latest.png")
    assert "latest.png is a link to a file that is not there" in refusal(tmp_path, reason="dangling")


def test_a_pipe_among_frames_is_refused_and_not_opened(tmp_path):
    os.mkfifo(fill(tmp_path / "seq", "0000.png") / "0001.png")
    assert "0001.png is a named pipe" in refusal(tmp_path, reason="not-regular")


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(InputError, match="seq: No such file"):
        frames_of(tmp_path / "seq")


def test_photographs_are_listed_whatever_their_names(tmp_path):
    folder = fill(tmp_path / "seq", "10.png", "2.png", "a.jpg", "a.png", "notes.txt", "x.webp")
    assert [path.name for path in image_files(folder)] == ["2.png", "10.png", "a.jpg", "a.png"]


def test_a_hundred_thousand_names_are_read_in_seconds(tmp_path, monkeypatch):
    from lolblur_synth.files import listing

    entries = [listing.Entry(tmp_path / f"{index:06d}.png", listing.FILE) for index in range(100_000)]
    monkeypatch.setattr(listing, "entries", lambda folder: entries)
    started = time.monotonic()
    assert len(frames_of(tmp_path)) == 100_000
    assert time.monotonic() - started < 10
