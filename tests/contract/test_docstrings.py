"""Public docstrings: short descriptions of parameters, and the sections that numpydoc asks for."""

import inspect
import re

import pytest

import skml
import skml.inspection
import skml.metrics
import skml.model_selection
import skml.onnx

MODULES = (skml, skml.inspection, skml.metrics, skml.model_selection, skml.onnx)
PUBLIC = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module in MODULES
    for name in module.__all__
    if callable(getattr(module, name))
}

# The parameters with more meanings than 6 lines can hold.
LONGER = {"threshold": 8, "scoring": 14}


def sections_of(docstring):
    """Return section -> its lines."""
    parts = re.split(r"^(\w[\w ]*)\n-+\n", inspect.cleandoc(docstring), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def descriptions_of(section):
    """Return name -> lines of the description of each parameter."""
    parts = re.split(r"^(\S.*)$", section, flags=re.MULTILINE)
    return {
        name.partition(" :")[0]: [line for line in text.splitlines() if line.strip()]
        for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }


@pytest.mark.parametrize("name", PUBLIC)
def test_parameters_are_described_in_few_lines(name):
    sections = sections_of(PUBLIC[name].__doc__)
    for parameter, lines in descriptions_of(sections.get("Parameters", "")).items():
        assert len(lines) <= LONGER.get(parameter, 6), f"{parameter} of {name} has {len(lines)} lines"


@pytest.mark.parametrize("name", PUBLIC)
def test_all_parameters_are_documented_and_an_example_is_given(name):
    public = PUBLIC[name]
    documented = ", ".join(descriptions_of(sections_of(public.__doc__).get("Parameters", "")))
    function = public.__init__ if inspect.isclass(public) else public
    parameters = [p for p in inspect.signature(function).parameters.values() if p.name not in ("self", "routed")]
    named = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
    missing = [parameter for parameter in named if not re.search(rf"\b{parameter}\b", documented)]
    refers = re.search(r"`(\w+_score|precision_at_k|\w+KFold)`", public.__doc__)  # to one that is documented alike
    assert not missing or refers, missing
    assert ">>>" in public.__doc__ or refers


def test_the_threshold_points_to_the_lesson():
    description = descriptions_of(sections_of(skml.KerasMultiLabelClassifier.__doc__)["Parameters"])["threshold"]
    assert "Lesson 3" in " ".join(description)
