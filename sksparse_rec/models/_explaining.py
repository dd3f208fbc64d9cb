"""``explain`` and ``without`` of the estimators."""

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

from sksparse_rec._numerics.vectors import unit_rows
from sksparse_rec._sparse import scale_rows
from sksparse_rec._validation import (
    as_row,
    check_embeddings,
    check_interactions,
    check_segments,
    to_sparse_interface,
)
from sksparse_rec.models._explanation_names import Labels
from sksparse_rec.models._explanation_results import Explanation, ListChange
from sksparse_rec.models._explanations import (
    compare_lists,
    split_by_feature,
    split_by_history,
    split_by_latent,
    split_by_segment,
)
from sksparse_rec.retrieval import item_positions, top_items


class HistoryExplanationMixin:
    """Explanations of scores that are linear in a history.

    A class that uses it is a ``RecommenderMixin``.
    """

    def explain(self, x, items, *, segments=None):
        """Split the scores of some items for one user into contributions.

        The score is a sum over latents and, as the model is linear in the history, a
        sum over the history:

            s_i = Σ_l u_l a_il = Σ_j x_j ⟨a_j, a_i⟩,   u = x A.

        Where fitted with ``item_weighting`` ``x`` is what interactions count, and with
        ``popularity_weighting`` ``a_i`` is ``slope_i a_i``. With ``calibration=True``
        the contributions sum to the calibrated score: ``a_i`` is then ``slope_i a_i +
        intercept_i u / ‖u‖``.

        Parameters
        ----------
        x : {array-like, sparse matrix} of shape (1, n_items) or (n_items,)
            The history of one user.
        items : array-like of int or str
            The items to explain: positions or names.
        segments : LatentSegments, default=None
            Fitted on ``item_embeddings_``, to split the scores by segment too. A
            segment brings what its latents do, each where the item is on the segment's
            side of it: with the segment's sign.

        Returns
        -------
        explanation : Explanation
            A Bunch of ``by_latent``, CSR of shape (len(items), n_components),
            ``by_history``, CSR of shape (len(items), n_items), and, with ``segments``,
            ``by_segment``, CSR of shape (len(items), n_segments + 1), whose last column
            is what belongs to no segment. float64; each row of each sums to the score.
            ``to_frame()`` is a table and ``to_text()`` are sentences of it.

        Raises
        ------
        ValueError
            If ``x`` has more than one row, for an unknown item, or if ``segments`` were
            fitted on embeddings of another width.

        Notes
        -----
        O((nnz(x) + len(items)) × n_nonzero) time.
        """
        check_is_fitted(self)
        history = self._one_history(x, "explain")
        A = self.item_embeddings_
        names = getattr(self, "feature_names_in_", None)
        asked = item_positions(items, A.shape[0], names)
        profile = self._profiles_of(history).toarray().ravel()
        rows = self._towards(A[asked].astype(np.float64), asked, profile)
        seen = A[history.indices].astype(np.float64)
        parts = {
            "by_latent": split_by_latent(rows, profile),
            "by_history": split_by_history(rows, self._weighted(history), seen),
        }
        labels = Labels(
            asked, names, getattr(self, "anchors_", None), n_items=A.shape[0]
        )
        return _explanation(rows, parts, labels, segments)

    def without(self, x, item, k=10, *, exclude_seen=True, allow=None, deny=None):
        """Compare the list of a user with the one without an item of the history.

        The model has no parameters of users, so the new list is exactly what
        ``recommend`` returns for the shorter history; nothing is fitted again.

        Parameters
        ----------
        x : {array-like, sparse matrix} of shape (1, n_items) or (n_items,)
            The history of one user.
        item : int, str or array-like of these
            What to take out of it: a position or a name, or several. It may then be
            recommended itself, as anything else that is not in the history: deny it
            if that is not the question.
        k : int, default=10
            Length of the lists.
        exclude_seen : bool, default=True
            Leave out what is in the history, each list by its own.
        allow, deny : array-like or sparse matrix, default=None
            As in ``recommend``.

        Returns
        -------
        change : ListChange
            A Bunch of ``before`` and ``after``, positions of the items of both lists,
            best first; ``scores_before`` and ``scores_after``; ``entered`` and
            ``left``, the items of one list only; ``moved``, of shape (n_moved, 3), item
            and both places, from 0, of those in both lists whose place changed; and
            ``removed``. ``to_frame()`` is a table and ``to_text()`` are sentences of
            it.

        Raises
        ------
        ValueError
            If ``x`` has more than one row or no such item, if ``item`` is empty, or as
            ``recommend``.

        Notes
        -----
        The time of two lists of ``recommend``.
        """
        check_is_fitted(self)
        history = self._one_history(x, "without")
        names = getattr(self, "feature_names_in_", None)
        removed = item_positions(item, history.shape[1], names, "item")
        if not len(removed):
            raise ValueError("item names nothing to take out: pass at least one item")
        shorter = _without_entries(history, removed, names)
        parts = {"removed": removed}
        for when, row in (("before", history), ("after", shorter)):
            R = self._recommend(row, k, exclude_seen, allow, deny)
            (ids,), (scores,) = top_items(R)
            parts |= {when: ids, f"scores_{when}": scores}
        compared = compare_lists(parts["before"], parts["after"])
        parts |= dict(zip(("entered", "left", "moved"), compared, strict=True))
        return ListChange(Labels(removed, names, n_items=history.shape[1]), **parts)

    def _one_history(self, x, method):
        x = as_row(x)
        history = check_interactions(x, estimator=self, name="x", dtype=np.float64)
        if history.shape[0] != 1:
            raise ValueError(
                f"x must be the history of one user, got {history.shape[0]} rows: "
                f"call {method} for each"
            )
        return history

    def _towards(self, rows, items, profile):
        """Rows whose products with a profile are the scores of some items.

        Calibrated they are ``s_i a_i + b_i u/‖u‖``: popular items are moved towards
        whoever asks.
        """
        slopes = getattr(self, "item_slopes_", None)
        if slopes is not None:
            rows = scale_rows(rows, slopes[items])
        length = np.linalg.norm(profile)
        if not self._is_calibrated or length == 0:
            return rows
        intercepts = self.item_intercepts_[items].astype(np.float64)[:, None]
        return rows + sp.csr_array(intercepts) @ sp.csr_array(profile[None] / length)


