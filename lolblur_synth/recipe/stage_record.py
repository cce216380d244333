"""A stage of a user as a recipe holds it: plain values, so that a recipe can be compared, stored and sent to a worker.

Reading, comparing and writing recipes runs no code of a user. `recipes.import_stages` does, and nothing else.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any


def _apart(default: Any) -> Any:
    """A field that two equal stages may differ in: where the code lies, and what is known of it by now."""
    return dataclasses.field(default=default, compare=False, repr=False)


@dataclass(frozen=True)
class UserStage:
    """One entry of `stages` in a recipe. Two are equal where name, code, place and values are.

    name      of the stage and of its section
    sha256    of the source: the one that the section states, or else that of the file; "" where there is neither
    after     the built-in stage after which it stands; "" as long as only its code says so
    values    (option, value), sorted; those that the recipe states until it is imported, from then on all of them
    target    "fog.py:fog", the path relative to the recipe; or the name of an installed stage
    code      "fog" of "fog.py:fog"; "package.module:fog" of an installed stage
    path      of its file; "" for an installed stage
    source    the text of its file; "" where there is none
    found     sha256 of the source that is there now; "" where there is none
    origins   (option, file and line), for messages
    notes     (option, meaning and range), once it is imported
    imported  whether its values were checked against its code
    """

    name: str
    sha256: str
    after: str
    values: tuple[tuple[str, Any], ...]
    target: str = _apart("")
    code: str = _apart("")
    path: str = _apart("")
    source: str = _apart("")
    found: str = _apart("")
    origins: tuple[tuple[str, str], ...] = _apart(())
    notes: tuple[tuple[str, str], ...] = _apart(())
    imported: bool = _apart(False)
