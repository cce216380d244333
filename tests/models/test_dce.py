"""models/dce.py: the curve, the two layouts, and the maps that follow the edges of the frame."""

import pytest
import torch

from lolblur_synth.errors import InputError, WeightsError
from lolblur_synth.files import weights
from lolblur_synth.models import dce

WIDE = dict.fromkeys(("conv2", "conv3", "conv4", "conv_e2", "conv_e3", "conv_e4"), (256, 256, 3, 3))
PUBLISHED = {  # of the released ce_zerodce.pth
    **{f"e_{name}.weight": shape for name, shape in WIDE.items()},
    "e_conv1.weight": (256, 1, 3, 3), "e_conv_e1.weight": (256, 1, 3, 3),
    "e_conv5.weight": (256, 768, 3, 3), "e_conv6.weight": (256, 768, 3, 3), "e_conv7.weight": (10, 768, 3, 3),
    **{f"e_conv{n}.bias": (256,) for n in ("1", "2", "3", "4", "5", "6", "_e1", "_e2", "_e3", "_e4")},
    "e_conv7.bias": (10,),
}  # fmt: skip


def planes(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(shape, generator=generator), torch.full(shape, 0.2)


@pytest.mark.parametrize("white", [1.0, 1.1])
def test_the_curve_darkens_in_order_and_keeps_its_fixed_points(white):
    x = torch.linspace(0, 1, 101).view(1, 1, 1, -1)
    last = x
    for r in (0.0, 0.1, 0.5, 1.0):
        y = dce.curve(x, torch.full_like(x, r), 8, white)
        assert (y.diff() >= 0).all() and (y <= last + 1e-6).all() and y.min() >= 0
        last = y
    assert dce.curve(x, torch.zeros_like(x), 8, white).equal(x)
    assert dce.curve(torch.tensor([[[[0.0, white]]]]), torch.tensor([[[[0.3]]]]), 8, white).allclose(
        torch.tensor([[[[0.0, white]]]])
    )
    assert (dce.curve(x, torch.full_like(x, -0.3), 8) >= x - 1e-6).all(), "a negative r brightens"


def test_white_may_differ_from_pixel_to_pixel():
    x, r = torch.full((1, 1, 1, 2), 0.9), torch.full((1, 1, 1, 2), 0.2)
    both = dce.curve(x, r, 8, torch.tensor([[[[1.0, 1.1]]]]))
    alone = [dce.curve(x, r, 8, white)[..., 0] for white in (1.0, 1.1)]
    assert both.flatten().tolist() == pytest.approx([float(y) for y in alone])


def test_shadows_are_scaled_like_light():
    dark = torch.full((1, 1, 1, 1), 1e-4)
    got = dce.curve(dark, torch.full_like(dark, 0.25), 8) / dark
    assert got.item() == pytest.approx(0.75**8, rel=1e-3)


def test_maps_are_used_in_turn():
    x = torch.full((1, 1, 1, 1), 0.5)
    maps = torch.tensor([0.1, 0.4]).view(1, 2, 1, 1)
    by_hand = 0.5 + 0.1 * (0.25 - 0.5)
    assert dce.curve(x, maps, 2).item() == pytest.approx(by_hand + 0.4 * (by_hand**2 - by_hand))


def test_our_net_is_small_and_only_darkens():
    net = dce.CurveNet()
    assert 60_000 < sum(p.numel() for p in net.parameters()) < 90_000
    lightness, asked = planes(2, 1, 48, 64)
    out = net(lightness, asked)
    assert out.shape == lightness.shape and (out <= lightness + 1e-6).all() and out.min() >= 0


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 5), (8, 8), (33, 65)])
@pytest.mark.parametrize("layout", [dce.CurveNet, lambda: dce.PublishedCurveNet(width=8)])
def test_any_size(size, layout):
    out = layout()(*planes(1, 1, *size))
    assert out.shape[-2:] == size and out.isfinite().all()


def test_the_published_layout_key_by_key():
    net = dce.PublishedCurveNet()
    assert {name: tuple(value.shape) for name, value in net.state_dict().items()} == PUBLISHED
    assert sum(p.numel() for p in net.parameters()) == 7_154_186


