"""Measures of ranked lists, and of how clearly neurons stand for concepts."""

from sksparse_rec.metrics._beyond_accuracy import catalog_coverage, novelty
from sksparse_rec.metrics._diversity import intra_list_diversity
from sksparse_rec.metrics._evaluate import evaluate_ranking
from sksparse_rec.metrics._hits import hit_rate_at_k, precision_at_k, recall_at_k
from sksparse_rec.metrics._monosemanticity import Monosemanticity, monosemanticity
from sksparse_rec.metrics._ranks import (
    average_precision_at_k,
    ndcg_at_k,
    reciprocal_rank_at_k,
)

__all__ = [
    "Monosemanticity",
    "average_precision_at_k",
    "catalog_coverage",
    "evaluate_ranking",
    "hit_rate_at_k",
    "intra_list_diversity",
    "monosemanticity",
    "ndcg_at_k",
    "novelty",
    "precision_at_k",
    "recall_at_k",
    "reciprocal_rank_at_k",
]
