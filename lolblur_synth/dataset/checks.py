"""What must hold before anything is written: the inputs exist, the output is ours and unchanged in recipe and rates."""

import os
from collections.abc import Sequence
from pathlib import Path

from lolblur_synth import recipes
from lolblur_synth.dataset import layout, stored
from lolblur_synth.dataset.records import Plan
from lolblur_synth.errors import Damaged, ForeignOutput, InputError, UsageError
from lolblur_synth.files import capture_rates, listing, remote
from lolblur_synth.recipe.schema import Recipe

OTHER_FOLDER = "check its permissions, or give another folder"


def on_disk(words: Sequence[str | Path]) -> list[Path]:
    """The words of a user that are no URLs, as paths."""
    return [Path(word) for word in words if not remote.is_url(word)]


def check_inputs(words: Sequence[str | Path], out: Path | None) -> None:
    """Raise unless every input exists, is no dataset, and does not contain the output.

    A build whose output lay inside an input would read its own frames the next time. URLs are left to `sources`.
    Raises InputError, UsageError.
    """
    for path, _ in map(capture_rates.split, on_disk(words)):
        if not os.path.lexists(path):
            swapped = out is not None and os.path.isdir(out) and not os.path.isdir(out / layout.STATE)
            hint = "check the path; the output folder comes last" if swapped else "check the path"
            raise InputError(f"{path}: no such file or folder", hint, "missing")
        if out is not None and path.is_dir() and out.resolve() == path.resolve():
            raise UsageError(f"{out} is the input and the output", "name another output folder, after the VIDEOS")
        if os.path.isdir(path / layout.STATE):
            raise UsageError(
                f"{path} is a dataset, not a folder of videos",
                f"give the VIDEOS, then OUT; to see how far this one is: lolblur-synth status {path}",
            )
        if out is not None and path.is_dir() and out.resolve().is_relative_to(path.resolve()):
            raise UsageError(f"the output {out} is inside the input {path}", "choose an output elsewhere")


def ready(recipe: Recipe) -> Recipe:
    """The recipe with the stages of the user imported and tried on small frames. Runs their code. Raises RecipeError.

    The user must have named the recipe: `stored.to_continue` refuses the code of one that was found in a dataset.
    """
    recipe = recipes.import_stages(recipe)
    if recipe.stages:
        from lolblur_synth.stages import user  # torch: only where there is such a stage

        for stage in recipe.stages:
            user.try_out(stage)
    return recipe


def claim(out: Path, recipe: Recipe) -> None:
    """Create the output folder, or raise ForeignOutput unless it is empty or ours, writable, and of this recipe.

    System and hidden files (.DS_Store, lost+found) do not count as content: Finder and mkfs leave them.
    """
    state = out / layout.STATE
    if out.exists() and not out.is_dir():
        raise ForeignOutput(f"{out} is a file", "give a folder")
    if state.is_symlink() or (out.is_dir() and not state.is_dir() and _holds_files(out)):
        raise ForeignOutput(f"{out} holds files that are not a lolblur-synth dataset",
                            "give an empty or a new folder, after the VIDEOS")  # fmt: skip
    stored.check_recipe(out, recipe)
    try:
        state.mkdir(parents=True, exist_ok=True)
        probe = state / f"tmp-{layout.mine()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        layout.raise_no_space(error, state)
        raise ForeignOutput(f"cannot write to {out}: {error.strerror}", OTHER_FOLDER) from None


def _holds_files(folder: Path) -> bool:
    try:
        return bool(listing.entries(folder))
    except OSError as error:
        raise ForeignOutput(f"cannot look into {folder}: {error.strerror}", OTHER_FOLDER) from None


def check_rates(plan: Plan, out: Path | None) -> None:
    """Raise ForeignOutput where the plan in `out` has another capture rate for a clip: its pairs would differ."""
    try:
        earlier = stored.plan(out) if out else None
    except Damaged:  # the build writes it anew
        earlier = None
    rate_by_sha256 = {clip.get("sha256"): clip.get("fps") for clip in earlier["clips"]} if earlier else {}
    for video in (clip.video for clip in plan.clips):
        if (before := rate_by_sha256.get(video.sha256)) not in (None, video.fps):
            raise ForeignOutput(
                f"{video.name}: {video.fps:.9g} fps, but {out} was built with it at {before:.9g} fps",
                f"give its rate again, {video.name}@{before:.9g} (or in clips.toml), or use another output folder",
            )
