"""The rules of the house, read from the source: who imports whom, how large things are. `pytest -s` prints figures."""

import ast
import io
import sys
import tokenize
from graphlib import TopologicalSorter
from pathlib import Path

import numpy as np
import pytest

import skml
from estimators import tiny

ROOT = Path(skml.__file__).parent
TOOLBOXES = {"inspection", "metrics", "model_selection", "onnx"}
ROOMS = ["_decisions", "_default_network", "_keras", "_keras_models", "_targets", "_training", *sorted(TOOLBOXES)]

# Single files below the rooms, which all may import.
FOUNDATION = {"skml._dependencies", "skml._inputs", "skml._typing", "skml._version"}

# Rooms that import Keras, and single modules that do so in a function or beside other rooms.
KNOW_KERAS = {"_keras", "_keras_models", "_training"}
KNOW_KERAS_TOO = {"skml.onnx._custom_graph"}

FORM_OF_Y = {"form_", "target_type_"}

# Modules of under 30 lines of code with a single importer, and why they stand alone.
SMALL_FOR_A_REASON = {
    "skml._decisions._scale": "scores as numbers in [0, 1]: the one place that knows estimators without probabilities",
    "skml._keras._progress": "what training prints, apart from how it trains",
    "skml._keras._sparse_ops": "raw operations of TensorFlow, which layers should not spell out",
    "skml.onnx._custom_graph": "the one file of the toolbox that imports TensorFlow",
}


def name_of(path):
    return ".".join(["skml", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")


TEXTS = {name_of(path): path.read_text() for path in sorted(ROOT.rglob("*.py"))}
TREES = {module: ast.parse(text) for module, text in TEXTS.items()}


def room_of(module):
    """Return the room of a module, "foundation" below all rooms, or "roof": the estimators and ``skml`` itself."""
    part = [*module.split("."), ""][1]
    if part in ROOMS:
        return part
    return "foundation" if module in FOUNDATION else "roof"


def box_of(module):
    """Return the top-level file or folder of a module."""
    return ".".join(module.split(".")[:2])


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


def graph_of(place):
    """Return place -> places that it imports, of boxes, rooms or modules."""
    graph = {place(module): set() for module in TREES}
    for module, name in LINKS:
        graph[place(module)] |= {place(name)} - {place(module)}
    return graph


def floors_of(graph):
    """Return place -> its floor: 0 for a place that imports no other."""
    floors = {}
    for place in TopologicalSorter(graph).static_order():
        floors[place] = 1 + max((floors[below] for below in graph[place]), default=-1)
    return floors


def test_imports_point_one_way():
    for graph in (graph_of(lambda module: module), graph_of(room_of)):
        TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_the_cellar_imports_no_other_room():
    assert {room_of(name) for module, name in LINKS if room_of(module) == "_keras"} <= {"_keras", "foundation"}


def test_few_rooms_know_keras_and_the_default_network_does_not():
    knowing = {
        module
        for module, names in IMPORTS.items()
        if {name.partition(".")[0] for name in names} & {"keras", "scikeras", "tensorflow"}
    }
    assert {module for module in knowing if room_of(module) not in KNOW_KERAS} == KNOW_KERAS_TOO
    assert not {name for module, name in LINKS if room_of(module) == "_default_network"} & knowing


def test_toolboxes_and_decisions_know_neither_training_nor_the_estimators():
    for module, name in LINKS:
        if room_of(module) in TOOLBOXES | {"_decisions"} and module != "skml.onnx._converter":
            assert room_of(name) != "_training", f"{module} imports {name}"
            assert room_of(name) != "roof", f"{module} imports {name}"


def test_only_targets_asks_which_form_y_had():
    for module, tree in TREES.items():
        if room_of(module) != "_targets":
            asked = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in FORM_OF_Y]
            assert not asked, f"{module}, line {asked[0].lineno}, reads {asked[0].attr}"


def test_scikeras_has_one_door():
    assert [module for module, names in IMPORTS.items() if any(n.startswith("scikeras") for n in names)] == [
        "skml._keras._router"
    ]


def test_private_names_of_scikit_learn_stand_in_one_file():
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("sklearn"):
                private = [name for name in [*node.module.split("."), *(a.name for a in node.names)] if name[0] == "_"]
                assert not private or module == "skml._dependencies", f"{module} imports {private} of {node.module}"


def test_no_module_is_looked_up_in_sys_modules():
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Subscript | ast.Call) and "sys.modules" in ast.unparse(node):
                assert "'skml" not in ast.unparse(node), f"{module}, line {node.lineno}"


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_in_one_sentence_what_it_is_for(room):
    sentence = (ast.get_docstring(TREES[f"skml.{room}"]) or "").partition("\n\n")[0]
    assert sentence.endswith(".")
    assert ". " not in sentence


