"""The memory of a worker at the paper's size: below its ceiling, and independent of the length of the video."""

import subprocess
import sys

import pytest
from conftest import moving_street

from lolblur_synth.dataset import plan
from lolblur_synth.files.video import write_video

CEILING = 1.5e9  # bytes a worker
MEASURE = """
import resource, subprocess, sys
subprocess.run([sys.executable, "-m", "lolblur_synth.cli", *sys.argv[1:]], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


def peak(video, out, pairs=2) -> float:
    """Largest resident set of any process of a build at 1120x640, bytes."""
    words = [
        "build",
        str(video),
        str(out),
        "--pairs",
        str(pairs),
        "--window",
        "9",
        "--jobs",
        "1",
        "--set",
        "defocus.probability=1",
        "--set",
        "noise.probability=1",  # both builds do the same work, whatever their videos draw
    ]
    done = subprocess.run([sys.executable, "-c", MEASURE, *words], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    return float(done.stdout.split()[-1])


def test_memory_is_bounded_and_does_not_grow_with_the_video(tmp_path):
    frames = moving_street(40, 3, 1280, 720)  # long enough for both pairs to have all of their denoising context
    write_video(tmp_path / "short.mp4", (frame for _ in range(2) for frame in frames), 250)  # more than a decoder holds
    write_video(tmp_path / "long.mp4", (frame for _ in range(4) for frame in frames), 250)
    short, long = peak(tmp_path / "short.mp4", tmp_path / "a"), peak(tmp_path / "long.mp4", tmp_path / "b")
    assert long < CEILING, f"{long / 1e9:.2f} GB"
    assert long < 1.05 * short, f"{short / 1e9:.2f} GB for 80 frames, {long / 1e9:.2f} GB for 160"


@pytest.mark.slow
def test_memory_is_bounded_where_four_pairs_are_denoised_as_one_stream(tmp_path):
    write_video(tmp_path / "clip.mp4", moving_street(96, 3, 1280, 720), 250)
    used = peak(tmp_path / "clip.mp4", tmp_path / "out", pairs=2 * plan.UNIT)
    assert used < CEILING, f"{used / 1e9:.2f} GB"


SAMPLES = """
import resource
import torch
from lolblur_synth.kernels import exposure
from lolblur_synth.recipe.schema import InterpolateConfig
from lolblur_synth.stages import average, interpolate

frames = torch.rand(11, 3, 192, 320, generator=torch.Generator().manual_seed(0))
motion = interpolate.motion(frames, InterpolateConfig(preset="ultrafast"))
peaks = []
for window, factor in ((9, 8), (7, 8), (9, 8), (9, 64)):
    exposure.expose(frames, motion, 5 + average.times(window, factor))
    exposure.average(frame for _ in range(factor) for frame in frames[:window])
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
print(peaks[3] - peaks[1])
"""


def test_memory_does_not_grow_with_the_number_of_samples():
    """56, 72 and 576, as a large adaptive factor gives: of 320x192 they would be 425 MB, as rendered or as given."""
    done = subprocess.run([sys.executable, "-c", SAMPLES], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 10e6


STREAM = """
import resource
import torch
from lolblur_synth.recipe.schema import DenoiseConfig
from lolblur_synth.stages import denoise

def frames(count, height, width):
    generator = torch.Generator().manual_seed(0)
    for _ in range(count):
        yield torch.randn(3, height, width, generator=generator).mul_(0.1).add_(0.5)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

list(denoise.stream(frames(3, 64, 64), DenoiseConfig(), denoise.Draw(20.0)))
before, taken = peak(), 0

def counted():
    global taken
    for frame in frames(20, 640, 1120):
        taken += 1
        yield frame

for n, _ in enumerate(denoise.stream(counted(), DenoiseConfig(), denoise.Draw(20.0))):
    first = taken if n == 0 else first
print(first, n + 1, peak() - before)
"""


def test_denoising_streams_in_half_a_gibibyte():
    """At 1120x640, and the first frame leaves before the last has come."""
    done = subprocess.run([sys.executable, "-c", STREAM], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    first, count, grown = done.stdout.split()
    assert int(count) == 20 and int(first) == 17
    assert float(grown) < 0.5 * 2**30, f"{float(grown) / 2**30:.2f} GiB"
