"""Stage 2: the default network as NumPy arrays: its automatic settings, scaling, prediction and gradients."""
