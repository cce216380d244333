"""The tool behind `lolblur-synth report`: one HTML page that shows a dataset to a person, without network.

figures   what the images measure, and thumbnails     columns    the numbers and words of every pair
warnings  what a user should look at                  page       the page itself; its text, style and scripts: assets/
"""

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path

from lolblur_synth.dataset import layout, manifest, verify
from lolblur_synth.dataset.report import figures, page
from lolblur_synth.errors import UsageError
from lolblur_synth.files import atomic

EMBEDDED_PAIRS = 200  # of more pairs than this the thumbnails are files beside the page


def write(
    out: Path,
    target: Path | None = None,
    *,
    jobs: int = 1,
    quick: bool = False,
    progress: Callable[[Iterable, int], Iterable] = lambda items, total: items,
) -> Path:
    """Write the report of the dataset `out` to `target`, out/report.html by default; returns its path.

    Thumbnails of more than EMBEDDED_PAIRS pairs, and what the images measured, are written to a folder beside the page
    with its name without suffix; a later report measures only what changed. A missing image is a warning on the page.

    jobs: processes that measure. quick: nothing is measured, only what an earlier report did is shown. progress: called
    with the Figures as they come and their number, returns them. Raises ForeignOutput (no dataset), UsageError (no
    pairs yet, or a name that leaves no folder for the thumbnails).
    """
    state, pairs = verify.status(out), manifest.read(out)
    if not pairs:
        raise UsageError(f"{out} has no pairs yet", "run `lolblur-synth build` first")
    path = target or out / "report.html"
    folder = _thumbnail_folder(out, path) if len(pairs) > EMBEDDED_PAIRS else None
    with contextlib.closing(figures.collect(out, pairs, folder, jobs, quick)) as stream:
        measured = list(progress(stream, len(pairs)))
    text = page.render(page.Place(out, path, folder), pairs, measured, state)
    atomic.write(path, text.encode("utf-8", "backslashreplace"))  # a file name may hold bytes that are no text
    return path


def _thumbnail_folder(out: Path, path: Path) -> Path:
    """The new or old folder report/ of the page report.html. Raises UsageError."""
    folder = path.with_suffix("")
    if folder == path or folder.is_file():
        raise UsageError(f"{path}: no place for a folder of thumbnails beside it", "name another .html file")
    if folder.is_symlink():  # in the dataset of a stranger it may lead anywhere
        raise UsageError(f"{folder} is a link; the thumbnails would be written behind it",
                         "remove it, or name another .html file")  # fmt: skip
    if folder.resolve() in [(out / name).resolve() for name in (*layout.SPLITS, layout.STATE)]:
        raise UsageError(f"{path}: its thumbnails would lie among the images", "name another .html file")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
