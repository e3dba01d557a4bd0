"""Blocks of rows that are read again in each pass: checked, divided into training and held-out rows, and mixed."""

import dataclasses
import zlib

import numpy as np
from scipy import sparse

from skml._inputs import NamedArrays, n_rows_of
from skml._targets._forms import check_rows
from skml._targets._matrix import has_missing, missing_entries, to_dense
from skml._targets._weights import are_label_weights
from skml._training._dataset import joined_datasets, read_rows

# Of the first blocks random rows are held out, so that few blocks suffice; of the others whole blocks, as neighbouring
# rows may resemble each other.
_BLOCKS_IN_ROWS = 10

# A sample has at least this number of rows, however wide they are.
_MIN_SAMPLE = 2**12

# With more labels, label matrices are sparse.
_MAX_DENSE_LABELS = 500

_WHAT = (
    "a function without arguments that returns a new iterator of blocks at each call, or an iterable of blocks that "
    "can be read repeatedly, such as a list; a block is a tuple (X, y) or (X, y, sample_weight)"
)


_SAME_BLOCKS = (
    "Give the same blocks in the same order in each pass, as rows that are held out could be trained on otherwise. Or "
    "pass X_val and y_val: then any order is fine."
)


class BlockReader:
    """Reads the blocks of each pass as datasets.

    Parameters
    ----------
    batches : callable or iterable
        ``batches()``, or the iterable itself, gives the blocks of a pass.
    encoder_for : callable
        ``encoder_for(y)`` returns the encoder that reads the ``y`` of all blocks, for that of the first block.
    check_X : callable
        ``check_X(X, is_first)`` returns X as the network takes it.
    held_out : callable or None
        ``held_out(number)`` returns the RandomState that holds out a block or some of its rows. None holds out nothing.
    fraction : float
        Fraction of the rows to hold out.
    """

    def __init__(self, batches, encoder_for, check_X, held_out, fraction):
        self.encoder = None
        self._batches = batches
        self._encoder_for = encoder_for
        self._check_X = check_X
        self._held_out = held_out
        self._fraction = fraction
        self._format = None
        self._marks = {}
        self._n_marked = 0
        self._is_first_pass = True
        self._last = None
        self._next = self._opened()

    def blocks(self):
        """Yield the training rows and the held-out rows of each block of a pass; either may be none."""
        self._n_marked = 0
        self._last, self._next = self._next or self._opened(), None
        for number, block in enumerate(self._last):
            try:
                rows = self._read(block, number)
            except (ValueError, TypeError) as error:
                kind = TypeError if isinstance(error, TypeError) else ValueError
                raise kind(f"Block {number} of batches (the first is 0): {error}") from error
            if rows is not None:
                is_held_out = self._is_held_out(number, rows.n_samples)
                yield rows.take(np.flatnonzero(~is_held_out)), rows.take(np.flatnonzero(is_held_out))
        if not self._n_marked:
            raise ValueError(f"batches gave no block with rows in a pass. It must be {_WHAT}.")
        if self._n_marked < len(self._marks):
            raise ValueError(
                f"batches gave {self._n_marked} blocks with rows in a pass, but {len(self._marks)} in the first one. "
                f"{_SAME_BLOCKS}"
            )
        if self._is_first_pass:
            self._is_first_pass, self._next = False, self._opened()  # opened now to refuse an iterator before training

    def _opened(self):
        """Return the iterator of a new pass."""
        try:
            iterator = iter(self._batches() if callable(self._batches) else self._batches)
        except TypeError as error:
            raise TypeError(f"batches must be {_WHAT}; got {self._batches!r}: {error}.") from error
        if iterator is self._batches or iterator is self._last:
            raise ValueError(
                f"batches can be read only once ({iterator!r}), but the first pass counts rows and holds some out, and "
                f"the others train. Pass {_WHAT}. For a generator that read(path) returns, it is lambda: read(path)."
            )
        return iterator

    def _read(self, block, number):
        """Return the rows of a block; None if none of them has a weight and an observed label."""
        if not (isinstance(block, tuple | list) and len(block) in (2, 3)):
            raise ValueError(f"It must be a tuple (X, y) or (X, y, sample_weight); got {type(block).__name__}.")
        X, y, sample_weight = (*block, None)[:3]
        if not n_rows_of(X):
            return None
        X = self._check_X(X, self.encoder is None)
        if isinstance(X, NamedArrays):
            raise ValueError("X of several inputs cannot be given in blocks. Call partial_fit for each block.")
        check_rows(X, y)
        if self.encoder is None:
            self.encoder = self._encoder_for(y)
        Y = self.encoder.transform(y)
        self._check_mark(X, number)
        if sample_weight is not None and not np.any(np.asarray(sample_weight)):
            return None
        if has_missing(Y) and bool(to_dense(missing_entries(Y)).all()):
            return None
        rows = self._like_first(read_rows(X, Y, sample_weight, self.encoder), sample_weight)
        return rows if rows.sample_weight is None else rows.take(np.flatnonzero(rows.sample_weight))

    def _like_first(self, rows, sample_weight):
        """Return rows in the format of those of the first block."""
        if self._format is None:
            is_wide = rows.Y.shape[1] > _MAX_DENSE_LABELS and not are_label_weights(sample_weight)
            self._format = sparse.issparse(rows.X), rows.X.dtype, is_wide, sample_weight is not None
        is_sparse, dtype, is_wide, is_weighted = self._format
        if sparse.issparse(rows.X) != is_sparse:
            raise ValueError(f"Its X is {'dense' if is_sparse else 'sparse'}, unlike that of the first block.")
        if (sample_weight is not None) != is_weighted:
            raise ValueError("Give all blocks a sample_weight or none; this one differs from the first.")
        X = rows.X if dtype.kind in "OUST" else rows.X.astype(dtype, copy=False)
        return dataclasses.replace(rows, X=X, Y=sparse.csr_array(rows.Y) if is_wide else to_dense(rows.Y))

    def _check_mark(self, X, number):
        """Check that a block begins with the same row in each pass, so that held-out rows are never trained on."""
        self._n_marked += 1
        if self._held_out is None:
            return
        first = X[[0]].toarray() if sparse.issparse(X) else np.asarray(X[0])
        if first.dtype.kind in "fiub":  # `check_X` may have cast the first block
            with np.errstate(over="ignore"):
                first = first.astype(np.float32)
        mark = X.shape[0], zlib.crc32(repr(first.tolist()).encode())
        if self._is_first_pass:
            self._marks[number] = mark
        elif self._marks.get(number) != mark:
            raise ValueError(f"It differs from that of the first pass. {_SAME_BLOCKS}")

    def _is_held_out(self, number, n_rows):
        if self._held_out is None:
            return np.zeros(n_rows, dtype=bool)
        drawn = self._held_out(number).rand(n_rows if number < _BLOCKS_IN_ROWS else 1)
        return np.broadcast_to(drawn < self._fraction, n_rows)


