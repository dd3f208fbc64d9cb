"""From the parameters of an ELSA estimator to its training, and its callbacks."""

import logging

import numpy as np
from joblib import effective_n_jobs

from sksparse_rec._numerics.device import resolve_device, thread_count
from sksparse_rec._numerics.elsa import (
    DTYPES,
    Setting,
    TrainingState,
    start_dense,
    start_from_anchors,
    train,
)
from sksparse_rec._numerics.pruning import SparsitySchedule

logger = logging.getLogger("sksparse_rec")

# Multiplications of a step below which a second thread costs more than it brings.
WORTH_THREADS = 10**8
# Non-zeros at the start, in multiples of the target, when training from anchors.
START_FACTOR = 3


def setting_of(estimator):
    """Return what the numerical layer needs to know for a step."""
    loss = estimator.loss
    if loss == "auto":
        n_nonzero = estimator.n_nonzero or estimator.n_components
        pruned = estimator.init == "dense" and n_nonzero < estimator.n_components
        loss = "relu" if pruned else "gram"
    return Setting(
        loss=loss,
        batch_size=estimator.batch_size,
        learning_rate=estimator.learning_rate,
        n_decay_epochs=estimator.max_iter if estimator.learning_rate_decay else None,
        dropout=estimator.dropout,
        max_output=estimator.max_output,
        dtype=DTYPES[estimator.precision],
        device=resolve_device(estimator.device),
    )


def starts_at_anchors(estimator):
    """Whether training starts from anchors; dense ELSA has none."""
    return estimator.init == "anchors" and estimator.n_nonzero is not None


def schedule_of(estimator):
    """Return the sparsity schedule, or None for dense ELSA."""
    if estimator.n_nonzero is None:
        return None
    target = min(estimator.n_nonzero, estimator.n_components)
    anchored = starts_at_anchors(estimator)
    start = estimator.n_nonzero_start
    if start is None:
        start = START_FACTOR * target if anchored else estimator.n_components
    return SparsitySchedule(
        pruning=estimator.pruning,
        n_epochs=round(estimator.pruning_share * estimator.max_iter),
        start=max(target, min(start, estimator.n_components)),
        target=target,
        rewind=not anchored if estimator.rewind == "auto" else estimator.rewind,
    )


def start_state(estimator, X, popularity, generator):
    """Return the state before training, and the anchors (-1 where there is none)."""
    setting, schedule = setting_of(estimator), schedule_of(estimator)
    n_components = estimator.n_components
    anchors = np.full(n_components, -1)
    if starts_at_anchors(estimator):
        rows, drawn = start_from_anchors(
            X,
            popularity,
            n_components=n_components,
            n_nonzero=schedule.start if schedule.n_epochs else schedule.target,
            user_weighting=estimator.user_weighting,
            setting=setting,
            generator=generator,
        )
        anchors[: len(drawn)] = drawn
    else:
        rows = start_dense(
            popularity,
            n_components=n_components,
            setting=setting,
            generator=generator,
        )
    rewind = schedule is not None and schedule.rewind
    return TrainingState.start(rows, keep_initial=rewind), anchors


def train_state(estimator, X, state, n_epochs, generator, epochs=None):
    """Train in place; return the losses of the epochs and the number of steps."""
    with thread_count(_n_threads(estimator, X)):
        return train(
            X,
            state,
            setting_of(estimator),
            schedule_of(estimator),
            n_epochs,
            generator,
            on_epoch_begin=None if epochs is None else epochs.begin,
            on_epoch_end=None if epochs is None else epochs.end,
        )


def item_popularity(X):
    """Return the number of users of every item, int64."""
    return np.bincount(X.indices, minlength=X.shape[1]).astype(np.int64)


class EpochCallbacks:
    """Reports every epoch to scikit-learn's callbacks and to the log.

    ``data`` are the keyword arguments X and y of the callbacks, ``attributes`` makes
    the fitted attributes of this moment if a callback asks for them.
    """

    def __init__(self, estimator, context, data, attributes):
        self.estimator, self.context = estimator, context
        self.data, self.attributes = data, attributes

    def begin(self, epoch):
        """Announce an epoch."""
        self.epoch = self.context.subcontext(task_name="epoch")
        self.epoch.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def end(self, epoch, loss):
        """Report an epoch; return whether a callback wants to stop."""
        if self.estimator.verbose:
            n_epochs = self.estimator.max_iter
            logger.info("epoch %d of %d: loss %.4f", epoch + 1, n_epochs, loss)
        return self.epoch.call_on_fit_task_end(
            estimator=self.estimator,
            reconstruction_attributes=self.attributes,
            **self.data,
        )


def _n_threads(estimator, X):
    if estimator.n_jobs is not None:
        return effective_n_jobs(estimator.n_jobs)
    n_users = min(estimator.batch_size, X.shape[0])
    n_components = estimator.n_components
    work = n_users * n_components * min(n_components, X.shape[1])
    return None if work > WORTH_THREADS else 1
