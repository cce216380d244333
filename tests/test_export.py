"""Exports hold the dataset's own bytes, appear whole or not at all, and are the same every time."""

import importlib
import json
import re
import sys
import tarfile
import types
from importlib import util
from pathlib import Path

import cv2
import numpy as np
import pytest

from lolblur_synth.dataset import export, huggingface, layout, manifest
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
            assert json.loads(row["draws"])["darken"]["exposure"] > 0
            kinds = {"string": str, "float64": float, "int64": int, "bool": bool}
            for column, (kind, _) in huggingface.FIELDS.items():
                assert type(row[column]) is kinds[kind]


def test_the_card_for_huggingface_tells_how_it_was_made_and_leaves_the_licence_open(reference, tmp_path):
    export.export(reference.out, tmp_path / "hf", "huggingface", PAIR)
    _, front, text = (tmp_path / "hf/README.md").read_text().split("---\n", 2)
    assert "# license: that of your footage" in front
    assert "\nlicense:" not in front
    for folder in PAIR:
        assert f"  - name: {folder}\n    dtype: image\n" in front
    assert "* `resize.width: 1120 -> 96`" in text
    train = sum(record["split"] == "train" for record in manifest.read(reference.out))
    assert f"| train | {train} pairs of 1 video |" in text


@pytest.mark.parametrize("form", export.FORMS)
def test_every_export_tells_how_to_load_it(reference, tmp_path, form):
    export.export(reference.out, tmp_path / "dest", form, PAIR)
    line = export.how_to_load(form, tmp_path / "dest", PAIR)
    assert "\n" not in line
    for place in re.findall(rf"{tmp_path}[^,' ]*", line):
        assert Path(place).exists()


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


@pytest.mark.extra
def test_datasets_loads_both_splits_and_writes_them_to_parquet(reference, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    datasets = pytest.importorskip("datasets")
    export.export(reference.out, tmp_path / "hf", "huggingface", PAIR)
    cache = str(tmp_path / "cache")
    loaded = datasets.load_dataset("imagefolder", data_dir=str(tmp_path / "hf"), cache_dir=cache)
    assert set(loaded) == set(layout.SPLITS)
    for split, rows in loaded.items():
        assert list(rows.features) == [*PAIR, *huggingface.FIELDS]
        rows.to_parquet(str(tmp_path / f"{split}.parquet"))
        read = datasets.load_dataset("parquet", data_files=str(tmp_path / f"{split}.parquet"), cache_dir=cache)["train"]
        assert read["pair"] == [record["pair"] for record in manifest.read(reference.out) if record["split"] == split]
        assert read[0]["low_blur_noise"].size == (96, 64)


@pytest.mark.extra
def test_the_types_on_the_card_are_those_that_datasets_finds(reference, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    yaml = pytest.importorskip("yaml")
    export.export(reference.out, tmp_path / "hf", "huggingface", PAIR)
    front = yaml.safe_load((tmp_path / "hf/README.md").read_text().split("---\n")[1])
    loaded = datasets.load_dataset("imagefolder", data_dir=str(tmp_path / "hf"), cache_dir=str(tmp_path / "cache"))
    found = {name: getattr(kind, "dtype", "") for name, kind in loaded["train"].features.items() if name not in PAIR}
    told = {feature["name"]: feature["dtype"] for feature in front["dataset_info"]["features"]}
    assert told == dict.fromkeys(PAIR, "image") | found


@pytest.mark.extra
def test_webdataset_reads_every_pair(reference, tmp_path):
    webdataset = pytest.importorskip("webdataset")
    export.export(reference.out, tmp_path / "tars", "webdataset", PAIR)
    records = {r["pair"].replace("/", "_"): r for r in manifest.read(reference.out) if r["split"] == "train"}
    command = export.how_to_load("webdataset", tmp_path / "tars", PAIR)
    samples = {sample["__key__"]: sample for sample in eval(command, {"webdataset": webdataset})}
    assert samples.keys() == records.keys()
    for name, sample in samples.items():
        assert sample["low_blur_noise.png"].shape == (64, 96, 3)
        assert sample["json"] == records[name]


@pytest.fixture
def paired_images(monkeypatch):
    """BasicSR's PairedImageDataset, and the modules that it uses. The rest of the package, which `import basicsr` runs,
    needs a torchvision of 2022, so it is left out, and stand-ins hold the names of torchvision that are imported."""
    found = util.find_spec("basicsr")
    if found is None:
        pytest.skip("basicsr is not installed")
    torchvision = {
        "torchvision": {}, "torchvision.transforms": {}, "torchvision.utils": {"make_grid": None},
        "torchvision.transforms.functional": {"normalize": None},
    }  # fmt: skip
    for name, members in torchvision.items():
        module = types.ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    for name in ("basicsr", "basicsr.data"):  # packages whose __init__ is not run
        package = types.ModuleType(name)
        package.__path__ = [str(Path(found.origin).parent.joinpath(*name.split(".")[1:]))]
        monkeypatch.setitem(sys.modules, name, package)
    return importlib.import_module("basicsr.data.paired_image_dataset").PairedImageDataset


@pytest.mark.extra
@pytest.mark.parametrize("form", ("flat", "lmdb"))
def test_basicsr_reads_the_pairs(reference, tmp_path, paired_images, form):
    export.export(reference.out, tmp_path / "sr", form, PAIR)
    words = export.how_to_load(form, tmp_path / "sr", PAIR).removeprefix("BasicSR, PairedImageDataset: ")
    options = pytest.importorskip("yaml").safe_load("{" + words + "}")
    pairs = paired_images(options | {"phase": "val", "scale": 1})
    records = [record for record in manifest.read(reference.out) if record["split"] == "train"]
    assert len(pairs) == len(records)
    for item, record in zip(pairs, records, strict=True):
        for key, folder in (("lq", PAIR[0]), ("gt", PAIR[1])):
            pixels = (item[key].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
            data = np.frombuffer(stored(reference.out, record, folder), np.uint8)
            assert (pixels == cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]).all()
