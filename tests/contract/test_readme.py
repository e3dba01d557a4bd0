"""Run the code of the README, and check the links and script names of all READMEs and pages of the site."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import pytest

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
BENCHMARKS = ROOT / "examples/benchmarks/README.md"
GENERATED = {ROOT / "examples/site" / name for name in ("gallery", "generated")}
PAGES = sorted(page for page in ROOT.glob("examples/site/**/*.md") if not GENERATED & set(page.parents))
READMES = [README, ROOT / "examples/README.md", BENCHMARKS, *PAGES]


def anchors(text):
    """Return the anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_the_code_of_the_readme_runs():
    mpl.use("Agg")
    names = {}
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) == 2
    exec(blocks[0], names)
    clf = names["clf"]
    assert clf.predict(["a password in plain text", "a typo"]).tolist() == [("Confidentiality",), ()]
    assert clf.predict_proba(["a password"]).shape == (1, 2)
    exec(blocks[1], names)
    assert names["search"].best_score_ > 0.9


FIT = """
import numpy as np
from skml import KerasMultiLabelClassifier
KerasMultiLabelClassifier(epochs=1, n_members=2).fit(np.eye(10), np.eye(10)[:, :2])
raise SystemExit("a message of the program")
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_line_that_hides_the_messages_of_tensorflow_hides_no_others(tmp_path):
    (line,) = re.findall(r"^(TF_CPP_MIN_LOG_LEVEL=.*)$", README.read_text(), re.MULTILINE)
    (tmp_path / "script.py").write_text(FIT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    command = ["bash", "-c", f"{line.replace('python', sys.executable, 1)}; sleep 0.2"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stderr == "a message of the program\n"


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_of_the_readmes_resolve(readme):
    for link in re.findall(r"\]\(([^)\s]+)\)", readme.read_text()):
        if "://" not in link:
            path, _, anchor = link.partition("#")
            target = readme.parent / path if path else readme
            assert target.is_file(), link
            assert not anchor or anchor in anchors(target.read_text()), link


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_scripts_in_the_readmes_exist(readme):
    scripts = {path.name for path in ROOT.glob("examples/**/*.py")}
    assert set(re.findall(r"(\w+\.py)\b", readme.read_text())) <= scripts | {
        "loader.py",
        "script.py",
    }  # written by the user


def test_the_readme_is_short():
    assert len(README.read_text().splitlines()) <= 120


def test_all_lessons_are_in_the_readme():
    lessons = {path.name for path in ROOT.glob("examples/[0-9]*.py")}
    assert lessons <= set(re.findall(r"\]\(examples/(\w+\.py)\)", README.read_text()))


def test_all_benchmarks_are_in_their_readme():
    helpers = {"timing.py"}
    scripts = {path.name for path in ROOT.glob("examples/benchmarks/*.py")}
    assert scripts - helpers <= set(re.findall(r"(\w+\.py)\b", BENCHMARKS.read_text()))
