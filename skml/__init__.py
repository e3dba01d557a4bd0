"""Neural multi-label classification for scikit-learn users.

- `skml.KerasMultiLabelClassifier` trains a Keras network on label sets, indicators or single-label targets, and
  predicts in the same form. `skml.TunedThresholdMultiLabelClassifierCV` tunes the thresholds of any classifier.
  `skml.AveragedMultiLabelClassifier` averages the probabilities of several classifiers.
- `skml.read_label_sets` reads a column of labels in other notations, such as "a, b" or "['a' 'b']", as label sets.
- `skml.metrics`: scores and scorers.
- `skml.model_selection`: stratified splits, and out-of-fold probabilities.
- `skml.inspection`: reports and displays, explanations of a prediction, and a single label as a binary classifier.
- `skml.onnx`: export of fitted classifiers and Pipelines as ONNX graphs.

All of them accept ``y`` in the same forms. Only the score functions of `skml.metrics` do not take single labels; use
its scorers for those. Importing this package imports neither Keras nor TensorFlow.

A pickle or joblib file can run any code when it is loaded, so load only files that you trust. A file of skops cannot:
it creates only objects of trusted types. ``SKOPS_TRUSTED`` names the types of this package that a Pipeline with the
default network needs, in addition to scikit-learn's, and those of labels that are dates::

    skops.io.dump(pipeline, "model.skops")
    pipeline = skops.io.load("model.skops", trusted=skml.SKOPS_TRUSTED)
    mlflow.sklearn.log_model(pipeline, name="model", skops_trusted_types=skml.SKOPS_TRUSTED)

Custom networks, losses and callbacks consist of code, which loading runs. Their types are not included.
"""

from skml._averaged import AveragedMultiLabelClassifier
from skml._classifier import KerasMultiLabelClassifier
from skml._keras._environment import clear_caches
from skml._targets._reader import read_label_sets
from skml._tuned_threshold import TunedThresholdMultiLabelClassifierCV
from skml._version import __version__ as __version__

__all__ = [
    "SKOPS_TRUSTED",
    "AveragedMultiLabelClassifier",
    "KerasMultiLabelClassifier",
    "TunedThresholdMultiLabelClassifierCV",
    "clear_cache",
    "read_label_sets",
]

# Their states are plain values.
SKOPS_TRUSTED = (
    "skml.AveragedMultiLabelClassifier",
    "skml.KerasMultiLabelClassifier",
    "skml.TunedThresholdMultiLabelClassifierCV",
    "skml.model_selection._labelwise.LabelwiseClassifier",
    "datetime.date",
    "datetime.datetime",
)


def clear_cache() -> None:
    """Free the compiled training steps and forward passes that are kept for later use.

    A fit with the same architecture, loss, optimizer class and metrics as a previous fit uses its compiled graph again.
    Only a few graphs are kept. Fitted estimators do not change.

    Examples
    --------
    >>> import skml
    >>> skml.clear_cache()
    """
    clear_caches()
