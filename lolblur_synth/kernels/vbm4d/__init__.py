"""V-BM4D: video denoising by volumes of blocks along trajectories. Specified in reference.py, with groups of similar
volumes in grouped_reference.py; these functions choose between them and their fast twins.
"""

import numpy as np
from torch import Tensor

from lolblur_synth.kernels import switch
from lolblur_synth.kernels.vbm4d import cpu, cuda, grouped_reference, groups_cpu, reference

__all__ = ["groups", "volumes"]


def volumes(planes: np.ndarray | Tensor) -> type:
    """What filters volumes, see `reference.Volumes`: Numba's twin for arrays, CUDA's for tensors on a device."""
    if not switch.ON:
        return reference.Volumes
    return cpu.Volumes if isinstance(planes, np.ndarray) else cuda.Volumes


def groups() -> type:
    """What filters groups of volumes, see `grouped_reference.Groups`: on the CPU alone."""
    return groups_cpu.Groups if switch.ON else grouped_reference.Groups
