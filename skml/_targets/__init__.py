"""Stage 1: ``y`` in, ``y`` out: every form that a target may take becomes one 0/1 matrix, and back."""
