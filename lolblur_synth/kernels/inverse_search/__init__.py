"""Dense inverse search: the motion between two frames. Specified in reference.py; cpu.py is the fast twin of `flow`."""

from lolblur_synth.kernels import switch
from lolblur_synth.kernels.inverse_search import cpu, reference
from lolblur_synth.kernels.inverse_search.reference import grey, pyramid

__all__ = ["flow", "grey", "pyramid"]

flow = cpu.flow if switch.ON else reference.flow