class CodeExplanationMixin:
    """Explanations of similarities to codes.

    A class that uses it is a ``CodeSearchMixin``.
    """

    def explain(self, x, items, *, space="sparse", segments=None):
        """Split the similarities of some fitted rows to one vector into contributions.

        In every space the cosine of a query and a row of the catalogue is a sum over
        the latents of the row's code, ``Σ_l p_l a_il``. In the sparse space ``p`` is
        the query's code at unit length. In the others ``a_i`` is divided by the length
        of what it rebuilds, and ``p`` are the products of the decoder with what the
        query's code rebuilds, or with the query itself.

        There is no history here. In the asymmetric space the cosine is also a sum over
        the entries of the query, as it is linear in them; in the other spaces it is
        not, because the encoder selects.

        Parameters
        ----------
        x : {array-like, sparse matrix} of shape (1, n_features) or (n_features,)
            The query, a vector.
        items : array-like of int
            The fitted rows to explain: positions.
        space : {"sparse", "reconstructed", "asymmetric"}, default="sparse"
            As in ``recommend``.
        segments : LatentSegments, default=None
            Fitted on ``item_embeddings_``, to split the similarities by segment too: by
            latent, and the side of it that the row is on.

        Returns
        -------
        explanation : Explanation
            A Bunch of ``by_latent``, CSR of shape (len(items), n_components); in the
            asymmetric space ``by_feature``, CSR of shape (len(items), n_features): what
            each entry of ``x`` brings, at unit length and, with ``center``, less the
            mean; and, with ``segments``, ``by_segment``, CSR of shape (len(items),
            n_segments + 1), whose last column is what belongs to no segment. float64;
            each row of each sums to the cosine. ``to_frame()`` is a table and
            ``to_text()`` are sentences of it.

        Raises
        ------
        ValueError
            If ``x`` has more than one row, for an unknown space, a position out of
            range, or if ``segments`` were fitted on embeddings of another width.

        Notes
        -----
        O(n_components × n_features + len(items) × n_nonzero) time, and O(len(items) ×
        n_nonzero × n_features) more for ``by_feature``.
        """
        check_is_fitted(self)
        encode = self._query_encoder(space)
        x = check_embeddings(as_row(x), estimator=self)
        if x.shape[0] != 1:
            raise ValueError(
                f"x must be one vector, got {x.shape[0]} rows: call explain for each"
            )
        n_items = self.item_embeddings_.shape[0]
        asked = item_positions(items, n_items)
        rows = self._compared_rows(asked, space)
        profile = encode(x)
        profile = profile.toarray() if sp.issparse(profile) else np.asarray(profile)
        parts = {"by_latent": split_by_latent(rows, profile[0].astype(np.float64))}
        if space == "asymmetric":
            query = unit_rows(x, self.mean_)[0].astype(np.float64)
            decoder = self.components_.astype(np.float64)
            parts["by_feature"] = split_by_feature(rows, query, decoder)
        features = getattr(self, "feature_names_in_", None)
        labels = Labels(asked, feature_names=features, n_items=n_items)
        return _explanation(rows, parts, labels, segments)


def _explanation(rows, parts, labels, segments):
    """Return the parts, and by segment where there are segments."""
    if segments is not None:
        check_segments(segments, rows.shape[1])
        pairs, names = segments.pair_segments_, list(segments.segment_names_)
        split = split_by_segment(rows, parts["by_latent"], pairs, len(names))
        parts = parts | {"by_segment": split}
        labels = labels._replace(segment_names=names)
    parts = {name: to_sparse_interface(part) for name, part in parts.items()}
    return Explanation(labels, **parts)


def _without_entries(history, removed, names):
    """Return a history without some of its items."""
    missing = removed[~np.isin(removed, history.indices)]
    if len(missing):
        item = missing[0] if names is None else repr(names[missing[0]])
        raise ValueError(
            f"item {item} is not in the history x, so it cannot be taken out: pass an "
            "item with an interaction"
        )
    kept = ~np.isin(history.indices, removed)
    places = np.zeros(kept.sum(), dtype=np.int64), history.indices[kept]
    return sp.csr_array((history.data[kept], places), shape=history.shape)
