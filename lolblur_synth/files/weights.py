"""Reads and writes weight files: bundled ones by name (`darken-slim`), a user's own by path. No other module does.

Safetensors is the format of this package. A `.pth` of the published networks is read with `weights_only=True`, from
torch 2.10 on (CVE-2025-32434, CVE-2026-24747). Checkpoints of other trainers may nest the weights among other things,
hold their moving average too, and prefix all names (`module.`, `_orig_mod.`, `net.`): the table that fits is used, an
averaged one first. A file is compared with the network (names, shapes, types, storage, finiteness) before anything is
copied, so that a malformed or hostile file is rejected with one line and changes nothing.
"""

import hashlib
import json
import struct
import warnings
import zipfile
from importlib import resources
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from lolblur_synth.errors import WeightsError, listed
from lolblur_synth.files import atomic
from lolblur_synth.files.weight_tables import Rename, Table, spellings, tables_in

SAFE_PICKLE = (2, 10)  # first torch whose weights_only unpickler has no known hole
CONVERTED = (torch.float16, torch.bfloat16, torch.float64)  # converted to float32 where its range suffices
SPARE_BYTES = 64 << 20  # for the header, and for what else a checkpoint holds besides tensors
COPIES = 8  # of the weights in one file: moving averages, the state of an optimiser
BUNDLED = Path(str(resources.files("lolblur_synth"))) / "weights"


def bundled() -> dict[str, Path]:
    """The weights that come with the package, name -> file; `cycleisp-lite/ccm_joint` is one of three in a folder."""
    files = sorted(BUNDLED.rglob("*.safetensors"))
    return {file.relative_to(BUNDLED).with_suffix("").as_posix(): file for file in files}


def folder(name_or_path: str) -> Path:
    """The folder of several networks: bundled by its name, or any by its path, which need not exist."""
    inside = BUNDLED / Path(name_or_path).name
    return inside if name_or_path and inside.name == name_or_path and inside.is_dir() else Path(name_or_path)


def resolve(name_or_path: str | Path) -> Path:
    """A bundled name, or the path of a user's file, to an existing file. Raises WeightsError."""
    known = bundled()
    if str(name_or_path) in known:
        return known[str(name_or_path)]
    path = Path(name_or_path)
    if path.is_file():
        return path
    names = ", ".join(known) or "none"
    raise WeightsError(f"{name_or_path}: no such weights", f"give a file, or one of the bundled weights: {names}")


def sha256(name_or_path: str | Path) -> str:
    """sha256 of the file, lower-case hex; a manifest names a network by it."""
    return atomic.sha256(resolve(name_or_path))


def about(name_or_path: str | Path) -> dict:
    """The `about` that `save` stored with the weights; empty for files of other programs. Raises WeightsError."""
    path = resolve(name_or_path)
    if not _is_safetensors(path):
        return {}
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads((file.metadata() or {}).get("about", "{}"))
    except (SafetensorError, json.JSONDecodeError, RecursionError) as error:
        raise WeightsError(f"{path}: not a readable safetensors file", _one_line(error)) from error
    if not isinstance(facts, dict):
        raise WeightsError(f"{path}: its header does not say how it was made", "save the weights again")
    return facts


def load(module: nn.Module, name_or_path: str | Path, rename: Rename | None = None, optional: str = "") -> str:
    """Fill `module` in place, strictly: every parameter and buffer once, nothing left over. Returns the file's sha256.

    rename: maps a name in the file to the name in the module, or to None where the module has no use for it.
    optional: parameters whose names begin with it may be absent from the file, and then keep their values.
    Denormal weights become zero: they have no effect but to make a CPU many times slower.
    Raises WeightsError, with the module untouched.
    """
    path = resolve(name_or_path)
    own = module.state_dict()
    limit = COPIES * sum(tensor.nbytes for tensor in own.values()) + SPARE_BYTES
    if _unpacked(path) > limit:
        raise WeightsError(f"{path}: holds over {limit >> 20} MiB, too much for {type(module).__name__}", _HINT)
    digest = sha256(path)
    content = _read(path) if _is_safetensors(path) else _unpickle(path)
    table = _fitting(path, module, content, own, rename, optional)
    for name, tensor in table.items():
        _check(path, module, name, tensor, own)
    missing = _missing(own, table, optional)
    if missing:
        raise WeightsError(f"{path}: lacks {listed(missing)} of {type(module).__name__}", _HINT)
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(_flushed(table.get(name, tensor).to(tensor.dtype)))
    return digest


def save(module: nn.Module, path: str | Path, about: dict) -> str:
    """Write safetensors, whole or not at all (`atomic.write`). Returns the sha256.

    about: JSON-able facts, kept in the header. Same weights and facts, same bytes.
    """
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in module.state_dict().items()}
    data = to_bytes(tensors, {"about": json.dumps(about, sort_keys=True)})
    atomic.write(path, data)
    return hashlib.sha256(data).hexdigest()


_HINT = "check that the file belongs to this network (`lolblur-synth weights ls` lists the bundled ones)"


