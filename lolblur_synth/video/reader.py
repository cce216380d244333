"""Videos and image sequences as exact, constant-rate streams of RGB frames.

`probe` looks without decoding the video and refuses what is not fit; `read` decodes from the first frame on, one frame
in memory, and never ends early without an error: frame i of `read` is the i-th time stamp of `probe`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

from lolblur_synth import images
from lolblur_synth.errors import InputError
from lolblur_synth.recipe import InputConfig
from lolblur_synth.video import yuv
from lolblur_synth.video.guard import AGAIN, check_count, check_gif, check_pixels, opened
from lolblur_synth.video.inputs import Input
from lolblur_synth.video.names import safe_name
from lolblur_synth.video.sequence import frames_of
from lolblur_synth.video.timing import check_rate, check_whole, collect, is_shown, time_of

GAMMA = 2.2  # paper, Eq. 1: float TIFF frames hold linear light
HDR = {16: "PQ", 18: "HLG"}  # ITU-T H.273 TransferCharacteristics
DECODER = f"PyAV {av.__version__} / FFmpeg lavc {'.'.join(map(str, av.library_versions['libavcodec']))}"


@dataclass(frozen=True)
class Video:
    """An input that passed every check.

    width, height: as displayed, after rotation and with square pixels. fps: the true capture rate. rotation: degrees
    clockwise, and mirrored left to right after it, as `read` applies them. bits: of a channel as stored. colour: pixel
    format, matrix and range. decoder: which one, for the manifest. The rest serves `read`: coded is (width, height) as
    stored, max_pixels guards the file when it is opened again.
    """

    path: Path
    name: str
    kind: str
    width: int
    height: int
    frames: int
    fps: float
    rotation: int
    mirrored: bool
    bits: int
    colour: str
    decoder: str
    codec: str
    coded: tuple[int, int]
    max_pixels: int


def probe(source: Input, limits: InputConfig, fps: float | None = None) -> Video:
    """Check an input and say what it holds. Every packet's time stamp is read, but only the first frame is decoded.

    fps: the true capture rate in frames/s, for slow-motion files and image sequences; the container's own if None.
    Raises InputError, whose `reason` is one of not-regular, zero-byte, unreadable, no-video, format, hdr, too-large,
    too-many-frames, vfr, truncated, corrupt, no-fps, size-changes; and for a folder of frames those of
    `sequence.frames_of`.
    """
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise InputError(f"{source.name}: {fps} is not a frame rate", "pass --fps with a number above 0", "no-fps")
    return _probe_images(source, limits, fps) if source.kind == "images" else _probe_video(source, limits, fps)


def read(video: Video, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
    """Frames start..stop-1 (to the end if None) as (H, W, 3) float32 RGB display values, 0..1.

    A video is decoded in order from its first frame, without seeking, so a frame never depends on where reading began.
    Raises InputError (truncated, corrupt) where the file does not decode to the frames that `probe` counted.
    """
    stop = video.frames if stop is None else stop
    if not 0 <= start <= stop <= video.frames:
        raise InputError(f"{video.name}: frames {start} to {stop} of {video.frames}", "ask for frames it has", "range")
    if video.kind == "images":
        files = frames_of(video.path, video.name, math.inf)  # `probe` has checked the rate
        if len(files) != video.frames:
            raise InputError(f"{video.name}: {len(files)} images, there were {video.frames}", "leave the folder alone "
                             "while it is read", "size-changes")  # fmt: skip
        for path in files[start:stop]:
            yield _sequence_frame(path, video)
        return
    for index, frame in enumerate(decode(video, stop)):
        if index >= start:
            yield _upright(yuv.to_rgb(frame, video.codec), video)


def luma(video: Video) -> Iterator[np.ndarray]:
    """All frames as (h, w) float32 grey, 0..1, as stored: not rotated, pixels not squared. Errors as `read`."""
    if video.kind == "images":
        yield from (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in read(video))
    else:
        yield from (yuv.luma(frame) for frame in decode(video, video.frames))


def decode(video: Video, stop: int) -> Iterator[av.VideoFrame]:
    """The first `stop` decoded frames. Raises InputError where a frame is damaged, missing or of another size."""
    count = 0
    pending: set[int] = set()  # time stamps of packets that went in and did not come out yet
    with opened(video.path, video.name, video.max_pixels) as (container, stream):
        try:
            for packet in container.demux(stream) if stop else ():
                if (time := time_of(packet)) is not None and is_shown(packet, stream):
                    pending.add(time)
                for frame in packet.decode():
                    _check_frame(frame, count, pending, container.format.name == "avi", video)
                    yield frame
                    count += 1
                    if count == stop:
                        return
        except av.FFmpegError as error:
            raise InputError(f"{video.name}: frame {count} of {video.frames} cannot be decoded ({error.strerror})",
                             AGAIN, "corrupt") from error
    if count < stop:
        raise InputError(f"{video.name}: it ends after {count} of {video.frames} frames", AGAIN, "truncated")


def _check_frame(frame: av.VideoFrame, index: int, pending: set[int], unordered: bool, video: Video) -> None:
    """A frame that comes out while an earlier one is still pending means that the earlier one is lost.

    unordered: AVI keeps no times of presentation, so that with B-frames its stamps come out in another order.
    """
    expected = frame.pts if unordered else min(pending, default=None)
    if frame.is_corrupt or frame.pts != expected or expected not in pending:
        raise InputError(f"{video.name}: frame {index} of {video.frames} is damaged or missing", AGAIN, "corrupt")
    pending.remove(expected)
    if (frame.width, frame.height) != video.coded:
        raise InputError(f"{video.name}: frame {index} is {frame.width}x{frame.height}, the first is "
                         f"{video.coded[0]}x{video.coded[1]}", "split it into videos of one size", "size-changes")


def _probe_video(source: Input, limits: InputConfig, fps: float | None) -> Video:
    name = source.name
    with opened(source.path, name, limits.max_pixels) as (container, stream):
        context = stream.codec_context
        check_pixels(context.width, context.height, limits.max_pixels, name)
        check_count(stream.frames, limits.max_frames, name)
        stamps = collect(container, stream, name, limits.max_frames)
        check_whole(container, stream, stamps, name)
        if container.format.name == "gif":
            check_gif(source.path, stamps.packets, name)
        step = check_rate(stamps.pts, name, limits.max_jitter)
        own_rate = _nominal_rate(stream, step, len(stamps.pts))
        aspect = float(stream.sample_aspect_ratio or 1)
    frame = _first_frame(source, limits.max_pixels)
    rotation, mirrored = orientation(frame, name)
    square = (round(frame.width * max(aspect, 1)), round(frame.height / min(aspect, 1)))
    check_pixels(*square, limits.max_pixels, name)
    return Video(
        source.path, name, source.kind, *(square if rotation % 180 == 0 else square[::-1]), frames=len(stamps.pts),
        fps=own_rate if fps is None else float(fps), rotation=rotation, mirrored=mirrored,
        bits=max(component.bits for component in frame.format.components), colour=yuv.describe(frame), decoder=DECODER,
        codec=context.name, coded=(frame.width, frame.height), max_pixels=limits.max_pixels)


def _first_frame(source: Input, max_pixels: int) -> av.VideoFrame:
    with opened(source.path, source.name, max_pixels) as (container, stream):
        try:
            frame = next(container.decode(stream), None)
        except av.FFmpegError as error:
            message = f"{source.name}: frame 0 cannot be decoded ({error.strerror})"
            raise InputError(message, AGAIN, "corrupt") from error
    if frame is None:
        raise InputError(f"{source.name}: no frame can be decoded", AGAIN, "corrupt")
    if frame.color_trc in HDR:
        message = f"{source.name}: HDR video ({HDR[frame.color_trc]})"
        raise InputError(message, "tone-map it to SDR (BT.709) first", "hdr")
    return frame


def _nominal_rate(stream: av.VideoStream, step: float, frames: int) -> float:
    """The container's own rate (30000/1001, say) if it drifts from the time stamps by less than a tick, else theirs."""
    rates = [rate for rate in (stream.average_rate, stream.guessed_rate) if rate]
    ticks = [float(1 / (rate * stream.time_base)) for rate in rates]
    fits = (rate for rate, tick in zip(rates, ticks, strict=True) if frames == 1 or abs(tick - step) * frames < 1)
    return float(next(fits, 1 / (step * stream.time_base)))


