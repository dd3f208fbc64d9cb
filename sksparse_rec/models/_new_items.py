"""Codes of items that came after the training."""

from weakref import WeakKeyDictionary

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sksparse_rec._numerics.encoding import encode_columns
from sksparse_rec._validation import check_interactions, to_sparse_interface

# The interactions of the last training, by estimator; never pickled with it.
_TRAINING_INTERACTIONS = WeakKeyDictionary()


class NewItemsMixin:
    """``encode_items`` for a class with ``item_embeddings_`` and ``n_nonzero_``."""

    def encode_items(self, X_columns, X=None):
        """Give new items codes without retraining; the old codes stay as they are.

        Parameters
        ----------
        X_columns : {array-like, sparse matrix} of shape (n_users, n_new_items)
            Who interacted with the new items, a column an item.
        X : {array-like, sparse matrix} of shape (n_users, n_items), default=None
            The histories of the same users over the fitted items. None means that the
            rows of ``X_columns`` are the users of the last training in the same order,
            whose interactions are known as long as the estimator has not left the
            process that fitted it.

        Returns
        -------
        codes : sparse matrix or array of shape (n_new_items, n_components)
            CSR, float32, rows of unit length with at most ``n_nonzero_`` entries. A new
            item whose users have no history has an empty row.

        Raises
        ------
        ValueError
            If the numbers of users differ, or ``X`` is needed and not given.

        Notes
        -----
        The code is the best k-sparse unit vector for the sum of cosines to the
        profiles of the item's users: their mean direction, cut to its largest entries.
        O(nnz(X) × n_nonzero) time.
        """
        check_is_fitted(self)
        X_columns = check_interactions(X_columns, name="X_columns", dtype=np.float64)
        if X is None:
            X = _TRAINING_INTERACTIONS.get(self)
            if X is None:
                raise ValueError(
                    "the interactions of fit are not known any more, because the "
                    "estimator was copied or loaded: pass X, the histories of the "
                    "users of X_columns"
                )
        else:
            X = check_interactions(X, estimator=self, dtype=np.float64)
        if X.shape[0] != X_columns.shape[0]:
            raise ValueError(
                f"X_columns has {X_columns.shape[0]} users, but there are "
                f"{X.shape[0]} histories: row i of both is the same user"
            )
        codes = encode_columns(
            X_columns,
            X,
            self.item_embeddings_,
            self.n_nonzero_,
            getattr(self, "item_weights_", None),
        )
        return to_sparse_interface(codes)

    def _keep_interactions(self, X):
        """Remember what the estimator was trained on, as long as it lives."""
        _TRAINING_INTERACTIONS[self] = X
