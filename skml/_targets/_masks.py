"""NumPy's masked arrays, whose masks ``np.asarray`` drops without a word."""

import numpy as np


def unmasked(y):
    """Return a masked ``y`` as an array, in which NaN stands for a masked entry, where an entry may be unknown."""
    if not np.ma.is_masked(y):
        return np.asarray(y)
    if y.ndim != 2 or y.dtype.kind not in "biuf":
        raise ValueError(
            f"y is a masked array of shape {y.shape} and dtype {y.dtype} with masked items. Only entries of a 2-D "
            "indicator of 0 and 1 may be masked, that is unknown; leave out the rows without a label."
        )
    return y.astype(y.dtype if y.dtype.kind == "f" else np.float64).filled(np.nan)


def refuse_mask(name, values):
    """Refuse a masked array where a value must be known; `name` is that of the parameter."""
    if np.ma.is_masked(values):
        raise ValueError(
            f"{name} is a masked array with {np.ma.count_masked(values)} masked values, which have no meaning there. "
            f"Fill them, as {name}.filled(...) or an imputer does, or leave the rows out."
        )
