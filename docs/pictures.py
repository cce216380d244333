"""Makes the pictures of README.md and of the documentation with the package itself, into docs/pictures/.

    python docs/pictures.py                                   the gallery of stages, from the bundled sample
    python docs/pictures.py --photograph snowy_viaduct.jpg    the first picture of README.md and its slider

docs/pictures/SOURCES.md names what each was made from, and its licence. --work keeps the intermediate frames, so that
a second run only draws.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs/pictures"
SAMPLE = ROOT / "lolblur_synth/samples/night_street_250fps.mp4"
GAP = 8  # px between pictures
LETTERS = 15  # px, of the words under a picture
WIDE = 1200  # px: a row beyond that is shown reduced, and has letters of twice the size
QUALITY = 88  # of JPEG

FOLDERS = ("high_sharp_original", "low_sharp", "low_blur", "low_blur_noise", "high_sharp_scaled")
TITLES = ("source frame", "darkened", "blurred", "with noise: input", "ground truth")
CLIP = 5  # of the five that are shot: lamps, a sign to read, and a pan
SHOT = ("--clips", 5, "--speed", 3, "--frames", 60, "--lamps", "always", "--size", "560x320")
BUILT = ("--recipe", "night", "--window", 9, "--set", "darken.share=0.3:0.35", "--set", "noise.iso=1600:1600",
         "--set", "defocus.probability=0", "--size", "560x320", "--pairs", 2, "--test-fraction", 0)  # fmt: skip
SHOWN = "0001"  # pair of that clip
DETAIL = (224, 84)  # px: upper left corner of the part that is shown at 1:1
COLOURS = 127  # of the palette, for each side of the slider
STEPS = 18  # positions of the slider's line


class Panel(NamedTuple):
    """An (H, W, 3) uint8 RGB picture and the words under it."""

    picture: np.ndarray
    caption: str


def lolblur(*words: object) -> None:
    """Run the program as a user does, and show how."""
    print("lolblur-synth", *words)
    subprocess.run([sys.executable, "-m", "lolblur_synth.cli", "-q", *map(str, words)], check=True)


def read(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a file, or of the middle file of a folder. Linear TIFF is clipped, and shown with the
    gamma of 2.2."""
    if path.is_dir():
        files = sorted(path.iterdir())
        path = files[len(files) // 2]
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., 2::-1]
    return np.rint(255 * image.clip(0, 1) ** (1 / 2.2)).astype(np.uint8) if image.dtype == np.float32 else image


def part(image: np.ndarray, x: int, y: int, width: int, height: int, zoom: int = 1) -> np.ndarray:
    """A part of an image, each of its pixels shown as `zoom` by `zoom`."""
    return image[y : y + height, x : x + width].repeat(zoom, 0).repeat(zoom, 1)


def reduced(image: np.ndarray, width: int, height: int) -> np.ndarray:
    return cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=cv2.INTER_AREA)


def sheet(*rows: Sequence[Panel]) -> np.ndarray:
    """Rows of panels on white, each with its caption."""
    strips = [_strip(row) for row in rows]
    width = max(strip.shape[1] for strip in strips)
    return np.concatenate([np.pad(s, ((0, 0), (0, width - s.shape[1]), (0, 0)), constant_values=255) for s in strips])


def _strip(row: Sequence[Panel]) -> np.ndarray:
    width = sum(panel.picture.shape[1] + GAP for panel in row) - GAP
    letters = LETTERS if width <= WIDE else 2 * LETTERS
    height = max(panel.picture.shape[0] for panel in row) + letters + 11
    canvas = Image.new("RGB", (width, height), "white")
    x = 0
    for picture, caption in row:
        canvas.paste(Image.fromarray(np.ascontiguousarray(picture)), (x, 0))
        ImageDraw.Draw(canvas).text((x + 2, picture.shape[0] + 4), caption, "#333", ImageFont.load_default(letters))
        x += picture.shape[1] + GAP
    return np.asarray(canvas)


def save(name: str, image: np.ndarray) -> None:
    Image.fromarray(image).save(TARGET / name, quality=QUALITY, optimize=True, progressive=True)
    print(f"{name}: {image.shape[1]}x{image.shape[0]}, {(TARGET / name).stat().st_size / 1e3:.0f} kB")


class Bench:
    """Runs stages of the sample, and keeps what they make in the folder `work`."""

    def __init__(self, work: Path):
        self.work = work

    def run(self, name: str, stage: str, source: Path, *options: object) -> Path:
        """The folder `name`, made by `lolblur-synth stage` where it is not there yet."""
        if not (self.work / name).exists():
            lolblur("stage", stage, source, self.work / name, *options)
        return self.work / name

    def choose(self, name: str, source: Path, numbers: range) -> Path:
        """The folder `name` with links to some frames of `source`."""
        folder = self.work / name
        if not folder.exists():
            folder.mkdir()
            for number in numbers:
                (folder / f"{number:06d}.png").symlink_to(source / f"{number:06d}.png")
        return folder


