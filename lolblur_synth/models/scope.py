"""What LEDNet weights are made for: two entries of the header that a training writes and `restore` reads.

    expect      one sentence for the user, in printable characters, at most 200 of them
    trained_on  {"lightness": [lo, hi], "side": [smallest, largest]}
                  lightness: mean L*/100 of the input frames, percentiles 0.5 and 99.5
                  side: the smallest and the largest side of the input frames, px

All of them may be missing. Weights come from strangers, so an entry of any other form is left out.
"""

from typing import Any, NamedTuple

from torch import Tensor

from lolblur_synth.frames import lightness

MAX_SENTENCE = 200  # characters
MAX_SIDE = 1 << 16  # px
STEP = 4  # the mean is taken over every fourth pixel of each axis


class Scope(NamedTuple):
    """The entries as the module's first lines give them; "" and None: the header does not say."""

    expect: str = ""
    lightness: tuple[float, float] | None = None
    side: tuple[int, int] | None = None

    def header(self) -> dict:
        """The entries of a header that says this, for `files.weights.save`."""
        ranges = {name: list(pair) for name in ("lightness", "side") if (pair := getattr(self, name)) is not None}
        return ({"expect": self.expect} if self.expect else {}) | ({"trained_on": ranges} if ranges else {})


def read(about: dict) -> tuple[Scope, list[str]]:
    """The scope that a header gives, and the names of entries that are not as they should be, which are left out."""
    ranges, invalid = about.get("trained_on", {}), []
    if not isinstance(ranges, dict):
        ranges, invalid = {}, ["trained_on"]
    scope = Scope()
    for name, entries, key, is_valid in (
        ("expect", about, "expect", _is_sentence),
        ("trained_on.lightness", ranges, "lightness", _is_lightness),
        ("trained_on.side", ranges, "side", _is_side),
    ):
        if key in entries:
            value = entries[key]
            if is_valid(value):
                scope = scope._replace(**{key: value.strip() if key == "expect" else tuple(value)})
            else:
                invalid.append(name)
    return scope, invalid


def mean_lightness(frame: Tensor) -> float:
    """Mean L*/100 of a display frame, (3, H, W), 0..1: the figure that `trained_on` gives a range of."""
    return lightness(frame[None, :, ::STEP, ::STEP].contiguous()).mean().item()


def _is_sentence(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value.strip()) <= MAX_SENTENCE and value.isprintable()


def _is_lightness(value: Any) -> bool:
    return _is_pair(value, (int, float)) and 0 <= value[0] <= value[1] <= 1


def _is_side(value: Any) -> bool:
    return _is_pair(value, int) and 1 <= value[0] <= value[1] <= MAX_SIDE


def _is_pair(value: Any, kind: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(number, kind) and not isinstance(number, bool) for number in value)
    )
