"""FlowNet: starts as DIS, knows no direction of time, takes any size, and refuses weights that are not its own."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates, spline_filter

from lolblur_synth import draw
from lolblur_synth.errors import WeightsError
from lolblur_synth.files import weights
from lolblur_synth.kernels.exposure import reference
from lolblur_synth.models import flow, warping


def stirred() -> flow.FlowNet:
    """A network whose corrections are not zero."""
    net = flow.FlowNet()
    rng = draw.rng(0, "test", "", "flow")
    for parameter in net.parameters():
        values = rng.standard_normal(tuple(parameter.shape)) * (1.5 / parameter[0].numel() ** 0.5)
        parameter.data = torch.from_numpy(values.astype(np.float32))
    return net.eval().requires_grad_(False)


def pair(height: int, width: int, count: int = 1) -> list[torch.Tensor]:
    """first, second, forward, backward."""
    rng = draw.rng(1, "test", "", "flow")
    frames = [torch.from_numpy(rng.random((count, 3, height, width), np.float32)) for _ in range(2)]
    cells = count, 3, -(-height // 2), -(-width // 2)
    flows = [torch.from_numpy(rng.standard_normal(cells).astype(np.float32) * 3) for _ in range(2)]
    for cell in flows:
        cell[:, 2] = cell[:, 2].sigmoid()
    return frames + flows


def spline(frames: torch.Tensor) -> torch.Tensor:
    channels = [spline_filter(channel, 3, np.float32, "mirror") for channel in frames.flatten(0, 1).numpy()]
    return torch.from_numpy(np.stack(channels)).view_as(frames)


def between(net: flow.FlowNet, first, second, forward, backward, t: float, bend=None):
    """The fused cells at t, and the sample; bend (N, 2, 2, h, w), None: straight."""
    there, back, found = net.refine(first, second, forward, backward)
    t = torch.full((len(first), 1, 1, 1), t)
    bend = torch.zeros(len(first), 2, 2, *there.shape[2:]) if bend is None else bend
    fused = net.fuse(found, reference.carry(there, back, bend, t), t)
    return fused, reference.render(first, second, (spline(first), spline(second)), fused, t)


def test_it_is_small():
    net = flow.FlowNet()
    count = sum(parameter.numel() for parameter in net.parameters())
    assert 0.3e6 < count < 1.5e6
    assert 4 * count < 8e6  # bytes of the file


def test_untrained_it_is_dis():
    first, second, forward, backward = pair(64, 96)
    there, back, found = flow.FlowNet().refine(first, second, forward, backward)
    assert torch.equal(there[:, :2], forward[:, :2]) and torch.equal(back[:, :2], backward[:, :2])
    assert torch.allclose(there[:, 2], 0.05 + 0.9 * forward[:, 2], atol=1e-6)
    t = torch.full((1, 1, 1, 1), 0.3)
    bend = torch.randn(1, 2, 2, *there.shape[2:], generator=torch.Generator().manual_seed(0))
    motion = reference.carry(there, back, bend, t)
    fused = flow.FlowNet().fuse(found, motion, t)
    assert torch.equal(fused[:, :4], motion)
    assert torch.allclose(fused[:, 4], t[0], atol=1e-6)


def test_untrained_it_gives_up_where_the_frames_disagree_along_the_motion():
    """A texture that moves by 4 px: nothing to doubt with that motion; with the opposite one, doubt everywhere."""
    wide = torch.from_numpy(draw.rng(4, "test", "", "flow").random((1, 3, 64, 68), np.float32))
    wide = torch.nn.functional.avg_pool2d(wide, 5, 1, 2)
    first, second = wide[..., 4:], wide[..., :64]
    for speed, doubted in ((4.0, False), (-4.0, True)):
        forward = torch.tensor([speed, 0, 1]).view(1, 3, 1, 1).expand(1, 3, 32, 32)
        backward = torch.tensor([-speed, 0, 1]).view(1, 3, 1, 1).expand(1, 3, 32, 32)
        inner = between(flow.FlowNet(), first, second, forward, backward, 0.5)[0][0, 5, 8:-8, 8:-8]
        assert (inner.mean() > 0.25) if doubted else (inner.mean() < 0.05)


def test_a_motion_that_leads_out_of_the_frame_is_not_doubted():
    """A texture that moves by 8 px, right up to the borders: outside of a frame there is nothing to compare."""
    wide = torch.from_numpy(draw.rng(5, "test", "", "flow").random((1, 3, 64, 72), np.float32))
    wide = torch.nn.functional.avg_pool2d(wide, 5, 1, 2)
    first, second = wide[..., 8:], wide[..., :64]
    forward = torch.tensor([8.0, 0, 1]).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    backward = torch.tensor([-8.0, 0, 1]).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    give_up = between(flow.FlowNet(), first, second, forward, backward, 0.5)[0][0, 5]
    assert give_up[:, :4].max() < 0.05 and give_up[:, -4:].max() < 0.05


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (50, 71), (64, 96)])
def test_any_size(size):
    inputs = pair(*size)
    fused, shown = between(stirred(), *inputs, 0.4)
    assert fused.shape == (1, 6, -(-size[0] // 2), -(-size[1] // 2))
    assert shown.shape == (1, 3, *size)
    assert torch.isfinite(shown).all()


@pytest.mark.parametrize("t", [0.5, 0.2])
def test_swapped_frames_and_time_give_the_same_sample(t):
    net = stirred()
    first, second, forward, backward = pair(48, 64)
    bend = 3 * torch.randn(1, 2, 2, *forward.shape[2:], generator=torch.Generator().manual_seed(0))
    fused, shown = between(net, first, second, forward, backward, t, bend)
    mirrored, again = between(net, second, first, backward, forward, 1 - t, bend.flip(1))
    assert (fused[:, 4] - t).abs().max() > 0.05  # it does something
    assert torch.allclose(fused[:, :2], -mirrored[:, :2], atol=1e-2)  # of tens of pixels
    assert torch.allclose(fused[:, 2:4], mirrored[:, 2:4], atol=1e-2)  # off the straight path, on the same side
    assert torch.allclose(fused[:, 4], 1 - mirrored[:, 4], atol=1e-3)
    assert torch.allclose(fused[:, 5], mirrored[:, 5], atol=1e-3)
    assert (shown - again).abs().mean() < 1e-4


def test_carry_takes_a_motion_to_where_it_is_at_the_instant():
    """One cell moves by (8, -4) px, all others rest: at t = 1/4 it is 1 cell right and half a cell up."""
    forward = torch.zeros(1, 3, 12, 16)
    forward[:, 2], backward = 1e-3, torch.zeros(1, 3, 12, 16)  # no trust in the way back
    forward[0, :, 6, 5] = torch.tensor([8.0, -4.0, 1e3])
    bend = torch.zeros(1, 2, 2, 12, 16)
    bend[0, 0, :, 6, 5] = torch.tensor([2.0, -1.0])
    v, q = reference.carry(forward, backward, bend, torch.full((1, 1, 1, 1), 0.25))[0].split(2)
    for row in (5, 6):
        assert torch.allclose(v[:, row, 6], torch.tensor([8.0, -4.0]), atol=1e-4)
        assert torch.allclose(q[:, row, 6], 0.25 * 0.75 * torch.tensor([2.0, -1.0]), atol=1e-4)
    assert torch.allclose(v[:, 6, 5], 0.75 * torch.tensor([8.0, -4.0]))  # nothing was carried there
    v[:, 5:7, 6] = v[:, 6, 5] = 0
    assert not v.any()


def test_fetch_is_the_cubic_spline_of_scipy():
    frame = pair(24, 30)[0]
    motion = torch.from_numpy(draw.rng(5, "test", "", "flow").standard_normal((1, 2, 24, 30)).astype(np.float32) * 6)
    y, x = torch.meshgrid(torch.arange(24), torch.arange(30), indexing="ij")
    place = (y + motion[0, 1]).clamp(0, 23), (x + motion[0, 0]).clamp(0, 29)
    expected = np.stack([map_coordinates(channel, place, order=3, mode="mirror") for channel in frame[0].numpy()])
    assert np.abs(reference.fetch(spline(frame), motion)[0].numpy() - expected).max() < 1e-4


def test_correlation_finds_a_shift():
    features = torch.from_numpy(draw.rng(2, "test", "", "flow").standard_normal((1, 8, 16, 20)).astype(np.float32))
    moved = torch.roll(features, (2, -3), (2, 3))
    volume = warping.correlation(features, moved, torch.zeros(1, 2, 16, 20))[0, :, 6:10, 6:14]
    assert (volume.argmax(0) == (4 + 2) * 9 + 4 - 3).all()


def test_a_batch_is_its_items():
    net, inputs = stirred(), pair(48, 48, count=2)
    together = between(net, *inputs, 0.3)[1]
    for k in range(2):
        assert torch.allclose(between(net, *(x[k : k + 1] for x in inputs), 0.3)[1], together[k], atol=1e-4)


def test_wrong_weights_are_refused(tmp_path):
    weights.save(torch.nn.Conv2d(3, 3, 3), tmp_path / "other.safetensors", {})
    with pytest.raises(WeightsError, match="FlowNet"):
        flow.load(str(tmp_path / "other.safetensors"))
    with pytest.raises(WeightsError, match="no such weights"):
        flow.load("nothing")
