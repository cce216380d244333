"""A fingerprint of an input's files, to notice that they changed without reading them as a whole."""

import hashlib
import os
from pathlib import Path

from lolblur_synth.files.video.capture import sidecar
from lolblur_synth.files.video.inputs import Input
from lolblur_synth.files.video.sequence import image_files

SAMPLE_BYTES = 65536  # read at the start, in the middle and at the end of a file


def stamp(source: Input) -> str:
    """The fingerprint of an input's files: sha256, lower-case hex. Raises OSError.

    It covers size, inode, time of the last write (mtime) and time of the last change (ctime) of each file, and samples
    of the content. Tools can set the mtime (`cp -p`, `rsync -t`, `touch`), no program can set the ctime; the samples
    are for file systems without ctime (FAT, some network ones). Another stamp does not prove another content: a new
    link to the file, other permissions and a copy on another machine change it too. Of an input in a store it is what
    the store tells.
    """
    if source.remote is not None:
        return source.remote.version
    if source.kind == "video":
        files = [source.path, *filter(None, [sidecar(source.path)])]  # the sidecar may tell the capture rate
    else:
        files = image_files(source.path)
    lines = []
    for file in files:
        status = os.stat(file)
        lines.append((os.fsencode(file.name), status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns))
    sampled = files[:: max(1, len(files) // 2)]  # the first frame, one in the middle, one near the end
    samples = [_sample(file) for file in sampled]
    return hashlib.sha256(repr((lines, samples)).encode()).hexdigest()


def _sample(file: Path) -> str:
    with open(file, "rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        parts = []
        for offset in (0, size // 2, max(0, size - SAMPLE_BYTES)):
            stream.seek(offset)
            parts.append(stream.read(SAMPLE_BYTES))
    return hashlib.sha256(b"".join(parts)).hexdigest()
