"""Keras and TensorFlow: compiled training and prediction, copies, pickles and caches; nothing about labels."""
