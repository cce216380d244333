"""Developing a raw of a camera along edges (kernels/demosaicing)."""

import numpy as np
import torch
from torch import Tensor

from lolblur_synth.kernels import demosaicing, transfer


def develop(raw: Tensor, to_camera: np.ndarray) -> Tensor:
    """(N, 4, h, w) raw, linear, white-balanced -> (N, 3, 2h, 2w) display sRGB, not clipped.

    to_camera: `mosaic.rgb_to_camera`. h and w are 6 or more. The matrix acts colour by colour, because a BLAS may
    round by its number of threads.
    """
    red, green, blue = transfer.srgb_to_light(demosaicing.demosaic(transfer.light_to_srgb(raw))).unbind(1)
    rows = np.linalg.inv(to_camera).astype(np.float32).tolist()
    return transfer.light_to_srgb(torch.stack([a * red + b * green + c * blue for a, b, c in rows], 1))
