"""The house rules, read from the source: who imports whom, who asks what, how large things are."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import skml

ROOT = Path(skml.__file__).parent
TOOLBOXES = {"inspection", "metrics", "model_selection", "onnx"}
ROOMS = ["_decisions", "_keras", "_networks", "_targets", "_training", *sorted(TOOLBOXES)]
KNOW_KERAS = {"_keras", "_networks", "_training"}
PREDICT_WITHOUT_KERAS = {
    "skml._default_network._network",
    "skml._default_network._gradients",
    "skml._default_network._label_changes",
    "skml._default_network._auto",
    "skml._default_network._scaling",
}
FORM_OF_Y = {"form_", "target_type_", "is_multilabel"}


def name_of(path):
    return ".".join(["skml", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")


TEXTS = {name_of(path): path.read_text() for path in sorted(ROOT.rglob("*.py"))}
TREES = {module: ast.parse(text) for module, text in TEXTS.items()}


def room_of(module):
    """Return the room of a module; the estimators and ``skml`` itself are the roof."""
    part = [*module.split("."), ""][1]
    return part if part in ROOMS else "roof"


def is_for_type_checkers(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imports_of(module, tree):
    """Yield all that a module imports when it runs, in functions too, as names of modules."""
    for node in (node for part in tree.body if not is_for_type_checkers(part) for node in ast.walk(part)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in TREES else node.module for name in names)


IMPORTS = {module: sorted(set(imports_of(module, tree))) for module, tree in TREES.items()}
LINKS = [(module, name) for module, names in IMPORTS.items() for name in names if name in TREES]


def test_imports_point_one_way():
    modules = {module: {name for other, name in LINKS if other == module} for module in TREES}
    rooms = {room: set() for room in [*ROOMS, "roof"]}
    for module, name in LINKS:
        rooms[room_of(module)] |= {room_of(name)} - {room_of(module)}
    for graph in (modules, rooms):
        TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_the_cellar_imports_no_other_room():
    assert {room_of(name) for module, name in LINKS if room_of(module) == "_keras"} == {"_keras"}


def test_few_rooms_know_keras():
    knowing = {
        module
        for module, names in IMPORTS.items()
        if {name.partition(".")[0] for name in names} & {"keras", "scikeras", "tensorflow"}
    }
    assert {room_of(module) for module in knowing} <= KNOW_KERAS
    assert not knowing & PREDICT_WITHOUT_KERAS


def test_toolboxes_and_decisions_know_neither_training_nor_the_estimators():
    for module, name in LINKS:
        if room_of(module) in TOOLBOXES | {"_decisions"}:
            assert room_of(name) not in ("_training", "roof"), f"{module} imports {name}"


def test_only_targets_asks_which_form_y_had():
    for module, tree in TREES.items():
        if room_of(module) != "_targets":
            asked = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in FORM_OF_Y]
            assert not asked, f"{module}, line {asked[0].lineno}, reads {asked[0].attr}"


def test_scikeras_has_one_door():
    assert [module for module, names in IMPORTS.items() if any(n.startswith("scikeras") for n in names)] == [
        "skml._keras._router"
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_in_one_sentence_what_it_is_for(room):
    sentence = (ast.get_docstring(TREES[f"skml.{room}"]) or "").partition("\n\n")[0]
    assert sentence.endswith(".")
    assert ". " not in sentence


# Figures


def docstring_lines(node):
    """Return how many lines the docstring of a function or class has."""
    if ast.get_docstring(node) is None:
        return 0
    return node.body[0].end_lineno - node.body[0].lineno + 1


def functions_of(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def body_lines(function):
    """Return the lines of a function after its signature and docstring."""
    statements = function.body[1:] if docstring_lines(function) else function.body
    return statements[-1].end_lineno - statements[0].lineno + 1 if statements else 0


def class_lines(module, name):
    """Return the lines of a class without docstrings."""
    (node,) = [node for node in TREES[module].body if isinstance(node, ast.ClassDef) and node.name == name]
    return node.end_lineno - node.lineno + 1 - sum(map(docstring_lines, [node, *functions_of(node)]))


def test_files_functions_and_the_classifier_are_small():
    files = {module: len(text.splitlines()) for module, text in TEXTS.items()}
    bodies = {
        f"{module}:{function.lineno} {function.name}": body_lines(function)
        for module, tree in TREES.items()
        for function in functions_of(tree)
        if function.name != "__init__"
    }
    parts = [
        class_lines("skml._classifier", "KerasMultiLabelClassifier"),
        class_lines("skml._fitting", "FittingClassifier"),
        class_lines("skml._fitted", "FittedClassifier"),
    ]
    print(f"\n{len(files)} files, {sum(files.values())} lines, {len(bodies)} functions, {len(LINKS)} imports of rooms")
    for kind, sizes in (("file", files), ("function body", bodies)):
        largest = sorted(sizes, key=sizes.get, reverse=True)[:3]
        print(f"largest {kind}:", ", ".join(f"{name} {sizes[name]}" for name in largest))
    print(f"median function body: {sorted(bodies.values())[len(bodies) // 2]} lines")
    print(f"classifier without docstrings: {' + '.join(map(str, parts))} = {sum(parts)} lines")
    assert max(files.values()) <= 400
    assert max(bodies.values()) <= 35
    assert sum(parts) <= 300
