"""A folder of frames is one sequence, in the order of the numbers in the file names, or it is rejected.

All frames have one format (.jpg, .JPG and .jpeg are one), names that differ in one number, and a constant step between
these numbers, 1 or any other. The number may be a decimal time stamp (1305031102.02 comes after 1305031102.004). Where
frames may be out of order, double or missing, InputError is raised: an exposure across such a place is wrong.
"""

import os
import re
from pathlib import Path

import numpy as np

from lolblur_synth.errors import InputError
from lolblur_synth.files import listing
from lolblur_synth.files.video.names import IMAGE_SUFFIXES, OTHER_IMAGES, image_format, safe_name
from lolblur_synth.files.video.timing import check_rate
from lolblur_synth.recipe.schema import InputConfig

KNOWN = frozenset((*IMAGE_SUFFIXES, *OTHER_IMAGES))
FIELD = re.compile(r"([0-9]+)")
DECIMAL = re.compile(r"(.*?)([0-9]+)(?:\.([0-9]+))?([^0-9]*)", re.DOTALL)  # prefix, whole part, fraction, tail
SIGNED = re.compile(r"(.*?)(-?)([0-9]+)([^0-9]*)", re.DOTALL)  # prefix, sign, number, tail
TIME_STEP = 4  # units of the last digit: names that rise unevenly by less count frames, by more they are rounded times
GAPS_NAMED = 3  # in a message
MAX_SPAN = 2**62  # between the numbers in a folder, so that int64 holds their differences
SEPARATE = "put each sequence into a folder of its own, or remove what does not belong to it"
GAP_HINT = "extract or copy the frames again, or give those before and after each gap as folders of their own"
STAMP_HINT = "give frames at a constant rate; a small jitter is admitted by input.max_jitter"
NUMBER_HINT = "name the frames by one number: 000000.png, 000001.png, …"


def image_files(folder: Path) -> list[Path]:
    """The images directly in `folder` that can be read, in natural order (2.png before 10.png). Raises InputError.

    For photographs; `frames_of` lists frames that follow each other in time.
    """
    return sorted(listing.files(folder, IMAGE_SUFFIXES), key=_natural)


def frames_of(folder: Path, name: str = "", max_jitter: float = InputConfig.max_jitter) -> list[Path]:
    """The frames directly in `folder`, in time order; a single image, and none, need no number.

    name: of the folder, for messages. max_jitter: largest deviation of a time stamp in a name from a constant rate, in
    frame intervals, beyond the rounding to its last digit. Sub-folders, system files and files that are no images do
    not matter. Raises InputError, whose `reason` is one of
        vfr          numbers are missing, or time stamps are not at a constant rate
        twins        two files have the same number: 0010.png and 0010.jpg, 10.png and 0010.png
        mixed        several formats, or names of several kinds: two sequences, or copies such as `0010 (1).png`
        unnumbered   several images whose names do not tell their order
        format       images of a format that is not read
        dangling     a link to a file that is not there
        not-regular  a pipe, socket or device with the name of an image
        unreadable   the folder cannot be listed
    """
    name = name or safe_name(folder, folder)
    files = _of_one_format(folder, name)
    if len(files) < 2:
        return files
    numbers, is_decimal = _numbers(files, name)
    ordered = sorted(zip(numbers, files, strict=True))
    values, files = [value for value, _ in ordered], [file for _, file in ordered]
    for before, after, one, two in zip(values, values[1:], files, files[1:], strict=False):
        if before == after:
            raise InputError(f"{name}: {_both(one, two)} have the same number", "keep one of them", "twins")
    _check_steps(values, files, name, is_decimal, max_jitter)
    return files


def _natural(path: Path) -> tuple:
    parts = FIELD.split(path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], os.fsencode(path.name)


def _both(one: Path, two: Path) -> str:
    return f"{safe_name(one, one)} and {safe_name(two, two)}"


