"""The estimators."""

from sksparse_rec.models._base import DocumentationLinkMixin, RecommenderMixin
from sksparse_rec.models._blocks import recommend_in_blocks
from sksparse_rec.models._compres_sae import CompresSAE
from sksparse_rec.models._compressed_elsa import CompressedELSA
from sksparse_rec.models._compressed_elsa_cv import CompressedELSACV
from sksparse_rec.models._explanation_results import Explanation, ListChange
from sksparse_rec.models._lists import RankedListsMixin, is_labels
from sksparse_rec.models._path import compressed_elsa_path

__all__ = [
    "CompresSAE",
    "CompressedELSA",
    "CompressedELSACV",
    "DocumentationLinkMixin",
    "Explanation",
    "ListChange",
    "RankedListsMixin",
    "RecommenderMixin",
    "compressed_elsa_path",
    "is_labels",
    "recommend_in_blocks",
]
