"""LEDNet: the published layout, and the lean adaptive convolution against a plain one written here."""

import hashlib
import math

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from lolblur_synth.errors import InputError, UsageError, WeightsError
from lolblur_synth.files import weights
from lolblur_synth.models import fasc
from lolblur_synth.models.fasc import AdaptiveConv, adaptive_conv
from lolblur_synth.models.lednet import LEDNet, detect_range, enhance, initialise, load
from lolblur_synth.models.lednet_blocks import GridMean
from lolblur_synth.models.recognise import recognise

SMALL = 0.125
PUBLISHED = "eedf9007b3e253105d50a49fc1e91b40ff4161b414abfc7a8e63b90aa75c5d63"  # names and shapes of lednet.pth


def unfold_form(feature, guide, weight, bias):
    """The same filtering with every filter and every neighbourhood laid out in full."""
    n, c, h, w = feature.shape
    filters = F.conv2d(guide, weight, bias).view(n, c, 25, h, w)
    patches = F.unfold(F.pad(feature, (2, 2, 2, 2), mode="replicate"), 5).view(n, c, 25, h, w)
    return F.leaky_relu((filters * patches).sum(2), 0.2)


def operands(dtype=torch.float32, n=2, c=3, g=4, h=6, w=5):
    torch.manual_seed(0)
    shapes = (n, c, h, w), (n, g, h, w), (25 * c, g, 1, 1), (25 * c,)
    return [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]


def test_published_layout():
    """Sizes from the paper (7.4 M) and from the published checkpoint: 195 parameters and 6 blur kernels."""
    net = LEDNet()
    assert sum(p.numel() for p in net.parameters()) == 7_408_893
    state = net.state_dict()
    assert len(state) == 201
    lines = sorted(f"{key}\t{tuple(value.shape)}" for key, value in state.items())
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == PUBLISHED


def test_a_published_checkpoint_loads(tmp_path):
    """BasicSR wraps the weights in `params`."""
    torch.manual_seed(1)
    source = LEDNet()
    torch.save({"params": source.state_dict()}, tmp_path / "lednet.pth")
    net, value_range = load(tmp_path / "lednet.pth", "-1..1")
    x = torch.rand(1, 3, 32, 32)
    assert value_range == "-1..1"
    assert torch.equal(net(x), source.eval()(x))


def test_weights_say_how_they_were_made(tmp_path):
    source = LEDNet(SMALL, ppm=False, skip="concat")
    weights.save(source, tmp_path / "w.safetensors", {"network": "lednet", "options": source.options, "range": "-1..1"})
    net, value_range = load(tmp_path / "w.safetensors")
    assert value_range == "-1..1" and net.options == source.options


def test_foreign_weights_are_refused(tmp_path):
    torch.save({"params": {"conv.weight": torch.zeros(3, 3)}}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="other.pth"):
        load(tmp_path / "other.pth")
    weights.save(torch.nn.Linear(2, 2), tmp_path / "dce.safetensors", {"network": "dce"})
    with pytest.raises(WeightsError, match="weights of dce"):
        load(tmp_path / "dce.safetensors")
    weights.save(torch.nn.Linear(2, 2), tmp_path / "odd.safetensors", {"network": "lednet", "options": {"depth": 3}})
    with pytest.raises(WeightsError, match="describes no valid LEDNet"):
        load(tmp_path / "odd.safetensors")


def test_whole_network_equals_the_unfold_form(monkeypatch):
    torch.manual_seed(2)
    net = LEDNet(0.25)
    x = torch.rand(2, 3, 40, 48)
    side, out = net(x, side_loss=True)
    loss = out.square().mean() + side.square().mean()
    ours = torch.autograd.grad(loss, list(net.parameters()))
    monkeypatch.setattr(fasc, "adaptive_conv", unfold_form)
    plain_side, plain_out = net(x, side_loss=True)
    plain = torch.autograd.grad(plain_out.square().mean() + plain_side.square().mean(), list(net.parameters()))
    assert side.shape == (2, 3, 5, 6) and out.shape == x.shape
    assert torch.allclose(out, plain_out, atol=1e-5) and torch.allclose(side, plain_side, atol=1e-5)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(ours, plain, strict=True))


def test_adaptive_conv_equals_the_unfold_form():
    inputs = operands()
    assert torch.allclose(adaptive_conv(*inputs), unfold_form(*inputs), atol=1e-5)


def test_adaptive_conv_gradients():
    """The plain form against finite differences; ours, whose sum is float32 by design, against the plain form."""
    inputs = operands(torch.float64, n=1, c=2, g=2, h=3, w=4)
    assert gradcheck(unfold_form, inputs)
    seed = torch.randn(1, 2, 3, 4, dtype=torch.float64)
    ours = torch.autograd.grad((AdaptiveConv.apply(*inputs).double() * seed).sum(), inputs)
    n, c, h, w = inputs[0].shape
    filters = F.conv2d(*inputs[1:]).view(n, c, 25, h, w)
    patches = F.unfold(F.pad(inputs[0], (2, 2, 2, 2), mode="replicate"), 5).view(n, c, 25, h, w)
    plain = torch.autograd.grad(((filters * patches).sum(2) * seed).sum(), inputs)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(ours, plain, strict=True))


def test_half_precision_sums_in_float32():
    inputs = operands(c=8, g=8)
    with torch.autocast("cpu", torch.bfloat16):
        half = adaptive_conv(*inputs)
        half.sum().backward()
    full = unfold_form(*inputs)
    assert half.dtype == torch.float32
    assert (half - full).abs().max() < 0.03 * full.abs().max()
    assert all(x.grad.dtype == x.dtype and torch.isfinite(x.grad).all() for x in inputs)


