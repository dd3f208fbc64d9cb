"""Searching a catalogue of codes, as they are and as what they rebuild."""

from functools import partial

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sksparse_rec._numerics.vectors import unit_rows
from sksparse_rec._sparse import normalize_rows, scale_rows
from sksparse_rec._validation import check_embeddings, to_sparse_interface
from sksparse_rec.models._codes import codes_of
from sksparse_rec.models._explaining import CodeExplanationMixin
from sksparse_rec.retrieval import (
    check_k,
    item_candidates,
    item_positions,
    own_items,
    prepare,
    query_profiles,
    remember,
    search,
)

# What codes are compared as; only queries that come as vectors can stay vectors.
SPACES = ("sparse", "reconstructed")
QUERY_SPACES = (*SPACES, "asymmetric")


class CodeSearchMixin(CodeExplanationMixin):
    """What a search offers for an autoencoder of vectors: ``recommend`` and others.

    A class that uses it has ``item_embeddings_`` (CSR, unit rows),
    ``reconstruction_norms_``, ``components_`` and what ``codes_of`` reads.
    """

    def recommend(self, X, k=10, *, space="sparse", allow=None, deny=None):
        """Find the fitted rows that are most similar to each vector.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)
            Vectors; they are encoded first.
        k : int, default=10
            Length of the lists.
        space : {"sparse", "reconstructed", "asymmetric"}, default="sparse"
            Compare codes, which is fastest and needs nothing but them; or what they
            rebuild, which is closer to the cosines of the vectors; or the queries as
            they are with what the codes of the catalogue rebuild, which is closest and
            costs no more, but is not symmetric: it serves queries, not pairs of codes.
        allow, deny : array-like or sparse matrix, default=None
            Fitted rows that may, or may not, be found: positions or a boolean mask of
            length n_fitted for all queries, or a sparse mask of shape (n_queries,
            n_fitted) for each.

        Returns
        -------
        R : sparse matrix or array of shape (n_queries, n_fitted)
            CSR, float64. The stored entries of a row are its neighbours, best first
            (column indices are not sorted), and their cosines. `top_items` turns it
            into arrays.

        Raises
        ------
        ValueError
            For a ``k`` below 1, an unknown space, a row out of range, a mask of another
            shape, or vectors that ``transform`` refuses.

        Notes
        -----
        Ties go to the lower position. O(n_queries × n_fitted × n_nonzero) time in all
        spaces, after O(n_queries × n_components × n_features) for the queries. Beside
        the result, memory is bounded by ``sklearn.get_config()["working_memory"]``.
        """
        check_is_fitted(self)
        k = check_k(k)
        X = check_embeddings(X, estimator=self)
        profiles = self._query_encoder(space)
        return self._search(X, k, space, allow, deny, profiles)

    def similar_items(self, items, k=10, *, space="sparse"):
        """Find the nearest fitted rows of fitted rows.

        Parameters
        ----------
        items : array-like of int
            Positions in the table that ``fit`` got.
        k : int, default=10
            Number of neighbours.
        space : {"sparse", "reconstructed"}, default="sparse"
            As in ``recommend``.

        Returns
        -------
        S : sparse matrix or array of shape (len(items), n_fitted)
            CSR, float64, neighbours best first; a row is never its own neighbour.

        Raises
        ------
        ValueError
            For a position out of range, a ``k`` below 1 or an unknown space.

        Notes
        -----
        O(len(items) × n_fitted × n_nonzero) time; ties and memory as in ``recommend``.
        """
        check_is_fitted(self)
        k = check_k(k)
        A = self.item_embeddings_
        positions = item_positions(items, A.shape[0])
        own = own_items(positions, A.shape[0])
        check_space(space, SPACES)
        return self._search(A[positions], k, space, None, own, self._profiles(space))

    def _profiles(self, space):
        """Return the function from codes to what the catalogue is multiplied with."""
        if space == "sparse":
            return normalize_rows
        return partial(query_profiles, decoder=self.components_.astype(np.float64))

    def _query_encoder(self, space):
        """Return the same function from vectors."""
        check_space(space, QUERY_SPACES)
        if space == "asymmetric":
            decoder = self.components_.astype(np.float64)
            return lambda X: unit_rows(X, self.mean_).astype(np.float64) @ decoder.T
        profiles = self._profiles(space)
        return lambda X: profiles(codes_of(self, X, self.n_nonzero_))

    def _search(self, queries, k, space, allow, deny, encoder):
        n_items = self.item_embeddings_.shape[0]
        filters = item_candidates(allow, deny, queries.shape[0], n_items)
        items = self._searchable(divided=space != "sparse")
        return to_sparse_interface(
            search(queries, items, k, encoder=encoder, **filters)
        )

    def _compared_rows(self, positions, space):
        """Rows of the catalogue as they are multiplied with profiles, in float64."""
        rows = self.item_embeddings_[positions].astype(np.float64)
        if space == "sparse":
            return rows
        return _divide_rows(rows, self.reconstruction_norms_[positions])

    def _searchable(self, divided):
        """Return the catalogue as ``search`` takes it, made once after a fit."""
        sources = self.item_embeddings_, self.reconstruction_norms_
        if divided:
            return remember(
                self, "divided", sources, lambda: prepare(_divide_rows(*sources))
            )
        return remember(self, "plain", sources, lambda: prepare(sources[0]))


def check_space(space, known):
    """Raise if a space is none of those known."""
    if space not in known:
        raise ValueError(f"space must be one of {known}, got {space!r}")


def _divide_rows(A, norms):
    """Divide rows by numbers; those of a zero stay as they are."""
    scale = np.divide(1, norms, out=np.ones_like(norms), where=norms > 0)
    return scale_rows(A, scale)
