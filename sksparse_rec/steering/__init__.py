"""Concepts that people have words for, the neurons of them, and knobs to turn them."""

from sksparse_rec.steering._concept_map import ConceptMap
from sksparse_rec.steering._report import SteeringReport
from sksparse_rec.steering._steerable import SteerableRecommender
from sksparse_rec.steering._torch_recommender import TorchRecommender

__all__ = [
    "ConceptMap",
    "SteerableRecommender",
    "SteeringReport",
    "TorchRecommender",
]
