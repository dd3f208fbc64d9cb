"""Concepts that people have words for, and the neurons that stand for them."""

from sksparse_rec.steering._concept_map import ConceptMap

__all__ = ["ConceptMap"]
