"""docs/paper.md: each table between `<!-- results: NAME -->` and `<!-- end -->` is filled from the results.

A row without a result says "not run yet". A difference counts where `scoring.is_result` says so; else the page says
that it lies within the spread of the seeds, or that there are too few.
"""

import json
import re
import statistics
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

from experiments.place import RESULTS
from experiments.scoring import LEAST_SEEDS, differences, is_result

PAGE = Path(__file__).parent.parent.parent / "docs/paper.md"
BLOCK = re.compile(r"(<!-- results: ([\w-]+) -->\n).*?(<!-- end -->)", re.S)
NOT_RUN = "not run yet"
TABLE3_PAPER = {"whole": (25.74, 0.850), "no-ppm": (21.85, 0.781), "no-curve": (25.20, 0.823),
                "concat": (25.31, 0.826), "no-l-en": (24.05, 0.784)}  # fmt: skip
WORDS = {"whole": "whole", "no-ppm": "no PPM", "no-curve": "no CurveNLU", "concat": "concat for FASC",
         "no-l-en": "no L_en"}  # fmt: skip
Results = list[dict]


def read(folder: Path = RESULTS) -> Results:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def rewrite(page: Path = PAGE, folder: Path = RESULTS) -> str:
    """Fill the tables of the page. Returns what was done, in words. Raises KeyError for a table that is not known."""
    results = read(folder)
    text = page.read_text()
    filled = BLOCK.sub(lambda match: f"{match[1]}{TABLES[match[2]](results)}\n{match[3]}", text)
    page.write_text(filled)
    return f"{page}: {len(BLOCK.findall(text))} tables from {len(results)} results"


def of(results: Results, experiment: str, part: str = "") -> Results:
    """Those of an experiment, in the order of their seeds."""
    found = [one for one in results if (one["experiment"], one["part"]) == (experiment, part)]
    return sorted(found, key=lambda one: one["seed"])


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def number(value: float | None, digits: int = 2) -> str:
    """In the style of the other pages: .531, 18.42."""
    if value is None:
        return "-"
    return f"{value:.{digits}f}" if digits != 3 else f"{value:.3f}".replace("0.", ".", 1)


