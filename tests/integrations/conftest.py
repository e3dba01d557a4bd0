"""What the tests of other tools share."""

import pytest


@pytest.fixture(scope="session")
def needs():
    """Return a function that imports a module of another tool, or skips the test."""

    def import_or_skip(module, package=None):
        return pytest.importorskip(module, reason=f"needs {package or module}: pip install -e '.[integrations]'")

    return import_or_skip
