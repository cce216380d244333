"""Writes a video that may take hours: frames as they come, with the sound of another file.

Meanwhile `NAME.partial.mkv` (or `.partial.avi`) holds the frames so far, and plays even when the process is killed. The
file gets its own name when it is complete.
"""

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from lolblur_synth.files import atomic
from lolblur_synth.files.video.tracks import FORMATS, Tracks, first_time, fits, packets
from lolblur_synth.files.video.writer import add_video, to_yuv

PLAYS_WHILE_GROWING = (".mkv", ".avi")  # the others have their index at the end
# a kill loses at most the last 100 ms, and the four frames that the encoder holds back: hours of work on a CPU are kept
GROWING = {"cluster_time_limit": "100", "flush_packets": "1"}


@dataclass(frozen=True)
class Recording:
    """frames: how many were written; path: to which file; error: the one that ended the frames, if any."""

    frames: int
    path: Path
    error: BaseException | None


def partials(path: Path) -> tuple[Path, Path]:
    """The two files beside `path` that hold a part of it: after a stop, and while it is being written."""
    one, two = (path.with_name(f"{path.stem}.partial{suffix}") for suffix in (path.suffix, ".mkv"))
    return one, one if path.suffix.lower() in PLAYS_WHILE_GROWING else two


def record(path: Path, frames: Iterator[np.ndarray], fps: float, tracks: Tracks) -> Recording:
    """Write (H, W, 3) float32 RGB frames, 0..1, of one size, with the sound of `tracks`.

    The picture begins when that of the source does; the sound keeps its times. After an error in `frames` the video so
    far is in `NAME.partial.SUFFIX`, with its sound, and the error is returned; before the first frame it is raised.
    """
    first = next(frames)
    atomic.make_folder_of(path)
    partial, growing = partials(path)
    alone = growing == partial
    main = partial if alone else path.with_name(f".{path.stem}.writing{path.suffix}")
    error: BaseException | None = None
    count = 0
    try:
        main.touch()
    except OSError as denied:
        denied.filename = str(path)  # else the error would name the temporary file
        raise
    with _without(main, alone), contextlib.ExitStack() as stack:
        sound = stack.enter_context(av.open(str(tracks.path)))
        output = _Output([main] if alone else [main, growing], first.shape, fps, tracks, sound, stack)
        stream = itertools.chain([first], frames)
        while True:
            try:
                frame = next(stream, None)
            except BaseException as caught:
                error = caught
                break
            if frame is None:
                break
            output.add(frame, count)
            count += 1
        output.finish(None if error is None else count)
    atomic.publish(main, path if error is None else partial)
    if not alone:
        growing.unlink(missing_ok=True)
    return Recording(count, path if error is None else partial, error)


@contextlib.contextmanager
def _without(main: Path, keep: bool) -> Iterator[None]:
    """Remove `main` after an error, such as a full disk, unless it plays without its end (keep)."""
    try:
        yield
    except BaseException:
        if not keep:
            main.unlink(missing_ok=True)
        raise


class _Output:
    """One encoder, and the containers that get its packets and those of the sound, in the order of time."""

    def __init__(self, paths: list[Path], shape: tuple, fps: float, tracks: Tracks, sound, stack):
        self.rate = Fraction(fps).limit_denominator(1001)
        self.base = first_time(tracks)
        self.start = tracks.start - self.base if paths[0].suffix.lower() != ".avi" else Fraction(0)
        self.sound, self.waiting = packets(sound, tracks), None
        self.containers, self.pictures, self.tracks = [], [], []
        for path in paths:
            growing = len(paths) == 1 or path is not paths[0]
            options = {"fflags": "+bitexact"} | (GROWING if growing else {})
            form = FORMATS[path.suffix.lower()]
            container = stack.enter_context(av.open(str(path), "w", format=form, options=options))
            if not self.pictures:
                picture = add_video(container, self.rate, shape[1], shape[0])
                self.encoder = picture
            else:
                picture = container.add_stream_from_template(self.encoder)
            copied = {i: container.add_stream_from_template(sound.streams[i]) for i in tracks.sound
                      if fits(sound.streams[i], form)}  # fmt: skip
            container.start_encoding()
            self.containers.append(container)
            self.pictures.append(picture)
            self.tracks.append(copied)

    def add(self, frame: np.ndarray, index: int) -> None:
        for packet in self.encoder.encode(to_yuv(frame, index, self.rate)):
            self._picture(packet)

    def finish(self, frames: int | None) -> None:
        """Write what the encoder still holds, and the rest of the sound; frames: its end, where the picture was cut."""
        for packet in self.encoder.encode():
            self._picture(packet)
        self._sound_until(None if frames is None else self.start + frames / self.rate)

    def _picture(self, packet: av.Packet) -> None:
        times = packet.pts * packet.time_base, packet.dts * packet.time_base, (packet.duration or 0) * packet.time_base
        self._sound_until(times[1] + self.start)
        for container, stream in zip(self.containers, self.pictures, strict=True):
            tick = stream.time_base
            shift = round(self.start / tick)  # in whole ticks: the steps between frames stay as they are
            packet.stream, packet.time_base = stream, tick
            packet.pts, packet.dts = (round(time / tick) + shift for time in times[:2])
            packet.duration = round(times[2] / tick)
            container.mux(packet)

    def _sound_until(self, end: Fraction | None) -> None:
        """Pass the sound on, up to a time of the new file; None: all of it."""
        while (packet := self.waiting or next(self.sound, None)) is not None:
            tick = packet.time_base
            shift = round(self.base / tick)
            self.waiting = packet
            if end is not None and (packet.dts - shift) * tick > end:
                return
            self.waiting = None
            index, pts, dts, duration = packet.stream_index, packet.pts, packet.dts, packet.duration
            for container, copied in zip(self.containers, self.tracks, strict=True):
                if index in copied:
                    packet.stream, packet.time_base = copied[index], tick
                    packet.pts, packet.dts = None if pts is None else pts - shift, dts - shift
                    packet.duration = duration
                    container.mux(packet)