def _unpacked(path: Path) -> int:
    """Bytes that the content of a file takes in memory; torch's zip archives may be compressed. Raises WeightsError."""
    if not zipfile.is_zipfile(path):
        return path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            return sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, struct.error, NotImplementedError, EOFError) as error:
        raise WeightsError(f"{path}: not a file of plain weights", _one_line(error)) from error


def _is_safetensors(path: Path) -> bool:
    """Judged by the content, or by the suffix where the content is of neither kind."""
    with path.open("rb") as file:
        head = file.read(9)
    if head[:4] == b"PK\3\4":  # a zip archive, as torch.save writes it
        return False
    return head[8:] == b"{" or path.suffix == ".safetensors"  # 8 bytes of length, then JSON


def _read(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise WeightsError(f"{path}: not a readable safetensors file", _one_line(error)) from error


def _unpickle(path: Path) -> dict[str, Tensor]:
    """The state dict inside a .pth, without running any code of it."""
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < SAFE_PICKLE:
        raise WeightsError(f"{path}: .pth files need torch 2.10 or newer", "update torch, or convert the file")
    try:
        with path.open("rb") as file, warnings.catch_warnings(action="ignore"):  # about old pickles: read, or refused
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a hostile pickle may raise anything
        raise WeightsError(
            f"{path}: not a file of plain weights",
            "it is damaged, or holds objects beside tensors, whose code is never run; save the state_dict alone",
        ) from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path}: holds no table of weights", _HINT)
    return content


def _fitting(path: Path, module: nn.Module, content: dict, own: dict[str, Tensor], rename: Rename | None,
             optional: str) -> dict[str, Tensor]:  # fmt: skip
    """The table of the file whose names and shapes are the module's; where none fits, the one that comes closest.

    Of several that fit the averaged one is taken, else the least nested one. Raises WeightsError where two of these
    differ, and where there is no table.
    """
    tables = [table for keys, tensors in tables_in(content) for table in spellings(keys, tensors, rename)]
    if not tables:
        raise WeightsError(f"{path}: holds no table of weights", _HINT)

    def likeness(table: Table) -> int:
        return sum(1 + (tensor.shape == own[name].shape) for name, tensor in table.tensors.items() if name in own)

    fitting = [table for table in tables if likeness(table) == 2 * len(table.tensors) and not
               _missing(own, table.tensors, optional)]  # fmt: skip
    if not fitting:
        return max(tables, key=likeness).tensors
    fitting = [table for table in fitting if table.averaged] or fitting
    depth = min(len(table.keys) for table in fitting)
    first, *others = [table for table in fitting if len(table.keys) == depth]
    for table in (first, *others) if others else ():
        for name, tensor in table.tensors.items():
            _check(path, module, name, tensor, own)
        if not all(torch.equal(tensor.float(), first.tensors[name].float()) for name, tensor in table.tensors.items()):
            places = " and ".join(repr(".".join(found.keys))[:80] for found in (first, table))
            raise WeightsError(f"{path}: its tables {places} both fit {type(module).__name__}, and differ",
                               "save the one that is meant in a file of its own")  # fmt: skip
    return first.tensors


def _missing(own: dict[str, Tensor], tensors: dict[str, Tensor], optional: str) -> list[str]:
    return sorted(name for name in own.keys() - tensors.keys() if not (optional and name.startswith(optional)))


def _check(path: Path, module: nn.Module, name: str, tensor: Tensor, own: dict[str, Tensor]) -> None:
    """Raise unless `tensor` can be copied into the module's `name`. The values are read last."""
    if name not in own:
        raise WeightsError(f"{path}: has {name!r:.80}, which {type(module).__name__} has not", _HINT)
    if tensor.shape != own[name].shape:
        shapes = f"{tuple(tensor.shape)} where {type(module).__name__} has {tuple(own[name].shape)}"
        raise WeightsError(f"{path}: {name} is {shapes}", _HINT)
    kind = own[name].dtype
    if tensor.dtype != kind and not (kind == torch.float32 and tensor.dtype in CONVERTED):
        raise WeightsError(f"{path}: {name} is {tensor.dtype}, not {kind}", "convert the weights first")
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or _overlaps(tensor):
        raise WeightsError(f"{path}: {name} is not stored value by value", "save the weights again, contiguous")
    if not torch.isfinite(tensor).all():
        raise WeightsError(f"{path}: {name} holds NaN or infinite values", "use another file")
    if not torch.isfinite(tensor.to(kind)).all():
        raise WeightsError(f"{path}: {name} holds values too large for {kind}", "use another file")


def _overlaps(tensor: Tensor) -> bool:
    """Whether two elements share a place in memory; any order of the axes (channels last) and any gaps are fine."""
    reach = 0  # places that the inner axes span
    for stride, size in sorted((stride, size) for stride, size in zip(tensor.stride(), tensor.shape, strict=True)
                               if size > 1):  # fmt: skip
        if stride <= reach:
            return True
        reach += stride * (size - 1)
    return False


def _flushed(tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    return torch.where(tensor.abs() < torch.finfo(tensor.dtype).tiny, 0, tensor)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
