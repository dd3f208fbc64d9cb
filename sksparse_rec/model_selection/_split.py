"""Hold-out of a part of every user's interactions."""

import numbers
import secrets

import numpy as np
import scipy.sparse as sp

from sksparse_rec._sparse import look_up, places_in_rows, row_indices
from sksparse_rec._validation import (
    Integral,
    Interval,
    Real,
    check_interactions,
    to_sparse_interface,
    validate_params,
)

# What holdout_split and everything that calls it accept, for validate_params.
SPLIT_CONSTRAINTS = {
    "test_share": [Interval(Real, 0, 1, closed="neither")],
    "test_count": [Interval(Integral, 1, None, closed="left"), None],
    "min_history": [Interval(Integral, 0, None, closed="left")],
}


@validate_params(
    {
        "X": ["array-like", "sparse matrix"],
        **SPLIT_CONSTRAINTS,
        "timestamps": ["array-like", "sparse matrix", None],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def holdout_split(
    X,
    *,
    test_share=0.2,
    test_count=None,
    timestamps=None,
    min_history=1,
    random_state=None,
):
    r"""Split every user's interactions into a history and held-out targets.

    Use it to evaluate a recommender on users it was not trained on (strong
    generalisation): fit on some users, split the others, recommend from their
    histories and score against their targets. `RankingScorer` does this inside
    `sklearn.model_selection.GridSearchCV`.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_users, n_items)
        Interactions: non-negative and finite. Duplicates are summed, explicit zeros
        ignored.
    test_share : float, default=0.2
        Share of each user's items to hide, between 0 and 1, rounded up as
        `sklearn.model_selection.train_test_split` does. A fifth is what papers on
        autoencoders hide.
    test_count : int, default=None
        Number of each user's items to hide, in place of ``test_share``; 1 is
        leave-one-out.
    timestamps : {array-like, sparse matrix} of shape (n_users, n_items), default=None
        Hide the latest items instead of random ones: the time of each interaction, as
        a number. A sparse matrix must store one for every interaction of ``X``, zeros
        included; other entries are ignored. Prefer it where it is known, since a
        random hold-out lets a model look into the future.
    min_history : int, default=1
        Fewer items are hidden where fewer than ``min_history`` would remain. Users
        with no more items than that keep them all and get no targets; metrics leave
        them out. Raise it to judge only users with some history, and set it to 0 to
        judge users without any too.
    random_state : int, RandomState instance or None, default=None
        Choice of the hidden items; with ``timestamps``, of those among items of the
        same time. Pass an int for reproducible splits. None takes a fresh seed from
        the operating system and leaves numpy's global generator alone.

    Returns
    -------
    X_history : sparse matrix of shape (n_users, n_items)
        CSR of the interactions to recommend from, with the values of ``X``, and of its
        dtype unless that is too narrow for a sum of duplicates.
    X_targets : sparse matrix of shape (n_users, n_items)
        CSR of the hidden interactions. Together with ``X_history`` it is ``X``.

    Raises
    ------
    ValueError
        If ``X`` is empty or has negative, NaN or infinite values, or if
        ``timestamps`` lacks an interaction, holds one twice, or has another shape.

    See Also
    --------
    make_ranking_scorer : Splits and scores inside a grid search.
    sklearn.model_selection.KFold : Splits users instead of their items.

    Notes
    -----
    Of the :math:`n_u` items of user u, the number hidden is

    .. math::

        h_u = \min\big(\lceil \mathrm{test\_share} \cdot n_u \rceil,\;
                       \max(0, n_u - \mathrm{min\_history})\big).

    The choice depends on the seed and on the items of the row, and neither on the
    row's position nor on other rows: permuting the users, taking some of them, or
    cutting them into folds hides the same items of the same user, so candidates of a
    search are compared on the same targets. Each item gets a pseudo-random 64-bit key
    from the seed, a hash of all items of the row and its own number; the smallest keys
    are hidden. Users with the same items have the same items hidden.

    Cost: O(nnz log nnz) time and O(nnz) memory.

    References
    ----------
    Liang, Krishnan, Hoffman and Jebara, "Variational Autoencoders for Collaborative
    Filtering", WWW 2018: strong generalisation. Steele, Lea and Flood, "Fast
    splittable pseudorandom number generators", OOPSLA 2014: the hash.

    Examples
    --------
    >>> import numpy as np
    >>> from sksparse_rec.model_selection import holdout_split
    >>> X = np.array([[1, 1, 1, 1, 1], [1, 0, 0, 0, 0], [0, 1, 0, 1, 0]])
    >>> X_history, X_targets = holdout_split(X, random_state=0)
    >>> X_history.shape, X_targets.shape
    ((3, 5), (3, 5))
    >>> np.diff(X_targets.indptr)
    array([1, 0, 1]...)

    Hide the two latest items of every user:

    >>> timestamps = np.array([[5, 4, 3, 2, 1], [1, 0, 0, 0, 0], [0, 7, 0, 9, 0]])
    >>> _, X_targets = holdout_split(X, test_count=2, timestamps=timestamps)
    >>> X_targets.toarray()
    array([[1, 1, 0, 0, 0],
           [0, 0, 0, 0, 0],
           [0, 0, 0, 1, 0]])
    """
    X = _read_interactions(X)
    lengths = np.diff(X.indptr).astype(np.int64)
    wanted = test_count
    if wanted is None:
        # 0.07 * 100 is 7.000000000000001, and 7 is meant.
        wanted = np.ceil(test_share * lengths - 1e-9).astype(np.int64)
    n_hidden = np.minimum(wanted, np.maximum(lengths - min_history, 0))
    rows = row_indices(X)
    keys = [_content_keys(X, rows, _draw_seed(random_state))]
    if timestamps is not None:
        keys.append(-_times_of(X, rows, timestamps))
    order = np.lexsort((*keys, rows))
    # Sorting by row keeps rows where they are, so a place is an offset in its row.
    hidden = np.empty(X.nnz, dtype=bool)
    hidden[order] = places_in_rows(X, rows) < n_hidden[rows]
    return _select(X, rows, ~hidden), _select(X, rows, hidden)


def _read_interactions(X):
    """Return X as canonical CSR, of its own dtype where that holds the values."""
    dtype = _numeric_dtype(X)
    if not sp.issparse(X) or dtype.kind == "f":
        return check_interactions(X, dtype=dtype)
    X = X.tocoo()
    # Values are non-negative, so no sum of duplicates is greater than that of all.
    wide = np.int64 if X.data.sum(dtype=np.float64) < 2**62 else np.float64
    X = check_interactions(X.astype(wide).tocsr(), dtype=wide)
    limit = 1 if dtype.kind == "b" else np.iinfo(dtype).max
    return X.astype(dtype) if int(X.data.max(initial=0)) <= limit else X


def _numeric_dtype(X):
    """Return the dtype of X, or float64 for lists, data frames and objects."""
    dtype = getattr(X, "dtype", None)
    is_numeric = isinstance(dtype, np.dtype) and dtype.kind in "biuf"
    return dtype if is_numeric else np.dtype(np.float64)


def _select(X, rows, chosen):
    """Return the chosen entries of X, in the shape of X."""
    counts = np.bincount(rows[chosen], minlength=X.shape[0])
    indptr = np.concatenate(([0], np.cumsum(counts))).astype(X.indptr.dtype)
    part = sp.csr_array((X.data[chosen], X.indices[chosen], indptr), shape=X.shape)
    return to_sparse_interface(part)


def _draw_seed(random_state):
    if random_state is None:
        return secrets.randbits(32)
    if isinstance(random_state, numbers.Integral):
        return int(random_state)
    return int(random_state.randint(np.iinfo(np.int32).max))


def _content_keys(X, rows, seed):
    """Pseudo-random uint64 of every entry, a function of the seed and its row's items.

    The keys of a row differ from each other, since every step is a bijection of the
    item's number.
    """
    # Arrays throughout: uint64 arrays wrap around in silence, numpy scalars warn.
    items = _mix(X.indices.astype(np.uint64) ^ _mix(np.array([seed], dtype=np.uint64)))
    # The sum does not depend on the order of the items; differences of a running sum
    # are exact modulo 2**64.
    running = np.concatenate((np.zeros(1, dtype=np.uint64), np.cumsum(items)))
    row_hashes = _mix(running[X.indptr[1:]] - running[X.indptr[:-1]])
    return _mix(items ^ row_hashes[rows])


def _mix(x):
    """Scramble an array of uint64 by the finaliser of SplitMix64, a bijection."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _times_of(X, rows, timestamps):
    """Time of every entry of X, as float64 or int64."""
    if not sp.issparse(timestamps):
        timestamps = np.asarray(timestamps)
    if timestamps.shape != X.shape:
        raise ValueError(
            f"timestamps has shape {timestamps.shape} but X has shape {X.shape}."
        )
    if sp.issparse(timestamps):
        times = _stored_times(X, rows, timestamps)
    else:
        times = timestamps[rows, X.indices]
    if times.dtype.kind not in "biuf":
        raise ValueError(
            f"timestamps must be numbers, not {times.dtype}: convert dates to seconds."
        )
    # Negation must not wrap: unsigned and narrow integers become int64.
    times = times.astype(np.float64 if times.dtype.kind == "f" else np.int64)
    if np.isnan(times).any():
        first = np.flatnonzero(np.isnan(times))[0]
        raise ValueError(f"timestamps[{rows[first]}, {X.indices[first]}] is NaN.")
    return times


def _stored_times(X, rows, timestamps):
    """Look every entry of X up among the stored entries, explicit zeros included."""
    T = sp.coo_array(timestamps)
    n_items = X.shape[1]
    known = T.row.astype(np.int64) * n_items + T.col
    order = np.argsort(known, kind="stable")
    known = known[order]
    asked = rows * n_items + X.indices
    found, is_known = look_up(known, asked)
    if not is_known.all():
        first = np.flatnonzero(~is_known)[0]
        raise ValueError(
            f"timestamps lacks X[{rows[first]}, {X.indices[first]}]: it must store a "
            "time for every interaction, and a time of 0 explicitly."
        )
    if (known[1:] == known[:-1]).any():
        row, column = divmod(int(known[:-1][known[1:] == known[:-1]][0]), n_items)
        raise ValueError(
            f"timestamps stores [{row}, {column}] more than once: keep one time for "
            "an interaction, such as the last."
        )
    return T.data[order][found]
