"""The contact sheet of a dataset, and of videos before anything is built."""

import contextlib

import numpy as np
import pytest
import torch

from lolblur_synth import recipes
from lolblur_synth.dataset import manifest, preview
from lolblur_synth.errors import Damaged, UsageError
from lolblur_synth.files import images


def small(street_videos, *words):
    recipe = recipes.load("lolblur")
    return recipes.override(recipe, ["resize.width=96", "resize.height=64", "dataset.pairs=4", *words])


@contextlib.contextmanager
def of_this_process():
    """What a caller has set for its own sums must not reach the pixels: threads, and the precision of products."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    torch.set_float32_matmul_precision("medium")
    try:
        yield
        assert torch.get_num_threads() == 2 and torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision("highest")


def test_videos_and_the_dataset_made_of_them_look_the_same(reference, street_videos, tmp_path):
    """Thumbnails are those of the built pairs: preview synthesises what build would commit."""
    recipe = small(street_videos, "dataset.test_fraction=0.5")
    rows = preview.write([reference.out], tmp_path / "built.png", recipe, 2)
    with of_this_process():
        again = preview.write([street_videos], tmp_path / "before.png", recipe, 2, jobs=1)
    assert rows == again == 2
    built, before = (images.read_image(tmp_path / name) for name in ("built.png", "before.png"))
    assert built.shape[1] == 5 * (preview.THUMB + preview.GAP) + preview.GAP
    assert np.array_equal(built, before)
    assert not any(path.suffix != ".png" for path in tmp_path.iterdir())


def test_only_as_many_rows_as_there_are_pairs(reference, street_videos, tmp_path):
    count = len(manifest.read(reference.out))
    assert preview.write([reference.out], tmp_path / "sheet.jpg", small(street_videos), 50) == count


def test_bad_input(reference, street_videos, tmp_path, run):
    with pytest.raises(UsageError, match="not a picture"):
        preview.write([reference.out], tmp_path / "sheet.txt", small(street_videos))
    done = run("preview", tmp_path, "-o", tmp_path / "sheet.png")
    assert done.code == 5
    assert len(done.err.splitlines()) <= 2
    assert run("preview").code == 2


def test_the_picture_stays_out_of_what_it_shows(reference, street_videos):
    for paths in ([street_videos], [reference.out]):
        target = paths[0] / ("sheet.png" if paths == [street_videos] else "train/sheet.png")
        with pytest.raises(UsageError, match="is inside the input"):
            preview.write(paths, target, small(street_videos))
        assert not target.exists()


def test_a_missing_image_is_named(reference, street_videos, tmp_path):
    import shutil

    out = tmp_path / "out"
    shutil.copytree(reference.out, out)
    victim = next(out.glob("train/low_blur/*/*.png"))
    victim.unlink()
    with pytest.raises(Damaged, match=str(victim)):
        preview.write([out], tmp_path / "sheet.png", small(street_videos), 50)
