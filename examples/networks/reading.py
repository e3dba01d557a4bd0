"""The text networks of lesson 5.

They are in a separate module because a process that loads a saved network has to import its functions and classes.
"""

import keras
from keras import ops


class LabelAttention(keras.layers.Layer):
    """Compute the log-odds of each label from a weighted mean of the words.

    Each label has its own weights for the mean (Mullenbach et al., 2018).

    Parameters
    ----------
    n_labels : int
        Number of labels.
    activation : str, default="sigmoid"
        Activation applied to the log-odds.
    """

    def __init__(self, n_labels, activation="sigmoid", **kwargs):
        super().__init__(**kwargs)
        self.n_labels = n_labels
        self.activation = activation

    def build(self, shape):
        """Create the attention weights and the output weights of each label."""
        self.query = self.add_weight((shape[-1], self.n_labels), name="query")
        self.kernel = self.add_weight((self.n_labels, shape[-1]), name="kernel")
        self.bias = self.add_weight((self.n_labels,), "zeros", name="bias")

    def call(self, words):
        """Return probabilities of shape (batch, n_labels) for words of shape (batch, n_words, n_features)."""
        attention = ops.softmax(ops.matmul(words, self.query), axis=1)
        means = ops.matmul(ops.transpose(attention, (0, 2, 1)), words)
        return keras.activations.get(self.activation)(ops.sum(means * self.kernel, axis=-1) + self.bias)

    def get_config(self):
        """Return the arguments of `__init__`, from which copies, clones and pickles create the layer again."""
        return {**super().get_config(), "n_labels": self.n_labels, "activation": self.activation}


def read(X):
    """Return an input layer for texts and features of each word, computed from five neighbouring words."""
    vectorize = keras.layers.TextVectorization(max_tokens=40, output_sequence_length=20)
    vectorize.adapt(X)
    inputs = keras.Input((), dtype="string", name="text")
    words = keras.layers.Embedding(vectorize.vocabulary_size(), 16)(vectorize(inputs))
    return inputs, keras.layers.Conv1D(32, 5, padding="same", activation="relu")(words)


def attending(meta, X):
    """Return a network that ends in `LabelAttention`."""
    inputs, words = read(X)
    return keras.Model(inputs, LabelAttention(meta["n_outputs_"], meta["output_activation_"])(words))
