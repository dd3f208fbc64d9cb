"""From the parameters of an ELSA estimator to its training."""

import numpy as np

from sksparse_rec._numerics import products_torch
from sksparse_rec._numerics.calibration import calibrate
from sksparse_rec._numerics.device import has_bfloat16, resolve_device
from sksparse_rec._numerics.elsa import start_dense, start_from_anchors, train
from sksparse_rec._numerics.losses import cheaper_linear_loss
from sksparse_rec._numerics.pruning import SparsitySchedule
from sksparse_rec._numerics.rows import SparseRows, products_of
from sksparse_rec._numerics.state import PRECISIONS, Setting, TrainingState
from sksparse_rec._numerics.threads import thread_count
from sksparse_rec._sparse import scale_columns
from sksparse_rec.models._resources import thread_count_for

# Non-zeros at the start, in multiples of the target, when training from anchors: up to
# ``LARGE_CATALOGUE`` items and beyond, where they cost most and bring least.
START_FACTOR, LARGE_START_FACTOR = 3, 2
LARGE_CATALOGUE = 1 << 15
# At most so many, this share of the components, or this multiple of the target,
# whichever is most: rows that start nearly dense rank no better for it.
WIDE_START, WIDE_SHARE, WIDE_FACTOR = 256, 1 / 2, 1.5
# Users a step: at least, at most, and for a large catalogue a share of its items.
BATCH_SIZES, BATCH_SHARE = (512, 8192), 16
# Steps that an epoch has at least, unless there are too few users.
STEPS_AN_EPOCH = 12


def is_warm(estimator):
    """Whether ``fit`` goes on from the fitted model."""
    return estimator.warm_start and hasattr(estimator, "item_embeddings_")


def batch_size_of(estimator, n_users, n_items):
    """Return the users of a step.

    A step costs n_items × n_nonzero² beside what it costs for its users, so "auto"
    lets more of them share that on a large catalogue.
    """
    if estimator.batch_size != "auto":
        return int(estimator.batch_size)
    smallest, largest = BATCH_SIZES
    size = min(n_items // BATCH_SHARE, n_users // STEPS_AN_EPOCH)
    return min(largest, max(smallest, 2 ** (size.bit_length() - 1)))


def setting_of(estimator, n_users, n_items):
    """Return what the numerical layer needs to know for a step."""
    batch_size = batch_size_of(estimator, n_users, n_items)
    dtype, half = PRECISIONS[estimator.precision]
    device = resolve_device(estimator.device)
    return Setting(
        loss=_loss_of(estimator, min(batch_size, n_users), n_items),
        batch_size=batch_size,
        learning_rate=estimator.learning_rate,
        n_decay_epochs=estimator.max_iter if estimator.learning_rate_decay else None,
        dropout=estimator.dropout,
        max_output=estimator.max_output,
        dtype=dtype,
        device=device,
        half=has_bfloat16(device) if half is None else half,
    )


def _loss_of(estimator, n_users, n_items):
    if estimator.loss != "auto":
        return estimator.loss
    schedule, m = schedule_of(estimator, n_items), estimator.n_components
    if estimator.init == "dense" and schedule is not None and schedule.target < m:
        return "relu"
    width = m if schedule is None else schedule.start
    return cheaper_linear_loss(n_users, n_items, m, width)


def starts_at_anchors(estimator):
    """Whether training starts from anchors; dense ELSA has none."""
    return estimator.init == "anchors" and estimator.n_nonzero is not None


def schedule_of(estimator, n_items):
    """Return the sparsity schedule, or None for dense ELSA."""
    if estimator.n_nonzero is None:
        return None
    target = min(estimator.n_nonzero, estimator.n_components)
    anchored = starts_at_anchors(estimator)
    start = estimator.n_nonzero_start
    if start is None and anchored:
        factor = START_FACTOR if n_items <= LARGE_CATALOGUE else LARGE_START_FACTOR
        wide = max(WIDE_START, int(WIDE_SHARE * estimator.n_components))
        start = narrowed(factor * target, target, wide)
    elif start is None:
        start = estimator.n_components
    return SparsitySchedule(
        pruning=estimator.pruning,
        n_epochs=round(estimator.pruning_share * estimator.max_iter),
        start=max(target, min(start, estimator.n_components)),
        target=target,
        rewind=not anchored if estimator.rewind == "auto" else estimator.rewind,
    )


def narrowed(start, target, wide):
    """Return a start of at most ``wide`` or ``WIDE_FACTOR`` targets, the larger."""
    return min(start, max(wide, int(WIDE_FACTOR * target)))


def n_threads_of(estimator, X):
    """Return the threads of a training."""
    n_users = min(batch_size_of(estimator, *X.shape), X.shape[0])
    n_components = estimator.n_components
    work = n_users * n_components * min(n_components, X.shape[1])
    return thread_count_for(estimator.n_jobs, work)


def start_state(estimator, X, popularity, generator):
    """Return the state before training, and the anchors (-1 where there is none)."""
    setting = setting_of(estimator, *X.shape)
    schedule = schedule_of(estimator, X.shape[1])
    n_components = estimator.n_components
    anchors = np.full(n_components, -1)
    if starts_at_anchors(estimator):
        with thread_count(n_threads_of(estimator, X)):
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


def train_state(
    estimator, X, state, schedule, n_epochs, generator, *, n_threads=None, **options
):
    """Train in place; return the losses of the epochs and the number of steps.

    ``n_threads`` is what ``n_threads_of`` says if None. ``options`` are those of
    ``elsa.train``.
    """
    n_threads = n_threads_of(estimator, X) if n_threads is None else n_threads
    with thread_count(*_thread_counts(n_threads, state.rows)):
        setting = setting_of(estimator, *X.shape)
        return train(X, state, setting, schedule, n_epochs, generator, **options)


def calibrate_items(estimator, X, X_held_out, embeddings, item_weights):
    """Return the slopes and intercepts of ``calibration.calibrate``."""
    X, X_held_out = (scale_columns(part, item_weights) for part in (X, X_held_out))
    with thread_count(n_threads_of(estimator, X)):
        return calibrate(X, X_held_out, embeddings)


def _thread_counts(n_threads, rows):
    """Threads of the training, and of torch within it.

    Compiled products bring threads of their own, and torch's would only wait beside
    them. Dense rows, from which training starts, are torch's work.
    """
    if isinstance(rows, SparseRows) and products_of(rows.values) is not products_torch:
        return n_threads, 1
    return n_threads, n_threads
