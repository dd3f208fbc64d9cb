"""All levels of sparsity from one training."""

from sklearn.base import clone

from sksparse_rec._numerics.device import copy_generator, make_generator
from sksparse_rec._numerics.elsa import lowered
from sksparse_rec._numerics.jobs import run_jobs, shares_of
from sksparse_rec._validation import (
    Integral,
    Interval,
    check_interactions,
    to_sparse_interface,
    validate_params,
)
from sksparse_rec.models._compressed_elsa import CompressedELSA
from sksparse_rec.models._fit import fitted_attributes, training_attributes
from sksparse_rec.models._levels import sparsity_grid
from sksparse_rec.models._popularity import item_popularity, item_weights
from sksparse_rec.models._resources import draw_seed
from sksparse_rec.models._training import (
    n_threads_of,
    narrowed,
    schedule_of,
    start_state,
    starts_at_anchors,
    train_state,
)

# The common run takes this share of the learning rate, without decay.
COMMON_RATE = 0.5
# Beyond this share of the components rows are narrower at the start than in a fit. They
# cost much to multiply and bring nothing to entries that the run has trained.
WIDE_SHARE = 1 / 8
# Parameters of a single fit that mean nothing on a path.
SINGLE_FIT = ("calibration", "checkpoint", "early_stopping", "warm_start")


def fit_path(estimator, X, levels, *, max_iter_per_level, largest=None):
    """Return a fitted estimator for every level, from one common run.

    The run trains the pattern that the largest level starts from. Every level is a
    copy of what it has come to, which keeps the entries that a fit of the level would
    start with, those of most co-occurrence, and is pruned and trained to convergence,
    as in a fit. Entries that were chosen by trained values from a model that has
    settled at a higher level make worse patterns.

    Levels need nothing of each other and see the same batches. They start in their
    order, several at once, each on a share of the threads.

    Parameters
    ----------
    estimator : CompressedELSA
        Parameters of the training; its ``n_nonzero`` is not used.
    X : csr_array of shape (n_users, n_items)
    levels : sequence of int
        Non-zeros, descending.
    max_iter_per_level : int
        Epochs of a copy; the run takes what they leave of ``max_iter``.
    largest : int, default=None
        The level of the run; ``levels[0]`` if None.

    Returns
    -------
    models : list of CompressedELSA
    """
    _check_is_no_single_fit(estimator)
    levels = [int(level) for level in levels]
    largest = levels[0] if largest is None else int(largest)
    run = _at_level(estimator, largest, X.shape[1]).set_params(
        learning_rate=COMMON_RATE * estimator.learning_rate,
        learning_rate_decay=False,
    )
    generator = make_generator(draw_seed(estimator.random_state))
    popularity = item_popularity(X)
    state, anchors = start_state(run, X, popularity, generator)
    # What levels lose entries by; nothing is ever rewound.
    state.initial = state.rows.values.clone()
    n_epochs = max(0, estimator.max_iter - max_iter_per_level)
    weights = item_weights(run, popularity)
    train_state(run, X, state, None, n_epochs, generator, item_weights=weights)
    models = [_at_level(estimator, level, X.shape[1]) for level in levels]
    n_threads = n_threads_of(estimator, X)
    shares = _shares(levels, n_threads, state.rows.values.device)

    def train_level(number, check):
        model = models[number].set_params(max_iter=max_iter_per_level)
        settled, losses, n_steps = _settle(
            model,
            X,
            state,
            copy_generator(generator),
            n_threads=shares[number],
            item_weights=weights,
            before_step=check,
        )
        # partial_fit goes on as after a fit, with small steps.
        settled.n_epochs = estimator.max_iter
        model.n_features_in_ = X.shape[1]
        vars(model).update(
            fitted_attributes(model, settled, popularity, anchors)
            | training_attributes(settled, losses, n_steps)
        )
        # The model tells what was asked for, not what the path made of it.
        model.set_params(
            max_iter=estimator.max_iter, n_nonzero_start=estimator.n_nonzero_start
        )

    run_jobs(train_level, shares, n_threads)
    return models


def _at_level(estimator, level, n_items):
    """Return a clone that trains a level of the path."""
    model = clone(estimator).set_params(n_nonzero=level)
    if starts_at_anchors(model) and model.n_nonzero_start is None:
        start = schedule_of(model, n_items).start
        wide = int(WIDE_SHARE * model.n_components)
        model.set_params(n_nonzero_start=narrowed(start, level, wide))
    return model


def _check_is_no_single_fit(estimator):
    for name in SINGLE_FIT:
        if getattr(estimator, name):
            raise ValueError(
                f"{name}={getattr(estimator, name)!r} belongs to a single fit: a path "
                "trains several models at once, so leave it out"
            )


def _shares(levels, n_threads, device):
    """Return the threads that each level is trained with."""
    if device.type != "cpu":
        # A level keeps an accelerator busy, and several would need the memory at once.
        return [n_threads] * len(levels)
    return shares_of(levels, n_threads)


def _settle(model, X, state, generator, **options):
    """Prune and train a copy of a state; return it, its losses and number of steps."""
    schedule = schedule_of(model, X.shape[1])
    width = state.rows.width
    if starts_at_anchors(model):
        width = schedule.start if schedule.n_epochs else schedule.target
    settled = lowered(state, width)
    settled.n_epochs = 0
    schedule = schedule._replace(start=settled.rows.width, rewind=False)
    training = train_state(
        model, X, settled, schedule, model.max_iter, generator, **options
    )
    return settled, *training


