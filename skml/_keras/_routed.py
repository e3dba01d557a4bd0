"""Estimators whose parameters hold Keras objects, or are routed to them."""

import difflib
import inspect
import sys
from typing import Any, Self

from sklearn.base import BaseEstimator

ROUTES = ("model", "optimizer", "loss", "metrics", "callbacks")


def is_routed(name):
    """Whether a parameter's name is that of a routed one, such as ``model__units``."""
    route, _, rest = name.partition("__")
    return route in ROUTES and bool(rest)


class RoutedParameters(BaseEstimator):
    """Base of an estimator with ``**routed`` parameters, some of which may hold objects of Keras.

    Routed parameters are attributes under their own names: they appear in `get_params`, survive `clone` and can be
    searched over. Keras objects are shared by clones, and packed in pickles.
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        # scikit-learn's checks take each name in the signature for a parameter, the var-keyword's too.
        signature = inspect.signature(cls.__init__)
        parameters = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD and p.name != "self"]
        cls.__signature__ = signature.replace(parameters=parameters)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, routed ones included.

        Parameters
        ----------
        deep : bool, default=True
            Accepted as scikit-learn does.

        Returns
        -------
        params : dict
        """
        routed = {name: value for name, value in vars(self).items() if is_routed(name)}
        return {**super().get_params(deep=deep), **routed}

    def set_params(self, **params: Any) -> Self:
        """Set parameters, routed ones included.

        Returns
        -------
        self : estimator

        Raises
        ------
        ValueError
            If a name is no parameter.
        """
        known = self._get_param_names()
        for name in params:
            if name not in known and not is_routed(name):
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator {type(self).__name__}{self._nearest(name)} "
                    f"Valid parameters are: {known!r} and those routed by {', '.join(f'{r}__' for r in ROUTES)}."
                )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def _set_routed(self, routed):
        """Set what ``__init__`` got as ``**routed``."""
        for name, value in routed.items():
            if not is_routed(name):
                raise TypeError(f"{type(self).__name__} has no parameter {name!r}{self._nearest(name)}")
            setattr(self, name, value)

    def _check_routed(self):
        """Refuse routed parameters that nothing takes: a grid over them would compare equal models."""
        takers = {
            "model": callable(self.model) and not hasattr(self.model, "get_weights"),
            "loss": not isinstance(self.loss, str) or self.loss != "auto",
            "metrics": self.metrics is not None,
            "callbacks": self.callbacks is not None,
        }
        for name in filter(is_routed, vars(self)):
            route = name.partition("__")[0]
            if not takers.get(route, True):
                wanted = "a function that builds the network" if route == "model" else "a name, class or function"
                raise ValueError(f"{name} has nothing to go to: {route}={getattr(self, route)!r} is not {wanted}.")

    def _check_default_network(self, names):
        """Refuse parameters that act on the default network only, if they are set next to a custom `model`."""
        signature = inspect.signature(type(self)).parameters
        for name in names if self.model is not None else ():
            value, default = getattr(self, name), signature[name].default
            if not (value is default or (isinstance(value, type(default)) and value == default)):
                raise ValueError(
                    f"{name}={value!r} acts on the default network only, and model={self.model!r} has layers of its "
                    f"own. Leave {name} at its default, {default!r}; what a function that builds a network is to vary, "
                    f"give it as an argument and set by model__{name}={value!r}."
                )

    def _nearest(self, name):
        """Return the end of a message that suggests the nearest name."""
        route, _, rest = name.partition("__")
        near = difflib.get_close_matches(route if rest else name, [*self._get_param_names(), *ROUTES], n=1)
        return f"; did you mean {near[0] + ('__' + rest if rest else '')!r}?" if near else "."

    def _keras_params(self):
        """Return the parameters that hold objects of Keras."""
        if "keras" not in sys.modules:
            return {}
        from skml._keras._serialization import holds_keras_object

        return {name: value for name, value in self.get_params(deep=False).items() if holds_keras_object(value)}

    def __sklearn_clone__(self):
        # Keras objects are shared: deepcopy cannot copy them all, and fit copies them.
        shared = self._keras_params()
        twin = object.__new__(type(self))
        vars(twin).update(vars(self) | dict.fromkeys(shared))
        twin = BaseEstimator.__sklearn_clone__(twin)
        vars(twin).update(shared)
        return twin

    def __copy__(self):
        # Nothing is packed: callbacks of scikit-learn may ask for a copy after each epoch.
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))
        return twin

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
