"""High-dimensional k-sparse embeddings as scikit-learn estimators."""

from sksparse_rec._format import PersistenceError
from sksparse_rec._memory import memory_report
from sksparse_rec._version import __version__
from sksparse_rec.models import (
    CompresSAE,
    CompressedELSA,
    CompressedELSACV,
    compressed_elsa_path,
    recommend_in_blocks,
)
from sksparse_rec.persistence import load_model, save_model
from sksparse_rec.retrieval import (
    SparseIndex,
    reconstructed_similarity,
    sparse_similarity,
    top_items,
)
from sksparse_rec.segments import LatentSegments, audience_embeddings
from sksparse_rec.steering import ConceptMap, SteerableRecommender

__all__ = [
    "CompresSAE",
    "CompressedELSA",
    "CompressedELSACV",
    "ConceptMap",
    "LatentSegments",
    "PersistenceError",
    "SparseIndex",
    "SteerableRecommender",
    "__version__",
    "audience_embeddings",
    "compressed_elsa_path",
    "load_model",
    "memory_report",
    "recommend_in_blocks",
    "reconstructed_similarity",
    "save_model",
    "sparse_similarity",
    "top_items",
]
