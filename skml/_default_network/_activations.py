"""Activations of the hidden layers."""

import numpy as np
from scipy.special import erf, expit

# Constants of the activation "selu" (Klambauer et al., 2017).
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def _selu(x):
    return SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0)))


ACTIVATIONS = {
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "gelu": lambda x: 0.5 * x * (1 + erf(x * 0.5**0.5)),
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0, out=x),
    "selu": _selu,
    "sigmoid": lambda x: expit(x, out=x),
    "silu": lambda x: x * expit(x),
    "softplus": lambda x: np.logaddexp(x, 0),
    "tanh": lambda x: np.tanh(x, out=x),
}
