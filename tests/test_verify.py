"""verify on real pairs: lies about draws, pairs of another recipe, leaks, and pairs that come out differently when they
are made again; the next build makes exactly those again (reliability class T21)."""

import json
import random
import shutil
from pathlib import Path

import cv2
import pytest
import run_here
from click.testing import CliRunner
from test_dataset import tree

import lolblur_synth
from lolblur_synth import recipes
from lolblur_synth.cli import main
from lolblur_synth.dataset import journal, layout, manifest, rerun, verify
from lolblur_synth.errors import InputError, UsageError

QUICK = ["resize.width=48", "resize.height=32", "dataset.pairs=3", "dataset.test_fraction=0.5",
         "skip=denoise,interpolate,defocus,noise"]  # fmt: skip


@pytest.fixture(scope="module")
def built(street_videos, tmp_path_factory) -> Path:
    """Six pairs of two videos, one in train and one in test. Not to be written to."""
    out = tmp_path_factory.mktemp("built") / "out"
    with pytest.MonkeyPatch.context() as monkeypatch:
        run_here.patch(monkeypatch)
        lolblur_synth.build(street_videos, out, set=QUICK, jobs=1)
    return out


@pytest.fixture
def out(built, tmp_path, monkeypatch) -> Path:
    run_here.patch(monkeypatch)
    monkeypatch.setattr(rerun.build.pool, "run", run_here.run)
    return shutil.copytree(built, tmp_path / "out")


def records(out: Path) -> list[Path]:
    return sorted((out / layout.STATE / "pairs").rglob("*.json"))


def change(path: Path, **fields) -> dict:
    """Replace values of a record; a dict is merged."""
    record = json.loads(path.read_text())
    for name, value in fields.items():
        record[name] = record[name] | value if isinstance(value, dict) else value
    path.write_bytes(layout.to_json(record))
    return record


def spoil(out: Path, record_path: Path, folder: str) -> str:
    """Change one value of an image and adapt its record, so that they agree. Returns the pair."""
    record = json.loads(record_path.read_text())
    image = layout.image_path(out, record["split"], folder, record["sequence"], record["name"])
    pixels = cv2.imread(str(image))[..., ::-1].copy()
    pixels[3, 4, 1] ^= 1
    data = layout.encode_png(pixels, 3)
    image.write_bytes(data)
    change(record_path, sha256={folder: layout.checksums(pixels, data)})
    return record["pair"]


def words(damages) -> set[tuple[str, str]]:
    return {(damage.word, damage.pair) for damage in damages}


def test_what_was_built_has_no_damage_and_comes_out_the_same_again(out, street_videos):
    before = tree(out)
    assert verify.verify(out) == []
    again = rerun.rerun(out, 3, 7, [street_videos], device="cpu")
    assert (again.damages, again.left, again.seed) == ([], 0, 7)
    assert len(set(again.pairs)) == 3
    assert again.pairs == rerun.rerun(out, 3, 7, [street_videos], device="cpu").pairs, "the seed says which"
    assert tree(out) == before


@pytest.mark.parametrize("seed", range(3))
def test_a_rerun_finds_pairs_that_differ_and_build_makes_exactly_those_again(out, street_videos, seed):
    before, rng = tree(out), random.Random(seed)
    spoilt = {spoil(out, path, rng.choice(layout.FOLDERS)) for path in rng.sample(records(out), 2)}
    manifest.write(out)
    assert verify.verify(out) == [], "files and records agree"
    again = rerun.rerun(out, 6, seed, [street_videos], device="cpu")
    assert words(again.damages) == {("differs", pair) for pair in spoilt}
    assert all("1 value differ" in damage.note and "at most 1" in damage.note for damage in again.damages)
    verify.note(out, again.damages)
    summary = lolblur_synth.build(street_videos, out, jobs=1)
    assert (summary.built, summary.already) == (2, 4)
    assert tree(out) == before
    assert lolblur_synth.build(street_videos, out, jobs=1).built == 0


def test_a_flipped_bit_is_made_again_by_the_next_build(out, street_videos):
    before = tree(out)
    image = sorted((out / "train/low_blur").rglob("*.png"))[1]
    data = bytearray(image.read_bytes())
    data[60] ^= 1
    image.write_bytes(data)
    assert {damage.word for damage in verify.verify(out)} == {"corrupt"}
    assert lolblur_synth.build(street_videos, out, jobs=1).built == 1
    assert tree(out) == before


@pytest.mark.parametrize(
    ("lie", "told"),
    [
        ({"draws": {"darken": {"exposure": 0.5}}}, "draws.darken"),
        ({"draws": {"clip_reverse": {"r": 3.0}}}, "draws.clip_reverse"),
        ({"mid": 17}, "mid"),
        ({"window": 9, "frames": [0, 47]}, "frames"),
        ({"source": {"fps": 240.0}}, "source.fps"),
        ({"skipped": []}, "skipped"),
    ],
)
def test_a_record_that_lies_about_a_draw_is_found_without_the_videos(out, street_videos, lie, told):
    before, path = tree(out), records(out)[2]
    pair = change(path, **lie)["pair"]
    manifest.write(out)
    (damage,) = verify.verify(out)
    assert (damage.word, damage.pair) == ("draws", pair)
    assert told in damage.note
    assert lolblur_synth.build(street_videos, out, jobs=1).built == 1
    assert tree(out) == before


