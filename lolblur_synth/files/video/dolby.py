"""Dolby Vision, as far as a container tells of it: whether its picture can be read without Dolby's data.

Profiles 8.1 and 8.4 (phones) are PQ and HLG with data beside it, which are not used. In profile 5, and 10.0 of AV1,
the picture itself is in a colour space of Dolby's own (IPTPQc2). Dolby Vision Streams within the ISO base media file
format, version 2.4: the boxes `dvcC`, `dvvC` and `dvwC`; Matroska keeps the same bytes in a BlockAdditionMapping.
"""

import struct
from pathlib import Path
from typing import NamedTuple

from lolblur_synth.files.video.container_crop import boxes_of_entry, children, matroska_tracks, mp4_entries

BOXES = (b"dvcC", b"dvvC", b"dvwC")
MAPPING, MAPPING_DATA, MAPPING_TYPE = 0x41E4, 0x41ED, 0x41E7  # BlockAdditionMapping and its parts, RFC 9559
NO_BASE = 0  # compatibility: the base layer is not SDR, HDR10 or HLG


class DolbyVision(NamedTuple):
    """profile: 5, 8, …; compatibility: of the base layer, 0 none, 1 HDR10, 2 SDR, 4 HLG."""

    profile: int
    compatibility: int

    @property
    def is_readable(self) -> bool:
        return self.profile != 5 and not (self.profile == 10 and self.compatibility == NO_BASE)


def configuration(path: Path, container: str, index: int, track_id: int) -> DolbyVision | None:
    """Of one video track; None where there is none. Arguments as of `container_crop.container_crop`."""
    try:
        with open(path, "rb") as file:
            if "matroska" in container:
                tracks = list(matroska_tracks(file))
                return _of_matroska(tracks[index]) if index < len(tracks) else None
            boxes = dict(boxes_of_entry(dict(mp4_entries(file)).get(track_id, b""))) if "mov" in container else {}
            return next((_parsed(boxes[kind]) for kind in BOXES if kind in boxes), None)
    except (OSError, struct.error, IndexError, ValueError):
        return None


def _of_matroska(track: bytes) -> DolbyVision | None:
    for identity, mapping in children(track):
        fields = dict(children(mapping)) if identity == MAPPING else {}
        if fields.get(MAPPING_TYPE) in BOXES and MAPPING_DATA in fields:
            return _parsed(fields[MAPPING_DATA])
    return None


def _parsed(data: bytes) -> DolbyVision:
    """Two bytes of version; 7 bits of profile, 6 of level, 3 flags, 4 of compatibility."""
    _, _, bits, rest = struct.unpack_from(">BBHB", data)
    return DolbyVision(bits >> 9, rest >> 4)
