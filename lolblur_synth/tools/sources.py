"""What `stage` reads: an image, a video, the frames of one clip in a folder, or a folder of photographs.

A folder is one clip. It holds photographs, each with a draw of its own, where the images differ in size as shown, or
where the user says so.
"""

import itertools
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from torch import Tensor

from lolblur_synth.errors import InputError
from lolblur_synth.files import atomic, images, listing, sample_count, video
from lolblur_synth.files.video.names import CAMERA_RAW_VIDEO, OTHER_IMAGES, OTHER_VIDEO
from lolblur_synth.recipe.schema import Recipe

log = logging.getLogger(__name__)
EXIF = (b"Exif\0\0", b"eXIf")  # before the pixels of a JPEG, and of a PNG; may hold an orientation
CLIPPED = "it holds light above white, which this stage does not carry: its frames are clipped at white"
HEAD = 1 << 16  # bytes of a file in which they are looked for


@dataclass(frozen=True)
class Source:
    """Frames to work on, in order, and what is known of them. Reading may begin again at any time.

    files     the images, or none for a video, which is `clip`
    count     how many frames are read
    linear    whether they hold linear light, not display values
    fps       of the frames as they are stored
    samples   frames of this source in an interval between two frames of the camera, see sample_count.py
    opaque    whether the alpha channel of its images is to be ignored
    clipped   whether its linear light is shown as a display shows it, clipped at white
    extended  whether its display values go on above 1, as measured light above white does (frames.py)
    """

    path: Path
    files: tuple[Path, ...]
    clip: video.Video | None
    count: int
    linear: bool
    fps: float | None
    samples: int
    sha256: str
    max_pixels: int
    opaque: bool = False
    clipped: bool = False
    extended: bool = False

    @property
    def is_image(self) -> bool:
        return self.clip is None and not self.path.is_dir()

    def names(self) -> list[str]:
        """Of each frame: its file without the suffix, or its number."""
        return [file.stem for file in self.files] or [f"{i:06d}" for i in range(self.count)]

    def frames(self) -> Iterator[Tensor]:
        """(1, 3, H, W) float32 RGB each."""
        if self.clip is not None:
            read = video.read if self.extended else video.display
            return (_tensor(frame) for frame in read(self.clip, 0, self.count))
        pictures = (images.to_rgb(self._load(file), self.opaque) for file in self.files)
        return (_tensor(images.light_to_display(picture) if self.clipped else picture) for picture in pictures)

    def _load(self, file: Path) -> np.ndarray:
        pixels = images.load(file, self.max_pixels)
        if (pixels.dtype == np.float32) != (self.linear or self.clipped):
            is_linear = pixels.dtype == np.float32
            raise InputError(f"{file}: {'linear light (float TIFF)' if is_linear else 'display values'}, but the "
                             "first frame is not", "give frames of one kind", "mixed")  # fmt: skip
        return pixels


def image(file: Path, recipe: Recipe, clip_light: bool = False) -> Source:
    """One image file. clip_light: show EXR and .hdr clipped at white, for a stage that works on display frames."""
    return _of_files(file, [file], recipe, atomic.sha256(file), clip_light)


def folder(path: Path, recipe: Recipe, limit: int | None, in_time: bool, clip_light: bool = False) -> Source:
    """A folder as one clip. in_time: the stage looks at neighbours, so the names must tell the order in time.
    clip_light: as of `image`."""
    files = video.frames_of(path, str(path), recipe.input.max_jitter) if in_time else photographs(path)
    log_unread_files(path)
    return _of_files(path, files[:limit], recipe, video.digest_of(files), clip_light)


