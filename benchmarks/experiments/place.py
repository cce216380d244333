"""Where the experiments find their material, and where they leave sets, trainings, pictures and results."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import numpy as np

from lolblur_synth import __version__

RESULTS = Path(__file__).parent.parent / "paper_results"  # in the repository
DIGITS = 5  # of a number in a result


@dataclass(frozen=True)
class Scale:
    """How much is computed. files: of each kind of material that a set is made of, 0 for all."""

    name: str
    iterations: int
    crop: int  # px
    batch: int
    size: str  # of the frames, WxH
    files: int


SCALES = {
    "full": Scale("full", iterations=4000, crop=96, batch=4, size="560x320", files=0),
    "trial": Scale("trial", iterations=24, crop=64, batch=2, size="256x160", files=4),
}


@dataclass(frozen=True)
class Place:
    """material: has photos/, hdr/ and videos/, as for bundled_lednet.sh; runs: for everything that is made.

    A trial keeps to RUNS/paper-trial; its results are proofs that an experiment runs, and never reach the page.
    """

    material: Path
    runs: Path
    scale: Scale = SCALES["full"]
    results: Path = field(default=RESULTS)

    @property
    def work(self) -> Path:
        return self.runs / ("paper" if self.scale.name == "full" else "paper-trial")

    @property
    def pictures(self) -> Path:
        folder = self.work / "pictures"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def save_picture(self, name: str, pixels: np.ndarray) -> None:
        """(H, W, 3) uint8 RGB, as PNG."""
        cv2.imwrite(str(self.pictures / f"{name}.png"), pixels[..., ::-1])

    @property
    def real(self) -> Path:
        """Real dark pictures, without ground truth, of whoever runs this."""
        return self.runs / "real"

    def result(self, name: str) -> Path:
        folder = self.results if self.scale.name == "full" else self.work / "results"
        return folder / f"{name}.json"


def write(place: Place, name: str, facts: dict) -> Path:
    """A result: what was done, at which scale, what it cost and what came out."""
    path = place.result(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {"version": __version__, "scale": asdict(place.scale)} | facts
    path.write_text(json.dumps(rounded(whole), indent=1, sort_keys=True) + "\n")
    return path


def rounded(value):
    """The same with floats of DIGITS digits, so that results are small; infinite ones and NaN are None."""
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if abs(value) < float("inf") else None
    return value


def cpu_seconds() -> float:
    """User and system time of this process and of the processes that it has waited for."""
    return sum(os.times()[:4])


class Ledger:
    """CPU-seconds of a piece of work that may be cut short and continued, kept in a file."""

    def __init__(self, path: Path):
        self.path = path
        self.before = spent(path) or 0.0
        self.start = cpu_seconds()

    def seconds(self) -> float:
        return self.before + cpu_seconds() - self.start

    def save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(round(self.seconds(), 1)))


def spent(path: Path) -> float | None:
    """What a ledger says; None where there is none, because another command did the work."""
    return json.loads(path.read_text()) if path.is_file() else None


@contextmanager
def counted(path: Path) -> Iterator[Ledger]:
    """A ledger that is saved whatever happens."""
    ledger = Ledger(path)
    try:
        yield ledger
    finally:
        ledger.save()
