"""Time stamps of a video's packets: do they tick at a constant rate, and is the end of the file there?"""

import math
import os
from array import array
from dataclasses import dataclass

import av
import numpy as np

from lolblur_synth.errors import InputError
from lolblur_synth.video.guard import AGAIN, check_count

SLACK = 0.75  # frame intervals: less than one, so that a single missing frame shows
AUDIO_SLACK = 0.05  # seconds: sound is padded to whole codec blocks, at most 46 ms for AAC at 22 kHz
ROUNDING = 0.5  # ticks: containers round a time stamp to the nearest tick of their clock
CFR = "make it constant, for example: ffmpeg -i IN -fps_mode cfr -r RATE -c:v libx264 -crf 12 OUT.mp4"


@dataclass(frozen=True)
class Stamps:
    """pts: presentation times of the frames that will be shown, sorted, int64 ticks. packets: of video, shown or not.
    video_end, end: seconds at which the last video packet, and the last packet of any stream, ends."""

    pts: np.ndarray
    packets: int
    video_end: float
    end: float


def collect(container: av.container.InputContainer, stream: av.VideoStream, name: str, max_frames: int) -> Stamps:
    """Read every packet, decode none. Raises InputError (truncated, too-many-frames, no-video, vfr)."""
    pts = array("q")
    packets, video_end, end = 0, 0.0, 0.0
    try:
        for packet in container.demux():
            time = time_of(packet)
            if time is None:
                continue
            until = float((time + (packet.duration or 0)) * packet.time_base)
            end = max(end, until)
            if packet.stream_index != stream.index:
                continue
            packets, video_end = packets + 1, max(video_end, until)
            if is_shown(packet, stream):
                pts.append(time)
                check_count(len(pts), max_frames, name)
    except av.FFmpegError as error:
        raise InputError(f"{name}: damaged after {len(pts)} frames ({error.strerror})", AGAIN, "truncated") from error
    if not pts:
        raise InputError(f"{name}: its video stream holds no frames", AGAIN, "no-video")
    return Stamps(np.sort(np.frombuffer(pts, np.int64)), packets, video_end, end)


def check_rate(pts: np.ndarray, name: str, max_jitter: float) -> float:
    """The constant step between sorted `pts`, in ticks (1 for a single frame). Raises InputError (vfr).

    Jitter is the largest distance of a time stamp from the best straight line through all of them, less the half tick
    by which a container must round, in frame intervals: 0 for 240 fps on a clock of 1 ms, 1/2 for one dropped frame.
    """
    steps = np.diff(pts)
    if not len(steps) or (steps[0] > 0 and (steps == steps[0]).all()):
        return float(steps[0]) if len(steps) else 1.0
    step, deviation = _best_line(pts - pts[0])
    jitter = max(0.0, deviation - ROUNDING) / step if step > 0 else math.inf
    if steps.min() <= 0 or jitter > max_jitter:
        raise InputError(
            f"{name}: the frame rate is not constant (time stamps deviate by {jitter:.2f} frame intervals, the limit "
            f"is {max_jitter:g}; steps of {steps.min()} to {steps.max()} ticks)", CFR, "vfr")
    return step


def _best_line(ticks: np.ndarray) -> tuple[float, float]:
    """Step and largest deviation of the line that fits best in the worst case. The deviation is convex in the step."""
    index = np.arange(len(ticks))

    def deviation(step: float) -> float:
        residual = ticks - step * index
        return float(residual.max() - residual.min()) / 2

    low, high = float(np.diff(ticks).min()), float(np.diff(ticks).max())
    while high - low > 1e-6 * max(high, 1) / len(ticks):
        third = (high - low) / 3
        low, high = (low, high - third) if deviation(low + third) < deviation(high - third) else (low + third, high)
    return (low + high) / 2, deviation((low + high) / 2)


def check_whole(container: av.container.InputContainer, stream: av.VideoStream, stamps: Stamps, name: str) -> None:
    """Raise InputError (truncated) unless the packets reach as far as the container claims."""
    size = os.path.getsize(container.name)
    if any(entry.pos + entry.size > size for entry in stream.index_entries):
        raise InputError(f"{name}: cut short: its index points beyond the end of the file", AGAIN, "truncated")
    claimed = (stream.duration or 0) if container.format.name == "mxf" else stream.frames  # MXF counts in frames
    if "mov" not in container.format.name and stamps.packets < claimed:
        raise InputError(f"{name}: cut short: {stamps.packets} of {claimed} frames", AGAIN, "truncated")
    slack = SLACK * _typical_interval(stamps, stream)
    others = AUDIO_SLACK if len(container.streams) > 1 else 0
    claims = [(_tagged_duration(stream) - stamps.video_end, slack),
              ((container.duration or 0) / av.time_base - stamps.end, slack + others)]
    if any(missing > allowed for missing, allowed in claims):
        missing = max(missing for missing, _ in claims)
        raise InputError(f"{name}: cut short: the last {missing:.3f} s are missing", AGAIN, "truncated")


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


def time_of(packet: av.Packet) -> int | None:
    """Time stamp in ticks, of decoding where none of presentation is given; None for the empty packet at the end."""
    return None if packet.size == 0 else packet.dts if packet.pts is None else packet.pts


def is_shown(packet: av.Packet, stream: av.VideoStream) -> bool:
    """Whether a packet becomes a frame. An edit list cuts some; VP8 keeps reference frames that are never shown in
    packets of their own (show_frame of RFC 6386, section 9.1)."""
    hidden = stream.codec_context.name == "vp8" and not bytes(packet)[0] >> 4 & 1
    return not (packet.is_discard or hidden)
