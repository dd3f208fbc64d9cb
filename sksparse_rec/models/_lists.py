"""What an estimator with ``recommend`` has for pipelines and searches."""

import numpy as np
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sksparse_rec.model_selection import score_ranking
from sksparse_rec.retrieval import top_items

LIST_LENGTH = 10


def is_labels(y):
    """Tell whether ``y`` is one-dimensional, as the labels of a classifier are."""
    return y is not None and np.asarray(y).ndim == 1


def _predicts_lists(estimator):
    n_items = getattr(estimator, "n_features_in_", LIST_LENGTH)
    return n_items >= LIST_LENGTH or not getattr(estimator, "_has_labels", False)


class RankedListsMixin:
    """``predict`` and ``score`` of an estimator that has ``recommend``.

    ``_has_labels`` tells whether ``fit`` got labels; see ``predict``.
    """

    @available_if(_predicts_lists)
    def predict(self, X, *, k=LIST_LENGTH):
        """Recommend as an array of items, which is what ``Pipeline.predict`` gives.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            The users' histories.
        k : int, default=10
            Length of the lists.

        Returns
        -------
        items : ndarray of shape (n_users, k)
            Item positions (int64, padded with -1), or item names (object, padded with
            None) where the estimator was fitted on named columns. Best first; items
            of the history are left out.

        Raises
        ------
        ValueError
            As ``recommend``.

        Notes
        -----
        The method is absent where ``fit`` got one-dimensional labels as ``y`` and the
        catalogue has fewer than 10 items. Data like that come from scikit-learn's
        common checks, which take the method for a predictor of the labels and want
        one value a row.
        """
        R = self.recommend(X, k=k)
        ids = np.full((R.shape[0], int(k)), -1, dtype=np.int64)
        found, _ = top_items(R)
        ids[:, : found.shape[1]] = found
        names = getattr(self, "feature_names_in_", None)
        if names is None:
            return ids
        return np.append(names, None)[ids]  # -1 is the None at the end

    def score(self, X, y=None):
        """Return the mean nDCG@100 on held-out items.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Interactions, best of users that were not in ``fit``.
        y : {array-like, sparse matrix} of shape (n_users, n_items), default=None
            Targets; ``X`` is then the whole history. Without, a fifth of each row is
            hidden, chosen by the row's content, so always the same one. A
            one-dimensional ``y`` is ignored.

        Returns
        -------
        score : float
            Between 0 and 1; users without targets are left out.

        Raises
        ------
        ValueError
            If no user has an item to hide, or ``y`` has another shape than ``X``.

        See Also
        --------
        sksparse_rec.model_selection.make_ranking_scorer : Other metrics and splits.
        """
        check_is_fitted(self)
        return score_ranking(self.recommend, X, y)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
