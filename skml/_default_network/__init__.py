"""Stage 2: the default network as NumPy arrays, with its automatic settings, scaling, prediction and gradients."""
