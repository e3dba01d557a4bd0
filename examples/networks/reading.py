"""Networks of lesson 5 that read texts. In a module, so that a process that loads one can import what it is made of."""

import keras
from keras import ops


class LabelAttention(keras.layers.Layer):
    """For each label its own weighted mean of the words, and the label's log-odds from that (Mullenbach et al., 2018).

    Parameters
    ----------
    n_labels : int
    activation : str, default="sigmoid"
        Of the log-odds.
    """

    def __init__(self, n_labels, activation="sigmoid", **kwargs):
        super().__init__(**kwargs)
        self.n_labels = n_labels
        self.activation = activation

    def build(self, shape):
        """Make the weights: which words a label looks at, and what they say about it."""
        self.query = self.add_weight((shape[-1], self.n_labels), name="query")
        self.kernel = self.add_weight((self.n_labels, shape[-1]), name="kernel")
        self.bias = self.add_weight((self.n_labels,), "zeros", name="bias")

    def call(self, words):
        """Return probabilities of shape (batch, n_labels) for words of shape (batch, n_words, n_features)."""
        attention = ops.softmax(ops.matmul(words, self.query), axis=1)
        read = ops.matmul(ops.transpose(attention, (0, 2, 1)), words)
        return keras.activations.get(self.activation)(ops.sum(read * self.kernel, axis=-1) + self.bias)

    def get_config(self):
        """Return all arguments: by them a copy, a clone's fit and a pickle make the layer again."""
        return {**super().get_config(), "n_labels": self.n_labels, "activation": self.activation}


def read(X):
    """Return inputs for texts, and what five neighbouring words mean together, at each word."""
    vectorize = keras.layers.TextVectorization(max_tokens=40, output_sequence_length=20)
    vectorize.adapt(X)
    inputs = keras.Input((), dtype="string")
    words = keras.layers.Embedding(vectorize.vocabulary_size(), 16)(vectorize(inputs))
    return inputs, keras.layers.Conv1D(32, 5, padding="same", activation="relu")(words)


def attending(meta, X):
    """Return a network that ends in `LabelAttention`."""
    inputs, words = read(X)
    return keras.Model(inputs, LabelAttention(meta["n_outputs_"], meta["output_activation_"])(words))
