"""The estimator: scikit-learn's contract around a Keras network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from numpy.typing import ArrayLike

from skml._constraints import CONSTRAINTS
from skml._fitting import FittingClassifier
from skml._targets._types import Matrix, RandomState, Target

if TYPE_CHECKING:
    import keras


class KerasMultiLabelClassifier(FittingClassifier):
    """Neural multi-label classifier: one sigmoid unit per label, trained with binary cross-entropy.

    ``y`` holds label sets, a 0/1 indicator (array, sparse matrix or DataFrame) or one label per row, and
    `predict` answers in kind. With one label per row the problem is multi-class, and the output activation is a
    softmax with categorical cross-entropy (for two classes one sigmoid unit).

    Parameters
    ----------
    model : callable or keras.Model, default=None
        None is a fully connected network of `hidden_layer_sizes`; the six parameters after this one act on it alone,
        and are refused with a custom network where they are not at their defaults. A callable builds a network; it
        receives only those of ``meta``, ``X``, ``compile_kwargs``, ``params`` and routed ``model__x`` (as ``x``) that
        its signature names. ``X`` is the rows that train, without a holdout, for layers such as TextVectorization and
        Normalization to ``adapt`` to. ``meta`` is a dict with ``n_features_in_``, ``n_classes_``, ``n_outputs_``,
        ``output_activation_``, ``target_type_``, ``classes_``, ``X_shape_`` and ``X_dtype_``; a network that
        ends in ``Dense(meta["n_outputs_"], meta["output_activation_"])`` serves every ``y``. Each
        fit trains a copy of a keras.Model, starting from its weights. A compiled model keeps its own
        loss, optimizer and metrics where the parameters here are at their defaults.
    hidden_layer_sizes : "auto", int or sequence of int, default="auto"
        Units of each hidden layer of a member of the default network; a layer as wide as the one before it
        has a residual connection (He et al., 2016). "auto" is (256, 256), for sparse rows of few values
        128; narrower for fewer than 300 rows, and, down to 64 or 32, where five members would have too many weights.
    activation : str, default="relu"
        Activation of the hidden layers of the default network: "elu", "gelu", "linear", "relu", "selu",
        "sigmoid", "silu", "softplus" or "tanh".
    dropout : "auto" or float in [0, 1), default="auto"
        Share of each hidden layer's units that a training step leaves out (Srivastava et al., 2014). "auto" starts at
        0.5 (0.3 for short sparse rows), falls while the loss in training is above 0.9 times that of rows that are not
        learned from, and rises again below; it is 0.1 in `partial_fit`.
    input_dropout : "auto" or float in [0, 1), default="auto"
        Share of the input's entries that a training step of the default network leaves out. "auto" starts at 0.3 for
        dense X, at 0.1 for sparse X (0.2 where its columns are full, 0 where its rows are short), and falls before
        `dropout` does; it is 0 in `partial_fit`.
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
    learning_rate : float or keras.optimizers.schedules.LearningRateSchedule, default=None
        None keeps the optimizer's own; for the default network and "adam" it then depends on the batch size and on
        X, is held until the loss of rows that are not learned from no longer falls, and goes to 0 in a line. A schedule
        counts updates, and goes on where training does.
    loss : "auto", str, callable, keras.Loss or class of one, default="auto"
        "auto" is binary cross-entropy, averaged over the labels of a row and then over rows by weight;
        for one of more than two classes per row it is categorical cross-entropy. "focal" (Lin et al., 2017)
        and "asymmetric" (Ridnik et al., 2021) count entries that are right already for less, and take
        ``loss__gamma``, ``loss__gamma_negative`` and the like; tune the threshold with them, as their
        probabilities are shifted. Other names, functions and objects are used as Keras uses them.
    metrics : list, default=None
        Keras metrics of the (averaged) probabilities, recorded in ``history_``.
    calibrate : "auto" or bool, default="auto"
        Whether the default network's log-odds are scaled by numbers fitted to those of rows that it did not learn from.
        "auto" multiplies all by one slope above 1, where that fits clearly better (Guo et al., 2017): no decision at
        0.5 changes. True fits a slope and an offset (Platt, 1999), one of their own for labels with at least 50 rows
        on either side: better probabilities, but fewer rare labels reach 0.5. Thresholds are tuned after it.
    class_weight : "balanced", mapping label -> float, or array-like of shape (n_labels,), default=None
        Weight of a label's positive entries in the loss. "balanced" is negatives / positives of each label,
        within [0.01, 100]. With one label per row it weighs rows, as scikit-learn's ``class_weight``.
    classes : array-like of shape (n_labels,), default=None
        The label space, for data in which a label may not occur. None takes it from ``y``. In `partial_fit` and with
        `warm_start` it may change: see the notes.
    threshold : float, array-like of shape (n_labels,), mapping label -> float, or str, default=0.5
        A label is predicted where its probability is at least its threshold, in [0, 1]. Labels that a
        mapping (or a Series, by its index) leaves out have 0.5. Read by `predict`, so a fitted estimator
        follows ``set_params``. For binary y, the float is the second class's threshold; for multi-class y leave it
        at 0.5.
        "f1_micro" and "f1_macro" are tuned by `fit`, on probabilities of rows that a network did not learn from (out of
        fold, or on the holdout): one for all labels that is best for micro-F1, or one for each by the plug-in
        rule for macro-F1 (Lipton et al., 2014), after calibration (Platt, 1999). Set on a fitted estimator they act
        at once, as long as it has those probabilities: they are not pickled. What was tuned before `partial_fit` or a
        warm start stays in force, with a warning.
        Guarantees are found from the same probabilities: "precision>=0.9" (any number in (0, 1)) is the lowest threshold
        at which so many of all predicted labels are right, with 95 % confidence; "precision>=0.9 by label" one for each
        label; 2, that is never, where none keeps it, with a warning. "recall>=0.9" is the highest one at which so many
        of a row's labels are predicted on average. They hold for rows like those of `fit`, and for members as they
        answered out of fold. Their average, which predicts, is right more often, but less sure of itself: where the
        threshold for recall is near 1, it may miss some hundredths more. `TunedThresholdMultiLabelClassifierCV` with
        ``cv="prefit"`` and rows of their own tunes the average itself. Precision allows no `min_labels`, and
        neither allows `max_labels`.
    min_labels : int, default=0
        A row with fewer predicted labels gets those with the largest ``proba - threshold``.
    max_labels : int, default=None
        A row with more predicted labels keeps those with the largest ``proba - threshold``.
    epochs : int or "auto", default="auto"
        Passes over the training rows. "auto" makes at most about 2,000 updates, within [20, 150] epochs.
    batch_size : int or "auto", default="auto"
        Rows of one update. "auto" is the power of two nearest to n_samples / 30, within [32, 256].
    early_stopping : bool, default=True
        Whether to watch rows that are not learned from, and to stop when their loss no longer falls. With several
        members it is the out-of-fold loss, and the last epoch within 2 % of the best one is kept. Otherwise it is that
        on ``X_val``, ``y_val`` or on a holdout, and the best epoch is kept; there is no holdout if it would have fewer
        than 10 rows, and none in `partial_fit`.
    validation_fraction : float in (0, 1), default=0.1
        Share of the training rows that the holdout takes, stratified by label (Sechidis et al., 2011).
    n_iter_no_change : int, default=10
        Epochs without improvement after which to stop.
    callbacks : keras.callbacks.Callback, class of one, or list of them, default=None
        Each fit trains with copies, which are in ``callbacks_``. Instances of Keras' own classes are copied with
        all that they hold. Of instances of other classes only the attributes are copied, and what they refer to is
        shared by all fits: a list, an Optuna trial, a logger is the one that you passed. Pass a class, and what it
        takes as ``callbacks__x``, where each fit is to start anew. A callback with batch hooks makes training fall
        back to Keras' own, slower loop.
    jit_compile : bool, default=False
        Whether XLA compiles the training step. It costs seconds and pays after thousands of updates.
    warm_start : bool, default=False
        Whether `fit` goes on from the fitted weights and optimizer state, in the fitted label space unless `classes`
        names another. Then all members learn from all rows but those of a holdout.
    random_state : int, RandomState instance or None, default=None
        Seeds weights, dropout, folds, holdout and the order of rows. The same int gives the same model, bit for
        bit on one CPU.
    verbose : int, default=0
        0 is silent, 1 a progress bar, 2 a line for each epoch; 1 too where the output is neither a terminal nor a
        notebook. For one display of a whole search see Notes.
    **routed
        ``model__x``, ``optimizer__x``, ``loss__x``, ``metrics__x`` and ``callbacks__x`` are handed on to what
        they name. They are parameters like the others: in `get_params`, `set_params` and grids.

    Attributes
    ----------
    classes_ : ndarray of shape (n_labels,)
        The labels, in the order of the columns of `predict_proba`.
    threshold_ : float or ndarray of shape (n_labels,)
        The threshold in force, 2 for a label that a guarantee allows nowhere; None for multi-class y.
    tuned_threshold_ : dict of label -> float
        The threshold in force for each label, to start from: ``clf.tuned_threshold_ | {"spam": 0.2}`` changes one.
        Not there for one label per row.
    oof_proba_ : ndarray of shape (n_samples, n_labels)
        Out-of-fold probabilities of the training rows, as `predict_proba` gives them: of each row by the member
        that did not learn from it. There after `fit` with several members and at least 20 rows (4 for each
        member), unless it would have more than 33 million entries; not pickled.
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

    Missing labels of an indicator (NaN, pd.NA, masked) add nothing to the loss, weights, thresholds or `score`.

    For searches over label sets pass ``scoring=skml.metrics.get_scorer("f1_micro")``, or no `scoring`: a name alone,
    ``scoring="f1_micro"``, is scikit-learn's scorer, which takes no label sets and gives NaN for every candidate.

    From scikit-learn 1.9 on ``set_callbacks`` takes its callbacks, and those of searches and pipelines get here:
    ``GridSearchCV(clf, grid).set_callbacks(ProgressBar())`` shows candidates, fits and epochs. Each epoch of `fit` is a
    task, after which ``ScoringMonitor`` scores the network as it is then; one that returns True stops training.

    Where training goes on, `classes` may name other labels than were fitted, as long as some stay. Those keep their
    weights and the optimizer's state; a new label starts at its base rate; one that `classes` no longer names is
    forgotten. Columns follow the order of `classes`. This needs the default network and multi-label ``y``, which may
    hold no other labels. Thresholds that were tuned for each label are 0.5 for a new one, and 2, that is never, where
    they keep a guarantee of precision, until `fit` tunes them.

    A fitted estimator is stored by joblib; with the default network also by skops, in a file that runs no code when it
    is loaded (see ``skml.SKOPS_TRUSTED``). `skml.onnx.to_onnx` exports it for programs without Python.

    Labels are independent yes/no questions, so each has a sigmoid of its own; a softmax would make them
    share one unit of probability, which is right for exactly one label per row.

    Dataset
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

    __module__ = "skml"  # the public path, which files name
    _parameter_constraints = CONSTRAINTS

    def __init__(
        self,
        model: Callable | keras.Model | None = None,
        *,
        hidden_layer_sizes: int | Sequence[int] | str = "auto",
        activation: str = "relu",
        dropout: float | str = "auto",
        input_dropout: float | str = "auto",
        scale: str | None = "auto",
        n_members: int | str = "auto",
        optimizer: str | keras.Optimizer | type[keras.Optimizer] = "adam",
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule | None = None,
        loss: str | Callable | keras.Loss | type[keras.Loss] = "auto",
        metrics: list | None = None,
        calibrate: bool | str = "auto",
        class_weight: str | Mapping[Any, float] | ArrayLike | None = None,
        classes: ArrayLike | None = None,
        threshold: float | str | Mapping[Any, float] | ArrayLike = 0.5,
        min_labels: int = 0,
        max_labels: int | None = None,
        epochs: int | str = "auto",
        batch_size: int | str = "auto",
        early_stopping: bool = True,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        callbacks: Any = None,
        jit_compile: bool = False,
        warm_start: bool = False,
        random_state: RandomState = None,
        verbose: int = 0,
        **routed: Any,
    ) -> None:
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
        self.calibrate = calibrate
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
        self._set_routed(routed)

    def fit(
        self,
        X: Matrix,
        y: Target,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: Matrix | None = None,
        y_val: Target | None = None,
    ) -> Self:
        """Train a network on X and y.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            Floats. With a custom `model` also arrays of more dimensions, integers or strings.
        y : label collections, indicator, or one label per row, n_samples in all
            A list of sets, lists or tuples of labels; an array, sparse matrix or DataFrame of 0 and 1 of
            shape (n_samples, n_labels), NaN where an entry is unknown; or an array-like of shape (n_samples,).
            Lists of one length that hold 0 and 1 only are an indicator; where 0 and 1 are labels, use sets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight 0 is the same as leaving the row out, weight 2 as having it twice, at the same batch size and epochs.
            Those, where they are "auto", follow the effective number of rows (Kish, 1965), which does not change when
            all weights are multiplied by a number.
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
        return self._fit(X, y, sample_weight, X_val=X_val, y_val=y_val, goes_on=self.warm_start)

    def partial_fit(
        self, X: Matrix, y: Target, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train for one epoch, without a holdout, going on from what earlier calls learned.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.
        classes : array-like of shape (n_labels,), default=None
            The label space; the same thing as the parameter `classes`. Needed in the first call unless
            the columns of an indicator give it. Later None stays with the fitted labels; other labels than those grow
            or shrink the network, as the notes of the class say.

        Returns
        -------
        self : KerasMultiLabelClassifier

        Dataset
        --------
        >>> X = [[0.0], [1.0]]
        >>> clf = KerasMultiLabelClassifier().partial_fit(X, [set(), {"wet"}], classes=["wet"])
        >>> clf.partial_fit(X, [{"cold"}, {"wet"}], classes=["cold", "wet"]).classes_
        array(['cold', 'wet'], dtype=object)
        """
        return self._fit(X, y, sample_weight, classes=classes, goes_on=True, one_epoch=True)
