"""What is checked before FFmpeg may look at a file, and from its header alone.

A file is opened only if it is regular, as one of a few containers that cannot refer to other files; no decoder is
started before the size in the header has been checked.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
from av.stream import Disposition

from lolblur_synth.errors import InputError
from lolblur_synth.files import listing
from lolblur_synth.files.video import dolby
from lolblur_synth.files.video.container_crop import Crop, container_crop
from lolblur_synth.files.video.yuv import Tags

FORMATS = "mov,mp4,matroska,webm,avi,mxf,gif"  # no playlists and no image demuxers: those open other files
THREADS = 1  # a constant; builds run one process a core
AGAIN = "copy or download the file again"
FIELDS = (2, 3, 4, 5)  # AVFieldOrder: TT, BB, TB, BT
PREVIEW = Disposition.timed_thumbnails | Disposition.still_image | Disposition.dependent


@dataclass(frozen=True)
class Header:
    """What the container says about the video track that is used, before a decoder has run.

    index: of the stream in the container. colour: its tags. crop: pixels to cut off at each side. fields: whether it
    calls the video interlaced. notes: what a user should know.
    """

    index: int
    colour: Tags
    crop: Crop
    fields: bool
    notes: tuple[str, ...]


def look(path: Path, name: str, max_pixels: int) -> Header:
    """Read the header of a regular file with a known container, and choose its video track.

    The track that is marked as default is used, the largest of several such or of none; cover art never is, previews
    only where there is nothing else. name: for messages. Raises InputError (unreadable, not-regular, zero-byte,
    no-video, too-large, dolby-vision).
    """
    check_regular(path, name)
    with _container(path, name, {"codec_whitelist": "none"}) as container:  # the header alone: no decoder may start
        tracks = _video_tracks(container, name)
        chosen = _choose(tracks)
        context = chosen.codec_context
        if context is None:
            raise InputError(f"{name}: its video codec is unknown", "encode it again, as H.264 for example")
        for size in (track.codec_context for track in tracks if track.codec_context):  # FFmpeg may look into any track
            if size.width and size.height:  # some headers leave it to the first frame
                check_pixels(size.width, size.height, max_pixels, name)
        place = [track.index for track in tracks].index(chosen.index)
        crop = container_crop(path, container.format.name, place, chosen.id)
        check_dolby(dolby.configuration(path, container.format.name, place, chosen.id), name)
        colour = Tags(context.colorspace, context.color_range, context.color_trc, context.color_primaries)
        return Header(chosen.index, colour, crop, context.field_order in FIELDS, _about_tracks(tracks, chosen))


@contextmanager
def opened(path: Path, name: str, max_pixels: int) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Open a file and the video track that `look` chooses; errors as there. Closes the file."""
    index = look(path, name, max_pixels).index
    with _container(path, name, {"max_pixels": str(max_pixels)}) as container:
        stream = container.streams[index]
        stream.codec_context.thread_count = THREADS
        stream.codec_context.options = {"err_detect": "crccheck+explode"}
        yield container, stream


