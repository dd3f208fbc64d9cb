"""Interaction data: a bundled real set, readers, fetchers and a generator."""

from sksparse_rec.datasets._base import get_data_home
from sksparse_rec.datasets._debian import load_debian
from sksparse_rec.datasets._goodbooks import fetch_goodbooks
from sksparse_rec.datasets._interactions import load_interactions
from sksparse_rec.datasets._mapped import open_interactions, save_interactions
from sksparse_rec.datasets._movielens import fetch_movielens
from sksparse_rec.datasets._synthetic import make_interactions

__all__ = [
    "fetch_goodbooks",
    "fetch_movielens",
    "get_data_home",
    "load_debian",
    "load_interactions",
    "make_interactions",
    "open_interactions",
    "save_interactions",
]
