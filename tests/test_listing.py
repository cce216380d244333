"""One way to list files: system files are passed over, links are followed to regular files, nothing is opened."""

import os
from pathlib import Path

import pytest

from lolblur_synth.errors import InputError
from lolblur_synth.files import listing


def fill(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def names(paths) -> list[str]:
    return [path.name for path in paths]


def test_files_of_the_operating_system_are_passed_over(tmp_path):
    fill(tmp_path, "b.png", "a.PNG", "._a.png", ".DS_Store", "Thumbs.db", "@eaDir/b.png", "lost+found/c.png", "c.txt")
    assert names(listing.files(tmp_path, (".png",), below=True)) == ["a.PNG", "b.png"]
    assert [entry.path.name for entry in listing.entries(tmp_path)] == ["a.PNG", "b.png", "c.txt"]


def test_a_folder_with_the_suffix_of_an_image_is_entered_but_is_no_file(tmp_path):
    fill(tmp_path, "shot.png/0.png", "1.png")
    assert names(listing.files(tmp_path, (".png",))) == ["1.png"]
    assert names(listing.files(tmp_path, (".png",), below=True)) == ["1.png", "0.png"]


def test_a_link_counts_as_the_file_that_it_ends_at(tmp_path):
    fill(tmp_path, "store/ab12")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "0.png").symlink_to(tmp_path / "store" / "ab12")
    (tmp_path / "data" / "1.png").symlink_to("0.png")
    assert names(listing.files(tmp_path / "data", (".png",))) == ["0.png", "1.png"]


def test_a_link_to_a_missing_file_is_named(tmp_path):
    (tmp_path / "0.png").symlink_to("nowhere.png")
    assert listing.kind_of(tmp_path / "0.png") == listing.DANGLING
    with pytest.raises(InputError, match=r"0\.png: a link to a file that is not there"):
        listing.files(tmp_path, (".png",))
    assert listing.files(tmp_path, (".jpg",)) == []


def test_links_that_go_in_a_circle_end(tmp_path):
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "a.png").symlink_to("b.png")
    (tmp_path / "b.png").symlink_to("a.png")
    kinds = {entry.path.name: entry.kind for entry in listing.walk(tmp_path)}
    assert kinds == {"again": listing.LINKED_FOLDER, "a.png": listing.DANGLING, "b.png": listing.DANGLING}


def test_special_files_are_named_and_not_opened(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    assert listing.entries(tmp_path) == [(tmp_path / "a.png", "named pipe")]
    assert listing.files(tmp_path, (".png",)) == []


def test_a_folder_that_cannot_be_listed_is_one_line(tmp_path):
    with pytest.raises(InputError, match="nowhere: No such file"):
        listing.files(tmp_path / "nowhere", (".png",))
    fill(tmp_path, "file")
    with pytest.raises(InputError, match="file: Not a directory"):
        listing.files(tmp_path / "file", (".png",), below=True)
