"""Exact search over dense and over sparse codes; numpy, scipy and torch only."""

import numpy as np
import scipy.sparse as sp
import torch
from _code_process import Level, Search

ROWS_PER_BLOCK = 256
# A column takes 16 bits.
MAX_COMPONENTS = 2**16


def best(scores, k):
    """Return the positions of the best scores of every row, best first.

    Parameters
    ----------
    scores : Tensor of shape (n_queries, n_vectors)
    k : int

    Returns
    -------
    ndarray of shape (n_queries, k), int64
    """
    return scores.topk(min(k, scores.shape[1])).indices.numpy()


def in_blocks(queries, k, search):
    """Search a block of queries at a time."""
    blocks = range(0, len(queries), ROWS_PER_BLOCK)
    return np.concatenate(
        [search(queries[start : start + ROWS_PER_BLOCK], k) for start in blocks]
    )


def unit(X):
    """Return a tensor with rows of unit length; zero rows stay."""
    return torch.nn.functional.normalize(X, dim=1)


def dense_search(codes, project):
    """Return the search over dense codes.

    Parameters
    ----------
    codes : Tensor of shape (n_vectors, n_dimensions)
        As they are stored.
    project : callable
        From queries to vectors of n_dimensions, which are not rounded.

    Returns
    -------
    callable
    """
    columns = codes.float().T.contiguous()

    def search(queries, k):
        return best(project(torch.from_numpy(queries)) @ columns, k)

    return lambda queries, k: in_blocks(queries, k, search)


def dense_level(size, project, *, n_bytes=None, quantize=None):
    """Return a level whose codes are projections, unit rows in 16 bits.

    Parameters
    ----------
    size : int
        Dimensions.
    project : callable
        From a tensor of vectors to one of ``size`` dimensions.
    n_bytes : int, default=None
        Of a vector; None is two for a dimension.
    quantize : callable, default=None
        What the codes are rounded by, in place of float16.

    Returns
    -------
    Level
    """
    if quantize is None:
        quantize = torch.Tensor.half
    facts = {"size": size, "bytes": 2 * size if n_bytes is None else n_bytes}
    return Level(
        facts,
        lambda X: quantize(unit(project(torch.from_numpy(X)))),
        (Search({}, lambda codes: dense_search(codes, project)),),
    )


def sparse_level(family, n_nonzero, encode, decoder):
    """Return a level of sparse codes that is searched in all spaces.

    All are a product of the stored codes with a vector for the query. That vector is
    the query's own code, or what the decoder sees of its reconstruction, or of the
    query itself. Codes are stored divided by their norm, or by that of their
    reconstruction, so that the products are cosines and nothing else is stored.

    Parameters
    ----------
    family : str
        Where the points of this level belong.
    n_nonzero : int
    encode : callable
        From vectors to CSR codes of shape (n_vectors, n_components).
    decoder : ndarray of shape (n_components, n_features)

    Returns
    -------
    Level
    """
    W = torch.from_numpy(np.ascontiguousarray(decoder, dtype=np.float32))

    def rebuild(codes):
        return torch.from_numpy(codes @ W.numpy())

    def of_codes(codes):
        return _stored(codes, np.sqrt(codes.multiply(codes).sum(axis=1)))

    def of_reconstructions(codes):
        blocks = range(0, codes.shape[0], 8 * ROWS_PER_BLOCK)
        norms = [
            rebuild(codes[start : start + 8 * ROWS_PER_BLOCK]).norm(dim=1)
            for start in blocks
        ]
        return _stored(codes, torch.cat(norms).numpy())

    ways = {
        "sparse": (of_codes, lambda Q: encode(Q).toarray()),
        "reconstructed": (
            of_reconstructions,
            lambda Q: (rebuild(encode(Q)) @ W.T).numpy(),
        ),
        "asymmetric": (
            of_reconstructions,
            lambda Q: (torch.from_numpy(Q) @ W.T).numpy(),
        ),
    }

    def search_in(space):
        store, see = ways[space]
        facts = {"family": f"{family}-{space}"}
        return Search(facts, lambda codes: sparse_search(store(codes), see))

    facts = {"size": n_nonzero, "bytes": 4 * n_nonzero}
    return Level(facts, encode, tuple(search_in(space) for space in ways))


def _stored(codes, norms):
    """Return codes divided by norms, with their values in 16 bits."""
    norms = np.asarray(norms, dtype=np.float32).ravel()
    scaled = sp.csr_array(codes, copy=True)
    scaled.data = scaled.data / np.repeat(
        np.where(norms > 0, norms, 1), np.diff(scaled.indptr)
    )
    if scaled.shape[1] > MAX_COMPONENTS:
        raise ValueError(f"{scaled.shape[1]} components need wider columns")
    scaled.data = scaled.data.astype(np.float16).astype(np.float32)
    return scaled


def sparse_search(codes, see):
    """Return the search over sparse codes.

    Parameters
    ----------
    codes : csr_array of shape (n_vectors, n_components)
    see : callable
        From queries to dense arrays of n_components.

    Returns
    -------
    callable
    """

    def search(queries, k):
        seen = np.ascontiguousarray(see(queries).T, dtype=np.float32)
        return best(torch.from_numpy(codes @ seen).T.contiguous(), k)

    return lambda queries, k: in_blocks(queries, k, search)
