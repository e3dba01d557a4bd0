"""The pages of the site: their code runs, and the reference names all that is public."""

import inspect
import re
from pathlib import Path

import matplotlib as mpl
import pytest

import skml
import skml.inspection
import skml.metrics
import skml.model_selection
import skml.onnx

ROOT = Path(__file__).parents[2]
SITE = ROOT / "examples/site"
GENERATED = {SITE / "gallery", SITE / "generated"}
PAGES = sorted(page for page in SITE.rglob("*.md") if not GENERATED & set(page.parents))
MODULES = (skml, skml.inspection, skml.metrics, skml.model_selection, skml.onnx)


def code_of(page):
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if code_of(page) and page.stem != "many_machines"], ids=lambda page: page.stem
)
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    mpl.use("Agg")
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for block in code_of(page):
        exec(block, names)


def test_what_the_pages_say_is_predicted_is_predicted():
    for page, block, expected in (
        ("index.md", 0, "[('rain',), ('rain', 'wind')]"),
        ("guide/missing.md", 2, "[('animal', 'dog')]"),
    ):
        code = code_of(SITE / page)[block]
        *lines, last = code.strip().splitlines()
        assert expected in last
        names = {"KerasMultiLabelClassifier": skml.KerasMultiLabelClassifier}
        exec("\n".join(lines), names)
        assert str(eval(last, names).tolist()) == expected


def test_the_reference_names_every_public_object_once():
    text = (SITE / "api.rst").read_text()
    named = re.findall(r"^(?:   |\.\. py:data:: )(skml[\w.]+)$", text, re.MULTILINE)
    assert sorted(named) == sorted(f"{module.__name__}.{name}" for module in MODULES for name in module.__all__)


def test_every_parameter_is_in_a_group_of_the_reference():
    grouped = re.search(r"^PARAMETERS = ({.*?^})", (SITE / "site_extension.py").read_text(), re.DOTALL | re.MULTILINE)
    names = [name for group in eval(grouped[1]).values() for name in group]
    assert sorted(names) == sorted(inspect.signature(skml.KerasMultiLabelClassifier).parameters)


def test_every_display_has_a_picture():
    displays = {name for name in skml.inspection.__all__ if name.endswith("Display")}
    page = (SITE / "guide/displays.md").read_text()
    assert set(re.findall(r"generated/displays/(\w+)\.png", page)) == displays
    assert set(re.findall(r"displays\.(\w+Display)\.", (SITE / "displays.py").read_text())) == displays


def test_every_page_of_the_guide_is_in_its_table():
    index = (SITE / "guide/index.md").read_text()
    pages = {page.name for page in SITE.glob("guide/*.md")} - {"index.md"}
    assert set(re.findall(r"\]\((\w+\.md)\)", index)) == pages
    assert {f"{name}.md" for name in re.search(r":hidden:\n\n(.*?)```", index, re.DOTALL)[1].split()} == pages
