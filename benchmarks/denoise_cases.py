"""Two questions about `denoise`, on the clips of benchmarks/denoise.py; a Markdown table each.

    python benchmarks/denoise_cases.py [CLIP ...] [--levels [GAIN ...]] [--ends [SIGMA ...]]

Without CLIP: the bundled sample. Without --levels and --ends: both.

--levels: noise whose variance is GAIN times (level + 10), clipped to 0..255. One sigma and a curve, both known; then
both estimated.
--ends: what do frames lose by being near the end of a clip? The same frames, with the same noise, once as the last or
the first ones of a clip and once inside a longer one, by their distance from the end.
"""

import argparse
from pathlib import Path

import numpy as np
from denoise import clips_of, denoised, measures, noisy_of, psnr_of, stack_of

from lolblur_synth.commands import options
from lolblur_synth.stages import denoise


def levels(clips: dict[str, np.ndarray], gains: list[float]) -> None:
    """PSNR inside / whole clip / SSIM-Y."""
    print("\n| gain | clip | one sigma, known | curve, known | one sigma, estimated | curve, estimated |")
    print("|---" * 6 + "|")
    for gain in gains:
        rows = []
        for name, clip in clips.items():
            variance = gain * (clip.astype(np.float32) + 10)
            white = np.random.Generator(np.random.PCG64(7)).standard_normal(clip.shape, dtype=np.float32)
            noisy = np.clip(clip + np.sqrt(variance) * white, 0, 255)
            found, one = denoise.estimate(stack_of(noisy[:9])), float(np.sqrt(variance.mean()))
            curve = tuple((float(level), float(np.sqrt(gain * (level + 10)))) for level in range(0, 256, 16))
            draws = denoise.Draw(one), denoise.Draw(one, curve), denoise.Draw(found.sigma), found
            rows.append([measures(denoised(noisy, draw), clip) for draw in draws])
            _print_row(gain, name, rows[-1])
        _print_row(gain, "mean", np.mean(rows, 0))


def _print_row(gain: float, name: str, cells) -> None:
    shown = " | ".join(f"{a:.2f} / {b:.2f} / {c:.4f}" for a, b, c in cells)
    print(f"| {gain} | {name} | {shown} |", flush=True)


def ends(clips: dict[str, np.ndarray], sigmas: list[int], near: int = 4) -> None:
    """Mean loss in dB of the frames 0, 1, ... from the end, both ends of two shorter clips."""
    print("\n| sigma | clip |" + "".join(f" {distance} |" for distance in range(near)) + " mean |")
    print("|---" * (near + 3) + "|")
    for sigma in sigmas:
        rows = []
        for name, clip in clips.items():
            noisy = noisy_of(clip, sigma)
            inside, cut = psnr_of(denoised(noisy, sigma), clip), len(clip) - 5
            last, first = (psnr_of(denoised(noisy[part], sigma), clip[part]) for part in (slice(cut), slice(5, None)))
            rows.append([(inside[cut - 1 - d] - last[-1 - d] + inside[5 + d] - first[d]) / 2 for d in range(near)])
            _print_losses(sigma, name, rows[-1])
        _print_losses(sigma, "mean", np.mean(rows, 0))


def _print_losses(sigma: int, name: str, losses) -> None:
    shown = " | ".join(f"{loss:.2f}" for loss in [*losses, np.mean(losses)])
    print(f"| {sigma} | {name} | {shown} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*", type=Path, default=[options.sample_clip()])
    parser.add_argument("--levels", nargs="*", type=float, metavar="GAIN")
    parser.add_argument("--ends", nargs="*", type=int, metavar="SIGMA")
    given = parser.parse_args()
    loaded = clips_of(given.clips)
    both = given.levels is None and given.ends is None
    if both or given.levels is not None:
        levels(loaded, given.levels or [0.4, 2.4])
    if both or given.ends is not None:
        ends(loaded, given.ends or [20])


if __name__ == "__main__":
    main()
