"""Warnings, each shown once where Python's default filter would."""

import sys
import traceback
import warnings

# Those that call skml for a user, fold by fold.
_SEARCHES = {"sklearn", "joblib"}

# Between a warning and the line of a user that led to it.
_OURS = {"skml"} | _SEARCHES

# What has been shown, by the line it was shown for.
_shown: set[tuple] = set()


def warn_once(message, category=UserWarning):
    """Warn on behalf of the user's line that led here: once for each text, and once for each search.

    Python's default filter guarantees that, too, but it forgets what it has shown whenever a filter changes, which
    happens in each fit of scikit-learn and Keras. Any other filter is followed as it is: "always", "error", "ignore".

    Parameters
    ----------
    message : str
    category : Warning class, default=UserWarning
    """
    frame, in_search = _users_frame()
    file, line = frame.f_code.co_filename, frame.f_lineno
    # Folds miss different labels: to who waits for a search that is one thing, not one for each fold.
    key = (file, line, category, message.partition(":")[0] if in_search else message)
    if _filter_of(message, category) in ("default", "once", "module"):
        if key in _shown:
            return
        _shown.add(key)
    name = frame.f_globals.get("__name__", "__main__")
    warnings.warn_explicit(message, category, file, line, name)


def _users_frame():
    """Return the innermost frame outside of the libraries, and whether one of a search is on the stack."""
    stack = [frame for frame, _ in traceback.walk_stack(sys._getframe(2))]
    packages = [frame.f_globals.get("__name__", "").partition(".")[0] for frame in stack]
    users = next((frame for frame, package in zip(stack, packages, strict=True) if package not in _OURS), stack[-1])
    return users, not _SEARCHES.isdisjoint(packages)


def _filter_of(message, category):
    """Return what the filters in force say of a warning, apart from those for a module or a line."""
    for action, text, kind, module, line in warnings.filters:
        if issubclass(category, kind) and not module and not line and (text is None or text.match(message)):
            return action
    return "default"
