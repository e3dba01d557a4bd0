"""Public signatures are annotated, and type checkers see it."""

import inspect
from importlib import import_module
from importlib.resources import files

import pytest

MODULES = ["skml", "skml.inspection", "skml.metrics", "skml.model_selection", "skml.onnx"]
PUBLIC = {
    f"{module}.{name}": getattr(import_module(module), name)
    for module in MODULES
    for name in import_module(module).__all__
    if callable(getattr(import_module(module), name))
}


def functions_of(value):
    """Yield a function, or what a class of ours defines for its users."""
    if not inspect.isclass(value):
        yield value
        return
    for owner in value.__mro__:
        if owner.__module__.startswith("skml"):
            for name, member in vars(owner).items():
                function = getattr(member, "__func__", member)
                if inspect.isfunction(function) and not name.startswith("_"):
                    yield function


def test_type_checkers_are_told_to_look():
    assert files("skml").joinpath("py.typed").is_file()


@pytest.mark.parametrize("name", PUBLIC)
def test_signatures_are_annotated(name):
    for function in functions_of(PUBLIC[name]):
        signature = inspect.signature(function)
        bare = [
            parameter.name
            for parameter in signature.parameters.values()
            if parameter.annotation is parameter.empty and parameter.name not in ("self", "cls")
        ]
        assert not bare, f"{function.__qualname__}: {bare}"
        assert signature.return_annotation is not signature.empty, function.__qualname__


@pytest.mark.parametrize("name", PUBLIC)
def test_help_names_types_and_does_not_spell_out_those_of_numpy(name):
    for function in functions_of(PUBLIC[name]):
        assert "_NestedSequence" not in str(inspect.signature(function)), function.__qualname__
    if inspect.isclass(PUBLIC[name]):
        assert "_NestedSequence" not in str(inspect.signature(PUBLIC[name]))