def _container(path: Path, name: str, options: dict[str, str]) -> av.container.InputContainer:
    options = options | {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    try:
        return av.open(os.path.abspath(path), options=options, metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise InputError(
            f"{name}: not a video that can be read ({error.strerror})",
            f"supported containers: {FORMATS.replace(',', ', ')}; is the file complete?",
        ) from error


def _video_tracks(container: av.container.InputContainer, name: str) -> list[av.VideoStream]:
    tracks = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not tracks:
        raise InputError(f"{name}: there is no video in this file", "is it a sound file?", "no-video")
    return tracks


def _choose(tracks: list[av.VideoStream]) -> av.VideoStream:
    for group in (
        lambda s: s.codec_context is not None,
        lambda s: not s.disposition & PREVIEW,
        lambda s: s.disposition & Disposition.default,
    ):
        tracks = [track for track in tracks if group(track)] or tracks
    return max(tracks, key=_area)  # the first of several that are as large


def _area(track: av.VideoStream) -> int:
    context = track.codec_context
    return context.width * context.height if context else 0


def _about_tracks(tracks: list[av.VideoStream], chosen: av.VideoStream) -> tuple[str, ...]:
    if len(tracks) == 1:
        return ()
    others = ", ".join(_describe(track) for track in tracks if track.index != chosen.index)
    return (
        f"{len(tracks)} video tracks; track {_describe(chosen)} is used, not {others} "
        f"(to use another: ffmpeg -i IN -map 0:TRACK -c copy OUT)",
    )


def _describe(track: av.VideoStream) -> str:
    context = track.codec_context
    size = f"{context.width}x{context.height}" if context else "unknown codec"
    return f"{track.index} ({size}{', default' if track.disposition & Disposition.default else ''})"


def check_regular(path: Path, name: str) -> None:
    """Raise InputError (unreadable, dangling, not-regular, zero-byte) before anything is opened: a pipe would block.

    A link counts as the file that it ends at.
    """
    try:
        kind = listing.kind_of(path)
        if kind == listing.DANGLING:
            raise InputError(f"{name}: a {kind}", listing.FETCH, "dangling")
        if kind != listing.FILE:
            raise InputError(f"{name}: a {kind}, not a regular file; it was not opened", "give the file itself",
                             "not-regular")  # fmt: skip
        status = os.stat(path)
    except OSError as error:
        raise InputError(f"{name}: {error.strerror}", "check the path") from error
    if status.st_size == 0:
        raise InputError(f"{name}: the file is empty (0 bytes)", AGAIN, "zero-byte")


def check_dolby(vision: dolby.DolbyVision | None, name: str) -> None:
    """Raise InputError (dolby-vision) where the picture cannot be read without Dolby's data."""
    if vision and not vision.is_readable:
        raise InputError(f"{name}: Dolby Vision profile {vision.profile}: its colours are of Dolby's own kind",
                         "export it as HLG, HDR10 (PQ) or SDR", "dolby-vision")  # fmt: skip


def check_pixels(width: int, height: int, limit: int, name: str) -> None:
    """Raise InputError (too-large) unless 0 < width * height <= limit."""
    if not 0 < width * height <= limit:  # FFmpeg says 0x0 where the stream exceeds the max_pixels it was given
        size = f"{width}x{height} pixels" if width * height else "a frame size that is missing or too large"
        raise InputError(
            f"{name}: {size}, the limit is {limit} pixels", "scale it down, or raise input.max_pixels", "too-large"
        )


def check_count(frames: int, limit: int, name: str) -> None:
    """Raise InputError (too-many-frames) above the limit."""
    if frames > limit:
        raise InputError(
            f"{name}: more than {limit} frames", "cut it into parts, or raise input.max_frames", "too-many-frames"
        )


def check_gif(path: Path, frames: int, name: str) -> None:
    """Raise InputError (truncated, corrupt) unless a GIF has `frames` images and its end: it claims no length."""
    try:
        images = _gif_images(path.read_bytes())
    except IndexError as error:
        raise InputError(f"{name}: cut short: the end of the GIF is missing", AGAIN, "truncated") from error
    if images != frames:
        raise InputError(f"{name}: a block of the GIF is damaged", AGAIN, "corrupt")


def _gif_images(data: bytes) -> int:
    """Images up to the trailer; -1 where a block is damaged or data follow. IndexError where it is cut (GIF89a)."""
    at, count = 13 + _table(data[10]), 0
    while data[at] != 0x3B:  # trailer
        if data[at] not in (0x21, 0x2C):
            return -1
        image = data[at] == 0x2C
        count += image
        at += 11 + _table(data[at + 9]) if image else 2  # descriptor, colours and code size, or the extension's label
        while data[at]:  # sub-blocks, each behind its length
            at += 1 + data[at]
        at += 1
    return -1 if data[at + 1 :].strip(b"\0\r\n") else count


def _table(flags: int) -> int:
    """Bytes of the colour table that a packed field announces."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
