"""Base class of estimators with parameters that are Keras objects or are routed to them."""

import difflib
import inspect
import sys
from typing import Any, Self

from sklearn.base import BaseEstimator

ROUTES = ("model", "optimizer", "loss", "metrics", "callbacks")

# Arguments of a function that builds the network which are not parameters of the user's.
_FILLED_AT_FIT = {"meta", "compile_kwargs", "params", "X"}


def is_routed(name):
    """Return whether a name is the name of a routed parameter, such as ``model__units``."""
    route, _, rest = name.partition("__")
    return route in ROUTES and bool(rest)


def _is_builder(model):
    """Return whether the parameter ``model`` is a function or class that builds the network, and no network."""
    return inspect.isclass(model) or (callable(model) and not hasattr(model, "get_weights"))


def _builder_defaults(model):
    """Return the defaults of the arguments of a function that builds the network, as routed parameters."""
    try:
        arguments = inspect.signature(model).parameters.values() if _is_builder(model) else ()
    except (TypeError, ValueError):  # some callables written in C have no signature
        return {}
    return {
        f"model__{a.name}": a.default for a in arguments if a.default is not a.empty and a.name not in _FILLED_AT_FIT
    }


class RoutedParameters(BaseEstimator):
    """Base class of an estimator with ``**routed`` parameters and with parameters that may contain Keras objects.

    Routed parameters are attributes of the estimator. They appear in `get_params`, are copied by `clone` and can be
    searched over. Clones share Keras objects; pickles contain them in a packed form.
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        # scikit-learn's checks would take the name of the var-keyword argument for a parameter.
        signature = inspect.signature(cls.__init__)
        parameters = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD and p.name != "self"]
        cls.__signature__ = signature.replace(parameters=parameters)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, including routed ones.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include the parameters of nested objects, as in scikit-learn. If ``model`` is a function that
            builds the network, the defaults of its arguments are included as ``model__x`` until they are set. They are
            not parameters that were set: `clone` and ``repr`` leave them out.

        Returns
        -------
        params : dict
        """
        routed = {name: value for name, value in vars(self).items() if is_routed(name)}
        defaults = _builder_defaults(self.model) if deep else {}
        return {**super().get_params(deep=deep), **defaults, **routed}

    def set_params(self, **params: Any) -> Self:
        """Set parameters, including routed ones.

        Parameters
        ----------
        **params
            Parameters of the estimator, and routed ones such as ``model__units``.

        Returns
        -------
        self : estimator

        Raises
        ------
        ValueError
            If there is no parameter of a name.
        """
        known = self._get_param_names()
        for name in params:
            if name not in known and not is_routed(name):
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator {type(self).__name__}{self._nearest(name)} "
                    f"Valid parameters are {known!r}, and names that start with "
                    f"{', '.join(f'{route}__' for route in ROUTES)}."
                )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def _set_routed(self, routed):
        """Set the ``**routed`` arguments of ``__init__``."""
        for name, value in routed.items():
            if not is_routed(name):
                raise TypeError(f"{type(self).__name__} has no parameter {name!r}{self._nearest(name)}")
            setattr(self, name, value)

    def _check_routed(self):
        """Check that each routed parameter has a target. A grid over others would compare equal models."""
        has_target = {
            "model": _is_builder(self.model),
            "loss": not isinstance(self.loss, str) or self.loss != "auto",
            "metrics": self.metrics is not None,
            "callbacks": self.callbacks is not None,
        }
        for name in filter(is_routed, vars(self)):
            route = name.partition("__")[0]
            if not has_target.get(route, True) and name != "loss__label_smoothing":  # which the default loss has
                accepted = "a function that builds the network" if route == "model" else "a name, class or function"
                raise ValueError(
                    f"{name} has no effect with {route}={getattr(self, route)!r}. Set {route} to {accepted}, or remove "
                    f"{name}."
                )

    def _check_default_network(self, names):
        """Check that parameters which affect only the default network have their defaults if `model` is custom."""
        signature = inspect.signature(type(self)).parameters
        for name in names if self.model is not None else ():
            value, default = getattr(self, name), signature[name].default
            if not (value is default or (isinstance(value, type(default)) and value == default)):
                raise ValueError(
                    f"{name}={value!r} only affects the default network, but model={self.model!r} is a custom one. "
                    f"Leave {name} at its default, {default!r}. If model is a function with an argument {name}, set "
                    f"model__{name}={value!r}."
                )

    def _refuse_arguments(self, unknown):
        """Raise a TypeError for keyword arguments that `fit` does not have, which names what to use instead."""
        for name, value in unknown.items():
            if name in ("validation_data", "eval_set"):
                remedy = "Pass validation data as X_val and y_val: fit(X, y, X_val=..., y_val=...)."
            elif name == "validation_split":
                remedy = "Set the parameter validation_fraction of the estimator."
            elif name in self._get_param_names() or is_routed(name):
                given = repr(value) if isinstance(value, str | int | float | None) else "..."
                remedy = f"It is a parameter of the estimator: set_params({name}={given}).fit(X, y)."
            else:
                names = [p for p in inspect.signature(self.fit).parameters if p != "unknown"]
                near = difflib.get_close_matches(name, [*names, *self._get_param_names()], n=1)
                remedy = f"Did you mean {near[0]!r}? " if near else ""
                remedy += f"Its arguments are {', '.join(names)}."
            raise TypeError(f"{type(self).__name__}.fit() has no argument {name!r}. {remedy}")

    def _nearest(self, name):
        """Return the end of an error message that suggests the most similar name."""
        route, _, rest = name.partition("__")
        near = difflib.get_close_matches(route if rest else name, [*self._get_param_names(), *ROUTES], n=1)
        return f"; did you mean {near[0] + ('__' + rest if rest else '')!r}?" if near else "."

    def _keras_params(self):
        """Return the parameters that contain Keras objects."""
        if "keras" not in sys.modules:
            return {}
        from skml._keras._serialization import holds_keras_object

        return {name: value for name, value in self.get_params(deep=False).items() if holds_keras_object(value)}

    def __sklearn_clone__(self):
        # Keras objects are shared: deepcopy cannot copy all of them, and fit makes copies.
        shared = self._keras_params()
        copied = object.__new__(type(self))
        vars(copied).update(vars(self) | dict.fromkeys(shared))
        copied = BaseEstimator.__sklearn_clone__(copied)
        vars(copied).update(shared)
        return copied

    def __copy__(self):
        # Keras objects are not packed, as scikit-learn's callbacks may copy the estimator after each epoch.
        copied = object.__new__(type(self))
        vars(copied).update(vars(self))
        return copied

    def __getstate__(self):
        state = dict(super().__getstate__())
        shared = self._keras_params()
        if shared:
            from skml._keras._serialization import pack

            state["_packed"] = {name: pack(value) for name, value in shared.items()}
            state.update(dict.fromkeys(shared))
        return state

    def __setstate__(self, state):
        packed = state.pop("_packed", None)
        super().__setstate__(state)
        if packed:
            from skml._keras._serialization import unpack

            vars(self).update({name: unpack(value) for name, value in packed.items()})
