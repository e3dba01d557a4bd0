"""The Keras model, its compile arguments and its callbacks from the parameters of an estimator.

Only this module uses scikeras.
"""

import functools
import inspect
import re
import sys
from numbers import Real

import keras

from skml._keras._serialization import copy_callback, copy_model, copy_object, map_leaves, seeded_layers

_SCIKERAS_WAS_IMPORTED = "scikeras" in sys.modules

from scikeras.wrappers import BaseWrapper  # noqa: E402


def _undo_patches():
    """Restore the methods of Keras that importing scikeras replaces in the whole process.

    They were inherited, so that deleting those of scikeras restores them. Not called if the user imported scikeras
    before, as its models may need its methods.
    """
    patches = [(keras.Model, "__deepcopy__")]
    patches += [(kind, "__reduce__") for kind in (keras.Model, keras.Loss, keras.Metric, keras.Optimizer)]
    for kind, name in patches:
        if getattr(vars(kind).get(name), "__module__", "").startswith("scikeras"):
            delattr(kind, name)


if not _SCIKERAS_WAS_IMPORTED:
    _undo_patches()


class Router(BaseWrapper):
    """Routes ``model__x``, ``optimizer__x``, ``loss__x``, ``metrics__x`` and ``callbacks__x`` as scikeras does.

    Parameters
    ----------
    params : dict
        Parameters of the estimator, including routed ones. Nothing in it is modified.
    meta : dict, default=None
        The argument ``meta`` of a function that builds the network.
    """

    def __init__(self, params, meta=None):
        copies = {name: map_leaves(copy_object, params[name]) for name in _OBJECTS}
        copies["optimizer"] = _optimizer_class(copies["optimizer"])
        copies |= {key: map_leaves(_copy_model, v) for key, v in params.items() if key.startswith("model__")}
        callbacks = params["callbacks"]
        callbacks = list(callbacks) if isinstance(callbacks, tuple) else callbacks
        copies["callbacks"] = map_leaves(_copy_callback, callbacks)
        self._params = {**params, **copies}
        self._given = {name: params[name] for name in _OBJECTS}
        self._meta = meta
        self._random_state = None
        self.build_fn = None
        self.model = _as_function(params["model"])

    def get_params(self, deep=True):
        """Return the parameters to route; scikeras calls this."""
        return dict(self._params)

    def _get_metadata(self):
        return self._meta

    def build(self, seed, training_rows):
        """Return a copy of the given model, or the model that the given function builds.

        Parameters
        ----------
        seed : int
            Seeds the layers without a seed.
        training_rows : callable
            Returns the rows of X to train on. They are passed to a function that has an argument ``X``.

        Raises
        ------
        TypeError
            If the function does not return a Keras model.
        ValueError
            If the function has no argument ``x`` of a parameter ``model__x``, or if ``model__X`` is set for a
            function that gets the training rows.
        """
        given = self._params["model"]
        with seeded_layers(seed):
            if isinstance(given, keras.Model):
                return copy_model(given, seed)
            self._check_routed_to_builder()
            if "X" in inspect.signature(self.model).parameters:
                self._params["model__X"] = self._rows_for_builder(training_rows)
            model = self._build_keras_model()
        if not isinstance(model, keras.Model):
            raise TypeError(f"The function model must return a keras.Model; {_name(given)} returned {model!r}.")
        return model

    def compile_args(self):
        """Return optimizer, loss and metrics for ``Model.compile``.

        Raises
        ------
        ValueError
            If one of them is unknown, or does not accept a parameter that is routed to it.
        """
        self._route_learning_rate()
        try:
            arguments = self._get_compile_kwargs()
        except (TypeError, ValueError) as error:
            given = {name: v for name, v in self._given.items() if not _is_ours(v) and v not in ("adam", "auto")}
            shown = ", ".join(f"{name}={v!r}" for name, v in given.items())
            raise ValueError(
                f"{error}\nGot {shown}. Accepted are the names of Keras, classes and instances; routed parameters need "
                "a name or a class. In a grid, pass classes or functions in place of instances of custom classes, "
                "which scikit-learn cannot copy."
            ) from error
        metrics = self._params["metrics"]
        if isinstance(metrics, list | tuple) and all(isinstance(metric, str) for metric in metrics):
            arguments["metrics"] = list(metrics)  # scikeras would change the names in the history
        elif metrics is not None:
            for metric in _metrics_of_classes(metrics, arguments["metrics"]):
                metric.name = re.sub(r"_\d+$", "", metric.name)  # Keras numbers the metrics of a process
        self.set_learning_rate(arguments["optimizer"])
        return {name: arguments[name] for name in _OBJECTS}

    def set_learning_rate(self, optimizer):
        """Set the learning rate of an optimizer to the parameter ``learning_rate``, unless that is None."""
        learning_rate = self._params["learning_rate"]
        if learning_rate is None:
            return
        if not isinstance(learning_rate, Real | keras.optimizers.schedules.LearningRateSchedule):
            raise ValueError(
                "learning_rate must be a number or an instance of keras.optimizers.schedules.LearningRateSchedule; got "
                f"{learning_rate!r}."
            )
        try:
            optimizer.learning_rate = learning_rate
        except TypeError:
            raise ValueError(
                f"learning_rate={learning_rate!r} cannot replace the schedule of the optimizer. Set "
                "learning_rate=None, or pass an optimizer without a schedule."
            ) from None

    def callbacks(self):
        """Return new callbacks for one fit. A function as ``callbacks`` is called with the routed arguments.

        Raises
        ------
        TypeError
            If ``callbacks`` contains anything but Keras callbacks, or a function returns anything else.
        """
        given = self._params["callbacks"]
        if _is_function(given):
            return self._called_callbacks(given)
        for part in given if isinstance(given, list) else [given]:
            if isinstance(part, str):
                raise TypeError(
                    f"callbacks must contain classes or instances, not names; got {part!r}. Pass "
                    f"keras.callbacks.{part}."
                )
            if _is_function(part):
                raise TypeError(
                    f"callbacks is a list with the function {_name(part)}. Pass one function that returns all of them."
                )
        self._initialize_callbacks()
        callbacks = self._fit_callbacks
        return [item for part in callbacks for item in (part if isinstance(part, list) else [part])]

    def _called_callbacks(self, function):
        prefix = "callbacks__"
        arguments = {key.removeprefix(prefix): v for key, v in self._params.items() if key.startswith(prefix)}
        try:
            inspect.signature(function).bind(**arguments)
        except TypeError as error:
            raise TypeError(
                f"callbacks={_name(function)} cannot be called with the arguments {sorted(arguments)}: {error}. Each "
                "argument without a default must be set as a parameter, callbacks__<argument>, and no other."
            ) from None
        made = function(**arguments)
        callbacks = list(made) if isinstance(made, list | tuple) else [made]
        wrong = [item for item in callbacks if not isinstance(item, keras.callbacks.Callback)]
        if wrong:
            raise TypeError(
                f"callbacks={_name(function)} must return a Keras callback or a list of them, such as "
                f"[keras.callbacks.CSVLogger(path)]; it returned {made!r}."
            )
        return callbacks

    def _route_learning_rate(self):
        if self._params["learning_rate"] is not None and "optimizer__learning_rate" in self._params:
            raise ValueError("learning_rate and optimizer__learning_rate are both set. Set only one of them.")

    def _rows_for_builder(self, training_rows):
        if "model__X" in self._params:
            raise ValueError(
                f"model__X is set, but the argument X of {_name(self._params['model'])} gets the training rows of each "
                "fit. Rename the argument."
            )
        return training_rows()

    def _check_routed_to_builder(self):
        arguments = inspect.signature(self.model).parameters.values()
        if any(argument.kind is argument.VAR_KEYWORD for argument in arguments):
            return
        names = [argument.name for argument in arguments]
        routed = [key.split("__", 1)[1] for key in self._params if key.startswith("model__")]
        unknown = [name for name in routed if name not in names]
        if unknown:
            raise ValueError(
                f"model__{unknown[0]} is set, but the function {_name(self._params['model'])} has no argument "
                f"{unknown[0]}. Its arguments: {', '.join(names) or 'none'}."
            )


