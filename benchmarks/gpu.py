"""What the CUDA kernels reach on this machine's GPU, and how far they are from the CPU's pictures.

    python benchmarks/gpu.py [--size 1120x640] [--repeats 20]

copy      bytes read and written by a copy of 1 GiB, the bandwidth that the device really has
average   72 given frames to one exposure: time, bytes moved, share of the copy bandwidth
exposure  9 intervals of 8 samples, motion known: time, beside the floors of memory and of arithmetic
motion    10 frame pairs in both directions, beside a copy's time for the bytes that the search reads at least once;
          by `spread`, the threads of a sweep of which one works (kernels/inverse_search/cuda.py)
denoise   frames a second of a stream of 16 frames, both passes, sigma 10
Each line ends with the largest difference from the CPU, in display or linear units of 1/255. Prints one line and stops
where there is no CUDA device, or no CuPy.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import skimage.data
import torch
from torch import Tensor

from lolblur_synth.kernels import cuda, exposure
from lolblur_synth.kernels.exposure import cuda as exposure_cuda
from lolblur_synth.kernels.inverse_search import cuda as search_cuda
from lolblur_synth.recipe.schema import ClipReverseConfig, DenoiseConfig, InterpolateConfig
from lolblur_synth.stages import average, denoise, interpolate

WINDOW, FACTOR, SIGMA = 9, 8, 10.0
FUSED = 210  # multiply-adds of one sample of one pixel: two fetches of 16 taps, their weights, motion, blend, gamma
LANES = 128  # float32 units of a multiprocessor, from compute capability 8.6 on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="1120x640", metavar="WxH")
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    if not torch.cuda.is_available() or not cuda.available():
        missing = "CuPy is not installed" if torch.cuda.is_available() else "torch sees no CUDA device"
        print(f"gpu: {missing}; nothing was measured")
        return
    width, height = map(int, options.size.split("x"))
    properties = torch.cuda.get_device_properties(0)
    print(f"{properties.name}, {properties.multi_processor_count} multiprocessors, {width}x{height}")
    bandwidth = copy_bandwidth(options.repeats)
    print(f"copy      {bandwidth / 1e9:.0f} GB/s")
    frames = moving(2 * average.reach(WINDOW) + 6, height, width)
    averaging(frames, bandwidth, options.repeats)
    exposing(frames, bandwidth, properties, options.repeats)
    searching(frames[: WINDOW + 2].contiguous(), bandwidth, options.repeats)
    denoising(frames, max(1, options.repeats // 5))
    print(f"peak memory {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB")


def moving(count: int, height: int, width: int) -> Tensor:
    """A photograph that moves by (3, 1) pixels a frame, with noise: (T, 3, H, W) display."""
    photo = torch.from_numpy(skimage.data.coffee()).permute(2, 0, 1)[None].float() / 255
    size = height + count, width + 3 * count
    wide = torch.nn.functional.interpolate(photo, size, mode="bicubic", antialias=True)[0].clamp(0, 1)
    frames = torch.stack([wide[:, t : t + height, 3 * t : 3 * t + width] for t in range(count)])
    noise = np.random.default_rng(0).standard_normal(frames.shape, dtype=np.float32)
    return (frames + SIGMA / 255 * torch.from_numpy(noise)).clamp(0, 1)


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median time of `work`, device included, after one run that compiles."""
    work()
    times = []
    for _ in range(repeats):
        torch.cuda.synchronize()
        started = time.perf_counter()
        work()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def copy_bandwidth(repeats: int) -> float:
    source = torch.zeros(2**28, device="cuda")
    target = torch.zeros_like(source)
    return 2 * source.numel() * 4 / seconds(lambda: target.copy_(source), repeats)


def off(a: Tensor, b: Tensor) -> str:
    return f"off by {255 * float((a.cpu() - b.cpu()).abs().max()):.4f}/255"


def averaging(frames: Tensor, bandwidth: float, repeats: int) -> None:
    samples = frames[torch.arange(WINDOW * FACTOR) % len(frames)]
    on_device, config = samples.cuda(), ClipReverseConfig()
    used = seconds(lambda: exposure_cuda.average(on_device, config), repeats)
    moved = on_device.numel() * 4 + 2 * on_device[0].numel() * 4
    expected = (samples.double() ** 2.2).mean(0).float()
    print(f"average   {1e3 * used:.3f} ms, {moved / used / 1e9:.0f} GB/s, {moved / used / bandwidth:.0%} of the copy, "
          f"{off(exposure_cuda.average(on_device, config)[0], expected)}")  # fmt: skip


def exposing(frames: Tensor, bandwidth: float, properties, repeats: int) -> None:
    frames = frames[: 2 * average.reach(WINDOW) + 1].contiguous()
    motion = interpolate.motion(frames, InterpolateConfig())
    instants = average.reach(WINDOW) + average.times(WINDOW, FACTOR)
    on_device, config = frames.cuda(), ClipReverseConfig(space="hdr")
    used = seconds(lambda: exposure.integrate(on_device, motion, instants, config), repeats)
    memory = (on_device.numel() + 2 * on_device[0].numel()) * 4 / bandwidth
    clock = getattr(properties, "clock_rate", 0) * 1e3
    per_second = properties.multi_processor_count * LANES * clock
    arithmetic = len(instants) * FUSED * frames[0, 0].numel() / per_second if clock else float("nan")
    light, expected = (exposure.integrate(given, motion, instants, config)[0] for given in (on_device, frames))
    floors = f"memory {1e3 * memory:.3f} ms, arithmetic {1e3 * arithmetic:.2f} ms"
    print(f"exposure  {1e3 * used:.2f} ms for {len(instants)} samples; floors: {floors}; {off(light, expected)}")


def searching(frames: Tensor, bandwidth: float, repeats: int) -> None:
    config, on_device = InterpolateConfig(), frames.cuda()
    expected = interpolate.motion(frames, config)
    planes = 3 * frames[:, 0, ::2, ::2].numel() * 4 / 3  # image and gradients at half the size, and the levels above
    least = 4 * planes / bandwidth
    usual = search_cuda.SPREAD
    for spread in (1, 4, usual, 32):
        search_cuda.SPREAD = spread
        used = seconds(lambda: interpolate.motion(on_device, config), repeats)
        print(
            f"motion    {1e3 * used:.2f} ms for {len(frames) - 1} pairs, spread {spread}; floor: {1e3 * least:.3f} ms"
        )
    search_cuda.SPREAD = usual
    found = interpolate.motion(on_device, config)
    apart = np.abs(found.forward.cpu().numpy() - expected.forward)[..., :2].max(-1)
    print(
        f"          off by more than .0001 px on {(apart > 1e-4).mean():.4%} of the cells, {apart.max():.4f} px at most"
    )


def denoising(frames: Tensor, repeats: int) -> None:
    config, draw, on_device = DenoiseConfig(), denoise.Draw(SIGMA), frames.cuda()
    used = seconds(lambda: denoise.apply(on_device, config, draw), repeats)
    difference = off(denoise.apply(on_device, config, draw), denoise.apply(frames, config, draw))
    print(f"denoise   {len(frames) / used:.0f} frames/s, {1e3 * used / len(frames):.2f} ms a frame, {difference}")


if __name__ == "__main__":
    sys.exit(main())
