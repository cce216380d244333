"""The numbers and words of every pair, as columns: one array a figure keeps a page of 12,000 pairs small.

A manifest is a file that anyone can write: whatever is not of the expected kind becomes None, and no text is trusted.
"""

import math
from collections.abc import Callable
from typing import Any

from lolblur_synth.dataset.report.figures import Figures

DIGITS = 4  # significant digits of the numbers on the page


def number(value: Any) -> float | int | None:
    """The value to DIGITS digits, or whole; None for what is no finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    if isinstance(value, int):
        return value if abs(value) < 1 << 53 else None
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() else short


def draw_of(record: dict, stage: str) -> dict:
    """The draw of a stage; empty where there is none, or where the stage was drawn but not applied."""
    draws = record.get("draws")
    value = draws.get(stage) if isinstance(draws, dict) else None
    return value if isinstance(value, dict) and value.get("applied", True) is True else {}


def source(record: dict) -> dict:
    value = record.get("source")
    return value if isinstance(value, dict) else {}


def frame(record: dict, index: int) -> float | int | None:
    """First (0) or last (1) source frame that was read."""
    value = record.get("frames")
    return number(value[index]) if isinstance(value, list) and len(value) == 2 else None


def defocus_radius(record: dict) -> float | int | None:
    """The larger radius, px; 0 where nothing was defocused, None without the stage."""
    radius = draw_of(record, "defocus").get("radius")
    if isinstance(radius, list) and radius:
        return max((number(side) or 0 for side in radius), default=0)
    return 0 if isinstance(record.get("draws"), dict) and "defocus" in record["draws"] else None


def skipped(record: dict) -> list[str]:
    """The stages that the recipe left out."""
    value = record.get("skipped")
    return [str(stage) for stage in value] if isinstance(value, list) else []


def is_noisy(record: dict) -> bool:
    return draw_of(record, "noise").get("applied") is True


def milliseconds(record: dict) -> float | int | None:
    """Length of the exposure: window / capture rate."""
    window, fps = number(record.get("window")), number(source(record).get("fps"))
    return number(1000 * window / fps) if window and fps else None


COLUMNS: dict[str, Callable[[dict, Figures], Any]] = {  # name on the page -> its value for a pair
    "mid": lambda r, f: number(r.get("mid")),
    "first": lambda r, f: frame(r, 0),
    "last": lambda r, f: frame(r, 1),
    "window": lambda r, f: number(r.get("window")),
    "samples": lambda r, f: number(r.get("samples")),
    "ms": lambda r, f: milliseconds(r),
    "asked": lambda r, f: number(draw_of(r, "darken").get("exposure")),
    "got": lambda r, f: number(r.get("exposure")),
    "trust": lambda r, f: number(r.get("confidence")),
    "motion": lambda r, f: f.blur / r["window"] if f.blur is not None and number(r.get("window")) else None,
    "blur": lambda r, f: f.blur,
    "fastest": lambda r, f: f.fastest,
    "defocus": lambda r, f: defocus_radius(r),
    "noisy": lambda r, f: int(is_noisy(r)),
    "iso": lambda r, f: number(draw_of(r, "noise").get("iso")) or None,
    "psnr": lambda r, f: f.psnr,
    "ssim": lambda r, f: f.ssim,
    "level": lambda r, f: f.level,
    "truth": lambda r, f: f.truth,
    "sigma": lambda r, f: f.noise.get("sigma_green") if f.noise else None,
    "missing": lambda r, f: len(f.missing) or None,
}


def words(record: dict) -> list[str]:
    """The draws of a pair, a phrase a stage, without what differs between the pairs of a segment."""
    phrases = []
    if darken := draw_of(record, "darken"):
        text = f"Darkened: mean L*/100 of {_text(darken.get('exposure'))} asked for"
        if number(darken.get("share")) is not None:
            text += f", which is {100 * darken['share']:.0f} % of the ground truth's, held within the recipe's range"
        elif number(darken.get("drawn")) not in (None, number(darken.get("exposure"))):
            text += f" ({_text(darken['drawn'])} drawn, lowered to the share of the ground truth that is allowed)"
        phrases.append(f"{text}; shadows of the ground truth dimmed to {_text(darken.get('dim'))} in lightness")
    clip_reverse = draw_of(record, "clip_reverse")
    if number(clip_reverse.get("r")):
        phrases.append(f"Lights restored: r = {_text(clip_reverse['r'])} code values added to saturated pixels")
    elif number(clip_reverse.get("gain")):
        phrases.append(f"Lights restored: {_text(clip_reverse['gain'])} times white added to clipped channels")
    elif record.get("light") == "measured":
        phrases.append("Lights as the source measured them: it holds light above white")
    if defocus := draw_of(record, "defocus"):
        radius = defocus.get("radius")
        sides = " x ".join(_text(side) for side in radius) if isinstance(radius, list) else "?"
        phrases.append(f"Defocused: {defocus.get('kernel')} kernel, radius {sides} px")
    elif defocus_radius(record) == 0:
        phrases.append("In focus")
    if noise := draw_of(record, "noise"):
        parts = [f"ISO {_text(noise['iso'])}" if number(noise.get("iso")) else "",
                 f"{noise['lamp']} light" if noise.get("lamp") else "",
                 f"sigma {_text(noise['sigma'])} code values" if number(noise.get("sigma")) else "",
                 f"scale {_text(noise['scale'])}" if number(noise.get("scale")) else "",
                 "the same on all channels" if noise.get("gray") is True else ""]  # fmt: skip
        phrases.append("Noise: " + ", ".join(filter(None, parts)))
    elif isinstance(record.get("draws"), dict) and "noise" in record["draws"]:
        phrases.append("No noise")
    if number(draw_of(record, "denoise").get("sigma")) is not None:
        phrases.append(f"Source denoised: sigma {_text(record['draws']['denoise']['sigma'])} code values")
    stages = record.get("stages")
    for name in stages if isinstance(stages, dict) else ():  # of the user
        parts = [f"{key} {_text(value)}" for key, value in draw_of(record, name).items() if number(value) is not None]
        phrases.append(f"Stage {name}: {', '.join(parts) or 'no numbers, or not applied'}")
    if left_out := skipped(record):
        phrases.append(f"Left out: {', '.join(left_out)}")
    return phrases


def _text(value: Any) -> str:
    value = number(value)
    return "?" if value is None else f"{value:.3g}"


def clips_of(pairs: list[dict]) -> list[list]:
    """[sequence, split, source name, frames/s, first pair, pairs] of each clip; the pairs of a clip are neighbours."""
    clips: list[list] = []
    for index, record in enumerate(pairs):
        sequence = record["pair"].split("/")[0]
        if not clips or clips[-1][:2] != [sequence, record["split"]]:
            name = source(record).get("name")
            clips.append([sequence, record["split"], str(name), number(source(record).get("fps")), index, 0])
        clips[-1][5] += 1
    return clips


def table(pairs: list[dict], figures: list[Figures]) -> dict[str, Any]:
    """{"clips": `clips_of`, "words": texts, "pairs": {"clip", "name", "words", and each of COLUMNS: an array}}.

    A column without any value is left out; "words" holds an index into the texts, which the pairs of a segment share.
    """
    clips = clips_of(pairs)
    texts: dict[tuple[str, ...], int] = {}
    columns: dict[str, list] = {
        "clip": [number for number, clip in enumerate(clips) for _ in range(clip[5])],
        "name": [record["pair"].split("/")[1] for record in pairs],
        "words": [texts.setdefault(tuple(words(record)), len(texts)) for record in pairs],
    }
    for name, value in COLUMNS.items():
        column = [value(record, measured) for record, measured in zip(pairs, figures, strict=True)]
        if any(entry is not None for entry in column):
            columns[name] = [number(entry) for entry in column]
    return {"clips": clips, "words": list(texts), "pairs": columns}