def test_a_published_file_loads_and_runs(tmp_path):
    """As the release is made: a plain table of tensors. With all weights 0 the biases speak: every map is tanh(b)."""
    state = {name: torch.zeros(shape) for name, shape in PUBLISHED.items()}
    state["e_conv7.bias"] = torch.linspace(-0.2, 0.7, 10)
    torch.save(state, tmp_path / "ce_zerodce.pth")
    net = dce.load(str(tmp_path / "ce_zerodce.pth"))
    assert isinstance(net, dce.PublishedCurveNet)
    x, asked = planes(1, 1, 6, 7)
    expected = x.clone()
    for r in torch.linspace(-0.2, 0.7, 10).tanh():
        expected = expected + r * (expected**2 - expected)
    assert net(x, asked).allclose(expected, atol=1e-6)


def test_the_published_branches_meet_as_released():
    """conv5 sees (E4, x3, x4), conv6 (E3, x2, x5), conv7 (E2, x1, x6), in this order of channels."""
    net = dce.PublishedCurveNet(width=1)
    with torch.no_grad():
        for index, parameter in enumerate(net.parameters()):
            parameter.zero_()
            if parameter.ndim == 4:
                parameter[:, :, 1, 1] = (
                    0.5
                    + 0.1 * torch.arange(parameter[:, :, 1, 1].numel()).view_as(parameter[:, :, 1, 1])
                    + 0.01 * index
                )
    x, e = torch.tensor(0.4).view(1, 1, 1, 1), torch.tensor(0.3).view(1, 1, 1, 1)
    w = {name.removesuffix(".weight"): p[:, :, 1, 1] for name, p in net.state_dict().items() if p.ndim == 4}
    xs, es = [x.view(1, 1)], [e.view(1, 1)]
    for n in range(1, 5):
        xs.append(w[f"e_conv{n}"] @ xs[-1])
        es.append(w[f"e_conv_e{n}"] @ es[-1])
    x5 = w["e_conv5"] @ torch.cat((es[4], xs[3], xs[4]))
    x6 = w["e_conv6"] @ torch.cat((es[3], xs[2], x5))
    maps = (w["e_conv7"] @ torch.cat((es[2], xs[1], x6))).tanh()
    assert net.maps(x, e).view(-1, 1).allclose(maps, atol=1e-6)


def test_maps_follow_the_edges_of_the_frame():
    """A step in the frame, and maps that know it only to a cell: the full-size maps step where the frame does."""
    frame = torch.full((1, 1, 64, 128), 0.2)
    frame[..., 61:] = 0.8
    small = dce.reduce(frame, 8)
    maps = dce.follow_edges(dce.edge_model(0.1 + 0.5 * small, small), frame)[0, 0, 32]
    assert maps[:61].max() < maps[61:].min() - 0.2
    smooth = dce.follow_edges(dce.edge_model(torch.full_like(small, 0.3), small), frame)
    assert smooth.allclose(torch.full_like(frame, 0.3), atol=1e-5)


def test_reduce_takes_area_means_and_keeps_a_cell():
    plane = torch.rand(1, 1, 32, 48)
    assert dce.reduce(plane, 8).allclose(torch.nn.functional.avg_pool2d(plane, 8))
    assert dce.reduce(torch.rand(1, 1, 3, 3), 8).shape == (1, 1, 1, 1)


@pytest.mark.parametrize("shapes", [((1, 3, 8, 8), (1, 3, 8, 8)), ((1, 1, 8, 8), (1, 1, 8, 9)), ((8, 8), (8, 8))])
def test_wrong_shapes_are_refused(shapes):
    for net in (dce.CurveNet(), dce.PublishedCurveNet(width=4)):
        with pytest.raises(InputError, match=r"expected \(N, 1, H, W\) twice"):
            net(*(torch.zeros(shape) for shape in shapes))


def test_load_is_cached_frozen_and_says_what_does_not_fit(tmp_path):
    net = dce.load("darken-slim")
    assert net is dce.load("darken-slim") and isinstance(net, dce.CurveNet)
    assert not net.training and not any(p.requires_grad for p in net.parameters())
    weights.save(torch.nn.Linear(2, 2), tmp_path / "other.safetensors", {})
    with pytest.raises(WeightsError, match="other.safetensors.*CurveNet"):
        dce.load(str(tmp_path / "other.safetensors"))
