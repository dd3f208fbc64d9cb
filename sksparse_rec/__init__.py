"""High-dimensional k-sparse embeddings as scikit-learn estimators."""

from sksparse_rec.models import CompressedELSA
from sksparse_rec.retrieval import top_items

__all__ = ["CompressedELSA", "__version__", "top_items"]

__version__ = "0.1.0.dev0"
