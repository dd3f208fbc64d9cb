"""Segments of items: groups by dominant latent, their names, what is made of them."""

from sksparse_rec.segments._audience import audience_embeddings
from sksparse_rec.segments._segments import LatentSegments

__all__ = ["LatentSegments", "audience_embeddings"]
