"""bm3dcpu, the peer of `benchmarks/denoise.py`; runs under a Python of its own, given to that script as --peer.

    python3.12 -m venv peer && peer/bin/pip install numpy vapoursynth==76
    peer/bin/pip install --no-deps vapoursynth-bm3dcpu
    peer/bin/python benchmarks/denoise_peer.py EXCHANGE

The plugin speaks VapourSynth's third interface, which later releases refuse. Of each EXCHANGE/noisy-CLIP-SIGMA.npy
(T, H, W, 3) float32 RGB code values it makes EXCHANGE/bm3dcpu-rRADIUS-CLIP-SIGMA.npy: both stages, opponent colour,
matching on luminance, a block every 4 pixels, the plugin's other defaults. It multiplies sigma by 3/4 inside; 1.45
times the true one is its best. With --cost, what a megapixel-frame of 1120x640 costs, one clip, sigma 20. Without
EXCHANGE there is nothing to do: it says so and exits 0.
"""

import argparse
import time
from pathlib import Path

import numpy as np

try:
    import vapoursynth as vs
except ImportError:  # its own Python has it, see above
    vs = None

OPPONENT = np.array([[1 / 3, 1 / 3, 1 / 3], [1 / 2, 0, -1 / 2], [1 / 4, -1 / 2, 1 / 4]])
STRENGTH = 1.45


def clip_of(planes: np.ndarray) -> "vs.VideoNode":
    """(T, 3, H, W) float32 -> a clip; it calls itself YUV, because only then are the planes filtered together."""
    count, _, height, width = planes.shape
    blank = vs.core.std.BlankClip(None, width, height, vs.YUV444PS, length=count, keep=True)

    def fill(n: int, f: "vs.VideoFrame") -> "vs.VideoFrame":
        frame = f.copy()
        for c in range(3):
            np.copyto(np.asarray(frame[c]), planes[n, c])
        return frame

    return vs.core.std.ModifyFrame(blank, blank, fill)


def bm3d(noisy: np.ndarray, sigma: float, radius: int) -> np.ndarray:
    """(T, H, W, 3) RGB code values -> the same, denoised."""
    planes = np.einsum("ij,thwj->tihw", OPPONENT / 255, noisy, optimize=True).astype(np.float32)
    clip = clip_of(planes)
    strength = [float(STRENGTH * sigma * gain) for gain in np.linalg.norm(OPPONENT, axis=1)]
    shape = {"sigma": strength, "block_step": 4, "radius": radius, "chroma": True}
    basic = vs.core.bm3dcpu.BM3Dv2(clip, **shape)
    final = vs.core.bm3dcpu.BM3Dv2(clip, basic, **shape)
    result = np.stack([np.stack([np.asarray(frame[c]) for c in range(3)]) for frame in final.frames(close=True)])
    return np.einsum("ij,tjhw->thwi", np.linalg.inv(OPPONENT) * 255, result, optimize=True).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exchange", nargs="?", type=Path)
    parser.add_argument("--radius", nargs="+", type=int, default=[2, 4])
    parser.add_argument("--cost", action="store_true")
    given = parser.parse_args()
    if given.exchange is None:
        print("denoise_peer: skipped: it needs the folder that denoise.py --exchange writes, and vapoursynth")
        return
    if vs is None:
        parser.error("this Python lacks vapoursynth and vapoursynth-bm3dcpu; --help says how to install them")
    files = sorted(given.exchange.glob("cost-noisy.npy" if given.cost else "noisy-*.npy"))
    for file in files:
        noisy = np.load(file)
        for radius in given.radius:
            if given.cost:
                for threads in (1, 2):
                    vs.core.num_threads = threads
                    cpu, wall = time.process_time(), time.perf_counter()
                    bm3d(noisy, 20, radius)
                    pixels = noisy[..., 0].size / 1e6
                    cpu, wall = (time.process_time() - cpu) / pixels, (time.perf_counter() - wall) / pixels
                    print(f"| bm3dcpu-r{radius} | {threads} | {cpu:.2f} | {wall:.2f} | |", flush=True)
            else:
                target = file.with_name(file.name.replace("noisy", f"bm3dcpu-r{radius}", 1))
                if not target.exists() or target.stat().st_mtime < file.stat().st_mtime:
                    np.save(target, bm3d(noisy, float(file.stem.rsplit("-", 1)[1]), radius))


if __name__ == "__main__":
    main()
