"""Run the examples as a user runs them."""

import os
import re
import subprocess
import sys
import time
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
    "skrub",
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
        assert re.match(rf'"""(Lesson {int(lesson.name[:2])}: .*)\n=+\n', text), lesson.name
        assert text.count("\n# %%\n# ") >= 3, lesson.name  # sphinx-gallery leaves out what is in the line of # %%


@pytest.fixture
def within_a_minute(capsys):
    """Print the time of a lesson, and check that two idle cores would need less than a minute."""
    start, used = time.perf_counter(), cpu_seconds()
    yield
    seconds, used = time.perf_counter() - start, cpu_seconds() - used
    with capsys.disabled():
        print(f" {seconds:.0f} s, {used:.0f} CPU s", end="")
    assert used < 120


def cpu_seconds():
    """Return the CPU time of the processes that this one has waited for."""
    times = os.times()
    return times.children_user + times.children_system


@pytest.mark.slow
@pytest.mark.usefixtures("within_a_minute")
@pytest.mark.parametrize(
    "lesson", [one for one in LESSONS if one.name[:2] not in ("08", "10", "11", "14")], ids=lambda one: one.stem
)
def test_lesson(lesson, tmp_path):
    assert run(lesson, tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("within_a_minute")
def test_retraining_with_unnamed_tags(tmp_path):
    printed = run(EXAMPLES / "08_retraining.py", tmp_path)
    before, sets, with_nan = (
        float(re.search(rf"{name}: ([\d.]+)", printed)[1])
        for name in ("trained to month 5", "that name few tags", "NaN for the other tags")
    )
    assert sets < before - 0.2
    assert with_nan > sets + 0.2


@pytest.mark.slow
@pytest.mark.usefixtures("within_a_minute")
def test_wrong_labels(tmp_path):
    printed = run(EXAMPLES / "14_wrong_labels.py", tmp_path)
    first, chance = map(int, re.search(r"(\d+)% of the 60 least credible .* (\d+)% of all", printed).groups())
    assert first > 10 * chance
    scores = {name: re.search(rf"{name} +([\d.]+) +([\d.]+)", printed) for name in ("with errors", "as missing labels")}
    assert float(scores["as missing labels"][1]) > float(scores["with errors"][1])  # average precision
    assert float(scores["as missing labels"][2]) < float(scores["with errors"][2])  # log-loss


@pytest.mark.slow
@pytest.mark.usefixtures("within_a_minute")
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
@pytest.mark.usefixtures("within_a_minute")
@pytest.mark.skipif(sys.platform != "linux", reason="sets a memory limit of Linux")
def test_beyond_one_machine(tmp_path):
    printed = run(EXAMPLES / "10_beyond_one_machine.py", tmp_path)
    table, limit = map(int, re.search(r"would take (\d+) MB; the process may allocate (\d+) MB", printed).groups())
    assert table > limit
    assert "Unable to allocate" in printed
    assert float(re.search(r"subset accuracy on new rows: ([\d.]+)%", printed)[1]) > 80
    assert float(re.search(r"subset accuracy on new ones: ([\d.]+)%", printed)[1]) > 80
    assert "Predicted 1,048,576 rows" in printed
    assert "Same predictions as in this process: True; TensorFlow was imported: [False, False]" in printed
    assert "{'learning_rate': 0.01}; TensorFlow was imported: [True, True]" in printed
