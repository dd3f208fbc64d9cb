"""What every recommender offers once it has item embeddings."""

import numpy as np
import scipy.sparse as sp
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from sksparse_rec._sparse import rows_at, scale_columns, scale_rows
from sksparse_rec._validation import (
    check_interactions,
    check_length,
    to_sparse_interface,
)
from sksparse_rec.models._explaining import HistoryExplanationMixin
from sksparse_rec.models._lists import RankedListsMixin
from sksparse_rec.retrieval import (
    check_k,
    item_candidates,
    item_positions,
    own_items,
    prepare,
    remember,
    search,
)


class DocumentationLinkMixin:
    """The link to the API page in the HTML representation of an estimator.

    It comes before ``BaseEstimator`` among the base classes, which links to
    scikit-learn's own pages.
    """

    _doc_link_module = "sksparse_rec"
    _doc_link_template = (
        "https://sksparse-rec.readthedocs.io/en/latest/api/generated/"
        "sksparse_rec.{estimator_name}.html"
    )


class RecommenderMixin(
    RankedListsMixin,
    HistoryExplanationMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
):
    """Recommendations from a linear item model: scores are ``x A Aᵀ``.

    With ``item_weights_`` ``x`` is what interactions count, and slopes and intercepts
    turn those scores into others.

    A class that uses it has the fitted attributes ``item_embeddings_`` (CSR array of
    shape (n_items, n_components)) and ``item_popularity_`` (shape (n_items,)), and
    ``n_features_in_`` as scikit-learn defines it. ``_has_labels`` tells whether ``fit``
    got labels; see ``predict``.
    """

    @property
    def components_(self):
        """Transpose of ``item_embeddings_``, CSR of shape (n_components, n_items)."""
        return self.item_embeddings_.T.tocsr()

    @property
    def _is_calibrated(self):
        return getattr(self, "item_intercepts_", None) is not None

    @property
    def _n_features_out(self):
        return self.item_embeddings_.shape[1]

    def transform(self, X):
        """Compute the profiles of users, ``U = X A``.

        Where fitted with ``item_weighting``, interactions count by it.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Interactions of any users; non-negative.

        Returns
        -------
        U : sparse matrix or array of shape (n_users, n_components)
            CSR, float32 for float32 ``X`` and float64 otherwise; the flavour follows
            ``sklearn.set_config(sparse_interface=...)``.

        Raises
        ------
        ValueError
            If ``X`` has negative, NaN or infinite values or another number of columns.

        Notes
        -----
        O(nnz(X) × n_nonzero) time; profiles of long histories are half dense.
        """
        check_is_fitted(self)
        dtype = _floating_dtype(X)
        X = check_interactions(X, estimator=self, dtype=np.float64)
        # Sums are float64 whatever X is.
        U = self._weighted(X) @ self.item_embeddings_.astype(np.float64)
        return to_sparse_interface(U.astype(dtype, copy=False))

    def inverse_transform(self, X):
        """Compute the scores of all items from profiles, ``Z Aᵀ``.

        Where fitted with ``calibration=True`` or ``popularity_weighting`` they are the
        calibrated or weighted ones, as those of ``recommend``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_components)
            Profiles as ``transform`` returns them, edited or not.

        Returns
        -------
        scores : ndarray of shape (n_users, n_items)
            Dense; float32 for float32 profiles of a model that is neither calibrated
            nor weighted, and float64 otherwise. For the best items only use
            ``recommend``, whose memory is bounded.

        Raises
        ------
        ValueError
            If ``X`` has another number of columns or values that are not finite.

        Notes
        -----
        O(n_users × n_items × n_nonzero) time, O(n_users × n_items) memory.
        """
        check_is_fitted(self)
        Z = check_length(X, self.item_embeddings_.shape[1], "X", "n_components")
        Z = self._ranking_profiles(sp.csr_array(Z)).toarray()
        return Z @ self._ranking_embeddings().T

    def _weighted(self, X):
        """Interactions as they count in profiles."""
        return scale_columns(X, getattr(self, "item_weights_", None))

    def _ranking_embeddings(self):
        """Rows whose products with ``_ranking_profiles`` are the scores.

        With slopes item ``i`` has ``s_i a_i``, and calibrated ``[s_i a_i, b_i]``.
        """
        A, slopes = self.item_embeddings_, getattr(self, "item_slopes_", None)
        if slopes is None:
            return A
        scaled = scale_rows(A, slopes.astype(np.float64))
        if not self._is_calibrated:
            return scaled
        intercepts = self.item_intercepts_.astype(np.float64)
        return sp.hstack([scaled, sp.csr_array(intercepts[:, None])], format="csr")

    def _ranking_profiles(self, U):
        """Profiles, calibrated with their length as one more latent."""
        if not self._is_calibrated:
            return U
        U = U.astype(np.float64)
        lengths = sp.csr_array(np.sqrt(U.multiply(U).sum(axis=1))[:, None])
        return sp.hstack([U, lengths], format="csr")

    def recommend(self, X, k=10, *, exclude_seen=True, allow=None, deny=None):
        """Recommend the ``k`` best items to each user.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            The users' histories. A user without one gets the most popular items.
        k : int, default=10
            Length of the lists.
        exclude_seen : bool, default=True
            Leave out what is in the history. With False a seen item keeps its score.
        allow, deny : array-like or sparse matrix, default=None
            Items that may, or may not, be recommended: positions, names (where fitted
            on a DataFrame) or a boolean mask of length n_items for all users, or a
            sparse mask of shape (n_users, n_items) for each.

        Returns
        -------
        R : sparse matrix or array of shape (n_users, n_items)
            CSR, float64. The stored entries of a row are its items, best first (column
            indices are not sorted), and their scores ``x A Aᵀ`` (calibrated or weighted
            ones where fitted so). A user with fewer than ``k`` candidates has a shorter
            row. `top_items` turns it into arrays.

        Raises
        ------
        ValueError
            For a ``k`` below 1, an unknown item, or a mask of another shape.

        Notes
        -----
        Ties go to the item more popular in training, then to the lower position. The
        lists are the same for any number of users in a call. Time is
        O(n_users × n_items × n_nonzero); memory beside the result is bounded by
        ``sklearn.get_config()["working_memory"]``.
        """
        check_is_fitted(self)
        history = check_interactions(X, estimator=self, dtype=np.float64)
        return self._recommend(history, k, exclude_seen, allow, deny)

    def _recommend(self, history, k, exclude_seen, allow, deny):
        """Recommend for histories that are checked."""
        k = check_k(k)
        n_users, n_items = history.shape
        names = getattr(self, "feature_names_in_", None)
        filters = item_candidates(allow, deny, n_users, n_items, names)
        if exclude_seen:
            filters["excluded"].append(history)
        return to_sparse_interface(
            search(
                history,
                self._searchable(),
                k,
                encoder=lambda rows: self._ranking_profiles(self._profiles_of(rows)),
                **filters,
            )
        )

    def _profiles_of(self, history):
        """Profiles in float64; of the embeddings only what is met is widened."""
        history = self._weighted(history)
        met = np.unique(history.indices)
        A = rows_at(self.item_embeddings_, met).astype(np.float64)
        columns = np.searchsorted(met, history.indices)
        shape = history.shape[0], len(met)
        return sp.csr_array((history.data, columns, history.indptr), shape=shape) @ A

    def _searchable(self, plain=False):
        """Return the items as ``search`` takes them, made once after a fit."""
        popularity, slopes = self.item_popularity_, getattr(self, "item_slopes_", None)
        if plain or slopes is None:
            sources = self.item_embeddings_, popularity
            return remember(self, "plain", sources, lambda: prepare(*sources))
        intercepts = getattr(self, "item_intercepts_", None)
        return remember(
            self,
            "with slopes",
            (self.item_embeddings_, popularity, slopes, intercepts),
            lambda: prepare(self._ranking_embeddings(), popularity),
        )

    def similar_items(self, items, k=10):
        """Find the nearest items by cosine similarity of the embeddings.

        Parameters
        ----------
        items : array-like of int or str
            Positions, or names where the estimator was fitted on a DataFrame.
        k : int, default=10
            Number of neighbours.

        Returns
        -------
        S : sparse matrix or array of shape (len(items), n_items)
            CSR, float64, neighbours best first; an item is never its own neighbour.

        Raises
        ------
        ValueError
            For an unknown item or a ``k`` below 1.

        Notes
        -----
        O(len(items) × n_items × n_nonzero) time; ties and memory as in ``recommend``.
        """
        check_is_fitted(self)
        k = check_k(k)
        A = self.item_embeddings_
        names = getattr(self, "feature_names_in_", None)
        positions = item_positions(items, A.shape[0], names)
        own = own_items(positions, A.shape[0])
        items = self._searchable(plain=True)
        return to_sparse_interface(search(A[positions], items, k, excluded=[own]))


def _floating_dtype(X):
    dtype = getattr(X, "dtype", None)
    return np.float32 if dtype == np.float32 else np.float64
