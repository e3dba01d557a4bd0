"""What a call of fit does: it reads, trains, keeps and tunes."""

import copy
import dataclasses
import warnings
from functools import partial

import numpy as np
from sklearn.utils import check_random_state

from skml._constraints import OF_DEFAULT_NETWORK
from skml._decisions._rule import check_can_be_tuned, check_can_calibrate, decision_rule, is_rule_name
from skml._decisions._tuning import TunedThresholds, threshold_of_new_label
from skml._default_network._network import open_interval
from skml._fitted import FittedClassifier
from skml._keras._environment import check_can_train
from skml._targets._encoder import encoder_for_fit
from skml._targets._forms import check_rows
from skml._targets._labels import format_some
from skml._training._dataset import check_given, check_X, read_examples, read_watched
from skml._training._fit import Fit, restore_on_error
from skml._training._sklearn_callbacks import FitTask, has_callbacks, with_callbacks


class FittingClassifier(FittedClassifier):
    """The half of `KerasMultiLabelClassifier` that fits.

    `_fit` is the table of contents; what is trained and how is up to `Fit`.
    """

    def _fit(self, X, y, sample_weight, *, goes_on, classes=None, X_val=None, y_val=None, one_epoch=False):
        earlier = vars(self).get("_trained") if goes_on else None
        with restore_on_error(self):
            self._validate_params()
            self._check_routed()
            self._check_default_network(OF_DEFAULT_NETWORK)
            check_can_train()
            seen = {"X": X, "y": y, "sample_weight": sample_weight}
            X = check_X(self, X, reset=earlier is None)
            check_rows(X, y)
            encoder = encoder_for_fit(y, classes, self.classes, self.target_encoder_ if earlier else None, one_epoch)
            decision_rule(encoder, self.threshold, self.min_labels, self.max_labels)  # refused before training
            examples, class_weight = read_examples(X, y, sample_weight, self.class_weight, encoder)
            given = None
            if check_given(X_val, y_val, self.early_stopping):
                examples, given = read_watched(check_X(self, X_val), y_val, encoder, examples, class_weight)
            fit = self._start(encoder, class_weight, earlier, one_epoch)
            parts = self._train(fit, examples, given, seen)
            if is_rule_name(self.threshold) and not parts.has_held_out:
                self._warn_of_old_threshold(fit.new_labels)
        return self

    @with_callbacks  # inside what undoes a failed fit: it ends what a callback has started
    def _train(self, fit, examples, given, seen):
        """Train, and set the fitted attributes; return which rows did."""
        recipe = fit.recipe(examples)
        size = fit.size(examples, recipe)
        parts = fit.split(examples, given, size)
        check_can_calibrate(self.calibrate, parts.has_held_out)
        check_can_be_tuned(self.threshold, parts.has_held_out, self._tuned.previous() if fit.earlier else ())
        for name in ("_rebuilt_model", "oof_proba_"):
            vars(self).pop(name, None)
        length, task = fit.budget(examples, parts), None
        if has_callbacks(self) and not fit.one_epoch:
            task = FitTask(
                self, **seen, n_epochs=length.epochs, attributes=partial(self._attributes_after_epoch, fit, parts)
            )
        self._keep(fit, fit.train(examples, parts, recipe, size, length, task))
        self._tune(fit, parts)
        if task is not None:
            task.end()
        return parts

    def _attributes_after_epoch(self, fit, parts, trained):
        """Return the attributes that this estimator will have if training stops now."""
        twin, fit = copy.copy(self), dataclasses.replace(fit, random_state=copy.deepcopy(fit.random_state))
        twin._keep(fit, trained)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a guarantee that more epochs may keep
            twin._tune(fit, parts)
        return vars(twin)

    def _start(self, encoder, class_weight, earlier, one_epoch):
        if earlier is None:
            rng = np.random.RandomState(check_random_state(self.random_state).randint(2**31 - 1))
        else:
            rng = copy.deepcopy(earlier.random_state)
        columns = None if earlier is None else encoder.columns_in(self.target_encoder_)
        n_features = getattr(self, "n_features_in_", None)
        return Fit(self.get_params(deep=False), encoder, class_weight, n_features, earlier, columns, one_epoch, rng)

    def _keep(self, fit, trained):
        """Set the fitted attributes."""
        self.history_, self.n_iter_, self.kept_epoch_ = trained.history, trained.n_iter, trained.kept_epoch
        self.target_encoder_, self.classes_ = fit.encoder, fit.encoder.classes_
        self.callbacks_ = trained.callbacks
        self._trained = dataclasses.replace(trained, callbacks=[])
        self._keeps_slots = fit.one_epoch or self.warm_start

    def _tune(self, fit, parts):
        """Keep the probabilities of rows that no network, or not all members, learned from, and tune on them."""
        if not parts.has_held_out:
            self._tuned = self._tuned.previous(fit.columns) if fit.earlier else TunedThresholds()
            return
        examples, proba = parts.held_out_predictions(self._network, fit.random_state)
        if self.model is None:
            network, proba = self._network.calibrated(examples.Y, proba, self.calibrate, examples.sample_weight)
            self._trained = dataclasses.replace(self._trained, network=network)
        proba = open_interval(proba)
        if parts.fold is not None and examples.n_samples == parts.examples.n_samples:
            self.oof_proba_ = fit.encoder.class_columns(proba)
        self._tuned = TunedThresholds(examples.Y, proba, examples.sample_weight)
        if is_rule_name(self.threshold):
            self._tuned[self.threshold]  # found now, so that it is pickled

    def _warn_of_old_threshold(self, new_labels):
        of_new = ""
        if new_labels and np.ndim(self._tuned[self.threshold]):
            new = threshold_of_new_label(self.threshold)
            of_new = f" For the new labels it is {new}: {format_some(new_labels, len(self.classes_))}."
        message = (
            f"threshold={self.threshold!r} was tuned by an earlier fit, and this training had no rows to tune "
            f"it on: it may no longer be the best.{of_new} Call fit, or tune it on new rows by "
            "TunedThresholdMultiLabelClassifierCV(clf, cv='prefit', refit=False)."
        )
        warnings.warn(message, stacklevel=4)  # the caller of partial_fit
