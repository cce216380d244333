"""VIDEOS and exports in file systems that fsspec knows: the same bytes, and nothing half-written that counts."""

import json
from pathlib import Path

import pytest
from conftest import OPTIONS
from test_dataset import tree
from test_export import files

from lolblur_synth.dataset import build, export, layout, manifest, sources
from lolblur_synth.errors import ForeignOutput, InputError, UsageError
from lolblur_synth.files import remote
from lolblur_synth.files.remote import Found

fsspec = pytest.importorskip("fsspec")
PAIR = ("low_blur_noise", "high_sharp_scaled")


@pytest.fixture
def memory():
    """The URL of an empty folder in this process."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield "memory://bucket/e"
    system.store.clear()


def content(url: str) -> dict[str, bytes]:
    store = remote.Store(url)
    return {found.name: store.read(found.name) for found in store.files()}


def without_surveys(hashes: dict[str, str]) -> dict[str, str]:
    """Their names and their content tell where the videos lie, which nothing else of a dataset does."""
    return {name: value for name, value in hashes.items() if "/surveys/" not in name}


# ---- words ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("word", "answer"), [
    ("s3://b/x", True), ("file:///x", True), ("zip::s3://b/x.zip", True), ("a.mp4@960", False), ("C:/x", False),
    ("/data/x", False), ("s3:/b/x", False)])  # fmt: skip
def test_what_is_a_url(word, answer):
    assert remote.is_url(word) == answer
    assert isinstance(remote.as_word(word), str if answer else Path)


def test_passwords_and_signatures_are_not_shown():
    assert remote.shown("sftp://me:secret@host/x?token=1") == "sftp://host/x"
    assert remote.has_secret("https://host/x.mp4?signature=1")
    assert not remote.has_secret("sftp://me@host/x")


@pytest.mark.parametrize(("url", "words"), [
    ("foo://b/x", "foo"), ("zip::file:///x.zip", "chains are not read"),
    ("s3://", "names no folder"), ("file:///", "names no folder"), ("memory://v", "one process")])  # fmt: skip
def test_urls_that_cannot_be_read_are_one_line(url, words):
    with pytest.raises(UsageError, match=words):
        sources.Sources([url])


def test_a_package_that_is_missing_is_named(monkeypatch):
    def missing(url, **options):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(UsageError, match="s3fs") as caught:
        remote.Store("s3://bucket/x")
    assert "lolblur-synth[remote]" in caught.value.hint


def test_without_fsspec_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "fsspec.core", None)
    with pytest.raises(UsageError, match="fsspec is not installed") as caught:
        remote.Store("file:///x")
    assert "lolblur-synth[remote]" in caught.value.hint


def test_pictures_to_shoot_lie_on_a_disk(run, tmp_path):
    done = run("build", "--shoot", "s3://b/photos", tmp_path / "out")
    assert (done.code, "no URLs" in done.err) == (UsageError.exit_code, True)


@pytest.mark.parametrize("words", [("build", "v", "s3://b/x"), ("status", "s3://b/x"), ("report", "s3://b/x"),
                                   ("export", "s3://b/x"), ("verify", "s3://b/x")])  # fmt: skip
def test_a_dataset_lies_on_a_disk(words):
    from click.testing import CliRunner

    from lolblur_synth.cli import main

    done = CliRunner().invoke(main, words)
    assert done.exit_code == UsageError.exit_code, done.output
    assert "export FOLDER s3://b/x" in done.output


# ---- videos --------------------------------------------------------------------------------------------------------


def test_a_build_from_a_url_is_that_from_a_copy(reference, street_videos, tmp_path, run):
    out = tmp_path / "out"
    done = run("build", street_videos.as_uri(), out, *OPTIONS, timeout=300)
    assert done.code == 0, done.err
    assert without_surveys(tree(out)) == without_surveys(reference.tree)
    assert not list((out / layout.STATE).glob("remote*")), "the copies are gone"
    again = run("build", street_videos.as_uri(), out, *OPTIONS)
    assert "reading" not in again.err, "the survey is kept"
    one = run("verify", out, "--rerun", 1)
    assert (one.code, "0 differ" in one.out) == (0, True), one.out + one.err


def test_names_rates_and_frames_are_told_as_on_a_disk(tmp_path):
    (tmp_path / "v/day1").mkdir(parents=True)
    (tmp_path / "v/day2/frames").mkdir(parents=True)
    for name in ("day1/a.mp4", "day2/a.mp4", "day1/notes.txt", "day2/c.mts", "day2/frames/1.png", "day2/frames/2.png"):
        (tmp_path / "v" / name).write_bytes(b"x")
    (tmp_path / "v/day1/clips.toml").write_text('["a.mp4"]\nfps = 240\n')
    url = (tmp_path / "v").as_uri()
    words = ([f"{url}/day1", f"{url}/day2@960"], [tmp_path / "v/day1", f"{tmp_path / 'v/day2'}@960"])
    told = []
    for named in words:
        with sources.Sources(named).inputs(tmp_path / "copies") as (inputs, refused):
            told.append(([(item.name, item.kind, item.fps) for item in inputs], refused))
    assert told[0] == told[1]
    assert [rate for _, _, rate in told[0][0]] == [240, 960, 960]


def test_a_video_that_is_replaced_is_surveyed_again(tmp_path):
    versions = []
    for data in (b"one", b"two!"):
        (tmp_path / "a.mp4").write_bytes(data)
        with sources.Sources([tmp_path.as_uri()]).inputs() as (inputs, _):
            versions.append(inputs[0].remote.version)
    assert versions[0] != versions[1]


def test_a_video_is_here_while_it_is_needed(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"film")
    (tmp_path / "a.json").write_bytes(b"{}")
    with sources.Sources([tmp_path.as_uri()]).inputs() as (inputs, _):
        assert inputs[0].path.read_bytes() == b""
        with sources.at_hand(inputs[0]) as here:
            assert here.path.read_bytes() == b"film"
            assert here.path.with_suffix(".json").read_bytes() == b"{}"
        assert inputs[0].path.read_bytes() == b""
    assert not inputs[0].path.exists()


def test_names_in_a_store_lead_nowhere_else(tmp_path):
    copies = sources._Copies()
    names = ["../evil.mp4", "a/../../evil.mp4", "/evil.mp4", "a//b.mp4", "nul\0.mp4", f"{'x' * 300}.mp4", "a.mp4",
             "a.mp4/b.mp4", "good.mp4"]  # fmt: skip
    copies.stand_for("s3://b/v", [Found(name, 1, "") for name in names], tmp_path / "top")
    made = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert made == ["top/a.mp4", "top/good.mp4"]


@pytest.mark.parametrize("url", ["file:///nowhere/at/all", "file:///etc/../nowhere"])
def test_a_folder_that_is_not_there(url, tmp_path):
    with pytest.raises(InputError, match="no such file or folder") as caught:
        build.build(url, tmp_path / "out")
    assert caught.value.exit_code == 5
    assert not (tmp_path / "out").exists()


def test_bytes_that_are_lost_on_the_way_are_no_download(tmp_path, monkeypatch):
    from fsspec.implementations.local import LocalFileSystem

    (tmp_path / "a.mp4").write_bytes(b"film")
    monkeypatch.setattr(LocalFileSystem, "get_file", lambda self, path, place: Path(place).write_bytes(b"fi"))
    (tmp_path / "copy").write_bytes(b"")
    with pytest.raises(remote.StoreError, match="2 of 4 bytes arrived") as caught:
        remote.download((tmp_path / "a.mp4").as_uri(), tmp_path / "copy")
    assert caught.value.reason == "network"
    assert (tmp_path / "copy").read_bytes() == b""
    assert len(list(tmp_path.iterdir())) == 2, "nothing is left behind"


# ---- exports -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", export.FORMS)
def test_an_export_to_a_store_has_the_files_of_a_local_one(reference, tmp_path, memory, form):
    export.export(reference.out, tmp_path / "local", form, PAIR)
    for url in (memory, (tmp_path / "store").as_uri()):
        export.export(reference.out, url, form, PAIR)
        stored = content(url)
        told = json.loads(stored.pop("export.json"))
        assert stored == files(tmp_path / "local")
        assert (told["files"], told["bytes"]) == (len(stored), sum(map(len, stored.values())))
        assert told["pairs"] == len(manifest.read(reference.out))
        with pytest.raises(ForeignOutput, match="is complete"):
            export.export(reference.out, url, form, PAIR)


class Lost(ConnectionError):
    """What a store raises when the network is gone."""


def test_an_export_that_broke_off_is_not_complete_and_continues(reference, tmp_path, memory, monkeypatch):
    from fsspec.implementations.memory import MemoryFileSystem

    export.export(reference.out, tmp_path / "local", "flat", PAIR)
    put, names = MemoryFileSystem.pipe_file, []

    def broken(self, path, data, **options):
        if len(names) == 6:
            raise Lost("connection reset by peer")
        names.append(path)
        put(self, path, data, **options)

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", broken)
    with pytest.raises(ForeignOutput, match="no proper answer.*connection reset") as caught:
        export.export(reference.out, memory, "flat", PAIR)
    assert "it continues" in caught.value.hint
    assert "export.json" not in content(memory)
    monkeypatch.setattr(MemoryFileSystem, "pipe_file", put)
    with pytest.raises(ForeignOutput, match="unfinished export of another"):
        export.export(reference.out, memory, "flat", PAIR[:1])
    before = set(content(memory))
    names.clear()

    def counted(self, path, data):
        names.append(path)
        put(self, path, data)

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", counted)
    export.export(reference.out, memory, "flat", PAIR)
    assert {name.removeprefix("/bucket/e/") for name in names} & before <= {"export-unfinished.json"}, "once is enough"
    stored = content(memory)
    del stored["export.json"]
    assert stored == files(tmp_path / "local")


def test_a_damaged_dataset_gives_no_complete_export(reference, memory, tmp_path):
    import shutil

    shutil.copytree(reference.out, tmp_path / "out")
    record = manifest.read(tmp_path / "out")[-1]
    layout.image_path(tmp_path / "out", record["split"], PAIR[0], *record["pair"].split("/")).write_bytes(b"x")
    with pytest.raises(Exception, match="missing or was changed"):
        export.export(tmp_path / "out", memory, "flat", PAIR)
    assert "export.json" not in content(memory)


def test_a_folder_of_something_else_is_left_alone(reference, memory):
    remote.Store(memory).put("mine.txt", b"1")
    with pytest.raises(ForeignOutput, match="exists"):
        export.export(reference.out, memory, "flat", PAIR)
    assert content(memory) == {"mine.txt": b"1"}


def test_a_lost_network_is_waited_for(tmp_path, monkeypatch):
    tries, pauses = [], []

    def download(url, path):
        tries.append(url)
        if len(tries) < 3:
            raise remote.StoreError("lost", "", "network")

    monkeypatch.setattr(remote, "download", download)
    monkeypatch.setattr(remote.time, "sleep", pauses.append)
    remote.download_patiently("s3://b/x", tmp_path / "x")
    assert (len(tries), pauses) == (3, [2, 10])
    monkeypatch.setenv(remote.TRIES, "1")
    tries.clear()
    with pytest.raises(remote.StoreError):
        remote.download_patiently("s3://b/x", tmp_path / "x")
    assert len(tries) == 1


@pytest.mark.parametrize(("error", "reason", "words"), [
    (FileNotFoundError("The specified bucket does not exist"), "missing", "no such bucket, folder or file"),
    (PermissionError("Access Denied"), "denied", r"no permission \(Access Denied\)"),
    (type("NoCredentialsError", (Exception,), {})("Unable to locate credentials"), "denied", "no permission"),
    (ConnectionResetError("reset\nby peer"), "network", r"no proper answer from the store \(reset by peer\)"),
    (type("ClientError", (Exception,), {})(""), "network", r"\(ClientError\)")])  # fmt: skip
def test_what_a_store_raises_is_one_line(error, reason, words, memory, monkeypatch, reference):
    from fsspec.implementations.memory import MemoryFileSystem

    def raising(*names, **options):
        raise error

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", raising)
    with pytest.raises(remote.StoreError, match=words) as caught:
        remote.Store("memory://me:secret@bucket/e").put("a", b"1")
    assert (caught.value.reason, caught.value.stops) == (reason, reason != "missing")
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    with pytest.raises(ForeignOutput, match=words):
        export.export(reference.out, memory, "flat", PAIR)
