"""The commit protocol, with a failure injected at every write, rename and fsync (reliability class T2)."""

import errno
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from lolblur_synth import recipes
from lolblur_synth.dataset import checks, layout, manifest, verify
from lolblur_synth.errors import Damaged, ForeignOutput, NoSpace

PAIRS = [("train", "0000", "0000"), ("train", "0000", "0001"), ("test", "0001", "0000")]
VOLATILE = (".lock", ".owner", "lock", "log.jsonl")


def tree(root: Path) -> dict[str, str]:
    """What "byte-identical" means: every file but locks and the log."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.endswith(VOLATILE)
    }


def images(number: int) -> dict[str, np.ndarray]:
    pixels = np.random.default_rng(number).integers(0, 256, (5, 8, 12, 3), dtype=np.uint8)
    return dict(zip(layout.FOLDERS, pixels, strict=True))


def build(out: Path) -> None:
    """A build of three pairs with the real protocol and dummy pixels."""
    (out / layout.STATE).mkdir(parents=True, exist_ok=True)
    plan = {
        "clips": [
            {"sequence": "0000", "split": "train", "pairs": ["0000", "0001"]},
            {"sequence": "0001", "split": "test", "pairs": ["0000"]},
        ]
    }
    layout.clean(out)
    layout.write_atomic(out, out / layout.STATE / "plan.json", layout.to_json(plan))
    for number, (split, sequence, name) in enumerate(PAIRS):
        if not layout.is_done(out, split, sequence, name, "key"):
            record = {"pair": f"{sequence}/{name}", "split": split, "sequence": sequence, "name": name, "key": "key"}
            layout.commit(out, record, images(number), 3)
    manifest.write(out)
    layout.clean(out)


class FaultyDisk(layout.Disk):
    """Fails at the n-th operation, in the way given; `count` tells how many there were."""

    def __init__(self, n: int, fault: str):
        self.n, self.fault, self.count = n, fault, 0

    def _step(self, path) -> None:
        self.count += 1
        if self.count == self.n:
            if self.fault == "exit":
                os._exit(9)
            code = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "torn": errno.ENOSPC}[self.fault]
            if self.fault == "torn" and isinstance(path, tuple):
                path[0].write_bytes(path[1][: len(path[1]) // 2])
            raise OSError(code, os.strerror(code))

    def write(self, path, data):
        self._step((path, data))
        super().write(path, data)

    def rename(self, source, target):
        self._step(source)
        super().rename(source, target)

    def fsync(self, folder):
        self._step(folder)
        super().fsync(folder)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    out = tmp_path_factory.mktemp("reference") / "out"
    build(out)
    return tree(out)


def operations(tmp_path, monkeypatch) -> int:
    counting = FaultyDisk(0, "EIO")
    monkeypatch.setattr(layout, "disk", counting)
    build(tmp_path / "count")
    return counting.count


@pytest.mark.parametrize("fault", ["EIO", "ENOSPC", "torn", "exit"])
def test_fail_at_every_operation_then_resume(fault, tmp_path, monkeypatch, reference):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # slow, and only a power failure could show its effect
    total = operations(tmp_path, monkeypatch)
    assert total > 50
    for n in range(1, total + 1):
        out = tmp_path / str(n)
        monkeypatch.setattr(layout, "disk", FaultyDisk(n, fault))
        if fault == "exit":
            child = os.fork()
            if child == 0:
                build(out)
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        else:
            with pytest.raises(NoSpace if fault != "EIO" else OSError):
                build(out)
        for record in layout.records(out):  # what counts as done is whole at every moment
            for folder in layout.FOLDERS:
                path = layout.image_path(out, record["split"], folder, record["sequence"], record["name"])
                assert hashlib.sha256(path.read_bytes()).hexdigest() == record["sha256"][folder]["file"]
        monkeypatch.setattr(layout, "disk", layout.Disk())
        build(out)
        assert tree(out) == reference, f"fault at operation {n}"


def test_no_space_names_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "disk", FaultyDisk(3, "ENOSPC"))
    with pytest.raises(NoSpace) as caught:
        build(tmp_path / "out")
    assert "MB free" in str(caught.value)
    assert caught.value.hint
    assert caught.value.exit_code == 13


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete", "add", "swap", "record", "no-record", "manifest"])
def test_verify_finds_damage_and_build_repairs_it(damage, tmp_path, reference):
    out = tmp_path / "out"
    build(out)
    assert verify.verify(out) == []
    assert verify.verify(out, pixels=True) == []
    image = out / "train/low_blur/0000/0001.png"
    other = out / "train/low_blur/0000/0000.png"
    record = layout.record_path(out, "train", "0000", "0001")
    data = image.read_bytes()
    if damage == "flip":
        image.write_bytes(data[:60] + bytes([data[60] ^ 1]) + data[61:])
    elif damage == "truncate":
        image.write_bytes(data[:-7])
    elif damage == "delete":
        image.unlink()
    elif damage == "add":
        (out / "train/low_blur/0000/0007.png").write_bytes(data)
    elif damage == "swap":
        image.write_bytes(other.read_bytes())
        other.write_bytes(data)
    elif damage == "record":
        record.write_bytes(record.read_bytes()[:40])
    elif damage == "no-record":
        record.unlink()
    else:
        (out / "manifest.jsonl").write_text('{"half')
    before = tree(out)
    words = {found.word for found in verify.verify(out)}
    expected = {
        "flip": {"corrupt"},
        "truncate": {"corrupt"},
        "delete": {"missing"},
        "add": {"extra"},
        "swap": {"corrupt"},
        "record": {"record", "extra"},
        "no-record": {"missing", "extra", "stale"},
        "manifest": {"stale"},
    }[damage]
    assert words == expected
    assert tree(out) == before, "verify must not change anything"
    if damage in ("delete", "truncate", "record", "no-record", "manifest"):
        build(out)
        assert tree(out) == reference


def test_pixels_survive_a_re_encoding(tmp_path):
    out = tmp_path / "out"
    build(out)
    path = out / "train/low_blur/0000/0000.png"
    pixels = images(0)["low_blur"]
    path.write_bytes(layout.encode_png(pixels, 9))
    assert [d.word for d in verify.verify(out)] == ["corrupt"]
    assert verify.verify(out, pixels=True) == []


def test_a_planted_link_is_not_followed(tmp_path):
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (out / "train/low_blur").mkdir(parents=True)
    (out / "train/low_blur/0000").symlink_to(elsewhere)
    with pytest.raises(ForeignOutput):
        build(out)
    assert list(elsewhere.iterdir()) == []


def test_records_with_foreign_names_are_not_followed(tmp_path):
    out = tmp_path / "out"
    build(out)
    path = layout.record_path(out, "train", "0000", "0000")
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"sequence": "../../../etc", "name": "passwd"}))
    assert "record" in {d.word for d in verify.verify(out)}


@pytest.mark.parametrize("names", [{"pair": "../../etc"}, {"pair": "0000/0000/.."}, {"split": ".."}, {"pair": None}])
def test_a_manifest_that_names_no_pair_is_damage(tmp_path, names):
    build(tmp_path)
    line = json.loads((tmp_path / manifest.NAME).read_text().splitlines()[0])
    (tmp_path / manifest.NAME).write_text(json.dumps(line | names) + "\n")
    with pytest.raises(Damaged, match=r"manifest\.jsonl:1: not the record of a pair"):
        manifest.read(tmp_path)


def test_a_manifest_that_is_nested_without_end_is_damage(tmp_path):
    build(tmp_path)
    (tmp_path / manifest.NAME).write_text("[" * 100_000 + "\n")
    assert {damage.word for damage in verify.verify(tmp_path)} == {"stale"}
    layout.record_path(tmp_path, *PAIRS[0]).write_text('{"a":' * 100_000)
    assert "record" in {damage.word for damage in verify.verify(tmp_path)}


def test_system_files_are_neither_damage_nor_content(tmp_path):
    out = tmp_path / "out"
    build(out)
    size = verify.status(out)["bytes"]
    for name in ("train/.DS_Store", "train/low_blur/0000/._0000.png", "test/Thumbs.db", "train/@eaDir/0000.png"):
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_bytes(b"x" * 4096)
    state = out / layout.STATE
    (state / "pairs/train/0000/._0000.json").write_bytes(b"\0\5\26\7")
    (state / "failed/0000").mkdir(parents=True)
    (state / "failed/0000/._0000.json").write_bytes(b"\0\5\26\7")
    assert verify.verify(out) == []
    assert verify.status(out)["bytes"] == size
    assert len(list(layout.records(out))) == len(PAIRS)
    assert list(layout.failures(out)) == []
    (out / "train/low_blur/0000/lost.png").symlink_to("nowhere")
    assert [(d.word, d.path) for d in verify.verify(out)] == [("extra", "train/low_blur/0000/lost.png")]
    assert verify.status(out)["bytes"] == size


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "lost+found", "._out", "desktop.ini"])
def test_a_folder_with_system_files_alone_is_empty(tmp_path, name):
    (tmp_path / name).mkdir()
    checks.claim(tmp_path, recipes.load("lolblur"))
    assert (tmp_path / layout.STATE).is_dir()


def test_a_folder_with_anything_else_is_foreign(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ForeignOutput, match="holds files that are not"):
        checks.claim(tmp_path, recipes.load("lolblur"))


@pytest.mark.parametrize("text", ['{"seconds": NaN}', '{"seconds": 1e999}', "[" * 10**6, "[1]", "{", b"\xff"])
def test_what_to_json_cannot_write_is_no_state(tmp_path, text):
    """Python's reader takes numbers that its strict writer refuses: a record with one could not go into a manifest."""
    (tmp_path / "0000.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert layout.read_json(tmp_path / "0000.json") is None


def test_state_that_to_json_wrote_is_read(tmp_path):
    value = {"fps": 250.0, "name": "\udcff", "pair": None, "small": 1e-300, "draws": [1, {"r": 20}]}
    (tmp_path / "0000.json").write_bytes(layout.to_json(value))
    assert layout.read_json(tmp_path / "0000.json") == value
