"""The tool behind `lolblur-synth doctor`: is this machine able to build, and with what."""

import importlib.metadata
import os
import platform
import shutil
import tempfile
import time
from pathlib import Path

from lolblur_synth import __version__, estimate, recipes, weights

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
        "packages": ", ".join(f"{name} {version}" for name in PACKAGES if (version := _version(name))),
        "weights": ", ".join(f"{name} {weights.sha256(name)[:12]}" for name in sorted(weights.bundled())),
        "recipes": ", ".join(f"{name} {recipes.sha256(recipes.load(name))[:12]}" for name in recipes.names()),
        "disk": f"{shutil.disk_usage(Path.cwd()).free / 1e9:.1f} GB free here, "
        f"{shutil.disk_usage(tempfile.gettempdir()).free / 1e9:.1f} GB in {tempfile.gettempdir()}",
    }
    started = time.perf_counter()
    found = estimate.plan([sample], None, recipes.load("lolblur"), 1, "auto")
    report["sample"] = (
        f"{found['pairs']} pairs, {found['seconds'] / found['left']:.1f} s a pair and worker "
        f"(checked in {time.perf_counter() - started:.0f} s)"
    )
    return report


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
