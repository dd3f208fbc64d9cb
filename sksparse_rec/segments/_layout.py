"""Home pages: rows of segments ranked for users, each with its items ranked for them.

Everything is ranked by ``retrieval.search``. Here is which segments become rows, and
which items are left for them.
"""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn import get_config

from sksparse_rec._sparse import row_indices
from sksparse_rec.retrieval import bool_mask, prepare, search, top_items

# Users whose pages are made at once, at most: more bring nothing.
LARGEST_BLOCK = 1024
# Bytes that a user takes while a page is made: of a segment (scores, order, items
# left, similarities, and temporaries of them), of an item of the longest segment or
# the longest row of a mask, of a latent.
SEGMENT_BYTES, ITEM_BYTES, LATENT_BYTES = 160, 64, 24


class Pages(NamedTuple):
    """Home pages, as ``LatentSegments.layout`` describes them.

    No Bunch, as ``items`` of that is the method of a dictionary.
    """

    segments: np.ndarray
    segment_scores: np.ndarray
    items: np.ndarray
    scores: np.ndarray


class Shelves(NamedTuple):
    """Segments and items, and which items are in which segment."""

    # As ``retrieval.prepare`` returns them.
    segments: object
    items: object
    # (n_segments, n_components), float64
    segment_embeddings: sp.csr_array
    # (n_items, n_segments) and its transpose: ones, int32
    segments_of_items: sp.csr_array
    items_of_segments: sp.csr_array

    def only(self, candidates):
        """Return the same with no other items than those of a mask (n_items,)."""
        pattern = self.segments_of_items.copy()
        pattern.data *= candidates[row_indices(pattern)]
        pattern.eliminate_zeros()
        return self._replace(
            segments_of_items=pattern, items_of_segments=pattern.T.tocsr()
        )


def make_shelves(items, segment_embeddings, sizes, memberships):
    """Return ``Shelves``.

    Parameters
    ----------
    items : Searchable
        As ``retrieval.prepare`` returns it.
    segment_embeddings : csr_array of shape (n_segments, n_components)
    sizes : ndarray of shape (n_segments,)
        Break ties: larger segments come first, then lower numbers.
    memberships : csr_array of shape (n_items, n_segments)
        Non-zeros say which segments an item is in; there may be several.
    """
    pattern = bool_mask(memberships, memberships.shape, "memberships").astype(np.int32)
    return Shelves(
        prepare(segment_embeddings, sizes),
        items,
        sp.csr_array(segment_embeddings, dtype=np.float64),
        pattern,
        pattern.T.tocsr(),
    )


def lay_out(
    X,
    shelves,
    n_rows,
    k,
    *,
    min_items=1,
    diversity=0.0,
    allowed=None,
    excluded=(),
):
    r"""Return a page of rows for every user.

    The next row of a page is the segment with the largest

    .. math:: (1 - d) \, \frac{\langle u, c_j \rangle}{\|u\|}
              - d \max_{i} \max(0, \langle c_j, c_i \rangle),

    :math:`i` being the rows above, among those with at least ``min_items`` items left,
    that is, allowed, not excluded and not in a row above; :math:`c_j` are the unit rows
    of ``segment_embeddings`` and :math:`d` is ``diversity``. What is opposite to a row
    is no better than what has nothing to do with it, hence the zero: otherwise the two
    signs of a latent would call for each other. The first row has no second term. Ties
    go to the segment that is ranked first without diversity. A row shows the ``k`` best
    of the items that are left.

    Parameters
    ----------
    X : {ndarray, csr_array} of shape (n_users, n_components)
    shelves : Shelves
    n_rows, k : int
        Rows of a page and items of a row, at most.
    min_items : int
        At most ``k``.
    diversity : float
        Between 0 and 1.
    allowed : csr_array of bool of shape (n_users, n_items), default=None
        Items that may be shown to each user; None: every item. No explicit zeros.
    excluded : sequence of csr_array of bool of shape (n_users, n_items)
        Items that may not be shown to each user.

    Returns
    -------
    pages : Pages
        ``segments`` (n_users, n_rows), ``segment_scores`` of the same shape, ``items``
        (n_users, n_rows, k) and ``scores`` of the same shape; padded with -1 and -inf.

    Notes
    -----
    Beside the result, memory is bounded by ``sklearn.get_config()["working_memory"]``,
    as long as it holds one user. A page does not depend on other users of the call.
    """
    pages = _empty_pages(X.shape[0], n_rows, k)
    step = _block_size(shelves, [*excluded, *([] if allowed is None else [allowed])])
    for start in range(0, X.shape[0], step):
        rows = slice(start, start + step)
        block = _Block(
            _canonical(X[rows]),
            shelves,
            None if allowed is None else allowed[rows],
            [mask[rows] for mask in excluded],
        )
        choice = _Choice(block, min_items, diversity)
        _fill(Pages(*(array[rows] for array in pages)), block, choice)
    return pages


def _canonical(X):
    """Return rows as a CSR array without duplicates, float64."""
    X = sp.csr_array(X, dtype=np.float64)
    if not X.has_canonical_format:
        # Its arrays may be the caller's.
        X = X.copy()
        X.sum_duplicates()
    return X


def _empty_pages(n_users, n_rows, k):
    return Pages(
        segments=np.full((n_users, n_rows), -1),
        segment_scores=np.full((n_users, n_rows), -np.inf),
        items=np.full((n_users, n_rows, k), -1),
        scores=np.full((n_users, n_rows, k), -np.inf),
    )


