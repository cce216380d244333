"""The rate at which a camera took its frames, where the file tells another than the one it plays at.

Android phones leave `com.android.capture.fps` in the file's metadata; Sony's cameras (XAVC S) an XML document with
`captureFps`, in the file and often beside it, as C0001M01.XML. It also names the curve of log footage, which no tag of
a video does. What is read is bounded, and no XML parser sees it.
"""

import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from lolblur_synth.files import listing
from lolblur_synth.files.video.boxes import boxes
from lolblur_synth.files.video.names import safe_name

ANDROID = "com.android.capture.fps"
SONY = "captureFps of Sony's XML metadata"
SLOWED = 1.5  # times the rate at which the file plays: below, both mean the same rate
HIGHEST = 1e6  # frames/s, as recipe.InputConfig.fps
MAX_XML = 1 << 20  # bytes; Sony's have 2 to 10 kB
FRAME = re.compile(rb"<(?:\w{1,40}:)?VideoFrame\s([^<>]{0,2000})>")
CAPTURE = re.compile(rb"(?:^|\s)captureFps\s{0,9}=\s{0,9}[\"']([^\"'<>]{0,40})[\"']")
CURVE = re.compile(rb"[\"']CaptureGammaEquation[\"']\s{1,9}value\s{0,9}=\s{0,9}[\"']([^\"'<>]{0,40})[\"']")


def log_curve(path: Path) -> str | None:
    """The log curve that a Sony video was captured with, such as "s-log3-cine"; None where its XML names none."""
    for document, _ in _documents(path):
        found = CURVE.search(document)
        curve = found[1].decode("ascii", "replace").strip() if found else ""
        if "log" in curve.lower():
            return curve
    return None


def rate(path: Path, metadata: Mapping[str, str], played: float) -> tuple[float | None, tuple[str, ...]]:
    """The capture rate in frames/s that a video tells, and notes for the user, each without the
    name of the file; None where it tells none of use.

    metadata: of the container. played: the rate at which the file plays.
    """
    notes = []
    for text, source in _told(path, metadata):
        told = _number(text)
        if told is None:
            notes.append(f"its capture rate is {text[:40]!a}, says the file ({source}): that is no rate, and "
                         "is not used")  # fmt: skip
        elif told > SLOWED * played:
            return told, (*notes, f"captured at {told:g} fps, says the file ({source})")
        elif told * SLOWED < played:
            notes.append(f"captured at {told:g} fps, says the file ({source}), but it plays at {played:g} fps, "
                         "as a time lapse does; that rate is not used")  # fmt: skip
    return None, tuple(notes)


def sidecar(path: Path) -> Path | None:
    """Sony's XML file beside a video, C0001M01.XML for C0001.MP4, where there is one of a sensible size."""
    for suffix in (".XML", ".xml"):
        beside = path.with_name(f"{path.stem}M01{suffix}")
        try:
            if listing.kind_of(beside) == listing.FILE and os.path.getsize(beside) <= MAX_XML:
                return beside
        except OSError:
            continue
    return None


def _told(path: Path, metadata: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(text of a rate, where it stands), the most trusted first."""
    if ANDROID in metadata:
        yield metadata[ANDROID], ANDROID
    sources = set()
    for document, source in _documents(path):
        if source not in sources and (text := _capture_fps(document)) is not None:
            sources.add(source)
            yield text, source


def _documents(path: Path) -> Iterator[tuple[bytes, str]]:
    """Sony's NonRealTimeMeta, without its comments, and where it stands: in the file, then beside it.

    A document type could define entities: such a document is not Sony's.
    """
    found = []
    with path.open("rb") as file:
        found += [(document, SONY) for document in _xml_in_boxes(file, os.path.getsize(path))]
    if beside := sidecar(path):
        found.append((beside.read_bytes()[:MAX_XML], safe_name(beside, beside)))
    for document, source in found:
        document = document.replace(b"\0", b"")  # padding, and UTF-16
        if b"NonRealTimeMeta" in document and b"<!DOCTYPE" not in document and b"<!ENTITY" not in document:
            head, *commented = document.split(b"<!--")
            yield head + b"".join(part.partition(b"-->")[2] for part in commented), source


def _xml_in_boxes(file, size: int) -> Iterator[bytes]:
    """The XML documents of an MP4 file: `xml ` in a top-level `meta`, or a `uuid` box. None in a file of other kind."""
    for number, box in enumerate(boxes(file, 0, size)):
        if number == 0 and box.kind not in (b"ftyp", b"wide", b"free", b"skip", b"mdat", b"moov"):
            return
        if box.kind == b"uuid" and box.end - box.start <= MAX_XML:
            yield _content(file, box.start + 16, box.end)  # after the identifier
        elif box.kind == b"meta":
            version = 0 if _content(file, box.start + 4, box.start + 8) == b"hdlr" else 4  # QuickTime's has none
            for inner in boxes(file, box.start + version, box.end):
                if inner.kind == b"xml " and inner.end - inner.start <= MAX_XML:
                    yield _content(file, inner.start + 4, inner.end)


def _content(file, start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(max(end - start, 0))


def _capture_fps(document: bytes) -> str | None:
    """`captureFps` of the `VideoFrame` in one of `_documents`; None where there is none, or fields, not frames."""
    frame = FRAME.search(document)
    value = CAPTURE.search(frame[1]) if frame else None
    text = value[1].decode("ascii", "replace").strip() if value else None
    return None if text is None or text.endswith("i") else text.removesuffix("p")


def _number(text: str) -> float | None:
    """The rate that a text means; 239.76 and 59.94 mean 240/1.001 and 60/1.001."""
    try:
        value = float(text)
    except ValueError:
        return None
    if not (math.isfinite(value) and 0 < value <= HIGHEST):
        return None
    whole = round(value * 1.001)
    ntsc = whole % 6 == 0 and value != round(value) and abs(value - whole / 1.001) < 0.006  # written with two decimals
    return whole / 1.001 if ntsc else value
