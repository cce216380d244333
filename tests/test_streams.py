import numpy as np
import pytest
import torch

from lolblur_synth import recipes, streams
from lolblur_synth.stages import interpolate


@pytest.mark.parametrize(
    "count", [1, 2, 3, streams.GROUP + 1, streams.GROUP + 2, streams.GROUP + 3, 3 * streams.GROUP + 2, 40]
)
def test_every_interval_comes_once_with_the_frames_beside_it(count):
    shown, seen = (torch.full((1, 1, 1, 1), float(t)) for t in range(count)), []
    for window, begin, end in streams._overlapping(shown):
        times = window.flatten().tolist()
        assert len(times) <= streams.GROUP + 3 and times == list(range(int(times[0]), int(times[-1]) + 1))
        for pair in range(begin, end):
            seen.append(times[pair])
            assert pair > 0 or times[pair] == 0
            assert pair + 2 < len(times) or times[pair + 1] == count - 1
    assert seen == list(range(count - 1))


def test_a_stream_is_interpolated_as_its_frames_together_are():
    """Bright frames, so that no tone curve depends on what is looked at together; an accelerating texture."""
    rng = np.random.default_rng(5)
    wide = torch.from_numpy(rng.random((1, 3, 48, 300), np.float32)) * 0.5 + 0.5
    wide = torch.nn.functional.avg_pool2d(wide, 5, 1, 2)
    frames = torch.cat([wide[..., t * t : t * t + 64] for t in range(2 * streams.GROUP - 3)])
    recipe = recipes.load("lolblur")
    stream = streams._interpolate(interpolate, iter(frames.split(1)), recipe.interpolate, None, recipe, False)
    got = torch.cat(list(stream))
    assert torch.equal(got, interpolate.apply(frames, recipe.interpolate))
