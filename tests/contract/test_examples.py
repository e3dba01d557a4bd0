"""Run the examples as a user runs them."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
LESSONS = sorted(EXAMPLES.glob("[0-9]*.py"))
OPTIONAL = [
    "cwe2",
    "dask",
    "jinja2",
    "matplotlib",
    "onnxruntime",
    "pandas",
    "pyarrow",
    "river",
    "skops",
    "threadpoolctl",
]
missing = [package for package in OPTIONAL if not find_spec(package)]
pytestmark = pytest.mark.skipif(bool(missing), reason=f"needs {missing}: pip install -e '.[examples]'")


def run(example, cwd):
    """Return the output of an example."""
    settings = {"PYTHONPATH": os.pathsep.join(sys.path), "TF_CPP_MIN_LOG_LEVEL": "3", "MPLBACKEND": "Agg"}
    environment = {**os.environ, **settings}
    done = subprocess.run([sys.executable, example], capture_output=True, text=True, cwd=cwd, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_lessons_are_numbered_and_in_cells():
    assert [lesson.name[:2] for lesson in LESSONS] == [f"{number:02}" for number in range(1, len(LESSONS) + 1)]
    for lesson in LESSONS:
        text = lesson.read_text()
        assert re.match(rf'"""Lesson {int(lesson.name[:2])}: ', text), lesson.name
        assert text.count("\n# %%") >= 3, lesson.name


@pytest.mark.slow
@pytest.mark.parametrize(
    "lesson", [one for one in LESSONS if one.name[:2] not in ("10", "11")], ids=lambda one: one.stem
)
def test_lesson(lesson, tmp_path):
    assert run(lesson, tmp_path)


@pytest.mark.slow
def test_the_best_of_both(tmp_path):
    gain = re.search(r"of the average is (\d+)% lower than", run(EXAMPLES / "11_the_best_of_both.py", tmp_path))
    assert int(gain[1]) >= 1


@pytest.mark.slow
def test_tag_weaknesses(tmp_path):
    printed = run(EXAMPLES / "tag_weaknesses.py", tmp_path)
    linear, network = (float(re.search(rf"{name} +([\d.]+)", printed)[1]) for name in ("linear model", "network"))
    mean, error = map(float, re.search(r"mean difference ([+-][\d.]+), standard error ([\d.]+)", printed).groups())
    assert mean == pytest.approx(network - linear, abs=0.0016)  # of rounded numbers
    if abs(abs(mean) - 2 * error) > 0.002:
        assert ("no clear winner" in printed) == (abs(mean) < 2 * error)
    assert re.search(r"TAG Confidentiality +0\.\d\d of 0\.\d\d +for: \w", printed)
    assert "Confidentiality" in (tmp_path / "weaknesses_report.html").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="sets a memory limit of Linux")
def test_beyond_one_machine(tmp_path):
    printed = run(EXAMPLES / "10_beyond_one_machine.py", tmp_path)
    table, limit = map(int, re.search(r"would take (\d+) MB; the limit of the process is (\d+) MB", printed).groups())
    assert table > limit
    assert "Unable to allocate" in printed
    assert float(re.search(r"subset accuracy on new rows: ([\d.]+)%", printed)[1]) > 80
    assert "Predicted 1,048,576 rows" in printed
    assert "Same predictions as in this process: True; TensorFlow was imported: [False, False]" in printed
    assert "{'learning_rate': 0.01}; TensorFlow was imported: [True, True]" in printed
