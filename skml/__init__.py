"""Neural multi-label classification for scikit-learn users.

`KerasMultiLabelClassifier` takes label sets, indicators or one label per row, trains a Keras network on
them and answers in kind; `TunedThresholdMultiLabelClassifierCV` finds thresholds for any classifier. The
modules `skml.metrics`, `skml.model_selection` and `skml.inspection` read ``y`` in the same forms. Importing
this package imports neither Keras nor TensorFlow.
"""

import sys

from skml._classifier import KerasMultiLabelClassifier
from skml._tuned_threshold import TunedThresholdMultiLabelClassifierCV

__all__ = ["KerasMultiLabelClassifier", "TunedThresholdMultiLabelClassifierCV", "clear_cache"]
__version__ = "0.1.0"


def clear_cache():
    """Forget the compiled training steps and predictions that are kept for later fits.

    A fit of the same architecture, loss, optimizer class and metrics as an earlier one re-uses its
    compiled graph. At most a few are kept; this frees them. No fitted estimator changes.

    Examples
    --------
    >>> import skml
    >>> skml.clear_cache()
    """
    for name in ("skml._keras._pool", "skml._keras._predictor"):
        if name in sys.modules:
            sys.modules[name].clear()
