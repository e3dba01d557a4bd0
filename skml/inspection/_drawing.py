"""What displays share: axes, heat maps of one row per label, names that fit. matplotlib is imported here, late."""

import importlib
import math
from itertools import product

import numpy as np

# More rows than this have neither numbers in their cells nor a name each.
MAX_NAMED_ROWS = 40

# Up to so many rows are named, in smaller letters.
_MAX_SMALL_NAMES = 80


def import_optional(name):
    """Import a module of a package that is not among the requirements; say how to install it if it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ImportError(f"This needs {package}, which is not installed: pip install {package}") from error


def new_axes(n_columns, widths=(1,), n_rows=1, size=(3.6, 2.8)):
    """Return the axes of a new figure, row by row; `size` is that of one of them, times `widths` of its column."""
    pyplot = import_optional("matplotlib.pyplot")
    widths = list(widths) * (n_columns if len(widths) == 1 else 1)
    figure = pyplot.figure(figsize=(size[0] * sum(widths), size[1] * n_rows), layout="constrained")
    return figure.subplots(n_rows, n_columns, squeeze=False, width_ratios=widths).ravel()


def panels(ax, n_panels, size=(3.6, 2.8)):
    """Return axes for panels: those of the caller, or of a new figure of up to three columns, each of a size."""
    if ax is not None:
        axes = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
        if len(axes) != n_panels:
            raise ValueError(f"ax must hold {n_panels} axes, one for each panel; got {len(axes)}.")
        return axes
    n_columns = 2 if n_panels == 4 else min(n_panels, 3)
    axes = new_axes(n_columns, n_rows=math.ceil(n_panels / n_columns), size=size)
    for unused in axes[n_panels:]:
        unused.remove()
    return axes[:n_panels]


def add_legend(axes, is_ours):
    """Add one legend of what panels show: below all of them where the figure is ours, otherwise in the first."""
    entries = {}
    for ax in axes:
        for handle, text in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(text, handle)
    figure, handles = axes[0].figure, list(entries.values())
    if is_ours:
        n_columns = _columns_that_fit([*entries], figure.get_figwidth())
        figure.legend(handles, [*entries], loc="outside lower center", ncols=n_columns)
    else:
        axes[0].legend(handles, [*entries], fontsize="small")


def _columns_that_fit(texts, inches):
    """Return the columns of a legend: one for each text, or for two, where they are not wider than the figure."""
    widths = [0.6 + 0.075 * len(text) for text in texts]  # of the sign, and of letters
    if sum(widths) <= inches:
        return len(texts)
    return 2 if len(texts) > 2 and 2 * max(widths) <= inches else 1


def map_height(n_rows):
    """Return the inches that a heat map needs: rows to read up to 40, then less and less for each."""
    named = min(n_rows, MAX_NAMED_ROWS)
    return 1.4 + 0.26 * named + min(0.02 * (n_rows - named), 4)


def draw_map(ax, values, names, cmap, **kwargs):
    """Draw values in [0, 1], a row for each name, and return the image. Of more than 80 rows some are named."""
    cmap = import_optional("matplotlib.pyplot").get_cmap(cmap).with_extremes(bad="0.85")
    image = ax.imshow(values, cmap=cmap, vmin=0, vmax=1, aspect="auto", interpolation="nearest", **kwargs)
    step = 1 if len(names) <= _MAX_SMALL_NAMES else math.ceil(len(names) / MAX_NAMED_ROWS)
    ax.set_yticks(range(0, len(names), step), names[::step], fontsize=9 if len(names) <= MAX_NAMED_ROWS else 7)
    return image


def add_colorbar(image, n_rows):
    """Add a slender colour bar, as high as the map."""
    ax = image.axes
    return ax.figure.colorbar(image, ax=ax, fraction=0.05, pad=0.03, aspect=np.clip(1.2 * n_rows, 12, 45))


def write_values(image, values):
    """Write the values of a heat map into its cells, black on light and white on dark ones."""
    texts = np.empty(values.shape, dtype=object)
    colors = image.cmap(image.norm(values))
    for i, j in product(*map(range, values.shape)):
        color = "white" if colors[i, j, :3] @ (0.3, 0.59, 0.11) < 0.5 else "black"
        shown = "-" if values[i, j] is np.ma.masked else f"{values[i, j]:.2f}"
        texts[i, j] = image.axes.text(j, i, shown, ha="center", va="center", color=color, fontsize=8)
    return texts


def short(label, limit=30):
    """Return a label as text that fits beside a plot."""
    text = str(label)
    return text if len(text) <= limit else text[: limit - 1] + "…"
