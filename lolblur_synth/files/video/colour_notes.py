"""What a user should know about the colours of a video, by its tags: what is not converted, and what may be hidden."""

import av

from lolblur_synth.errors import InputError
from lolblur_synth.files.video import yuv

NOT_DISPLAY = {yuv.LINEAR: "linear light", 9: "logarithmic", 10: "logarithmic", 17: "SMPTE 428"}  # not as BT.709
WIDE = {8: "film", 9: "BT.2020", 10: "XYZ", 11: "DCI-P3", 12: "Display P3"}  # H.273 ColourPrimaries, unlike BT.709's
MAYBE_LOG = (1, 2)  # H.273 TransferCharacteristics that cameras give log footage, which has no code in H.273


def check(frame: av.VideoFrame, name: str) -> list[str]:
    """What a user should know about the colours of a video. Raises InputError (format)."""
    if yuv.is_yuv(frame) and frame.colorspace in yuv.OTHER_MATRICES:
        raise InputError(f"{name}: its colour matrix ({yuv.OTHER_MATRICES[frame.colorspace]}) is not supported",
                         "convert it, for example: ffmpeg -i IN -vf zscale=matrix=709 -c:v libx264 -crf 12 OUT.mp4",
                         "format")  # fmt: skip
    notes, measured = [], yuv.holds_light(frame)
    if frame.color_trc in NOT_DISPLAY and not measured:
        notes.append(f"its transfer ({NOT_DISPLAY[frame.color_trc]}) is not undone; it is read like BT.709")
    if frame.color_primaries in WIDE and not (
        measured and frame.color_primaries in (yuv.BT2020_PRIMARIES, yuv.P3_PRIMARIES)
    ):
        notes.append(f"its primaries ({WIDE[frame.color_primaries]}) are not converted; colours come out paler")
    if measured and frame.color_primaries == yuv.UNSPECIFIED and frame.color_trc in yuv.HDR:
        notes.append("its primaries are not tagged; they are taken for those of BT.2020")
    if frame.color_trc in yuv.HDR and yuv.bits(frame) <= 8:
        notes.append(
            f"{yuv.HDR[frame.color_trc]} with 8 bits: its light comes in steps of 2 to 7 %, which shows as bands"
        )
    if yuv.is_float(frame) and not measured:
        notes.append("its float values are read as display values and cut at 1; tag them as linear light "
                     "(-color_trc linear), PQ or HLG to keep what is above")  # fmt: skip
    if yuv.bits(frame) > 8 and frame.color_primaries == yuv.BT2020_PRIMARIES and frame.color_trc in MAYBE_LOG:
        notes.append(f"{yuv.bits(frame)} bits in BT.2020 without a transfer of HDR: it may be log footage, or HDR "
                     "that lost its tags; it is read like BT.709")  # fmt: skip
    return notes