def _of_one_format(folder: Path, name: str) -> list[Path]:
    """Every image of the folder. Raises InputError unless all are regular files of one readable format."""
    try:
        entries = listing.entries(folder)
    except OSError as error:
        raise InputError(f"{name}: {error.strerror}", "check the path and its permissions") from error
    first: dict[str, Path] = {}  # of each format
    stems: dict[str, tuple[str, Path]] = {}
    files = []
    for path, kind in entries:
        stem, suffix = os.path.splitext(path.name)
        form = image_format(suffix)
        if form not in KNOWN or kind in (listing.FOLDER, listing.LINKED_FOLDER):
            continue
        if kind == listing.DANGLING:
            raise InputError(f"{name}: {safe_name(path, path)} is a {kind}", listing.FETCH, "dangling")
        if kind != listing.FILE:
            raise InputError(f"{name}: {safe_name(path, path)} is a {kind}, not a regular file; it was not opened",
                             "remove it", "not-regular")  # fmt: skip
        other_form, other = stems.setdefault(stem.casefold(), (form, path))
        if other_form != form:
            raise InputError(f"{name}: {_both(other, path)} have the same name", "keep one of them", "twins")
        first.setdefault(form, path)
        files.append(path)
    if len(first) > 1:
        one, two, *_ = first.values()
        raise InputError(f"{name}: images of several formats, {_both(one, two)}, but a sequence has one",
                         "convert the frames to one format, or remove what is no frame", "mixed")  # fmt: skip
    for form, path in first.items():
        if form not in IMAGE_SUFFIXES:
            raise InputError(f"{name}: {form} images ({safe_name(path, path)}) are not read",
                             "convert them to PNG or TIFF", "format")  # fmt: skip
    return files


def _numbers(files: list[Path], name: str) -> tuple[list[int], bool]:
    """The number in each name, and whether it is a decimal fraction; then it is in units of its last digit.

    In this order: a field that counts evenly is the number; else a decimal number as one value, unless two names would
    get the same value (2.1 and 2.10); else the only field that varies, or the one that counts evenly while the others
    never fall (a counter beside a date). Frames before a trigger have negative numbers.
    """
    stems = [file.stem.casefold() for file in files]
    if (signed := _signed(stems)) is not None:
        return signed, False
    parts = [FIELD.split(stem) for stem in stems]  # text, digits, text, digits, ..., text
    is_one_kind = len({tuple(part[::2]) for part in parts}) == 1
    columns = (
        [list(map(int, column)) for column in zip(*(part[1::2] for part in parts), strict=True)] if is_one_kind else []
    )
    varying = [column for column in columns if len(set(column)) > 1]
    if len(varying) == 1 and _is_even(varying[0]):
        return varying[0], False
    stamps = _decimals(stems)
    if stamps is not None and not (len(set(stamps)) < len(stamps) and len(varying) == 1 and _is_dense(varying[0])):
        return stamps, True
    if is_one_kind and not varying:  # 10.png and 0010.png, a.png and a.PNG
        return [0] * len(files), False
    counters = varying if len(varying) == 1 else [c for c in varying if _is_even(c) and _never_fall(c, varying)]
    if counters:
        return counters[0], False
    raise _no_order(files, parts, columns, name)


def _is_even(values: list[int]) -> bool:
    ordered = sorted(values)
    return ordered[1] > ordered[0] and len({b - a for a, b in zip(ordered, ordered[1:], strict=False)}) == 1


def _is_dense(values: list[int]) -> bool:
    """Whether more than half of the numbers from first to last are there, and each once: a counter with gaps."""
    return len(set(values)) == len(values) and max(values) - min(values) < 2 * len(values)


def _never_fall(counter: list[int], columns: list[list[int]]) -> bool:
    """Whether the other fields, compared as date and time are, never fall when frames are ordered by `counter`."""
    others = zip(*(column for column in columns if column is not counter), strict=True)
    rows = [row for _, row in sorted(zip(counter, others, strict=True))]
    return all(before <= after for before, after in zip(rows, rows[1:], strict=False))


def _signed(stems: list[str]) -> list[int] | None:
    """The last number of each name if some are negative; None where every `-` may be a hyphen, as in shot-0001."""
    matches = [SIGNED.fullmatch(stem) for stem in stems]
    if not all(matches) or len({(match[1], match[4]) for match in matches}) > 1:
        return None
    prefix, signs = matches[0][1], {match[2] for match in matches}
    if "-" not in signs or signs == {"-"} and prefix and prefix[-1] not in "_.":
        return None
    return [-int(match[3]) if match[2] else int(match[3]) for match in matches]


