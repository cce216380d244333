"""LOLBLUR_KERNELS=off: the package runs on its references alone, and makes the same pictures."""

import os
import subprocess
import sys

import numpy as np
import pytest

from lolblur_synth.errors import UsageError
from lolblur_synth.kernels import switch

SCRIPT = """
import sys
import numpy as np
import torch
from lolblur_synth.kernels import cuda, exposure, inverse_search, vbm4d
from lolblur_synth.recipe.schema import ClipReverseConfig, DenoiseConfig, InterpolateConfig
from lolblur_synth.stages import clip_reverse, denoise, interpolate

rng = np.random.default_rng(0)
texture = rng.random((3, 9, 16), dtype=np.float32).repeat(6, 1).repeat(6, 2)
noisy = np.stack([texture[:, :37, 2 * t : 2 * t + 45] for t in range(4)]) + 0.03 * rng.standard_normal((4, 3, 37, 45))
sharp = denoise.apply(torch.from_numpy(noisy.clip(0, 1).astype(np.float32)), DenoiseConfig(), denoise.Draw(8.0))
motion = interpolate.motion(sharp, InterpolateConfig())
light = exposure.expose(sharp, motion, np.arange(0.55, 2.5, 0.1), ClipReverseConfig(), clip_reverse.Draw(60.0))
np.savez(sys.argv[1], sharp=sharp.numpy(), light=light.numpy())
references = {exposure.reference, inverse_search.reference, vbm4d.reference}
used = {sys.modules[inverse_search.flow.__module__], sys.modules[vbm4d.volumes(noisy).__module__],
        sys.modules[vbm4d.groups().__module__]}
print(len(used & references), exposure.runs_on(torch.device("cpu")), cuda.available())
"""


def run(file, word: str) -> str:
    environment = os.environ | {"LOLBLUR_KERNELS": word}
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(file)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_references_make_the_same_pictures(tmp_path):
    assert run(tmp_path / "off.npz", "off") == "2 False False"
    assert run(tmp_path / "on.npz", "on").startswith("0 True")
    off, on = np.load(tmp_path / "off.npz"), np.load(tmp_path / "on.npz")
    for name in ("sharp", "light"):
        difference = 255 * np.abs(off[name] - on[name])
        assert difference.mean() < 0.05
        assert np.quantile(difference, 0.99) < 0.5


@pytest.mark.parametrize("word", ["0", "OFF", ""])
def test_another_word_is_refused(word):
    with pytest.raises(UsageError, match=f"LOLBLUR_KERNELS is {word!r}") as caught:
        switch.read(word)
    assert "off" in caught.value.hint


def test_another_word_is_one_clear_line_of_the_program():
    environment = os.environ | {"LOLBLUR_KERNELS": "0"}
    command = [sys.executable, "-m", "lolblur_synth.cli", "doctor"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert "LOLBLUR_KERNELS is '0'" in done.stderr
    assert "Traceback" not in done.stderr
