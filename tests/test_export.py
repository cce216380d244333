"""Exports hold the dataset's own bytes, appear whole or not at all, and are the same every time."""

import json
import tarfile

import pytest

from lolblur_synth.dataset import export, layout, manifest
from lolblur_synth.errors import Damaged, ForeignOutput, UsageError

PAIR = ("low_blur_noise", "high_sharp_scaled")


def stored(out, record, folder):
    return layout.image_path(out, record["split"], folder, *record["pair"].split("/")).read_bytes()


def files(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("form", export.FORMS)
def test_the_same_dataset_gives_the_same_bytes(reference, tmp_path, form):
    shown = []
    for name in ("first", "second"):
        count = export.export(reference.out, tmp_path / name, form, PAIR, lambda *n: shown.append(n))
        assert count == len(manifest.read(reference.out))
    assert files(tmp_path / "first") == files(tmp_path / "second") != {}
    assert shown == [(n, count) for n in range(1, count + 1)] * 2


def test_flat(reference, tmp_path):
    export.export(reference.out, tmp_path / "flat", "flat")
    for record in manifest.read(reference.out):
        name = record["pair"].replace("/", "_")
        for folder in layout.FOLDERS:
            assert (tmp_path / "flat" / record["split"] / folder / f"{name}.png").read_bytes() == stored(
                reference.out, record, folder
            )
        listed = (tmp_path / "flat" / f"meta_info_{record['split']}.txt").read_text().splitlines()
        assert f"{name}.png (64,96,3)" in listed


def test_lmdb_as_basicsr_reads_it(reference, tmp_path):
    lmdb = pytest.importorskip("lmdb")
    export.export(reference.out, tmp_path / "db", "lmdb", PAIR)
    for record in manifest.read(reference.out):
        place, name = tmp_path / "db" / record["split"] / "low_blur_noise.lmdb", record["pair"].replace("/", "_")
        with lmdb.open(str(place), readonly=True, lock=False) as store, store.begin() as transaction:
            assert transaction.get(name.encode()) == stored(reference.out, record, "low_blur_noise")
        assert f"{name}.png (64,96,3) 1" in (place / "meta_info.txt").read_text().splitlines()


def test_webdataset_keeps_pairs_together_and_starts_a_new_tar(reference, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "SHARD_PAIRS", 3)
    export.export(reference.out, tmp_path / "tars", "webdataset", PAIR)
    records = {r["pair"].replace("/", "_"): r for r in manifest.read(reference.out) if r["split"] == "train"}
    seen = []
    for path in sorted((tmp_path / "tars").glob("train-*.tar")):
        with tarfile.open(path) as archive:
            names = archive.getnames()
            assert len(names) == len(set(names)) <= 3 * (len(PAIR) + 1)
            for name in names:
                key, kind = name.split(".", 1)
                seen += [key] * (kind == "json")
                data = archive.extractfile(name).read()
                if kind == "json":
                    assert json.loads(data) == records[key]
                else:
                    assert data == stored(reference.out, records[key], kind.removesuffix(".png"))
    assert seen == sorted(records)


def test_huggingface_rows_name_files_that_exist(reference, tmp_path):
    export.export(reference.out, tmp_path / "hf", "huggingface", PAIR)
    for split in layout.SPLITS:
        rows = [json.loads(row) for row in (tmp_path / "hf" / split / "metadata.jsonl").read_text().splitlines()]
        assert rows
        for row in rows:
            for folder in PAIR:
                assert (tmp_path / "hf" / split / row[f"{folder}_file_name"]).is_file()
            assert row["draws"]["darken"]["exposure"] > 0


def test_nothing_is_overwritten_and_nothing_is_left_of_a_failure(reference, tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    with pytest.raises(ForeignOutput):
        export.export(reference.out, tmp_path / "mine", "flat")
    with pytest.raises(UsageError):
        export.export(reference.out, tmp_path / "dest", "flat", ("low_blur_noisy",))
    with pytest.raises(ForeignOutput):
        export.export(tmp_path / "mine", tmp_path / "dest", "flat")
    with pytest.raises(UsageError, match="inside the dataset"):
        export.export(reference.out, reference.out / "train" / "flat", "flat")
    records = manifest.read(reference.out)
    records[-1]["sha256"]["low_sharp"]["file"] = "0" * 64
    monkeypatch.setattr(manifest, "read", lambda out: records)
    with pytest.raises(Damaged, match="low_sharp"):
        export.export(reference.out, tmp_path / "dest", "flat")
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]
