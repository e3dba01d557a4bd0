"""Code in a fresh process."""

import os
import subprocess
import sys


def run_python_in(folder, code, timeout=None, **variables):
    """Run code in a folder, whose modules it can import, with environment variables; return what it prints."""
    path = os.pathsep.join([str(folder), *sys.path])  # skml need not be installed
    environment = {**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3", **variables}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, env=environment, timeout=timeout
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
