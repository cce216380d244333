"""models/cycleisp.py: the published layout key by key, and networks that take part in the noise."""

import numpy as np
import pytest
import torch

from lolblur_synth import draw as dr
from lolblur_synth import frames as fr
from lolblur_synth.camera import demosaic, mosaic
from lolblur_synth.errors import InputError, WeightsError
from lolblur_synth.files import weights
from lolblur_synth.metrics import fingerprint
from lolblur_synth.models import cycleisp
from lolblur_synth.recipe.schema import NoiseConfig
from lolblur_synth.stages import noise

TINY = {"features": 8, "groups": 1, "blocks": 1}
NETWORKS = (cycleisp.Rgb2Raw, cycleisp.ColorBranch, cycleisp.Raw2Rgb)


def published_keys(groups: int, blocks: int, ends: dict) -> dict:
    """Names and shapes of an official checkpoint, written out from its description."""
    keys = dict(ends)
    for g in range(groups):
        for d in range(blocks):
            dab = f"body.{g}.body.{d}"
            keys |= {
                f"{dab}.SA.spatial.conv.weight": (1, 2, 3, 3),
                f"{dab}.CA.conv_du.0.weight": (12, 96, 1, 1), f"{dab}.CA.conv_du.0.bias": (12,),
                f"{dab}.CA.conv_du.2.weight": (96, 12, 1, 1), f"{dab}.CA.conv_du.2.bias": (96,),
                f"{dab}.body.0.weight": (96, 96, 3, 3), f"{dab}.body.0.bias": (96,), f"{dab}.body.1.weight": (96,),
                f"{dab}.body.2.weight": (96, 96, 3, 3), f"{dab}.body.2.bias": (96,),
                f"{dab}.conv1x1.weight": (96, 192, 1, 1), f"{dab}.conv1x1.bias": (96,),
            }  # fmt: skip
        keys |= {f"body.{g}.body.{blocks}.weight": (96, 96, 3, 3), f"body.{g}.body.{blocks}.bias": (96,)}
    keys |= {f"body.{groups}.weight": (96, 96, 3, 3), f"body.{groups}.bias": (96,), f"body.{groups + 1}.weight": (96,)}
    return keys


PUBLISHED = {
    cycleisp.Rgb2Raw: (3_143_109, 193, published_keys(3, 5, {
        "head.0.weight": (96, 3, 3, 3), "head.0.bias": (96,), "tail.0.weight": (3, 96, 3, 3), "tail.0.bias": (3,)})),
    cycleisp.ColorBranch: (1_084_419, 60, published_keys(2, 2, {
        "blur.weight": (3, 1, 21, 21), "head.0.weight": (96, 3, 3, 3), "head.0.bias": (96,),
        "tail.0.weight": (96, 96, 3, 3), "tail.0.bias": (96,)})),
    cycleisp.Raw2Rgb: (3_244_110, 198, published_keys(3, 5, {
        "head.0.weight": (96, 4, 3, 3), "head.0.bias": (96,), "tail.0.weight": (96, 96, 3, 3), "tail.0.bias": (96,),
        "tail.1.weight": (96,), "tail_rgb.0.weight": (12, 96, 1, 1), "tail_rgb.0.bias": (12,),
        "conv1x1.0.weight": (96, 192, 1, 1), "conv1x1.0.bias": (96,)})),
}  # fmt: skip


@pytest.fixture
def tiny(tmp_path):
    """A folder of three small networks with random weights."""
    torch.manual_seed(0)
    for network, name in zip(NETWORKS, cycleisp.FILES, strict=True):
        weights.save(network(**TINY), tmp_path / f"{name}.safetensors", {"size": TINY})
    return tmp_path


@pytest.mark.parametrize("network", NETWORKS)
def test_the_published_layout_to_the_last_parameter(network):
    count, entries, keys = PUBLISHED[network]
    module = network()
    assert sum(p.numel() for p in module.parameters()) == count
    assert {name: tuple(value.shape) for name, value in module.state_dict().items()} == keys and len(keys) == entries


@pytest.mark.parametrize("network", NETWORKS)
def test_a_published_checkpoint_loads_strictly(network, tmp_path):
    """With the prefix of DataParallel, the nesting, and the shared PReLU repeated once a block."""
    keys = PUBLISHED[network][2]
    prelu = torch.rand(96)
    state = {f"module.{k}": prelu if s == (96,) and k.endswith("weight") else torch.rand(s) for k, s in keys.items()}
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "joint.pth")
    module = network()
    weights.load(module, tmp_path / "joint.pth")
    for name, value in module.state_dict().items():
        assert torch.equal(value, state[f"module.{name}"])
    other = NETWORKS[NETWORKS.index(network) - 1]()
    with pytest.raises(WeightsError):
        weights.load(other, tmp_path / "joint.pth")


