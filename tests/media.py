"""Makers of small videos for tests: good ones, odd ones and broken ones. Everything is encoded by PyAV on the spot."""

import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.stream import Disposition

from lolblur_synth.files import light_curves

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
    primaries: int = 2,
) -> Path:
    """Frames as they are (no conversion where pix_fmt is theirs), tagged with matrix, range, transfer and primaries."""
    with av.open(str(path), "w", options=container or {}) as output:
        stream = output.add_stream(codec, rate=rate, options=options or {})
        if rotation:
            stream.set_display_rotation(rotation)
        for index, picture in enumerate(pictures):
            if index == 0:
                stream.width, stream.height = picture.width, picture.height
                stream.pix_fmt = pix_fmt or picture.format.name
                context = stream.codec_context
                context.colorspace, context.color_trc, context.color_primaries = colorspace, transfer, primaries
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


# ---- light above white ---------------------------------------------------------------------------------------------

TO_BT2020 = np.array([[0.627404, 0.329283, 0.043313], [0.069097, 0.919540, 0.011362], [0.016391, 0.088013, 0.895595]])
KR, KB = 0.2627, 0.0593  # of BT.2020


def hdr_picture(light: np.ndarray, pix_fmt: str = "yuv420p10le", transfer: int = 16, full_range: bool = False,
                primaries: int = 9) -> av.VideoFrame:  # fmt: skip
    """(H, W, 3) linear light in BT.709, white is 1, as the codes of a PQ (16) or HLG (18) frame, by the equations."""
    signal = {16: light_curves.light_to_pq, 18: light_curves.light_to_hlg}[transfer](
        light @ TO_BT2020.T if primaries == 9 else light
    )
    depth = max(part.bits for part in av.VideoFormat(pix_fmt, 2, 2).components)
    low, span = (0, 2**depth - 1) if full_range else (16 << depth - 8, 219 << depth - 8)
    if pix_fmt.startswith("gbr"):
        codes = [np.rint(low + span * signal[..., channel]) for channel in (1, 2, 0)]
        return planes(pix_fmt, *light.shape[:2], *codes)
    luma = signal @ [KR, 1 - KR - KB, KB]
    chroma_span = span if full_range else 224 << depth - 8
    step = 2 if "420" in pix_fmt else 1
    codes = [np.rint(low + span * luma)]
    for channel, share in ((2, KB), (0, KR)):
        difference = ((signal[..., channel] - luma) / (2 - 2 * share))[::step, ::step]
        codes.append(np.rint((1 << depth - 1) + chroma_span * difference))
    return planes(pix_fmt, *light.shape[:2], *codes)


def hdr(path: Path, lights: Iterable[np.ndarray], codec: str = "ffv1", rate: int = 240, options: dict | None = None,
        transfer: int = 16, full_range: bool = False, primaries: int = 9, **picture) -> Path:  # fmt: skip
    """Frames of linear light (`hdr_picture`) to a tagged HDR video."""
    tags = {"transfer": transfer, "full_range": full_range, "primaries": primaries}
    pictures = [hdr_picture(light, **tags, **picture) for light in lights]
    matrix = 0 if pictures[0].format.name.startswith("gbr") else 9
    return encode_pictures(path, pictures, rate, codec, options=options, colorspace=matrix, **tags)


def float_planes(pix_fmt: str, light: np.ndarray) -> av.VideoFrame:
    """(H, W, 3) float32 RGB as a frame of gbrpf32le."""
    frame = av.VideoFrame(light.shape[1], light.shape[0], pix_fmt)
    for plane, channel in zip(frame.planes, (1, 2, 0), strict=True):
        rows = np.zeros((plane.buffer_size // plane.line_size, plane.line_size // 4), np.float32)
        rows[: plane.height, : plane.width] = light[..., channel]
        plane.update(rows.tobytes())
    return frame


def encoded_exr(light: np.ndarray, compression: int) -> bytes:
    """(H, W, 3) float32 linear RGB as FFmpeg writes an EXR of single floats. compression: 0 none, 3 ZIP."""
    encoder = av.CodecContext.create("exr", "w")
    encoder.width, encoder.height, encoder.pix_fmt = light.shape[1], light.shape[0], "gbrpf32le"
    encoder.time_base, encoder.options = Fraction(1, 25), {"compression": str(compression), "format": "float"}
    return b"".join(map(bytes, [*encoder.encode(float_planes("gbrpf32le", light)), *encoder.encode(None)]))


def exr(path: Path, channels: dict[str, np.ndarray], flags: int = 0, kind: int = 2, **attributes: bytes) -> Path:
    """An uncompressed EXR. channels: name -> (H, W); kind: 0 uint, 1 half, 2 float; attributes: of chromaticities."""
    height, width = next(iter(channels.values())).shape
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    names = sorted(channels)
    listed = b"".join(name.encode() + struct.pack("<xiB3xii", kind, 0, 1, 1) for name in names) + b"\0"
    fields = {b"channels": (b"chlist", listed), b"compression": (b"compression", b"\0"),
              b"dataWindow": (b"box2i", window), b"displayWindow": (b"box2i", window),
              b"lineOrder": (b"lineOrder", b"\0"), b"pixelAspectRatio": (b"float", struct.pack("<f", 1)),
              b"screenWindowCenter": (b"v2f", bytes(8)),
              b"screenWindowWidth": (b"float", struct.pack("<f", 1))}  # fmt: skip
    fields |= {name.encode(): (name.encode(), value) for name, value in attributes.items()}
    head = b"v/1\x01" + struct.pack("<I", 2 | flags)
    head += b"".join(name + b"\0" + type_ + struct.pack("<xi", len(value)) + value
                     for name, (type_, value) in fields.items()) + b"\0"  # fmt: skip
    number = {0: "<u4", 1: "<f2", 2: "<f4"}[kind]
    rows = [b"".join(channels[name][y].astype(number).tobytes() for name in names) for y in range(height)]
    blocks = [struct.pack("<ii", y, len(row)) + row for y, row in enumerate(rows)]
    start = len(head) + 8 * height
    offsets = [start + y * len(blocks[0]) for y in range(height)]
    path.write_bytes(head + struct.pack(f"<{height}Q", *offsets) + b"".join(blocks))
    return path


def rgb_exr(path: Path, light: np.ndarray, **options) -> Path:
    """(H, W, 3) linear RGB as an EXR."""
    return exr(path, {name: light[..., channel] for channel, name in enumerate("RGB")}, **options)


def radiance(path: Path, light: np.ndarray) -> Path:
    """(H, W, 3) linear RGB as a Radiance .hdr."""
    path.write_bytes(cv2.imencode(".hdr", np.ascontiguousarray(light[..., ::-1], np.float32))[1].tobytes())
    return path
