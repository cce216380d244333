"""Decoded frames to RGB, in float32 and without a rounding on the way.

Planar Y'CbCr is converted here with the matrices of ITU-R BT.601, BT.709 and BT.2020 rather than by the decoder's
scaler: the result is then the same for every bit depth and every FFmpeg, and chroma is upsampled at its true position.
"""

import re
from typing import NamedTuple

import av
import cv2
import numpy as np

from lolblur_synth.errors import InputError

BT601, BT709, BT2020 = (0.299, 0.114), (0.2126, 0.0722), (0.2627, 0.0593)  # (Kr, Kb) of each recommendation
FCC, SMPTE240M = (0.30, 0.11), (0.212, 0.087)  # 47 CFR 73.682, SMPTE 240M
MATRICES = {
    1: ("bt709", BT709),
    4: ("fcc", FCC),
    5: ("bt601", BT601),
    6: ("bt601", BT601),
    7: ("smpte240m", SMPTE240M),
    9: ("bt2020", BT2020),
}  # keys: ITU-T H.273 MatrixCoefficients
OTHER_MATRICES = {
    8: "YCgCo",
    10: "BT.2020 constant luminance",
    11: "SMPTE 2085",
    12: "chromaticity-derived",
    13: "chromaticity-derived, constant luminance",
    14: "ICtCp",
    15: "IPT-C2",
    16: "YCgCo-Re",
    17: "YCgCo-Ro",
}  # H.273; of none of them do the equations below hold
HDR = {16: "PQ", 18: "HLG"}  # H.273 TransferCharacteristics
LINEAR = 8  # the same
NOT_DISPLAY = {LINEAR: "linear light", 9: "logarithmic", 10: "logarithmic", 17: "SMPTE 428"}  # not as BT.709
WIDE = {8: "film", 9: "BT.2020", 10: "XYZ", 11: "DCI-P3", 12: "Display P3"}  # H.273 ColourPrimaries, unlike BT.709's
BT2020_PRIMARIES, P3_PRIMARIES = 9, 12  # the same
MAYBE_LOG = (1, 2)  # transfers that cameras give log footage, which has no code in H.273
UNSPECIFIED = 2  # H.273; a range that is not said is 0 for FFmpeg
FULL = 2  # AVCOL_RANGE_JPEG
LIMITED = 1  # AVCOL_RANGE_MPEG
PLANAR = {
    "nv12": "yuv420p",
    "nv21": "yuv420p",
    "nv16": "yuv422p",
    "yuyv422": "yuv422p",
    "uyvy422": "yuv422p",
    "p010le": "yuv420p10le",
    "uyyvyy411": "yuv411p",
}  # the same samples, laid out in planes
CENTRED = ("mjpeg", "mpeg1video")  # codecs whose chroma sits between the luma columns; in all others it is on the left
FLOAT = re.compile(r"f(16|32)(le|be)$")  # the end of the name of a pixel format
TAPS = np.arange(-2, 3)


class Tags(NamedTuple):
    """What a container says of a video's colours, as H.273 numbers; 2 (range: 0) where it says nothing."""

    matrix: int = UNSPECIFIED
    range: int = 0
    transfer: int = UNSPECIFIED
    primaries: int = UNSPECIFIED


def fill(frame: av.VideoFrame, tags: Tags) -> bool:
    """Give a frame the container's tags where the bitstream has none; whether the conversion to RGB depends on it.

    The bitstream comes first, field by field, as in FFmpeg and mpv: it was written by who made the picture.
    """
    if frame.color_trc == UNSPECIFIED:
        frame.color_trc = tags.transfer
    if frame.color_primaries == UNSPECIFIED:
        frame.color_primaries = tags.primaries
    if not is_yuv(frame) and frame.format.name not in PLANAR:
        return False
    before = frame.colorspace, frame.color_range
    if frame.colorspace == UNSPECIFIED and tags.matrix in MATRICES | OTHER_MATRICES:
        frame.colorspace = tags.matrix
    if frame.color_range not in (FULL, LIMITED):
        frame.color_range = tags.range
    return before != (frame.colorspace, frame.color_range)


