"""Changes of a file's bytes, as Hypothesis strategies: so that it finds them again, and shortens them."""

import json
from typing import Any

from hypothesis import strategies as st

INTERESTING = [0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
WORDS = [
    b"../../x",
    b"NaN",
    b"1e999",
    b"-1",
    b"null",
    b"[]",
    b"{}",
    b'"',
    b"\n",
    b"\x00",
    b"\xff\xfe",
    b"9" * 30,
    b"true",
]
MAX_CHANGES = 6
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["../../x", "/etc/passwd", "<script>alert(1)</script>", "0000/../0001", "\ud800", "-1", ""]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=3,
)  # fmt: skip


@st.composite
def changed(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes with some of them replaced, cut out, repeated, or moved; most near the start, where headers are."""
    out = bytearray(data)
    for _ in range(draw(st.integers(1, MAX_CHANGES))):
        end = min(len(out), draw(st.sampled_from([64, 512, len(data) or 1])))
        at = draw(st.integers(0, max(0, end - 1)))
        match draw(st.sampled_from(["flip", "number", "word", "cut", "end", "repeat", "random"])):
            case "flip" if out:
                out[at] ^= 1 << draw(st.integers(0, 7))
            case "number":
                width, order = draw(st.sampled_from([1, 2, 4, 8])), draw(st.sampled_from(["big", "little"]))
                value = draw(st.sampled_from(INTERESTING)) & (1 << 8 * width) - 1
                out[at : at + width] = value.to_bytes(width, order)
            case "word":
                out[at : at + draw(st.integers(0, 8))] = draw(st.sampled_from(WORDS))
            case "cut":
                del out[at : at + draw(st.integers(1, 64))]
            case "end":
                del out[at:]
            case "repeat":
                part = out[at : at + draw(st.integers(1, 64))]
                out[at:at] = part * draw(st.integers(1, 4))
            case "random":
                part = draw(st.binary(max_size=16))
                out[at : at + len(part)] = part
    return bytes(out)


@st.composite
def changed_json(draw: st.DrawFn, data: bytes) -> bytes:
    """JSON lines with one value somewhere replaced by another of any type, removed or renamed."""
    rows = [json.loads(row) for row in data.splitlines()]
    place: Any = draw(st.sampled_from(rows))
    while True:
        key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if isinstance(place[key], dict | list) and place[key] and draw(st.booleans()):
            place = place[key]
            continue
        if isinstance(place, dict) and draw(st.booleans()) and draw(st.booleans()):
            del place[key]
        else:
            place[key] = draw(ODD)
        break
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)
