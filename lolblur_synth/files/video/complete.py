"""Is the end of a video file there? What the container claims about its length is compared with what it holds.

These claims always count: the size of the file, the samples in the index, and the length of the video track itself.
The duration of the whole container counts only where no other track can have set it: it is that of the longest track,
and chapters, subtitles, time codes and data may be longer than the picture.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np

from lolblur_synth.errors import InputError
from lolblur_synth.files.video import ebml
from lolblur_synth.files.video.boxes import top_level
from lolblur_synth.files.video.guard import AGAIN
from lolblur_synth.files.video.timing import Stamps

SLACK = 0.75  # frame intervals; below 1, so that a single missing frame is noticed
AUDIO_SLACK = 0.05  # seconds: sound is padded to whole codec blocks, at most 46 ms for AAC at 22 kHz
HEADERS_BEFORE_SEGMENT = 4  # of a Matroska file; one, usually
SOUND_OR_PICTURE = ("video", "audio")


def check_whole(container: av.container.InputContainer, stream: av.VideoStream, stamps: Stamps, name: str) -> None:
    """Raise InputError (truncated) unless the packets reach as far as the container claims."""
    path, kind = Path(container.name), container.format.name
    size = os.path.getsize(path)
    if any(entry.pos + entry.size > size for entry in stream.index_entries):
        raise InputError(f"{name}: cut short: its index points beyond the end of the file", AGAIN, "truncated")
    if "matroska" in kind and (missing := _segment_end(path) - size) > 0:
        raise InputError(f"{name}: cut short: the last {missing} bytes are missing", AGAIN, "truncated")
    claimed = (stream.duration or 0) if kind == "mxf" else stream.frames  # MXF counts in frames
    if "mov" not in kind and stamps.packets < claimed:
        empty = empty_avi_frames(path, stream.index, 2 * claimed) if kind == "avi" else 0
        if stamps.packets + empty < claimed:
            raise InputError(f"{name}: cut short: {stamps.packets} of {claimed} frames", AGAIN, "truncated")
    missing = max(_missing_seconds(container, stream, stamps), default=0)
    if missing > 0:
        raise InputError(f"{name}: cut short: the last {missing:.3f} s are missing", AGAIN, "truncated")


def _missing_seconds(container: av.container.InputContainer, stream: av.VideoStream, stamps: Stamps) -> Iterator[float]:
    """Seconds that are missing by each claim in seconds; claims that hold within their slack give none."""
    slack = SLACK * _typical_interval(stamps, stream)
    claims = [(_tagged_duration(stream) - stamps.video_end, slack)]
    if "mov" in container.format.name:
        # Without fragments the index above has every sample. With them, an overview (`sidx`) may claim more.
        if any(box.kind == b"moof" for box in top_level(Path(container.name))):
            own_end = ((stream.start_time or 0) + (stream.duration or 0)) * stream.time_base
            claims.append((float(own_end) - stamps.video_end, slack))
    elif container.format.name != "avi" and not _outlasted(container):
        others = AUDIO_SLACK if len(container.streams) > 1 else 0
        claims.append(((container.duration or 0) / av.time_base - stamps.end, slack + others))
    return (missing for missing, allowed in claims if missing > allowed)


def _outlasted(container: av.container.InputContainer) -> bool:
    """Whether a chapter, or a track that is neither sound nor picture, may have set the container's duration."""
    claimed = (container.duration or 0) / av.time_base
    chapters = max((float(c["end"] * c["time_base"]) for c in container.chapters()), default=0.0)
    return chapters >= claimed or any(stream.type not in SOUND_OR_PICTURE for stream in container.streams)


def _typical_interval(stamps: Stamps, stream: av.VideoStream) -> float:
    """Seconds between frames; for a single frame its duration, 0 where that is not known."""
    if len(stamps.pts) > 1:
        return float(np.median(np.diff(stamps.pts)) * stream.time_base)
    return max(stamps.video_end - float(stamps.pts[0] * stream.time_base), 0.0)


def _tagged_duration(stream: av.VideoStream) -> float:
    """Seconds, from the DURATION tag that Matroska writers leave ("00:00:01.200000000"); 0 where there is none."""
    parts = stream.metadata.get("DURATION", "").split(":")
    try:
        return sum(float(part) * 60**power for power, part in enumerate(reversed(parts)))
    except ValueError:
        return 0.0


def _segment_end(path: Path) -> int:
    """Where the Segment of a Matroska file ends by its own account, in bytes; 0 where it does not say."""
    with path.open("rb") as file:
        for _ in range(HEADERS_BEFORE_SEGMENT):
            start = file.tell()
            try:
                element = ebml.element(file.read(ebml.MAX_HEADER))
            except (ValueError, IndexError):
                return 0
            if element.identity not in (ebml.HEADER, ebml.SEGMENT) or element.size is None:
                return 0
            end = start + element.header + element.size
            if element.identity == ebml.SEGMENT:
                return end
            file.seek(end)
    return 0


def empty_avi_frames(path: Path, stream: int, most: int) -> int:
    """Empty chunks of an AVI stream: for each frame that it dropped, the recorder wrote "show the last picture again".

    Looks at no more than `most` chunks of the stream. 0 where the list of chunks is cut off: then nothing is certain.
    """
    names = (b"%02ddc" % stream, b"%02ddb" % stream)
    count = empty = indexed = 0
    try:
        with path.open("rb") as file:
            for name, length in _avi_chunks(file, os.path.getsize(path)):
                if name == b"idx1":
                    entries = struct.iter_unpack("<4sIII", file.read(min(length, 64 * most) // 16 * 16))
                    indexed = sum(name in names and not size for name, _, _, size in entries)
                elif name in names:
                    count, empty = count + 1, empty + (length == 0)
                    if count > most:
                        return 0
    except EOFError:
        return 0
    return max(empty, indexed)


def _avi_chunks(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    """(name, length) of the chunks within the lists of an AVI; the file stands at the content. EOFError beyond it."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        name, length = struct.unpack("<4sI", file.read(8))
        if name in (b"RIFF", b"LIST"):
            at += 12  # its content follows the name of its kind
            continue
        if at + 8 + length > size:
            raise EOFError
        yield name, length
        at += 8 + length + length % 2