def is_float(frame: av.VideoFrame) -> bool:
    """Whether the samples of a frame are floating point numbers, as in gbrpf32le."""
    return FLOAT.search(frame.format.name) is not None


def holds_light(frame: av.VideoFrame) -> bool:
    """Whether a frame holds light above white: PQ, HLG, or floating point numbers that are tagged as linear light."""
    return frame.color_trc in HDR or is_float(frame) and frame.color_trc == LINEAR


def check_colours(frame: av.VideoFrame, name: str) -> list[str]:
    """What a user should know about the colours of a video. Raises InputError (format)."""
    if is_yuv(frame) and frame.colorspace in OTHER_MATRICES:
        raise InputError(f"{name}: its colour matrix ({OTHER_MATRICES[frame.colorspace]}) is not supported",
                         "convert it, for example: ffmpeg -i IN -vf zscale=matrix=709 -c:v libx264 -crf 12 OUT.mp4",
                         "format")  # fmt: skip
    notes, measured = [], holds_light(frame)
    if frame.color_trc in NOT_DISPLAY and not measured:
        notes.append(f"its transfer ({NOT_DISPLAY[frame.color_trc]}) is not undone; it is read like BT.709")
    if frame.color_primaries in WIDE and not (measured and frame.color_primaries in (BT2020_PRIMARIES, P3_PRIMARIES)):
        notes.append(f"its primaries ({WIDE[frame.color_primaries]}) are not converted; colours come out paler")
    if measured and frame.color_primaries == UNSPECIFIED and frame.color_trc in HDR:
        notes.append("its primaries are not tagged; they are taken for those of BT.2020")
    if frame.color_trc in HDR and bits(frame) <= 8:
        notes.append(f"{HDR[frame.color_trc]} with 8 bits: its light comes in steps of 2 to 7 %, which shows as bands")
    if is_float(frame) and not measured:
        notes.append("its float values are read as display values and cut at 1; tag them as linear light "
                     "(-color_trc linear), PQ or HLG to keep what is above")  # fmt: skip
    if bits(frame) > 8 and frame.color_primaries == BT2020_PRIMARIES and frame.color_trc in MAYBE_LOG:
        notes.append(f"{bits(frame)} bits in BT.2020 without a transfer of HDR: it may be log footage, or HDR "
                     "that lost its tags; it is read like BT.709")  # fmt: skip
    return notes


def matrix_of(frame: av.VideoFrame) -> tuple[str, tuple[float, float]]:
    """(name, (Kr, Kb)) of a frame. Untagged: BT.2020 for PQ and HLG, else BT.709 from 1280 columns or above 576 lines,
    else BT.601 (as mpv)."""
    if frame.colorspace in MATRICES:
        return MATRICES[frame.colorspace]
    if frame.color_trc in HDR:
        return MATRICES[9]
    return MATRICES[1] if frame.width >= 1280 or frame.height > 576 else MATRICES[6]


def is_full_range(frame: av.VideoFrame) -> bool:
    """Whether codes span all of 0..2^bits-1. Untagged: full for RGB, grey and the yuvj formats, limited for Y'CbCr."""
    name = frame.format.name
    if frame.color_range in (FULL, LIMITED) and not name.startswith("yuvj"):
        return frame.color_range == FULL
    return name.startswith(("yuvj", "gray", "ya")) or not (is_yuv(frame) or name in PLANAR)


