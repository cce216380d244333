"""A small video as `build` has it before its workers start: surveyed and planned."""

from pathlib import Path

from conftest import moving_street

from lolblur_synth.dataset import plan, worker
from lolblur_synth.dataset.records import Clip
from lolblur_synth.files import video
from lolblur_synth.files.video import write_video
from lolblur_synth.recipe.schema import Recipe


def street(folder: Path, frames: int, recipe: Recipe) -> Clip:
    """The clip of a video of `moving_street` at 250 fps, written into the folder."""
    path = folder / "street.mp4"
    write_video(path, moving_street(frames, 2), 250)
    found = worker.inspect(recipe, video.Input(path, path.name, "video"))
    return plan.make([found], [], recipe, {}).clips[0]
