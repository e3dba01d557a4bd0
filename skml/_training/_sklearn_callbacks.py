"""A fit and its epochs as tasks of scikit-learn's callbacks, such as a progress bar."""

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # before scikit-learn 1.9, which brought them, an estimator cannot be given any

    class CallbackSupportMixin:
        """No `set_callbacks`."""

    def with_callbacks(method):
        """Return the method as it is."""
        return method


class FitTask:
    """A fit as a task of scikit-learn's callbacks, with a subtask for each epoch.

    Parameters
    ----------
    estimator : KerasMultiLabelClassifier
    X, y, sample_weight : as the user gave them
    n_epochs : int
        The most that will run.
    attributes : callable
        ``attributes(trained)`` returns the attributes of the estimator that has been trained so.
    """

    def __init__(self, estimator, X, y, sample_weight, n_epochs, attributes):
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._given = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._attributes = attributes
        self._context = estimator._init_callback_context(max_subtasks=n_epochs)
        self._context.call_on_fit_task_begin(**self._given)

    def begin_epoch(self):
        """Say that an epoch begins."""
        self._epoch = self._context.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(**self._given)

    def end_epoch(self, trained):
        """Say that an epoch has ended; return whether a callback asks to stop.

        Parameters
        ----------
        trained : callable
            Returns what the training has left so far. Called if a callback wants to see the fitted estimator.
        """
        attributes = lambda: self._attributes(trained())  # noqa: E731
        return self._epoch.call_on_fit_task_end(**self._given, reconstruction_attributes=attributes)

    def end(self):
        """Say that the fit has ended."""
        self._context.call_on_fit_task_end(**self._given, reconstruction_attributes={})


def has_callbacks(estimator):
    """Whether callbacks of scikit-learn were set on an estimator, or handed on to it."""
    return bool(vars(estimator).get("_skl_callbacks"))
