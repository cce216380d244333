"""The sound of a video, to be copied packet by packet, with its times, beside a picture that is encoded again.

Nothing is decoded. What cannot be copied (subtitles, data, an alpha channel) is named in `Tracks.left_out`.
"""

import io
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from lolblur_synth.files.video.guard import opened
from lolblur_synth.files.video.timing import is_shown, time_of

FORMATS = {".mp4": "mp4", ".mov": "mov", ".m4v": "ipod", ".mkv": "matroska", ".avi": "avi"}  # of FFmpeg's muxers
AUDIBLE_LEAD = 0.045  # seconds; sound that is earlier than the picture by more is noticed (ITU-R BT.1359)
PRIMING = 0.1  # seconds of sound before its beginning, for the decoder: AAC needs 0.05, Opus 0.08
LEADING_PACKETS = 32  # pictures that are shown before the first keyframe are among the packets after it


@dataclass(frozen=True)
class Tracks:
    """start: seconds at which the picture begins, on the clock of `sound`. sound: indices of the streams to copy.
    left_out: what will not be in the new file, in words."""

    path: Path
    start: Fraction
    sound: tuple[int, ...]
    left_out: tuple[str, ...]


def tracks_of(path: Path, suffix: str, max_pixels: int) -> Tracks:
    """The tracks besides the picture that a file with `suffix` can hold, and what it cannot. Raises InputError."""
    with opened(path, path.name, max_pixels) as (container, stream):
        left_out = [*_has_alpha(stream), *_others(container, stream)]
        sound, starts = [], []
        for track in container.streams.audio:
            if track.codec_context is None or not fits(track, FORMATS[suffix]):
                codec = track.codec_context.name if track.codec_context else "an unknown codec"
                left_out.append(f"sound ({codec}, which does not fit into {suffix})")
            else:
                sound.append(track.index)
                starts.append(Fraction((track.start_time or 0) * track.time_base))
        times = (time_of(packet) for packet in container.demux(stream) if packet.size and is_shown(packet, stream))
        start = min(itertools.islice(times, LEADING_PACKETS)) * stream.time_base
    early = [first for first in starts if abs(start - first) > AUDIBLE_LEAD]
    if early and suffix == ".avi":
        left_out.append(f"sound (begins {float(start - early[0]):+.3f} s before the picture, which AVI cannot say; "
                        ".mp4 and .mkv can)")  # fmt: skip
        sound = []
    return Tracks(path, start, tuple(sound), tuple(left_out))


def first_time(tracks: Tracks) -> Fraction:
    """Seconds to subtract from every time, so that the new file begins at 0; 0 where the clock begins before that."""
    with av.open(str(tracks.path)) as container:
        starts = [Fraction((container.streams[i].start_time or 0) * container.streams[i].time_base)
                  for i in tracks.sound]  # fmt: skip
    return max(Fraction(0), min([tracks.start, *starts]))


def packets(container: av.container.InputContainer, tracks: Tracks) -> Iterator[av.Packet]:
    """The packets of the sound but those that an edit list cuts out; the few that prime the decoder are included."""
    if tracks.sound:
        for packet in container.demux(*(container.streams[i] for i in tracks.sound)):
            if packet.size and packet.dts is not None and not (packet.is_discard and _is_cut(packet)):
                yield packet


def _is_cut(packet: av.Packet) -> bool:
    stream = packet.stream
    return float((packet.dts - (stream.start_time or 0)) * stream.time_base) < -PRIMING


def fits(stream: av.stream.Stream, name: str) -> bool:
    """Whether the muxer `name` accepts the stream, which is tried in memory."""
    try:
        with av.open(io.BytesIO(), "w", format=name) as container:
            container.add_stream_from_template(stream)
            container.start_encoding()
    except (ValueError, TypeError, av.FFmpegError):
        return False
    return True


def _has_alpha(stream: av.VideoStream) -> list[str]:
    pixels = stream.codec_context.format
    alpha = pixels is not None and any(component.is_alpha for component in pixels.components)
    return ["its alpha channel"] if alpha or stream.metadata.get("alpha_mode") == "1" else []


def _others(container: av.container.InputContainer, stream: av.VideoStream) -> list[str]:
    kinds = Counter(other.type for other in container.streams if other.type != "audio" and other.index != stream.index)
    words = {"video": "further picture", "subtitle": "subtitle", "data": "data", "attachment": "attachment"}
    return [f"{count} {words.get(kind, 'unknown')} track{'s' * (count > 1)}" for kind, count in sorted(kinds.items())]
