"""What the images of a pair measure, and their thumbnails; measured once, and kept in a file beside the page.

Image quality of the input, its blur length, the noise in it, how bright the ground truth is.
"""

import base64
import functools
import hashlib
import json
from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import joblib
import numpy as np
import torch

from lolblur_synth import frames
from lolblur_synth.dataset import layout
from lolblur_synth.files import atomic
from lolblur_synth.metrics import fingerprint, image_quality
from lolblur_synth.stages import darken

THUMB = 128  # px: width of each half of a thumbnail, input and ground truth
JPEG_QUALITY = 80
VERSION = 2  # of the figures: another one measures every pair again
CACHE = "figures.json"
FIT_WIDTH = 280  # px: pictures are scaled to this width before blur lengths and lightness are measured
TILE = 20  # px of that width: one blur length each
LENGTHS = (0, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 11, 15, 20)  # px of that width, tried
DIRECTIONS = 8
SATURATED = 250  # code value: lamps hold light that low_sharp does not show, so their tiles are left out
ROUNDING = 0.25  # code values^2: an error below it says nothing, since rounding to 8 bits makes 1/12 of each image
EXPLAINED = 0.3  # of the error of the worst length: a tile whose best length leaves more has no answer
LEAST_TILES = 6
PAIRS_A_PROCESS = 50  # to start one takes as long as to measure so many
NOISE_SIDE = 256  # px: the correlations of the noise are measured in a square of this side, in the middle


@dataclass(frozen=True)
class Figures:
    """None: cannot be measured, or, where `level` is None, was not. PSNR and SSIM compare low_blur_noise with
    high_sharp_scaled. missing: folders whose image is missing or unreadable, or all where sizes differ.
    """

    missing: tuple[str, ...] = ()
    psnr: float | None = None  # dB, RGB
    ssim: float | None = None  # of the luma
    level: float | None = None  # mean of low_blur_noise, 8-bit code values
    truth: float | None = None  # mean L*, 0..100, over the unsaturated pixels of high_sharp_scaled
    blur: float | None = None  # px: blur length of low_blur, the median over its textured tiles
    fastest: float | None = None  # px: the same of the tenth of the tiles that moves most, its least
    noise: dict[str, float] | None = None  # low_blur_noise less low_blur: sigma_green and the rest of `BANDS`
    thumbnail: str = ""  # base64 of a JPEG, input beside ground truth; empty where it was written to a file


