"""An interpreter that has imported what is slow to import, and forks itself for each code that it is sent."""

import importlib
import json
import os
import signal
import sys
import traceback
import types

# Importing them starts no thread and no work, so a fork is as good as an interpreter of its own.
MODULES = {"sklearn": ["sklearn.model_selection"], "keras": ["sklearn.model_selection", "keras", "tensorflow"]}


def serve(imported):
    """Read jobs from stdin, one in a line, and print the exit code of each."""
    for name in MODULES[imported]:
        importlib.import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            run(**json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def run(code, folder, output, errors, path, environment, timeout):
    """Run code as a program, and end this process."""
    os.chdir(folder)
    for stream, file in enumerate([os.devnull, output, errors]):
        os.dup2(os.open(file, os.O_RDWR | os.O_CREAT), stream)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:] = path
    sys.modules["__main__"] = types.ModuleType("__main__")
    signal.alarm(timeout or 0)
    status = 0
    try:
        exec(compile(code, "<string>", "exec"), vars(sys.modules["__main__"]))
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
