"""Finds the weights in a trainer's checkpoint: the tables that may hold them, and how their names may be spelled.

No file is opened here; weights.py compares the candidates with the network.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from torch import Tensor

DEPTH = 8  # most levels of nested tables, and most prefixes of a name
COUNTS = ("n_averaged", "num_updates")  # counters of torch.optim.swa_utils.AveragedModel and its like, no weights
COMPILED = "_orig_mod."  # prefix that torch.compile adds to a module, so that it may be in the middle of a name
Rename = Callable[[str], str | None]


class Table(NamedTuple):
    """Weights in a file. keys: the path to them, () at the top; tensors: by the module's names."""

    keys: tuple[str, ...]
    tensors: dict[str, Tensor]

    @property
    def averaged(self) -> bool:
        """Whether a key names a moving average: params_ema, state_dict_ema, model_ema, EMA."""
        return any(re.search(r"(^|[^a-z])ema([^a-z]|$)|averag", key.lower()) or "EMA" in key for key in self.keys)


def tables_in(content: dict) -> Iterator[tuple[tuple[str, ...], dict[str, Tensor]]]:
    """The keys and the tensors of every dict in the content that has tensors under names, outer ones first.

    Tables of an optimiser are left out: its averages may have the names and shapes of the weights.
    """
    seen, level = set(), [((), content)]
    while level:
        deeper = []
        for keys, table in level:
            if id(table) in seen:  # a hostile file may hold a dict that holds itself
                continue
            seen.add(id(table))
            tensors = {name: value for name, value in table.items() if isinstance(name, str)
                       and isinstance(value, Tensor) and name.rpartition(".")[2] not in COUNTS}  # fmt: skip
            if tensors or not content:
                yield keys, tensors
            deeper += [((*keys, str(key)), value) for key, value in table.items() if isinstance(value, dict)
                       and len(keys) < DEPTH and not str(key).startswith("optim")]  # fmt: skip
        level = deeper


def spellings(keys: tuple[str, ...], tensors: dict[str, Tensor], rename: Rename | None) -> Iterator[Table]:
    """A table with the names as in the file, then with one more common prefix removed each time."""
    names = {name: name for name in tensors}  # as the module may call it -> in the file
    for _ in range(DEPTH):
        yield Table(keys, {new: tensors[name] for spelled, name in names.items()
                           if (new := rename(spelled) if rename else spelled) is not None})  # fmt: skip
        plain = {spelled.replace(COMPILED, ""): name for spelled, name in names.items()}
        words = {spelled.partition(".")[0] for spelled in names}
        if plain.keys() == names.keys():
            if len(words) != 1 or not all("." in spelled for spelled in names):
                return
            plain = {spelled.partition(".")[2]: name for spelled, name in names.items()}
        if len(plain) < len(names):  # two names would become one
            return
        names = plain
