"""Render the bundled sample clips: places of known linear radiance, 250 frames a second.

    python examples/make_sample.py street|harbour [OUT.mp4]

`scenes.Street` and `scenes.Harbour` tell the light at any instant, `scene.radiance(t)`, and its average, the photograph
that a real shutter would have taken, `scene.exposure(t0, t1)`. A synthetic exposure can be held against the truth.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

from layered_scene import FPS, HEIGHT, WIDTH, write
from scenes import Harbour, Street

SAMPLES = Path(__file__).resolve().parent.parent / "lolblur_synth" / "samples"


class Clip(NamedTuple):
    """How a bundled clip is made. crf: quality of H.264. comment: makes the sha256 of the file."""

    scene: type
    name: str
    crf: int
    comment: str


CLIPS = {
    "street": Clip(Street, "night_street_250fps.mp4", 8, "take 3448"),
    "harbour": Clip(Harbour, "night_harbour_250fps.mp4", 8, "take 1700"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Render a bundled sample clip.")
    parser.add_argument("place", choices=CLIPS)
    parser.add_argument("out", nargs="?", type=Path)
    given = parser.parse_args()
    clip = CLIPS[given.place]
    out = given.out or SAMPLES / clip.name
    scene = clip.scene()
    write(scene, out, clip.crf, clip.comment)
    print(f"{out}: {scene.frames} frames, {WIDTH}x{HEIGHT}, {FPS} fps, {out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
