"""Whether the files of an input are still those that were read before, told without reading them whole."""

import hashlib
import os
from pathlib import Path

from lolblur_synth.files.video.capture import sidecar
from lolblur_synth.files.video.inputs import Input
from lolblur_synth.files.video.sequence import image_files

SAMPLE = 65536  # bytes read at the start, in the middle and at the end of a file


def stamp(source: Input) -> str:
    """A name for what the files of an input hold: sha256, lower-case hex. Raises OSError.

    It covers the size, the inode and the times of the last write and of the last change of each file. Copying tools
    set the first time (`cp -p`, `rsync -t`, `touch`); no program can set the second. File systems that keep no such
    time (FAT, some network ones) are the reason for the samples of the content. Another stamp does not prove another
    content: a new link to the file, other permissions and a copy on another machine change it as well.
    """
    if source.kind == "video":
        files = [source.path, *filter(None, [sidecar(source.path)])]  # the sidecar may tell the capture rate
    else:
        files = image_files(source.path)
    lines = []
    for file in files:
        facts = os.stat(file)
        lines.append((os.fsencode(file.name), facts.st_size, facts.st_ino, facts.st_mtime_ns, facts.st_ctime_ns))
    sampled = files[:: max(1, len(files) // 2)]  # the first frame, one in the middle, one near the end
    samples = [_sample(file) for file in sampled]
    return hashlib.sha256(repr((lines, samples)).encode()).hexdigest()


def _sample(file: Path) -> str:
    with open(file, "rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        parts = []
        for offset in (0, size // 2, max(0, size - SAMPLE)):
            stream.seek(offset)
            parts.append(stream.read(SAMPLE))
    return hashlib.sha256(b"".join(parts)).hexdigest()
