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

from lolblur_synth.errors import InputError
from lolblur_synth.files import images, light_curves
from lolblur_synth.files.video import capture, measured, yuv
from lolblur_synth.files.video.complete import check_whole
from lolblur_synth.files.video.container_crop import Crop
from lolblur_synth.files.video.geometry import cropped, fitting, orientation, upright
from lolblur_synth.files.video.guard import AGAIN, check_count, check_gif, check_pixels, look, opened
from lolblur_synth.files.video.inputs import Input
from lolblur_synth.files.video.names import safe_name
from lolblur_synth.files.video.sequence import frames_of
from lolblur_synth.files.video.timing import check_rate, collect, is_shown, mean_rate, rounding_of, time_of
from lolblur_synth.recipe.schema import InputConfig

GUESSED, MEASURED = "guessed", "measured"  # of Video.light
DROP_ALPHA = "remove the alpha channel first, for example: ffmpeg -i IN -pix_fmt gbrp -c:v ffv1 OUT.mkv"
INTERLACED = [
    "interlaced video: moving edges comb, which spoils motion and blur; deinterlace it first (ffmpeg -i IN "
    "-vf bwdif=mode=send_field -c:v libx264 -crf 12 OUT.mp4), unless it was shot progressive"
]
DECODER = f"PyAV {av.__version__} / FFmpeg lavc {'.'.join(map(str, av.library_versions['libavcodec']))}"


@dataclass(frozen=True)
class Video:
    """An input that passed every check.

    width, height: as displayed, after crop and rotation and with square pixels. fps: the true capture rate. rotation:
    degrees clockwise, and mirrored left to right after it, as `read` applies them. bits: of a channel as stored.
    colour: pixel format, matrix, range and the curve of HDR. light: "measured" where it holds light above white (PQ and
    HLG video, .hdr, .exr and float TIFF frames), else "guessed": what its white hides can only be guessed.
    decoder: which one, for the manifest. The rest serves `read`: coded is
    (width, height) as stored, max_pixels guards the file when it is opened again, crop and tags are the container's,
    opaque says that the alpha channel is not used. played: the rate at which a video plays, 0 for images. notes: what a
    user should know, each without the name.
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
    light: str = GUESSED
    crop: Crop = Crop()
    tags: yuv.Tags = yuv.Tags()
    opaque: bool = False
    played: float = 0.0
    notes: tuple[str, ...] = ()


def probe(source: Input, limits: InputConfig, fps: float | None = None) -> Video:
    """Check an input and say what it holds. Every packet's time stamp is read, but only the first frame is decoded.

    fps: the true capture rate in frames/s, for slow-motion files and image sequences; if None, the one that the file
    tells (`capture.rate`), or else the container's own. Where the rate of capture is known, time stamps may be uneven.
    Raises InputError, whose `reason` is one of not-regular, zero-byte, unreadable, no-video, format, log, dolby-vision,
    too-large, too-many-frames, vfr, truncated, corrupt, no-fps, size-changes, alpha, not-finite; and for a folder of
    frames those of `sequence.frames_of`.
    """
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise InputError(f"{source.name}: {fps} is not a frame rate", "pass --fps with a number above 0", "no-fps")
    return _probe_images(source, limits, fps) if source.kind == "images" else _probe_video(source, limits, fps)


def read(video: Video, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
    """Frames start..stop-1 (to the end if None) as (H, W, 3) float32 RGB display values, 0..1; where `video.light` is
    "measured" as extended ones, which go on above 1 as light^(1/2.2).

    A video is decoded in order from its first frame, without seeking, so a frame never depends on where reading began.
    Raises InputError (truncated, corrupt) where the file does not decode to the frames that `probe` counted, and
    (not-finite) where light is NaN or infinite.
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
            yield _sequence_frame(path, files[0], video)
        return
    for index, frame in enumerate(decode(video, stop)):
        if index >= start:
            pixels = cropped(_pixels(frame, index, video), video.crop)
            square = (video.width, video.height) if video.rotation % 180 == 0 else (video.height, video.width)
            yield upright(pixels, square, video.rotation, video.mirrored)


def _pixels(frame: av.VideoFrame, index: int, video: Video) -> np.ndarray:
    if video.light == GUESSED:
        return yuv.to_rgb(frame, video.codec, video.opaque)
    try:
        return measured.to_extended(frame, video.codec, video.opaque)
    except InputError as error:
        raise InputError(f"{video.name}: frame {index}: {error}", error.hint, error.reason) from None