# Figures


def docstrings_of(tree):
    """Yield the first and last line of each docstring."""
    for node in ast.walk(tree):
        has_docstring = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node)
        if has_docstring:
            yield node.body[0].lineno, node.body[0].end_lineno


def code_lines(module):
    """Return the number of lines of a module without docstrings, comments and empty lines."""
    quiet = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(TEXTS[module]).readline):
        if token.type not in quiet:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for first, last in docstrings_of(TREES[module]):
        lines -= set(range(first, last + 1))
    return len(lines)


def functions_of(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def body_lines(function):
    """Return the lines of a function after its signature and docstring."""
    statements = function.body[1:] if ast.get_docstring(function) else function.body
    return statements[-1].end_lineno - statements[0].lineno + 1 if statements else 0


CODE = {module: code_lines(module) for module in TREES}
IMPORTERS = {name: {module for module, other in LINKS if other == name} for name in TREES}


def test_files_and_functions_are_small():
    bodies = {
        f"{module}:{function.lineno} {function.name}": body_lines(function)
        for module, tree in TREES.items()
        for function in functions_of(tree)
        if function.name != "__init__"
    }
    print(f"\n{len(TREES)} files, {sum(CODE.values())} lines of code, {len(bodies)} functions")
    for kind, sizes in (("file, in lines of code", CODE), ("function body", bodies)):
        largest = sorted(sizes, key=sizes.get, reverse=True)[:3]
        print(f"largest {kind}:", ", ".join(f"{name} {sizes[name]}" for name in largest))
    print(f"median function body: {sorted(bodies.values())[len(bodies) // 2]} lines")
    assert max(CODE.values()) <= 300
    assert max(bodies.values()) <= 35


def test_no_small_module_serves_a_single_one_without_a_reason():
    single = {module for module, importers in IMPORTERS.items() if len(importers) == 1}
    under_60 = [module for module, text in TEXTS.items() if len(text.splitlines()) < 60]
    print(f"\nfiles under 60 lines: {len(under_60)}; modules with exactly one importer: {len(single)}")
    small = {module for module in single if CODE[module] < 30 and not module.endswith("__init__")}
    assert small - {"skml", *(f"skml.{room}" for room in ROOMS)} == set(SMALL_FOR_A_REASON)


def test_the_house_has_few_boxes_and_arrows():
    graph = graph_of(box_of)
    graph.pop("skml")  # the package itself, which only names what is public
    floors = floors_of({box: below - {"skml"} for box, below in graph.items()})
    n_arrows = sum(len(below - {"skml"}) for below in graph.values())
    figures = f"{len(graph)} / {max(floors.values()) + 1} / {n_arrows}"
    print(f"\nboxes on the top level / floors / arrows between them: {figures}")
    assert len(graph) <= 20


def test_x_walks_down_through_a_fit(X, Y):
    """Follow the array X through one fit: the functions that receive it, their files, and calls from below upwards."""
    X = X.copy()
    floors = floors_of(graph_of(room_of))
    functions, climbs = set(), 0

    def is_x(value):
        return value is X or (
            isinstance(value, np.ndarray) and value.dtype.kind == "f" and np.may_share_memory(value, X)
        )

    def watch(frame, event, _):
        nonlocal climbs
        if event != "call" or not is_ours(frame) or not any(map(is_x, list(frame.f_locals.values()))):
            return
        functions.add((frame.f_code.co_filename, frame.f_code.co_qualname))
        if is_ours(frame.f_back):
            here, caller = (floors[room_of(f.f_globals["__name__"])] for f in (frame, frame.f_back))
            climbs += here > caller

    def is_ours(frame):
        return frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "skml"

    sys.setprofile(watch)
    try:
        tiny(epochs=1).fit(X, Y)
    finally:
        sys.setprofile(None)
    files = {file for file, _ in functions}
    print(f"\nX in fit: functions / files / calls upwards: {len(functions)} / {len(files)} / {climbs}")
    assert len(files) <= 20
