"""TorchRecommender: a trained torch module with the methods of a recommender."""

from typing import ClassVar

from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from sksparse_rec._numerics.module import run_rows
from sksparse_rec._validation import (
    HasMethods,
    check_interactions,
    check_length,
    fit_context,
)


class TorchRecommender(TransformerMixin, BaseEstimator):
    """A trained torch module as a recommender that can be steered.

    For collaborative autoencoders such as MultVAE: what lies between their encoder and
    their decoder is the profile. The module needs two methods,

    - ``encode(x)``: from histories, float32 of shape (n_users, n_items), to profiles of
      shape (n_users, n_dimensions), or to a tuple that begins with them, such as means
      and log-variances;
    - ``decode(z)``: from profiles to scores of shape (n_users, n_items).

    Both are called without gradients and in evaluation mode, on the device of the
    module's parameters.

    Parameters
    ----------
    module : torch.nn.Module
        Trained; it is not trained here. `sklearn.base.clone` copies it.

    Attributes
    ----------
    n_features_in_ : int
        Number of items.

    See Also
    --------
    SteerableRecommender : What it is for.

    Examples
    --------
    >>> import torch
    >>> from sksparse_rec.datasets import make_interactions
    >>> from sksparse_rec.steering import TorchRecommender
    >>> class Autoencoder(torch.nn.Module):
    ...     def __init__(self, n_items):
    ...         super().__init__()
    ...         self.inner = torch.nn.Linear(n_items, 8)
    ...         self.outer = torch.nn.Linear(8, n_items)
    ...
    ...     def encode(self, x):
    ...         return torch.tanh(self.inner(x))
    ...
    ...     def decode(self, z):
    ...         return self.outer(z)
    >>> X = make_interactions(50, 30, 400, random_state=0)
    >>> recommender = TorchRecommender(Autoencoder(30)).fit(X)
    >>> recommender.transform(X).shape
    (50, 8)
    """

    _parameter_constraints: ClassVar[dict] = {
        "module": [HasMethods(["encode", "decode", "parameters", "eval"])]
    }

    def __init__(self, module):
        self.module = module

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn the number of items, and nothing else.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Interactions.
        y : object, default=None
            Ignored.

        Returns
        -------
        self : TorchRecommender
            Fitted.

        Raises
        ------
        ValueError
            If ``X`` is empty or has negative, NaN or infinite values.
        """
        check_interactions(X, estimator=self, reset=True)
        return self

    def transform(self, X):
        """Encode histories.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Histories.

        Returns
        -------
        profiles : ndarray of shape (n_users, n_dimensions), float32
            What ``encode`` makes of them, 512 rows at a time.

        Raises
        ------
        ValueError
            If ``X`` has negative, NaN or infinite values or another number of columns.
        """
        check_is_fitted(self)
        X = check_interactions(X, estimator=self)
        return run_rows(self.module, "encode", X)

    def inverse_transform(self, X):
        """Decode profiles.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_dimensions)
            Profiles as ``transform`` returns them, edited or not.

        Returns
        -------
        scores : ndarray of shape (n_users, n_items), float32
            What ``decode`` makes of them, 512 rows at a time.

        Raises
        ------
        ValueError
            If ``X`` has NaN or infinite values.
        """
        check_is_fitted(self)
        return run_rows(self.module, "decode", check_length(X, None, "X"))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = True
        return tags
