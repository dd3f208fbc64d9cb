"""The estimators."""

from sksparse_rec.models._compressed_elsa import CompressedELSA

__all__ = ["CompressedELSA"]
