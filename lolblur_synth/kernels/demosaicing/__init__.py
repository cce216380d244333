"""Demosaicing along edges where there are some, with Malvar's filters elsewhere. Specified in reference.py; cpu.py is
its fast twin, for what is float32 on the CPU and needs no gradient: loops over rows, not forty passes over planes.
"""

from torch import Tensor

from lolblur_synth.kernels import switch
from lolblur_synth.kernels.demosaicing import cpu, reference
from lolblur_synth.kernels.demosaicing.reference import along_edges, share

__all__ = ["along_edges", "demosaic", "share"]


def demosaic(planes: Tensor) -> Tensor:
    """(N, 4, h, w) raw, white-balanced and companded -> (N, 3, 2h, 2w) camera colours, companded, not clipped."""
    return (cpu if switch.numba_takes(planes) else reference).demosaic(planes)