@pytest.mark.parametrize("bins", [1, 2, 3, 6])
@pytest.mark.parametrize("size", [(6, 12), (7, 11), (4, 33), (1, 2)])
def test_means_by_products_are_those_of_adaptive_pooling(bins, size):
    x, mean = torch.rand(2, 5, *size, requires_grad=True), GridMean(bins)
    expected, got = mean(x), mean.by_products(x)
    assert torch.allclose(got, expected, atol=1e-6)
    seed = torch.randn_like(expected)
    assert torch.allclose(*(torch.autograd.grad((y * seed).sum(), x)[0] for y in (got, expected)), atol=1e-6)


@pytest.mark.parametrize("options", [{"ppm": False}, {"curve": False}, {"skip": "concat"}, {"width": 0.25}])
def test_variants_run_and_are_smaller(options):
    net = LEDNet(**{"width": SMALL} | options)
    assert net(torch.rand(1, 3, 16, 24)).shape == (1, 3, 16, 24)
    if "width" not in options:
        assert sum(p.numel() for p in net.parameters()) < sum(p.numel() for p in LEDNet(SMALL).parameters())


def test_bad_sizes_and_options():
    with pytest.raises(InputError, match="multiples of 8"):
        LEDNet(SMALL)(torch.rand(1, 3, 20, 16))
    with pytest.raises(UsageError, match="width"):
        LEDNet(0.01)
    with pytest.raises(UsageError, match="skip"):
        LEDNet(SMALL, skip="sum")


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (8, 8), (33, 50)])
@pytest.mark.parametrize("value_range", ["0..1", "-1..1"])
def test_enhance_takes_any_size(size, value_range):
    out = enhance(LEDNet(SMALL).eval(), torch.rand(1, 3, *size), value_range)
    assert out.shape[-2:] == size and 0 <= out.min() and out.max() <= 1


def test_enhance_padding_changes_nothing_where_none_is_needed():
    net, x = LEDNet(SMALL).eval(), torch.rand(1, 3, 16, 24)
    with torch.no_grad():
        plain = ((net(x * 2 - 1) + 1) / 2).clamp(0, 1)
    assert torch.allclose(enhance(net, x, "-1..1"), plain, atol=1e-6), "another layout, another order of summation"


@pytest.mark.parametrize("width", [SMALL, 1.0])
def test_first_features_do_not_explode(width):
    """CurveNLU learns between 0 and 1 only; and what the decoder gives sets the size of the first steps."""
    torch.manual_seed(0)
    net, seen = LEDNet(width), {}
    initialise(net)
    for name in ("PPM1", "PPM2", "PPM3", "conv_fac_k1"):
        net.get_submodule(name).register_forward_hook(lambda module, given, out, name=name: seen.update({name: out}))
    with torch.no_grad():
        net(torch.rand(1, 3, 64, 64))
    last = seen.pop("conv_fac_k1")
    assert all((feature > 1).float().mean() < 0.05 for feature in seen.values())
    assert all(feature.std() > 0.01 for feature in (*seen.values(), last)) and last.abs().max() < 3


@pytest.mark.parametrize("layout", ["paper", "lite"])
def test_an_untaught_network_with_a_lift_gives_the_lifted_frame(layout):
    torch.manual_seed(0)
    net = LEDNet(SMALL if layout == "paper" else 0.25, lift=True, layout=layout).eval()
    initialise(net)
    frames = torch.rand(2, 3, 32, 44) * torch.tensor([0.1, 0.6]).view(2, 1, 1, 1)
    assert torch.allclose(enhance(net, frames), net.lift(frames), atol=1e-6)
    assert torch.isfinite(enhance(net, torch.zeros(1, 3, 8, 8))).all(), "black stays finite"
    side, out = net(frames[..., :32], side_loss=True)
    assert side.shape == ((2, 3, 4, 4) if layout == "paper" else (2, 3, 2, 2)) and out.shape == (2, 3, 32, 32)


def test_the_lite_layout_wants_multiples_of_16():
    with pytest.raises(InputError, match="multiples of 16"):
        LEDNet(0.25, layout="lite")(torch.rand(1, 3, 24, 16))


@pytest.mark.parametrize("value_range, black", [("0..1", 0.0), ("-1..1", -1.0)])
def test_range_is_detected(value_range, black):
    """A network that has learned what black is in its range."""
    torch.manual_seed(3)
    net = LEDNet(SMALL)
    with torch.no_grad():
        net.D_block0[1].weight.zero_()
        net.D_block0[1].bias.fill_(black + 0.05)
    assert detect_range(net) == value_range


@pytest.mark.parametrize(("about", "match"), [
    ({"options": {"width": 1000}}, "more than the file holds"), ({"options": {"width": math.nan}}, "cannot convert"),
    ({"options": {"width": math.inf}}, "cannot convert"), ({"range": "0..255"}, "an unknown range"),
    ({"range": None}, "an unknown range"),
])  # fmt: skip
def test_a_header_that_asks_for_what_there_is_not_is_refused(tmp_path, about, match):
    net = LEDNet(SMALL)
    weights.save(net, tmp_path / "a.safetensors", {"network": "lednet", "options": net.options} | about)
    for use in (load, recognise):
        with pytest.raises(WeightsError, match=match):
            use(str(tmp_path / "a.safetensors"))


def test_weights_that_give_no_numbers_are_refused(tmp_path):
    net = LEDNet(SMALL)
    with torch.no_grad():
        net.E_block1[0].weight.fill_(3e38)
    weights.save(net, tmp_path / "a.safetensors", {"network": "lednet", "options": net.options, "range": "0..1"})
    for use in (load, recognise):
        with pytest.raises(WeightsError, match="answers a black frame with NaN"):
            use(str(tmp_path / "a.safetensors"))
