"""Stage 2: what Keras trains: the default network as an ensemble, custom networks, layers, losses, optimizer."""