def test_a_manifest_line_that_lies_is_named(out):
    lines = (out / manifest.NAME).read_text().splitlines()
    lie = json.loads(lines[3])
    lie["draws"]["darken"]["exposure"] += 0.1
    lines[3] = json.dumps(lie, sort_keys=True)
    (out / manifest.NAME).write_text("\n".join(lines) + "\n")
    (damage,) = verify.verify(out)
    assert (damage.word, damage.path) == ("stale", manifest.NAME)
    assert damage.note == "line 4: draws.darken.exposure"


def test_pairs_of_another_recipe_are_found(built, out, street_videos, tmp_path):
    other = tmp_path / "other"
    lolblur_synth.build(street_videos, other, set=[*QUICK, "dataset.seed=9"], jobs=1)
    path = records(out)[0].relative_to(out)
    record = json.loads((other / path).read_text())
    for folder in layout.FOLDERS:
        image = layout.image_path(Path(), record["split"], folder, record["sequence"], record["name"])
        shutil.copy(other / image, out / image)
    shutil.copy(other / path, out / path)
    manifest.write(out)
    (damage,) = verify.verify(out)
    assert (damage.word, damage.pair) == ("recipe", record["pair"])
    assert lolblur_synth.build(street_videos, out, jobs=1).built == 1
    assert tree(out) == tree(built)


def test_an_edited_recipe_makes_every_pair_one_of_another_recipe(out):
    path = out / "recipe.toml"
    recipe = recipes.override(recipes.parse(path.read_text(), str(path)), ["darken.exposure=0.5"])
    path.write_text(recipes.to_toml(recipe))
    assert {damage.word for damage in verify.verify(out)} == {"recipe"}
    path.write_text("[darken]\nexposure = 'dark'\n")
    assert [(damage.word, damage.path) for damage in verify.verify(out)] == [("recipe", "recipe.toml")]


def test_a_source_in_both_splits_is_a_leak(out):
    train, test = ([path for path in records(out) if path.parts[-3] == split][0] for split in layout.SPLITS)
    change(test, source={"picture": "a" * 64})
    change(train, source={"picture": "a" * 64})
    manifest.write(out)
    leaks = [damage for damage in verify.verify(out) if damage.word == "leak"]
    assert {damage.path for damage in leaks} == {f"{p.parts[-3]}/*/{p.parts[-2]}" for p in (train, test)}
    assert all("the same source as" in damage.note for damage in leaks)
    pixels = json.loads(train.read_text())["sha256"]["high_sharp_original"]
    change(test, source={"picture": "b" * 64}, sha256={"high_sharp_original": pixels})
    assert sum(damage.word == "leak" for damage in verify.verify(out)) == 2, "one frame in both splits"


def test_the_videos_of_the_last_build_are_known_where_it_was_made(built, out, street_videos, tmp_path):
    assert journal.inputs(built) == [street_videos]
    assert journal.inputs(out) == [], "the paths in a dataset from elsewhere are not followed"
    with pytest.raises(UsageError, match="needs the VIDEOS"):
        rerun.rerun(out, 1, 0)
    shutil.copy(street_videos / "a.mp4", tmp_path / "a.mp4")
    again = rerun.rerun(out, 6, 0, [tmp_path / "a.mp4"], device="cpu")
    assert (len(again.pairs), again.left, again.damages) == (3, 3, [])
    with pytest.raises(InputError):
        rerun.rerun(out, 1, 0, [tmp_path / "gone.mp4"])


def test_the_command_says_seed_and_outcome(out, street_videos):
    def call(*words):
        return CliRunner().invoke(main, ["verify", *map(str, words)])

    done = call(street_videos, out, "--rerun", 2, "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert "2 pairs made again with --seed" in done.output
    pair = spoil(out, records(out)[0], "low_blur_noise")
    manifest.write(out)
    done = call(street_videos, out, "--rerun", 6, "--seed", 3, "--json")
    assert done.exit_code == 12
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["rerun"]["differ"] == [pair]
    assert summary["rerun"]["seed"] == 3
    assert journal.damaged(out) == {pair}
    assert call(street_videos, out).exit_code == 2


def test_a_log_that_is_a_link_or_torn_harms_nothing(out, tmp_path):
    log = out / layout.STATE / journal.NAME
    log.write_bytes(log.read_bytes() + b'{"kind": "dam')
    journal.note_damage(out, ["0000/0001"])
    assert journal.damaged(out) == {"0000/0001"}
    log.unlink()
    log.symlink_to(tmp_path / "elsewhere")
    journal.note_damage(out, ["0000/0001"])
    assert not (tmp_path / "elsewhere").exists()
