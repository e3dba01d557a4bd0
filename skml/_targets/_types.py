"""Names for what public signatures take."""

from collections.abc import Collection, Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

# DataFrames of any library are array-like.
Matrix = ArrayLike | sparse.spmatrix | sparse.sparray

# One label per row is array-like.
Target = Matrix | Sequence[Collection[Hashable]]

RandomState = int | np.random.RandomState | None

# X as a network takes it.
InputMatrix = np.ndarray | sparse.csr_array | sparse.csr_matrix

# The label matrix: 0 and 1; a matrix of floats may contain NaN for missing labels.
TargetMatrix = np.ndarray | sparse.csr_array
