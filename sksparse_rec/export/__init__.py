"""Recommendations and codes for other programs."""

from sksparse_rec.export._parquet import recommend_to_parquet
from sksparse_rec.export.qdrant import QdrantStore

__all__ = ["QdrantStore", "recommend_to_parquet"]