def photographs(path: Path) -> list[Path]:
    """The images directly in a folder, in natural order. Raises InputError where there is none."""
    try:
        files = video.image_files(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", "check the path and its permissions") from error
    if not files:
        raise InputError(f"{path}: no PNG, JPEG, TIFF, EXR or HDR images in this folder",
                         "give a folder of frames", "none")  # fmt: skip
    return files


def movie(path: Path, recipe: Recipe, limit: int | None, clip_light: bool = False) -> Source:
    """A video file. clip_light: clip light above white."""
    found, refused = video.find_clips([path])
    if not found:
        raise InputError(refused[0].message if refused else f"{path}: no such file", "give an image, a video or a "
                         "folder")  # fmt: skip
    given = found[0].fps or recipe.input.fps or None
    clip = video.probe(found[0], recipe.input, given)
    for note in clip.notes:
        log.warning("%s: %s", clip.name, note)
    measured = clip.light == video.MEASURED
    if measured and clip_light:
        log.warning("%s: %s", clip.name, CLIPPED)
    count = clip.frames if limit is None else min(limit, clip.frames)
    fps = clip.fps if given else clip.played
    return Source(path, (), clip, count, False, fps, _samples_of_video(path), video.digest(found[0]),
                  recipe.input.max_pixels, extended=measured and not clip_light)  # fmt: skip


def differ_in_size(files: Sequence[Path]) -> bool:
    """Whether images differ in size as they are shown; a file that cannot be read is left to whoever decodes it."""
    sizes: set[tuple[int, int]] = set()
    for file in files:
        try:
            sizes.add(_shown_size(file))
        except (OSError, ValueError, KeyError, IndexError, ArithmeticError, InputError):
            continue
        if len(sizes) > 1:
            return True
    return False


def log_unread_files(path: Path, below: bool = False) -> None:
    """Log one warning that counts, by kind, the files in a folder that may have been meant and are not read."""
    kinds: Counter[str] = Counter()
    for entry in listing.walk(path) if below else listing.entries(path):
        suffix = entry.path.suffix.lower()
        if entry.kind == listing.LINKED_FOLDER:
            kinds["link to a folder"] += 1
        elif suffix in video.IMAGE_SUFFIXES and entry.kind not in (listing.FILE, listing.FOLDER, listing.DANGLING):
            kinds[entry.kind] += 1
        elif suffix in (*OTHER_IMAGES, *OTHER_VIDEO, *CAMERA_RAW_VIDEO, *video.VIDEO_SUFFIXES):
            kinds[suffix] += entry.kind != listing.FOLDER
    if kinds := +kinds:
        log.warning(f"{path}: passed over: {', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))}")


def _of_files(path: Path, files: list[Path], recipe: Recipe, sha256: str, clip_light: bool) -> Source:
    first, notes = images.inspect(files[0], recipe.input.max_pixels)
    for note in notes:
        log.warning("%s: %s", files[0], note)
    samples = sample_count.samples_of(files[0].read_bytes())
    clipped = clip_light and files[0].suffix.lower() in video.LIGHT_SUFFIXES
    if clipped:
        log.warning("%s: %s", path, CLIPPED)
    linear = first.dtype == np.float32 and not clipped
    return Source(path, tuple(files), None, len(files), linear, recipe.input.fps or None, samples, sha256,
                  recipe.input.max_pixels, images.alpha_is_unused(first), clipped)  # fmt: skip


def _samples_of_video(path: Path) -> int:
    with av.open(str(path)) as container:
        return sample_count.samples_in(" ".join(container.metadata.values()))


def _shown_size(file: Path) -> tuple[int, int]:
    """(width, height) after the orientation; pixels are decoded only where the file may hold one."""
    data = file.read_bytes()
    width, height = images.header_size(data)
    if width == height or not any(word in data[:HEAD] for word in EXIF):
        return width, height
    if data[:2] == b"\xff\xd8":
        small = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_COLOR_8)  # an eighth, upright, cheap
        if small is None:
            raise InputError(f"{file}: the image is damaged")
        turned = (small.shape[0] > small.shape[1]) != (height > width)
        return (height, width) if turned else (width, height)
    return images.load(file).shape[1::-1]


def _tensor(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].contiguous()


def of_one_size(source: Source) -> Iterator[Tensor]:
    """The frames, all of the size of the first. Raises InputError (size-changes)."""
    frames = source.frames()
    first = next(frames)
    for frame in itertools.chain([first], frames):
        if frame.shape != first.shape:
            hint = "give the frames of one clip, or one image at a time"
            raise InputError(f"{source.path}: its images differ in size", hint, "size-changes")
        yield frame
