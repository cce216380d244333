"""Frames to a video file that every player reads: H.264, 8 bits, BT.709 limited range."""

import itertools
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from lolblur_synth.errors import InputError, UsageError
from lolblur_synth.files import atomic

SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".avi")
THREADS = 4  # a constant, because x264's output depends on it
X264 = {
    "crf": "12",  # visually lossless
    "preset": "medium",
    "x264-params": "mbtree=0",
}  # with it, frames below about 64 pixels encode differently from run to run
BT709 = 1  # ITU-T H.273: primaries, transfer and matrix
SCALER = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP | Interpolation.BITEXACT


def write_video(path: Path, frames: Iterable[np.ndarray], fps: float, comment: str = "") -> None:
    """Write (H, W, 3) float32 RGB display frames, 0..1, of one size, at `fps` frames/s. comment: kept in the container.

    4:2:0 video has even sizes: an odd last column or row is shown twice. The file appears whole or not at all.
    Raises UsageError for a suffix that is not one of SUFFIXES or a rate that is not above 0, InputError where `frames`
    is empty or changes size, OSError where the file cannot be written.
    """
    if path.suffix.lower() not in SUFFIXES or not 0 < fps < float("inf"):
        raise UsageError(
            f"{path.name}: cannot write a video of {fps} frames/s here",
            f"give a name that ends in {', '.join(SUFFIXES)} and a rate above 0",
        )
    with atomic.replacing(path) as temporary:
        _encode(str(temporary), frames, Fraction(fps).limit_denominator(1001), path.name, comment)


def _encode(path: str, frames: Iterable[np.ndarray], rate: Fraction, name: str, comment: str) -> None:
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise InputError(f"{name}: there are no frames to write", "give at least one frame", "no-video")
    height, width = first.shape[:2]
    with av.open(path, "w", options={"fflags": "+bitexact"}) as container:
        if comment:
            container.metadata["comment"] = comment
        stream = add_video(container, rate, width, height)
        for index, frame in enumerate(itertools.chain([first], frames)):
            if frame.shape != (height, width, 3):
                raise InputError(
                    f"{name}: frame {index} is {frame.shape}, the first is {first.shape}",
                    "give frames of one size",
                    "size-changes",
                )
            container.mux(stream.encode(to_yuv(frame, index, rate)))
        container.mux(stream.encode())


def add_video(container: av.container.OutputContainer, rate: Fraction, width: int, height: int) -> av.VideoStream:
    """A stream of `container` that encodes the frames of `to_yuv`."""
    stream = container.add_stream("libx264", rate=rate, options=X264)
    stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
    context = stream.codec_context
    context.thread_count = THREADS
    context.colorspace = context.color_primaries = context.color_trc = BT709
    context.color_range = ColorRange.MPEG
    return stream


def to_yuv(frame: np.ndarray, index: int, rate: Fraction) -> av.VideoFrame:
    """(H, W, 3) float32 RGB display values, 0..1, as frame `index`: 8 bits, 4:2:0, BT.709 limited range."""
    codes = np.rint(np.clip(frame, 0, 1) * np.float32(65535)).astype(np.uint16)
    codes = np.pad(codes, ((0, codes.shape[0] % 2), (0, codes.shape[1] % 2), (0, 0)), mode="edge")
    picture = av.VideoFrame.from_ndarray(codes, format="rgb48le").reformat(
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
        interpolation=SCALER,
        threads=1,
    )
    picture.pts, picture.time_base = index, 1 / rate
    return picture
