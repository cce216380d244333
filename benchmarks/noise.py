"""Fingerprint of each noise model on dark frames, beside the bands of the published frames, and cost per frame.

python benchmarks/noise.py                                  a smooth scene at mean levels 23, 30 and 39
python benchmarks/noise.py FRAME.png … [--sheet SHEET.png]  dark frames of your own (sharp texture counts as noise);
                                                            the sheet shows the first one at three ISO, model by model
"""

import argparse
import dataclasses
import time

import cv2
import numpy as np
import torch

from lolblur_synth import draw, frames
from lolblur_synth.metrics import fingerprint
from lolblur_synth.recipe.schema import DefocusConfig, NoiseConfig
from lolblur_synth.stages import defocus, noise

SIZE = (640, 1120)
SEGMENTS = 3  # draws behind each line
SHEET = {"raw-pg": (100, 800, 6400), "raw-eld": (100, 800, 6400), "cycleisp": (100, 800, 6400), "gaussian": (1, 4, 12)}
CROP, ZOOM = 200, 2  # of the sheet, px
CASES = {
    "raw-pg": NoiseConfig(probability=1, model="raw-pg"),
    "raw-pg iso 1600": NoiseConfig(probability=1, model="raw-pg", iso=(1600, 1600)),
    "raw-pg daylight": NoiseConfig(probability=1, model="raw-pg", white_balance="daylight"),
    "raw-eld": NoiseConfig(probability=1, model="raw-eld"),
    "cycleisp": NoiseConfig(probability=1, model="cycleisp"),
    "cycleisp iso 1600": NoiseConfig(probability=1, model="cycleisp", iso=(1600, 1600)),
    "gaussian, iid": NoiseConfig(probability=1, model="gaussian", gray=0, sigma=(1, 1)),
    "poisson, iid": NoiseConfig(probability=1, model="poisson", gray=0, scale=(0.3, 0.3)),
}
COLUMNS = ("sigma_red", "sigma_green", "sigma_blue", "luma_lag1", "luma_lag2", "chroma_lag1", "red_green")
COLUMNS += ("blue_to_green",)


def scene(level: float, size: tuple[int, int]) -> torch.Tensor:
    """(1, 3, H, W) display: a saddle of light around a mean level in code values."""
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, side) for side in size), indexing="ij")
    return (level / 255 * (1 + 0.2 * x * y)).expand(1, 3, *size).contiguous()


def line(name: str, config: NoiseConfig, clean: torch.Tensor) -> str:
    """Means over draws of the fingerprint, the shift of the mean colour, and what is outside its band."""
    found, shift = [], 0.0
    for segment in range(SEGMENTS):
        noisy = noise.apply(clean, config, noise.draw(config, draw.rng(0, "benchmark", f"segment-{segment}", "noise")))
        found.append(dataclasses.asdict(fingerprint.fingerprint(frames.to_uint8(noisy[0]))))
        free = (noisy > 0) & (noisy < 1)
        shift = max(shift, *((noisy - clean)[:, c][free[:, c]].mean().abs().item() * 255 for c in range(3)))
    mean = {key: sum(f[key] for f in found) / SEGMENTS for key in found[0]}
    missed = fingerprint.misses(fingerprint.Fingerprint(**mean))
    figures = " ".join(f"{mean[key]:13.2f}" for key in COLUMNS)
    verdict = "outside: " + ", ".join(missed) if missed else "inside"
    return f"{name:16} {mean['level']:5.1f} {figures} {shift:6.2f}  {verdict}"


def cost(work) -> float:
    """CPU milliseconds, median of 7 after one that is not counted."""
    taken = []
    for _ in range(8):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return 1000 * float(np.median(taken[1:]))


def sheet(frame: torch.Tensor, path: str) -> None:
    """A row a model, ISO (sigma for gaussian) rising to the right, the frame as it is at the left; the middle of it."""
    top, left = ((side - CROP) // 2 // 2 * 2 for side in frame.shape[-2:])
    frame = frame[..., top : top + CROP, left : left + CROP].contiguous()
    rows = []
    for model, levels in SHEET.items():
        shown = [frame]
        for level in levels:
            config = NoiseConfig(model=model, probability=1, iso=(level,) * 2, sigma=(level,) * 2, gray=0,
                                 white_balance="tungsten")  # fmt: skip
            shown.append(noise.apply(frame, config, noise.draw(config, draw.rng(0, "sheet", "segment-0", "noise"))))
        rows.append(np.hstack([frames.to_uint8(image[0]) for image in shown]))
    picture = np.kron(np.vstack(rows), np.ones((ZOOM, ZOOM, 1), np.uint8))
    cv2.imwrite(path, picture[..., ::-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frames", nargs="*")
    parser.add_argument("--sheet")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    given = [frames.from_uint8(cv2.imread(path)[..., ::-1]) for path in options.frames]
    if options.sheet:
        sheet((given or [scene(30, SIZE)])[0], options.sheet)
    print(f"{'model':16} {'level':>5} " + " ".join(f"{key:>13}" for key in COLUMNS) + "  shift")
    bands = {
        key: "{:.2f}..{:.2f}".format(*fingerprint.BANDS[key]) if key in fingerprint.BANDS else "" for key in COLUMNS
    }
    print(f"{'published':16} {'':5} " + " ".join(f"{bands[key]:>13}" for key in COLUMNS) + "   0.20")
    for clean in given or [scene(level, (SIZE[0] // 2, SIZE[1] // 2)) for level in (23, 30, 39)]:
        for name, config in CASES.items():
            print(line(name, config, clean))
    clean = scene(30, SIZE)
    print(f"\ncost of a {SIZE[1]}x{SIZE[0]} frame, one thread, CPU ms")
    for name, config in CASES.items():
        drawn = noise.draw(config, draw.rng(0, "benchmark", "segment-0", "noise"))
        print(f"{name:32} {cost(lambda c=config, d=drawn: noise.apply(clean, c, d)):6.0f}")
    for name, beta in (("defocus 21x21", 2.0), ("defocus 21x21, separable", 1.0)):
        drawn = defocus.Draw(True, "generalized-gaussian", (2.8, 2.8), beta=beta)
        print(f"{name:32} {cost(lambda d=drawn: defocus.apply(clean, DefocusConfig(), d)):6.0f}")


if __name__ == "__main__":
    main()
