"""Show each warning once, as Python's default filter does."""

import sys
import traceback
import warnings

# Packages that call skml once for each fold.
_SEARCHES = {"sklearn", "joblib"}

# Packages whose frames are skipped to find the user's line.
_LIBRARIES = {"skml"} | _SEARCHES

# Keys of the warnings that have been shown: file, line, category and text.
_shown: set[tuple] = set()


def warn_once(message, category=UserWarning):
    """Warn once for each text and line of the user's code, and once for each search.

    Python's default filter also shows a warning once for each line, but it forgets which warnings it has shown when
    any filter changes, and scikit-learn and Keras change filters in each fit. The filters "always", "error" and
    "ignore" work as usual.

    Parameters
    ----------
    message : str
    category : Warning class, default=UserWarning
    """
    frame, in_search = _user_frame()
    file, line = frame.f_code.co_filename, frame.f_lineno
    # Different folds miss different labels; warn once per search, not once per fold.
    key = (file, line, category, message.partition(":")[0] if in_search else message)
    if _filter_action(message, category) in ("default", "once", "module"):
        if key in _shown:
            return
        _shown.add(key)
    name = frame.f_globals.get("__name__", "__main__")
    warnings.warn_explicit(message, category, file, line, name)


def _user_frame():
    """Return the innermost frame of the user's code, and whether a search is on the stack."""
    stack = [frame for frame, _ in traceback.walk_stack(sys._getframe(2))]
    packages = [frame.f_globals.get("__name__", "").partition(".")[0] for frame in stack]
    users = (frame for frame, package in zip(stack, packages, strict=True) if package not in _LIBRARIES)
    return next(users, stack[-1]), not _SEARCHES.isdisjoint(packages)


def _filter_action(message, category):
    """Return the action of the first matching warning filter, ignoring filters for a module or a line."""
    for action, text, kind, module, line in warnings.filters:
        if issubclass(category, kind) and not module and not line and (text is None or text.match(message)):
            return action
    return "default"
