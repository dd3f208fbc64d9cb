"""High-dimensional k-sparse embeddings as scikit-learn estimators."""

from sksparse_rec.models import CompressedELSA, CompressedELSACV, compressed_elsa_path
from sksparse_rec.retrieval import top_items

__all__ = [
    "CompressedELSA",
    "CompressedELSACV",
    "__version__",
    "compressed_elsa_path",
    "top_items",
]

__version__ = "0.1.0.dev0"
