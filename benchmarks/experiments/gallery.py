"""Figures 4 and 5: the luminance adjustment map of EC-Zero-DCE, and frames at several exposures."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from experiments.place import Place
from lolblur_synth.files.images import read_image
from lolblur_synth.frames import from_uint8, lightness

EXPOSURES = (0.05, 0.1, 0.2)
PHOTOGRAPHS = ("neon_tunnel_walkway_mstoolkit", "spark_spiral_fire_budgie", "burano_houses_hhoppe")
WIDTH = 320  # px of a panel
SATURATED = 0.98  # L*/100


def fig4(place: Place, part: str, seed: int) -> dict:
    """`stage darken --save-curves` on three photographs; the map's mean on lamps and on the rest, at each exposure."""
    rows, figures = [], {}
    for name in PHOTOGRAPHS:
        source = place.material / "photos/train" / f"{name}.jpg"
        if not source.is_file():
            raise FileNotFoundError(f"{source}: no such photograph; MATERIAL is laid out as for bundled_lednet.sh")
        before = read_image(source)
        lit = lightness(from_uint8(np.rint(before * 255).astype(np.uint8)))[0, 0].numpy() > SATURATED
        panels = [_panel(before)]
        for exposure in EXPOSURES:
            dark, curve = _darkened(source, place.work / "gallery", exposure)
            panels += [_panel(dark), _panel(cv2.applyColorMap(curve, cv2.COLORMAP_INFERNO)[..., ::-1] / 255)]
            share = curve / 255
            values = {"lamps": float(share[lit].mean()) if lit.any() else None, "rest": float(share[~lit].mean())}
            figures[f"{name} {exposure}"] = values
        rows.append(np.concatenate(panels, 1))
    place.save_picture("fig4", np.concatenate(rows))
    return {"data": {"photographs": len(PHOTOGRAPHS)}, "figures": figures}


def _darkened(source: Path, folder: Path, exposure: float) -> tuple[np.ndarray, np.ndarray]:
    """The darkened photograph, (H, W, 3) 0..1, and its map, (H, W) uint8."""
    dark, curves = folder / f"{source.stem}-{exposure}.png", folder / f"curves-{exposure}"
    command = [sys.executable, "-m", "lolblur_synth.cli", "-q", "stage", "darken", str(source), str(dark), "--exposure",
               str(exposure), "--save-curves", str(curves), "--overwrite"]  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(command, check=True)
    levels = cv2.imread(str(curves / f"{source.stem}.png"), cv2.IMREAD_UNCHANGED)
    return read_image(dark), (levels >> 8).astype(np.uint8)


def _panel(picture: np.ndarray) -> np.ndarray:
    """(h, WIDTH, 3) uint8 of a picture of any size, 0..1, cut to 3:2."""
    height = WIDTH * 2 // 3
    scale = max(WIDTH / picture.shape[1], height / picture.shape[0])
    small = cv2.resize(picture.astype(np.float32), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    top, left = (small.shape[0] - height) // 2, (small.shape[1] - WIDTH) // 2
    return np.rint(small[top : top + height, left : left + WIDTH].clip(0, 1) * 255).astype(np.uint8)
