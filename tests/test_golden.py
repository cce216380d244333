"""The pixels of a tiny build are those of tests/golden/build.txt (reliability class T20, after FFmpeg's FATE).

Byte-identity is promised for the same versions on the same class of processor. Elsewhere the means are compared, which
a last bit of a float does not move, and the test says that it is skipped. Where pixels change on purpose, say in
CHANGELOG.md which and why, and write the file again: `LOLBLUR_GOLDEN=write pytest -n 0 tests/test_golden.py`.
"""

import importlib.metadata
import os
import platform
import zlib
from pathlib import Path

import cv2
import pytest
import torch
from conftest import OPTIONS
from llvmlite import binding

GOLDEN = Path(__file__).parent / "golden/build.txt"
PACKAGES = ("torch", "numpy", "opencv-python-headless", "av", "numba", "scipy", "scikit-image")
NEAR = 0.25  # of 255: by which the mean of an image may differ on another processor


def machine() -> str:
    """What the last bit of a float depends on besides the code."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    processor = [platform.machine(), torch.backends.cpu.get_cpu_capability(), binding.get_host_cpu_name()]
    return "; ".join([*versions, *processor])


def lines(out: Path) -> list[str]:
    """CRC of the pixels, mean in code values, path."""
    found = []
    for path in sorted(out.rglob("*.png")):
        pixels = cv2.imread(str(path))
        found.append(f"{zlib.crc32(pixels.tobytes()):08x} {pixels.mean():7.3f} {path.relative_to(out)}")
    return found


def test_the_pixels_of_a_tiny_build(reference):
    found = lines(reference.out)
    if os.environ.get("LOLBLUR_GOLDEN") == "write":
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text("\n".join([f"# {machine()}", *found, ""]))
    head, *golden = GOLDEN.read_text().splitlines()
    assert [line.split()[2] for line in found] == [line.split()[2] for line in golden], "other images"
    if head != f"# {machine()}":
        far = [line for line, other in zip(found, golden, strict=True)
               if abs(float(line.split()[1]) - float(other.split()[1])) > NEAR]  # fmt: skip
        assert not far, f"other means: {far}"
        pytest.skip(f"means agree; bytes are not compared, since they were made with {head[2:]}")
    changed = [line for line, other in zip(found, golden, strict=True) if line != other]
    assert not changed, (
        f"{len(changed)} of {len(found)} images changed; on purpose? see the head of {__file__}: {changed[:5]}"
    )


def test_a_build_that_compiles_makes_the_same_pixels(reference, street_videos, run, tmp_path):
    """Kernels compiled in this process, not by an earlier one: a sum left to the compiler would come out otherwise."""
    done = run("build", street_videos, tmp_path / "out", *OPTIONS, env={"NUMBA_CACHE_DIR": str(tmp_path / "compiled")},
               timeout=900)  # fmt: skip
    assert done.code == 0, done.err
    assert lines(tmp_path / "out") == lines(reference.out)
