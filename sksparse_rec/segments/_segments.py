"""LatentSegments: groups of items by their dominant latents."""

from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils.validation import check_is_fitted

from sksparse_rec._validation import (
    HasMethods,
    Integral,
    Interval,
    Real,
    StrOptions,
    check_embeddings,
    fit_context,
    rolled_back_on_error,
    to_sparse_interface,
)
from sksparse_rec.models._base import DocumentationLinkMixin
from sksparse_rec.segments._assignment import (
    labels_of,
    memberships_of,
)
from sksparse_rec.segments._fit import fit_segments
from sksparse_rec.segments._members import MembersMixin


class LatentSegments(
    MembersMixin,
    DocumentationLinkMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Segments of items: groups by dominant latent and sign."""

    _parameter_constraints: ClassVar[dict] = {
        "min_size": [Interval(Integral, 1, None, closed="left")],
        "n_latents": [Interval(Integral, 1, None, closed="left")],
        "merge_threshold": [Interval(Real, 0, 1, closed="right"), None],
        "namer": [
            StrOptions({"tags", "texts", "anchors", "items", "ids"}),
            callable,
            None,
        ],
        "embedder": [callable, None],
        "n_words": [Interval(Integral, 1, None, closed="left")],
        "vectorizer": [HasMethods(["fit_transform", "get_feature_names_out"]), None],
    }

    def __init__(
        self,
        *,
        min_size=5,
        n_latents=1,
        merge_threshold=0.95,
        namer=None,
        embedder=None,
        n_words=3,
        vectorizer=None,
    ):
        self.min_size = min_size
        self.n_latents = n_latents
        self.merge_threshold = merge_threshold
        self.namer = namer
        self.embedder = embedder
        self.n_words = n_words
        self.vectorizer = vectorizer

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X,
        y=None,
        *,
        item_texts=None,
        item_tags=None,
        tag_names=None,
        item_names=None,
        anchors=None,
    ):
        """Group the rows of a table of item embeddings."""
        with rolled_back_on_error(self):
            X = _as_csr(check_embeddings(X, estimator=self, reset=True))
            for name, value in fit_segments(self, X).items():
                setattr(self, name, value)
        return self

    def transform(self, X):
        """Compute the memberships of items."""
        check_is_fitted(self)
        X = _as_csr(check_embeddings(X, estimator=self))
        n_segments = len(self.segment_latents_)
        return to_sparse_interface(
            memberships_of(X, self.pair_segments_, n_segments, self.n_latents)
        )

    def predict(self, X):
        """Return the segments of items, -1 for none."""
        check_is_fitted(self)
        X = _as_csr(check_embeddings(X, estimator=self))
        return labels_of(X, self.pair_segments_)

    @property
    def segment_parts_(self):
        """Pairs of latent and sign that make each segment.

        A list of n_segments arrays of shape (n_parts, 2), int64, the part with the
        most items first.
        """
        latents, signs, sizes = self.merge_leaves_.T
        segments = self.pair_segments_[2 * latents + (signs < 0)]
        order = np.lexsort((latents, -sizes, segments))
        order = order[segments[order] >= 0]
        starts = np.searchsorted(segments[order], np.arange(self._n_features_out))
        return np.split(self.merge_leaves_[order, :2], starts)[1:]

    @property
    def _n_features_out(self):
        return len(self.segment_latents_)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _as_csr(X):
    """Return a table as a canonical CSR array without zeros, at least float32.

    The caller's own buffers are shared where they are that, and never changed.
    """
    if not sp.issparse(X):
        return sp.csr_array(X.astype(np.result_type(X, np.float32), copy=False))
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    if not np.all(X.data):
        X = X.copy()
        X.eliminate_zeros()
    return X
