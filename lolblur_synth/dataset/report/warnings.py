"""What a user should look at, in words: each warning with the pairs that it is about, or a place on the page."""

from typing import Any, NamedTuple

import numpy as np

from lolblur_synth.dataset.report import columns
from lolblur_synth.dataset.report.figures import Figures
from lolblur_synth.errors import counted
from lolblur_synth.metrics import fingerprint

DARK_TRUTH = 20.0  # L*: a ground truth below it is itself a night frame; CIE L* of an 18 % grey card is 50
NO_EFFECT = 0.9  # of the lightness of the ground truth: an input above it was not darkened to speak of
EXPOSURE_TOLERANCE = 0.02  # mean L*/100; a larger miss of the exposure asked for is listed
STILL = 1.0  # px: a blur length up to it, where a frame moves most, cannot be seen
LARGE_SHARE = 0.5  # of the pairs: what holds for as many is worth a line
BADLY_FOLLOWED = 0.5  # trust, 0..1, of the source frames whose motion could be followed least
BLACK = 1.0  # mean code value: an input below it holds next to nothing
LEVELS_OF_BANDS = (13.0, 39.0)  # mean code values of the published frames that `fingerprint.BANDS` was measured on
CLIPS_NAMED = 8  # most clips with a line of their own in one kind of warning


class Warning(NamedTuple):
    """pairs: indices of the pairs that it is about; place: id of a section, where it is about no pair."""

    text: str
    pairs: tuple[int, ...] = ()
    place: str = "recipe"


def of(pairs: list[dict], figures: list[Figures], table: dict[str, Any], state: dict) -> list[Warning]:
    """All warnings, the gravest first. table: `columns.table`; state: `verify.status`."""
    return [
        *_unbuilt(state),
        *_missing(pairs, figures),
        *_splits(table["clips"]),
        *_darkness(table),
        *_motion(table, len(pairs)),
        *_noise(pairs, figures),
    ]


def _share(count: int, of: int) -> str:
    return "all" if count == of else f"{count} of {of} ({100 * count / of:.0f} %)"


def _unbuilt(state: dict) -> list[Warning]:
    warnings = []
    if state["failed"]:
        warnings.append(Warning(f"{counted(len(state['failed']), 'pair')} failed", place="not-built"))
    if state["refused"]:
        warnings.append(Warning(f"{counted(len(state['refused']), 'input')} refused", place="not-built"))
    if left := state["left"] - len(state["failed"]):
        warnings.append(Warning(f"{counted(left, 'pair')} not built yet: the same build command continues",
                                place="not-built"))  # fmt: skip
    return warnings


def _missing(pairs: list[dict], figures: list[Figures]) -> list[Warning]:
    broken = tuple(index for index, measured in enumerate(figures) if measured.missing)
    if not broken:
        return []
    first = (
        f"{pairs[broken[0]]['pair']}: {', '.join(figures[broken[0]].missing)} missing, unreadable or of another size"
    )
    more = f", and {counted(len(broken) - 1, 'pair')} more" if len(broken) > 1 else ""
    return [Warning(f"{first}{more}; `lolblur-synth build` makes them again", broken)]


def _splits(clips: list[list]) -> list[Warning]:
    splits = {clip[1] for clip in clips}
    warnings = [Warning(f"no {split} split: every clip went to {other}")
                for split, other in (("test", "train"), ("train", "test")) if split not in splits]  # fmt: skip
    largest = max(clips, key=lambda clip: clip[5])
    total = sum(clip[5] for clip in clips)
    if len(clips) > 2 and largest[5] > LARGE_SHARE * total:
        members = tuple(range(largest[4], largest[4] + largest[5]))
        warnings.append(Warning(f"clip {largest[0]} holds {_share(largest[5], total)} of the pairs", members))
    return warnings