def test_shapes_and_the_mosaic():
    torch.manual_seed(0)
    rgb2raw, colour, raw2rgb = (network(**TINY).eval() for network in NETWORKS)
    display = torch.rand(2, 3, 24, 32)
    with torch.inference_mode():
        raw, gate = rgb2raw(display), colour(display)
        assert raw.shape == (2, 4, 12, 16) and gate.shape == (2, 8, 12, 16) and 0 < gate.min() and gate.max() < 1
        assert raw2rgb(raw, gate).shape == display.shape
        camera = rgb2raw.tail(rgb2raw.body(rgb2raw.head(display)))
    for plane, (channel, y, x) in enumerate(((0, 0, 0), (1, 0, 1), (1, 1, 0), (2, 1, 1))):
        assert torch.equal(raw[:, plane], camera[:, channel, y::2, x::2])


def test_the_colour_branch_sees_colours_not_detail():
    torch.manual_seed(0)
    colour = cycleisp.ColorBranch(**TINY).eval()
    assert colour.blur.weight.sum((1, 2, 3)).tolist() == pytest.approx([1, 1, 1], abs=1e-5)
    flat = torch.full((1, 3, 64, 64), 0.5)
    checks = flat + 0.2 * ((torch.arange(64)[:, None] + torch.arange(64)) % 2 - 0.5)
    with torch.inference_mode():
        assert (colour(flat) - colour(checks)).abs().max() < 1e-3 < (colour(flat) - colour(flat * 0.5)).abs().max()


def test_one_prelu_for_all_blocks_learns_once():
    module = cycleisp.Rgb2Raw(**TINY)
    slopes = [m for m in module.modules() if isinstance(m, torch.nn.PReLU)]
    assert len(slopes) == 1
    module(torch.rand(1, 3, 8, 8)).sum().backward()
    assert slopes[0].weight.grad is not None


def test_packed_a_network_works_on_blocks_of_pixels():
    """It sees all that a block holds, and gives its four samples at once."""
    rgb2raw = cycleisp.Rgb2Raw(**TINY, inputs=6, pack=2)
    assert rgb2raw.head[0].weight.shape == (8, 24, 3, 3) and rgb2raw.tail[0].weight.shape == (4, 8, 3, 3)
    assert rgb2raw(torch.rand(2, 6, 16, 24)).shape == (2, 4, 8, 12)


def test_the_second_pass_sees_what_the_first_one_left():
    """Of a network that gives a tenth of what is lost, at each site: the second tenth is of the rest."""
    colours = cycleisp.camera_colours("sony-rx10m4")
    display, seen = torch.rand(1, 3, 32, 32), []

    class Tenth(torch.nn.Module):
        inputs, passes = 6, 2

        def forward(self, both):
            seen.append(both)
            return mosaic.mosaic(both[:, 3:] / 10, np.eye(3), cycleisp.WHITE)

    networks = cycleisp.Networks(Tenth(), None, None, colours=colours)
    planes = networks.planes(display)
    analytic = mosaic.mosaic(fr.srgb_to_light(display), colours, cycleisp.WHITE)
    after_one = cycleisp.Networks(Tenth(), None, None, colours=colours)
    after_one.rgb2raw.passes = 1
    once = after_one.planes(display)
    for given, raw in zip(seen, (analytic, fr.srgb_to_light(once.clamp(0, 1))), strict=False):
        assert torch.equal(given[:, :3], display)
        torch.testing.assert_close(given[:, 3:], display - demosaic.develop(raw, colours))
    assert len(seen) == 3 and not torch.equal(planes, once)


def test_a_coarse_gate_is_nearly_the_fine_one_where_colours_change_slowly():
    torch.manual_seed(0)
    fine, coarse = cycleisp.ColorBranch(**TINY).eval(), cycleisp.ColorBranch(**TINY, coarse=4).eval()
    coarse.load_state_dict(fine.state_dict())
    flat = torch.tensor([0.2, 0.4, 0.6]).view(1, 3, 1, 1).expand(1, 3, 160, 192).contiguous()
    for display in (flat, flat[..., :46, :50]):
        with torch.inference_mode():
            assert coarse(display).shape == fine(display).shape
    with torch.inference_mode():
        inside = (coarse(flat) - fine(flat))[..., 36:-36, 36:-36].abs().max()
    assert inside < 1e-4


