"""Recommendations to everybody, a block of users at a time."""

import bisect
import inspect

import scipy.sparse as sp
from sklearn import get_config
from sklearn.utils.validation import check_is_fitted

from sksparse_rec._validation import (
    Integral,
    Interval,
    as_rows,
    check_columns,
    validate_params,
)
from sksparse_rec.retrieval import check_k, check_mask_shape, is_mask_for_each

# Bytes for an entry of the result and for one of a history or a mask: values and
# indices, and the copies that are made of both on the way.
RESULT_BYTES = 64
ENTRY_BYTES = 48
# The share of the working memory that a block takes; a search takes all of it.
SHARE = 0.25


@validate_params(
    {
        "model": [object],
        "X": "no_validation",
        "k": "no_validation",
        "block_size": [Interval(Integral, 1, None, closed="left"), None],
        "allow": "no_validation",
        "deny": "no_validation",
        "options": [dict],
    },
    prefer_skip_nested_validation=True,
)
def recommend_in_blocks(
    model, X, k=10, *, block_size=None, allow=None, deny=None, **options
):
    """Recommend to any number of users, a block of them at a time.

    Use it where the lists of all users would not fit in memory, or `X` itself does
    not: each block is made when it is asked for, by `model.recommend`, and only its
    rows of `X` are read.

    Parameters
    ----------
    model : CompressedELSA, CompressedELSACV or CompresSAE
        Fitted. Any estimator will do that has a method ``recommend(X, k=..., allow=...,
        deny=...)`` whose answers do not depend on the other rows.
    X : {array-like, sparse matrix, DataFrame} of shape (n_users, n_columns)
        What `recommend` takes: histories, or vectors of queries for `CompresSAE`. It
        may be mapped from a file larger than memory (`datasets.open_interactions`,
        ``numpy.load(..., mmap_mode="r")``), and it may have no rows.
    k : int, default=10
        Length of the lists.
    block_size : int, default=None
        Users in a block. None takes as many as fit a quarter of
        ``sklearn.get_config()["working_memory"]``, fewer where histories are long.
        The lists do not depend on it.
    allow, deny : array-like or sparse matrix, default=None
        As in `recommend`: for all users, or a mask with a row for each, of which
        blocks take their rows.
    **options
        Passed on to `recommend`: ``exclude_seen=False``, ``space="reconstructed"``.

    Returns
    -------
    iterable of (rows, R)
        ``rows`` is the slice of `X`, and ``R`` what `recommend` returns for it, CSR of
        shape (n_rows, n_items). Blocks come in the order of `X`. ``len`` tells how many
        there are, so that ``tqdm`` shows how long it takes. It can be iterated again.

    Raises
    ------
    ValueError
        If `k` is below 1, `X` has other columns than the fitted ones, or a mask
        another shape: at once. Values are checked as blocks come, and what
        `recommend` raises then has a note of the row of `X` that the block begins at.
    TypeError
        If `recommend` has no such option.
    sklearn.exceptions.NotFittedError
        If the model is not fitted.

    See Also
    --------
    sksparse_rec.export.recommend_to_parquet : Write them to files.
    top_items : Turn a block into arrays.

    Notes
    -----
    Memory beside `X` is that of one block and of the search in it, bounded by one and
    a quarter times the working memory, and of what a model prepares for a search. A row
    that is larger than that has a block of its own. In formats other than CSR a sparse
    `X` is converted first. Time is that of `recommend`, which is called for every
    block: let small ones be hundreds of users.

    Examples
    --------
    >>> from sksparse_rec import CompressedELSA, recommend_in_blocks, top_items
    >>> from sksparse_rec.datasets import make_interactions
    >>> X = make_interactions(1000, 100, 9000, random_state=0)
    >>> model = CompressedELSA(64, n_nonzero=8, max_iter=2, random_state=0).fit(X)
    >>> for rows, R in recommend_in_blocks(model, X, k=5, block_size=400):
    ...     ids, scores = top_items(R)
    ...     print(rows, ids.shape)
    slice(0, 400, None) (400, 5)
    slice(400, 800, None) (400, 5)
    slice(800, 1000, None) (200, 5)
    """
    return Blocks(model, X, k, block_size, allow, deny, options)


class Blocks:
    """What `recommend_in_blocks` returns, with ranges of users as well."""

    def __init__(self, model, X, k, block_size, allow, deny, options):
        check_is_fitted(model)
        self.model, self.k, self.block_size = model, check_k(k), block_size
        self.X = as_rows(X)
        check_columns(self.X, model)
        self.n_users = self.X.shape[0]
        self.n_items = count_items(model, self.X)
        shape = self.n_users, self.n_items
        self.allow = _as_filter(allow, shape, "allow")
        self.deny = _as_filter(deny, shape, "deny")
        self.options = _complete_options(model, self.X, self.k, options)

    def __iter__(self):
        return self.between(0, self.n_users)

    def __len__(self):
        return sum(1 for _ in self._ranges(0, self.n_users))

    def between(self, start, stop):
        """Yield the blocks of the users from ``start`` to ``stop``."""
        for rows in self._ranges(start, stop):
            yield rows, self._recommend(rows)

    def _recommend(self, rows):
        filters = {"allow": self.allow, "deny": self.deny}
        of_rows = {
            name: take_rows(items, rows) if is_mask_for_each(items) else items
            for name, items in filters.items()
            if items is not None
        }
        X = take_rows(self.X, rows)
        try:
            return self.model.recommend(X, k=self.k, **of_rows, **self.options)
        except ValueError as error:
            error.add_note(f"Its rows are counted from row {rows.start} of the whole X")
            raise

    def _ranges(self, start, stop):
        while start < stop:
            end = self._end_of_block(start, stop)
            yield slice(start, end)
            start = end

    def _end_of_block(self, start, stop):
        if self.block_size is not None:
            return min(start + self.block_size, stop)
        budget = SHARE * get_config()["working_memory"] * 2**20
        row = RESULT_BYTES * min(self.k, self.n_items) + ENTRY_BYTES
        starts = []
        for matrix in (self.X, self.allow, self.deny):
            if sp.issparse(matrix):
                starts.append(matrix.indptr)
            elif is_mask_for_each(matrix):
                row += ENTRY_BYTES * matrix.shape[1]

        def size(end):
            entries = sum(int(indptr[end]) - int(indptr[start]) for indptr in starts)
            return row * (end - start) + ENTRY_BYTES * entries

        ends = range(start + 1, stop + 1)
        return start + max(1, bisect.bisect_right(ends, budget, key=size))


def take_rows(X, rows):
    """Return a slice of rows of what ``as_rows`` returns."""
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]


def count_items(model, X):
    """Return the width of what a model recommends from ``X``."""
    embeddings = getattr(model, "item_embeddings_", None)
    return X.shape[1] if embeddings is None else embeddings.shape[0]


def _as_filter(items, shape, what):
    if items is None or not is_mask_for_each(items):
        return items
    mask = as_rows(items)
    check_mask_shape(mask, shape, what)
    return mask


def _complete_options(model, X, k, options):
    """Return the options of ``recommend`` with their defaults.

    Raises TypeError for one that there is not.
    """
    signature = inspect.signature(model.recommend)
    bound = signature.bind(X, k=k, **options)
    bound.apply_defaults()
    known = dict(bound.arguments)
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            known |= known.pop(name)
    return {k: v for k, v in known.items() if k not in {"X", "k", "allow", "deny"}}
