"""The parts of `evaluate`: metrics by name, restored frames, the comparison with the input, reports."""
