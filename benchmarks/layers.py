"""A scene whose true exposure is known: for benchmarks/exposure.py."""

import numpy as np
import skimage.data
import torch
from scipy.ndimage import gaussian_filter, spline_filter

from lolblur_synth import frames as fr
from lolblur_synth.stages import average

SMALL, LARGE = (256, 448), (640, 1120)  # of a scene, px
WINDOW, MID = 9, 5  # source frames; index of the mid frame
PHOTOS = ("coffee", "astronaut", "chelsea", "rocket")


def shown(light: np.ndarray) -> np.ndarray:
    return np.clip(light, 0, 1) ** (1 / fr.GAMMA)


class Layers:
    """A photograph behind rotated boxes of another one, with small lights in both, that move along an arc.

    Both layers are cubic splines of light, moved exactly; the boxes are 1.3 times as fast.
    """

    def __init__(self, speed: float, seed: int, size: tuple[int, int] = SMALL):
        rng = np.random.default_rng(seed)
        self.height, self.width = size
        self.speed, self.turn = speed, 0.02 * (-1) ** seed
        self.angle = rng.uniform(0, 2 * np.pi)
        self.margin = int(1.3 * speed * 12) + 40
        size = self.height + 2 * self.margin, self.width + 2 * self.margin
        behind, front = (self._photo(PHOTOS[(seed + i) % 4], size, rng) for i in (0, 1))
        alpha = gaussian_filter(self._boxes(size, rng), 0.8)
        for layer in (behind, front):
            self._add_lights(layer, rng)
        self.behind = self._spline(gaussian_filter(behind, (0, 0.5, 0.5)))
        self.front = self._spline(np.concatenate([front * alpha, alpha[None]]))

    @staticmethod
    def _photo(name, size, rng):
        photo = getattr(skimage.data, name)()[..., :3] / np.float32(255)
        photo = np.concatenate([photo, photo[:, ::-1]], 1)
        photo = np.concatenate([photo, photo[::-1]], 0)
        y, x = rng.integers(0, photo.shape[0]), rng.integers(0, photo.shape[1])
        tiles = [-(-s // p) + 1 for s, p in zip(size, photo.shape, strict=False)]
        return np.tile(photo, (*tiles, 1))[y : y + size[0], x : x + size[1]].transpose(2, 0, 1) ** fr.GAMMA

    def _place(self, rng):
        return self.margin + rng.uniform(0.1, 0.9) * self.height, self.margin + rng.uniform(0.1, 0.9) * self.width

    def _boxes(self, size, rng):
        y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
        alpha = np.zeros(size, np.float32)
        for _ in range(3):
            (cy, cx), (a, b), turn = self._place(rng), rng.uniform(25, 60, 2), rng.uniform(0, np.pi)
            u = ((x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)) / a
            v = ((y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)) / b
            alpha[np.maximum(np.abs(u), np.abs(v)) < 1] = 1
        return alpha

    def _add_lights(self, layer, rng):
        y, x = np.mgrid[: layer.shape[1], : layer.shape[2]].astype(np.float32)
        for _ in range(6):
            (cy, cx), radius = self._place(rng), rng.uniform(2, 6)
            spot = 0.5 - 0.5 * np.tanh((np.hypot(y - cy, x - cx) - radius) * 1.25)
            layer += 4 * spot * rng.uniform(0.4, 1, 3)[:, None, None]

    @staticmethod
    def _spline(layer):
        return np.stack([spline_filter(channel, 3) for channel in layer]).astype(np.float32)

    def _view(self, layer, y, x):
        (top, down), (left, right) = (self._taps(self.margin + offset) for offset in (y, x))
        rows = sum(down[i] * layer[:, top + i : top + i + self.height] for i in range(4))
        return sum(right[i] * rows[:, :, left + i : left + i + self.width] for i in range(4))

    @staticmethod
    def _taps(position):
        start = int(np.floor(position))
        f = np.float32(position - start)
        return start - 1, ((1 - f) ** 3 / 6, f**3 / 2 - f**2 + 2 / 3, (1 + 3 * f + 3 * f**2 - 3 * f**3) / 6, f**3 / 6)

    def radiance(self, t: float) -> np.ndarray:
        """(3, H, W) linear light at t, source frames from the mid frame; above 1 in the lights."""
        radius, angle = self.speed / self.turn, self.angle + self.turn * t
        x, y = radius * (np.sin(angle) - np.sin(self.angle)), radius * (np.cos(self.angle) - np.cos(angle))
        front = self._view(self.front, 1.3 * y, 1.3 * x)
        return np.maximum(front[:3] + (1 - front[3:]) * self._view(self.behind, y, x), 0)

    def frames(self, reach: int = MID) -> torch.Tensor:
        """The 8-bit camera frames around the mid frame."""
        light = np.stack([self.radiance(t) for t in range(-reach, reach + 1)])
        return torch.from_numpy((np.round(shown(light) * 255) / 255).astype(np.float32))

    def exposure(self, samples: int = 64 * WINDOW) -> np.ndarray:
        """What a shutter open for WINDOW frames sees of the clipped scene."""
        return sum(np.minimum(self.radiance(t), 1) for t in average.times(1, samples) * WINDOW) / samples