@pytest.mark.parametrize("shape", [(1, 3, 9, 8), (1, 4, 8, 8), (3, 8, 8)])
def test_odd_frames_are_refused(shape):
    with pytest.raises(InputError):
        cycleisp.Rgb2Raw(**TINY)(torch.rand(shape))
    with pytest.raises(InputError, match="more than 10"):
        cycleisp.ColorBranch(**TINY)(torch.rand(1, 3, 8, 8))


def test_the_blur_is_the_one_of_the_checkpoint():
    """It runs as a column and a row."""
    colour, display = cycleisp.ColorBranch(**TINY), torch.rand(1, 3, 40, 44)
    padded = torch.nn.functional.pad(display, (10,) * 4, mode="reflect")
    seen = []
    colour.head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        colour(display)
        torch.testing.assert_close(seen[0], colour.blur(padded), atol=1e-5, rtol=0)


def test_a_block_is_that_of_the_paper():
    """Both gates on the features, side by side, joined by the 1x1 convolution, added to the input (Fig. 3)."""
    torch.manual_seed(0)
    block, x = cycleisp.DualAttentionBlock(8, torch.nn.PReLU(8)), torch.rand(2, 8, 6, 6)
    with torch.inference_mode():
        inner = block.body(x)
        joined = torch.cat((inner * block.SA(inner), inner * block.CA(inner)), 1)
        torch.testing.assert_close(block(x), x + block.conv1x1(joined), atol=1e-6, rtol=1e-5)


def test_bands_of_rows_change_nothing(lite, monkeypatch):
    torch.manual_seed(0)
    frames, networks = torch.rand(1, 3, 56, 40), cycleisp.load(lite.weights)
    found = []
    for rows in (5, 28):
        monkeypatch.setattr(cycleisp, "BAND", rows)
        with torch.inference_mode():
            raw = networks.raw(frames)
            found.append((raw, networks.develop(raw, networks.colour(frames))))
    for banded, whole in zip(*found, strict=True):
        torch.testing.assert_close(banded, whole, atol=1e-6, rtol=0)


def test_our_raw_is_balanced_and_companded_and_the_authors_is_not(tiny):
    """The same networks under either header: a lamp acts on ours alone, and the curve stands between."""
    frames, config = torch.rand(1, 3, 32, 32) * 0.3, config_of(tiny)
    drawn = noise.Draw(True, 1, gains=(2.0, 1.0, 4.0), shot=(1e-9,) * 3, read=(0.0,) * 3)
    sensor, _ = noise.raw_pair(frames, config, drawn)
    theirs = cycleisp.load(str(tiny))
    torch.testing.assert_close(sensor, torch.pixel_shuffle(theirs.raw(frames), 2))
    for network, name in zip(NETWORKS, cycleisp.FILES, strict=True):
        weights.load(module := network(**TINY), tiny / f"{name}.safetensors")
        weights.save(module, tiny / f"{name}.safetensors", {"size": TINY, "raw": cycleisp.OUR_RAW})
    cycleisp.load.cache_clear()
    ours = torch.nn.functional.pixel_unshuffle(noise.raw_pair(frames, config, drawn)[0], 2)
    expected = fr.srgb_to_light(theirs.raw(frames)) / torch.tensor([2.0, 1.0, 1.0, 4.0]).view(4, 1, 1)
    torch.testing.assert_close(ours, expected)


@pytest.fixture(scope="module")
def lite():
    return NoiseConfig(model="cycleisp", probability=1.0)


@pytest.mark.parametrize("level", [23, 30, 39])
def test_the_bundled_networks_have_the_published_fingerprint(lite, level):
    for segment in range(2):
        drawn = noise.draw(lite, dr.rng(0, "video", f"segment-{segment}", "noise"))
        clean = torch.full((1, 3, 384, 512), level / 255)
        noisy = noise.apply(clean, lite, drawn)
        assert not fingerprint.misses(fingerprint.fingerprint(fr.to_uint8(noisy[0])))
        free = (noisy > 0) & (noisy < 1)
        for channel in range(3):
            assert abs((noisy - clean)[:, channel][free[:, channel]].mean().item()) * 255 < 0.2