def _decimals(stems: list[str]) -> list[int] | None:
    """Decimal numbers in units of their last digit; None where the names hold none, or differ elsewhere as well."""
    matches = [DECIMAL.fullmatch(stem) for stem in stems]
    if not all(matches) or len({(match[1], match[4]) for match in matches}) > 1:
        return None
    digits = max(len(match[3] or "") for match in matches)
    if digits == 0:
        return None
    return [int(match[2] + (match[3] or "").ljust(digits, "0")) for match in matches]


def _no_order(files: list[Path], parts: list[list[str]], columns: list[list[int]], name: str) -> InputError:
    """Why the names give no order, with two files as the example."""
    for file, part in zip(files, parts, strict=True):
        if len(part) == 1:
            other = next(path for path in files if path is not file)
            return InputError(f"{name}: {safe_name(file, file)} has no number, so that its place beside "
                              f"{safe_name(other, other)} is not known", NUMBER_HINT, "unnumbered")  # fmt: skip
    if not columns:  # several kinds of names
        kinds = {tuple(part[::2]): file for file, part in zip(reversed(files), reversed(parts), strict=True)}
        one, *_, two = sorted(kinds.values(), key=lambda path: (len(path.name), path.name))
        one = next((path for path in files if path != two and two.stem.startswith(path.stem)), one)
        return InputError(
            f"{name}: {_both(one, two)} are names of two kinds: two sequences, or a copy", SEPARATE, "mixed"
        )
    counter = next(column for column in reversed(columns) if len(set(column)) > 1)
    file_by_number: dict[int, Path] = {}
    for number, file in zip(counter, files, strict=True):
        if (other := file_by_number.setdefault(number, file)) is not file:
            return InputError(f"{name}: {_both(other, file)} have the same number {number}: two sequences", SEPARATE,
                              "mixed")  # fmt: skip
    return InputError(f"{name}: several numbers change from {safe_name(files[0], files[0])} to "
                      f"{safe_name(files[-1], files[-1])}, so that the order is not known", NUMBER_HINT,
                      "unnumbered")  # fmt: skip


def _check_steps(values: list[int], files: list[Path], name: str, is_decimal: bool, max_jitter: float) -> None:
    """Raise InputError (vfr) unless sorted, distinct `values` rise by a constant step, or are evenly rounded times."""
    if values[-1] - values[0] >= MAX_SPAN:
        raise InputError(f"{name}: the numbers of {_both(files[0], files[-1])} are too far apart to count frames",
                         NUMBER_HINT, "unnumbered")  # fmt: skip
    stamps = np.array([value - values[0] for value in values])
    steps = np.diff(stamps)
    step = steps.min()
    if (steps == step).all():
        return
    if (steps % step == 0).all():
        raise _missing(values, files, name, int(step), is_decimal)
    if step < TIME_STEP:
        raise InputError(f"{name}: the frame rate is not constant: the numbers in the names rise by {step} to "
                         f"{steps.max()}", NUMBER_HINT, "vfr")  # fmt: skip
    try:
        check_rate(stamps, name, max_jitter)
    except InputError as error:
        hint = GAP_HINT if " dropped " in str(error).removeprefix(name) else STAMP_HINT
        raise InputError(str(error), hint, error.reason) from None


def _missing(values: list[int], files: list[Path], name: str, step: int, is_decimal: bool) -> InputError:
    """The error that names the gaps between numbers, the first few of them."""
    gaps = [index for index in range(len(values) - 1) if values[index + 1] - values[index] > step]
    words = []
    for index in gaps[:GAPS_NAMED]:
        first, last = values[index] + step, values[index + 1] - step
        if is_decimal:
            count = (last - first) // step + 1
            lost = "a frame is" if count == 1 else f"{count} frames are"
        else:
            lost = f"frame {first} is" if first == last else f"frames {first} to {last} are"
        words.append(f"{lost} missing between {_both(files[index], files[index + 1])}")
    if len(gaps) > GAPS_NAMED:
        words.append(f"and {len(gaps) - GAPS_NAMED} more gaps")
    text, hint = f"{name}: the frame rate is not constant: {', '.join(words)}", GAP_HINT
    digits = FIELD.findall(files[-1].stem)[-1]
    if len(gaps) == 1 and values[0] <= step and set(digits) == {"9"}:
        text += "; did the counter roll over?"
        hint = "rename the frames so that their numbers go on rising, or give the two parts as folders of their own"
    return InputError(text, hint, "vfr")