def describe(frame: av.VideoFrame, filled: bool = False) -> str:
    """For people and the manifest, for example "yuv420p10le bt2020 limited PQ"; filled: as `fill` said."""
    matrix = matrix_of(frame)[0] if frame.format.name.startswith(("yuv", *PLANAR)) else "rgb"
    if frame.format.name.startswith("gray"):
        matrix = "grey"
    curve = f" {HDR.get(frame.color_trc, 'linear')}" if holds_light(frame) else ""
    source = " (tags of the container)" if filled else ""
    return f"{frame.format.name} {matrix} {'full' if is_full_range(frame) else 'limited'}{curve}{source}"


def to_rgb(frame: av.VideoFrame, codec: str, opaque: bool = False) -> np.ndarray:
    """A decoded frame as (H, W, 3) float32 RGB display values, 0..1. Alpha is composited on black, unless `opaque`.

    codec: the decoder's name, which says where chroma samples sit. Raises InputError for a layout it does not know.
    """
    frame = planar(frame)
    if not is_yuv(frame):
        return _rgb_family(frame, opaque)
    rgb = signal(frame, codec)
    if len(frame.planes) > 3 and not opaque:  # straight alpha
        rgb *= (plane(frame, 3) / np.float32(2 ** bits(frame) - 1))[:, :, None]
    return np.clip(rgb, 0, 1, out=rgb)


def signal(frame: av.VideoFrame, codec: str) -> np.ndarray:
    """A `planar` Y'CbCr or grey frame as (H, W, 3) float32 RGB: 0..1 for the nominal codes, and beyond."""
    luma_plane, *others = [plane(frame, index) for index in range(min(len(frame.planes), 3))]
    chroma = [_upsample(samples, luma_plane.shape, codec not in CENTRED) for samples in others]
    chroma = chroma or [np.full_like(luma_plane, 2 ** (bits(frame) - 1))] * 2  # grey
    return cv2.transform(cv2.merge([luma_plane, *chroma]), _to_rgb_matrix(frame))


def alpha(frame: av.VideoFrame) -> np.ndarray | None:
    """(H, W) float32 alpha of a decoded frame, 0..1; None where its pixel format has none."""
    if frame.format.name != "pal8" and not any(component.is_alpha for component in frame.format.components):
        return None
    if is_yuv(frame):
        return plane(frame, 3) / np.float32(2 ** bits(frame) - 1)
    return _rgba(frame)[:, :, 3]


def luma(frame: av.VideoFrame, opaque: bool = False) -> np.ndarray:
    """(H, W) float32 grey of a decoded frame, 0..1, cheaper than `to_rgb`: the luma plane itself where there is one."""
    frame = planar(frame)
    if not is_yuv(frame):
        return cv2.cvtColor(_rgb_family(frame, opaque), cv2.COLOR_RGB2GRAY)
    low, span = code_range(frame)
    return np.clip((plane(frame, 0) - np.float32(low)) / np.float32(span), 0, 1)


def is_yuv(frame: av.VideoFrame) -> bool:
    """Whether the samples are Y'CbCr or grey, in integers."""
    return frame.format.name.startswith(("yuv", "gray")) and not is_float(frame)


def planar(frame: av.VideoFrame) -> av.VideoFrame:
    """The frame with its samples in planes, where it is Y'CbCr in another layout."""
    target = PLANAR.get(frame.format.name)
    return (
        frame.reformat(format=target, src_color_range=frame.color_range, dst_color_range=frame.color_range, threads=1)
        if target
        else frame
    )


def _rgb_family(frame: av.VideoFrame, opaque: bool) -> np.ndarray:
    """RGB, BGR, planar GBR, palettes and grey with alpha: samples are copied or widened, not mixed."""
    if frame.format.is_bayer:
        raise InputError(f"a raw Bayer mosaic ({frame.format.name})", "develop it to RGB first", "format")
    pixels = _rgba(frame)
    return np.ascontiguousarray(pixels[:, :, :3] if opaque else pixels[:, :, :3] * pixels[:, :, 3:])