def collect(
    out: Path, pairs: list[dict], folder: Path | None, jobs: int, quick: bool = False
) -> Generator[Figures, None, None]:
    """The Figures of all pairs, in their order.

    folder: where the thumbnails go, SEQUENCE/NAME.jpg, and where figures of an earlier report are reused; None: the
    thumbnails are in the Figures. quick: nothing is measured; what `folder` does not hold stays None.
    """
    cache = _read_cache(folder)
    names, keys = [pair["pair"] for pair in pairs], [_key(pair) for pair in pairs]
    current = [_is_current(folder, name, key, cache) for name, key in zip(names, keys, strict=True)]
    tasks = (
        joblib.delayed(measure)(_paths(out, pair), folder and folder / f"{pair['pair']}.jpg")
        for pair, known in zip(pairs, current, strict=True)
        if not known and not quick
    )
    results = iter(
        joblib.Parallel(n_jobs=min(jobs, max(1, current.count(False) // PAIRS_A_PROCESS)), return_as="generator")(tasks)
    )
    fresh: dict[str, list] = {}
    try:
        for name, key, known in zip(names, keys, current, strict=True):
            figures = Figures(**cache[name][1]) if known else Figures() if quick else next(results)
            if known or not quick:
                fresh[name] = [key, asdict(figures)]
            yield figures
    finally:
        if folder is not None and not quick:  # also what was measured before an interruption
            atomic.write(folder / CACHE, json.dumps(cache | fresh if len(fresh) < len(names) else fresh).encode())


def _paths(out: Path, pair: dict) -> dict[str, Path]:
    return {f: layout.image_path(out, pair["split"], f, *pair["pair"].split("/")) for f in layout.FOLDERS}


def _key(pair: dict) -> str:
    """Changes with the pixels of the pair and with the way of measuring."""
    text = json.dumps([VERSION, pair["split"], pair.get("sha256")], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read_cache(folder: Path | None) -> dict[str, list]:
    return (layout.read_json(folder / CACHE) or {}) if folder is not None else {}


def _is_current(folder: Path | None, name: str, key: str, cache: dict[str, list]) -> bool:
    if folder is None or not (folder / f"{name}.jpg").is_file():
        return False
    try:
        return cache[name][0] == key and Figures(**cache[name][1]).missing == []
    except (KeyError, IndexError, TypeError):
        return False


def measure(paths: dict[str, Path], thumbnail: Path | None = None) -> Figures:
    """The Figures of one pair, by the paths of its images. thumbnail: file to write it to."""
    pictures = {folder: _read(path) for folder, path in paths.items()}
    missing = tuple(folder for folder, pixels in pictures.items() if pixels is None)
    if missing or len({pixels.shape for pixels in pictures.values()}) > 1:  # type: ignore[union-attr]
        return Figures(missing=missing or layout.FOLDERS)
    noisy, blurred, sharp, truth = (pictures[folder] for folder in layout.FOLDERS[:4])
    assert noisy is not None and blurred is not None and sharp is not None and truth is not None
    jpeg = _thumbnail(noisy, truth)
    if thumbnail is not None:
        thumbnail.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(thumbnail, jpeg)
    a, b = (frames.from_uint8(pixels) for pixels in (noisy, truth))
    blur, fastest = blur_lengths(sharp, blurred) or (None, None)
    return Figures(
        psnr=round(min(image_quality.LARGEST_PSNR, image_quality.psnr_rgb(a, b).item()), 2),
        ssim=round(image_quality.ssim_y(a, b).item(), 4) if min(noisy.shape[:2]) >= image_quality.SSIM_WINDOW else None,
        level=round(float(noisy.mean()), 1),
        truth=round(100 * darken.exposure_of(frames.from_uint8(_scaled(truth))), 1),
        blur=blur,
        fastest=fastest,
        noise=noise_figures(noisy, blurred),
        thumbnail="" if thumbnail is not None else base64.b64encode(jpeg).decode(),
    )


def _read(path: Path) -> np.ndarray | None:
    """(H, W, 3) uint8 RGB; None where it is missing or unreadable."""
    try:
        pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error):
        return None
    return None if pixels is None else np.ascontiguousarray(pixels[..., ::-1])


def _scaled(pixels: np.ndarray, width: int = FIT_WIDTH) -> np.ndarray:
    height = max(1, round(pixels.shape[0] * width / pixels.shape[1]))
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)


def _thumbnail(noisy: np.ndarray, truth: np.ndarray) -> bytes:
    both = np.concatenate([_scaled(noisy, THUMB), _scaled(truth, THUMB)], axis=1)
    return cv2.imencode(".jpg", both[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


def noise_figures(noisy: np.ndarray, clean: np.ndarray) -> dict[str, float] | None:
    """Of (H, W, 3) uint8 images: the figures of `fingerprint.BANDS`; None where they are equal."""
    top, left = (max(0, (side - NOISE_SIDE) // 2) for side in noisy.shape[:2])
    window = (slice(top, top + NOISE_SIDE), slice(left, left + NOISE_SIDE))
    noise = noisy[window].astype(np.float64) - clean[window]
    if not noise.any(axis=(0, 1)).all():
        return None
    values = asdict(fingerprint.describe(noise[None], float(noisy.mean())))
    return {name: round(values[name], 3) for name in fingerprint.BANDS if np.isfinite(values[name])}


@functools.cache
def _line_kernels() -> list[tuple[float, np.ndarray]]:
    """(length, kernel) of straight motions at constant speed, px of FIT_WIDTH; kernels (k, k) float32 of sum 1."""
    kernels = []
    for length in LENGTHS:
        reach = int(np.ceil(length / 2)) + 1
        steps = (np.arange(64) + 0.5) / 64 * length - length / 2
        for angle in np.arange(DIRECTIONS if length else 1) * np.pi / DIRECTIONS:
            kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
            x, y = reach + steps * np.cos(angle), reach + steps * np.sin(angle)
            left, top = np.floor(x).astype(int), np.floor(y).astype(int)
            for down, across in ((0, 0), (0, 1), (1, 0), (1, 1)):
                share = np.abs(1 - across - (x - left)) * np.abs(1 - down - (y - top))
                np.add.at(kernel, (top + down, left + across), share.astype(np.float32) / len(steps))
            kernels.append((float(length), kernel))
    return kernels


def blur_lengths(sharp: np.ndarray, blurred: np.ndarray) -> tuple[float, float] | None:
    """How far a point moves during the exposure, px of the images, (H, W, 3) uint8: median and 90th percentile
    over the textured tiles.

    Each tile gets the straight line of LENGTHS and DIRECTIONS that, in linear light, makes the blurred tile from the
    sharp one with the smallest error. Defocus counts as blur. None: too little texture, or lamps everywhere.
    """
    light = [frames.to_linear(torch.from_numpy(_scaled(p).astype(np.float32) / 255)).numpy().mean(axis=2)
             for p in (sharp, blurred)]  # fmt: skip
    rows, columns = (side // TILE for side in light[0].shape)
    if not rows * columns:
        return None

    def by_tile(plane: np.ndarray) -> np.ndarray:
        return plane[: rows * TILE, : columns * TILE].reshape(rows, TILE, columns, TILE).swapaxes(1, 2)

    kernels = _line_kernels()
    errors = np.stack([by_tile((cv2.filter2D(light[0], -1, kernel, borderType=cv2.BORDER_REFLECT_101) - light[1]) ** 2)
                       .mean(axis=(2, 3)) for _, kernel in kernels])  # fmt: skip
    level = np.maximum(by_tile(light[0]).mean(axis=(2, 3)), 1e-6) ** (1 / 2.2)
    worst = errors.max(axis=0) * (255 / (2.2 * level**1.2)) ** 2  # code values^2, by the slope of the 2.2 gamma
    brightest = by_tile(np.maximum(_scaled(sharp), _scaled(blurred)).max(axis=2)).max(axis=(2, 3))
    textured = (worst > ROUNDING) & (errors.min(axis=0) < EXPLAINED * errors.max(axis=0)) & (brightest < SATURATED)
    if textured.sum() < LEAST_TILES:
        return None
    lengths = np.array([length for length, _ in kernels])[errors.argmin(axis=0)][textured]
    median, fastest = np.percentile(lengths, (50, 90)) * sharp.shape[1] / FIT_WIDTH
    return round(float(median), 1), round(float(fastest), 1)
