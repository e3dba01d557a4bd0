"""Code in another process."""

import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path


def run_python_in(folder, code, timeout=None, imported=None, **variables):
    """Run code in a folder, whose modules it can import, with environment variables; return what it prints.

    With ``imported="sklearn"`` or ``"keras"`` it runs in a fork of a process that has imported that and done nothing
    else, which takes a tenth of a second in place of one or four. Code that tells how an interpreter starts or ends,
    or that sets what is read at an import, needs a process of its own.
    """
    path = [str(folder), *sys.path]  # skml need not be installed
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "TF_CPP_MIN_LOG_LEVEL": "3", **variables}
    if imported and sys.platform == "linux":
        status, output, errors = _run_in_fork(imported, code, folder, path, environment, timeout)
    else:
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=timeout)
        status, output, errors = done.returncode, done.stdout, done.stderr
    assert status == 0, errors
    return output


def _run_in_fork(imported, code, folder, path, environment, timeout):
    server = _server(imported)
    job = {"code": code, "folder": str(folder), "path": path, "environment": environment, "timeout": timeout}
    with tempfile.TemporaryDirectory() as printed:
        files = {"output": f"{printed}/output", "errors": f"{printed}/errors"}
        print(json.dumps(job | files), file=server.stdin, flush=True)
        status = int(server.stdout.readline())
        return status, *(Path(file).read_text() for file in files.values())


@functools.cache
def _server(imported):
    """Start the process that has imported something; it ends when its stdin is closed, at the end of this one."""
    server = subprocess.Popen(
        [sys.executable, "-c", f"import fork_server; fork_server.serve({imported!r})"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    atexit.register(server.communicate)
    return server