def gallery(bench: Bench) -> None:
    """Before and after each stage, from the bundled sample at 560x320."""
    square = bench.run("square", "resize", SAMPLE, "--frames", 1, "--width", 320, "--height", 320)
    whole = bench.run("whole", "resize", SAMPLE, "--frames", 1)
    box = reduced(read(whole), 560, 320)
    cv2.rectangle(box, (120, 0), (439, 319), (255, 255, 0), 2)
    before_after("resize", Panel(box, "1120x640; the square is what is kept"), Panel(read(square), "320x320"))
    source = bench.run("source", "resize", SAMPLE, "--width", 560, "--height", 320)
    noisy = bench.run("noisy", "noise", bench.choose("sixteen", source, range(32, 48)),
                      "--model", "gaussian", "--sigma", 15)  # fmt: skip
    clean = bench.run("clean", "denoise", noisy)
    crop = (16, 76, 280, 150, 2)
    details("denoise", noisy, "sigma 15 added", clean, "denoised, sigma estimated", crop)
    dark = bench.run("dark", "darken", source, "--exposure", 0.1)
    middle = source / "000045.png", dark / "000045.png"
    before_after("darken", Panel(read(middle[0]), "bright"), Panel(read(middle[1]), "exposure 0.1; lamps stay lit"))
    motion(bench, source, dark)
    lolblur("build", "--sample", bench.work / "out", "--recipe", "fast")
    lolblur("preview", bench.work / "out", "-n", 3, "-o", bench.work / "preview.png")
    save("preview.jpg", read(bench.work / "preview.png"))
    sharp = bench.choose("sharp", dark, range(45, 46))
    soft = bench.run("soft", "defocus", sharp, "--kernel", "disk", "--radius", 2)
    details("defocus", sharp, "in focus", soft, "disk of radius 4 px", crop)
    grainy = bench.run("grainy", "noise", sharp, "--iso", 1600)
    details("noise", sharp, "exposure 0.1", grainy, "ISO 1600", crop)


def motion(bench: Bench, source: Path, dark: Path) -> None:
    """interpolate, clip_reverse, average."""
    far = bench.choose("far", source, range(36, 57, 4))
    crop = (200, 140, 280, 150, 2)
    blend, flow = (bench.run(m, "interpolate", far, "--method", m, "--factor", 2) for m in ("blend", "dis"))
    details("interpolate", blend / "000005.png", "cross-fade of two frames", flow / "000005.png", "optical flow", crop)
    eleven = bench.choose("eleven", dark, range(40, 51))
    samples = bench.run("samples", "interpolate", eleven)
    average = bench.run("average", "average", samples, "--window", 9)
    light = bench.run("light", "clip-reverse", samples, "--space", "hdr", "--gain", 3)
    streaks = bench.run("streaks", "average", light, "--window", 9)
    crop = (120, 90, 280, 150, 2)
    details("clip_reverse", average, "averaged without it", streaks, "averaged with it: gain 3", crop)
    details("average", eleven, "one frame, 4 ms", streaks, "the mean of 72 samples, 36 ms", crop)


def before_after(stage: str, before: Panel, after: Panel) -> None:
    save(f"{stage}.jpg", sheet([before, after]))


def details(stage: str, before: Path, old: str, after: Path, new: str, crop: tuple[int, ...]) -> None:
    """The same part of two frames, each pixel shown as 2 by 2."""
    before_after(stage, Panel(part(read(before), *crop), old), Panel(part(read(after), *crop), new))


def lead(photograph: Path, work: Path) -> None:
    """The first picture of README.md: a pair, whole and at 1:1; and the slider from its input to its ground truth."""
    clips, out = work / "clips", work / "out"
    if not out.exists():
        lolblur("shoot", photograph, clips, *SHOT)
        lolblur("build", clips / f"{photograph.stem}-{CLIP}.mkv", out, *BUILT)
    frames = {folder: read(out / "train" / folder / "0000" / f"{SHOWN}.png") for folder in FOLDERS}
    record = next(json.loads(line) for line in (out / "manifest.jsonl").open() if f'"0000/{SHOWN}"' in line)
    print(f"exposure {record['exposure']}, window {record['window']}, ISO {record['draws']['noise']['iso']:.0f}")
    wholes = [Panel(reduced(frames[f], 336, 192), title) for f, title in zip(FOLDERS, TITLES, strict=True)]
    parts = [Panel(part(frames[folder], *DETAIL, 336, 192), folder) for folder in FOLDERS]
    save("lead.jpg", sheet(wholes, parts))
    slider(frames["low_blur_noise"], frames["high_sharp_scaled"])


def slider(before: np.ndarray, after: np.ndarray) -> None:
    """A GIF in which a line moves over the frame and back: left of it `after`, right of it `before`.

    Each has half of one palette, so that only what the line passes changes from picture to picture.
    """
    (old, dark), (new, bright) = (_quantised(frame) for frame in (before, after))
    palette, line = dark + bright + [255, 255, 255], 2 * COLOURS
    new = new + COLOURS
    width = before.shape[1]
    forth = [round(width * (0.5 - 0.5 * np.cos(np.pi * i / STEPS))) for i in range(STEPS + 1)]
    pictures = []
    for x in forth + forth[-2:0:-1]:
        pixels = np.where(np.arange(width) < x, new, old).astype(np.uint8)
        pixels[:, max(x - 1, 0) : x + 1] = line
        pictures.append(Image.fromarray(pixels, "P"))
        pictures[-1].putpalette(palette)
    times = [1200 if i in (0, STEPS) else 70 for i in range(len(pictures))]
    pictures[0].save(TARGET / "slider.gif", save_all=True, append_images=pictures[1:], duration=times, loop=0)
    print(f"slider.gif: {(TARGET / 'slider.gif').stat().st_size / 1e3:.0f} kB")


def _quantised(frame: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Indices (H, W) into a palette of COLOURS colours, and the palette."""
    image = Image.fromarray(frame).quantize(COLOURS, kmeans=3)
    colours = (image.getpalette() or [])[: 3 * COLOURS]
    return np.asarray(image), colours + [0] * (3 * COLOURS - len(colours))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photograph", type=Path, help="snowy_viaduct_night_mstoolkit.jpg of SOURCES.md")
    parser.add_argument("--work", type=Path, help="folder that keeps intermediate frames")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = (options.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        lead(options.photograph, work) if options.photograph else gallery(Bench(work))


if __name__ == "__main__":
    main()
