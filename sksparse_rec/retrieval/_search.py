"""Exact top-k over row-sparse embeddings, in blocks that fit the working memory."""

from weakref import WeakKeyDictionary

import numpy as np
import scipy.sparse as sp
from sklearn import get_config

from sksparse_rec._numerics import search as kernels

# Blocks of profiles that exist at once: sparse with its indices, transposed, dense.
PROFILE_COPIES = 4
# Queries that are answered at once, at most: more bring nothing.
LARGEST_BLOCK = 1024
# Entries of a matrix that are compared to see whether it is still the same.
SAMPLE = 64

_remembered = WeakKeyDictionary()


class Searchable:
    """Item embeddings as the search wants them.

    Parameters
    ----------
    rows : kernels.Rows
    rank : ndarray of int32 of shape (n_items,), default=None
        Place of an item among ties; None: its position.
    lists : kernels.Lists, default=None
    lengths : ndarray, default=None
        Of the lists of all latents; None: they are counted.
    learns : bool, default=True
        Make lists when they are worth it.
    """

    def __init__(self, rows, rank=None, lists=None, lengths=None, *, learns=True):
        self.rows, self.rank, self.lists, self.learns = rows, rank, lists, learns
        self.lengths = kernels.latent_lengths(rows) if lengths is None else lengths
        # Nanoseconds that lists would have saved so far.
        self.missed = 0.0

    def learn(self, Q, filters):
        """Make lists once queries have cost more without them than they cost to make.

        So the time is never more than twice what it had been with lists from the start,
        or without any.
        """
        if not self.learns or self.lists is not None or not kernels.knows_lists():
            return
        self.missed += kernels.gain_of_lists(self.rows, self.lengths, Q, filters)
        if self.missed > kernels.cost_of_lists(self.rows):
            self.lists = kernels.make_lists(self.rows)


def prepare(embeddings, popularity=None):
    """Return a CSR matrix of items as ``Searchable``; its values are shared.

    Parameters
    ----------
    embeddings : csr_array of shape (n_items, n_components), float32 or float64
    popularity : ndarray of shape (n_items,), default=None
        Breaks ties; None leaves them to the position.

    Returns
    -------
    Searchable
    """
    # A matrix of its own, as scipy notes in a matrix whether it is sorted.
    parts = embeddings.data, embeddings.indices, embeddings.indptr
    A = sp.csr_array(parts, shape=embeddings.shape)
    if not A.has_canonical_format:
        A = A.copy()
        A.sum_duplicates()
    rows = kernels.make_rows(A.indptr, A.indices, A.data, A.shape[1])
    return Searchable(rows, ranks(popularity))


def ranks(popularity):
    """Return each item's place by descending popularity, then position; int32."""
    if popularity is None:
        return None
    popularity = np.asarray(popularity, dtype=np.float64)
    order = np.argsort(-popularity, kind="stable")
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return rank


def remember(owner, key, sources, make):
    """Return ``make()``, or what it returned for the same sources before.

    It is kept as long as the owner lives, outside of its attributes, which ``predict``
    and the like have to leave as they are.

    Parameters
    ----------
    owner : object
        An estimator.
    key : hashable
        Tells the results of an owner apart.
    sources : tuple of {ndarray, csr_array, None}
        Fitted attributes that the result depends on. They are expected to be replaced,
        not edited; of edits those are noticed that meet one of a few entries.
    make : callable
        Makes a ``Searchable``.
    """
    known = _remembered.setdefault(owner, {})
    samples = [_sample(source) for source in sources]
    if key in known:
        old_sources, old_samples, result = known[key]
        same = all(a is b for a, b in zip(old_sources, sources, strict=True))
        if same and all(map(np.array_equal, old_samples, samples)):
            return result
    # Of an earlier fit nothing is kept.
    for other, (old_sources, *_) in list(known.items()):
        if old_sources[0] is not sources[0]:
            known.pop(other, None)
    result = make()
    known[key] = sources, samples, result
    return result


