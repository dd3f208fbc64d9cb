"""The vectors that are compressed, how queries are drawn, and their true neighbours."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from _data import DATASETS, data_folder

N_QUERIES = 1000
# As deep as the deepest cut-off.
N_NEIGHBOURS = 100
FACTORS_VARIABLE = "SKSPARSE_REC_FACTORS"
N_FACTORS = 256
ROWS_PER_BLOCK = 256


@dataclass(frozen=True)
class Corpus:
    """Vectors to compress.

    Parameters
    ----------
    name : str
        Also the name of the folder of its records.
    load : callable
        Returns an array of shape (n_vectors, n_features), any floating type.
    origin : str
        Where the vectors come from, for the page.
    n_queries : int
        Vectors that are held out as queries.
    """

    name: str
    load: Callable[[], np.ndarray]
    origin: str
    n_queries: int = N_QUERIES


def _load_minilm():
    path = data_folder() / "minilm-wordnet" / "embeddings.npz"
    with np.load(path) as stored:
        return stored["embeddings"]


def factors_folder():
    """Return the folder of the item factors, outside of the repository."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    default = cache / "sksparse_rec" / "benchmarks"
    return Path(os.environ.get(FACTORS_VARIABLE) or default)


def _load_factors(name):
    path = factors_folder() / f"{name}.npy"
    if not path.exists():
        raise SystemExit(
            f"{path} is missing: make it once by "
            "`python tests/benchmarks/bench_codes.py --make-factors`, or name another "
            f"folder in {FACTORS_VARIABLE}"
        )
    return np.load(path)


def elsa_factors(X):
    """Return the item factors of a dense ELSA, without items that have none."""
    from sksparse_rec import CompressedELSA

    model = CompressedELSA(N_FACTORS, n_nonzero=None, max_iter=6, random_state=0)
    A = np.asarray(model.fit(X).item_embeddings_.toarray(), dtype=np.float32)
    return A[np.any(A != 0, axis=1)]


def svd_factors(X):
    """Return the row factors of a truncated SVD of different rows."""
    from sklearn.decomposition import TruncatedSVD

    model = TruncatedSVD(N_FACTORS, random_state=0)
    return model.fit_transform(distinct_rows(X)).astype(np.float32)


def distinct_rows(X):
    """Return the rows of a matrix of ones, each of them once, in their order."""
    X = sp.csr_array(X)
    rows = zip(X.indptr[:-1], X.indptr[1:], strict=True)
    keys = [X.indices[start:end].tobytes() for start, end in rows]
    first = {key: row for row, key in reversed(list(enumerate(keys)))}
    return X[sorted(first.values())]


# What makes the factors of the corpora that are not stored as vectors.
MAKERS = {
    "gowalla-elsa": ("gowalla", elsa_factors),
    "debian-svd": ("debian", svd_factors),
}
# The order is that of the page.
CORPORA = {
    corpus.name: corpus
    for corpus in (
        Corpus(
            "minilm-wordnet",
            _load_minilm,
            "Embeddings of 50,000 WordNet glosses by all-MiniLM-L6-v2",
        ),
        Corpus(
            "gowalla-elsa",
            partial(_load_factors, "gowalla-elsa"),
            "Item factors of a dense ELSA, "
            f"`CompressedELSA({N_FACTORS}, n_nonzero=None, max_iter=6)`, on gowalla",
        ),
        Corpus(
            "debian-svd",
            partial(_load_factors, "debian-svd"),
            "Source packages of debian with different dependencies, "
            f"`TruncatedSVD({N_FACTORS})`",
        ),
    )
}


def make_factors(names=tuple(MAKERS)):
    """Make the factors that are not there yet.

    Parameters
    ----------
    names : sequence of str
        Keys of ``MAKERS``.
    """
    for name in names:
        path = factors_folder() / f"{name}.npy"
        if not path.exists():
            dataset, make = MAKERS[name]
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, make(DATASETS[dataset].load()))
        print(f"{path}: {np.load(path, mmap_mode='r').shape}")


def unit_rows(X):
    """Return float32 vectors of unit length.

    Parameters
    ----------
    X : ndarray of shape (n_vectors, n_features)
        Without zero rows.

    Returns
    -------
    ndarray of the same shape, float32
    """
    X = np.asarray(X, dtype=np.float64)
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)


def split_corpus(X, seed, n_queries=N_QUERIES):
    """Draw queries; the other vectors are fitted and searched.

    Parameters
    ----------
    X : ndarray of shape (n_vectors, n_features)
    seed : int
    n_queries : int

    Returns
    -------
    catalog, queries : ndarray
    """
    order = np.random.default_rng(seed).permutation(len(X))
    return X[np.sort(order[n_queries:])], X[np.sort(order[:n_queries])]


def true_neighbours(catalog, queries, k=N_NEIGHBOURS):
    """Find the nearest vectors by the cosine of the dense float32 vectors.

    Parameters
    ----------
    catalog, queries : ndarray of unit rows, float32
    k : int

    Returns
    -------
    ndarray of shape (n_queries, k), int64
        Best first.
    """
    columns = torch.from_numpy(catalog).T
    k = min(k, len(catalog))
    found = [
        (torch.from_numpy(queries[start : start + ROWS_PER_BLOCK]) @ columns).topk(k)
        for start in range(0, len(queries), ROWS_PER_BLOCK)
    ]
    return torch.cat([block.indices for block in found]).numpy()


def describe_corpus(corpus, X):
    """Describe a corpus: its size, and a checksum of its content.

    The queries take the place of users and the vectors of items.

    Parameters
    ----------
    corpus : Corpus
    X : ndarray of unit rows, float32

    Returns
    -------
    dict
    """
    digest = hashlib.sha256(np.asarray(X.shape, dtype="<i8").tobytes())
    digest.update(np.ascontiguousarray(X, dtype="<f4").tobytes())
    return {
        "name": corpus.name,
        "n_users": corpus.n_queries,
        "n_items": len(X) - corpus.n_queries,
        "n_features": X.shape[1],
        "sha256": digest.hexdigest(),
    }