def _block_size(shelves, masks):
    n_segments, n_components = shelves.segment_embeddings.shape
    lengths = [np.diff(mask.indptr).max(initial=0) for mask in masks]
    lengths.append(np.diff(shelves.items_of_segments.indptr).max(initial=0))
    user = SEGMENT_BYTES * n_segments + LATENT_BYTES * n_components
    user += ITEM_BYTES * int(sum(lengths))
    budget = get_config()["working_memory"] * 2**20
    return int(np.clip(budget / max(1, user), 1, LARGEST_BLOCK))


def _fill(pages, block, choice):
    """Write the pages of a block of users, row by row."""
    _, n_rows, k = pages.items.shape
    for row in range(n_rows):
        users, segments, segment_scores = choice.next()
        if len(users) == 0:
            return
        pages.segments[users, row] = segments
        pages.segment_scores[users, row] = segment_scores
        items, scores = block.best(users, segments, k)
        pages.items[users, row, : items.shape[1]] = items
        pages.scores[users, row, : items.shape[1]] = scores
        if row + 1 < n_rows:
            choice.update(users, segments, block.show(users, items))


class _Block:
    """Some users, and the items that are left for them."""

    def __init__(self, Q, shelves, allowed, excluded):
        self.Q, self.shelves, self.allowed = Q, shelves, allowed
        self.shown = sp.csr_array((Q.shape[0], shelves.items.rows.n_items), dtype=bool)
        for mask in excluded:
            self.shown = self.shown + mask

    def count_left(self):
        """Return how many items are left of each segment, (n_users, n_segments)."""
        belongs = self.shelves.segments_of_items
        hidden = self.shown
        if self.allowed is None:
            left = np.diff(self.shelves.items_of_segments.indptr)
            return left - (hidden.astype(np.int32) @ belongs).toarray()
        open_items = self.allowed.astype(np.int32)
        open_items = open_items - open_items.multiply(hidden)
        return (open_items @ belongs).toarray()

    def best(self, users, segments, k):
        """Return the best items that are left of a segment for each user, scored."""
        allowed = self.shelves.items_of_segments[segments]
        if self.allowed is not None:
            allowed = allowed.multiply(self.allowed[users])
        found = search(
            self.Q[users],
            self.shelves.items,
            k,
            allowed=allowed,
            excluded=[self.shown[users]],
        )
        return top_items(found)

    def show(self, users, items):
        """Take items out; return how many that are of each segment."""
        place, _ = np.nonzero(items >= 0)
        columns = items[items >= 0]
        new = (np.ones(len(columns), np.int32), (users[place], columns))
        new = sp.csr_array(new, shape=self.shown.shape)
        self.shown = self.shown + new.astype(bool)
        return (new @ self.shelves.segments_of_items).toarray()


class _Choice:
    """Which segment is the next row of each user of a block.

    All arrays have the segments of a user in the order of the plain ranking, so that
    the first of equal values is the right one.
    """

    def __init__(self, block, min_items, diversity):
        Q, self.shelves = block.Q, block.shelves
        self.min_items, self.diversity = min_items, diversity
        shape = Q.shape[0], self.shelves.segments.rows.n_items
        ranking = search(Q, self.shelves.segments, max(1, shape[1]))
        self.order = ranking.indices.reshape(shape)
        self.scores = ranking.data.reshape(shape)
        self.left = self._in_order(block.count_left())
        self.is_open = self.left >= min_items
        self.relevance = _cosines(self.scores, Q) if diversity else None
        # Similarity to the nearest row above.
        self.nearest = np.zeros(shape) if diversity else None

    def next(self):
        """Return users that get one more row, their segments, and the scores of these.

        A segment is returned once.
        """
        if self.order.shape[1] == 0:
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
        place = self._values().argmax(axis=1)
        users = np.flatnonzero(self.is_open[np.arange(len(place)), place])
        at = users, place[users]
        self.is_open[at] = False
        # Whatever else changes, it stays closed.
        self.left[at] = -1
        return users, self.order[at], self.scores[at]

    def update(self, users, segments, n_shown):
        """Note which rows there are now, and the items that others lost to them."""
        self.left -= self._in_order(n_shown)
        self.is_open &= self.left >= self.min_items
        if not self.diversity:
            return
        E = self.shelves.segment_embeddings
        distinct, which = np.unique(segments, return_inverse=True)
        similarities = (E[distinct] @ E.T).toarray()
        similarities = np.take_along_axis(similarities[which], self.order[users], 1)
        self.nearest[users] = np.maximum(self.nearest[users], similarities)

    def _values(self):
        if not self.diversity:
            return self.is_open
        values = (1 - self.diversity) * self.relevance - self.diversity * self.nearest
        return np.where(self.is_open, values, -np.inf)

    def _in_order(self, table):
        return np.take_along_axis(table, self.order, axis=1)


def _cosines(scores, Q):
    """Divide scores by the lengths of their queries; those of an empty one are 0."""
    peaks = abs(Q).max(axis=1).toarray().ravel()
    peaks[peaks == 0] = 1
    # Squares of very large or small values would leave the range.
    units = Q.data / peaks[row_indices(Q)]
    squares = np.bincount(row_indices(Q), units * units, minlength=Q.shape[0])
    lengths = np.sqrt(np.where(squares > 0, squares, 1))
    return scores / peaks[:, None] / lengths[:, None]
