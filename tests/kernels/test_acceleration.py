import numpy as np
import pytest
from cuda_shim import compile_for_device

from lolblur_synth.kernels.exposure.acceleration import bends

HEIGHT, WIDTH = 24, 30


def flows(*motions: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Of frame pairs that move as a whole by these (dx, dy): forward and backward, (T-1, h, w, 3)."""
    forward = np.ones((len(motions), HEIGHT, WIDTH, 3), np.float32)
    for pair, motion in enumerate(motions):
        forward[pair, ..., :2] = motion
    backward = forward.copy()
    backward[..., :2] *= -1
    return forward, backward


def moving(count: int) -> np.ndarray:
    return np.ones(count, bool)


def test_constant_acceleration():
    found = bends(*flows((2, 1), (3, -1), (4, -3)), moving(3))
    assert found.shape == (3, 2, HEIGHT, WIDTH, 2)
    assert np.allclose(found[1], (0.5, -1), atol=1e-4)
    assert not found[[0, 2]].any()  # what was before the first frame, and after the last, is not known


def test_constant_motion_is_straight():
    assert not bends(*flows((2, 1), (2, 1), (2, 1)), moving(3)).any()


def test_two_frames_that_contradict_each_other_are_not_believed():
    """The motion turns round at the first frame and back at the second: accelerations are opposite."""
    assert not bends(*flows((-2, 0), (2, 0), (-2, 0)), moving(3)).any()


def noisy(speed: float) -> tuple[np.ndarray, float]:
    """Bend of the middle pair's first frame where motion grows by `speed` px each interval, and what share of the plain
    second difference is kept, in squares. Every motion has an independent error of 1 px."""
    rng = np.random.default_rng(0)
    forward, backward = flows((0, 0), (speed, 0), (2 * speed, 0))
    for motion in (forward, backward):
        motion[..., :2] += rng.normal(0, 1, motion[..., :2].shape)
    kept, plain = bends(forward, backward, moving(3))[1, 0], 0.5 * (forward[1] + backward[0])[..., :2]
    return kept, np.square(kept).mean() / np.square(plain).mean()


def test_noise_is_mostly_taken_out():
    assert noisy(0.0)[1] < 0.15


def test_acceleration_outlasts_noise():
    """Of 3 px, 9 / (9 + 1) is left where each component is measured to 0.7 px; the error falls below that."""
    kept, _ = noisy(6.0)
    assert 2.6 < kept[..., 0].mean() < 3 and kept[..., 0].std() < 0.5


@pytest.mark.parametrize("unknown,bent", [(None, [1, 2]), (0, [2]), (1, []), (2, []), (3, [1])])
def test_a_pair_that_was_not_measured_bends_nothing(unknown, bent):
    """A repeated frame stands still for one interval: that is no acceleration of the next."""
    known = moving(4)
    if unknown is not None:
        known[unknown] = False
    found = bends(*flows((1, 0), (2, 0), (3, 0), (4, 0)), known)
    assert [pair for pair in range(4) if found[pair].any()] == bent


def test_a_thing_far_out_of_the_frame_is_harmless():
    rng = np.random.default_rng(1)
    forward, backward = (rng.normal(0, 500, (3, HEIGHT, WIDTH, 3)).astype(np.float32) for _ in range(2))
    assert np.isfinite(bends(forward, backward, moving(3))).all()


@pytest.mark.extra
def test_the_source_compiles_for_a_device(tmp_path):
    compile_for_device("exposure/acceleration", tmp_path)
