"""What the README shows, runs."""

import re
from pathlib import Path

import matplotlib as mpl

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_code_of_the_readme_runs():
    mpl.use("Agg")
    names = {}
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 2
    exec(blocks[0], names)
    clf = names["clf"]
    assert clf.predict(["a password in plain text", "a typo"]).tolist() == [("Confidentiality",), ()]
    assert clf.predict_proba(["a password"]).shape == (1, 2)
    exec(blocks[1], names)
    assert names["search"].best_score_ > 0.9


def test_what_the_readme_names_is_there():
    for path in re.findall(r"\]\(([\w/.]+)\)", README):
        assert (ROOT / path).is_file(), path
    scripts = {path.name for path in ROOT.glob("examples/**/*.py")}
    assert set(re.findall(r"`(\w+\.py)", README)) <= scripts | {"loader.py"}  # a user's
