"""High-dimensional k-sparse embeddings as scikit-learn estimators."""

from sksparse_rec._memory import memory_report
from sksparse_rec.models import (
    CompresSAE,
    CompressedELSA,
    CompressedELSACV,
    compressed_elsa_path,
)
from sksparse_rec.retrieval import (
    reconstructed_similarity,
    sparse_similarity,
    top_items,
)

__all__ = [
    "CompresSAE",
    "CompressedELSA",
    "CompressedELSACV",
    "__version__",
    "compressed_elsa_path",
    "memory_report",
    "reconstructed_similarity",
    "sparse_similarity",
    "top_items",
]

__version__ = "0.1.0.dev0"
