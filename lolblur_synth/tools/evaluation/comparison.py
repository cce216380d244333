"""Is a network better than doing nothing? PSNR of each clip beside that of its input, in figures and in words.

Raw: the restored frame against the input as it is. Aligned: both after their own best gamma and gain, so that neither
gains by its brightness (metrics/alignment.py).
"""

from itertools import groupby

from lolblur_synth.errors import counted
from lolblur_synth.metrics.image_quality import LARGEST_PSNR
from lolblur_synth.tools.evaluation.scores import ALIGNED

INPUT = "input_"  # before the name of a figure of the input, in the row of a frame
PSNR = "psnr_rgb"
COMPARED = {"raw": PSNR, "aligned": f"{ALIGNED}{PSNR}"}  # name of the comparison -> the figure


def of_input(figures: dict[str, float]) -> dict[str, float]:
    """What the row of a frame says of its input: the figures that are compared, as far as they are measured."""
    return {f"{INPUT}{name}": figures[name] for name in COMPARED.values() if name in figures}


def compare(rows: list[dict]) -> dict[str, dict]:
    """Of the rows of all frames, sorted by clip: {"raw": {...}, "aligned": {...}}; {} where PSNR is not known of both.

    clips, worse, better     how many clips there are, and in how many the mean PSNR is below or above the input's
    better_share             better / clips, 0..1
    worst_clip, worst_gain   the clip with the least gain over its input, and that gain, dB; negative: it lost
    worst_psnr, worst_input  the two means there, dB

    A frame that equals its ground truth counts as 100 dB here, so that it does not drop out of its clip's mean.
    """
    if not rows or f"{INPUT}{PSNR}" not in rows[0]:
        return {}
    clips = {clip: list(group) for clip, group in groupby(rows, lambda row: row["clip"])}
    return {name: _compared(clips, figure) for name, figure in COMPARED.items()}


def _compared(clips: dict[str, list[dict]], figure: str) -> dict:
    psnr = {clip: (_mean(rows, figure), _mean(rows, f"{INPUT}{figure}")) for clip, rows in clips.items()}
    gains = {clip: ours - theirs for clip, (ours, theirs) in psnr.items()}
    worst = min(gains, key=gains.__getitem__)
    better = sum(gain > 0 for gain in gains.values())
    return {
        "clips": len(gains),
        "worse": sum(gain < 0 for gain in gains.values()),
        "better": better,
        "better_share": better / len(gains),
        "worst_clip": worst,
        "worst_gain": gains[worst],
        "worst_psnr": psnr[worst][0],
        "worst_input": psnr[worst][1],
    }


def _mean(rows: list[dict], name: str) -> float:
    return sum(min(row[name], LARGEST_PSNR) for row in rows) / len(rows)


def in_words(compared: dict[str, dict]) -> list[str]:
    """Two lines for people: how often the results are worse than the input, and by how much at worst."""
    return [_words(name, found) for name, found in compared.items()]


def _words(name: str, found: dict) -> str:
    gain, clips = found["worst_gain"], found["clips"]
    return (
        f"{name} PSNR: worse than the input on {found['worse']} of {counted(clips, 'clip')}, "
        f"better on {found['better']} ({100 * found['better_share']:.0f} %); "
        f"{'worst' if gain < 0 else 'least gain'}: {found['worst_clip']}, {gain:+.2f} dB"
    )
