"""V-BM4D: video denoising by volumes of blocks along trajectories. Specified in reference.py, and for groups of similar
volumes in grouped_reference.py; these functions choose between the references and their fast twins.
"""

import numpy as np
from torch import Tensor

from lolblur_synth.kernels import switch
from lolblur_synth.kernels.vbm4d import cpu, cuda, grouped_reference, groups_cpu, reference

__all__ = ["groups", "volumes"]


def volumes(planes: np.ndarray | Tensor) -> type:
    """The class that filters volumes, see `reference.Volumes`: in Numba for arrays, in CUDA for tensors on a device."""
    if not switch.ON:
        return reference.Volumes
    return cpu.Volumes if isinstance(planes, np.ndarray) else cuda.Volumes


def groups() -> type:
    """The class that filters groups of volumes, see `groups_cpu.Groups`; it runs on the CPU only."""
    return groups_cpu.Groups if switch.ON else grouped_reference.Groups
