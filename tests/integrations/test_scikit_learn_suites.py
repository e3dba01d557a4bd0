"""scikit-learn's own tests, with skml's classes in the place of its MLPClassifier and TunedThresholdClassifierCV."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sklearn

import skml

pytestmark = [
    pytest.mark.integrations,
    pytest.mark.skipif(
        tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 9),
        reason="the differences that are listed are from scikit-learn 1.9",
    ),
]


@pytest.mark.parametrize(
    ("suite", "least"),
    [
        ("sklearn.neural_network.tests.test_mlp", 17),
        ("sklearn.model_selection.tests.test_classification_threshold", 19),
    ],
    ids=["mlp", "threshold"],
)
def test_the_tests_of_scikit_learn_pass_but_for_the_differences_that_are_listed(suite, least, tmp_path):
    places = [Path(skml.__file__).parents[1], Path(__file__).parents[1]]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, places)), "PYTEST_ADDOPTS": ""}
    options = ["-p", "substitutes", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(tmp_path)]
    options += ["-q", "-rfE", "--disable-warnings", "--tb=short"]
    command = [sys.executable, "-m", "pytest", *options, "--pyargs", suite]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
    assert int(re.search(r"(\d+) passed", run.stdout)[1]) >= least