_OBJECTS = ("optimizer", "loss", "metrics")


def _as_function(model):
    is_other_callable = callable(model) and not inspect.isfunction(model) and not isinstance(model, keras.Model)
    return functools.partial(model) if is_other_callable else model


def _metrics_of_classes(given, made):
    """Return the metrics that were passed as classes."""
    pairs = zip(given, made, strict=True) if isinstance(given, list | tuple) else [(given, made[0])]
    return [metric for kind, metric in pairs if inspect.isclass(kind)]


def _is_function(value):
    """Return whether a value is to be called for each fit, and is neither a callback nor a class of one."""
    return callable(value) and not inspect.isclass(value) and not isinstance(value, keras.callbacks.Callback)


def _is_ours(value):
    """Return whether a value is None or an object of this package."""
    return value is None or type(value).__module__.startswith("skml")


def _copy_model(value):
    return copy_model(value) if isinstance(value, keras.Model) else value


def _optimizer_class(optimizer):
    """Return the class of an optimizer that is given by name; scikeras would create an optimizer to find it."""
    if not isinstance(optimizer, str):
        return optimizer
    classes = {name.lower(): kind for name, kind in vars(keras.optimizers).items() if inspect.isclass(kind)}
    return classes.get(optimizer.lower(), optimizer)


def _copy_callback(value):
    return copy_callback(value) if isinstance(value, keras.callbacks.Callback) else value


def _name(function):
    return getattr(function, "__name__", repr(function))
