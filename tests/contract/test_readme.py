"""What the README shows, runs."""

import re
from pathlib import Path

import matplotlib as mpl
import numpy as np

README = Path(__file__).parents[2] / "README.md"


def test_the_code_of_the_readme_runs(X, Y):
    mpl.use("Agg")
    names = {"X": X, "Y": Y}
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(block, names)
        if "texts =" in block:
            clf = names["clf"]
            assert clf.predict(["a password in plain text", "a typo"]).tolist() == [("Confidentiality",), ()]
            assert clf.predict_proba(["a password"]).shape == (1, 2)
            clf.set_params(kerasmultilabelclassifier__threshold={"Confidentiality": 0.0})
            assert all("Confidentiality" in labels for labels in clf.predict(["a typo"]))
    assert len(names["search"].cv_results_["params"]) == 8
    np.testing.assert_array_equal(names["search"].predict(X).shape, Y.shape)
