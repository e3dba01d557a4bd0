"""Stage 2: networks in Keras, the default one and custom ones, with their layers, losses and optimizer."""

from skml._keras._environment import check_can_load

# Loading a pickle with a custom network imports this package.
check_can_load()
