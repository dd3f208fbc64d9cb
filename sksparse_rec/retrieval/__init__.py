"""Exact search over row-sparse embeddings."""

from sksparse_rec.retrieval._index import SparseIndex
from sksparse_rec.retrieval._index_state import check_popularity
from sksparse_rec.retrieval._items import (
    bool_mask,
    check_k,
    check_mask_shape,
    is_mask_for_each,
    item_candidates,
    item_positions,
    own_items,
)
from sksparse_rec.retrieval._search import prepare, remember, search
from sksparse_rec.retrieval._similarity import (
    query_profiles,
    reconstructed_similarity,
    reconstruction_norms,
    sparse_similarity,
)
from sksparse_rec.retrieval._top_items import top_items

__all__ = [
    "SparseIndex",
    "bool_mask",
    "check_k",
    "check_mask_shape",
    "check_popularity",
    "is_mask_for_each",
    "item_candidates",
    "item_positions",
    "own_items",
    "prepare",
    "query_profiles",
    "reconstructed_similarity",
    "reconstruction_norms",
    "remember",
    "search",
    "sparse_similarity",
    "top_items",
]
