"""A fit and its epochs as tasks of scikit-learn's callbacks, such as a progress bar."""

import warnings

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn before 1.9, where an estimator has no callbacks

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """No `set_callbacks`."""

    def with_callbacks(method):
        """Return the method as it is."""
        return method


class EpochListener:
    """Report a fit to scikit-learn's callbacks as a task, and each epoch as a subtask.

    Parameters
    ----------
    estimator : KerasMultiLabelClassifier
        The estimator that is being fitted.
    X, y, sample_weight
        The arguments of `fit`, as passed by the user.
    """

    def __init__(self, estimator, X, y, sample_weight):
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._estimator = estimator
        self._fit_args = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}

    def begin(self, n_epochs, finish):
        """Report the begin of the fit.

        Parameters
        ----------
        n_epochs : int
            The maximum number of epochs.
        finish : callable
            ``finish(result)`` returns the fitted model for a training result.
        """
        self._finish = finish
        self._context = self._estimator._init_callback_context(max_subtasks=n_epochs)
        self._context.call_on_fit_task_begin(**self._fit_args)

    def begin_epoch(self):
        """Report the begin of an epoch."""
        self._epoch = self._context.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(**self._fit_args)

    def end_epoch(self, result_so_far):
        """Report the end of an epoch; return whether a callback asks training to stop.

        Parameters
        ----------
        result_so_far : callable
            Returns the training result so far. Called only if a callback uses the fitted estimator.
        """
        attributes = lambda: self._attributes_after_epoch(result_so_far())  # noqa: E731
        return self._epoch.call_on_fit_task_end(**self._fit_args, reconstruction_attributes=attributes)

    def end(self):
        """Report the end of the fit; the estimator has its fitted model by now."""
        self._context.call_on_fit_task_end(**self._fit_args, reconstruction_attributes={})

    def _attributes_after_epoch(self, result):
        """Return the attributes that the estimator would have if training stopped now."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # more epochs may reach a guarantee that this one misses
            return {**vars(self._estimator), "_fitted": self._finish(result)}


def has_callbacks(estimator):
    """Whether scikit-learn's callbacks were set on an estimator, or passed on to it."""
    return bool(vars(estimator).get("_skl_callbacks"))
