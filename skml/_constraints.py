"""What `KerasMultiLabelClassifier` accepts for its parameters; others are checked where their meaning is known."""

from numbers import Integral, Real

from sklearn.utils._param_validation import Interval, StrOptions

from skml._default_network._network import ACTIVATIONS

# Of the default network alone: refused with a custom one, unless at their defaults.
OF_DEFAULT_NETWORK = (
    "hidden_layer_sizes",
    "activation",
    "dropout",
    "input_dropout",
    "scale",
    "n_members",
    "calibrate",
)

CONSTRAINTS = {
    "model": [callable, None],
    "hidden_layer_sizes": [StrOptions({"auto"}), "array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [StrOptions(set(ACTIVATIONS))],
    "dropout": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="left")],
    "input_dropout": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="left")],
    "scale": [StrOptions({"auto"}), None],
    "n_members": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "learning_rate": [Interval(Real, 0, None, closed="neither"), callable, None],
    "calibrate": [StrOptions({"auto"}), "boolean"],
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
