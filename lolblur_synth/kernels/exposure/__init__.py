"""The exposure: interpolate, clip_reverse and average in one streaming pass."""

from lolblur_synth.kernels.exposure.cpu import average, expose, expose_given, integrate, runs_on, sample

__all__ = ["average", "expose", "expose_given", "integrate", "runs_on", "sample"]
