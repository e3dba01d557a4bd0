"""The estimator: scikit-learn's contract around a Keras network."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from skml._decisions._rule import DecisionRule, MostProbable, decision_rule
from skml._decisions._top_k import top_labels
from skml._default_network._activations import ACTIVATIONS
from skml._default_network._encoding import KINDS
from skml._dependencies import Interval, StrOptions, check_installed
from skml._inputs import check_X, open_interval
from skml._keras._environment import check_can_train, floatx
from skml._keras._routed import RoutedParameters
from skml._keras._workers import current_workers
from skml._state import VersionedState, to_plain
from skml._targets._forms import check_rows
from skml._training._attributes import FittedAttributes
from skml._training._batches import fit_batches
from skml._training._dataset import check_validation
from skml._training._fit import fit_model
from skml._training._seeds import Seeds
from skml._training._sklearn_callbacks import CallbackSupportMixin, EpochListener, has_callbacks, with_callbacks
from skml._typing import Batches, InputMatrix, Matrix, Network, RandomState, Samples, Target, TargetMatrix
from skml.metrics._scorer import get_scorer

if TYPE_CHECKING:
    import keras

# Refused with a custom network, unless they have their defaults.
_PARAMETERS_OF_DEFAULT_NETWORK = (
    "hidden_layer_sizes",
    "activation",
    "dropout",
    "input_dropout",
    "scale",
    "inputs",
    "n_members",
    "calibrate",
)


class KerasMultiLabelClassifier(
    CallbackSupportMixin, ClassifierMixin, FittedAttributes, VersionedState, RoutedParameters
):
    """Neural multi-label classifier: one sigmoid unit per label, trained with binary cross-entropy.

    ``y`` holds label sets, a 0/1 indicator (array, sparse matrix or DataFrame), or a single label per sample. `predict`
    returns labels in the same form. Single-label ``y`` is a multi-class problem: the network then ends in a softmax
    with categorical cross-entropy, or in a single sigmoid unit for two classes.

    Parameters
    ----------
    model : callable or keras.Model, default=None
        The network. None uses the default network, an ensemble of fully connected networks; the parameters from
        `hidden_layer_sizes` to `n_members`, and `calibrate`, apply to it only. A callable builds a custom network, see
        Notes. If a keras.Model is passed, each fit trains a copy of it, starting from its weights. If that model is
        compiled, its loss, optimizer and metrics replace those parameters that are left at their defaults.
    hidden_layer_sizes : "auto", int or sequence of int, default="auto"
        Number of units of each hidden layer of a member. A layer as wide as the previous one has a residual connection
        (He et al., 2016). "auto" is (256, 256), or 128 for sparse rows with few values. For several kinds of `inputs`
        it is (128, 128), or (64, 64) below 1,500 rows. It is narrower for fewer than 300 rows and too many weights. It
        is (), a linear network, for sparse X with at least 500 labels and four times as many columns, up to 134 million
        weights, as rare labels then need weights of their own.
    activation : str, default="relu"
        Activation of the hidden layers: "elu", "gelu", "linear", "relu", "selu", "sigmoid", "silu", "softplus" or
        "tanh".
    dropout : "auto" or float in [0, 1), default="auto"
        Fraction of the hidden units dropped in each training step (Srivastava et al., 2014). "auto" starts at 0.5, or
        at 0.3 for sparse rows with few values. After each epoch it is lowered if the training loss exceeds 0.9 times
        the validation loss, which is a sign of underfitting, and raised otherwise. In `partial_fit` it is 0.1. See
        "Many rows" in Notes.
    input_dropout : "auto" or float in [0, 1), default="auto"
        Fraction of the input values dropped in each training step. "auto" starts at 0.3 for dense X, and at 0.1 for
        sparse X (0.2 if its columns have many values, 0 if its rows have few). It is lowered before `dropout` is. In
        `partial_fit` it is 0.
    scale : "auto", "standard" or None, default="auto"
        Scaling of X inside the network. "standard" standardises dense columns, and divides sparse ones by their largest
        absolute value if it exceeds 1, so that zeros stay zeros. "auto" also gives each column a weight that depends on
        its relevance to the labels, and dense columns robust statistics, see Notes. None uses X unchanged; it is the
        only value with which NaN in dense X is an error.
    inputs : "auto", "plain", "binned", "steps" or list of these, default="auto"
        Kinds of members for dense X with ``scale="auto"``. "plain" members get the scaled columns and learn smooth
        functions. "binned" ones also get eight bins of each column, "steps" ones bins between the splits of a decision
        tree on the column. The average weights each kind by its out-of-fold loss, see ``input_weights_``. "auto" is all
        three, or "plain" for ``n_members=1``, for more than 1,000 columns and in a first `partial_fit`.
    n_members : int or "auto", default="auto"
        Number of networks of each kind in the ensemble, whose probabilities are averaged (Hansen and Salamon, 1990).
        The training rows are divided into as many folds. Each member is trained on all folds but one and predicts that
        one, see ``oof_proba_``. "auto" is 3 for several kinds and at least 1,500 rows, otherwise 5, or the largest
        number with at most 16 million weights (33 million for sparse X), or 1 for a large network without hidden
        layers. 1 trains a single network of a kind, with a holdout of `validation_fraction` of the rows.
    optimizer : str, keras.Optimizer or class of one, default="adam"
        The optimizer. Names and classes accept routed parameters, such as ``optimizer__weight_decay=0.01``.
    learning_rate : float or keras.optimizers.schedules.LearningRateSchedule, default=None
        The learning rate. None uses the default of the optimizer, except for the default network with "adam": its
        initial rate depends on the batch size and on X, stays constant until the validation loss plateaus, and then
        decays linearly to 0. A schedule counts updates and continues when training is resumed.
    loss : "auto", str, callable, keras.Loss or class of one, default="auto"
        The loss. "auto" is binary cross-entropy, averaged over the labels of a row and then over rows by weight; for
        multi-class y categorical cross-entropy. "focal" (Lin et al., 2017) and "asymmetric" (Ridnik et al., 2021)
        down-weight entries that are already predicted correctly and accept ``loss__gamma``, ``loss__gamma_negative``
        and so on; tune the threshold with them, as they shift probabilities. Others are used as Keras uses them.
    metrics : list, default=None
        Keras metrics of the averaged probabilities, recorded in ``history_``.
    calibrate : "auto" or bool, default="auto"
        Whether to calibrate the default network on its held-out predictions (Platt, 1999; Guo et al., 2017). "auto"
        multiplies all log-odds by one slope of at least 1 if that clearly fits better; predictions at the threshold 0.5
        do not change. True fits a slope and an offset; a label that at least 50 rows have and at least 50 rows lack
        gets its own offset. The probabilities are better, but rare labels reach 0.5 less often. `partial_fit` keeps the
        previous calibration.
    class_weight : "balanced", mapping label -> float, or array-like of shape (n_labels,), default=None
        Weight of the positive entries of each label in the loss. "balanced" is the number of negatives divided by the
        number of positives, clipped to [0.01, 100]. For binary and multi-class y it weights samples, like
        scikit-learn's ``class_weight``.
    classes : array-like of shape (n_labels,), default=None
        The labels, for data in which some may not occur. None takes them from ``y``. In `partial_fit` and with
        `warm_start` they may change: see Notes.
    soft_labels : bool, default=False
        Whether an indicator ``y`` may hold probabilities in [0, 1], such as fractions of votes or the predictions of a
        teacher (Hinton et al., 2015). The cross-entropy is trained on them as they are; see Notes for all else. Each
        label has a probability of its own, so that rows need not sum to 1. Single-label ``y`` is not supported.
    hierarchy : mapping label -> parent or list of parents, default=None
        A label implies its parents. `fit` and `score` add the parents of each label to ``y``. Probabilities are
        coherent: that of a parent is at least that of its children (Giunchiglia and Lukasiewicz, 2020). A label is
        predicted only together with its parents, under every threshold. All names must be labels: name those that do
        not occur in ``y`` with `classes`. `fit` reads this parameter; see Notes.
    threshold : float, array-like of shape (n_labels,), mapping label -> float, or str, default=0.5
        A label is predicted if its probability is at least its threshold. Labels missing from a mapping or Series have
        0.5; for binary y the threshold is that of the second class; multi-class y has none. "f1_micro" and "f1_macro"
        are tuned on the held-out predictions of the same fit: one threshold for all labels, or one for each label.
        "precision>=0.9" and "precision>=0.9 by label" guarantee precision with 95 % confidence, "recall>=0.9"
        guarantees mean recall. `predict` reads this parameter, so ``set_params`` acts on a fitted estimator, see Notes.
        Lesson 3 in ``examples/03_thresholds.py`` compares all of them.
    tuned_rules : list of str, default=None
        Named thresholds that `fit` tunes and files keep, in addition to the one in `threshold`, for example
        ``["f1_micro", "precision>=0.9"]``. After loading, ``set_params(threshold="precision>=0.9")`` chooses one.
    min_labels : int, default=0
        Smallest number of labels per row. If fewer reach their thresholds, those with the largest ``proba - threshold``
        are added.
    max_labels : int, default=None
        Largest number of labels per row. If more reach their thresholds, those with the largest ``proba - threshold``
        are kept. None sets no limit.
    epochs : int or "auto", default="auto"
        Number of passes over the training rows. "auto" makes at most about 2,000 updates, within [20, 150] epochs.
        A single member makes fewer of more than 400 updates, such as 7 for 900,000 rows in batches of 256.
    batch_size : int or "auto", default="auto"
        Number of rows of an update. "auto" is the power of two nearest to n_samples / 30, within [32, 256]; at least
        32 but smaller if a batch would have over 16 million outputs of all members.
    early_stopping : bool, default=True
        Whether to stop training when the validation loss stops improving. With several members this is the
        out-of-fold loss, and the last epoch within 2 % of the best one is kept. Otherwise it is the loss on ``X_val``
        and ``y_val``, or on a holdout of at least 10 rows, and the best epoch is kept. `partial_fit` has no holdout.
    validation_fraction : float in (0, 1), default=0.1
        Fraction of the training rows in the holdout, stratified by label (Sechidis et al., 2011).
    n_iter_no_change : int, default=10
        Number of epochs without improvement after which training stops.
    callbacks : keras.callbacks.Callback, class of one, list of them, or callable, default=None
        Keras callbacks. Each fit uses copies, available as ``callbacks_``. A callable is called for each fit, with
        ``callbacks__x`` as its argument ``x``, and returns a callback or a list: use it for callbacks that write files,
        so that each fit of a search has a path of its own. A class also starts each fit anew. A callback with batch
        hooks makes training use Keras' slower loop. See Notes for files and for what copies share.
    jit_compile : bool, default=False
        Whether XLA compiles the training step. Compilation takes seconds and pays off after thousands of updates.
    warm_start : bool, default=False
        Whether `fit` resumes from the fitted weights and optimizer state. All members then train on all rows but the
        holdout. The labels stay the same unless `classes` names others.
    random_state : int, RandomState instance or None, default=None
        Seeds weights, dropout, folds, holdout and the order of rows. An int gives the same model, bit for bit, on the
        same CPU.
    verbose : int, default=0
        0 is silent, 1 shows a progress bar, 2 prints a line for each epoch; 1 also prints lines if the output is
        neither a terminal nor a notebook. For a single progress display of a whole search see Notes.
    **routed
        ``model__x``, ``optimizer__x``, ``loss__x``, ``metrics__x`` and ``callbacks__x`` are passed to the object they
        name. They are parameters like the others: in `get_params`, `set_params` and grids. ``get_params()`` also lists
        the defaults of a function that builds the network.

    Attributes
    ----------
    classes_ : ndarray of shape (n_labels,)
        The labels, in the order of the columns of `predict_proba`.
    threshold_ : float or ndarray of shape (n_labels,)
        The threshold in use; 2 if a guarantee allows no prediction; None for multi-class y.
    tuned_threshold_ : dict of label -> float
        The threshold in use for each label: ``clf.tuned_threshold_ | {"spam": 0.2}`` changes one. Only available for
        multi-label y.
    oof_proba_ : ndarray of shape (n_samples, n_labels)
        Out-of-fold probabilities of the training rows: each row is predicted by the member that was not trained on it.
        Only available after `fit` with several members, at least 4 rows for each member, and at most 33 million
        entries. Read-only and not pickled.
    input_weights_ : dict of str -> float
        The weight of each kind of `inputs` in the average. A kind with a weight below 0.05 is left out.
    relevance_ : ndarray of shape (`n_features_in_`,)
        For dense X, the largest fraction of a label's variance that the column alone explains (for a one-hot encoded
        category see Notes); for sparse X, the largest squared correlation of its presence with a label. Only available
        with ``scale="auto"``.
    n_features_in_ : int
        Number of columns of X in fit; of a dict, number of its arrays.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns of X, if all are strings; of a dict, its keys.
    n_iter_ : int
        Number of epochs, those of previous fits included if training was resumed.
    kept_epoch_ : int
        The epoch, from 1, whose weights early stopping kept; the last one without early stopping.
    history_ : dict of list of float
        The loss, the metrics and, with early stopping, their ``val_`` counterparts for each epoch.
    callbacks_ : list of keras.callbacks.Callback
        The copies of `callbacks` that the last fit used.
    target_encoder_ : object
        Converts ``y`` into a 0/1 matrix (``transform``) and back (``inverse_transform``).

    Notes
    -----
    **The default network** is an ensemble trained by cross-fitting: `n_members` networks in one Keras model, each
    trained on the rows outside its own fold. A single fit gives the ensemble and an out-of-fold probability for each
    training row. These probabilities are used for early stopping and to tune the thresholds.

    **Columns of dense X.** With ``scale="auto"`` each column is centred at its median, divided by its interquartile
    range, clipped smoothly at 3 (Holzmueller et al., 2024) and multiplied by a weight: the square root of its
    relevance. Bins are piecewise linear (Gorishniy et al., 2022); a member has at most 128 of them, those of the most
    relevant columns on its own training rows. Statistics, weights and bins are those of the first fit. A missing value,
    NaN, adds nothing; a column with missing values in training has an indicator of them as well. A first `partial_fit`
    standardises columns instead, by the rows of all calls.

    **One-hot encoded categories** in dense X are recognised by their values, scaled or not: at least three neighbouring
    columns with two values each, of which each row has the larger value in exactly one. The relevance of such a column
    is the geometric mean of its own, with weight 2/3, and of that of the category, because a column of a rare level
    tells little alone.
    Columns of an encoder with ``drop="first"`` are not recognised.

    **Many rows.** An epoch of 1,000 updates or more has rounds of at least 500 updates. After each round, the rates of
    "auto" dropout and the learning rate of the default network follow the validation loss, which is then computed on up
    to 16,384 of the held-out rows. `fit_batches` trains on rows that do not fit in memory.

    **Several processes** train one default network in the scope of a ``tf.distribute.MultiWorkerMirroredStrategy``.
    Each of them makes the same calls, and passes its own share of the rows, weights, groups and validation data, or of
    the blocks of `fit_batches`. All get the same estimator, as one process would with all rows; only dropout draws
    other numbers. `fit` sends all rows to all processes, ``oof_proba_`` has them in the order of the processes, and
    `batch_size` is that of all together. With `fit_batches` each process keeps its rows, and all get a common sample of
    4 million entries. Without `classes`, each share of single-label y must have two classes. If one process raises an
    error or dies, all raise one. A process has one device: start one for each GPU. Network traffic is one exchange of
    all gradients for each update, so that a small network gains nothing. Custom networks, ``jit_compile=True`` and
    callbacks with batch hooks are refused.

    **A custom network.** A callable is called with those of the arguments ``meta``, ``X``, ``compile_kwargs``
    (optimizer, loss and metrics) and ``params`` (the parameters of the estimator) that its signature names. A parameter
    ``model__x`` is passed as ``x``. A network that ends in ``Dense(meta["n_outputs_"], meta["output_activation_"])``
    serves every ``y``. ``meta`` is a dict with ``n_features_in_``, ``n_classes_``, ``n_outputs_``,
    ``output_activation_``, ``target_type_``, ``classes_``, ``feature_names_in_``, ``X_shape_`` and ``X_dtype_``. ``X``
    contains the training rows without the holdout: pass it to the ``adapt`` method of layers such as TextVectorization
    and Normalization.

    **Several inputs.** A custom network takes X as a dict of arrays, each with a row for each sample: the array
    ``X["text"]`` goes to ``keras.Input((), dtype="string", name="text")``. A class of a network gets the dict. A
    DataFrame is the dict of its columns: text columns, columns of numbers, and categories, which are texts here. One
    input of shape (k,) may have a name that X does not have; it gets the k columns that are left, side by side. Every
    array and every input must be used. The arguments ``X``, ``meta["X_shape_"]`` and ``meta["X_dtype_"]`` of the
    function are then dicts; for a DataFrame of numbers alone they are those of one array, as ever. Searches and
    cross-validation have to split X by rows, which scikit-learn cannot do with a dict: pass a DataFrame or, for arrays
    of more dimensions, a structured array such as ``np.empty(n, [("image", "f4", (8, 8)), ("text", object)])``, whose
    fields are the arrays. Predict with any of the three. A list of arrays is refused, as it could be a list of rows.

    **Tuned thresholds.** A named threshold set on a fitted estimator is found at once if the estimator still has its
    held-out predictions; they are not pickled, but the thresholds in `tuned_rules` are. A threshold tuned before
    `partial_fit` or a warm start stays in use, with a warning. "f1_macro" uses the plug-in rule (Lipton et al., 2014)
    after calibration (Platt, 1999).

    **Guarantees** assume that new rows follow the training distribution. They are computed from the held-out
    predictions of single members, but `predict` uses the average of the members, which is more accurate but closer to
    0.5. For recall, the average for a held-out row is estimated from the prediction of its held-out member and from how
    much the other members differ, which is more if they have not learned from the row (quantile mapping; Panofsky and
    Brier, 1968). `TunedThresholdMultiLabelClassifierCV` with ``cv="prefit"`` tunes the average itself on separate rows.
    A precision guarantee over all labels also limits the number of predicted labels per row to the largest number for a
    held-out row, since rare rows with many wrong labels could break it; ``threshold_`` does not contain this limit. If
    no threshold guarantees a precision, no label is predicted (threshold 2), with a warning. A label without an
    observed entry is never predicted. `min_labels` cannot be combined with a precision guarantee, and `max_labels`
    cannot be combined with any guarantee.

    **Groups.** Rows of one patient, document or site resemble each other. A member that was trained on some of them
    predicts the others too well, and thresholds tuned on such predictions fail for new patients. Pass `groups` to `fit`
    then. A guarantee holds for the rows of new groups, unless they are larger than the largest group of the fit. A
    smaller group counts less, in proportion to its size. "precision>=0.9" needs at least 29 groups of equal size with
    correct predictions, and usually some hundreds. "recall>=0.9" needs 9. The groups of ``X_val`` are not known, so its
    rows count. In a search, ``set_fit_request(groups=True)`` passes groups on, if metadata routing is enabled.

    **Missing labels** of an indicator (NaN, pd.NA, masked) are left out of the loss, weights, thresholds and `score`.

    **Soft labels.** The loss of a soft label q is q times the loss of a 1, plus 1 - q times the loss of a 0, for each
    of the losses "auto", "focal" and "asymmetric". Counts of positive entries, for ``class_weight="balanced"`` and
    calibration, are expected counts. Folds, tuned thresholds, guarantees, `score` and the scorers of `skml.metrics` use
    ``y >= 0.5``. ``loss__label_smoothing=0.1`` softens the labels of the default loss (Szegedy et al., 2016).

    **Hierarchy.** A missing label becomes 1 if a label below it is 1, and 0 if a label above it is 0. Training ignores
    the hierarchy; `predict_proba` then raises each probability to the largest one of the labels below it. A label below
    its threshold takes the labels below it with it; `min_labels` and `max_labels` use the smallest ``proba -
    threshold`` of a label and of those above it. Thresholds are tuned on these probabilities and scored on these
    decisions. Under "precision>=0.9 by label", no threshold is lower than that of a parent, so that the guarantee holds
    for the decisions.

    **Searches.** For label sets, pass ``scoring=skml.metrics.get_scorer("f1_micro")``, or no `scoring`. The string
    ``"f1_micro"`` selects scikit-learn's scorer, which does not support label sets and returns NaN.

    **Keras callbacks.** Keras' own callbacks are copied deeply for each fit. Other instances are copied shallowly:
    objects they refer to (a list, an Optuna trial, a logger) are shared by all fits. The model that a ModelCheckpoint
    saves is not the fitted estimator: it has the weights of its epoch, and neither calibration nor ``input_weights_``,
    which come after training. Only with ``calibrate=False``, ``inputs="plain"`` and the same epoch do both predict the
    same; otherwise probabilities differed by up to 0.12. Use joblib or `to_keras` to store the fitted estimator.

    **scikit-learn's callbacks** (1.9 and later) are set by ``set_callbacks``, also on searches and pipelines:
    ``GridSearchCV(clf, grid).set_callbacks(ProgressBar())`` shows candidates, fits and epochs. Each epoch of `fit` is a
    task. A callback that returns True stops training.

    **Changing labels.** When training is resumed, `classes` may add and drop labels of multi-label ``y``, as long as
    some stay. Those keep their weights and optimizer state, a new label starts at its base rate, and a dropped one is
    forgotten. Columns follow the order of `classes`. The threshold of a new label is 0.5, that of all labels with
    "f1_micro", or 2 (never) under a guarantee, until `fit` tunes it. This requires the default network.

    **Files.** joblib stores a fitted estimator. The state of the optimizer, which is needed to resume training, is
    stored only with ``warm_start=True`` or after `partial_fit`. skops also stores an estimator with the default
    network, in a file that runs no code when it is loaded (see ``skml.SKOPS_TRUSTED``). `skml.onnx.to_onnx` exports a
    fitted estimator for programs without Python.

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

    __module__ = "skml"  # the public path, which files name
    _parameter_constraints = {
        "model": [callable, None],
        "hidden_layer_sizes": [StrOptions({"auto"}), "array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "dropout": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="left")],
        "input_dropout": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="left")],
        "scale": [StrOptions({"auto", "standard"}), None],
        "inputs": [StrOptions({"auto", *KINDS}), "array-like"],
        "n_members": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither"), callable, None],
        "calibrate": [StrOptions({"auto"}), "boolean"],
        "class_weight": [StrOptions({"balanced"}), dict, "array-like", None],
        "classes": ["array-like", set, None],
        "soft_labels": ["boolean"],
        "hierarchy": [Mapping, None],
        "tuned_rules": ["array-like", None],
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
        model: Callable | keras.Model | None = None,
        *,
        hidden_layer_sizes: int | Sequence[int] | str = "auto",
        activation: str = "relu",
        dropout: float | str = "auto",
        input_dropout: float | str = "auto",
        scale: str | None = "auto",
        inputs: str | Sequence[str] = "auto",
        n_members: int | str = "auto",
        optimizer: str | keras.Optimizer | type[keras.Optimizer] = "adam",
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule | None = None,
        loss: str | Callable | keras.Loss | type[keras.Loss] = "auto",
        metrics: list | None = None,
        calibrate: bool | str = "auto",
        class_weight: str | Mapping[Any, float] | ArrayLike | None = None,
        classes: ArrayLike | None = None,
        soft_labels: bool = False,
        hierarchy: Mapping[Any, Any] | None = None,
        threshold: float | str | Mapping[Any, float] | ArrayLike = 0.5,
        tuned_rules: Sequence[str] | None = None,
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
        self.inputs = inputs
        self.n_members = n_members
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.loss = loss
        self.metrics = metrics
        self.calibrate = calibrate
        self.class_weight = class_weight
        self.classes = classes
        self.soft_labels = soft_labels
        self.hierarchy = hierarchy
        self.threshold = threshold
        self.tuned_rules = tuned_rules
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
        X: Samples,
        y: Target,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
        X_val: Samples | None = None,
        y_val: Target | None = None,
        **unknown: Any,
    ) -> Self:
        """Train a network on X and y.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features), or dict of arrays
            Floats. With a custom `model` also arrays of more dimensions, integers or strings; for several inputs a dict
            of such arrays, a structured array or a DataFrame, see the notes of the class.
        y : label sets, indicator, or a single label per sample, for n_samples samples
            A list of sets, lists or tuples of labels; an array, sparse matrix or DataFrame of 0 and 1 of shape
            (n_samples, n_labels), with NaN for missing labels, or of probabilities with ``soft_labels=True``; or an
            array-like of shape (n_samples,). Lists of equal length that hold only 0 and 1 are an indicator; if 0 and 1
            are labels, use sets. `skml.read_label_sets` reads columns in other notations, such as "a, b".
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_labels), default=None
            For a given `batch_size` and `epochs`, weight 0 is equivalent to leaving the row out, and weight 2 to
            repeating it. The "auto" values of both depend on the effective number of rows (Kish, 1965), which does not
            change if all weights are multiplied by the same number. With two dimensions, each label of a row has a
            weight, 0 is a missing label, and the row has the mean weight of its other labels. Columns have the order of
            ``classes_``; a DataFrame is aligned by name.
        groups : array-like of shape (n_samples,), default=None
            The group of each row, such as the patient of a record: numbers, strings or other hashable values. Folds and
            holdout keep groups together, so that early stopping, ``oof_proba_``, calibration and thresholds are honest
            for new groups, and guarantees count groups instead of rows. There must be a group for each member.
        X_val, y_val : as X and y, default=None
            Validation data for early stopping, in place of folds or a holdout. A Pipeline transforms X_val with
            ``transform_input=["X_val"]``. Labels of y_val that are not in ``classes_`` are left out of the validation
            loss, with a warning; so are the rows of single-label y_val that have one.
        **unknown
            Not accepted: the error names what to use in place of ``validation_data``, ``epochs`` and so on.

        Returns
        -------
        self : KerasMultiLabelClassifier

        Raises
        ------
        ValueError
            If a parameter, X, y or groups are not as described. The estimator then stays as it was.
        TypeError
            If there is no argument of a name.
        """
        self._refuse_arguments(unknown)
        return self._fit(X, y, sample_weight, groups=groups, X_val=X_val, y_val=y_val, resumes=self.warm_start)

    def partial_fit(
        self, X: Samples, y: Target, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train for one epoch on all rows, resuming the training of previous calls.

        It holds no rows out, and therefore has no `groups`.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.
        classes : array-like of shape (n_labels,), default=None
            The labels, like the parameter `classes`. Required in the first call, unless ``y`` is an indicator. In later
            calls None keeps the labels, and others are added or dropped: see the notes of the class.

        Returns
        -------
        self : KerasMultiLabelClassifier

        Examples
        --------
        >>> X = [[0.0], [1.0]]
        >>> clf = KerasMultiLabelClassifier().partial_fit(X, [set(), {"wet"}], classes=["wet"])
        >>> clf.partial_fit(X, [{"cold"}, {"wet"}], classes=["cold", "wet"]).classes_
        array(['cold', 'wet'], dtype=object)
        """
        return self._fit(X, y, sample_weight, classes=classes, resumes=True, is_partial_fit=True)

    def fit_batches(
        self,
        batches: Batches,
        *,
        classes: ArrayLike | None = None,
        X_val: Matrix | None = None,
        y_val: Target | None = None,
    ) -> Self:
        """Train on rows that arrive in blocks, such as those of a Parquet file, and are never in memory all at once.

        Everything that `fit` does is done: early stopping, calibration, tuned thresholds and guarantees.

        Parameters
        ----------
        batches : callable or iterable
            Gives the blocks, tuples (X, y) or (X, y, sample_weight) as in `fit`, in several passes. A callable has no
            arguments and returns a new iterator at each call. An iterable, such as a list, is iterated over again. A
            block has any number of rows; one without rows is left out.
        classes : array-like of shape (n_labels,), default=None
            The labels, like the parameter `classes`. Required, unless that is set or ``y`` is an indicator.
        X_val, y_val : as X and y of `fit`, default=None
            Validation data. None holds out `validation_fraction` of the rows: random rows of the first ten blocks, and
            whole blocks of the others. The blocks must then be the same ones, in the same order, in each pass. Pass
            validation data if rows of different blocks resemble each other, such as those of a patient.

        Returns
        -------
        self : KerasMultiLabelClassifier

        Raises
        ------
        ValueError
            If a block or a parameter is not as described; the error has the number of the block, from 0. The estimator
            then stays as it was.
        TypeError
            If batches is neither callable nor iterable.

        Notes
        -----
        The first pass checks all blocks and counts rows. It keeps some training rows, of which the scaling and the
        relevance of columns and "balanced" class weights come, and some of the held-out rows, each in a random sample
        of at most 4 million entries of X and ``y``, or 4,096 rows if these have more. The other passes train; `epochs`
        is their number.

        Rows are mixed in a buffer of up to 262,144 rows and about 4 million entries. It gives up to half of its rows,
        in random order, to a round, after which the validation loss is computed on up to 16,384 rows. Schedules,
        callbacks and `n_iter_no_change` count rounds as epochs, and so do ``history_``, ``n_iter_`` and
        ``kept_epoch_``. The buffer cannot undo the order of sorted rows: give the blocks of a sorted file in random
        order.

        Several processes may each pass their share of the blocks: see "Several processes" in the notes of the class.

        "auto" for `n_members` is 1. More members are all trained on all rows, so that there is no ``oof_proba_``.

        Examples
        --------
        >>> def read():
        ...     for start in range(0, 200, 50):  # for example record batches of a file
        ...         yield [[0.0], [1.0]] * 25, [{"dry"}, {"cold", "wet"}] * 25
        >>> clf = KerasMultiLabelClassifier(epochs=2, random_state=0)
        >>> clf.fit_batches(read, classes=["cold", "dry", "wet"]).predict_proba([[0.0]]).shape
        (1, 3)
        """
        with current_workers() as workers:
            fitted = self._before_fit(resumes=self.warm_start)
            fitted._train_on_batches(batches, classes, X_val, y_val, workers)
        self.__dict__ = fitted.__dict__
        return self

    def predict(self, X: Samples) -> Matrix:
        """Predict labels in the form of the ``y`` passed to `fit`.

        Parameters
        ----------
        X : as in `fit`

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_labels), or sparse matrix
            For label sets an object array of tuples, in the order of ``classes_``; for a sparse ``y`` CSR; for a
            DataFrame an array of 0 and 1, or of bool.

        Notes
        -----
        If ``y`` was a DataFrame, ``pd.DataFrame(clf.predict(X), index=X.index, columns=clf.classes_)`` makes one again:
        ``set_output`` affects transformers only.

        A tuple equals another tuple only in the same order. Compare label sets by
        ``[set(p) == set(t) for p, t in zip(clf.predict(X), y)]``, whose mean is `score`.
        """
        X, rule = self.validate_X(X), self.decision_rule()
        encoder, blocks = self._fitted.encoder, self._fitted.network.proba_blocks(X)
        return encoder.inverse_blocks(rule.decide(open_interval(encoder.coherent(proba))) for proba in blocks)

    def predict_proba(self, X: Samples) -> np.ndarray:
        """Predict the probability of each label.

        Parameters
        ----------
        X : as in `fit`

        Returns
        -------
        proba : ndarray of shape (n_samples, n_labels)
            In the dtype of the network, inside (0, 1), with columns as in ``classes_``. For binary and multi-class y of
            shape (n_samples, n_classes), with rows that sum to 1.

        Notes
        -----
        For up to 500 rows, the default network computes in float64, and the other rows change the probabilities of a
        row by less than 1e-7. For more rows, it computes in its own dtype, which is twice as fast. In float32 the
        probabilities then differ by less than 1e-6, unless values of X are hundreds of times larger than in `fit`.

        Any number of threads may predict at once. If many do, limit each to one core:
        ``threadpoolctl.threadpool_limits(1)``, or ``OPENBLAS_NUM_THREADS=1`` before NumPy is imported.
        """
        X, encoder = self.validate_X(X), self._fitted.encoder
        return open_interval(encoder.class_columns(encoder.coherent(self._fitted.network.proba(X))))

    def predict_top_k(self, X: Samples, k: int = 5) -> tuple[np.ndarray, np.ndarray]:
        """Predict the k most probable labels of each row, with their probabilities.

        Parameters
        ----------
        X : as in `fit`
        k : int, default=5
            Number of labels for each row, from 1 to the number of labels.

        Returns
        -------
        labels : ndarray of shape (n_samples, k)
            In the dtype of ``classes_``, the most probable label first. Labels with equal probabilities keep the order
            of ``classes_``.
        proba : ndarray of shape (n_samples, k)
            The probabilities of these labels, as in `predict_proba`.

        Raises
        ------
        ValueError
            If k is not an integer from 1 to the number of labels, or X is not as in `fit`.

        Notes
        -----
        The rows are predicted in blocks, so that the matrix of all probabilities is never in memory: 500 rows and
        100,000 labels need a few MB, not 200. Thresholds are not used. For a sparse matrix of the k labels of each row,
        fit to a sparse ``y`` and predict with ``min_labels=k, max_labels=k``. A Pipeline has no method of this name:
        ``skml.inspection.label_probabilities(pipeline, X, k)`` returns the same as lists.

        Examples
        --------
        >>> X, y = [[0.0], [1.0]] * 10, [{"dry"}, {"cold", "wet"}] * 10
        >>> clf = KerasMultiLabelClassifier(epochs=1, random_state=0).fit(X, y)
        >>> labels, proba = clf.predict_top_k([[0.0], [1.0]], k=2)
        >>> labels.shape, proba.shape
        ((2, 2), (2, 2))
        """
        return top_labels(self.proba_blocks(X), self.classes_, k)

    def predict_log_proba(self, X: Samples) -> np.ndarray:
        """Predict the logarithm of the probability of each label.

        Parameters
        ----------
        X : as in `fit`

        Returns
        -------
        log_proba : ndarray
            The natural logarithm of `predict_proba`, in the same shape.
        """
        return np.log(self.predict_proba(X))

    def decision_function(self, X: Samples) -> np.ndarray:
        """Predict log-odds.

        Parameters
        ----------
        X : as in `fit`

        Returns
        -------
        scores : ndarray of shape (n_samples, n_labels)
            Log-odds of each label. For binary y of shape (n_samples,), the log-odds of the second class; for
            multi-class y log-probabilities of shape (n_samples, n_classes).
        """
        X, encoder = self.validate_X(X), self._fitted.encoder
        return encoder.class_scores(encoder.coherent(self._fitted.network.log_proba(X)))

    def score(self, X: Samples, y: Target, sample_weight: ArrayLike | None = None) -> float:
        """Return the subset accuracy: the fraction of samples whose label set is predicted exactly.

        Parameters
        ----------
        X, y : as in `fit`
            A row of ``y`` with a label that is not in ``classes_`` counts as wrong, with a warning. A row without any
            observed label is left out. Soft labels are compared as ``y >= 0.5``.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_labels), default=None
            As in `fit`.

        Returns
        -------
        score : float
        """
        check_is_fitted(self)
        return get_scorer("accuracy")(self, X, y, sample_weight=sample_weight)

    def to_keras(self) -> keras.Model:
        """Return the trained network as a Keras model. Requires TensorFlow.

        Returns
        -------
        model : keras.Model
            For the default network a new, uncompiled model, calibration included, whose outputs are probabilities. For
            a custom network the trained model itself, not a copy. With `hierarchy`, a last layer makes the outputs
            coherent, and a custom network shares its weights with the model that is returned.

        Examples
        --------
        >>> X, y = [[0.0], [1.0]] * 10, [set(), {"wet"}] * 10
        >>> clf = KerasMultiLabelClassifier(epochs=1, random_state=0).fit(X, y)
        >>> clf.to_keras().output_shape
        (None, 1)
        """
        check_installed("to_keras", "tensorflow")
        from skml._keras_models._ensemble import exported

        return exported(self.trained_network(), self._fitted.encoder.links_)

    # For skml.metrics, model_selection, inspection and onnx, which must not read private attributes.

    accepts_any_target = True  # fit and score accept y in any form, and there is a parameter classes

    def decision_rule(self) -> DecisionRule | MostProbable:
        """Return the rule by which `predict` turns probabilities into labels; for the other modules of skml."""
        check_is_fitted(self)
        encoder, tuned = self._fitted.encoder, self._fitted.thresholds
        return decision_rule(encoder, self.threshold, self.min_labels, self.max_labels, tuned)

    def oof_target(self) -> TargetMatrix:
        """Return the 0/1 matrix that ``oof_proba_`` predicts, NaN for weights of 0; for the other modules of skml."""
        check_is_fitted(self)
        return self._fitted.thresholds.Y

    def oof_proba_for(self, scoring: str | Callable) -> np.ndarray:
        """Return ``oof_proba_``, which must exist, as `scoring` is tuned on it; for the other modules of skml."""
        return self._fitted.encoder.class_columns(self._fitted.thresholds.proba_for(scoring))

    def trained_network(self) -> Network:
        """Return the trained network; for the other modules of skml."""
        check_is_fitted(self)
        return self._fitted.network

    def proba_blocks(self, X: Samples) -> Iterator[np.ndarray]:
        """Yield the rows of `predict_proba` in blocks of limited memory; for the other modules of skml."""
        X, network, encoder = self.validate_X(X), self._fitted.network, self._fitted.encoder
        return (open_interval(encoder.class_columns(encoder.coherent(p))) for p in network.proba_blocks(X))

    def validate_X(self, X: Samples) -> InputMatrix:
        """Return X as the trained network takes it; for the other modules of skml."""
        if "_fitted" not in vars(self):  # check_is_fitted takes longer than a row through the network
            check_is_fitted(self)
        return check_X(self, X, dtype=self._fitted.network.dtype, any_column=self._takes_any_column())

    def _fit(self, X, y, sample_weight, *, resumes, is_partial_fit=False, **given):
        with current_workers() as workers:
            fitted = self._before_fit(resumes)
            fitted._train(X, y, sample_weight, workers, is_partial_fit, **given)
        self.__dict__ = fitted.__dict__
        return self

    def _before_fit(self, resumes):
        """Return a copy to fit, as a refused or interrupted fit leaves this estimator as it was."""
        self._validate_params()
        self._check_routed()
        self._check_default_network(_PARAMETERS_OF_DEFAULT_NETWORK)
        check_can_train()
        fitted = copy.copy(self)
        if not resumes:
            vars(fitted).pop("_fitted", None)
        return fitted

    @with_callbacks
    def _train(self, X, y, sample_weight, workers, is_partial_fit, classes=None, groups=None, X_val=None, y_val=None):
        """Set the fitted model, and the number and names of the columns of X."""
        previous = vars(self).get("_fitted")
        listener = EpochListener(self, X, y, sample_weight) if has_callbacks(self) and not is_partial_fit else None
        check = {"dtype": previous.network.dtype if previous else floatx(), "any_column": self._takes_any_column()}
        X = check_X(self, X, y, reset=previous is None, **check)
        check_rows(X, y)
        has_validation = check_validation(X_val, y_val, self.early_stopping)
        self._fitted = fit_model(
            self.get_params(deep=False),
            X,
            y,
            sample_weight,
            (check_X(self, X_val, **check), y_val) if has_validation else None,
            previous,
            seeds=previous.training.seeds if previous else Seeds.new(self.random_state),
            groups=groups,
            classes=classes,
            is_partial_fit=is_partial_fit,
            epoch_listener=listener,
            feature_names=getattr(self, "feature_names_in_", None),
            workers=workers,
        )
        if listener is not None:
            listener.end()

    def _train_on_batches(self, batches, classes, X_val, y_val, workers):
        """Set the fitted model, and the number and names of the columns of X."""
        previous = vars(self).get("_fitted")
        check = {"dtype": previous.network.dtype if previous else floatx(), "any_column": self._takes_any_column()}
        self._fitted = fit_batches(
            self.get_params(deep=False),
            batches,
            classes,
            (X_val, y_val) if check_validation(X_val, y_val, self.early_stopping) else None,
            previous,
            seeds=previous.training.seeds if previous else Seeds.new(self.random_state),
            check_X=lambda X, is_first: check_X(self, X, reset=is_first and previous is None, **check),
            feature_names=lambda: getattr(self, "feature_names_in_", None),
            workers=workers,
        )

    def _takes_any_column(self):
        """Return whether missing values and values of any size in dense X have a meaning."""
        fitted = vars(self).get("_fitted")
        before_fit = self.model is None and self.scale is not None
        return before_fit if fitted is None else getattr(fitted.network, "shift", None) is not None

    def __getstate__(self):
        state = super().__getstate__()
        if "_fitted" in state:
            state["_fitted"] = to_plain(self._fitted.for_pickle())
        return state

    def __sklearn_is_fitted__(self):
        return "_fitted" in vars(self)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = self._takes_any_column()
        tags.input_tags.three_d_array = tags.input_tags.string = tags.input_tags.dict = self.model is not None
        return tags
