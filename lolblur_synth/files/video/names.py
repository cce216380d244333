"""What a file name tells: which suffixes are read, which are not but may have been meant, and a name fit to print."""

import os
from pathlib import Path

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".avi", ".webm", ".mxf", ".gif")
DISPLAY_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")  # images that are read and written
LIGHT_SUFFIXES = (".exr", ".hdr")  # images of linear light, which are read alone
IMAGE_SUFFIXES = (*DISPLAY_SUFFIXES, *LIGHT_SUFFIXES)
FORMATS = {".jpeg": ".jpg", ".tiff": ".tif"}  # two suffixes of one image format
OTHER_VIDEO = (  # containers and streams that FFmpeg can copy into one that is read
    ".mts", ".m2ts", ".m2t", ".ts", ".mpg", ".mpeg", ".m2v", ".mod", ".tod", ".vob", ".wmv", ".asf", ".flv", ".f4v",
    ".3gp", ".3g2", ".ogv", ".dv", ".divx", ".rm", ".rmvb", ".insv", ".y4m", ".h264", ".264", ".h265", ".265", ".hevc",
    ".ivf", ".obu", ".nut",
)  # fmt: skip
CAMERA_RAW_VIDEO = (".cine", ".braw", ".r3d", ".ari", ".crm", ".nev", ".mlv", ".chr", ".mraw", ".raw3")
OTHER_IMAGES = (
    ".bmp", ".webp", ".heic", ".heif", ".avif", ".jxl", ".jp2", ".j2k", ".dpx", ".cin", ".tga", ".ppm",
    ".pgm", ".pnm", ".pfm", ".sgi", ".psd", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".rw2", ".orf", ".pef",
    ".srw",
)  # fmt: skip


def safe_name(path: Path, top: Path) -> str:
    """`path` relative to `top` (its own last part where they are the same), fit for a terminal line and for JSON.

    Bytes that are not UTF-8, and characters that do not print, become backslash escapes.
    """
    relative = Path(path.name) if path == top else path.relative_to(top)
    text = os.fsencode(relative.as_posix()).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def image_format(suffix: str) -> str:
    """The suffix, lower case, with `.jpg` for `.jpeg` and `.tif` for `.tiff`."""
    return FORMATS.get(suffix.lower(), suffix.lower())
