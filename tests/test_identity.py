"""identity: the manifest names every file that the noise depends on, and a pair knows when one of them has changed."""

import dataclasses
import json

import pytest

from lolblur_synth import recipes
from lolblur_synth.dataset import keys
from lolblur_synth.errors import RecipeError, WeightsError
from lolblur_synth.files import weights
from lolblur_synth.models import cycleisp


def hashes(*words):
    return keys.weights_of(recipes.override(recipes.load("lolblur"), list(words)))


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
    assert len(before["noise.camera"]) == 64 and "noise.camera" not in hashes("noise.camera=sony-rx10m4")
    profile.write_text(profile.read_text().replace("0.0001", "0.0002"))
    assert hashes(*words)["noise.camera"] != before["noise.camera"]
    assert "noise.camera" not in hashes(*words, "noise.model=gaussian")


def test_another_network_is_another_key():
    recipe = recipes.load("lolblur")
    names = ["sha256", "fps", "sigma", "curve", "moments", "decoder", "light"]
    facts = dataclasses.make_dataclass("Facts", names)("0" * 64, 250.0, 1.0, (), (), "x", "guessed")
    clip = dataclasses.make_dataclass("Clip", ["facts", "split"])(facts, "train")
    pair = dataclasses.make_dataclass("Pair", ["name"])("0000")
    one, other = (keys.key(recipe, clip, pair, {"noise.ccm_joint": digest}, "cpu") for digest in ("a", "b"))
    assert one != other


def test_files_that_are_not_there_are_refused_before_any_work(tmp_path):
    with pytest.raises(WeightsError, match="no rgb2raw_joint"):
        hashes("noise.model=cycleisp", f"noise.weights={tmp_path}")
    with pytest.raises(RecipeError, match=r"no camera .*gone.json"):
        hashes(f"noise.camera={tmp_path / 'gone.json'}")
