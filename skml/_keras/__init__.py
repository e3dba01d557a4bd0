"""The cellar: what is known of Keras and TensorFlow, and nothing of labels."""