def _sample(source):
    if source is None:
        return np.empty(0)
    is_sparse = sp.issparse(source)
    arrays = (source.data, source.indices) if is_sparse else (np.ravel(source),)
    return np.concatenate([a[:: max(1, len(a) // SAMPLE)] for a in arrays])


def search(
    Q,
    items,
    k,
    *,
    encoder=None,
    popularity=None,
    candidates=None,
    allowed=None,
    excluded=(),
):
    """Return the ``k`` best items of every query by inner product.

    Scores are float64 sums in the order of an item's columns, so they do not depend on
    how queries are batched. Ties go to the more popular item, then to the lower
    position.

    Parameters
    ----------
    Q : {ndarray, sparse matrix} of shape (n_queries, n_components)
        CSR where it is sparse; whatever ``encoder`` takes where there is one.
    items : csr_array of shape (n_items, n_components), or Searchable
    k : int
    encoder : callable, default=None
        Makes the queries of a block of rows of ``Q``; None: ``Q`` itself.
    popularity : ndarray of shape (n_items,), default=None
        Breaks ties; None leaves them to the position. A ``Searchable`` has its own.
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
    O(n_queries × nnz(items)) time, or what the latents of sparse queries have. Beside
    the result and the ``Searchable`` that is made of ``items``, memory is bounded by
    ``sklearn.get_config()["working_memory"]``.
    """
    if not isinstance(items, Searchable):
        items = prepare(items, popularity)
    n_queries, n_items = Q.shape[0], items.rows.n_items
    listing = None if candidates is None else np.flatnonzero(candidates)
    blocks = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
    step = _block_size(items.rows, k)
    for start in range(0, n_queries, step):
        rows = slice(start, start + step)
        block = _queries(Q[rows] if encoder is None else encoder(Q[rows]))
        filters = kernels.Filters(
            listing,
            None if allowed is None else _pattern([allowed[rows]]),
            _pattern([mask[rows] for mask in excluded]),
        )
        items.learn(block, filters)
        blocks.append(_found(items, block, k, filters))
    lengths, indices, data = (np.concatenate(parts) for parts in zip(*blocks, strict=1))
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    return csr_in_order(data, indices, indptr, (n_queries, n_items))


def csr_in_order(data, indices, indptr, shape):
    """Build a CSR array whose rows keep their order, best first."""
    matrix = sp.csr_array((data, indices, indptr), shape=shape)
    matrix.has_sorted_indices = False
    return matrix


def _found(items, block, k, filters):
    """Return lengths of rows, and the items and scores of them, row after row."""
    lengths, found, scores = kernels.top_k(
        items.rows, items.lists, items.rank, block, k, filters, items.lengths
    )
    kept = np.arange(found.shape[1]) < lengths[:, None]
    return lengths, found[kept], scores[kept]


def _queries(block):
    """Return queries in float64; sparse ones sorted, without duplicates."""
    if not sp.issparse(block):
        return np.ascontiguousarray(block, dtype=np.float64)
    changed = not block.has_canonical_format
    block = sp.csr_array(block, dtype=np.float64, copy=changed)
    if changed:
        block.sum_duplicates()
    return block


def _pattern(masks):
    """Return the entries that any of some masks has, sorted."""
    if not masks:
        return None
    masks = [sp.csr_array(mask, copy=True) for mask in masks]
    for mask in masks:
        mask.sum_duplicates()
        mask.data = np.ones(len(mask.data), dtype=bool)
    return sum(masks[1:], start=masks[0]) if len(masks) > 1 else masks[0]


def _block_size(rows, k):
    budget = get_config()["working_memory"] * 2**20
    row = 8 * PROFILE_COPIES * rows.n_components + kernels.bytes_of_query(rows, k)
    return int(np.clip(budget / row, 1, LARGEST_BLOCK))
