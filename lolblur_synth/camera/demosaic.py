"""Developing a raw of a camera along edges (kernels/demosaicing)."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lolblur_synth.kernels import demosaicing, transfer


def develop(raw: Tensor, to_camera: np.ndarray) -> Tensor:
    """(N, 4, h, w) raw, linear, white-balanced -> (N, 3, 2h, 2w) display sRGB, not clipped.

    to_camera: `mosaic.rgb_to_camera`. h and w are 6 or more.
    """
    light = transfer.srgb_to_light(demosaicing.demosaic(transfer.light_to_srgb(raw)))
    to_rgb = torch.from_numpy(np.linalg.inv(to_camera).astype(np.float32)).to(raw.device)
    return transfer.light_to_srgb(F.conv2d(light, to_rgb[:, :, None, None]))
