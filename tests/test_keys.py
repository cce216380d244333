"""The key of a pair: the manifest names every file that pixels depend on, and another file gives another key."""

import json

import pytest

from lolblur_synth import recipes
from lolblur_synth.dataset import keys
from lolblur_synth.dataset.records import Clip, Pair, VideoInfo
from lolblur_synth.errors import RecipeError, WeightsError
from lolblur_synth.files import weights
from lolblur_synth.models import cycleisp

EXISTING = {"fast": "294f2efb6b4c", "lolblur": "1b5add17e0e0", "night": "654cf650b614"}  # of 2026-11-29


def hashes(*words):
    return keys.weight_hashes(recipes.override(recipes.load("lolblur"), list(words)))


@pytest.fixture
def profile(tmp_path):
    path = tmp_path / "phone.json"
    path.write_text(json.dumps({"poisson_gaussian": [{"iso": 100, "a": 1e-4, "b": 1e-7}]}))
    return path


def test_the_networks_of_the_noise_are_named():
    found = hashes("noise.model=cycleisp")
    assert {name for name in found if name.startswith("noise")} == {f"noise.{name}" for name in cycleisp.FILES}
    assert found["noise.ccm_joint"] == weights.sha256("cycleisp-lite/ccm_joint")
    assert set(hashes("noise.model=raw-pg")) == {"darken"}
    assert set(hashes("noise.model=cycleisp", "skip='noise'")) == {"darken"}


def test_a_camera_of_the_users_own_is_named_and_a_bundled_one_is_not(profile):
    words = ("noise.model=raw-pg", f"noise.camera={profile}")
    before = hashes(*words)
    assert len(before["noise.camera"]) == 64
    assert "noise.camera" not in hashes("noise.camera=sony-rx10m4")
    profile.write_text(profile.read_text().replace("0.0001", "0.0002"))
    assert hashes(*words)["noise.camera"] != before["noise.camera"]
    assert "noise.camera" not in hashes(*words, "noise.model=gaussian")


def test_another_network_is_another_key():
    recipe = recipes.load("lolblur")
    video = VideoInfo(
        name="a.mp4", path="", kind="video", sha256="0" * 64, fps=250.0, frames=99, width=64, height=48, bits=8,
        colour="", decoder="", cuts=(), repeats=1, sigma=1.0, lightness=0.5,
    )  # fmt: skip
    pair = Pair("0000", "0000", segment=0, window=7, mid=9, first=5, last=13)
    clip = Clip("0000", "train", video, (pair,))
    one, other = (keys.key(recipe, clip, pair, {"noise.ccm_joint": digest}, "cpu") for digest in ("a", "b"))
    assert one != other


def test_files_that_are_not_there_are_refused_before_any_work(tmp_path):
    with pytest.raises(WeightsError, match="no rgb2raw_joint"):
        hashes("noise.model=cycleisp", f"noise.weights={tmp_path}")
    with pytest.raises(RecipeError, match=r"no camera .*gone.json"):
        hashes(f"noise.camera={tmp_path / 'gone.json'}")


def test_darkening_by_a_power_uses_no_weights_and_has_a_hash_of_its_own():
    assert set(hashes("noise.model=raw-pg", "darken.method=gamma")) == set()
    plain = recipes.load("lolblur")
    gamma, network = (recipes.override(plain, [f"darken.method={name}"]) for name in ("gamma", "network"))
    assert recipes.sha256(gamma) != recipes.sha256(plain) == recipes.sha256(network)


def test_the_hashes_of_the_built_in_recipes_are_those_of_datasets_that_exist():
    """An option that is added later goes into `schema.ADDED`; a changed default is another dataset."""
    assert {name: recipes.sha256(recipes.load(name))[:12] for name in recipes.names()} == EXISTING