@validate_params(
    {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "n_nonzero": ["array-like"],
        "max_iter_per_level": [Interval(Integral, 1, None, closed="left")],
    },
    prefer_skip_nested_validation=False,
)
def compressed_elsa_path(
    X,
    *,
    n_components=1024,
    n_nonzero=(256, 128, 64, 32, 16, 8),
    max_iter_per_level=6,
    **params,
):
    """Train item embeddings for several levels of sparsity from one common run.

    The run trains what all levels share. Every level starts from a copy of it with
    fewer entries and is trained to convergence, several levels at once, which takes
    less than twice the time of the largest level alone on two cores. Use it to compare
    the levels in a way of your own; `CompressedELSACV` scores them on held-out users
    and chooses one.

    Parameters
    ----------
    X : {array-like, sparse matrix, DataFrame} of shape (n_users, n_items)
        Non-negative interactions: ones, counts or ratings.
    n_components : int, default=1024
        Width of the embeddings; see `CompressedELSA`. Levels above it are clipped to
        it.
    n_nonzero : sequence of int, default=(256, 128, 64, 32, 16, 8)
        Non-zeros of an item, the levels, in any order. A level does not depend on the
        others, but for the largest one, which the common run is made for. Halving
        steps are a good choice.
    max_iter_per_level : int, default=6
        Epochs that a level is trained for by itself. The common run takes what they
        leave of ``max_iter``. Raise it if low levels are worse than `CompressedELSA`
        at the same ``n_nonzero``.
    **params : dict
        Other parameters of `CompressedELSA`, such as ``max_iter``, ``batch_size`` or
        ``random_state``; not those of a single fit: ``early_stopping``,
        ``calibration``, ``warm_start``, ``checkpoint``. ``n_nonzero_start=None`` is
        less than there for wide levels: beyond an eighth of ``n_components`` one and a
        half times the level at most. ``rewind``,
        ``popularity_weighting`` and ``verbose`` have no effect, and with
        ``item_weighting`` profiles have to be weighted as `CompressedELSA` does.

    Returns
    -------
    list of sparse matrix or array of shape (n_items, n_components)
        Item embeddings in the order of ``n_nonzero``: CSR, float32, rows of unit
        length; those of ``path[i]`` have at most ``n_nonzero[i]`` non-zeros.

    Raises
    ------
    ValueError
        If ``X`` is empty or has negative, NaN or infinite values, a level is not a
        positive integer, or a parameter is out of its range or belongs to a single fit.
    TypeError
        If `CompressedELSA` has no such parameter.
    FloatingPointError
        If the loss becomes infinite or NaN.

    See Also
    --------
    CompressedELSA : One level.
    CompressedELSACV : Chooses a level.

    Notes
    -----
    Time is that of ``max_iter`` epochs of `CompressedELSA` at the largest level and
    ``max_iter_per_level`` at each of the others. The pairs of non-zeros of an item are
    what makes a step expensive, O(n_items × n_nonzero²), up to where a dense product
    costs less, and halving the level quarters their number, so all lower levels
    together compute about as much as the largest one. The term
    O(batch_size × n_components²) of a step does not shrink.

    On a CPU every level takes a share of the threads in proportion to ``n_nonzero``,
    one at least, and as many levels are trained at once as there are threads for: that
    uses them better than one level on all of them. On two cores the default levels
    took 1.3 to 1.8 times a fit at the largest one on five data sets; with
    ``n_jobs=1``, which trains them one after the other, 1.6 to 2.6. A GPU trains one
    after the other as well. Models do not depend on the number of threads but for
    rounding.

    Memory is that of the common run and of each level in training, as of fits of their
    sizes, beside the models of all levels, O(n_items × sum(n_nonzero)): with two
    threads 1.6 to 1.9 times that of a fit at the largest level. Fewer ``n_jobs`` train
    fewer levels at once.

    Levels rank as well as fits of their own: on five data sets nDCG@100 was between
    0.8 % below and 3 % above them, and 10 % above at 256 non-zeros on the smallest.

    References
    ----------
    "Efficient Learning of Sparse Representations from Interactions", WWW 2026,
    arXiv:2602.09935: Compressed ELSA, which loses non-zeros while it trains. To train
    all levels in one run is this package's own.

    Examples
    --------
    >>> from sksparse_rec import compressed_elsa_path
    >>> from sksparse_rec.datasets import make_interactions
    >>> X = make_interactions(300, 100, 3000, random_state=0)
    >>> path = compressed_elsa_path(
    ...     X, n_components=64, n_nonzero=[16, 8, 4], random_state=0
    ... )
    >>> [A.nnz // 100 for A in path]
    [16, 8, 4]
    """
    levels = sparsity_grid(n_nonzero, n_components)
    estimator = CompressedELSA(n_components, **params)
    estimator._validate_params()
    X = check_interactions(X, estimator=estimator, reset=True)
    models = fit_path(estimator, X, levels, max_iter_per_level=max_iter_per_level)
    by_level = dict(zip(levels.tolist(), models, strict=True))
    return [
        to_sparse_interface(by_level[min(level, n_components)].item_embeddings_)
        for level in map(int, n_nonzero)
    ]
