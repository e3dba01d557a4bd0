"""Axes, legends and heat maps shared by the displays. Only these functions import matplotlib."""

import math
from itertools import product

import numpy as np

from skml._dependencies import import_optional

# Heat maps with more rows show no numbers in their cells, and use smaller row names.
MAX_NAMED_ROWS = 40

# Heat maps with more rows name only some of them.
_MAX_SMALL_NAMES = 80


def import_pyplot():
    """Import and return ``matplotlib.pyplot``."""
    return import_optional("matplotlib.pyplot", "A display")


def check_labels_to_draw(labels):
    """Raise a ValueError if the labels to draw are a single string, or none."""
    if isinstance(labels, str):
        raise ValueError(f"labels must be a list of labels; got {labels!r}. Pass labels=[{labels!r}].")
    if labels is not None and not len(labels):
        raise ValueError("labels must contain at least one label; got an empty list. Pass None to draw the default.")


def new_axes(n_columns, widths=(1,), n_rows=1, size=(3.6, 2.8)):
    """Return the axes of a new figure, row by row, each of `size` inches with its width multiplied by `widths`."""
    widths = list(widths) * (n_columns if len(widths) == 1 else 1)
    figure = import_pyplot().figure(figsize=(size[0] * sum(widths), size[1] * n_rows), layout="constrained")
    return figure.subplots(n_rows, n_columns, squeeze=False, width_ratios=widths).ravel()


def panel_axes(ax, n_panels, size=(3.6, 2.8)):
    """Return axes for panels: the axes of the user, or those of a new figure with up to three columns."""
    if ax is not None:
        axes = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
        if len(axes) != n_panels:
            raise ValueError(
                f"ax must contain {n_panels} axes, one for each panel; got {len(axes)}. Pass ax=None for a new figure."
            )
        return axes
    n_columns = 2 if n_panels == 4 else min(n_panels, 3)
    axes = new_axes(n_columns, n_rows=math.ceil(n_panels / n_columns), size=size)
    for unused in axes[n_panels:]:
        unused.remove()
    return axes[:n_panels]


def add_legend(axes, is_new_figure):
    """Add one legend for all panels: below them in a new figure, otherwise inside the first panel."""
    entries = {}
    for ax in axes:
        for handle, text in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(text, handle)
    figure, handles = axes[0].figure, list(entries.values())
    if is_new_figure:
        n_columns = _legend_columns([*entries], figure.get_figwidth())
        figure.legend(handles, [*entries], loc="outside lower center", ncols=n_columns)
    else:
        axes[0].legend(handles, [*entries], fontsize="small")


def _legend_columns(texts, inches):
    """Return the number of legend columns that fit into a width: one per text, 2 or 1."""
    widths = [0.6 + 0.075 * len(text) for text in texts]  # of the marker and of the characters
    if sum(widths) <= inches:
        return len(texts)
    return 2 if len(texts) > 2 and 2 * max(widths) <= inches else 1


def heatmap_height(n_rows):
    """Return the height of a heat map in inches: readable rows up to 40, thin ones beyond, up to a limit."""
    named = min(n_rows, MAX_NAMED_ROWS)
    return 1.4 + 0.26 * named + min(0.02 * (n_rows - named), 4)


def draw_heatmap(ax, values, names, cmap, **kwargs):
    """Draw values in [0, 1], one row per name, and return the image; with more than 80 rows only some are named."""
    cmap = import_pyplot().get_cmap(cmap).with_extremes(bad="0.85")
    image = ax.imshow(values, cmap=cmap, vmin=0, vmax=1, aspect="auto", interpolation="nearest", **kwargs)
    step = 1 if len(names) <= _MAX_SMALL_NAMES else math.ceil(len(names) / MAX_NAMED_ROWS)
    ax.set_yticks(range(0, len(names), step), names[::step], fontsize=9 if len(names) <= MAX_NAMED_ROWS else 7)
    return image


def add_colorbar(image, n_rows):
    """Add a narrow color bar with the height of the heat map."""
    ax = image.axes
    return ax.figure.colorbar(image, ax=ax, fraction=0.05, pad=0.03, aspect=np.clip(1.2 * n_rows, 12, 45))


def write_values(image, values):
    """Write the values of a heat map into its cells, in black on light and in white on dark cells."""
    texts = np.empty(values.shape, dtype=object)
    colors = image.cmap(image.norm(values))
    for i, j in product(*map(range, values.shape)):
        color = "white" if colors[i, j, :3] @ (0.3, 0.59, 0.11) < 0.5 else "black"
        text = "-" if values[i, j] is np.ma.masked else f"{values[i, j]:.2f}"
        texts[i, j] = image.axes.text(j, i, text, ha="center", va="center", color=color, fontsize=8)
    return texts


def shorten(label, limit=30):
    """Return a label as text of at most `limit` characters."""
    text = str(label)
    return text if len(text) <= limit else text[: limit - 1] + "…"
