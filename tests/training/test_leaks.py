"""Nothing that is held out is ever opened by a training, and nothing that is trained on is scored: every layout, with
every file that is opened recorded."""

import json
import logging
import shutil
import sys

import cv2
import numpy as np
import pytest
import torch

from lolblur_synth.dataset import splits
from lolblur_synth.dataset.pair_folders import find_pairs
from lolblur_synth.dataset.pairs import PairDataset, read_pair
from lolblur_synth.dataset.splits import content_hash, gather, hold_out
from lolblur_synth.errors import Damaged, ForeignOutput, InputError
from lolblur_synth.models import lednet as models_lednet
from lolblur_synth.tools.evaluate import evaluate
from lolblur_synth.training import checkpoint, crops
from lolblur_synth.training.lednet import train_lednet

TINY = {"preset": "paper", "width": 0.125, "crop": 16, "batch": 1, "perceptual": "none", "workers": 0, "device": "cpu",
        "iterations": 1, "quiet": True}  # fmt: skip
PAIR = ("low_blur_noise", "high_sharp_scaled")
FRAMES = ("000047", "000048")  # GoPro's own names
LAYOUTS = {  # name -> (root of training, root of evaluation, files)
    "built": ("data", "data", "data/{split}/{folder}/{clip}/{frame}.png"),
    "LOLBlur": ("data", "data", "data/LOLBlur/{split}/{folder}/{clip}/{frame}.png"),
    "split twice": ("data", "data", "data/LOL-Blur/{split}/{split}/{folder}/{clip}/{frame}.png"),
    "modality twice": ("data", "data", "data/LOL_blur/{split}/{folder}/{folder}/{clip}/{frame}.png"),
    "flat": ("data", "data", "data/LOLBlur_Dataset/{split}/{folder}/{clip}_{frame}.png"),
    "root called train": ("train", "train", "train/{split}/{folder}/{clip}/{frame}.png"),
    "root called test": ("test", "test", "test/{split}/{folder}/{clip}/{frame}.png"),
    "root called test, LOLBlur in it": ("test", "test", "test/LOLBlur/{split}/{folder}/{clip}/{frame}.png"),
    "train around both": ("data", "data", "data/train/{split}/{folder}/{clip}/{frame}.png"),
    "test around both": ("data", "data", "data/test/{split}/{folder}/{clip}/{frame}.png"),
    "root is the split": ("data/train", "data/test", "data/{split}/{folder}/{clip}/{frame}.png"),
    "root is the split in another": ("test/train", "test/test", "test/{split}/{folder}/{clip}/{frame}.png"),
    "GoPro": ("data", "data", "data/{split}/{clip}/{folder}/{frame}.png"),
    "GoPro in train": ("train", "train", "train/{split}/{clip}/{folder}/{frame}.png"),
    "GoPro, deeper": ("data", "data", "data/{split}/day/{clip}/{folder}/{frame}.png"),
    "GoPro, root is the split": ("data/train", "data/test", "data/{split}/{clip}/{folder}/{frame}.png"),
    "modality first": ("data", "data", "data/{folder}/{split}/{clip}/{frame}.png"),
    "modality first in train": ("train", "train", "train/{folder}/{split}/{clip}/{frame}.png"),
    "capitals": ("data", "data", "data/{split!C}/{folder}/{clip}/{frame}.png"),
    "jpeg": ("data", "data", "data/{split}/{folder}/{clip}/{frame}.jpg"),
}
OPENED: list[str] | None = None


def note(event, arguments):
    if OPENED is not None and event == "open" and str(arguments[0]).endswith((".png", ".jpg")):
        OPENED.append(str(arguments[0]))


sys.addaudithook(note)


@pytest.fixture
def opened(monkeypatch):
    """Every image that Python opens within the test, by whatever function."""
    monkeypatch.setattr(sys.modules[__name__], "OPENED", [])
    return OPENED


def write(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 256, (16, 24, 3), np.uint8))


def write_split(root, split, clips, pattern="{split}/{folder}/{clip}/{frame}.png", frames=FRAMES):
    pattern = pattern.replace("{split!C}", split.capitalize())
    for clip in clips:
        for frame in frames:
            for folder in PAIR:
                write(root / pattern.format(split=split, folder=folder, clip=clip, frame=frame))
    return root


