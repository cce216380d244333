"""What is checked before FFmpeg may look at a file, and from its header alone.

A file is opened only if it is regular, as one of a few containers that cannot refer to other files; no decoder is
started before the size in the header has been checked.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av

from lolblur_synth import listing
from lolblur_synth.errors import InputError

FORMATS = "mov,mp4,matroska,webm,avi,mxf,gif"  # no playlists and no image demuxers: those open other files
THREADS = 1  # a constant; builds run one process a core
AGAIN = "copy or download the file again"


@contextmanager
def opened(path: Path, name: str, max_pixels: int) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Open a regular file with a known container, and its first video stream that is not cover art.

    name: for messages. Raises InputError (unreadable, not-regular, zero-byte, no-video, too-large). Closes the file.
    """
    check_regular(path, name)
    with _container(path, name, {"codec_whitelist": "none"}) as container:  # the header alone: no decoder may start
        context = _first_video(container, name).codec_context
        if context.width and context.height:  # some headers leave it to the first frame
            check_pixels(context.width, context.height, max_pixels, name)
    with _container(path, name, {"max_pixels": str(max_pixels)}) as container:
        stream = _first_video(container, name)
        stream.codec_context.thread_count = THREADS
        stream.codec_context.options = {"err_detect": "crccheck+explode"}
        yield container, stream


def _container(path: Path, name: str, options: dict[str, str]) -> av.container.InputContainer:
    options = options | {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    try:
        return av.open(os.path.abspath(path), options=options, metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"{name}: not a video that can be read ({error.strerror})",
                         f"supported containers: {FORMATS.replace(',', ', ')}; is the file complete?") from error


def _first_video(container: av.container.InputContainer, name: str) -> av.VideoStream:
    streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not streams:
        raise InputError(f"{name}: there is no video in this file", "is it a sound file?", "no-video")
    if streams[0].codec_context is None:
        raise InputError(f"{name}: its video codec is unknown", "encode it again, as H.264 for example")
    return streams[0]


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


def check_pixels(width: int, height: int, limit: int, name: str) -> None:
    """Raise InputError (too-large) unless 0 < width * height <= limit."""
    if not 0 < width * height <= limit:  # FFmpeg says 0x0 where the stream exceeds the max_pixels it was given
        size = f"{width}x{height} pixels" if width * height else "a frame size that is missing or too large"
        raise InputError(f"{name}: {size}, the limit is {limit} pixels", "scale it down, or raise input.max_pixels",
                         "too-large")


def check_count(frames: int, limit: int, name: str) -> None:
    """Raise InputError (too-many-frames) above the limit."""
    if frames > limit:
        raise InputError(f"{name}: more than {limit} frames", "cut it into parts, or raise input.max_frames",
                         "too-many-frames")


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
    return -1 if data[at + 1:].strip(b"\0\r\n") else count


def _table(flags: int) -> int:
    """Bytes of the colour table that a packed field announces."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
