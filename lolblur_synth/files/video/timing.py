"""Time stamps of a video's packets: do they tick at a constant rate?"""

import math
from array import array
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

from lolblur_synth.errors import InputError
from lolblur_synth.files.video.guard import AGAIN, check_count

ROUNDING = 0.5  # ticks; containers round a time stamp to the nearest tick of their clock
FINE_CLOCK = 8  # ticks in a millisecond; with as many, stamps are not whole milliseconds apart by chance
HALF = 0.5  # frame intervals; a stamp that is farther from its place is nearer to that of another frame
CUT_COMMAND = "ffmpeg -ss START -t SECONDS -i IN -c:v libx264 -crf 12 OUT.mp4"


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


def check_rate(
    pts: np.ndarray, name: str, max_jitter: float, rounding: float = ROUNDING, rate_given: bool = False
) -> float:
    """The constant step between sorted `pts`, in ticks (1 for a single frame). Raises InputError (vfr).

    Jitter is the largest distance of a time stamp from the best straight line through all of them, less the part of a
    tick by which a container must round, in frame intervals: 0 for 240 fps on a clock of 1 ms, 1/2 for one dropped
    frame. rate_given: the user or the file gives the capture rate, so that only the stamps are uneven, as phones write
    them. Then each stamp must be nearest to its own place, and no frame may be missing.
    """
    steps = np.diff(pts)
    if not len(steps) or (steps[0] > 0 and (steps == steps[0]).all()):
        return float(steps[0]) if len(steps) else 1.0
    step, deviation = _best_line(pts - pts[0], np.arange(len(pts)))
    jitter = max(0.0, deviation - rounding) / step if step > 0 else math.inf
    ordered = steps.min() > 0
    if ordered and jitter <= max_jitter:
        return step
    places = _places(pts - pts[0], deviation)
    if ordered and rate_given and places is None and deviation < HALF * step:
        return step
    limit = HALF if rate_given else max_jitter
    measured = (f"time stamps deviate by {jitter:.2f} frame intervals, the limit is {limit:g}; "
                f"steps of {steps.min()} to {steps.max()} ticks")  # fmt: skip
    if places is not None and ordered and (missing := np.diff(places) - 1).any():
        raise InputError(f"{name}: {_dropped(missing)} ({measured})",
                         f"use a part in which none is missing, for example: {CUT_COMMAND}", "vfr")  # fmt: skip
    raise InputError(f"{name}: the frame rate is not constant ({measured})",
                     _hint(name, jitter, rate_given or not ordered), "vfr")  # fmt: skip


def rounding_of(pts: np.ndarray, time_base: Fraction) -> float:
    """By how many ticks sorted `pts` may be rounded: half a tick, or half a millisecond where all are whole
    milliseconds apart, as in an MP4 that OBS copied from Matroska."""
    millisecond = float(Fraction(1, 1000) / time_base)  # in ticks
    if millisecond < FINE_CLOCK:
        return ROUNDING
    off = pts - pts[0] - millisecond * np.rint((pts - pts[0]) / millisecond)
    return millisecond / 2 + ROUNDING if np.abs(off).max() <= 2 * ROUNDING else ROUNDING


def _hint(name: str, jitter: float, hopeless: bool) -> str:
    """What to do about an uneven rate. Conversion to a constant rate would not help: it repeats frames."""
    if hopeless or jitter >= HALF:
        return f"use a part of constant rate, for example: {CUT_COMMAND}"
    return (
        f"if the camera's rate was constant, give it: --fps RATE, or {name}@RATE for this clip alone; "
        f"or allow the jitter: --set input.max_jitter={math.ceil(100 * jitter) / 100:g}"
    )


def _dropped(missing: np.ndarray) -> str:
    """`missing` frames after each frame, in words."""
    after = np.flatnonzero(missing)
    places = ", ".join(map(str, after[:3])) + (", …" if len(after) > 3 else "")
    count = int(missing.sum())
    return f"{count} frame{'s were' if count > 1 else ' was'} dropped by the recorder, after frame {places}"


def _places(ticks: np.ndarray, deviation: float) -> np.ndarray | None:
    """The place of each frame on an even grid, if missing or repeated frames explain the stamps far better than jitter
    does; else None. deviation: of the stamps from the best line without gaps, in ticks."""
    steps = np.diff(ticks)
    index = np.concatenate([[0], np.cumsum(np.rint(steps / max(float(np.median(steps)), 1.0)).astype(np.int64))])
    if index[-1] < 1 or (np.diff(index) == 1).all():
        return None
    return index if _best_line(ticks, index)[1] < deviation / 2 else None


def _best_line(ticks: np.ndarray, index: np.ndarray) -> tuple[float, float]:
    """Step and largest deviation, in ticks, of the line over `index` whose largest deviation is least. The deviation is
    convex in the step, so a ternary search finds it."""

    def deviation(step: float) -> float:
        residual = ticks - step * index
        return float(residual.max() - residual.min()) / 2

    slopes = np.diff(ticks) / np.maximum(np.diff(index), 1)
    low, high = float(slopes.min()), float(slopes.max())
    while high - low > 1e-6 * max(high, 1) / len(ticks):
        third = (high - low) / 3
        low, high = (low, high - third) if deviation(low + third) < deviation(high - third) else (low + third, high)
    return (low + high) / 2, deviation((low + high) / 2)


def mean_rate(pts: np.ndarray, time_base: Fraction) -> float:
    """Frames a second between the first of sorted `pts` and the last; not a number for a single frame."""
    ticks = int(pts[-1] - pts[0])
    return (len(pts) - 1) / float(ticks * time_base) if ticks else math.nan


def time_of(packet: av.Packet) -> int | None:
    """Time stamp in ticks, of decoding where none of presentation is given; None for the empty packet at the end."""
    return None if packet.size == 0 else packet.dts if packet.pts is None else packet.pts


def is_shown(packet: av.Packet, stream: av.VideoStream) -> bool:
    """Whether a packet becomes a frame. An edit list cuts some; VP8 keeps reference frames that are never shown in
    packets of their own (show_frame of RFC 6386, section 9.1)."""
    hidden = stream.codec_context.name == "vp8" and not bytes(packet)[0] >> 4 & 1
    return not (packet.is_discard or hidden)
