"""Makers of small videos for tests: good ones, odd ones and broken ones. Everything is encoded by PyAV on the spot."""

import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

PIXEL_FORMATS = {"gif": "bgr8", "mjpeg": "yuvj420p", "png": "rgb24"}


def scene(count: int = 20, height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    """(count, height, width, 3) uint8: a fixed texture with a bright square that moves one pixel a frame."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(20, 160, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    frames = np.repeat(coarse.repeat(8, 0).repeat(8, 1)[None, :height, :width], count, axis=0)
    for index, frame in enumerate(frames):
        left = index % (width - 12)
        frame[height // 2 : height // 2 + 10, left : left + 10] = 250
    return frames


def corners(height: int = 48, width: int = 64, count: int = 3) -> np.ndarray:
    """Black frames with a red top-left, green top-right, blue bottom-left and white bottom-right corner."""
    frames = np.zeros((count, height, width, 3), np.uint8)
    frames[:, :16, :16, 0] = frames[:, :16, -16:, 1] = frames[:, -16:, :16, 2] = 255
    frames[:, -16:, -16:] = 255
    return frames


def encode(
    path: Path,
    frames: Iterable[np.ndarray],
    rate: Fraction | int = 250,
    codec: str = "libx264",
    *,
    ticks: Sequence[int] | None = None,
    clock: Fraction | None = None,
    rotation: int = 0,
    sar: Fraction | None = None,
    pix_fmt: str = "",
    options: dict | None = None,
    container: dict | None = None,
) -> Path:
    """RGB frames, (H, W, 3) uint8, to a video. ticks: their time stamps, in units of clock seconds."""
    pictures = (av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24") for frame in frames)
    return encode_pictures(
        path,
        pictures,
        rate,
        codec,
        ticks=ticks,
        clock=clock,
        rotation=rotation,
        sar=sar,
        pix_fmt=pix_fmt or PIXEL_FORMATS.get(codec, "yuv420p"),
        options=options,
        container=container,
    )


def encode_pictures(
    path: Path,
    pictures: Iterable[av.VideoFrame],
    rate: Fraction | int = 250,
    codec: str = "ffv1",
    *,
    ticks=None,
    clock=None,
    rotation=0,
    sar=None,
    pix_fmt="",
    options=None,
    container=None,
    colorspace: int = 2,
    full_range: bool | None = None,
    transfer: int = 2,
) -> Path:
    """Frames as they are (no conversion where pix_fmt is theirs), tagged with a matrix, a range and a transfer."""
    with av.open(str(path), "w", options=container or {}) as output:
        stream = output.add_stream(codec, rate=rate, options=options or {})
        if rotation:
            stream.set_display_rotation(rotation)
        for index, picture in enumerate(pictures):
            if index == 0:
                stream.width, stream.height = picture.width, picture.height
                stream.pix_fmt = pix_fmt or picture.format.name
                context = stream.codec_context
                context.colorspace, context.color_trc = colorspace, transfer
                context.color_range = 0 if full_range is None else 2 if full_range else 1
                if sar:
                    context.sample_aspect_ratio = sar
                if clock:
                    context.time_base = clock
            picture.pts = index if ticks is None else ticks[index]
            picture.time_base = clock or 1 / Fraction(rate)
            output.mux(stream.encode(picture))
        output.mux(stream.encode())
    return path


def planes(pix_fmt: str, height: int, width: int, *values: np.ndarray | int) -> av.VideoFrame:
    """A planar frame with these code values in its planes: a number for a flat plane, or an array of its shape."""
    frame = av.VideoFrame(width, height, pix_fmt)
    kind = np.dtype("<u2" if max(part.bits for part in frame.format.components) > 8 else "u1")
    for plane, value in zip(frame.planes, values, strict=True):
        rows = np.zeros((plane.buffer_size // plane.line_size, plane.line_size // kind.itemsize), kind)
        rows[: plane.height, : plane.width] = value
        plane.update(rows.tobytes())
    return frame


def audio(path: Path) -> Path:
    """Half a second of silence, and no picture."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=48000, layout="mono")
        for index in range(24):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48000, index * 1024, Fraction(1, 48000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


def truncate(path: Path, share: float) -> Path:
    """Keep the first `share` of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def rot(path: Path, seed: int, start: float = 0.3, flips: int = 300) -> Path:
    """Overwrite `flips` random bytes after the first `start` share of a file."""
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(seed)
    for at in rng.integers(int(len(data) * start), len(data), flips):
        data[at] = rng.integers(0, 256)
    path.write_bytes(bytes(data))
    return path


def with_box(path: Path, box: bytes) -> Path:
    """Put a box into the sample entry of the first track of an MP4 or MOV whose `moov` lies behind the pictures."""
    data = bytearray(path.read_bytes())
    at = data.index(b"stsd") + 12
    end = at + int.from_bytes(data[at : at + 4])
    data[end:end] = box
    parents = [data.rindex(name, 0, at) - 4 for name in (b"stsd", b"stbl", b"minf", b"mdia", b"trak", b"moov")]
    for start in [at, *parents]:
        data[start : start + 4] = (int.from_bytes(data[start : start + 4]) + len(box)).to_bytes(4)
    path.write_bytes(data)
    return path


def clap(width: Fraction, height: Fraction, across: Fraction, down: Fraction) -> bytes:
    """The box of a clean aperture: its size, and how far its centre lies from the picture's."""
    numbers = [part for value in map(Fraction, (width, height, across, down)) for part in value.as_integer_ratio()]
    return struct.pack(">I4s4IiIiI", 40, b"clap", *numbers)


def two_tracks(path: Path, sizes: Sequence[tuple[int, int]], defaults: Sequence[int]) -> Path:
    """A video track of each size, track i in grey level 40 (i + 1); `defaults` are the tracks marked so."""
    with av.open(str(path), "w") as output:
        streams = [output.add_stream("libx264", rate=250) for _ in sizes]
        for index, (stream, size) in enumerate(zip(streams, sizes, strict=True)):
            (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
            stream.disposition = Disposition.default if index in defaults else Disposition(0)
        for index, (stream, (width, height)) in enumerate(zip(streams, sizes, strict=True)):
            for time in range(4):
                frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), 40 * (index + 1), np.uint8))
                frame.pts = time
                output.mux(stream.encode(frame))
            output.mux(stream.encode())
    return path
