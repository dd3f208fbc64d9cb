"""Which segment is the next row of a page."""

import numpy as np
import scipy.sparse as sp
from sklearn import get_config

from sksparse_rec._sparse import row_indices
from sksparse_rec.retrieval import search
from sksparse_rec.segments._merging import BLOCK_ENTRIES, fast_to_multiply

# Segments that are ranked at first, times the rows of a page.
RANKED = 4


class RowChoice:
    """Which segment is the next row of each user of a block of ``lay_out``.

    Only the best segments of a user are ranked, in the order of the plain ranking, so
    that the first of equal values is the right one. They are as many as it takes to be
    sure of the next row: no other segment can have a value above what its relevance
    alone gives, and that is at most that of the last of them.
    """

    def __init__(self, block, n_rows, min_items, diversity):
        self.block, self.shelves = block, block.shelves
        self.min_items, self.diversity = min_items, diversity
        self.n_segments = self.shelves.segments.rows.n_items
        # Users and segments of the rows above, row after row.
        self.chosen = []
        self.left = block.count_left()
        self.is_open = self.left >= min_items
        self._rank(min(self.n_segments, RANKED * n_rows))

    def next(self):
        """Return users that get one more row, their segments, and the scores of these.

        A segment is returned once.
        """
        values, is_open, place = self._best()
        while self.n_ranked < self.n_segments and not self._is_sure(values, is_open):
            self._rank(min(self.n_segments, 4 * self.n_ranked))
            values, is_open, place = self._best()
        users = np.flatnonzero(is_open.any(axis=1))
        at = users, place[users]
        segments = self.order[at]
        self.is_open[users, segments] = False
        return users, segments, self.scores[at]

    def update(self, users, segments, n_shown):
        """Note which rows there are now, and the items that others lost to them."""
        self.left -= n_shown
        self.is_open &= self.left >= self.min_items
        if self.diversity:
            self.chosen.append((users, segments))
            self._bring_nearer(users, segments)

    def _rank(self, n_ranked):
        Q, self.n_ranked = self.block.Q, n_ranked
        shape = Q.shape[0], n_ranked
        ranking = search(Q, self.shelves.segments, max(1, n_ranked))
        self.order = ranking.indices.reshape(shape)
        self.scores = ranking.data.reshape(shape)
        if self.diversity:
            self.relevance = (1 - self.diversity) * _cosines(self.scores, Q)
            # Similarity to the nearest row above.
            self.nearest = np.zeros(shape)
            for users, segments in self.chosen:
                self._bring_nearer(users, segments)

    def _best(self):
        """Return values and openness of ranked segments, and the place of the best."""
        is_open = np.take_along_axis(self.is_open, self.order, axis=1)
        if not self.n_segments:
            return is_open, is_open, np.zeros(len(is_open), np.int64)
        values = is_open
        if self.diversity:
            values = self.relevance - self.diversity * self.nearest
            values = np.where(is_open, values, -np.inf)
        return values, is_open, values.argmax(axis=1)

    def _is_sure(self, values, is_open):
        """Tell whether no segment that is not ranked can be the next row."""
        others = self.is_open.sum(axis=1) > is_open.sum(axis=1)
        sure = is_open.any(axis=1)
        if self.diversity:
            sure &= values.max(axis=1) >= self.relevance[:, -1]
        return bool((sure | ~others).all())

    def _bring_nearer(self, users, segments):
        order, table = self.order[users], self.shelves.similarities
        if table is None:
            E = self.shelves.segment_embeddings
            segments, which = np.unique(segments, return_inverse=True)
            table = _rounded((E[segments] @ E.T).toarray())
            similarities = np.take_along_axis(table[which], order, axis=1)
        else:
            similarities = table[segments[:, None], order]
        self.nearest[users] = np.maximum(self.nearest[users], similarities)


def similarities_of(embeddings):
    """Return the products of all pairs of rows, None if there are too many of them.

    More than a quarter of the working memory is too many.
    """
    n_segments = embeddings.shape[0]
    if 32 * n_segments**2 > get_config()["working_memory"] * 2**20:
        return None
    E, products = fast_to_multiply(embeddings), np.empty((n_segments, n_segments))
    step = max(1, BLOCK_ENTRIES // max(1, n_segments))
    for start in range(0, n_segments, step):
        rows = slice(start, start + step)
        block = E[rows] @ E.T
        products[rows] = _rounded(block.toarray() if sp.issparse(block) else block)
    return products


def _rounded(similarities):
    # So that the order of a sum decides about nothing.
    return np.round(similarities, 12)


def _cosines(scores, Q):
    """Divide scores by the lengths of their queries; those of an empty one are 0."""
    peaks = abs(Q).max(axis=1).toarray().ravel()
    peaks[peaks == 0] = 1
    # Squares of very large or small values would leave the range.
    rows = row_indices(Q)
    units = Q.data / peaks[rows]
    squares = np.bincount(rows, units * units, minlength=Q.shape[0])
    lengths = np.sqrt(np.where(squares > 0, squares, 1))
    return scores / peaks[:, None] / lengths[:, None]