def display(video: Video, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
    """As `read`, but clipped at white, 0..1: what a display shows, for everything that knows no light above it."""
    frames = read(video, start, stop)
    return frames if video.light == GUESSED else (np.minimum(frame, 1) for frame in frames)


def luma(video: Video) -> Iterator[np.ndarray]:
    """All frames as (h, w) float32 grey, clipped to 0..1: cropped, but not rotated, and pixels not squared.

    Errors as `read`.
    """
    if video.kind == "images":
        yield from (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in display(video))
        return
    for index, frame in enumerate(decode(video, video.frames)):
        yield cropped(_luma(frame, index, video), video.crop)


def _luma(frame: av.VideoFrame, index: int, video: Video) -> np.ndarray:
    if video.light == GUESSED:
        return yuv.luma(frame, video.opaque)
    if yuv.is_yuv(frame):
        return measured.luma(frame)
    return cv2.cvtColor(np.minimum(_pixels(frame, index, video), 1), cv2.COLOR_RGB2GRAY)


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
                    yuv.fill(frame, video.tags)
                    yield frame
                    count += 1
                    if count == stop:
                        return
        except av.FFmpegError as error:
            raise InputError(
                f"{video.name}: frame {count} of {video.frames} cannot be decoded ({error.strerror})", AGAIN, "corrupt"
            ) from error
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
        raise InputError(
            f"{video.name}: frame {index} is {frame.width}x{frame.height}, the first is "
            f"{video.coded[0]}x{video.coded[1]}",
            "split it into videos of one size",
            "size-changes",
        )
    if video.opaque and yuv.alpha(frame).any():
        raise InputError(f"{video.name}: its alpha is 0 in all of frame 0, and is not in frame {index}", DROP_ALPHA,
                         "alpha")  # fmt: skip


def _probe_video(source: Input, limits: InputConfig, fps: float | None) -> Video:
    name = source.name
    header = look(source.path, name, limits.max_pixels)
    if curve := capture.log_curve(source.path):
        raise InputError(f"{name}: log footage ({curve!a}, says Sony's XML metadata): its curve is not a display's",
                         "convert it to HLG, PQ or BT.709 with the camera maker's LUT", "log")  # fmt: skip
    with opened(source.path, name, limits.max_pixels) as (container, stream):
        context = stream.codec_context
        check_pixels(context.width, context.height, limits.max_pixels, name)
        check_count(stream.frames, limits.max_frames, name)
        stamps = collect(container, stream, name, limits.max_frames)
        check_whole(container, stream, stamps, name)
        if container.format.name == "gif":
            check_gif(source.path, stamps.packets, name)
        about_rate = ()
        if fps is None:
            played = mean_rate(stamps.pts, stream.time_base)
            fps, about_rate = capture.rate(source.path, container.metadata, played)
        is_avi = container.format.name == "avi"  # its clock counts its frames
        rounding = 0 if is_avi else rounding_of(stamps.pts, stream.time_base)
        step = check_rate(stamps.pts, name, limits.max_jitter, rounding, fps is not None)
        own_rate = _nominal_rate(stream, step, len(stamps.pts), max(1.0, 2 * rounding))
        aspect = float(stream.sample_aspect_ratio or 1)
    frame = _first_frame(source, limits.max_pixels)
    filled = yuv.fill(frame, header.colour)
    about_colours = yuv.check_colours(frame, name)
    holds_light = yuv.holds_light(frame)
    if holds_light:
        about_colours += measured.about(frame, name, context.name)
    rotation, mirrored = orientation(frame, name)
    crop, about_crop = fitting(header.crop, frame.width, frame.height)
    width, height = frame.width - crop.left - crop.right, frame.height - crop.top - crop.bottom
    square = (round(width * max(aspect, 1)), round(height / min(aspect, 1)))
    check_pixels(*square, limits.max_pixels, name)
    opaque, about_alpha = _judge_alpha(frame, context.name)
    fields = INTERLACED if header.fields or frame.interlaced_frame else []
    return Video(
        source.path,
        name,
        source.kind,
        *(square if rotation % 180 == 0 else square[::-1]),
        frames=len(stamps.pts),
        fps=own_rate if fps is None else float(fps),
        rotation=rotation,
        mirrored=mirrored,
        bits=yuv.bits(frame),
        colour=yuv.describe(frame, filled),
        decoder=DECODER,
        codec=context.name,
        coded=(frame.width, frame.height),
        max_pixels=limits.max_pixels,
        light=MEASURED if holds_light else GUESSED,
        crop=crop,
        tags=header.colour,
        opaque=opaque,
        played=own_rate,
        notes=(*header.notes, *about_rate, *about_crop, *about_colours, *about_alpha, *fields),
    )


def _judge_alpha(frame: av.VideoFrame, codec: str) -> tuple[bool, list[str]]:
    """Whether a video's alpha channel is unused, judged once by its first frame, and what a user should know.

    Uncompressed 32-bit video, and what screen recorders write, leaves the fourth byte 0 where it carries nothing: a
    picture that is transparent everywhere is no picture. A GIF says for each pixel whether it is transparent.
    """
    alpha = yuv.alpha(frame)
    if alpha is None or alpha.min() == 1:
        return False, []
    if alpha.any() or codec == "gif":
        return False, ["its transparent parts are shown on black"]
    return True, ["its alpha channel is 0 everywhere, so it is not used: the picture is taken as opaque"]


def _first_frame(source: Input, max_pixels: int) -> av.VideoFrame:
    with opened(source.path, source.name, max_pixels) as (container, stream):
        try:
            frame = next(container.decode(stream), None)
        except av.FFmpegError as error:
            message = f"{source.name}: frame 0 cannot be decoded ({error.strerror})"
            raise InputError(message, AGAIN, "corrupt") from error
    if frame is None:
        raise InputError(f"{source.name}: no frame can be decoded", AGAIN, "corrupt")
    return frame


def _nominal_rate(stream: av.VideoStream, step: float, frames: int, drift: float) -> float:
    """The container's own rate (30000/1001, say) if it is off the stamps by less than `drift` ticks, else theirs."""
    rates = [rate for rate in (stream.average_rate, stream.guessed_rate) if rate]
    ticks = [float(1 / (rate * stream.time_base)) for rate in rates]
    fits = (rate for rate, tick in zip(rates, ticks, strict=True) if frames == 1 or abs(tick - step) * frames < drift)
    return float(next(fits, 1 / (step * stream.time_base)))


def _probe_images(source: Input, limits: InputConfig, fps: float | None) -> Video:
    files = frames_of(source.path, source.name, limits.max_jitter)
    if not files:
        raise InputError(f"{source.name}: no images in this folder", "PNG, JPEG, TIFF, EXR or HDR", "no-video")
    if fps is None:
        raise InputError(
            f"{source.name}: an image sequence has no frame rate of its own",
            "pass the rate it was captured at, for example --fps 250",
            "no-fps",
        )
    check_count(len(files), limits.max_frames, source.name)
    first, notes = images.inspect(files[0], limits.max_pixels)
    height, width = first.shape[:2]
    is_light = first.dtype == np.float32
    if is_light and (first < 0).any():
        notes.append(f"{100 * (first < 0).mean():.2g} % of its values are negative light, and are read as 0")
    return Video(
        source.path,
        source.name,
        source.kind,
        width,
        height,
        len(files),
        float(fps),
        rotation=0,
        mirrored=False,
        bits=first.dtype.itemsize * 8,
        colour="rgb linear" if is_light else "rgb full",
        decoder=DECODER if files[0].suffix.lower() == ".exr" else f"OpenCV {cv2.__version__}",
        codec=files[0].suffix[1:].lower(),
        coded=(width, height),
        max_pixels=limits.max_pixels,
        light=MEASURED if is_light else GUESSED,
        opaque=images.alpha_is_unused(first),
        notes=tuple(notes),
    )


def _has_alpha(pixels: np.ndarray) -> bool:
    return pixels.shape[2:] == (4,)


def _sequence_frame(path: Path, first: Path, video: Video) -> np.ndarray:
    pixels = images.load(path, video.max_pixels)
    height, width, bits = *pixels.shape[:2], pixels.dtype.itemsize * 8
    if (width, height, bits) != (*video.coded, video.bits):
        raise InputError(
            f"{video.name}: {safe_name(path, video.path)} is {width}x{height} with {bits} bits, "
            f"the first image is {video.width}x{video.height} with {video.bits}",
            "make all frames alike",
            "size-changes",
        )
    if video.opaque and _has_alpha(pixels) and not images.alpha_is_unused(pixels):
        raise InputError(
            f"{video.name}: its alpha is 0 in all of the first image, and is not in {safe_name(path, video.path)}",
            "remove the alpha channel of all frames",
            "alpha",
        )
    if not video.opaque and images.alpha_is_unused(pixels) and not _has_alpha(images.load(first, video.max_pixels)):
        raise InputError(f"{video.name}: the alpha of {safe_name(path, video.path)} is 0 everywhere, and the first "
                         "image has none", "remove the alpha channel of all frames", "alpha")  # fmt: skip
    frame = images.to_rgb(pixels, video.opaque)
    return light_curves.light_to_extended(frame) if video.light == MEASURED else frame
