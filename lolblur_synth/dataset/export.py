"""The tool behind `lolblur-synth export`: a dataset in the formats that training codes read.

    flat         DEST/SPLIT/FOLDER/0000_0000.png, and DEST/meta_info_SPLIT.txt (BasicSR's list of names)
    lmdb         DEST/SPLIT/FOLDER.lmdb with its meta_info.txt, as BasicSR's lmdb backend reads it
    webdataset   DEST/SPLIT-000000.tar: 0000_0000.FOLDER.png and 0000_0000.json, pairs of a clip together
    huggingface  DEST/SPLIT/FOLDER/0000_0000.png and DEST/SPLIT/metadata.jsonl, as its imagefolder loader reads it;
                 DEST/README.md, the dataset card (huggingface.py)

The PNGs are copied byte for byte, and each is compared with its checksum. The same dataset gives the same bytes, since
tars carry no time and no user. DEST appears complete or not at all; in a store `export.json` is written last.
"""

import contextlib
import hashlib
import io
import itertools
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lolblur_synth import __version__
from lolblur_synth.dataset import huggingface, layout, manifest, targets
from lolblur_synth.dataset.pair_folders import PAIR
from lolblur_synth.dataset.verify import open_output
from lolblur_synth.errors import Damaged, UsageError
from lolblur_synth.files import atomic

SHARD_PAIRS = 500  # pairs a tar: about 2 GB of two folders at 1120x640
MAP_SIZE = 1 << 40  # address space of an LMDB; its file is as large as its content

Progress = Callable[[int, int], None]  # pairs done, pairs in all


def export(
    out: Path, target: str | Path, form: str, folders: Sequence[str] = layout.FOLDERS,
    progress: Progress = lambda done, total: None,
) -> int:  # fmt: skip
    """Write the dataset `out` as `form` into the new folder `target`, a path or a URL; returns the number of pairs.

    form: a key of FORMS or of OTHER_NAMES; folders: which of the five images.
    Raises ForeignOutput (out is no dataset, or target exists), Damaged, NoSpace, UsageError.
    """
    form = form_called(form)
    open_output(out)
    unknown = [folder for folder in folders if folder not in layout.FOLDERS]
    if unknown or not folders:
        raise UsageError(f"no folder is called {','.join(unknown)!r}", f"known: {', '.join(layout.FOLDERS)}")
    if isinstance(target, Path) and target.resolve().is_relative_to(out.resolve()):
        raise UsageError(f"the output {target} is inside the dataset {out}", "choose an output folder elsewhere")
    targets.check(target)
    records = manifest.read(out)
    if not records:
        raise UsageError(f"{out} has no pairs yet", "run `lolblur-synth build` first")
    if form == "huggingface":
        for record in records:
            huggingface.check(record)
    done = itertools.count(1)
    identity = {"format": form, "folders": list(folders), "pairs": len(records), "version": __version__,
                "manifest": atomic.sha256(out / manifest.NAME)}  # fmt: skip
    with targets.opened(target, identity) as place:
        for split in layout.SPLITS:
            chosen = [record for record in records if record["split"] == split]
            if chosen:
                FORMS[form](out, place, split, _counted(chosen, done, len(records), progress), folders)
        if form == "huggingface":
            place.write("README.md", huggingface.card(out, records, folders, out.resolve().name).encode())
    return len(records)


def _counted(chosen: list[dict], done: Iterator[int], total: int, progress: Progress) -> Iterator[dict]:
    for record in chosen:
        yield record
        progress(next(done), total)


def _flat(out: Path, target: targets.Target, split: str, records: Iterator[dict], folders: Sequence[str]) -> None:
    lines = []
    for record in records:
        for folder in folders:
            data = _png(out, record, folder)
            target.write(f"{split}/{folder}/{_name(record)}.png", data)
        lines.append(f"{_name(record)}.png {_shape(data)}\n")
    target.write(f"meta_info_{split}.txt", "".join(lines).encode())


