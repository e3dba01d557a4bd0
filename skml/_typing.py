"""Types of public signatures, and protocols of objects with several implementations."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from skml._inputs import NamedArrays

# DataFrames of any library are array-like.
Matrix: TypeAlias = ArrayLike | sparse.spmatrix | sparse.sparray

# Named arrays are for networks with several inputs.
Samples: TypeAlias = Matrix | Mapping[str, Any]

# One label per row is array-like.
Target: TypeAlias = Matrix | Sequence[Collection[Hashable]]

# Blocks of rows, (X, y) or (X, y, sample_weight), in several passes.
Batches: TypeAlias = Callable[[], Iterable[tuple[Any, ...]]] | Iterable[tuple[Any, ...]]

RandomState: TypeAlias = int | np.random.RandomState | None

# X as a network takes it.
InputMatrix: TypeAlias = np.ndarray | sparse.csr_array | sparse.csr_matrix | NamedArrays

# The label matrix: 0 and 1; a matrix of floats may contain NaN for missing labels.
TargetMatrix: TypeAlias = np.ndarray | sparse.csr_array


class Network(Protocol):
    """A trained network: the default one (`DenseNetwork`) or a custom one (`KerasNetwork`)."""

    @property
    def dtype(self) -> np.dtype:
        """Floating dtype of the network."""

    def proba(self, X: InputMatrix) -> np.ndarray:
        """Return the probabilities of the output units, shape (n_samples, n_outputs)."""

    def proba_blocks(self, X: InputMatrix) -> Iterator[np.ndarray]:
        """Yield the probabilities in blocks of rows."""

    def log_proba(self, X: InputMatrix) -> np.ndarray:
        """Return log-odds of sigmoid units, or log-probabilities of softmax units."""


class Scaler(Protocol):
    """Statistics by which the default network scales its input."""

    @property
    def shift(self) -> np.ndarray | None:
        """Subtracted from each column, shape (n_features,); None for sparse rows."""

    @property
    def scale(self) -> np.ndarray:
        """Factor of each column, shape (n_features,)."""

    def update(self, X: InputMatrix, rows: np.ndarray, weight: np.ndarray | None = None) -> None:
        """Update the statistics with some rows of X."""


class Trainable(Protocol):
    """A network before training: the default one or a custom one.

    A compiled Keras model is kept between fits. A trainable makes such a model, loads its weights into it, and turns
    it into a `Network` after training.
    """

    compile_args: dict[str, Any]  # optimizer, loss and metrics of ``Model.compile``
    cache_key: tuple | None  # equal if a compiled model of a previous fit can be used; None if it must not be kept
    scaler: Scaler | None
    rates: Any  # AdaptiveRates of the default network; None for a custom one

    def rows_of(self, X: InputMatrix) -> Any:
        """Return X as rows of tensors in the dtype of the network's input."""

    def compiled_model(self) -> Any:
        """Return a new compiled model of the architecture."""

    def load_weights(self, model: Any) -> None:
        """Set the weights and seeds of a compiled model to those from which training starts."""

    def optimizer_state(self, values: list, model: Any) -> list | None:
        """Return the optimizer's previous state adapted to the model, None if it has to start anew."""

    def trained_network(self, model: Any) -> Network:
        """Return the network after training."""

    def copy_of_network(self, model: Any) -> Network:
        """Return the network as trained so far, while training goes on."""

    def rollback(self) -> None:
        """Undo changes that an interrupted training made to objects of the previous fit."""
