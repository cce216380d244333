"""The experiments of the LEDNet paper, at a small scale, each by a command; docs/paper.md tells what came out.

    python benchmarks/paper.py                               what there is, and which results are there
    python benchmarks/paper.py EXPERIMENT... MATERIAL RUNS [--part PART]... [--seed N]... [--again] [--scale trial]
    python benchmarks/paper.py page                          fill the tables of docs/paper.md from the results

EXPERIMENT: fig2 fig4 cast gamma fig8a fig8b fig8b-crops table1 table2 table3 fig9 fig10, or all. MATERIAL and RUNS
are those of bundled_lednet.sh; RUNS may have real dark pictures in RUNS/real. Sets are built and networks trained where
an experiment needs them and they are not there yet; a training that was cut short goes on where it stopped.

Each part and seed leaves a result in benchmarks/paper_results/, and is not run again unless --again; pictures go to
RUNS/paper/pictures/. One process has one thread, so that two run side by side: OMP_NUM_THREADS=1. `--scale trial` does
all of it with a few steps and pictures, to see that it runs; its results stay in RUNS/paper-trial.
"""

import argparse
import itertools
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from experiments import ablations, baselines, data, figure8, gallery, page, streaks
from experiments.place import RESULTS, SCALES, Place, cpu_seconds, write

from lolblur_synth.errors import LolblurError

ALL, ONE = "all", ("",)  # every experiment; the parts of one that has none


@dataclass(frozen=True)
class Experiment:
    """run(place, part, seed) -> what a result holds.

    seeds: those that are run unless others are asked for; () where nothing is random. fixed: parts in which nothing
    is random although others have seeds.
    """

    title: str
    run: Callable[[Place, str, int], dict]
    parts: tuple[str, ...] = ONE
    seeds: tuple[int, ...] = ()
    fixed: tuple[str, ...] = ()

    def is_random(self, part: str) -> bool:
        return bool(self.seeds) and part not in self.fixed

    def runs(self, parts: Sequence[str] | None = None, seeds: Sequence[int] | None = None) -> list[tuple[str, int]]:
        """Part and seed of each result, all parts of the first seed before the next; seed 1 where nothing is random."""
        every = itertools.product(seeds or self.seeds or (1,), parts or self.parts)
        return list(dict.fromkeys((part, seed if self.is_random(part) else 1) for seed, part in every))


EXPERIMENTS = {
    "fig2": Experiment("Figures 2a, 3b: blur with and without clipping reverse", streaks.fig2),
    "fig4": Experiment("Figures 4, 5: luminance adjustment map", gallery.fig4),
    "cast": Experiment("Section 3.1: colour cast of gamma darkening", data.cast),
    "gamma": Experiment("Section 3.1: trained on gamma darkening", data.gamma, ("network", "gamma"), (1, 2, 3)),
    "fig8a": Experiment("Figure 8a: enhancement alone", figure8.fig8a, seeds=(1,)),
    "fig8b": Experiment(
        "Figure 8b: trained with clipping reverse", figure8.fig8b, tuple(figure8.CLIP_REVERSE), (1, 2, 3)
    ),
    "fig8b-crops": Experiment("Figure 8b: crops of streaks", figure8.fig8b_crops, seeds=(1,)),
    "table1": Experiment("Table 1: baselines", baselines.table1, baselines.TABLE1, (1,), ("input",)),
    "table2": Experiment(
        "Table 2: real frames",
        baselines.table2,
        baselines.TABLE2,
        (1, 2, 3),
        ("input", "auto-exposure", "lift", "bundled"),
    ),
    "table3": Experiment("Table 3: ablations", ablations.table3, ablations.PARTS, (1, 2, 3)),
    "fig9": Experiment("Figure 9: artefacts without PPM", ablations.fig9, seeds=(1, 2, 3)),
    "fig10": Experiment(
        "Figure 10: enhancement rate of CurveNLU", ablations.fig10, ablations.FIG10, (1, 2, 3), ("bundled",)
    ),
}


def name_of(experiment: str, part: str, seed: int) -> str:
    """Of a result; without a seed where nothing is random."""
    words = [experiment, part, str(seed) if EXPERIMENTS[experiment].is_random(part) else ""]
    return "-".join(word for word in words if word)


def run(experiment: str, part: str, seed: int, place: Place, again: bool) -> None:
    """One result, unless it is there."""
    name = name_of(experiment, part, seed)
    path = place.result(name)
    if path.is_file() and not again:
        print(f"{name}: {path} is there; --again runs it again")
        return
    print(f"{name}: {EXPERIMENTS[experiment].title}", flush=True)
    before = cpu_seconds()
    facts = EXPERIMENTS[experiment].run(place, part, seed)
    facts |= {"experiment": experiment, "part": part, "seed": seed, "cpu_seconds_of_this_run": cpu_seconds() - before}
    print(f"{name}: {write(place, name, facts)}", flush=True)


def table_of_contents() -> None:
    for name, experiment in EXPERIMENTS.items():
        every = [name_of(name, part, seed) for part, seed in experiment.runs()]
        done = sum((RESULTS / f"{one}.json").is_file() for one in every)
        parts = f" ({', '.join(experiment.parts)})" if experiment.parts != ONE else ""
        print(f"{name:13}{done}/{len(every)} results  {experiment.title}{parts}")


def words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="WORD", help="page, or experiments and the folders MATERIAL, RUNS")
    parser.add_argument("--part", action="append", help="of an experiment, instead of all; repeatable")
    parser.add_argument("--seed", type=int, action="append", help="instead of the usual ones; repeatable")
    parser.add_argument("--scale", choices=SCALES, default="full")
    parser.add_argument("--again", action="store_true", help="run what has a result already")
    found = parser.parse_args()
    if found.words in ([], ["page"]):
        return found
    found.names = [name for name in found.words if name in (*EXPERIMENTS, ALL)]
    folders = [word for word in found.words if word not in found.names]
    if not found.names or len(folders) != 2:
        parser.error(f"give page, or some of {' '.join(EXPERIMENTS)} all, and then the two folders MATERIAL and RUNS")
    found.names = list(EXPERIMENTS) if ALL in found.names else found.names
    found.material, found.runs = map(Path, folders)
    if not found.material.is_dir():
        parser.error(f"{found.material}: no such folder of material")
    for part in found.part or ():
        for name in found.names:
            if part not in EXPERIMENTS[name].parts:
                parser.error(f"--part {part}: {name} has {' '.join(EXPERIMENTS[name].parts).strip() or 'no parts'}")
    return found


def main() -> int:
    asked = words()
    if not asked.words:
        table_of_contents()
        return 0
    if asked.words == ["page"]:
        print(page.rewrite())
        return 0
    torch.set_num_threads(1)
    place = Place(asked.material, asked.runs, SCALES[asked.scale])
    try:
        for name in asked.names:
            for part, seed in EXPERIMENTS[name].runs(asked.part, asked.seed):
                run(name, part, seed, place, asked.again)
    except (LolblurError, FileNotFoundError, subprocess.CalledProcessError) as error:
        hint = getattr(error, "hint", "")
        print(f"paper: {error}" + (f"\n  {hint}" if hint else ""), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
