"""Segments for users, and items of segments for users."""

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

from sksparse_rec._validation import check_length, to_sparse_interface
from sksparse_rec.retrieval import (
    bool_mask,
    check_k,
    check_popularity,
    item_candidates,
    prepare,
    remember,
    search,
)
from sksparse_rec.segments._layout import make_shelves
from sksparse_rec.segments._row_choice import similarities_of


class RankingMixin:
    """Recommendations by fitted segments, for profiles of users.

    A class that uses it has ``item_embeddings_``, ``segment_embeddings_``,
    ``segment_sizes_``, ``segment_names_``, ``memberships_``, ``item_names_`` and
    ``_segment_position``.
    """

    def recommend_segments(self, X, k=10):
        """Recommend the ``k`` best segments to each user.

        Segments are scored like items: by the product of the profile and the unit row
        of the segment in ``segment_embeddings_``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_components)
            Profiles, as the ``transform`` of the model returns them that the item
            embeddings are from.
        k : int, default=10
            Length of the lists.

        Returns
        -------
        R : sparse matrix or array of shape (n_users, n_segments)
            CSR, float64. The stored entries of a row are its segments, best first
            (column indices are not sorted), and their scores. `top_items` turns it into
            arrays. A row has fewer than ``k`` where there are fewer segments.

        Raises
        ------
        ValueError
            For a ``k`` below 1, or profiles with NaN, infinity or another number of
            columns.

        Notes
        -----
        Ties go to the larger segment, then to the lower number. So a user without
        history gets the largest segments. O(n_users × nnz) time, with nnz that of
        ``segment_embeddings_``; memory beside the result is bounded by
        ``sklearn.get_config()["working_memory"]``.

        Examples
        --------
        >>> from sksparse_rec import LatentSegments
        >>> A = [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [0.0, 1.0], [0.6, 0.8]]
        >>> segments = LatentSegments(min_size=2).fit(A)
        >>> segments.segment_ids_
        array(['1+', '0+'], dtype=object)
        >>> segments.recommend_segments([[1.0, 0.0]], k=1).indices
        array([1])
        """
        check_is_fitted(self)
        k = check_k(k)
        X = self._check_profiles(X)
        return to_sparse_interface(search(X, self._shelves().segments, k))

    def recommend(
        self,
        X,
        k=10,
        *,
        segment,
        seen=None,
        allow=None,
        deny=None,
        item_embeddings=None,
        popularity=None,
    ):
        """Recommend the ``k`` best items of a segment, or of several, to each user.

        It is for where profiles and segments are at hand and the model is not, as
        in serving. With the model, its own ``recommend`` with ``allow`` set to the
        items of ``items_of(segment=...)`` takes histories, and its scores are
        calibrated or weighted where it was fitted so. Both search alike; without
        calibration, weighting and ``popularity`` they only differ in ties, as long as
        ``n_latents`` is 1: ``items_of`` has the members by ``labels_`` only.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_components)
            Profiles, as in ``recommend_segments``.
        k : int, default=10
            Length of the lists.
        segment : int or str, or list of them
            Positions, names or ids of segments; of several the items of any. An item
            is in all segments that it has a membership in: one, unless ``n_latents``
            is larger.
        seen, allow, deny : array-like or sparse matrix, default=None
            As in ``layout``.
        item_embeddings : array-like of shape (n_items, n_components), default=None
            As in ``layout``.
        popularity : array-like of shape (n_items,), default=None
            As in ``layout``.

        Returns
        -------
        R : sparse matrix or array of shape (n_users, n_items)
            CSR, float64. The stored entries of a row are its items, best first
            (column indices are not sorted), and their scores. `top_items` turns it into
            arrays. A row has fewer than ``k`` where fewer items are left.

        Raises
        ------
        ValueError
            For a ``k`` below 1, an unknown segment or item, a mask of another shape, or
            profiles with NaN, infinity or another number of columns.

        See Also
        --------
        layout : Rows of several segments.

        Notes
        -----
        Ties go to the more popular item where ``popularity`` is given, then to the
        lower position. O(n_users × nnz) time, with nnz that of the segment's items;
        memory beside the result is bounded by
        ``sklearn.get_config()["working_memory"]``.

        Examples
        --------
        >>> from sksparse_rec import LatentSegments
        >>> A = [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [0.0, 1.0], [0.6, 0.8]]
        >>> segments = LatentSegments(min_size=2).fit(A)
        >>> segments.recommend([[1.0, 0.0]], k=2, segment="1+").indices
        array([4, 2])
        """
        check_is_fitted(self)
        k = check_k(k)
        X = self._check_profiles(X)
        filters = self._filters(X.shape[0], seen, allow, deny)
        shelves = self._shelves(item_embeddings, popularity)
        one = isinstance(segment, str) or np.ndim(segment) == 0
        wanted = [self._segment_position(s) for s in ([segment] if one else segment)]
        is_in = np.zeros(len(self.labels_), dtype=bool)
        wanted = np.array(wanted, dtype=np.int64)
        is_in[shelves.items_of_segments[wanted].indices] = True
        if filters["candidates"] is not None:
            is_in &= filters["candidates"]
        filters["candidates"] = is_in
        return to_sparse_interface(search(X, shelves.items, k, **filters))

    def _check_profiles(self, X):
        n_components = self.item_embeddings_.shape[1]
        return check_length(X, n_components, "X", "n_components", least_rows=0)

    def _filters(self, n_users, seen, allow, deny):
        """Return what may be found as keyword arguments of ``search``."""
        n_items = len(self.labels_)
        filters = item_candidates(allow, deny, n_users, n_items, self.item_names_)
        if seen is not None:
            filters["excluded"].append(bool_mask(seen, (n_users, n_items), "seen"))
        return filters

    def _shelves(self, item_embeddings=None, popularity=None):
        """Return segments and items as ``lay_out`` takes them, made once after fit."""
        sources = (
            self.item_embeddings_,
            self.segment_embeddings_,
            self.segment_sizes_,
            self.memberships_,
        )
        shelves = remember(
            self,
            "shelves",
            sources,
            lambda: make_shelves(prepare(sources[0]), *sources[1:]),
        )
        if item_embeddings is None and popularity is None:
            return shelves
        A = self.item_embeddings_
        popularity = check_popularity(popularity, A.shape[0])
        if item_embeddings is not None:
            A = _check_items(item_embeddings, A.shape)
        return shelves._replace(items=prepare(A, popularity))

    def _with_similarities(self, shelves):
        sources = self.item_embeddings_, self.segment_embeddings_
        known = shelves.segment_embeddings
        similarities = remember(
            self, "similarities", sources, lambda: similarities_of(known)
        )
        return shelves._replace(similarities=similarities)


def _check_items(item_embeddings, shape):
    """Return item embeddings of the shape of those of ``fit``, CSR."""
    name = "item_embeddings"
    A = check_length(item_embeddings, shape[1], name, "n_components", least_rows=0)
    if A.shape[0] != shape[0]:
        raise ValueError(
            f"{name} has {A.shape[0]} rows, but fit got {shape[0]} items: pass a row "
            "for each of them, in their order"
        )
    return sp.csr_array(A)
