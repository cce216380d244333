"""Links that a stranger planted in a dataset lead no write out of it (reliability class T14)."""

import os
from pathlib import Path

import pytest
import run_here
from test_dataset import build as toy_build

import lolblur_synth
from lolblur_synth.dataset import export, layout, report, verify
from lolblur_synth.errors import LolblurError, UsageError

QUICK = ["resize.width=48", "resize.height=32", "dataset.pairs=1", "skip=denoise,interpolate,defocus,noise"]
FILES = ["log.jsonl", "lock", "lock.owner", "manifest.lock", "plan.json"]
FOLDERS = ["tmp", "surveys", "pairs", "pairs/train", "failed"]
PLACES = [(f".lolblur/{name}", kind) for name in FILES for kind in ("file", "nothing")]
PLACES += [(f".lolblur/{name}", "folder") for name in FOLDERS] + [("manifest.jsonl", "file"), ("recipe.toml", "file")]
PLACES += [(name, "folder") for name in ("train", "train/low_blur", "train/low_blur/0000", "test", "stages")]


def everything_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


def test_thumbnails_are_not_written_behind_a_link(tmp_path, monkeypatch):
    toy_build(tmp_path / "out")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out/report").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setattr(report, "EMBEDDED_PAIRS", 1)
    with pytest.raises(UsageError, match="is a link"):
        report.write(tmp_path / "out", quick=True)
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize(("place", "kind"), PLACES)
def test_no_command_writes_through_a_planted_link(place, kind, street_videos, tmp_path, monkeypatch):
    run_here.patch(monkeypatch)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_bytes(b"precious\n")
    (elsewhere / "folder").mkdir()
    (out / layout.STATE).mkdir(parents=True)
    (out / place).parent.mkdir(parents=True, exist_ok=True)
    (out / place).symlink_to(elsewhere / kind)
    before = everything_in(elsewhere)
    for step in (
        lambda: lolblur_synth.build(street_videos / "a.mp4", out, set=QUICK, jobs=1),
        lambda: toy_build(out),
        lambda: verify.verify(out),
        lambda: report.write(out, quick=True),
        lambda: export.export(out, tmp_path / "exported", "flat"),
    ):
        try:
            step()
        except (LolblurError, OSError):
            pass
        assert everything_in(elsewhere) == before
