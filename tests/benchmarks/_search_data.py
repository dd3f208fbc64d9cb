"""Catalogues of sparse embeddings of any size, and queries; numpy and scipy only."""

import hashlib
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

N_COMPONENTS, N_NONZERO = 4096, 32
N_QUERIES = 256
# Items of a topic draw from its latents, which it shares with other topics.
N_TOPICS, LATENTS_PER_TOPIC, DRAWS = 400, 160, 48
# Items of a history, most of them from a few topics.
HISTORY, OWN_TOPICS, OWN_SHARE = 200, 5, 0.7
BLOCK = 1 << 16


class Catalogue(NamedTuple):
    """What a run searches; every process makes it anew."""

    n_items: int

    @property
    def name(self):
        """Name of the folder of its records."""
        return f"{self.n_items}-items"


def make_items(n_items, seed):
    """Return unit rows of at most ``N_NONZERO`` entries, CSR, float32.

    Latents are unequally popular, the entries of a row of unequal size, and most of
    them positive, as those of CompressedELSA and CompresSAE are.
    """
    rng = np.random.default_rng(seed)
    topics = topic_latents(rng)
    blocks = [
        _rows(rng, topics[rng.integers(0, N_TOPICS, min(BLOCK, n_items - start))])
        for start in range(0, n_items, BLOCK)
    ]
    return sp.vstack(blocks, format="csr")


def topic_latents(rng):
    """Draw the latents of every topic, shape (N_TOPICS, LATENTS_PER_TOPIC)."""
    popularity = 1 / np.sqrt(10 + np.arange(N_COMPONENTS))
    scores = np.log(popularity) + rng.gumbel(size=(N_TOPICS, N_COMPONENTS))
    # The largest of such scores are a draw without replacement.
    order = np.argsort(-scores, axis=1)[:, :LATENTS_PER_TOPIC]
    return rng.permutation(N_COMPONENTS)[order]


def _rows(rng, latents):
    """Draw rows from the latents that each may have."""
    n = len(latents)
    # The first latents of a topic are drawn more often.
    places = (LATENTS_PER_TOPIC * rng.random((n, DRAWS)) ** 1.5).astype(int)
    columns = np.sort(np.take_along_axis(latents, places, axis=1), axis=1)
    is_new = np.ones(columns.shape, dtype=bool)
    is_new[:, 1:] = columns[:, 1:] != columns[:, :-1]
    # Of the distinct ones as many as there may be, chosen at random.
    keys = np.where(is_new, rng.random(columns.shape), np.inf)
    limit = np.partition(keys, N_NONZERO - 1, axis=1)[:, [N_NONZERO - 1]]
    kept = is_new & (keys <= limit)
    values = rng.exponential(size=columns.shape) * np.where(
        rng.random(columns.shape) < 0.85, 1, -1
    )
    values /= np.sqrt(np.sum(values**2 * kept, axis=1, keepdims=True))
    indptr = np.append(0, np.cumsum(kept.sum(axis=1)))
    return sp.csr_array(
        (values[kept].astype(np.float32), columns[kept].astype(np.int32), indptr),
        shape=(n, N_COMPONENTS),
    )


def make_queries(items, seed):
    """Return profiles of histories, dense, and codes of single new items, CSR.

    Returns
    -------
    profiles : ndarray of shape (N_QUERIES, N_COMPONENTS), float32
        About half of it is zero.
    codes : csr_array of shape (N_QUERIES, N_COMPONENTS), float32
    """
    rng = np.random.default_rng(seed)
    topics = topic_latents(rng)
    rng = np.random.default_rng([seed, 1])
    codes = _rows(rng, topics[rng.integers(0, N_TOPICS, N_QUERIES)])
    own = int(HISTORY * OWN_SHARE)
    profiles = np.zeros((N_QUERIES, N_COMPONENTS), np.float32)
    for profile in profiles:
        chosen = rng.integers(0, N_TOPICS, OWN_TOPICS)
        near = _rows(rng, topics[rng.choice(chosen, own)])
        far = items[rng.integers(0, items.shape[0], HISTORY - own)]
        profile[:] = near.sum(axis=0) + far.sum(axis=0)
    return profiles, codes


def make_vectors(n_vectors, n_features, seed):
    """Return dense unit vectors, float32, made a block at a time."""
    rng = np.random.default_rng([seed, n_features])
    vectors = np.empty((n_vectors, n_features), np.float32)
    for start in range(0, n_vectors, BLOCK):
        block = vectors[start : start + BLOCK]
        rng.standard_normal(block.shape, dtype=np.float32, out=block)
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    return vectors


def describe_catalogue(catalogue, seed):
    """Describe a catalogue for a record, with the checksum of its first block."""
    items = make_items(min(catalogue.n_items, BLOCK), seed)
    digest = hashlib.sha256()
    for array in (items.data, items.indices, items.indptr.astype(np.int64)):
        digest.update(array.tobytes())
    return {
        "name": catalogue.name,
        "n_users": N_QUERIES,
        "n_items": catalogue.n_items,
        "n_components": N_COMPONENTS,
        "n_nonzero": N_NONZERO,
        "sha256": digest.hexdigest(),
    }
