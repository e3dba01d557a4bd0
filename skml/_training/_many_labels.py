"""What many labels cost, and what a fit says about it before training."""

from skml._default_network._auto import count_weights
from skml._targets._warnings import warn_once

# With more labels, a fit warns of what it will take.
_MAX_LABELS = 10_000

# CPU seconds of one core for an entry of the label matrix, a member and an epoch, training and evaluation together;
# and for a weight and an update.
_SECONDS_PER_ENTRY = 2e-8
_SECONDS_PER_WEIGHT = 5e-10

# Bytes for a logit of a batch (logits, labels, losses and gradients), for a weight with the optimizer's moments, and
# for a held-out probability, which calibration copies.
_BYTES_PER_LOGIT = 40
_BYTES_PER_WEIGHT = 16
_BYTES_PER_PROBABILITY = 12


def warn_of_many_labels(split, architecture, config, n_rows):
    """Warn if the held-out probabilities are too many to keep, and of the cost if there are very many labels.

    Parameters
    ----------
    split : Split
    architecture : Architecture
        ``hidden`` is None for a custom network, and for training that resumes: then there is no estimate.
    config : TrainingConfig
    n_rows : int
        Training rows of an epoch.
    """
    n_samples, n_labels = split.dataset.Y.shape
    if split.is_sampled:
        no_oof = "there is no oof_proba_, and "
        if split.fold is None:
            n_samples, no_oof = len(split.held_out.groups[0]), ""
        warn_once(
            f"The held-out probabilities of {n_samples:,} rows and {n_labels:,} labels are too many to keep: "
            f"{no_oof}thresholds, guarantees and calibration come from {split.n_sampled:,} random rows."
        )
    if n_labels <= _MAX_LABELS or architecture.hidden is None:
        return
    widths = [split.dataset.n_features, *architecture.hidden, n_labels]
    seconds, n_bytes = estimated_cost(n_rows, widths, architecture.n_members, config, split.n_sampled)
    warn_once(
        f"y has {n_labels:,} labels. Training takes up to about {_shown_time(seconds)} of one core ({config.epochs} "
        f"epochs) and {n_bytes / 2**30:.1f} GB of memory, as each row is compared with every label. The packages "
        "omikuji, napkinXC and LibMultiLabel train trees of labels, or linear models, in a small part of that."
    )


def estimated_cost(n_rows, widths, n_members, config, n_held_out=0):
    """Return the CPU seconds of a whole fit and the bytes of memory that it needs, both to within a factor of two.

    Parameters
    ----------
    n_rows : int
        Number of training rows.
    widths : list of int
        Numbers of columns of X, of units of each hidden layer, and of labels.
    n_members : int
    config : TrainingConfig
    n_held_out : int, default=0
        Number of rows whose held-out probabilities are kept.
    """
    entries, n_weights = widths[-1] * n_members, count_weights(widths) * n_members
    n_updates = -(-n_rows // config.batch_size)
    per_epoch = n_rows * entries * _SECONDS_PER_ENTRY + n_updates * n_weights * _SECONDS_PER_WEIGHT
    n_bytes = config.batch_size * entries * _BYTES_PER_LOGIT + n_weights * _BYTES_PER_WEIGHT
    return config.epochs * per_epoch, n_bytes + n_held_out * widths[-1] * _BYTES_PER_PROBABILITY


def _shown_time(seconds):
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} hours"
    return "a minute" if seconds < 90 else f"{round(seconds / 60)} minutes"
