"""Stage 3: how a network learns: which rows train, which watch, for how long."""
