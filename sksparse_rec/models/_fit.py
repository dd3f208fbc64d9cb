"""One call of ``fit``: start or go on, watch held-out users, leave checkpoints."""

from copy import copy
from dataclasses import dataclass, field

import numpy as np
from sklearn import get_config

from sksparse_rec._numerics.device import (
    generator_state,
    make_generator,
    restore_generator,
)
from sksparse_rec._numerics.elsa import admit_items
from sksparse_rec._numerics.state import TrainingState
from sksparse_rec._sparse import is_mapped
from sksparse_rec.models._checkpoint import Checkpoint
from sksparse_rec.models._epochs import EpochReports, logger
from sksparse_rec.models._popularity import (
    item_popularity,
    item_slopes,
    item_weights,
)
from sksparse_rec.models._resources import draw_seed
from sksparse_rec.models._training import (
    calibrate_items,
    is_warm,
    schedule_of,
    setting_of,
    start_state,
    train_state,
)

# Parameters that hold users out of the training.
HOLD_OUT = ("early_stopping", "calibration")


@dataclass
class Progress:
    """What a training remembers of its epochs."""

    losses: list = field(default_factory=list)
    scores: list = field(default_factory=list)
    best_epoch: int = -1
    best: TrainingState | None = None


class FitRun:
    """The training of one ``fit``, from its checkpoint if there is one.

    Parameters
    ----------
    estimator : CompressedELSA
        Its fitted attributes are read for a warm start, and nothing is set.
    X : csr_array of shape (n_users, n_items)
    y : object
        Callbacks get it.
    """

    def __init__(self, estimator, X, y):
        _check_weightings(estimator, estimator.calibration)
        self.estimator, self.X, self.y = estimator, X, y
        self.schedule = schedule_of(estimator, X.shape[1])
        self.is_warm = is_warm(estimator)
        if self.is_warm:
            self.schedule = _warm_schedule(estimator, self.schedule)
        self.seed = draw_seed(estimator.random_state)
        known = None if estimator.random_state is None else self.seed
        self.checkpoint = Checkpoint.of(estimator, X, known)
        saved = self.checkpoint and self.checkpoint.load()
        if saved:
            self.seed = saved[1]["seed"]
        self.X_train, self.X_held_out = hold_out(estimator, X, self.seed)
        self.setting = setting_of(estimator, *self.X_train.shape)
        self.popularity = item_popularity(self.X_train)
        self.item_weights = item_weights(estimator, self.popularity)
        # A warm start shuffles in its own way.
        n_steps = estimator.n_steps_ if self.is_warm else 0
        self.generator = make_generator(self.seed + n_steps)
        self.progress = Progress()
        if saved:
            self._resume(*saved)
        else:
            self.state, self.anchors = self._start()
        self.n_epochs_left = estimator.max_iter - self.state.n_epochs

    def run(self):
        """Train, and return the fitted attributes by name."""
        estimator = self.estimator
        self.reports = EpochReports(
            estimator, self.X, self.y, self.n_epochs_left, self.state.n_epochs
        )
        train_state(
            estimator,
            self.X_train,
            self.state,
            self.schedule,
            self.n_epochs_left,
            self.generator,
            item_weights=self.item_weights,
            on_epoch_begin=self.reports.begin,
            on_epoch_end=self._end_epoch,
            after_epoch=self._after_epoch,
        )
        if self.progress.best is not None:
            self.state = self.progress.best
        attributes = self._attributes()
        if estimator.calibration:
            A = attributes["item_embeddings_"]
            slopes, intercepts = calibrate_items(
                estimator, self.X_train, self.X_held_out, A, self.item_weights
            )
            attributes |= {"item_slopes_": slopes, "item_intercepts_": intercepts}
        self.reports.finish(attributes)
        if self.checkpoint:
            self.checkpoint.remove()
        losses, scores = self.progress.losses, self.progress.scores
        n_batches = -(-self.X_train.shape[0] // self.setting.batch_size)
        return attributes | training_attributes(
            self.state, losses, len(losses) * n_batches, scores or None
        )

    def _start(self):
        estimator = self.estimator
        if not self.is_warm:
            return start_state(estimator, self.X_train, self.popularity, self.generator)
        state = TrainingState.from_arrays(estimator._training_state, self.setting)
        state.n_epochs = 0
        admit_items(
            state, self.X_train, self.popularity, self.setting, self.item_weights
        )
        return state, estimator.anchors_

    def _resume(self, arrays, meta):
        scalars = meta["state"]
        of_state, of_best = (_under(name, arrays) for name in ("state", "best"))
        self.state = TrainingState.from_arrays(of_state | scalars, self.setting)
        self.anchors = arrays["anchors"]
        restore_generator(self.generator, arrays["generator"])
        best = meta["best"]
        if best is not None:
            best = TrainingState.from_arrays(of_best | best, self.setting)
        self.progress = Progress(
            meta["losses"], meta["scores"], meta["best_epoch"], best
        )
        logger.info(
            "%s: going on after epoch %d", self.checkpoint.path, self.state.n_epochs
        )

    def _end_epoch(self, epoch, loss):
        """Report an epoch; return whether to stop."""
        progress = self.progress
        progress.losses.append(loss)
        stop = self._is_enough()
        score = progress.scores[-1] if progress.scores else None
        return stop | self.reports.end(loss, self._attributes, score)

    def _is_enough(self):
        """Score the held-out users; tell whether ``n_iter_no_change`` is reached.

        Epochs before the sparsity target are scored at the target and do not count:
        their rows have more entries than they would be left with.
        """
        if not self.estimator.early_stopping:
            return False
        model = copy(self.estimator)
        vars(model).update(self._attributes())
        # The held-out rows have lost their names.
        vars(model).pop("feature_names_in_", None)
        progress = self.progress
        progress.scores.append(float(model.score(self.X_held_out)))
        epoch = len(progress.scores) - 1
        if self.schedule is not None and self.state.rows.width > self.schedule.target:
            return False
        best_score = progress.scores[progress.best_epoch]
        if progress.best is None or progress.scores[-1] > best_score:
            progress.best_epoch, progress.best = epoch, self.state.copy()
        return epoch - progress.best_epoch >= self.estimator.n_iter_no_change

    def _after_epoch(self, stop):
        if self.checkpoint is None or stop:
            return
        arrays, scalars = _split(self.state.to_arrays())
        meta = {
            "seed": self.seed,
            "losses": self.progress.losses,
            "scores": self.progress.scores,
            "best_epoch": self.progress.best_epoch,
            "state": scalars,
            "best": None,
        }
        arrays = _prefixed("state", arrays)
        if self.progress.best is not None:
            best, meta["best"] = _split(self.progress.best.to_arrays())
            arrays |= _prefixed("best", best)
        arrays |= {
            "anchors": self.anchors,
            "generator": generator_state(self.generator),
        }
        self.checkpoint.save(arrays, meta)

    def _attributes(self):
        """Everything that the fitted estimator needs to answer."""
        return fitted_attributes(
            self.estimator, self.state, self.popularity, self.anchors
        )


def train_one_epoch(estimator, X, *, first):
    """Return the fitted attributes after one more epoch, or a first one."""
    was_calibrated = not first and estimator._is_calibrated
    _check_weightings(estimator, estimator.calibration or was_calibrated)
    popularity = item_popularity(X)
    if not first:
        popularity = popularity + estimator.item_popularity_
    weights = item_weights(estimator, popularity)
    n_steps = 0 if first else estimator.n_steps_
    # Every call shuffles in its own way.
    generator = make_generator(draw_seed(estimator.random_state) + n_steps)
    losses = [] if first else list(estimator.loss_curve_)
    if first:
        state, anchors = start_state(estimator, X, popularity, generator)
    else:
        check_goes_on(estimator, "partial_fit", "call fit, which starts over")
        setting, anchors = setting_of(estimator, *X.shape), estimator.anchors_
        state = TrainingState.from_arrays(estimator._training_state, setting)
        admit_items(state, X, popularity, setting, weights)
    schedule = schedule_of(estimator, X.shape[1])
    more_losses, more_steps = train_state(
        estimator, X, state, schedule, 1, generator, item_weights=weights
    )
    attributes = fitted_attributes(estimator, state, popularity, anchors)
    if was_calibrated:
        attributes["item_slopes_"] = estimator.item_slopes_
        attributes["item_intercepts_"] = estimator.item_intercepts_
    return attributes | training_attributes(
        state,
        losses + more_losses,
        n_steps + more_steps,
        None if first else estimator.validation_scores_,
    )


def fitted_attributes(estimator, state, popularity, anchors):
    """Return what the fitted estimator needs to answer, by name."""
    n_nonzero = estimator.n_components
    if estimator.n_nonzero is not None:
        n_nonzero = min(estimator.n_nonzero, n_nonzero)
    return {
        "n_features_in_": estimator.n_features_in_,
        "n_nonzero_": n_nonzero,
        "anchors_": anchors,
        "item_popularity_": popularity,
        "item_embeddings_": state.embeddings(n_nonzero),
        "item_weights_": item_weights(estimator, popularity),
        "item_slopes_": item_slopes(estimator, popularity),
        "item_intercepts_": None,
    }


def training_attributes(state, losses, n_steps, scores=None):
    """Return what a training leaves beside the model, by name."""
    return {
        "loss_curve_": losses,
        "validation_scores_": scores,
        "n_iter_": len(losses),
        "n_steps_": n_steps,
        "_training_state": state.to_arrays(),
    }


def check_goes_on(estimator, what, way_out):
    """Raise if a fitted model cannot go on with the estimator's parameters."""
    n_components = estimator.item_embeddings_.shape[1]
    if estimator.n_components != n_components:
        raise ValueError(
            f"{what} goes on with {n_components} components, but n_components is "
            f"{estimator.n_components}: {way_out}"
        )
    target = estimator.n_nonzero or n_components
    fitted = max(estimator._training_state["width"], estimator.n_nonzero_)
    if min(target, n_components) > fitted:
        raise ValueError(
            f"{what} keeps or lowers the {fitted} non-zeros of the fitted model, but "
            f"n_nonzero is {estimator.n_nonzero}: {way_out}"
        )


def _check_weightings(estimator, is_calibrated):
    if is_calibrated and estimator.popularity_weighting:
        raise ValueError(
            "calibration=True learns how much popularity counts, and "
            f"popularity_weighting={estimator.popularity_weighting} sets it: choose "
            "one, and call fit"
        )


def _warm_schedule(estimator, schedule):
    """Return the schedule that starts from the fitted pattern."""
    check_goes_on(estimator, "warm_start=True", "set warm_start=False to start over")
    width = estimator._training_state["width"]
    # Rows that the data cannot fill are narrower than what was asked for.
    return schedule and schedule._replace(
        start=width, target=min(schedule.target, width), rewind=False
    )


def hold_out(estimator, X, seed):
    """Split off users that are not trained on, where something asks for them."""
    reasons = [name for name in HOLD_OUT if getattr(estimator, name)]
    if not reasons:
        return X, None
    reason = reasons[0]
    n_users = X.shape[0]
    n_held_out = max(1, round(estimator.validation_fraction * n_users))
    if n_held_out >= n_users:
        raise ValueError(
            f"{reason} holds {n_held_out} of {n_users} users out and leaves none "
            f"to train on (n_samples={n_users}): lower validation_fraction="
            f"{estimator.validation_fraction}, or set {reason}=False"
        )
    n_bytes = X.data.nbytes + X.indices.nbytes
    if is_mapped(X) and n_bytes > get_config()["working_memory"] * 2**20:
        raise ValueError(
            f"{reason} copies the users it trains on, and X is a memory-mapped "
            f"matrix of {n_bytes / 2**20:.0f} MiB: set {reason}=False, raise "
            "sklearn.set_config(working_memory=...), or slice X yourself"
        )
    order = np.random.RandomState(seed).permutation(n_users)
    held_out = X[np.sort(order[:n_held_out])]
    # Without such a user calibration is popularity, as nobody confirms more.
    if estimator.early_stopping and not (np.diff(held_out.indptr) > 1).any():
        raise ValueError(
            f"{reason}: none of the {n_held_out} users held out has two items, "
            "one to hide and one to start from: raise validation_fraction="
            f"{estimator.validation_fraction}, or set {reason}=False"
        )
    return X[np.sort(order[n_held_out:])], held_out


def _split(arrays):
    """Split what a state consists of into arrays, and the rest for JSON."""
    of_arrays = {k: v for k, v in arrays.items() if isinstance(v, np.ndarray)}
    return of_arrays, {k: v for k, v in arrays.items() if k not in of_arrays}


def _prefixed(prefix, arrays):
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def _under(prefix, arrays):
    """Return what ``_prefixed`` was given, out of more."""
    start = f"{prefix}."
    return {
        name.removeprefix(start): array
        for name, array in arrays.items()
        if name.startswith(start)
    }
