"""Exact top-k over row-sparse embeddings, in blocks that fit the working memory."""

import numpy as np
import scipy.sparse as sp
from sklearn import get_config

from sksparse_rec._sparse import row_indices

# Arrays of the size of a block of scores that exist at once: the scores, their
# transposed copy, and what selecting the largest needs.
COPIES = 4
# And of a block of profiles: sparse with its indices, transposed, dense.
PROFILE_COPIES = 4


def search(
    Q,
    embeddings,
    k,
    *,
    encoder=None,
    popularity=None,
    candidates=None,
    allowed=None,
    excluded=(),
):
    """Return the ``k`` best items of every query by inner product.

    Scores are float64 sums in the order of an item's stored entries, so they do not
    depend on how queries are batched. Ties go to the more popular item, then to the
    lower position.

    Parameters
    ----------
    Q : {ndarray, sparse matrix} of shape (n_queries, n_components)
        CSR where it is sparse; whatever ``encoder`` takes where there is one.
    embeddings : csr_array of shape (n_items, n_components)
    k : int
    encoder : callable, default=None
        Makes the queries of a block of rows of ``Q``; None: ``Q`` itself.
    popularity : ndarray of shape (n_items,), default=None
        Breaks ties; None leaves them to the position.
    candidates : ndarray of bool of shape (n_items,), default=None
        Items that may be returned at all; None: every item.
    allowed : sparse matrix of shape (n_queries, n_items), default=None
        Items that may be returned to each query; None: every item.
    excluded : sequence of sparse matrices of shape (n_queries, n_items)
        Items that may not be returned to each query.

    Returns
    -------
    R : csr_array of shape (n_queries, n_items), float64
        At most ``k`` entries a row, best first: column indices are not sorted.

    Notes
    -----
    O(n_queries × nnz(embeddings)) time. Beside the result and a float64 copy of
    ``embeddings``, memory is bounded by ``sklearn.get_config()["working_memory"]``.
    """
    n_queries, n_items = Q.shape[0], embeddings.shape[0]
    order = _ranking_order(n_items, popularity, candidates)
    position = np.full(n_items, -1)
    position[order] = np.arange(len(order))
    ranked = embeddings[order].astype(np.float64)
    step = _block_size(max(len(order), 1), embeddings.shape[1])
    blocks = []
    for start in range(0, max(n_queries, 1), step):
        rows = slice(start, start + step)
        block = Q[rows] if encoder is None else encoder(Q[rows])
        profiles = block.T.astype(np.float64)
        if sp.issparse(profiles):
            profiles = profiles.toarray()
        scores = np.ascontiguousarray((ranked @ profiles).T)
        if allowed is not None:
            _keep_only(scores, allowed[rows], position)
        for mask in excluded:
            _exclude(scores, mask[rows], position)
        blocks.append(top_k(scores, k))
    lengths = np.concatenate([length for length, _, _ in blocks])
    places = np.concatenate([place for _, place, _ in blocks])
    data = np.concatenate([score for _, _, score in blocks])
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    return csr_in_order(data, order[places], indptr, (n_queries, n_items))


def top_k(scores, k):
    """Return the ``k`` largest finite scores of every row, ties by column.

    Returns
    -------
    lengths : ndarray of shape (n_rows,)
        How many a row has.
    columns, values : ndarray of shape (sum(lengths),)
        Row after row, best first.
    """
    n_rows, n_columns = scores.shape
    k = min(k, n_columns)
    if k < n_columns:
        threshold = np.partition(scores, n_columns - k, axis=1)[:, [n_columns - k]]
        above = scores > threshold
        # Columns tied at the threshold fill the list up from the left.
        tied = scores == threshold
        missing = k - above.sum(axis=1, keepdims=True)
        chosen = above | (tied & (np.cumsum(tied, axis=1) <= missing))
    else:
        chosen = np.ones(scores.shape, dtype=bool)
    chosen &= scores > -np.inf
    rows, columns = np.nonzero(chosen)
    values = scores[rows, columns]
    best_first = np.lexsort((columns, -values, rows))
    lengths = np.bincount(rows, minlength=n_rows)
    return lengths, columns[best_first], values[best_first]


def csr_in_order(data, indices, indptr, shape):
    """Build a CSR array whose rows keep their order, best first."""
    matrix = sp.csr_array((data, indices, indptr), shape=shape)
    matrix.has_sorted_indices = False
    return matrix


def _ranking_order(n_items, popularity, candidates):
    """Item positions by descending popularity, then position: the order of ties."""
    positions = np.arange(n_items)
    if popularity is not None:
        positions = np.lexsort((positions, -np.asarray(popularity)))
    return positions if candidates is None else positions[candidates[positions]]


def _block_size(n_columns, n_components):
    budget = get_config()["working_memory"] * 2**20
    row = 8 * (COPIES * n_columns + PROFILE_COPIES * n_components)
    return max(1, int(budget / row))


def _entries(mask, position):
    columns = position[mask.indices]
    kept = columns >= 0
    return row_indices(mask)[kept], columns[kept]


def _exclude(scores, mask, position):
    scores[_entries(mask, position)] = -np.inf


def _keep_only(scores, mask, position):
    place = _entries(mask, position)
    kept = scores[place]
    scores.fill(-np.inf)
    scores[place] = kept