def seeds(values: Sequence[float | None], digits: int = 2) -> str:
    """The mean, and the standard deviation over the seeds where there are some."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    mean = number(statistics.fmean(known), digits)
    return mean if len(known) < 2 else f"{mean} ± {number(statistics.stdev(known), digits)}"


def means(found: Results, figure: str, digits: int = 2) -> str:
    return seeds([one["figures"]["mean"].get(figure) for one in found], digits)


def verdict(ours: Results, theirs: Results, figure: str, test: str = "") -> str:
    """By how much `ours` is above `theirs` by clip, over the seeds that both have, and whether that is a result."""
    shared = {one["seed"] for one in ours} & {one["seed"] for one in theirs}
    if not shared:
        return "-"
    clips = [
        [(one["figures"][test] if test else one["figures"])["clips"] for one in side if one["seed"] in shared]
        for side in (ours, theirs)
    ]
    return judged(differences(*clips, figure))


def judged(by_seed: Sequence[float]) -> str:
    words = ", ".join(f"{value:+.2f}" for value in by_seed)
    if len(by_seed) < LEAST_SEEDS:
        return f"{words}: too few seeds to tell"
    return f"{words}: {'yes' if is_result(by_seed) else 'within the spread'}"


def table3(results: Results) -> str:
    whole, rows = of(results, "table3", "whole"), []
    for part, (psnr, ssim) in TABLE3_PAPER.items():
        found, cells = of(results, "table3", part), [NOT_RUN, "", "", "", ""]
        if found:
            gains = [verdict(found, whole, key) if part != "whole" else "" for key in ("psnr_rgb", "aligned_psnr_rgb")]
            cells = [means(found, "psnr_rgb"), means(found, "aligned_psnr_rgb"), means(found, "ssim_y", 3), *gains]
        rows.append([WORDS[part], f"{psnr:.2f}, {number(ssim, 3)}", *cells])
    return table(["network", "paper: PSNR, SSIM", "PSNR", "aligned PSNR", "SSIM (Y)",
                  "PSNR less the whole's, by seed: a result?", "the same, aligned"], rows)  # fmt: skip


def table1(results: Results) -> str:
    names = {"input": "", "enhance-deblur": "enhance, then deblur", "deblur-enhance": "deblur, then enhance",
             "mimo": "end to end, SmallMimo", "lednet": "end to end, LEDNet at a quarter of its width"}  # fmt: skip
    tones = {"input": "the input", "fitted_gamma_gain": "one gamma and gain for all", "auto_exposure": "auto exposure"}
    rows = []
    for part, words in names.items():
        found = of(results, "table1", part)
        if not found:
            rows.append([words or "the input and tone curves", NOT_RUN, *[""] * 5])
        elif part == "input":
            for name, label in tones.items():
                if name in (figures := found[0]["figures"]):
                    rows.append([label, *_quality(figures[name]), "0", "-"])
        else:
            one = found[0]
            cost = [f"{one['parameters'] / 1e3:.0f} k", number(one["seconds_per_frame"])]
            rows.append([words, *_quality(one["figures"]["mean"]), *cost])
    return table(["method", "PSNR", "aligned PSNR", "SSIM (Y)", "LPIPS (alex)", "parameters", "CPU-s a frame"], rows)


def _quality(figures: dict) -> list[str]:
    keys = (("psnr_rgb", 2), ("aligned_psnr_rgb", 2), ("ssim_y", 3), ("lpips_alex", 3))
    return [number(figures.get(key), digits) for key, digits in keys]


def table2(results: Results) -> str:
    names = {"input": "the input", "auto-exposure": "auto exposure", "lift": "the lift of `lednet` alone",
             "bundled": "the bundled `lednet`", "lednet": "LEDNet of Table 3"}  # fmt: skip
    return _real("method", names, [(part, of(results, "table2", part)) for part in names], "figures")


def _real(what: str, names: dict[str, str], parts: Sequence[tuple[str, Results]], key: str) -> str:
    rows = []
    for part, every in parts:
        found = [one for one in every if one.get(key)]
        if not found:
            rows.append([names[part], NOT_RUN, *[""] * 4])
            continue
        figures = ("niqe", "lifted_input_niqe", "burnt_growth", "colour_shift")
        cells = [seeds([one[key]["mean"][figure] for one in found]) for figure in figures]
        counts = [one[key]["frames_better"]["niqe"] for one in found]
        better = f"{', '.join(str(count['better']) for count in counts)} of {counts[0]['frames']}"
        rows.append([names[part], *cells[:2], better, *cells[2:]])
    return table([what, "NIQE", "of the input lifted alike", "frames where it is below", "more burnt pixels, points",
                  "colour shift, Lab"], rows)  # fmt: skip


def fig2(results: Results) -> str:
    found = of(results, "fig2")
    if not found:
        return NOT_RUN
    mean = found[0]["figures"]["mean"]
    ways = ("none", "linear", "code", "hdr", "measured")  # from left to right in the picture, after the truth
    rows = [[f"mean of {found[0]['data']['pictures']} pictures", *(number(mean[way]) for way in ways)]]
    return table(["PSNR over the streaks, dB", *ways], rows)


def fig4(results: Results) -> str:
    found = of(results, "fig4")
    if not found:
        return NOT_RUN
    rows = [[name.rpartition(" ")[0], name.rpartition(" ")[2], number(row["lamps"]), number(row["rest"])]
            for name, row in found[0]["figures"].items()]  # fmt: skip
    return table(["photograph", "exposure", "map where L* > 98", "elsewhere"], rows)


def cast(results: Results) -> str:
    found = of(results, "cast")
    if not found:
        return NOT_RUN
    rows = [[*name.split(), number(row["hue"]), f"{100 * row['chroma']:.0f} %", f"{round(row['b'], 2) + 0:+.2f}"]
            for name, row in found[0]["figures"].items()]  # fmt: skip
    return table(["method", "exposure", "hue turns, degrees", "chroma changes", "b* (yellow above 0)"], rows)


def gamma(results: Results) -> str:
    tests = {"lolblur": "darkened by the network", "gamma": "darkened by a power", "night": "recipe `night`"}
    ours, other, rows = of(results, "gamma", "network"), of(results, "gamma", "gamma"), []
    for test, words in tests.items():
        cells = [seeds([one["figures"][test]["mean"][key] for one in side]) if side else NOT_RUN
                 for key in ("psnr_rgb", "aligned_psnr_rgb") for side in (ours, other)]  # fmt: skip
        rows.append([words, *cells, verdict(ours, other, "aligned_psnr_rgb", test)])
    scores = table(["scored on frames", "trained on the network: PSNR", "on a power: PSNR", "network: aligned",
                    "power: aligned", "network less power, aligned, by seed: a result?"], rows)  # fmt: skip
    names = {"network": "trained on the network", "gamma": "trained on a power"}
    return f"{scores}\n\n{_real('real night frames', names, [('network', ours), ('gamma', other)], 'real')}"


def fig8b(results: Results) -> str:
    names = {"without": "8-bit video, without", "linear": "8-bit video, Eq. 2 as printed", "hdr": "8-bit video, `hdr`",
             "measured": "none needed: clips that hold the light of their lamps"}  # fmt: skip
    columns = {f"{way}{kind}": f"{way.replace(' ', '_')}psnr_{kind}"
               for way in ("", "aligned ") for kind in ("saturated", "unsaturated", "streaks")}  # fmt: skip
    compared = {head: key for head, key in columns.items() if "unsaturated" not in head}
    without, scores, gains = of(results, "fig8b", "without"), [], []
    for part, words in names.items():
        found = of(results, "fig8b", part)
        cells = [means(found, key) for key in columns.values()] if found else [NOT_RUN, *[""] * (len(columns) - 1)]
        scores.append([words, *cells])
        if part != "without":
            gains.append([words, *(verdict(found, without, key) for key in compared.values())])
    return "\n\n".join((
        table(["clipping reverse in training: PSNR over pixels", *columns], scores),
        table(["less that without, by seed: a result?", *compared], gains),
    ))  # fmt: skip


def fig8a(results: Results) -> str:
    found = of(results, "fig8a")
    if not found:
        return NOT_RUN
    figures = found[0]["figures"]
    every = {"the dark photographs": figures["baselines"]["input"], "LEDNet trained on them": figures["mean"]}
    if "auto_exposure" in figures["baselines"]:
        every["auto exposure"] = figures["baselines"]["auto_exposure"]
    rows = [[name, *_quality(row)] for name, row in every.items()]
    scores = table(["held-out photographs", "PSNR", "aligned PSNR", "SSIM (Y)", "LPIPS (alex)"], rows)
    return f"{scores}\n\n{_real('real night frames', {'': 'LEDNet'}, [('', found)], 'real')}"


def fig9(results: Results) -> str:
    found = of(results, "fig9")
    if not found:
        return NOT_RUN
    keys = ("psnr_rgb", "aligned_psnr_rgb", "unevenness")
    by_seed = {
        name: {key: [one["figures"][name][key] for one in found] for key in keys} for name in found[0]["figures"]
    }
    rows = [[name, *map(seeds, row.values())] for name, row in by_seed.items()]
    ours, theirs = by_seed["no-ppm, frame"], by_seed["whole, frame"]
    less = [judged([one - other for one, other in zip(ours[key], theirs[key], strict=True)]) for key in keys]
    rows.append(["no-ppm less whole, frame, by seed: a result?", *less])
    return table(["network", "PSNR", "aligned PSNR", "unevenness, L*"], rows)


def fig10(results: Results) -> str:
    rows = []
    for part, words in {"bundled": "the bundled LEDNet-lite", "trained": "the whole network of Table 3"}.items():
        found = of(results, "fig10", part)
        if not found:
            rows.append([words, NOT_RUN, *[""] * 3])
        for scale in sorted(found[0]["figures"] if found else (), key=lambda one: -Fraction(one)):
            every = [one["figures"][scale] for one in found]
            rows.append([words, scale, *(seeds([row[key] for row in every]) for key in ("dark", "middle", "bright"))])
    return table(["network", "scale", "dark third of the pixels", "middle", "bright"], rows)


def cost(results: Results) -> str:
    """CPU hours of trainings and sets, each counted once, however many results use it."""
    if not results:
        return NOT_RUN
    trainings = {name: one["cpu_seconds"] for result in results for name, one in result.get("trainings", {}).items()}
    sets = {name: one["cpu_seconds"] for result in results for name, one in result["data"].items()
            if isinstance(one, dict) and one["cpu_seconds"]}  # fmt: skip
    rows = [[words, str(len(values)), number(sum(values.values()) / 3600, 1)]
            for words, values in (("trainings", trainings), ("datasets made for this", sets),
                                  ("together", trainings | sets))]  # fmt: skip
    return table(["", "number", "CPU hours"], rows)


TABLES: dict[str, Callable[[Results], str]] = {
    one.__name__: one for one in (table1, table2, table3, fig2, fig4, cast, gamma, fig8a, fig8b, fig9, fig10, cost)
}
