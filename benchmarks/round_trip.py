"""Round trip RAW2RGB(RGB2RAW(x)) of photographs at the resolution of their camera: raw files, developed by LibRaw.

python benchmarks/round_trip.py FILE:WIDTHxHEIGHT:BLACK:WHITE:CAMERA …     RGGB, 16 bits, without a header; needs rawpy

Without FILE there is nothing to do: no raw file is bundled. It says so and exits 0.

A photograph is developed with LibRaw's own demosaicing (its AHD and its DHT), white balance by daylight, 8-bit sRGB.
The mosaic of the round trip starts at the photograph's own red pixel, then one pixel off in both directions, where no
sample of the sensor falls on a pixel of its colour, so that no demosaicing can be undone by doing it again.
"""

import argparse
import dataclasses
import importlib.util
import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch

from lolblur_synth import frames
from lolblur_synth.camera import dng, tables
from lolblur_synth.models import cycleisp
from lolblur_synth.recipe.schema import NoiseConfig
from lolblur_synth.training import noise_figures

ALGORITHMS = ("AHD", "DHT")


def developed(path: Path, size: tuple, levels: tuple, camera: str, algorithm: str) -> np.ndarray:
    """(H, W, 3) uint8 sRGB."""
    import rawpy

    known = tables.load(camera)
    codes = np.fromfile(path, "<u2").reshape(size[::-1]).astype(np.float32)
    linear = ((codes - levels[0]) / (levels[1] - levels[0])).clip(0, 1)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "photograph.dng"
        dng.write_dng(file, linear, known, known.white_balance["daylight"])
        with rawpy.imread(str(file)) as raw:
            return raw.postprocess(demosaic_algorithm=rawpy.DemosaicAlgorithm[algorithm], use_camera_wb=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--save", type=Path, help="a folder for the developed photographs")
    options = parser.parse_args()
    if not options.files:
        print("round_trip: skipped: it needs raw files (FILE:WIDTHxHEIGHT:BLACK:WHITE:CAMERA) and rawpy; see --help")
        return
    if importlib.util.find_spec("rawpy") is None:
        parser.error("rawpy is not installed: pip install rawpy")
    torch.set_num_threads(1)
    networks = cycleisp.load(NoiseConfig().weights)
    for words in options.files:
        path, size, black, white, camera = words.rsplit(":", 4)
        extent = tuple(map(int, size.split("x")))
        for algorithm in ALGORITHMS:
            photograph = developed(Path(path), extent, (float(black), float(white)), camera, algorithm)
            if options.save:
                cv2.imwrite(str(options.save / f"{Path(path).stem}-{algorithm}.png"), photograph[..., ::-1])
            for offset in (0, 1):
                shown = photograph[offset:, offset:]
                shown = shown[: shown.shape[0] // 2 * 2, : shown.shape[1] // 2 * 2]
                trip = noise_figures.round_trip(f"{Path(path).stem}, {algorithm}, offset {offset}",
                                                frames.from_uint8(np.ascontiguousarray(shown)), networks)  # fmt: skip
                print(" ".join(f"{field}={value if isinstance(value, str | tuple) else round(value, 2)}"
                               for field, value in dataclasses.asdict(trip).items()), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
