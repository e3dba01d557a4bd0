"""The columns of X as the user knows them: where those come from that the last step of a Pipeline receives."""

from collections import UserList

import numpy as np
from scipy import sparse

from skml.model_selection._delegation import last_step_and_input


class Columns:
    """The columns that the innermost classifier receives, and the columns of the user's X that they show.

    A scaler or imputer shows the same column, and a one-hot encoder shows one column as several; so does skrub's
    TableVectorizer, of dates and texts too. A column that is made of several, or by a text vectorizer, has no source.

    Parameters
    ----------
    estimator : fitted classifier, also in Pipelines, searches and tuners
    X : input of the estimator

    Attributes
    ----------
    classifier : BaseEstimator
        The innermost classifier.
    X : matrix
        What it receives.
    """

    def __init__(self, estimator, X):
        self.classifier, self.X, names = last_step_and_input(estimator, X)
        self._names = getattr(self.classifier, "feature_names_in_", None) if names is None else names
        self._user_X = X
        self._sources = _sources_of_chain(_transformers_of(estimator), X)

    def groups(self, columns, values):
        """Return the group of each of the given columns, and the names and values of the groups.

        Parameters
        ----------
        columns : ndarray of int
        values : sequence
            What the classifier receives in these columns, for those without a source; None without values.

        Returns
        -------
        group : ndarray of int, shape (n_columns,)
        names : list
        values : list
            From the first row of the user's X, in its units, or as given.
        """
        sources = np.full(len(columns), -1) if self._sources is None else self._sources[columns]
        index, group, first = {}, np.empty(len(columns), dtype=int), []
        for k, (source, column) in enumerate(zip(sources.tolist(), columns.tolist(), strict=True)):
            key = (source, None if source >= 0 else column)
            if key not in index:
                index[key] = len(index)
                first.append(k)
            group[k] = index[key]
        names = [self._name(column, source) for source, column in ((sources[k], columns[k]) for k in first)]
        if values is None:
            return group, names, None
        return group, names, [values[k] if sources[k] < 0 else self._user_value(sources[k]) for k in first]

    def _name(self, column, source):
        if source >= 0:
            return self._user_X.columns[source] if hasattr(self._user_X, "columns") else f"x{source}"
        return f"x{column}" if self._names is None else self._names[column]

    def _user_value(self, source):
        X = self._user_X
        if hasattr(X, "columns"):
            return next(iter(X[X.columns[source]]))
        return X[:1].toarray()[0, source] if sparse.issparse(X) else np.asarray(X)[0, source]


def _transformers_of(estimator):
    """Return the transformers before the innermost classifier, in the order of `last_step_and_input`."""
    if hasattr(estimator, "steps"):
        *before, (_, last) = estimator.steps
        return [transformer for _, transformer in before] + _transformers_of(last)
    inner = getattr(estimator, "best_estimator_", getattr(estimator, "estimator_", None))
    return [] if inner is None else _transformers_of(inner)


def _sources_of_chain(transformers, X):
    """Return the source of each column after the last transformer, or None if no transformer tells it."""
    if not transformers or len(np.shape(X)) != 2:
        return None
    sources = np.arange(np.shape(X)[1])
    for transformer in transformers:
        step = _sources(transformer, len(sources))
        if step is None:
            return None
        sources = np.where(step >= 0, sources[step], -1)
    return sources


def _sources(transformer, n_in):
    """Return the input column of each output column of a transformer, -1 for none, or None if it does not tell."""
    if transformer is None or isinstance(transformer, str):  # "passthrough"
        return np.arange(n_in)
    if hasattr(transformer, "steps"):
        return _sources_of_chain([step for _, step in transformer.steps], np.empty((0, n_in)))
    if hasattr(transformer, "transformers_") and hasattr(transformer, "output_indices_"):
        return _sources_of_parts(transformer, n_in)
    try:
        names = list(transformer.get_feature_names_out())
    except AttributeError:
        return None
    counts = _category_counts(transformer)
    if counts is not None and sum(counts) == len(names):
        return np.repeat(np.arange(n_in), counts)
    names_in = list(getattr(transformer, "feature_names_in_", [f"x{j}" for j in range(n_in)]))
    index = {name: j for j, name in enumerate(names_in)}
    source = getattr(transformer, "output_to_input_", {})  # of skrub's TableVectorizer
    return np.array([index.get(source.get(name, name), -1) for name in names], dtype=int)


def _category_counts(encoder):
    """Return how many columns an encoder makes of each of its columns, or None if it is no encoder of categories."""
    categories = getattr(encoder, "categories_", None)
    if categories is None:
        return None
    if len(encoder.get_feature_names_out()) == len(categories):
        return [1] * len(categories)
    infrequent = getattr(encoder, "infrequent_categories_", None) or [None] * len(categories)
    dropped = getattr(encoder, "drop_idx_", None)
    return [
        len(values) - max(0 if rare is None else len(rare) - 1, 0) - (dropped is not None and dropped[j] is not None)
        for j, (values, rare) in enumerate(zip(categories, infrequent, strict=True))
    ]


def _sources_of_parts(transformer, n_in):
    """Return the sources of a ColumnTransformer."""
    sources = np.full(max(part.stop for part in transformer.output_indices_.values()), -1)
    for name, part, columns in transformer.transformers_:
        outputs = transformer.output_indices_.get(name, slice(0, 0))
        positions = _positions(columns, list(getattr(transformer, "feature_names_in_", [])), n_in)
        if positions is None or outputs.start == outputs.stop:
            continue
        inner = _sources(part, len(positions))
        if inner is not None and len(inner) == outputs.stop - outputs.start:
            sources[outputs] = np.where(inner >= 0, positions[inner], -1)
    return sources


def _positions(columns, names, n_in):
    """Return the positions of the columns that a part of a ColumnTransformer receives, or None if they are not told."""
    if isinstance(columns, UserList):  # the columns of a remainder in scikit-learn 1.6, which warns of their use
        columns = columns.data
    if isinstance(columns, slice):
        numeric = all(bound is None or isinstance(bound, int) for bound in (columns.start, columns.stop))
        return np.arange(n_in)[columns] if numeric else None
    values = np.atleast_1d(np.asarray(columns))
    if values.dtype.kind in "UO":
        known = all(value in names for value in values.tolist())
        return np.array([names.index(value) for value in values.tolist()], dtype=int) if known else None
    if values.dtype.kind in "bi":
        return np.arange(n_in)[values]
    return np.zeros(0, dtype=int) if not values.size else None
