"""Dense inverse search: the motion between two frames."""

from lolblur_synth.kernels.inverse_search.cpu import flow, grey, pyramid

__all__ = ["flow", "grey", "pyramid"]
