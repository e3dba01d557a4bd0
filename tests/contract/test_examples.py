"""The examples run, as a user runs them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NEEDS = {
    "05_custom_networks.py": ("pandas",),
    "06_text_explained.py": ("cwe2", "matplotlib", "pandas"),
    "08_retraining.py": ("pandas",),
    "genes.py": ("river", "pandas", "matplotlib"),
    "tag_weaknesses.py": ("cwe2",),
}


def run(example, cwd, *arguments):
    for package in NEEDS[example]:
        pytest.importorskip(package, reason=f"{example} needs {package}: pip install -e '.[examples]'")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, EXAMPLES / example, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_each_example_is_tested():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(NEEDS)


@pytest.mark.slow
def test_text_explained(tmp_path):
    assert "For Access Control: " in run("06_text_explained.py", tmp_path)
    assert (tmp_path / "06_text_explained.png").stat().st_size > 10_000


def test_retraining(tmp_path):
    *_, last_month = run("08_retraining.py", tmp_path).strip().splitlines()
    number, n_tags, never_again, growing, *_ = last_month.split()
    assert (number, n_tags) == ("5", "7")
    assert float(growing) > float(never_again)


@pytest.mark.slow
def test_genes(tmp_path):
    assert "softmax" in run("genes.py", tmp_path, "--plot", "genes.png")
    assert (tmp_path / "genes.png").stat().st_size > 10_000


@pytest.mark.slow
def test_tag_weaknesses(tmp_path):
    assert "Confidentiality" in run("tag_weaknesses.py", tmp_path)


@pytest.mark.slow
def test_lesson_5_custom_networks(tmp_path):
    table = run("05_custom_networks.py", tmp_path).partition("counts words")[2]
    for line in table.splitlines()[1:]:
        _, counted, reads, attends = line.rsplit(maxsplit=3)
        assert float(counted) + 0.1 < min(float(reads), float(attends))
