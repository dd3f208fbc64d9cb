"""Recommendations for other programs."""

from sksparse_rec.export._parquet import recommend_to_parquet

__all__ = ["recommend_to_parquet"]
