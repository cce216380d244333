"""A dataset of a few tiny pairs, and options of a training that takes a second."""

import cv2
import numpy as np

TINY = {"preset": "paper", "width": 0.125, "crop": 16, "batch": 2, "perceptual": "none", "workers": 0, "device": "cpu"}


def write_pairs(root, clips=3, frames=2, size=(24, 32), split="train", pattern="{split}/{folder}/{clip}/{frame}.png"):
    """Smooth coloured scenes, and the same dark and blurred."""
    generator = np.random.default_rng(0)
    for clip in range(clips):
        for frame in range(frames):
            high = cv2.resize(generator.random((4, 5, 3)), size[::-1], interpolation=cv2.INTER_CUBIC).clip(0, 1)
            low = 0.3 * cv2.GaussianBlur(high, (0, 0), 1.5) ** 2.2
            for folder, image in (("low_blur_noise", low), ("high_sharp_scaled", high)):
                path = root / pattern.format(split=split, folder=folder, clip=f"{clip:04d}", frame=f"{frame:04d}")
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), np.rint(255 * image).astype(np.uint8))
    return root
