"""The estimator: scikit-learn's contract around a Keras network."""

import contextlib
import copy
import difflib
import inspect
import pickle
import sys
import warnings
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_random_state, gen_batches
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from skml import _decisions, _split, _thresholds, _weights
from skml._dense import ACTIVATIONS, DenseNetwork, open_interval
from skml._scaling import DenseScaler, SparseScaler
from skml._targets import TargetEncoder, same_label_space

ROUTES = ("model", "optimizer", "loss", "metrics", "callbacks")

# Cells of (rows, labels) that predict holds as probabilities at a time.
_CHUNK_CELLS = 2**22

# Cells of out-of-fold probabilities that are kept, and from which thresholds are tuned: 128 MB.
_MAX_KEPT_CELLS = 2**25


@dataclass
class _Task:
    """What one call of fit works on."""

    X: object
    Y: object
    sample_weight: np.ndarray | None
    weight: np.ndarray | None
    encoder: TargetEncoder
    positive_weight: np.ndarray | None
    by_class: np.ndarray | None
    random_state: np.random.RandomState
    goes_on: bool
    partial: bool
    hidden: list | None = None
    n_members: int = 1
    split: _split.Split | None = None
    given: tuple | None = None


class KerasMultiLabelClassifier(ClassifierMixin, BaseEstimator):
    """Neural multi-label classifier: one sigmoid unit per label, trained with binary cross-entropy.

    ``y`` holds label sets, a 0/1 indicator (array, sparse matrix or DataFrame) or one label per row, and
    `predict` answers in kind. With one label per row the problem is multi-class, and the head is a
    softmax with categorical cross-entropy (for two classes one sigmoid unit).

    Parameters
    ----------
    model : callable or keras.Model, default=None
        None is a fully connected network of `hidden_layer_sizes`. A callable builds a network and is
        given those of ``meta``, ``compile_kwargs``, ``params`` and routed ``model__x`` (as ``x``) that its
        signature names. ``meta`` is a dict with ``n_features_in_``, ``n_classes_``, ``n_outputs_``,
        ``output_activation_``, ``target_type_``, ``classes_``, ``X_shape_`` and ``X_dtype_``; a network that
        ends in ``Dense(meta["n_outputs_"], meta["output_activation_"])`` serves every ``y``. Of a
        keras.Model each fit trains a copy that starts from its weights. A compiled model keeps its own
        loss, optimizer and metrics where the parameters here are at their defaults.
    hidden_layer_sizes : "auto", int or sequence of int, default="auto"
        Units of each hidden layer of a member of the default network; a layer as wide as the one before it
        has a residual connection (He et al., 2016). "auto" is (256, 256); (128, 128) for fewer than 300 rows,
        and narrower, down to (64, 64), where five members would have more than 8 million weights.
    activation : str, default="relu"
        Activation of the hidden layers of the default network: "elu", "gelu", "linear", "relu", "selu",
        "sigmoid", "silu", "softplus" or "tanh".
    dropout : float in [0, 1), default=0.5
        Share of each hidden layer's units that a training step leaves out (Srivastava et al., 2014).
    input_dropout : float in [0, 1), default=0.3
        Share of the input's cells that a training step of the default network leaves out.
    scale : "auto" or None, default="auto"
        "auto" scales X inside the default network: dense columns are standardised; sparse ones are divided by
        their largest absolute value, where that exceeds 1, and then all by one number, so that zeros stay zeros.
        None takes X as it is.
    n_members : int or "auto", default="auto"
        Networks in the default ensemble, whose probabilities are averaged (Hansen and Salamon, 1990). Each
        leaves out its own fold of the rows in training, and predicts it: see ``oof_proba_``. "auto" is 5, or
        as many as have at most 16 million weights. 1 is a plain network with a holdout.
    optimizer : str, keras.Optimizer or class of one, default="adam"
        Names and classes take routed parameters, such as ``optimizer__weight_decay=0.01``.
    learning_rate : float, default=None
        None keeps the optimizer's own.
    loss : "auto", str, callable, keras.Loss or class of one, default="auto"
        "auto" is binary cross-entropy, averaged over the labels of a row and then over rows by weight;
        for one of more than two classes per row it is categorical cross-entropy. "focal" (Lin et al., 2017)
        and "asymmetric" (Ridnik et al., 2021) count cells that are right already for less, and take
        ``loss__gamma``, ``loss__gamma_negative`` and the like; tune the threshold with them, as their
        probabilities are shifted. Other names, functions and objects are used as Keras uses them.
    metrics : list, default=None
        Keras metrics of the (averaged) probabilities, recorded in ``history_``.
    class_weight : "balanced", mapping label -> float, or array-like of shape (n_labels,), default=None
        Weight of a label's positive cells in the loss. "balanced" is negatives / positives of each label,
        within [0.01, 100]. With one label per row it weighs rows, as scikit-learn's ``class_weight``.
    classes : array-like of shape (n_labels,), default=None
        The label space, for data in which a label may not occur. None takes it from ``y``.
    threshold : float, array-like of shape (n_labels,), mapping label -> float, "f1_micro" or "f1_macro", default=0.5
        A label is predicted where its probability is at least its threshold, in [0, 1]. Labels that a
        mapping (or a Series, by its index) leaves out have 0.5. Read by `predict`, so a fitted estimator
        follows ``set_params``. With two classes a float applies to the second one; with more it has no meaning.
        The two names are tuned by `fit`, on probabilities of rows that a network did not learn from (out of
        fold, or on the holdout): one for all labels that is best for micro-F1, or one for each by the plug-in
        rule for macro-F1 (Lipton et al., 2014), after calibration (Platt, 1999).
    min_labels : int, default=0
        A row with fewer predicted labels gets those with the largest ``proba - threshold``.
    max_labels : int, default=None
        A row with more predicted labels keeps those with the largest ``proba - threshold``.
    epochs : int or "auto", default="auto"
        Passes over the training rows. "auto" makes about 2,000 updates, within [20, 150] epochs.
    batch_size : int or "auto", default="auto"
        Rows of one update. "auto" is the power of two nearest to n_samples / 30, within [32, 256].
    early_stopping : bool, default=True
        Whether to stop when the loss of rows that were not learned from no longer falls. With several members
        it is the out-of-fold loss, and the last epoch within 2 % of the best one is kept. Otherwise it is
        that on ``X_val``, ``y_val`` or on a holdout, and the best epoch is kept; there is no holdout if it would
        have fewer than 10 rows, and none in `partial_fit`.
    validation_fraction : float in (0, 1), default=0.1
        Share of the training rows that the holdout takes, stratified by label (Sechidis et al., 2011).
    n_iter_no_change : int, default=10
        Epochs without improvement after which to stop.
    callbacks : keras.callbacks.Callback, class of one, or list of them, default=None
        Each fit trains with copies, which are in ``callbacks_``. One that has a hook for batches makes
        training fall back to Keras' own, slower loop.
    jit_compile : bool, default=False
        Whether XLA compiles the training step. It costs seconds and pays after thousands of updates.
    warm_start : bool, default=False
        Whether `fit` goes on from the fitted weights and optimizer state, in the fitted label space. Then all
        members learn from all rows but those of a holdout.
    random_state : int, RandomState instance or None, default=None
        Seeds weights, dropout, folds, holdout and the order of rows. The same int gives the same model, bit for
        bit on one CPU.
    verbose : int, default=0
        As in ``keras.Model.fit``: 0 is silent, 1 a progress bar, 2 a line for each epoch.
    **routed
        ``model__x``, ``optimizer__x``, ``loss__x``, ``metrics__x`` and ``callbacks__x`` are handed on to what
        they name. They are parameters like the others: in `get_params`, `set_params` and grids.

    Attributes
    ----------
    classes_ : ndarray of shape (n_labels,)
        The labels, in the order of the columns of `predict_proba`.
    threshold_ : float or ndarray of shape (n_labels,)
        The threshold in force; None with more than two classes of single labels.
    oof_proba_ : ndarray of shape (n_samples, n_labels)
        Out-of-fold probabilities of the training rows, as `predict_proba` gives them: of each row by the member
        that did not learn from it. There after `fit` with several members and at least 20 rows (4 for each
        member), unless it would have more than 33 million cells; not pickled.
    n_features_in_ : int
        Number of columns of X in fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns of X, where it had names that are all strings.
    n_iter_ : int
        Epochs run.
    kept_epoch_ : int
        The epoch, from 1, whose weights early stopping kept; the last without it.
    history_ : dict of list of float
        For each epoch the loss, the metrics and, with early stopping, their ``val_`` twins.
    model_ : keras.Model
        The trained network. The default one is made when it is first asked for, and not compiled.
    callbacks_ : list of keras.callbacks.Callback
        The copies of `callbacks` that the last fit used.
    target_encoder_ : object
        Reads ``y`` into a 0/1 matrix (``transform``) and back (``inverse_transform``).

    Notes
    -----
    The default network is an ensemble that cross-fits itself: ``n_members`` networks of
    ``hidden_layer_sizes`` in one Keras model, each trained on the rows outside its own fold. One fit gives their
    average, and for every training row an honest probability, by which training stops and thresholds are tuned.

    Unknown cells of an indicator (NaN, pd.NA) add nothing to the loss, weights, thresholds or `score`.

    Labels are independent yes/no questions, so each has a sigmoid of its own; a softmax would make them
    share one unit of probability, which is right for exactly one label per row.

    Examples
    --------
    >>> import numpy as np
    >>> from skml import KerasMultiLabelClassifier
    >>> X = np.tile([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], (25, 1))
    >>> y = 25 * [set(), {"wet"}, {"cold"}, {"cold", "wet"}]
    >>> clf = KerasMultiLabelClassifier(epochs=100, learning_rate=0.01, random_state=0).fit(X, y)
    >>> clf.predict([[0, 0], [1, 1]])
    array([(), ('cold', 'wet')], dtype=object)
    >>> clf.predict_proba([[1, 0]]).shape
    (1, 2)
    """

    _parameter_constraints = {
        "model": [callable, None],
        "hidden_layer_sizes": [StrOptions({"auto"}), "array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "input_dropout": [Interval(Real, 0, 1, closed="left")],
        "scale": [StrOptions({"auto"}), None],
        "n_members": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither"), None],
        "class_weight": [StrOptions({"balanced"}), dict, "array-like", None],
        "classes": ["array-like", set, None],
        "min_labels": [Interval(Integral, 0, None, closed="left")],
        "max_labels": [Interval(Integral, 0, None, closed="left"), None],
        "epochs": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "jit_compile": ["boolean"],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        model=None,
        *,
        hidden_layer_sizes="auto",
        activation="relu",
        dropout=0.5,
        input_dropout=0.3,
        scale="auto",
        n_members="auto",
        optimizer="adam",
        learning_rate=None,
        loss="auto",
        metrics=None,
        class_weight=None,
        classes=None,
        threshold=0.5,
        min_labels=0,
        max_labels=None,
        epochs="auto",
        batch_size="auto",
        early_stopping=True,
        validation_fraction=0.1,
        n_iter_no_change=10,
        callbacks=None,
        jit_compile=False,
        warm_start=False,
        random_state=None,
        verbose=0,
        **routed,
    ):
        self.model = model
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.scale = scale
        self.n_members = n_members
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.loss = loss
        self.metrics = metrics
        self.class_weight = class_weight
        self.classes = classes
        self.threshold = threshold
        self.min_labels = min_labels
        self.max_labels = max_labels
        self.epochs = epochs
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.callbacks = callbacks
        self.jit_compile = jit_compile
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        for name, value in routed.items():
            if not _is_routed(name):
                raise TypeError(f"{type(self).__name__} has no parameter {name!r}{self._nearest(name)}")
            setattr(self, name, value)

    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None):
        """Train a network on X and y.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            Floats. With a `model` of your own also arrays of more dimensions, integers or strings.
        y : label collections, indicator, or one label per row, n_samples in all
            A list of sets, lists or tuples of labels; an array, sparse matrix or DataFrame of 0 and 1 of
            shape (n_samples, n_labels), NaN where a cell is not known; or an array-like of shape (n_samples,).
            Lists of one length that hold 0 and 1 only are an indicator; where 0 and 1 are labels, use sets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight 0 is the same as leaving the row out, weight 2 as having it twice.
        X_val, y_val : as X and y, default=None
            Data for early stopping, in place of out-of-fold probabilities or a holdout. A Pipeline transforms
            X_val with ``transform_input=["X_val"]``.

        Returns
        -------
        self : KerasMultiLabelClassifier

        Raises
        ------
        ValueError
            If a parameter, X or y is not as described. The estimator is then as it was before.
        """
        with self._kept_on_error():
            goes_on = self.warm_start and hasattr(self, "_network")
            self._validate_params()
            self._check_routed()
            return self._fit(X, y, sample_weight, (X_val, y_val), goes_on)

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train for one epoch, without a holdout, going on from what earlier calls learned.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.
        classes : array-like of shape (n_labels,), default=None
            The label space; the same thing as the parameter `classes`. Needed in the first call unless
            the columns of an indicator give it.

        Returns
        -------
        self : KerasMultiLabelClassifier
        """
        with self._kept_on_error():
            self._validate_params()
            self._check_routed()
            return self._fit(X, y, sample_weight, (None, None), hasattr(self, "_network"), True, classes)

    def predict(self, X):
        """Predict labels in the form of the ``y`` given to `fit`.

        Parameters
        ----------
        X : as in `fit`

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_labels), or sparse matrix
            For label collections an object array of tuples, in the order of ``classes_``; for a sparse
            ``y`` CSR; for a DataFrame an array of 0 and 1, or of bool.
        """
        check_is_fitted(self, "_network")
        X = self._check_X(X)
        encoder = self.target_encoder_
        if not encoder.is_multilabel:
            return encoder.inverse_transform(self._class_numbers(X))
        chunks = [decisions for _, decisions in self._decisions(X)]
        stack = sparse.vstack if encoder.form_ == "sparse" else np.concatenate
        return encoder.inverse_transform(stack(chunks))

    def predict_proba(self, X):
        """Predict the probability of each label.

        Parameters
        ----------
        X : as in `fit`

        Returns
        -------
        proba : ndarray of shape (n_samples, n_labels)
            In the dtype of the network, inside (0, 1), columns as in ``classes_``. With one label per row
            (n_samples, n_classes), rows summing to 1.
        """
        if "_network" not in vars(self):  # check_is_fitted takes longer than a row through the network
            check_is_fitted(self, "_network")
        return self._proba(self._check_X(X))

    def decision_function(self, X):
        """Predict log-odds.

        Parameters
        ----------
        X : as in `fit`

        Returns
        -------
        scores : ndarray of shape (n_samples, n_labels)
            Log-odds of each label. With one label per row (n_samples,) for two classes, the log-odds of
            the second, and log-probabilities of shape (n_samples, n_classes) for more.
        """
        check_is_fitted(self, "_network")
        scores = self._network.log_proba(self._check_X(X))
        return scores.ravel() if self.target_encoder_.target_type_ == "binary" else scores

    def score(self, X, y, sample_weight=None):
        """Return the share of rows whose labels are all predicted right (subset accuracy).

        Parameters
        ----------
        X, y : as in `fit`
            A row of ``y`` with a label that is not in ``classes_`` counts as wrong, with a warning; one of
            which nothing is known does not count.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        score : float
        """
        check_is_fitted(self, "_network")
        encoder = self.target_encoder_
        Y, unknown = encoder.transform_known(y)
        if not encoder.is_multilabel:
            return super().score(X, y, sample_weight)
        X = self._check_X(X)
        check_consistent_length(X, Y, sample_weight)
        wrong, known = np.empty((2, X.shape[0]), dtype=np.int64)
        for rows, decisions in self._decisions(X):
            wrong[rows], known[rows] = _decisions.count_wrong(decisions, Y[rows])
        right = wrong == 0
        if unknown:
            labels = list(dict.fromkeys(label for row in unknown.values() for label in row))
            message = f"{len(unknown)} rows of y count as wrong: they have labels that are not in classes_: {labels!r}."
            warnings.warn(message, stacklevel=2)
            right[list(unknown)] = False
        if not known.all():
            sample_weight = (known > 0) * (1.0 if sample_weight is None else np.asarray(sample_weight))
        if sample_weight is not None and not np.any(sample_weight):
            warnings.warn(
                "The score is NaN: no row has a weight and a known cell.", UndefinedMetricWarning, stacklevel=2
            )
            return np.nan
        return float(np.average(right, weights=sample_weight))

    @property
    def threshold_(self):
        """The threshold in force."""
        if not hasattr(self, "_network"):
            raise AttributeError("threshold_ is there after fit.")
        if self.target_encoder_.target_type_ == "multiclass":
            return None
        try:
            return self._threshold()
        except ValueError as error:  # a display of the estimator must not fail
            raise AttributeError(str(error)) from error

    def __getattr__(self, name):
        if name == "oof_proba_":
            raise AttributeError(
                "oof_proba_ is there after a fit (not partial_fit) with n_members > 1, at least 4 rows for each member "
                "and warm_start=False; it is not pickled."
            )
        # Not a property: scikit-learn's display reads those, and must neither import Keras nor build a network.
        if name != "model_" or "_network" not in vars(self):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if not isinstance(self._network, DenseNetwork):
            return self._network.model
        if "_rebuilt_model" not in vars(self):
            from skml._ensemble import rebuild

            self._rebuilt_model = rebuild(self._network)
        return self._rebuilt_model

    def get_params(self, deep=True):
        """Return the parameters, routed ones included.

        Parameters
        ----------
        deep : bool, default=True
            Accepted as scikit-learn does.

        Returns
        -------
        params : dict
        """
        routed = {name: value for name, value in vars(self).items() if _is_routed(name)}
        return {**super().get_params(deep=deep), **routed}

    def set_params(self, **params):
        """Set parameters, routed ones included.

        Returns
        -------
        self : KerasMultiLabelClassifier

        Raises
        ------
        ValueError
            If a name is no parameter.
        """
        known = self._get_param_names()
        for name in params:
            if name not in known and not _is_routed(name):
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator {type(self).__name__}{self._nearest(name)} "
                    f"Valid parameters are: {known!r} and those routed by {', '.join(f'{r}__' for r in ROUTES)}."
                )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    @contextlib.contextmanager
    def _kept_on_error(self):
        """Leave the estimator as it was if what happens inside fails."""
        before = dict(vars(self))
        try:
            yield
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    def _fit(self, X, y, sample_weight, validation, goes_on, partial=False, classes=None):
        task = self._read(X, y, sample_weight, goes_on, partial, classes)
        self._split(task, validation)
        self._check_can_tune(task)
        self._keep(task, *self._train(task))
        self._predict_unlearned(task)
        return self

    def _read(self, X, y, sample_weight, goes_on, partial, classes):
        """Return X and y as arrays, with weights and the random state, checked."""
        X = self._check_X(X, reset=not goes_on)
        encoder = self._encoder(y, goes_on, partial, classes)
        Y = encoder.transform(y)
        check_consistent_length(X, Y)
        self._check_decisions(encoder)
        self._check_unknown(encoder, Y)
        weight = _weights.check_sample_weight(sample_weight, X)
        weight = _weights.without_unknown_rows(weight, Y)
        positive_weight, by_class = self._apply_class_weight(encoder, Y, weight)
        rng = copy.deepcopy(self._random_state) if goes_on else self._new_random_state()
        by_row = _times(weight, by_class, Y)
        return _Task(X, Y, weight, by_row, encoder, positive_weight, by_class, rng, goes_on, partial)

    def _split(self, task, validation):
        """Decide which rows train, for which members, and which watch."""
        task.given = self._given_validation(task, validation)
        task.hidden = None if self.model is not None else self._hidden(task)
        task.n_members = self._count_members(task)
        has_folds = not (task.partial or self.warm_start)
        has_holdout = self.early_stopping and not (task.partial or task.given is not None)
        task.split = _split.Split(
            task.Y,
            task.weight,
            task.n_members if has_folds else 1,
            self.validation_fraction if has_holdout else None,
            task.random_state,
        )

    def _train(self, task):
        """Return the trained network, its history, the optimizer's slots, the scaler and callbacks."""
        from skml import _training

        split, params = task.split, self.get_params(deep=False)
        if task.given is not None:
            validation = split.as_given(*task.given)
        else:
            validation = split.watched(task.X, task.Y) if self.early_stopping else None
        cross_fitted = split.fold is not None and task.given is None and validation is not None
        problem = _training.Problem(self._meta(task), task.positive_weight, task.Y.dtype.kind == "f")
        scaler = self._scale(task)
        if task.goes_on:
            start = _training.go_on(self._network, params, problem, scaler, task.random_state)
        else:
            network = (task.hidden, task.n_members, cross_fitted)
            start = _training.start(params, task.X, problem, scaler, *network, task.random_state)
        batch_size, epochs = self._budget(task)
        plan = _training.Plan(
            X=task.X,
            Y=task.Y,
            weight=split.training_weight(),
            rows=split.rows,
            validation=validation,
            cross_fitted=cross_fitted,
            epochs=1 if task.partial else epochs,
            batch_size=batch_size,
            first_epoch=self.n_iter_ if task.goes_on else 0,
            n_iter_no_change=self.n_iter_no_change,
            verbose=int(self.verbose),
            jit_compile=self.jit_compile,
            random_state=task.random_state,
        )
        callbacks = _training.callbacks(params)
        trained = _training.train(start, plan, callbacks, self._slots if task.goes_on else None)
        return *trained, scaler, callbacks

    def _keep(self, task, network, history, slots, kept, scaler, callbacks):
        """Set the fitted attributes."""
        earlier, n_iter = (self.history_, self.n_iter_) if task.goes_on else ({}, 0)
        self.history_ = {name: earlier.get(name, []) + values for name, values in history.items()}
        self.n_iter_ = n_iter + len(history["loss"])
        self.kept_epoch_ = self.n_iter_ if kept is None else n_iter + kept
        self.target_encoder_ = task.encoder
        self.classes_ = task.encoder.classes_
        self.callbacks_ = callbacks
        self._network = network
        self._slots = slots
        self._scaler = scaler
        self._random_state = task.random_state
        self._keeps_slots = task.partial or self.warm_start
        self._tuned = self._tuned if task.goes_on else {}
        for name in ("_rebuilt_model", "oof_proba_"):
            vars(self).pop(name, None)

    def _predict_unlearned(self, task):
        """Set what follows from the probabilities of rows that no network, or not all members, learned from."""
        X, Y, weight, split = task.X, task.Y, task.sample_weight, task.split
        is_tuned = _decisions.is_tuned(self.threshold)
        if split.fold is not None:
            rows, keeps_all = np.arange(X.shape[0]), Y.shape[0] * Y.shape[1] <= _MAX_KEPT_CELLS
            if not keeps_all:
                rows = np.sort(task.random_state.permutation(split.rows)[: max(1, _MAX_KEPT_CELLS // Y.shape[1])])
            proba = self._network.out_of_fold_proba(X[rows], split.fold[rows])
            if keeps_all:
                self.oof_proba_ = self._by_class(proba.copy())
        elif is_tuned and task.given is not None:
            X, Y, _, (rows,) = task.given
            weight = None
            proba = self._network.proba(X[rows])
        elif is_tuned and split.held_out is not None:
            rows = split.held_out
            proba = self._network.proba(X[rows])
        else:
            return
        if is_tuned:
            weight = None if weight is None else weight[rows]
            threshold = _thresholds.tune(Y[rows], proba, self.threshold, sample_weight=weight).threshold
            self._tuned = {self.threshold: threshold if task.encoder.is_multilabel else np.ravel(threshold).item()}

    def _check_routed(self):
        """Refuse routed parameters that nothing takes: a grid over them would compare equal models."""
        takers = {
            "model": callable(self.model) and not hasattr(self.model, "get_weights"),
            "loss": not isinstance(self.loss, str) or self.loss != "auto",
            "metrics": self.metrics is not None,
            "callbacks": self.callbacks is not None,
        }
        for name in filter(_is_routed, vars(self)):
            route = name.partition("__")[0]
            if not takers.get(route, True):
                wanted = "a function that builds the network" if route == "model" else "a name, class or function"
                raise ValueError(f"{name} has nothing to go to: {route}={getattr(self, route)!r} is not {wanted}.")

    def _check_X(self, X, reset=False):
        if self.model is None:
            dtype = self._floatx() if reset else [np.float64, np.float32]
            return validate_data(self, X, reset=reset, accept_sparse="csr", dtype=dtype)
        first = X if hasattr(X, "dtype") or sparse.issparse(X) else np.asarray(X)
        is_text = getattr(first, "dtype", np.dtype(object)).kind in "OUST" and _holds_text(first)
        return validate_data(
            self,
            X,
            reset=reset,
            accept_sparse="csr",
            dtype=None if is_text else "numeric",
            allow_nd=True,
            ensure_2d=not is_text,
        )

    def _floatx(self):
        import keras

        return np.dtype(keras.config.floatx())

    def _encoder(self, y, goes_on, partial, classes):
        if classes is not None and self.classes is not None and not same_label_space(classes, self.classes):
            raise ValueError(f"classes={classes!r} differs from the parameter classes={self.classes!r}.")
        classes = self.classes if classes is None else classes
        if goes_on:
            known = self.target_encoder_
            if classes is not None and not known.has_label_space(classes):
                labels = known.classes_.tolist()
                raise ValueError(f"classes={classes!r} differs from the labels of the earlier fit, {labels!r}.")
            return known
        encoder = TargetEncoder(classes).fit(y)
        if partial and classes is None and encoder.form_ in ("single", "collections"):
            raise ValueError(
                "classes must be passed on the first call to partial_fit: a label may be missing from this y."
            )
        return encoder

    def _check_decisions(self, encoder):
        labels = encoder.classes_.tolist()
        is_tuned = _decisions.is_tuned(self.threshold)
        if encoder.is_multilabel:
            _decisions.check_label_counts(self.min_labels, self.max_labels, len(labels))
            if not is_tuned:
                _decisions.resolve_threshold(self.threshold, labels)
            return
        _decisions.check_has_no_meaning(self.threshold, self.min_labels, self.max_labels, encoder.target_type_)
        if encoder.target_type_ == "binary" and not is_tuned:
            _decisions.resolve_threshold(self.threshold, labels[1:])

    def _check_unknown(self, encoder, Y):
        """Refuse metrics that would be NaN, and name labels of which nothing is known."""
        if Y.dtype.kind != "f":
            return
        self._check_metrics()
        unknown = encoder.classes_[np.asarray((Y != Y).sum(axis=0)).ravel() == Y.shape[0]]
        if len(unknown):
            warnings.warn(
                f"y holds only NaN for the labels {unknown.tolist()!r}: nothing is learned of them.", stacklevel=4
            )

    def _check_metrics(self):
        if self.metrics is not None:
            raise ValueError(
                "y holds NaN for cells that are not known, which metrics of Keras do not leave out. Leave metrics=None."
            )

    def _check_can_tune(self, task):
        if not _decisions.is_tuned(self.threshold) or (task.goes_on and self.threshold in self._tuned):
            return
        if task.split.fold is None and task.split.held_out is None and task.given is None:
            raise ValueError(
                f"threshold={self.threshold!r} is tuned on rows that a network has not learned from, and there are "
                "none: it needs fit (not partial_fit alone) with at least 4 rows for each member of the default "
                "network, a holdout (early_stopping=True and at least 100 rows), or X_val and y_val."
            )

    def _threshold(self):
        if _decisions.is_tuned(self.threshold):
            if self.threshold not in self._tuned:
                raise ValueError(f"threshold={self.threshold!r} is tuned by fit; call fit again after setting it.")
            return self._tuned[self.threshold]
        labels = self.classes_.tolist()
        is_binary = self.target_encoder_.target_type_ == "binary"
        return _decisions.resolve_threshold(self.threshold, labels[1:] if is_binary else labels)

    def _apply_class_weight(self, encoder, Y, weight):
        """Return the weights of positive cells (or None), and the weights of rows by class (or None)."""
        labels = encoder.classes_.tolist()
        if self.class_weight is None:
            return None, None
        if encoder.is_multilabel:
            return _weights.positive_weights(self.class_weight, labels, Y, weight), None
        return None, _weights.weights_by_class(self.class_weight, labels, _codes(Y), weight)

    def _new_random_state(self):
        return np.random.RandomState(check_random_state(self.random_state).randint(2**31 - 1))

    def _hidden(self, task):
        """Return the widths of the hidden layers of the default network."""
        if isinstance(self.hidden_layer_sizes, str):
            total = _weights.total_weight(task.weight, task.X.shape[0])
            return _weights.auto_hidden_layer_sizes(task.X.shape[1], task.encoder.n_outputs, total)
        hidden = np.atleast_1d(self.hidden_layer_sizes).tolist()
        if not all(isinstance(width, int) and width > 0 for width in hidden):
            raise ValueError(f"hidden_layer_sizes must hold positive integers; got {self.hidden_layer_sizes!r}.")
        return hidden

    def _count_members(self, task):
        if task.goes_on:
            return getattr(self._network, "n_members", 1)
        if self.model is not None:
            return 1
        if self.n_members != "auto":
            return int(self.n_members)
        return _weights.auto_members([task.X.shape[1], *task.hidden, task.encoder.n_outputs])

    def _given_validation(self, task, validation):
        """Return X_val, y_val, their weights and rows as the network takes them, or None."""
        X_val, y_val = validation
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val must be given together.")
        if X_val is None:
            return None
        if not self.early_stopping:
            raise ValueError("X_val and y_val are for early stopping, but early_stopping=False.")
        X_val = self._check_X(X_val)
        Y_val = task.encoder.transform(y_val)
        check_consistent_length(X_val, Y_val)
        if Y_val.dtype.kind == "f":
            self._check_metrics()
            task.Y = task.Y.astype(Y_val.dtype)
        known = _weights.without_unknown_rows(np.ones(X_val.shape[0]), Y_val)
        weight = None if task.weight is None else _times(known, task.by_class, Y_val)
        rows = np.flatnonzero(known).astype(np.int32)
        return _as_kind_of(X_val, task.X), _as_kind_of(Y_val, task.Y), weight, [rows]

    def _scale(self, task):
        """Return the statistics of the columns that scaling needs, or None."""
        scaler = copy.deepcopy(self._scaler) if task.goes_on else None
        if not task.goes_on and self.model is None and self.scale is not None:
            scaler = SparseScaler() if sparse.issparse(task.X) else DenseScaler()
        if scaler is not None:
            scaler.update(task.X, task.split.rows, task.weight)
        return scaler

    def _budget(self, task):
        """Return the size of a batch and the number of epochs."""
        rows = task.split.rows
        total = _weights.total_weight(None if task.weight is None else task.weight[rows], len(rows))
        batch_size = _weights.auto_batch_size(total) if self.batch_size == "auto" else int(self.batch_size)
        epochs = _weights.auto_epochs(total, batch_size) if self.epochs == "auto" else int(self.epochs)
        return batch_size, epochs

    def _meta(self, task):
        X, encoder = task.X, task.encoder
        return {
            "n_features_in_": getattr(self, "n_features_in_", None),
            "n_classes_": len(encoder.classes_),
            "n_outputs_": encoder.n_outputs,
            "output_activation_": "softmax" if encoder.target_type_ == "multiclass" else "sigmoid",
            "target_type_": encoder.target_type_,
            "classes_": encoder.classes_,
            "X_shape_": X.shape,
            "X_dtype_": X.dtype,
        }

    def _proba(self, X):
        return self._by_class(self._network.proba(X))

    def _by_class(self, proba):
        """Return the probabilities of the output units as `predict_proba` does."""
        if self.target_encoder_.target_type_ == "binary":
            proba = np.hstack([1 - proba, proba])
        return open_interval(proba)

    def _class_numbers(self, X):
        encoder = self.target_encoder_
        self._check_decisions(encoder)
        proba = self._proba(X)
        if encoder.target_type_ == "multiclass":
            return proba.argmax(axis=1)
        return _decisions.decide(proba[:, 1:], self._threshold()).ravel().astype(np.intp)

    def _decisions(self, X):
        """Yield slices of rows and their decisions, CSR where y was sparse."""
        self._check_decisions(self.target_encoder_)
        limits = self._threshold(), self.min_labels, self.max_labels
        as_csr = self.target_encoder_.form_ == "sparse"
        for rows in gen_batches(X.shape[0], max(1, _CHUNK_CELLS // len(self.classes_))):
            decisions = _decisions.decide(self._proba(X[rows]), *limits)
            yield rows, sparse.csr_array(decisions) if as_csr else decisions

    def _nearest(self, name):
        route, _, rest = name.partition("__")
        near = difflib.get_close_matches(route if rest else name, [*self._get_param_names(), *ROUTES], n=1)
        return f"; did you mean {near[0] + ('__' + rest if rest else '')!r}?" if near else "."

    def __sklearn_clone__(self):
        # Keras objects are shared: deepcopy cannot copy them all, and fit copies them.
        shared = self._keras_params()
        twin = object.__new__(type(self))
        vars(twin).update(vars(self) | dict.fromkeys(shared))
        twin = BaseEstimator.__sklearn_clone__(twin)
        vars(twin).update(shared)
        return twin

    def _keras_params(self):
        """Return the parameters that hold objects of Keras."""
        if "keras" not in sys.modules:
            return {}
        from skml._keras_objects import holds_keras_object

        return {name: value for name, value in self.get_params(deep=False).items() if holds_keras_object(value)}

    def __getstate__(self):
        state = dict(super().__getstate__())
        state.pop("_rebuilt_model", None)
        state.pop("oof_proba_", None)
        if not state.get("_keeps_slots"):
            state.update(dict.fromkeys(state.keys() & {"_slots", "_scaler"}))
        if state.get("callbacks_"):
            state["callbacks_"] = [callback for callback in state["callbacks_"] if _can_be_pickled(callback)]
        shared = self._keras_params()
        if shared:
            from skml._keras_objects import pack

            state["_packed"] = {name: pack(value) for name, value in shared.items()}
            state.update(dict.fromkeys(shared))
        return state

    def __setstate__(self, state):
        packed = state.pop("_packed", None)
        super().__setstate__(state)
        if packed:
            from skml._keras_objects import unpack

            vars(self).update({name: unpack(value) for name, value in packed.items()})

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.input_tags.sparse = True
        tags.input_tags.three_d_array = tags.input_tags.string = self.model is not None
        return tags


def _published_signature():
    """Return the signature without the var-keyword, which is no parameter of its own."""
    signature = inspect.signature(KerasMultiLabelClassifier.__init__)
    parameters = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD and p.name != "self"]
    return signature.replace(parameters=parameters)


KerasMultiLabelClassifier.__signature__ = _published_signature()


def _is_routed(name):
    route, _, rest = name.partition("__")
    return route in ROUTES and bool(rest)


def _can_be_pickled(value):
    """Whether a value pickles; a callback may hold an open file."""
    try:
        pickle.dumps(value)
    except Exception:  # whatever a class of the user's own may raise
        return False
    return True


def _holds_text(X):
    if X.dtype.kind in "UST":
        return True
    flat = np.asarray(X).ravel()
    return flat.size > 0 and isinstance(flat[0], str)


def _codes(Y):
    """Return the class number of each row of one-hot Y, or of one column for two classes."""
    return np.asarray(Y.argmax(axis=1) if Y.shape[1] > 1 else Y[:, 0]).ravel().astype(np.intp)


def _times(weight, by_class, Y):
    """Return the weights of rows times those of their classes."""
    if by_class is None:
        return weight
    weight = by_class[_codes(Y)] if weight is None else by_class[_codes(Y)] * weight
    if not weight.any():
        raise ValueError("class_weight and sample_weight leave no row with a weight above 0.")
    return weight


def _as_kind_of(array, model):
    """Return validation data dense or sparse, and in the dtype, as the training data are."""
    if sparse.issparse(model):
        return sparse.csr_array(array).astype(model.dtype)
    array = array.toarray() if sparse.issparse(array) else array
    return array.astype(model.dtype, copy=False)