def _lmdb(out: Path, target: targets.Target, split: str, records: Iterator[dict], folders: Sequence[str]) -> None:
    try:
        import lmdb
    except ImportError:
        raise UsageError("lmdb is not installed", "pip install 'lolblur-synth[export]'") from None
    with contextlib.ExitStack() as stack:
        places = {folder: stack.enter_context(target.local(f"{split}/{folder}.lmdb")) for folder in folders}
        stores = {folder: lmdb.open(str(place), map_size=MAP_SIZE) for folder, place in places.items()}
        lines: dict[str, list[str]] = {folder: [] for folder in folders}
        try:
            for record in records:
                for folder, store in stores.items():
                    data = _png(out, record, folder)
                    with store.begin(write=True) as transaction:
                        transaction.put(_name(record).encode(), data)
                    lines[folder].append(f"{_name(record)}.png {_shape(data)} 1\n")
        except lmdb.Error as error:
            raise UsageError(f"{split}: {error}", "LMDB could not be written; is the disk full?") from error
        finally:
            for store in stores.values():
                store.close()
        for folder, place in places.items():
            (place / "lock.mdb").unlink(missing_ok=True)
            (place / "meta_info.txt").write_bytes("".join(lines[folder]).encode())


def _webdataset(out: Path, target: targets.Target, split: str, records: Iterator[dict], folders: Sequence[str]) -> None:
    for shard in itertools.count():
        first = next(records, None)
        if first is None:
            return
        with (
            target.local(f"{split}-{shard:06d}.tar") as path,
            tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive,
        ):
            for record in itertools.chain([first], itertools.islice(records, SHARD_PAIRS - 1)):
                for folder in folders:
                    _add(archive, f"{_name(record)}.{folder}.png", _png(out, record, folder))
                _add(archive, f"{_name(record)}.json", layout.to_json(record))


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add a file without this machine's time and user: the defaults of TarInfo are time 0, user 0 and mode 0644."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def _huggingface(
    out: Path, target: targets.Target, split: str, records: Iterator[dict], folders: Sequence[str]
) -> None:
    rows = []
    for record in records:
        places = {folder: f"{folder}/{_name(record)}.png" for folder in folders}
        for folder, place in places.items():
            target.write(f"{split}/{place}", _png(out, record, folder))
        rows.append(huggingface.row(record, places))
    target.write(f"{split}/metadata.jsonl", b"".join(rows))


FORMS = {"flat": _flat, "lmdb": _lmdb, "webdataset": _webdataset, "huggingface": _huggingface}
OTHER_NAMES = {"basicsr": "flat", "wds": "webdataset", "hf": "huggingface"}  # what users of those codes call them


def how_to_load(form: str, target: Path, folders: Sequence[str]) -> str:
    """One line: what to write where a training reads the export."""
    place = target.resolve()
    if form == "huggingface":
        return f"datasets.load_dataset('imagefolder', data_dir={str(place)!r})"
    if form == "webdataset":
        split = next(split for split in layout.SPLITS if (place / f"{split}-000000.tar").is_file())
        last = len(list(place.glob(f"{split}-*.tar"))) - 1
        numbers = f"{{000000..{last:06d}}}" if last else "000000"
        return f"webdataset.WebDataset({f'{place}/{split}-{numbers}.tar'!r}, shardshuffle=False).decode('rgb')"
    split = next(split for split in layout.SPLITS if (place / split).is_dir())
    low = PAIR[0] if PAIR[0] in folders else folders[0]
    high = PAIR[1] if PAIR[1] in folders else folders[-1]
    suffix, backend = (".lmdb", "lmdb") if form == "lmdb" else ("", "disk")
    listed = "" if form == "lmdb" else f", meta_info_file: {place}/meta_info_{split}.txt"
    roots = f"dataroot_lq: {place}/{split}/{low}{suffix}, dataroot_gt: {place}/{split}/{high}{suffix}"
    return f"BasicSR, PairedImageDataset: {roots}{listed}, io_backend: {{type: {backend}}}"


def form_called(name: str) -> str:
    """The key of FORMS for a format's name or its other name. Raises UsageError."""
    form = OTHER_NAMES.get(name.lower(), name.lower())
    if form not in FORMS:
        raise UsageError(f"no format is called {name!r}", f"known: {', '.join([*FORMS, *OTHER_NAMES])}")
    return form


def _name(record: dict) -> str:
    """0000/0000 -> 0000_0000, a name that is unique without its folder."""
    return record["pair"].replace("/", "_")


def _png(out: Path, record: dict, folder: str) -> bytes:
    path = layout.image_path(out, record["split"], folder, *record["pair"].split("/"))
    try:
        data = path.read_bytes()
    except OSError:
        data = b""
    if hashlib.sha256(data).hexdigest() != record.get("sha256", {}).get(folder, {}).get("file"):
        raise Damaged(f"{path} is missing or was changed after it was built", "`lolblur-synth build` makes it again")
    return data


def _shape(png: bytes) -> str:
    """`(640,1120,3)`, from the header of an RGB PNG."""
    width, height = int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
    return f"({height},{width},3)"
