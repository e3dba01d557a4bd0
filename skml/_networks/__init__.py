"""Stage 2: what learns: the default network as arrays and its Keras twin, custom networks, losses."""