class Sample:
    """A random sample of rows that are added one block after the other, of limited size.

    Each row gets a random number; the rows with the smallest ones are kept, so that each is as likely to be.

    Parameters
    ----------
    max_entries : int
        Largest number of entries of X and of the label matrix, if there are more than 4,096 rows.
    random_state : numpy.random.RandomState
    """

    def __init__(self, max_entries, random_state):
        self._max_entries = max_entries
        self.limit = 1.0  # rows with larger random numbers are left out
        self._random_state = random_state
        self._parts = []

    def add(self, rows):
        """Add the rows of a dataset."""
        drawn = self._random_state.rand(rows.n_samples)
        self._keep(rows, drawn)
        while len(self) > _MIN_SAMPLE and sum(part.n_entries for part, _ in self._parts) > self._max_entries:
            self._shrink(np.median(np.concatenate([drawn for _, drawn in self._parts])))

    def _shrink(self, limit):
        self.limit = limit
        parts, self._parts = self._parts, []
        for part, drawn in parts:
            self._keep(part, drawn)

    def _keep(self, rows, drawn):
        kept = np.flatnonzero(drawn < self.limit)
        if len(kept):
            self._parts.append((rows.take(kept), drawn[kept]))

    def __len__(self):
        return sum(len(drawn) for _, drawn in self._parts)

    def dataset(self, none, limit):
        """Return the rows with random numbers below `limit`.

        Parameters
        ----------
        none : list of Dataset
            One without rows, in case no row was kept.
        limit : float
            At most that of the sample: the smallest one of several samples, so that all rows are as likely to be kept.
        """
        self._shrink(limit)
        return joined_datasets([*none, *(part for part, _ in self._parts)])


@dataclasses.dataclass(frozen=True)
class Blocks:
    """The training rows of each round.

    Parameters
    ----------
    feed : ShuffleBuffer
        Gives the rows of this process.
    n_total : int
        Rows of a pass, of all processes.
    n_rounds : int
        Rounds of a pass.
    """

    feed: "ShuffleBuffer"
    n_total: int
    n_rounds: int

    @property
    def n_rows(self):
        """Rows of a round, of all processes; the last round of a pass may have fewer."""
        return -(-self.n_total // self.n_rounds)


class ShuffleBuffer:
    """An endless iterator of rounds: rows in random order, mixed with those of the next round.

    Parameters
    ----------
    passes : callable
        ``passes()`` yields the datasets of a pass.
    n_rows : int
        Rows of a round; the last one of a pass may have fewer. The buffer has twice as many.
    random_state : numpy.random.RandomState
    """

    def __init__(self, passes, n_rows, random_state):
        self._n_rows = n_rows
        self._rounds = self._endless(passes)
        self._random_state = random_state

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._rounds)

    def _endless(self, passes):
        while True:
            parts = []
            for rows in passes():
                parts.append(rows)
                while sum(part.n_samples for part in parts) >= 2 * self._n_rows:
                    first, rest = self._divided(parts)
                    parts = [rest]
                    yield first
            while parts:
                first, rest = self._divided(parts)
                parts = [rest] if rest.n_samples else []
                yield first

    def _divided(self, parts):
        """Return random rows for a round, and the others."""
        rows = joined_datasets(parts)
        parts.clear()  # the rows are large
        order = self._random_state.permutation(rows.n_samples)
        return rows.take(order[: self._n_rows]), rows.take(order[self._n_rows :])