def _rgba(frame: av.VideoFrame) -> np.ndarray:
    target, peak = ("rgba", 255) if bits(frame) <= 8 else ("rgba64le", 65535)
    return frame.to_ndarray(format=target).astype(np.float32) / np.float32(peak)


def bits(frame: av.VideoFrame) -> int:
    """Of a sample."""
    return max(component.bits for component in frame.format.components)


def plane(frame: av.VideoFrame, index: int) -> np.ndarray:
    """One plane as float32 code values, (h, w), without its padding."""
    return codes(frame, index).astype(np.float32)


def codes(frame: av.VideoFrame, index: int) -> np.ndarray:
    """One plane as integers, (h, w), without its padding."""
    plane = frame.planes[index]
    kind = np.dtype("u1" if bits(frame) <= 8 else ">u2" if frame.format.is_big_endian else "<u2")
    rows = np.frombuffer(plane, kind).reshape(-1, plane.line_size // kind.itemsize)
    return rows[: plane.height, : plane.width]


def code_range(frame: av.VideoFrame) -> tuple[float, float]:
    """(code of black, codes from black to white): 16 and 219 at 8 bits in limited range."""
    depth = bits(frame)
    return (0, 2**depth - 1) if is_full_range(frame) else (16 * 2 ** (depth - 8), 219 * 2 ** (depth - 8))


def _to_rgb_matrix(frame: av.VideoFrame) -> np.ndarray:
    """(3, 4): code values (Y, Cb, Cr, 1) to RGB 0..1. E'y = Kr R + Kg G + Kb B; Cb = (B - Y) / (2 - 2 Kb), Cr alike."""
    kr, kb = matrix_of(frame)[1]
    depth = bits(frame)
    low, span = code_range(frame)
    chroma_span = 2**depth - 1 if is_full_range(frame) else 224 * 2 ** (depth - 8)
    green = 2 / (1 - kr - kb)
    from_ycc = np.array([[1, 0, 2 - 2 * kr], [1, -green * kb * (1 - kb), -green * kr * (1 - kr)], [1, 2 - 2 * kb, 0]])
    gains = from_ycc / [span, chroma_span, chroma_span]
    offset = -gains @ [low, 2 ** (depth - 1), 2 ** (depth - 1)]
    return np.column_stack([gains, offset]).astype(np.float32)


def _ratio(luma_size: int, chroma_size: int) -> int:
    """1, 2 or 4: chroma is rounded up at odd sizes, so 35 columns of luma have 18 of chroma."""
    return next(step for step in (1, 2, 4) if -(-luma_size // step) <= chroma_size)


def _upsample(plane: np.ndarray, shape: tuple[int, int], left: bool) -> np.ndarray:
    """Chroma to luma's shape, Catmull-Rom. Rows of chroma sit between rows of luma; columns too, unless `left`."""
    height, width = plane.shape
    vertical, horizontal = _ratio(shape[0], height), _ratio(shape[1], width)
    if vertical > 1:
        tall = np.empty((height * vertical, width), np.float32)
        for phase in range(vertical):
            kernel = _catmull_rom((phase + 0.5) / vertical - 0.5)
            tall[phase::vertical] = cv2.filter2D(plane, -1, kernel[:, None], borderType=cv2.BORDER_REPLICATE)
        plane = tall
    if horizontal > 1:
        wide = np.empty((plane.shape[0], width * horizontal), np.float32)
        for phase in range(horizontal):
            kernel = _catmull_rom(phase / horizontal if left else (phase + 0.5) / horizontal - 0.5)
            wide[:, phase::horizontal] = cv2.filter2D(plane, -1, kernel[None], borderType=cv2.BORDER_REPLICATE)
        plane = wide
    return plane[: shape[0], : shape[1]]


def _catmull_rom(at: float) -> np.ndarray:
    """Weights of the samples at -2..2 for a point `at`, -1 < at < 1 (Keys 1981, a = -1/2)."""
    x = np.abs(TAPS - at)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0)).astype(np.float32)
