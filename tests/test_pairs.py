"""PairDataset and OnlinePairs: the same part of both frames, another one each epoch, the same in any worker."""

import json
import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import lolblur_synth
from lolblur_synth import draw, recipes
from lolblur_synth.errors import InputError, UsageError
from lolblur_synth.files import images
from lolblur_synth.recipe.schema import Recipe
from lolblur_synth.stages import defocus, noise

FOLDERS = ("low_blur_noise", "low_blur", "low_sharp", "high_sharp_scaled")
NOISY = recipes.override(Recipe(), ["noise.probability=1", "noise.model=raw-pg", "noise.iso=6400",
                                    "defocus.probability=1", "defocus.radius=2"])  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two clips of two frames, 48x32, one of them in test; all folders of a pair are alike but for their brightness."""
    root = tmp_path_factory.mktemp("data")
    rng = draw.rng(0, "pairs", "", "")
    lines = []
    for split, clip in (("train", "0000"), ("test", "0001")):
        for name in ("0000", "0001"):
            scene = rng.random((32, 48, 3), dtype=np.float32)
            for factor, folder in zip((0.2, 0.2, 0.2, 1.0), FOLDERS, strict=True):
                path = root / split / folder / clip / f"{name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                images.write_png(path, scene * factor)
            lines.append({"pair": f"{clip}/{name}", "split": split, "window": 7, "draws": {},
                          "source": {"sha256": clip * 16, "name": clip}})  # fmt: skip
    (root / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_both_frames_are_cropped_alike(root):
    low, high = lolblur_synth.PairDataset(root, crop=(16, 24))[1]
    assert low.shape == high.shape == (3, 16, 24)
    assert (low - 0.2 * high).abs().max() < 0.005


def test_a_crop_depends_on_seed_index_and_epoch_alone(root):
    one, other = (lolblur_synth.PairDataset(root, crop=16) for _ in range(2))
    assert same(one[1], other[1])
    assert same(one[1], one[-1])
    one.set_epoch(1)
    assert not same(one[1], other[1])
    other.set_epoch(1)
    assert same(one[1], other[1])
    assert not same(one[1], lolblur_synth.PairDataset(root, crop=16, seed=1)[1])


def test_of_other_splits_the_middle_is_taken(root):
    whole, pairs = lolblur_synth.PairDataset(root, "test"), lolblur_synth.PairDataset(root, "test", crop=(16, 24))
    assert torch.equal(pairs[0][1], whole[0][1][:, 8:24, 12:36])
    pairs.set_epoch(3)
    assert torch.equal(pairs[0][1], whole[0][1][:, 8:24, 12:36])


def test_a_crop_that_does_not_fit_is_named(root):
    with pytest.raises(InputError, match="0000/0001: 48x32 is smaller than the crop of 40x40"):
        lolblur_synth.PairDataset(root, crop=40)[1]
    with pytest.raises(UsageError, match="crop = 0"):
        lolblur_synth.PairDataset(root, crop=0)


def test_the_transform_gets_both_frames_after_the_crop(root):
    plain = lolblur_synth.PairDataset(root, crop=16)[0]
    turned = lolblur_synth.PairDataset(root, crop=16, transform=lambda low, high: (low.flip(2), -high))[0]
    assert same(turned, (plain[0].flip(2), -plain[1]))


def test_meta_tells_the_pair_and_its_line_of_the_manifest(root):
    low, high, meta = lolblur_synth.PairDataset(root, return_meta=True)[1]
    assert (meta["index"], meta["clip"], meta["frame"]) == (1, "0000", "0001")
    assert meta["low"] == str(root / "train/low_blur_noise/0000/0001.png")
    assert json.loads(meta["record"])["window"] == 7
    *_, metas = next(iter(DataLoader(lolblur_synth.PairDataset(root, return_meta=True), batch_size=2)))
    assert metas["frame"] == ["0000", "0001"]


def test_a_dataset_without_manifest_has_empty_records(root, tmp_path):
    (tmp_path / "train").symlink_to(root / "train")
    assert lolblur_synth.PairDataset(tmp_path, return_meta=True)[0][2]["record"] == ""


def test_noise_is_drawn_anew_and_the_same_again(root):
    one = lolblur_synth.OnlinePairs(root, crop=16, recipe=NOISY, return_meta=True)
    low, high, meta = one[0]
    assert (low - 0.2 * high).abs().max() > 0.01
    assert json.loads(meta["draws"]).keys() == {"noise"}
    assert torch.equal(one[0][0], low)
    assert not torch.equal(one[1][0], low)
    one.set_epoch(1)
    again = one[0]
    assert json.loads(again[2]["draws"])["noise"]["seed"] != json.loads(meta["draws"])["noise"]["seed"]


def test_low_sharp_gets_defocus_and_noise_by_the_recipe(root):
    pairs = lolblur_synth.OnlinePairs(root, pair=("low_sharp", "high_sharp_scaled"), recipe=NOISY, return_meta=True)
    low, _, meta = pairs[0]
    drawn = {name: json.loads(meta["draws"])[name] for name in ("defocus", "noise")}
    assert drawn["defocus"]["applied"] and drawn["noise"]["applied"]
    clean, _ = lolblur_synth.PairDataset(root, pair=("low_sharp", "high_sharp_scaled"))[0]
    lens = defocus.draw(NOISY.defocus, draw.rng(0, "online", "epoch-0-0", "defocus"))
    blur = defocus.apply(clean[None].pow(2.2), NOISY.defocus, lens).clamp(0, 1).pow(1 / 2.2)
    sensor = noise.draw(NOISY.noise, draw.rng(0, "online", "epoch-0-0", "noise"))
    assert torch.allclose(low, noise.apply(blur, NOISY.noise, sensor)[0], atol=1e-6)


def test_a_skipped_stage_and_an_unlucky_draw_leave_the_frame_as_it_is(root):
    clean = lolblur_synth.PairDataset(root, pair=("low_blur", "high_sharp_scaled"))[0]
    for words in (["skip=noise"], ["noise.probability=0"]):
        assert same(lolblur_synth.OnlinePairs(root, recipe=recipes.override(NOISY, words))[0], clean)


def test_stages_of_the_user_join_in(root, tmp_path):
    (tmp_path / "dim.py").write_text(
        "import dataclasses\nfrom lolblur_synth import Stage\nConfig = dataclasses.make_dataclass('Config', [])\n"
        "dim = Stage(after='noise', config=Config, draw=lambda c, rng: {}, apply=lambda f, c, d: f / 2)\n"
        "late = Stage(after='average', config=Config, draw=lambda c, rng: {}, apply=lambda f, c, d: f * 0)\n"
    )
    (tmp_path / "mine.toml").write_text('skip = ["noise"]\nstages = ["dim.py:dim", "dim.py:late"]\n')
    low, high = lolblur_synth.OnlinePairs(root, recipe=tmp_path / "mine.toml")[0]
    clean, _ = lolblur_synth.PairDataset(root, pair=("low_blur", "high_sharp_scaled"))[0]
    assert torch.equal(low, clean / 2)


def test_an_input_that_has_its_noise_is_refused():
    with pytest.raises(UsageError, match="low_blur_noise is not free of it"):
        lolblur_synth.OnlinePairs("nowhere", pair=("low_blur_noise", "high_sharp_scaled"))


def test_workers_see_the_epoch_and_give_the_same_samples(root):
    pairs = lolblur_synth.OnlinePairs(root, crop=16, recipe=NOISY)
    loader = DataLoader(pairs, batch_size=1, num_workers=2, persistent_workers=True)
    epochs = []
    for epoch in range(2):
        pairs.set_epoch(epoch)
        epochs.append([low[0] for low, _ in loader])
        assert same(epochs[-1], [pairs[0][0], pairs[1][0]])
    assert not same(*epochs)


def test_a_pickled_dataset_is_the_same(root):
    pairs = lolblur_synth.OnlinePairs(root, crop=16, recipe=NOISY, return_meta=True)
    pairs.set_epoch(2)
    again = pickle.loads(pickle.dumps(pairs))
    assert same(again[1][:2], pairs[1][:2])
    assert again[1][2] == pairs[1][2]
