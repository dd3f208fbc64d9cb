"""Exact search over row-sparse embeddings."""

from sksparse_rec.retrieval._search import search
from sksparse_rec.retrieval._similarity import (
    query_profiles,
    reconstructed_similarity,
    reconstruction_norms,
    sparse_similarity,
)
from sksparse_rec.retrieval._top_items import top_items

__all__ = [
    "query_profiles",
    "reconstructed_similarity",
    "reconstruction_norms",
    "search",
    "sparse_similarity",
    "top_items",
]