def test_the_bundled_networks_bring_a_photograph_back(lite):
    """Held-out pictures are on the card; this one is not a photograph either, but must not come out as another."""
    y, x = np.mgrid[:128, :160]
    scene = np.stack([0.4 + 0.3 * np.sin(x / 9) * np.cos(y / 7), 0.3 + 0.001 * x, 0.2 + 0.002 * y]).astype(np.float32)
    frames, networks = torch.from_numpy(scene)[None], cycleisp.load(lite.weights)
    with torch.inference_mode():
        back = networks.develop(networks.raw(frames), networks.colour(frames))
    assert -10 * torch.log10((back - frames).square().mean()) > 36


def test_a_correction_shifts_no_colour(lite):
    """Whatever networks add: a flat colour, even one of no photograph, comes back as it is."""
    networks = cycleisp.load(lite.weights)
    for colour in ((0.0, 0.4, 0.4), (0.9, 0.5, 0.1), (0.1, 0.1, 0.12)):
        frames = torch.tensor(colour).view(1, 3, 1, 1).expand(1, 3, 96, 128).contiguous()
        with torch.inference_mode():
            back = networks.develop(networks.raw(frames), networks.colour(frames))
        assert (back - frames)[..., 24:-24, 24:-24].mean((2, 3)).abs().max() < 2e-3


def config_of(folder, **options) -> NoiseConfig:
    return NoiseConfig(model="cycleisp", probability=1.0, weights=str(folder), **options)


def test_the_networks_make_noise_without_a_round_trip(tiny):
    """Noise without a level leaves the frame as it is, however poor the networks; more of it, more noise."""
    frames = torch.rand(2, 3, 33, 40) * 0.8
    frames[..., :4, :4] = 1.0
    config = config_of(tiny)
    drawn = noise.draw(config, dr.rng(0, "video", "segment-0", "noise"))
    silent = noise.Draw(True, 1, shot=(0.0,) * 3, read=(0.0,) * 3)
    torch.testing.assert_close(noise.apply(frames, config, silent), frames, atol=1e-6, rtol=0)
    out = noise.apply(frames, config, drawn)
    assert (
        out.shape == frames.shape
        and out.min() >= 0
        and out.max() <= 1
        and torch.equal(out[..., :4, :4], frames[..., :4, :4])
    )
    assert torch.equal(out, noise.apply(frames, config, drawn))
    loud = noise.Draw(True, drawn.seed, shot=(1e-2,) * 3, read=(1e-4,) * 3)
    assert (noise.apply(frames, config, loud) - frames).std() > 2 * (out - frames).std() > 0
    first, second = out - frames
    assert abs(np.corrcoef(first.flatten(), second.flatten())[0, 1]) < 0.2


def test_missing_or_wrong_weights_are_one_clear_line(tiny):
    frames = torch.rand(1, 3, 32, 32)
    drawn = noise.draw(config_of(tiny), dr.rng(0, "video", "segment-0", "noise"))
    with pytest.raises(WeightsError, match="unnamed folder"):
        noise.apply(frames, config_of(""), drawn)
    cycleisp.load.cache_clear()
    (tiny / "ccm_joint.safetensors").unlink()
    with pytest.raises(WeightsError, match="ccm_joint"):
        noise.apply(frames, config_of(tiny), drawn)
    weights.save(cycleisp.Rgb2Raw(**TINY), tiny / "ccm_joint.safetensors", {"size": TINY})
    with pytest.raises(WeightsError, match="ColorBranch"):
        noise.apply(frames, config_of(tiny), drawn)
    for other in ({"raw": cycleisp.OUR_RAW}, {"corrects": "sony-rx10m4"}):
        weights.save(cycleisp.ColorBranch(**TINY), tiny / "ccm_joint.safetensors", {"size": TINY, **other})
        with pytest.raises(WeightsError, match="belong together"):
            noise.apply(frames, config_of(tiny), drawn)
    for network, name in zip(NETWORKS, cycleisp.FILES, strict=True):
        weights.save(network(**TINY), tiny / f"{name}.safetensors", {"size": TINY, "corrects": "../../elsewhere.json"})
    with pytest.raises(WeightsError, match="elsewhere"):
        noise.apply(frames, config_of(tiny), drawn)
    weights.save(cycleisp.ColorBranch(**TINY), tiny / "ccm_joint.safetensors", {"size": {"features": 10**9}})
    with pytest.raises(WeightsError, match="size"):
        noise.apply(frames, config_of(tiny), drawn)
