"""Exact search over row-sparse embeddings."""

from sksparse_rec.retrieval._search import search
from sksparse_rec.retrieval._top_items import top_items

__all__ = ["search", "top_items"]
