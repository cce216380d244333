"""The tool of `lolblur-synth doctor`: whether this machine can build datasets, and with which versions."""

import importlib.metadata
import os
import platform
import shutil
import tempfile
import time
from pathlib import Path

from lolblur_synth import __version__, recipes
from lolblur_synth.dataset import estimate
from lolblur_synth.errors import UsageError
from lolblur_synth.files import weights

PACKAGES = (
    "torch",
    "numpy",
    "opencv-python-headless",
    "opencv-python",
    "av",
    "numba",
    "scipy",
    "scikit-image",
    "safetensors",
    "click",
    "cupy-cuda12x",
    "cupy-cuda13x",
)


def examine(sample: Path) -> dict[str, str]:
    """What a bug report needs, and the time of one pair of the sample. Raises what the pipeline raises."""
    import torch

    report = {
        "lolblur-synth": __version__,
        "python": f"{platform.python_version()} on {platform.platform()}",
        "processor": f"{os.cpu_count()} cores, torch CPU capability {torch.backends.cpu.get_cpu_capability()}",
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none (torch sees no CUDA device)",
        "kernels": _kernels(),
        "packages": ", ".join(f"{name} {version}" for name in PACKAGES if (version := _version(name))),
        "weights": ", ".join(f"{name} {weights.sha256(name)[:12]}" for name in sorted(weights.bundled())),
        "recipes": ", ".join(f"{name} {recipes.sha256(recipes.load(name))[:12]}" for name in recipes.names()),
        "disk": f"{shutil.disk_usage(Path.cwd()).free / 1e9:.1f} GB free here, "
        f"{shutil.disk_usage(tempfile.gettempdir()).free / 1e9:.1f} GB in {tempfile.gettempdir()}",
    }
    started = time.perf_counter()
    sample_plan = estimate.plan([sample], None, recipes.load("lolblur"), 1, "auto")
    report["sample"] = (
        f"{sample_plan['pairs']} pairs, {sample_plan['pair_seconds']:.1f} s a pair and worker "
        f"(checked in {time.perf_counter() - started:.0f} s)"
    )
    return report


def _kernels() -> str:
    """Which kernels run on this machine: CUDA, Numba or the references; all give the same pictures."""
    import torch

    from lolblur_synth.kernels import cuda, switch
    from lolblur_synth.kernels.exposure import cuda as exposure_cuda
    from lolblur_synth.recipe.schema import DenoiseConfig
    from lolblur_synth.stages import denoise

    if not switch.ON:
        return f"switched off ({switch.NAME}=off): the slow references run"
    cupy = "CuPy" if cuda.available() else "no CuPy"
    if not torch.cuda.is_available():
        return f"on the CPU (Numba); {cupy}, no CUDA device"
    if not cuda.available():
        return "no CuPy: exposures by torch, denoising on the CPU; pip install 'lolblur-synth[cuda12]' or cuda13"
    try:
        frames = torch.zeros(2, 3, 16, 16, device="cuda")
        exposure_cuda.average(denoise.apply(frames, DenoiseConfig(), denoise.Draw(1.0)))
    except UsageError as error:
        return str(error)
    return "on CUDA (CuPy): compiled and run"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
