"""Neural multi-label classification for scikit-learn users.

- `skml.KerasMultiLabelClassifier` takes label sets, indicators or one label per row, trains a Keras network on them
  and answers in kind; `skml.TunedThresholdMultiLabelClassifierCV` finds thresholds for any classifier.
- `skml.metrics`: scores and scorers.
- `skml.model_selection`: stratified splits, and probabilities predicted out of fold.
- `skml.inspection`: tables and displays; one label as a binary classifier; what speaks for and against a label.
- `skml.onnx`: fitted classifiers and Pipelines as ONNX graphs.

All read ``y`` in the same forms; only the score functions of `skml.metrics` take matrices of 0 and 1 alone, so use its
scorers for label sets. Importing this package imports neither Keras nor TensorFlow.

A pickle or joblib file can run any code when it is loaded; load those alone that you trust. A file of skops cannot: it
makes objects only of the types that its reader trusts. ``SKOPS_TRUSTED`` names those of this package that a Pipeline
with the default network needs beside scikit-learn's::

    skops.io.dump(pipeline, "model.skops")
    pipeline = skops.io.load("model.skops", trusted=skml.SKOPS_TRUSTED)
    mlflow.sklearn.log_model(pipeline, name="model", skops_trusted_types=skml.SKOPS_TRUSTED)

Custom networks, losses and callbacks consist of code, which loading runs: their types are not among them.
"""

from skml._classifier import KerasMultiLabelClassifier
from skml._keras._environment import clear_caches
from skml._tuned_threshold import TunedThresholdMultiLabelClassifierCV
from skml._version import __version__ as __version__

__all__ = ["SKOPS_TRUSTED", "KerasMultiLabelClassifier", "TunedThresholdMultiLabelClassifierCV", "clear_cache"]

# Their states are plain values.
SKOPS_TRUSTED = ("skml.KerasMultiLabelClassifier", "skml.TunedThresholdMultiLabelClassifierCV")


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
