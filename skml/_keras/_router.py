"""The only door to scikeras: parameters become a Keras model, its compile arguments and callbacks."""

import functools
import inspect
import re
import sys
from numbers import Real

import keras

from skml._keras._serialization import copy_callback, copy_model, copy_object, map_leaves, seeded_layers

_SCIKERAS_WAS_THERE = "scikeras" in sys.modules

from scikeras.wrappers import BaseWrapper  # noqa: E402


def _undo_patches():
    """Give Keras back the methods that importing scikeras replaces for the whole process.

    They were inherited, so deleting scikeras' own restores them. Where the user imported scikeras
    before, its models may be counting on them.
    """
    patches = [(keras.Model, "__deepcopy__")]
    patches += [(kind, "__reduce__") for kind in (keras.Model, keras.Loss, keras.Metric, keras.Optimizer)]
    for kind, name in patches:
        if getattr(vars(kind).get(name), "__module__", "").startswith("scikeras"):
            delattr(kind, name)


if not _SCIKERAS_WAS_THERE:
    _undo_patches()


class Router(BaseWrapper):
    """scikeras' routing of ``model__x``, ``optimizer__x``, ``loss__x``, ``metrics__x``, ``callbacks__x``.

    Parameters
    ----------
    params : dict
        Parameters of the estimator, routed ones included. Nothing in it is modified.
    meta : dict, default=None
        What a builder gets as ``meta``.
    """

    def __init__(self, params, meta=None):
        own = {name: map_leaves(copy_object, params[name]) for name in _OBJECTS}
        own["optimizer"] = _optimizer_class(own["optimizer"])
        own |= {key: map_leaves(_copy_model, v) for key, v in params.items() if key.startswith("model__")}
        callbacks = params["callbacks"]
        callbacks = list(callbacks) if isinstance(callbacks, tuple) else callbacks
        own["callbacks"] = map_leaves(_copy_callback, callbacks)
        self._params = {**params, **own}
        self._given = {name: params[name] for name in _OBJECTS}
        self._meta = meta
        self._random_state = None
        self.build_fn = None
        self.model = _as_function(params["model"])

    def get_params(self, deep=True):
        """Return the parameters that routing reads."""
        return dict(self._params)

    def _get_metadata(self):
        return self._meta

    def build(self, seed, training_rows):
        """Return the user's model: a copy of the one given, or what the builder makes.

        Parameters
        ----------
        seed : int
        training_rows : callable
            Returns what a builder gets as ``X``, if its signature names it.

        Raises
        ------
        TypeError
            If the builder returns something else than a Keras model.
        ValueError
            If ``model__x`` names an argument that the builder does not have, or ``X``.
        """
        given = self._params["model"]
        with seeded_layers(seed):
            if isinstance(given, keras.Model):
                return copy_model(given, seed)
            self._check_routed_to_builder()
            if "X" in inspect.signature(self.model).parameters:
                self._params["model__X"] = self._seen_by_builder(training_rows)
            model = self._build_keras_model()
        if not isinstance(model, keras.Model):
            raise TypeError(f"model must return a keras.Model; {_name(given)} returned {model!r}.")
        return model

    def compile_arguments(self):
        """Return optimizer, loss and metrics for ``Model.compile``.

        Raises
        ------
        ValueError
            If one of them is unknown, or does not take what is routed to it.
        """
        self._route_learning_rate()
        try:
            arguments = self._get_compile_kwargs()
        except (TypeError, ValueError) as error:
            given = {name: v for name, v in self._given.items() if not _is_ours(v) and v not in ("adam", "auto")}
            shown = ", ".join(f"{name}={v!r}" for name, v in given.items())
            raise ValueError(
                f"{error}\nGot {shown}. Each takes a name that Keras knows, a class or an instance, and routed "
                "parameters only for a name or class. In a grid, pass classes or functions in place of instances of "
                "custom classes: scikit-learn copies candidates, and those do not survive it."
            ) from error
        metrics = self._params["metrics"]
        if isinstance(metrics, list | tuple) and all(isinstance(metric, str) for metric in metrics):
            arguments["metrics"] = list(metrics)  # scikeras would change their names in the history
        elif metrics is not None:
            for metric in _metrics_of_classes(metrics, arguments["metrics"]):
                metric.name = re.sub(r"_\d+$", "", metric.name)  # Keras counts them up in the process
        self.set_learning_rate(arguments["optimizer"])
        return {name: arguments[name] for name in _OBJECTS}

    def set_learning_rate(self, optimizer):
        """Put ``learning_rate`` into an optimizer, if it is given."""
        learning_rate = self._params["learning_rate"]
        if learning_rate is None:
            return
        if not isinstance(learning_rate, Real | keras.optimizers.schedules.LearningRateSchedule):
            raise ValueError(
                f"learning_rate={learning_rate!r} is neither a number nor a schedule: pass an instance of "
                "keras.optimizers.schedules.LearningRateSchedule."
            )
        try:
            optimizer.learning_rate = learning_rate
        except TypeError:
            raise ValueError(
                f"learning_rate={learning_rate!r}, but the optimizer has a schedule of its own. Leave one of them out."
            ) from None

    def callbacks(self):
        """Return fresh callbacks for one fit.

        Raises
        ------
        TypeError
            If something in ``callbacks`` is no Keras callback.
        """
        given = self._params["callbacks"]
        for part in given if isinstance(given, list) else [given]:
            if isinstance(part, str):
                raise TypeError(
                    f"callbacks holds the name {part!r}; pass the class keras.callbacks.{part}, or an instance."
                )
        self._initialize_callbacks()
        callbacks = self._fit_callbacks
        return [item for part in callbacks for item in (part if isinstance(part, list) else [part])]

    def _route_learning_rate(self):
        if self._params["learning_rate"] is not None and "optimizer__learning_rate" in self._params:
            raise ValueError("Pass either learning_rate or optimizer__learning_rate, not both.")

    def _seen_by_builder(self, training_rows):
        if "model__X" in self._params:
            raise ValueError(
                f"model__X is set, but {_name(self._params['model'])} names X, which is the training rows of each fit. "
                "Give the argument another name."
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
                f"model__{unknown[0]} is not an argument of the builder {_name(self._params['model'])}, "
                f"which takes: {', '.join(names) or 'nothing'}."
            )


_OBJECTS = ("optimizer", "loss", "metrics")


def _as_function(model):
    is_other_callable = callable(model) and not inspect.isfunction(model) and not isinstance(model, keras.Model)
    return functools.partial(model) if is_other_callable else model


def _metrics_of_classes(given, made):
    """Return the metrics that were given as classes."""
    pairs = zip(given, made, strict=True) if isinstance(given, list | tuple) else [(given, made[0])]
    return [metric for kind, metric in pairs if inspect.isclass(kind)]


def _is_ours(value):
    return value is None or type(value).__module__.startswith("skml")


def _copy_model(value):
    return copy_model(value) if isinstance(value, keras.Model) else value


def _optimizer_class(optimizer):
    """Return the class of an optimizer's name; scikeras would make an optimizer to find it."""
    if not isinstance(optimizer, str):
        return optimizer
    classes = {name.lower(): kind for name, kind in vars(keras.optimizers).items() if inspect.isclass(kind)}
    return classes.get(optimizer.lower(), optimizer)


def _copy_callback(value):
    return copy_callback(value) if isinstance(value, keras.callbacks.Callback) else value


def _name(function):
    return getattr(function, "__name__", repr(function))
