"""Frames with light above white to a video: PQ, 10 bits, lossless H.264 4:4:4, which players and `build` open.

PQ (SMPTE ST 2084) holds 49 times reference white in steps of 1 to 2 %; BT.709 primaries and matrix, limited range.
Lossy codecs err by up to 17 % at lamps, and 4:2:0 blurs their colour.
"""

from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange

from lolblur_synth.files import atomic, light_curves
from lolblur_synth.frames import GAMMA

PQ, BT709 = 16, 1  # ITU-T H.273: transfer; primaries and matrix
X264 = {"qp": "0", "preset": "ultrafast"}  # lossless
LEVELS = 65536  # of display values below white in the table of PQ signals
KR, KB = 0.2126, 0.0722  # ITU-R BT.709
LUMA, CHROMA, BLACK, GREY = 876.0, 896.0, 64.0, 512.0  # codes of 10-bit limited range


def write_light(path: Path, frames: Iterable[np.ndarray], size: tuple[int, int], fps: float, comment: str = "") -> None:
    """Write (H, W, 3) float32 RGB extended display values (above 1: light^(1/2.2)) of `size` = (width, height).

    Light above 49.3 times white is cut to it. comment: kept in the container. The same frames give the same bytes. The
    file appears whole or not at all. Raises OSError where it cannot be written.
    """
    options = {"fflags": "+bitexact"}
    with atomic.replacing(path) as temporary, av.open(str(temporary), "w", options=options) as container:
        container.metadata["comment"] = comment
        rate = Fraction(fps).limit_denominator(1001)
        stream = container.add_stream("libx264", rate=rate, options=X264)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv444p10le"
        context = stream.codec_context
        context.thread_count = 1  # x264's bytes depend on it
        context.colorspace = context.color_primaries = BT709
        context.color_trc, context.color_range = PQ, ColorRange.MPEG
        for index, frame in enumerate(frames):
            picture = _picture(frame)
            picture.pts, picture.time_base = index, 1 / rate
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def signal(frame: np.ndarray) -> np.ndarray:
    """Extended display values -> PQ signal, 0..1, float32."""
    codes = (np.clip(frame, 0, 1) * np.float32(LEVELS - 1) + np.float32(0.5)).astype(np.uint16)
    values = np.take(_signals(), codes)
    above = frame > 1
    if above.any():
        values[above] = light_curves.light_to_pq(frame[above].astype(np.float64) ** GAMMA)
    return values


@lru_cache(maxsize=1)
def _signals() -> np.ndarray:
    """The PQ signal of each display value 0..1."""
    return light_curves.light_to_pq(np.linspace(0, 1, LEVELS) ** GAMMA)


def _picture(frame: np.ndarray) -> av.VideoFrame:
    """Extended display values as a frame of Y'CbCr codes, tagged."""
    luma = np.array([KR, 1 - KR - KB, KB])
    blue, red = (np.eye(3)[2] - luma) / (2 * (1 - KB)), (np.eye(3)[0] - luma) / (2 * (1 - KR))
    matrix = np.vstack([LUMA * luma, CHROMA * blue, CHROMA * red])
    offset = np.array([BLACK, GREY, GREY]) + 0.5  # rounds
    codes = cv2.transform(signal(frame), np.column_stack([matrix, offset])).astype(np.uint16)
    height, width = codes.shape[:2]
    picture = av.VideoFrame(width, height, "yuv444p10le")
    for index, plane in enumerate(picture.planes):
        rows = np.zeros((height, plane.line_size // 2), np.uint16)
        rows[:, :width] = codes[:, :, index]
        plane.update(rows)
    picture.color_trc, picture.color_primaries, picture.colorspace, picture.color_range = (
        PQ,
        BT709,
        BT709,
        ColorRange.MPEG,
    )
    return picture