def orientation(frame: av.VideoFrame, name: str) -> tuple[int, bool]:
    """(degrees clockwise, mirrored left to right afterwards) that show a frame upright, from its display matrix.

    The matrix takes pixel (x, y) to (a x + c y, b x + d y), in 16.16 fixed point.
    """
    data = frame.side_data.get(av.sidedata.sidedata.Type.DISPLAYMATRIX)
    if data is None:
        return 0, False
    a, b, _, c, d = np.frombuffer(data, "<i4")[:5] / 65536
    scale = max(map(abs, (a, b, c, d))) or 1
    turns = {(0, 1): 0, (1, 0): 90, (0, -1): 180, (-1, 0): 270}
    key = (round(b / scale, 2), round(d / scale, 2))
    if key not in turns:
        raise InputError(f"{name}: rotated by {-frame.rotation} degrees", "rotate it by a multiple of 90", "format")
    return turns[key], a * d - b * c < 0


def _upright(pixels: np.ndarray, video: Video) -> np.ndarray:
    """Square pixels, then rotation, then mirror."""
    square = (video.width, video.height) if video.rotation % 180 == 0 else (video.height, video.width)
    if square != video.coded:
        pixels = np.clip(cv2.resize(pixels, square, interpolation=cv2.INTER_CUBIC), 0, 1)
    pixels = np.rot90(pixels, -(video.rotation // 90))
    return np.ascontiguousarray(pixels[:, ::-1] if video.mirrored else pixels)


def _probe_images(source: Input, limits: InputConfig, fps: float | None) -> Video:
    if fps is None:
        raise InputError(f"{source.name}: an image sequence has no frame rate of its own",
                         "pass the rate it was captured at, for example --fps 250", "no-fps")
    files = frames_of(source.path, source.name, limits.max_jitter)
    if not files:
        raise InputError(f"{source.name}: no images in this folder", "PNG, JPEG or TIFF", "no-video")
    check_count(len(files), limits.max_frames, source.name)
    first = images.load(files[0], limits.max_pixels)
    height, width = first.shape[:2]
    bits = first.dtype.itemsize * 8
    return Video(
        source.path, source.name, source.kind, width, height, len(files), float(fps), rotation=0, mirrored=False,
        bits=bits, colour="rgb linear" if bits == 32 else "rgb full", decoder=f"OpenCV {cv2.__version__}",
        codec=files[0].suffix[1:].lower(), coded=(width, height), max_pixels=limits.max_pixels)


def _sequence_frame(path: Path, video: Video) -> np.ndarray:
    pixels = images.load(path, video.max_pixels)
    height, width, bits = *pixels.shape[:2], pixels.dtype.itemsize * 8
    if (width, height, bits) != (*video.coded, video.bits):
        raise InputError(f"{video.name}: {safe_name(path, video.path)} is {width}x{height} with {bits} bits, "
                         f"the first image is {video.width}x{video.height} with {video.bits}", "make all frames alike",
                         "size-changes")
    frame = images.to_rgb(pixels)
    return np.clip(frame, 0, 1) ** np.float32(1 / GAMMA) if bits == 32 else frame
