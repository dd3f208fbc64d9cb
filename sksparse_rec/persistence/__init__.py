"""Models in folders: `save_model` and `load_model`."""

from sksparse_rec.persistence._models import load_model, save_model

__all__ = ["load_model", "save_model"]