def write_manifest(root, **videos):
    """train={"0000": "sha256", …}, test={…}"""
    lines = [{"pair": f"{clip}/{frame}", "split": split, "source": {"name": f"{sha}.mp4", "sha256": sha, "fps": 250.0}}
             for split, clips in videos.items() for clip, sha in clips.items() for frame in FRAMES]  # fmt: skip
    (root / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root


def built(root, **videos):
    for split, clips in videos.items():
        write_split(root, split, clips)
    return write_manifest(root, **videos)


@pytest.fixture
def scoring(monkeypatch):
    """evaluate without a network: what it restores is the input."""
    monkeypatch.setattr(models_lednet, "load", lambda *_: (torch.nn.Identity(), "0..1"))
    monkeypatch.setattr(models_lednet, "enhance", lambda net, low, value_range: low)


def both_splits(root, pattern):
    """(files of train, files of test) in a layout."""
    for split, clips in (("train", ("a0", "a1", "a2")), ("test", ("b0", "b1"))):
        write_split(root, split, clips, pattern)
    everything = {str(file) for file in root.rglob("*") if file.is_file()}
    held_out = {file for file in everything if any(clip in file.removeprefix(str(root)) for clip in ("b0", "b1"))}
    assert len(held_out) == 8 and len(everything) == 20
    return everything - held_out, held_out


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_test_frame_is_trained_on_and_no_train_frame_is_scored(tmp_path, scoring, opened, layout):
    train, test, pattern = LAYOUTS[layout]
    for_training, held_out = both_splits(tmp_path, pattern)
    pairs, val = hold_out(gather([tmp_path / train], "train"))
    samples = crops.Crops(pairs, lambda n: (16, 16), seed=0)
    for number in range(len(pairs)):
        samples[number]
    for pair in val:
        read_pair(pair)
    assert set(opened) == for_training, "all scenes are used, and no other frame"
    opened.clear()
    for item in PairDataset(tmp_path / train):
        assert len(item) == 2
    assert set(opened) == for_training
    opened.clear()
    report = evaluate("network", tmp_path / test, metrics="psnr_rgb", baselines=False, quiet=True)
    assert set(opened) == held_out
    assert report["split"] == "test" and len(report["frames"]) == 4


@pytest.mark.parametrize("layout", ["root called train", "train around both", "GoPro in train"])
def test_a_whole_training_opens_no_test_frame(tmp_path, opened, layout):
    root, _, pattern = LAYOUTS[layout]
    for_training, _ = both_splits(tmp_path, pattern)
    out = tmp_path / "run"
    train_lednet(tmp_path / root, out, **TINY)
    assert {file for file in opened if not file.startswith(f"{out}/pictures/")} == for_training


def test_learnt_curves_see_no_video_that_is_scored(tmp_path, scoring, opened):
    scored = built(tmp_path / "a", test={"0000": "s0"})
    other = built(tmp_path / "b", train={"0003": "s0", "0004": "s1"})
    evaluate("network", scored, metrics="psnr_rgb", fit=str(other), quiet=True)
    assert {file for file in opened if "/b/" in file} == {
        str(other / "train" / folder / "0004" / f"{frame}.png") for folder in PAIR for frame in FRAMES
    }


def test_a_video_that_another_dataset_tests_on_is_left_out_by_its_sha256(tmp_path, opened, caplog):
    """Sequence numbers differ between the two; equal numbers of other videos stay."""
    one = built(tmp_path / "a", train={"0000": "s0", "0001": "s1", "0002": "s2"}, test={"0003": "s3"})
    two = built(tmp_path / "b", train={"0000": "s4", "0002": "s3"}, test={"0001": "s0", "0003": "s5"})
    with caplog.at_level(logging.WARNING):
        train_lednet([one, two], tmp_path / "run", **TINY)
    clips = {file.split("/")[-5] + "/" + file.split("/")[-2] for file in opened if "/train/" in file}
    assert clips == {"a/0001", "a/0002", "b/0000"} and not any("/test/" in file for file in opened)
    said = caplog.text
    assert f"{one}: 2 pairs of clip 0000 are left out of the training" in said
    assert f"'s0.mp4' (sha256 s0), is in the test split of {two}" in said
    assert f"{two}: 2 pairs of clip 0002" in said


def test_another_clip_of_a_picture_that_is_tested_on_is_left_out(tmp_path, caplog):
    """`shoot` made both clips of one picture, with two seeds: two videos, one scene."""
    one = built(tmp_path / "a", train={"0000": "s0", "0001": "s1"})
    two = built(tmp_path / "b", train={"0000": "s4"}, test={"0001": "s5"})
    for root, video in ((one, "s1"), (two, "s5")):
        lines = [json.loads(line) for line in (root / "manifest.jsonl").read_text().splitlines()]
        for line in lines:
            if line["source"]["sha256"] == video:
                line["source"]["picture"] = "p" * 64
        (root / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    pairs = gather([one, two], "train")
    assert {(pair.low.parts[-5], pair.clip) for pair in pairs} == {("a", "0000"), ("b", "0000")}


def test_without_manifests_the_name_of_a_clip_tells(tmp_path, caplog):
    one = write_split(tmp_path / "a", "train", ("street", "park"))
    two = write_split(tmp_path / "b", "train", ("shop",))
    write_split(two, "test", ("park",), "{split}/{clip}/{folder}/{frame}.png")
    with caplog.at_level(logging.WARNING):
        pairs = gather([one, two], "train")
    assert {pair.clip for pair in pairs} == {"shop", "street"}
    assert "a clip of this name is in the test split" in caplog.text


def test_equal_names_in_the_two_splits_of_one_dataset_are_other_scenes(tmp_path):
    """REDS numbers its scenes from 000 in each split."""
    root = write_split(write_split(tmp_path, "train", ("000", "001")), "val", ("000",))
    assert {pair.clip for pair in gather([root], "train")} == {"000", "001"}
    assert {pair.clip for pair in gather([root, root / "train"], "train")} == {"000", "001"}


@pytest.mark.parametrize("root", [".", "train"])
def test_a_manifest_with_a_video_in_both_splits_loses_its_train_pairs(tmp_path, root):
    built(tmp_path, train={"0000": "s0", "0001": "s1"}, test={"0002": "s0"})
    assert {pair.clip for pair in gather([tmp_path / root], "train")} == {"0001"}
    assert {pair.clip for pair in PairDataset(tmp_path / root).pairs} == {"0001"}
    assert {pair.clip for pair in PairDataset(tmp_path, "test").pairs} == {"0002"}


def test_where_nothing_is_left_that_is_an_error(tmp_path):
    one = built(tmp_path / "a", train={"0000": "s0"})
    two = built(tmp_path / "b", test={"0000": "s0"}, train={"0001": "s0"})
    with pytest.raises(InputError, match="nothing is left to train on"):
        gather([one, two], "train")
    (one / "manifest.jsonl").write_text("{")
    with pytest.raises(Damaged, match="manifest.jsonl:1"):
        gather([one, two], "train")


def test_a_video_under_two_numbers_is_not_both_trained_and_validated_on(tmp_path):
    one = built(tmp_path / "a", train={"0000": "s0", "0001": "s1", "0002": "s2"})
    two = built(tmp_path / "b", train={"0000": "s2", "0001": "s3"})
    train, val = hold_out(gather([one, two], "train"))
    assert {pair.source for pair in train}.isdisjoint(pair.source for pair in val)
    assert len(train) + len(val) == 10 and {pair.source for pair in val} == {"s3"}
    (two / "manifest.jsonl").unlink()
    train, val = hold_out(gather([one, two], "train"))
    assert {pair.clip for pair in train}.isdisjoint(pair.clip for pair in val)


@pytest.mark.parametrize("split", ["eval", "val", "validation"])
def test_a_split_of_another_name_is_scored_before_train_is(tmp_path, scoring, opened, split):
    write_split(write_split(tmp_path, "train", ("000",)), split, ("001",))
    evaluate("network", tmp_path, metrics="psnr_rgb", baselines=False, quiet=True)
    assert len(opened) == 4 and all(f"/{split}/" in file for file in opened)


# layouts that cannot be told apart


def test_two_nestings_of_one_modality_are_refused_by_name(tmp_path):
    write_split(tmp_path, "train", ("0000",))
    write_split(tmp_path / "LOLBlur", "train", ("0001",))
    with pytest.raises(InputError, match=r"LOLBlur/train/\S+ and \S+/train/low_blur_noise/0000 are nested differently"):
        find_pairs(tmp_path, "train")
    assert len(find_pairs(tmp_path / "LOLBlur", "train")) == 2, "as the hint says"
    assert {pair.clip for pair in find_pairs(tmp_path / "train", "train")} == {"0000"}


@pytest.mark.parametrize("pattern", ["{split}/old/{folder}/{clip}/{frame}.png", "{split}/{folder}/{clip}_{frame}.png",
                                     "{split}/test/{folder}/{clip}/{frame}.png"])  # fmt: skip
def test_a_split_is_never_read_in_part(tmp_path, pattern):
    write_split(write_split(tmp_path, "train", ("0000",)), "train", ("0001",), pattern)
    for split in ("train", "test") if "test" in pattern else ("train",):
        with pytest.raises(InputError, match="nested differently"):
            find_pairs(tmp_path, split)


@pytest.mark.parametrize("root", [".", "train"])
def test_a_clip_that_is_called_like_a_split_is_refused(tmp_path, root):
    """A railway scene named "train" among the test scenes must not be trained on."""
    write_split(tmp_path, "test", ("shop", "train"))
    write_split(tmp_path, "train", ("street", "test"))
    with pytest.raises(InputError, match="is this of the (test|train) split, or of (train|test)"):
        find_pairs(tmp_path / root, "train")


def test_a_train_folder_with_a_test_folder_in_it_is_not_trained_on_as_a_whole(tmp_path):
    root = tmp_path / "train"
    write_split(root, "", ("0000",), "{folder}/{clip}/{frame}.png")
    write_split(root, "test", ("0001",))
    with pytest.raises(InputError, match="nested differently"):
        find_pairs(root, "train")
    assert {pair.clip for pair in find_pairs(root, "test")} == {"0001"}


def test_both_frames_may_differ_in_suffix_but_none_may_be_there_twice(tmp_path):
    write_split(tmp_path, "train", ("0000",))
    for file in (tmp_path / "train/low_blur_noise").rglob("*.png"):
        file.rename(file.with_suffix(".JPG"))
    assert len(find_pairs(tmp_path, "train")) == 2
    write(tmp_path / "train/low_blur_noise/0000/000047.png")
    with pytest.raises(InputError, match="000047.JPG and .*000047.png are the same frame twice"):
        find_pairs(tmp_path, "train")


def test_frames_that_lie_together_need_the_name_of_their_clip(tmp_path):
    write_split(tmp_path, "train", ("",), "{split}/{folder}/{clip}{frame}.png")
    with pytest.raises(InputError, match="<clip>_<frame>.png"):
        find_pairs(tmp_path, "train")


def test_system_files_are_passed_over_and_others_are_named(tmp_path, caplog):
    write_split(tmp_path / "data", "train", ("0000", "0001"))
    for folder in (tmp_path / "data/train" / modality / clip for modality in PAIR for clip in ("0000", "0001")):
        (folder / "._000047.png").write_bytes(b"\0\5\26\7")
        (folder / ".DS_Store").touch()
        (folder / "Thumbs.db").touch()
        write(folder / "@eaDir/000047.png/SYNOPHOTO_THUMB.jpg")
        (folder / "000049.bmp").touch()
    with caplog.at_level(logging.WARNING):
        assert len(find_pairs(tmp_path / "data", "train")) == 4
    assert "4 files beside the frames are no images that are read here, first" in caplog.text
    (tmp_path / "run").mkdir()
    (tmp_path / "run/.DS_Store").touch()
    checkpoint.claim(tmp_path / "run")


def test_linked_modalities_are_read_and_links_that_lead_back_are_not(tmp_path):
    write_split(tmp_path / "store", "train", ("0000",))
    (tmp_path / "data/train").mkdir(parents=True)
    for folder in PAIR:
        (tmp_path / "data/train" / folder).symlink_to(tmp_path / "store/train" / folder)
    (tmp_path / "data/train/up").symlink_to(tmp_path / "data")
    assert len(find_pairs(tmp_path / "data", "train")) == 2
    (tmp_path / "store/train/low_blur_noise/0000/000047.png").unlink()
    (tmp_path / "store/train/low_blur_noise/0000/000047.png").symlink_to("gone.png")
    with pytest.raises(InputError, match="link to a file that is not there"):
        find_pairs(tmp_path / "data", "train")


# frames behind a training


def test_a_training_goes_on_with_a_copy_and_not_with_rebuilt_frames(tmp_path):
    root = write_split(tmp_path / "data", "train", ("0000", "0001"))
    train_lednet(root, tmp_path / "run", **TINY | {"iterations": 2, "max_minutes": 1e-9})
    for file in root.rglob("*.png"):
        file.touch()
    shutil.copytree(root, tmp_path / "copy", copy_function=shutil.copyfile)
    assert train_lednet(tmp_path / "copy", tmp_path / "run", **TINY | {"iterations": 2})["iteration"] == 2
    for file in (tmp_path / "copy").rglob("*.png"):
        write(file, seed=1)
    with pytest.raises(ForeignOutput, match="same names, but were built or changed since") as caught:
        train_lednet(tmp_path / "copy", tmp_path / "run", **TINY | {"iterations": 2})
    assert "another output folder" in caught.value.hint


def test_one_other_pixel_of_a_large_dataset_is_noticed(tmp_path, monkeypatch):
    """The samples do not reach the middle of the frame; the checksum at the end of a PNG does."""
    monkeypatch.setattr(splits, "WHOLE_BYTES", 0)
    monkeypatch.setattr(splits, "SAMPLE_BYTES", 32)
    root = write_split(tmp_path / "data", "train", ("0000",))
    pairs = find_pairs(root, "train")
    before = content_hash(pairs)
    shutil.copytree(root, tmp_path / "copy", copy_function=shutil.copyfile)
    assert content_hash(find_pairs(tmp_path / "copy", "train")) == before
    pixels = cv2.imread(str(pairs[0].low))
    pixels[2, 3, 1] ^= 1
    cv2.imwrite(str(pairs[0].low), pixels)
    assert content_hash(pairs) != before


def test_a_checkpoint_of_an_earlier_version_goes_on_and_it_is_said(tmp_path, monkeypatch, caplog):
    root = write_split(tmp_path / "data", "train", ("0000", "0001"))
    train_lednet(root, tmp_path / "run", **TINY | {"iterations": 2, "max_minutes": 1e-9})
    state = checkpoint.latest(tmp_path / "run/checkpoints")
    del state["facts"]["frames"]
    checkpoint.save(tmp_path / "run/checkpoints", 1, state)
    with caplog.at_level(logging.WARNING):
        assert train_lednet(root, tmp_path / "run", **TINY | {"iterations": 2})["iteration"] == 2
    assert "whether they were rebuilt since then is not known" in caplog.text
    assert checkpoint.log.name in {record.name for record in caplog.records}


def test_a_dataset_that_is_given_twice_is_used_once(tmp_path, caplog):
    root = built(tmp_path / "a", train={"0000": "x", "0001": "y"}, test={"0002": "z"})
    (tmp_path / "link").symlink_to(root)
    for again in (root, root / "train", tmp_path / "link", f"{root}/"):
        caplog.clear()
        assert gather([root, again], "train") == gather([root], "train")
        assert "4 pairs are in a dataset given before it as well; they are used once" in caplog.text


def test_one_folder_is_not_in_two_splits_by_links(tmp_path):
    root = write_split(tmp_path / "data", "train", ("a0", "a1"))
    (root / "test").symlink_to("train")
    with pytest.raises(InputError, match="are one folder, once in the train split and once in test"):
        gather([root], "train")
    other = write_split(tmp_path / "other", "test", ("b0",))
    (tmp_path / "link").mkdir()
    (tmp_path / "link/train").symlink_to(other / "test")
    with pytest.raises(InputError, match="is it of the train split, or of test"):
        gather([tmp_path / "link/train"], "train")


def test_the_last_number_of_a_flat_name_is_the_frame(tmp_path, caplog):
    pattern = "{split}/{folder}/{clip}_{frame}.png"
    one = write_split(tmp_path / "one", "train", ("my_clip_0001", "my_clip_0002"), pattern)
    two = write_split(tmp_path / "two", "test", ("my_clip_0002",), pattern)
    write_split(two, "train", ("GOPR0384_11_00",), "{split}/{folder}/{clip}-{frame}.png")
    pairs = gather([one, two], "train")
    assert {(pair.clip, pair.frame) for pair in pairs} == {
        ("my_clip_0001", "000047"), ("my_clip_0001", "000048"), ("GOPR0384_11", "00-000047"),
        ("GOPR0384_11", "00-000048")}  # fmt: skip
    assert "2 pairs of clip my_clip_0002 are left out" in caplog.text
