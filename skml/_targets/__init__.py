"""Stage 1: convert every form of ``y`` to a label matrix of 0 and 1, and predictions back to the form of ``y``."""
