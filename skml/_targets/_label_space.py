"""The label space of a fit: that of ``y``, the one a user names, or that of the earlier fit."""

from skml._targets._encoder import TargetEncoder
from skml._targets._labels import label_space


def encoder_for_fit(y, classes, given, known=None, needs_classes=False):
    """Return the encoder that reads ``y`` in a fit.

    Parameters
    ----------
    y : any form of target
    classes : array-like of shape (n_labels,) or None
        What ``partial_fit`` got.
    given : array-like of shape (n_labels,) or None
        The parameter of the estimator; it must name the same labels.
    known : TargetEncoder, default=None
        That of the earlier fit, where training goes on; its label space may grow or shrink.
    needs_classes : bool, default=False
        Whether labels may be missing from this ``y``, so that only columns can tell the label space.
    """
    if classes is not None and given is not None and label_space(classes) != label_space(given):
        raise ValueError(f"classes={classes!r} differs from the parameter classes={given!r}. Change it by set_params.")
    classes = given if classes is None else classes
    if known is not None:
        return known if classes is None or known.has_label_space(classes) else known.with_label_space(classes)
    encoder = TargetEncoder(classes).fit(y)
    if needs_classes and classes is None and encoder.form_ in ("single", "collections"):
        raise ValueError("classes must be passed on the first call to partial_fit: a label may be missing from this y.")
    return encoder