def _darkness(table: dict[str, Any]) -> list[Warning]:
    """Ground truths that are dark, inputs that darkening left as they were, and exposures that were missed."""
    rows = table["pairs"]
    count = len(rows["clip"])
    truth, got, asked, level = (rows.get(name, [None] * count) for name in ("truth", "got", "asked", "level"))
    dark: list[Warning] = []
    for number, (sequence, _, _, _, first, size) in enumerate(table["clips"]):
        members = range(first, first + size)
        lightness = [truth[i] for i in members if truth[i] is not None]
        if not lightness or rows["clip"][first] != number:
            continue
        mean = sum(lightness) / len(lightness)
        kept = tuple(i for i in members if _both(got[i], truth[i]) and 100 * got[i] > NO_EFFECT * truth[i])
        if mean < DARK_TRUTH or len(kept) > LARGE_SHARE * size:
            effect = ", darkening had no effect" if len(kept) > LARGE_SHARE * size else ", itself a dark frame"
            dark.append(Warning(f"clip {sequence}: ground truth has mean L* {mean:.0f}{effect}", tuple(members)))
    if len(dark) > CLIPS_NAMED:
        rest = tuple(i for warning in dark[CLIPS_NAMED:] for i in warning.pairs)
        dark[CLIPS_NAMED:] = [Warning(f"{len(dark) - CLIPS_NAMED} more clips with such a dark ground truth", rest)]
    missed = tuple(i for i in range(count) if _both(asked[i], got[i]) and abs(asked[i] - got[i]) > EXPOSURE_TOLERANCE)
    if missed:
        text = f"{_share(len(missed), count)} pairs miss the exposure asked for by more than {EXPOSURE_TOLERANCE:g}"
        dark.append(Warning(text, missed))
    black = tuple(i for i in range(count) if level[i] is not None and level[i] < BLACK)
    if black:
        dark.append(Warning(f"{_share(len(black), count)} inputs are almost black (mean code value below 1)", black))
    return dark


def _both(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None


def _motion(table: dict[str, Any], count: int) -> list[Warning]:
    blur, trust = (table["pairs"].get(name, [None] * count) for name in ("fastest", "trust"))
    measured = [i for i in range(count) if blur[i] is not None]
    still = tuple(i for i in measured if blur[i] <= STILL)
    warnings = []
    if measured and len(still) >= LARGE_SHARE * len(measured):
        share = "half" if 2 * len(still) == len(measured) else _share(len(still), len(measured))
        warnings.append(Warning(f"{share} of the frames show no motion (blur of at most a pixel everywhere)", still))
    lost = tuple(i for i in range(count) if trust[i] is not None and trust[i] < BADLY_FOLLOWED)
    if lost:
        text = f"{_share(len(lost), count)} pairs hold motion that could not be followed well"
        warnings.append(Warning(f"{text} (least confidence below {BADLY_FOLLOWED:g}): look for ghosts", lost))
    return warnings


def _noise(pairs: list[dict], figures: list[Figures]) -> list[Warning]:
    warnings = []
    silent = tuple(i for i, one in enumerate(figures) if one.level is not None and one.noise is None)
    if len(silent) == len(pairs):
        left_out = all("noise" in columns.skipped(record) for record in pairs)
        reason = "the recipe leaves the stage out" if left_out else "none was drawn"
        warnings.append(Warning(f"no input has noise: {reason}"))
    claimed = tuple(i for i in silent if columns.is_noisy(pairs[i]))
    if claimed:
        text = f"{counted(len(claimed), 'pair')} got noise that vanishes in 8 bits: the inputs are too dark to show it"
        warnings.append(Warning(text, claimed))
    outside = [row for row in bands(figures) if not row["low"] <= row["median"] <= row["high"]]
    for row in outside:
        warnings.append(Warning(f"noise: {row['name']} is {row['median']:.2f} (median), published frames have "
                                f"{row['low']:g} to {row['high']:g}", place="fingerprint"))  # fmt: skip
    return warnings


def bands(figures: list[Figures]) -> list[dict[str, Any]]:
    """Of each figure of the fingerprint: its published band and the 10th, 50th and 90th percentile in the dataset.

    Only inputs as bright as the published frames count.
    """
    low, high = LEVELS_OF_BANDS
    noise = [f.noise for f in figures if f.noise and f.level is not None and low <= f.level <= high]
    rows = []
    for name, band in fingerprint.BANDS.items():
        if values := [entry[name] for entry in noise if name in entry]:
            tenth, median, ninetieth = (float(v) for v in np.percentile(values, (10, 50, 90)))
            rows.append({"name": name.replace("_", " "), "low": band[0], "high": band[1], "tenth": tenth,
                         "median": median, "ninetieth": ninetieth, "pairs": len(values)})  # fmt: skip
    return rows
