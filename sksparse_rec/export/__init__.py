"""Recommendations and codes for other programs."""

from sksparse_rec.export._bulk import write_bulk
from sksparse_rec.export._bulk_query import bulk_query, bulk_rank
from sksparse_rec.export._code_files import write_npz, write_parquet
from sksparse_rec.export._parquet import recommend_to_parquet
from sksparse_rec.export.milvus import MilvusStore
from sksparse_rec.export.pgvector import PgvectorStore
from sksparse_rec.export.qdrant import QdrantStore
from sksparse_rec.export.seismic import SeismicStore

__all__ = [
    "MilvusStore",
    "PgvectorStore",
    "QdrantStore",
    "SeismicStore",
    "bulk_query",
    "bulk_rank",
    "recommend_to_parquet",
    "write_bulk",
    "write_npz",
    "write_parquet",
]
