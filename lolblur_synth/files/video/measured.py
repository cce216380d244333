"""Decoded frames that hold light above white, as extended display values: PQ, HLG, and linear light in floats.

Codes above the nominal white are light too, so that nothing is clipped before the inverse curve. Light is relative to
reference white (files/light_curves.py), in the primaries of BT.709; HLG is read as scene light.
"""

import functools

import av
import cv2
import numpy as np

from lolblur_synth import frames
from lolblur_synth.errors import InputError
from lolblur_synth.files import hdr_images, light_curves
from lolblur_synth.files.video import yuv

STEPS = 1 << 16  # of a curve that is looked up: 0.013 % of light at most, a seventieth of a step of 10-bit PQ
HIGHEST_SIGNAL = 1.15  # the last code of 8 bits in limited range, 255, is 1.09; the matrix may add to it
TO_BT709 = {yuv.BT2020_PRIMARIES: light_curves.BT2020_TO_BT709, yuv.P3_PRIMARIES: light_curves.P3_TO_BT709}
GREEN, BLUE, RED = range(3)  # the planes of gbr formats
OUTSIDE = 1e-3  # of white: light below minus this is colour outside BT.709, not rounding
OUTSIDE_NOTED = 0.01  # share of the pixels from which a user is told


def to_extended(frame: av.VideoFrame, codec: str, opaque: bool = False) -> np.ndarray:
    """A frame for which `yuv.holds_light` -> (H, W, 3) float32 RGB extended display values, light^(1/2.2), 0 or more.

    Alpha is composited on black, unless `opaque`. codec: as for `yuv.to_rgb`. Raises InputError (format, not-finite).
    """
    frame = yuv.planar(frame)
    matrix = _matrix(frame)
    if matrix is None and not yuv.is_float(frame):
        extended = _through_curve(frame, codec, extended=True)
    else:
        light = _light_in_bt709(frame, codec)
        extended = cv2.pow(cv2.threshold(light, 0, 0, cv2.THRESH_TOZERO)[1], 1 / frames.GAMMA)
    alpha = None if opaque else yuv.alpha(frame)
    return extended if alpha is None else extended * alpha[:, :, None]


def luma(frame: av.VideoFrame) -> np.ndarray:
    """(h, w) float32 of the luma plane of such a Y'CbCr frame, as a display shows it, 0..1; cheaper than colours."""
    return np.minimum(_looked_up(yuv.planar(frame), 0, extended=True), 1)


def about(frame: av.VideoFrame, name: str, codec: str) -> list[str]:
    """What a user should know about colours that BT.709 cannot hold. name: for errors, which are of `to_extended`."""
    frame = yuv.planar(frame)
    try:
        share = float((_light_in_bt709(frame, codec) < -OUTSIDE).any(2).mean())
    except InputError as error:
        raise InputError(f"{name}: frame 0: {error}", error.hint, error.reason) from None
    if share < OUTSIDE_NOTED:
        return []
    what = "negative light" if _matrix(frame) is None else "a colour outside BT.709, which is negative light in it"
    return [f"{100 * share:.0f} % of the pixels of its first frame have {what}; it is read as 0"]


def _matrix(frame: av.VideoFrame) -> np.ndarray | None:
    """(3, 3), linear RGB of the frame's primaries -> BT.709; None where they are alike, or not known."""
    untagged = frame.color_primaries == yuv.UNSPECIFIED and frame.color_trc in yuv.HDR
    return TO_BT709.get(yuv.BT2020_PRIMARIES if untagged else frame.color_primaries)  # BT.2100 has those of BT.2020


def _light_in_bt709(frame: av.VideoFrame, codec: str) -> np.ndarray:
    """(H, W, 3) float32 linear RGB in BT.709; negative where a colour lies outside."""
    light = _float_light(frame) if yuv.is_float(frame) else _through_curve(frame, codec, extended=False)
    matrix = _matrix(frame)
    return light if matrix is None else cv2.transform(light, matrix)


def _through_curve(frame: av.VideoFrame, codec: str, extended: bool) -> np.ndarray:
    """(H, W, 3) float32 RGB, in the frame's primaries, of a frame of integers: light, or extended display values."""
    if yuv.is_yuv(frame):
        table = _signal_table(frame.color_trc, extended)
        signal = yuv.signal(frame, codec)
        index = cv2.addWeighted(signal, (STEPS - 1) / HIGHEST_SIGNAL, signal, 0, 0, dtype=cv2.CV_16U)  # saturates
        return table[index]
    _check_planar(frame)
    return np.dstack([_looked_up(frame, index, extended) for index in (RED, GREEN, BLUE)])


def _looked_up(frame: av.VideoFrame, index: int, extended: bool) -> np.ndarray:
    """(h, w) float32 of one plane; a code with more bits than its format has counts as the last one."""
    table = _code_table(*_coding(frame), extended=extended)
    return np.take(table, yuv.codes(frame, index), mode="clip")


def _check_planar(frame: av.VideoFrame) -> None:
    """Raise InputError for packed RGB: FFmpeg would clip its floats at 1, and mix up the range of its integers."""
    if not frame.format.name.startswith(("gbr", "gray")):
        raise InputError(f"HDR in packed pixels ({frame.format.name})",
                         "convert it without loss, for example: ffmpeg -i IN -pix_fmt gbrp12 -c:v ffv1 OUT.mkv",
                         "format")  # fmt: skip


def _coding(frame: av.VideoFrame) -> tuple[int, int, float, float]:
    """(transfer, bits, code of black, codes from black to white)."""
    return frame.color_trc, yuv.bits(frame), *yuv.code_range(frame)


@functools.lru_cache(maxsize=8)
def _code_table(transfer: int, bits: int, low: float, span: float, *, extended: bool) -> np.ndarray:
    """(2^bits,) float32: the light, or the extended display value, of each code."""
    return _curve(transfer, (np.arange(2**bits, dtype=np.float64) - low) / span, extended)


@functools.lru_cache(maxsize=8)
def _signal_table(transfer: int, extended: bool) -> np.ndarray:
    """(STEPS,) float32: the same of signals from 0 to HIGHEST_SIGNAL."""
    return _curve(transfer, np.linspace(0, HIGHEST_SIGNAL, STEPS), extended)


def _curve(transfer: int, signal: np.ndarray, extended: bool) -> np.ndarray:
    curve = light_curves.pq_to_light if yuv.HDR[transfer] == "PQ" else light_curves.hlg_to_light
    light = curve(np.minimum(signal, HIGHEST_SIGNAL))
    return light_curves.light_to_extended(light) if extended else light


def _float_light(frame: av.VideoFrame) -> np.ndarray:
    """(H, W, 3) float32 linear RGB, in the frame's primaries, of a frame of floats."""
    _check_planar(frame)
    planes = [hdr_images.float_plane(frame, index) for index in range(min(len(frame.planes), 3))]
    values = np.dstack([planes[RED], planes[GREEN], planes[BLUE]] if len(planes) == 3 else planes[:1] * 3)
    if not np.isfinite(values.sum(dtype=np.float64)):
        raise InputError("NaN or infinite light", "repair the frames", "not-finite")
    return values if frame.color_trc == yuv.LINEAR else _curve(frame.color_trc, values, extended=False)
