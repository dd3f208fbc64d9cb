"""Codes of a table of vectors, from a fitted autoencoder or one in training."""

import numpy as np
import scipy.sparse as sp

from sksparse_rec._numerics.autoencoder import encode, load_compiled_codes
from sksparse_rec._numerics.device import resolve_device, to_device, to_numpy
from sksparse_rec._numerics.threads import thread_count
from sksparse_rec._numerics.vectors import Vectors, all_blocks
from sksparse_rec._sparse import is_mapped
from sksparse_rec.models._resources import thread_count_for


def encode_blocks(vectors, encoder, intercept, n_nonzero, positive):
    """Yield the unit rows of a table and their codes, a block at a time.

    Parameters
    ----------
    vectors : Vectors
    encoder, intercept : tensors of shape (n_components, n_features), (n_components,)
    n_nonzero : int
    positive : bool

    Yields
    ------
    X : ndarray of shape (n_rows, n_features), float32
    codes : csr_array of shape (n_rows, n_components), float32
    """
    for X in all_blocks(vectors):
        yield to_numpy(X), encode(X, encoder, intercept, n_nonzero, positive)


def codes_of(estimator, X, n_nonzero):
    """Return the codes of a table of vectors, CSR float32.

    ``X`` is what ``check_embeddings`` returns.
    """
    with thread_count(*thread_counts(estimator, *X.shape)):
        codes = [codes for _, codes in _blocks(estimator, X, n_nonzero)]
    return sp.vstack(codes, "csr")


def cosines_of(estimator, X):
    """Return the cosine of every vector and its reconstruction."""
    decoder = estimator.components_
    with thread_count(*thread_counts(estimator, *X.shape)):
        blocks = _blocks(estimator, X, estimator.n_nonzero_)
        cosines = [row_cosines(codes @ decoder, X) for X, codes in blocks]
    return np.concatenate(cosines)


def thread_counts(estimator, n_rows, n_features):
    """Threads of a pass over some rows, and of torch within it.

    Compiled products bring threads of their own, and torch's would only wait beside
    them.
    """
    work = n_rows * n_features * int(estimator.n_components)
    n = thread_count_for(estimator.n_jobs, work)
    return n, n if load_compiled_codes() is None else 1


def row_cosines(Y, X):
    """Return the cosine of each row of one matrix with that row of another.

    It is 1 where both are zero, and 0 where one is.
    """
    norms = np.sqrt(_row_dots(Y, Y) * _row_dots(X, X))
    dots = _row_dots(Y, X)
    cosines = np.divide(dots, norms, out=np.zeros_like(dots), where=norms > 0)
    cosines = cosines.clip(-1, 1)
    both_zero = ~(np.any(X, axis=1) | np.any(Y, axis=1))
    return np.where(both_zero, 1.0, cosines)


def _row_dots(Y, X):
    return np.einsum("ij,ij->i", Y, X, dtype=np.float64)


def _blocks(estimator, X, n_nonzero):
    device = resolve_device(estimator.device)
    vectors = Vectors(X, estimator.mean_, device, is_mapped(X))
    coder = (
        to_device(array, device)
        for array in (estimator.encoder_components_, estimator.encoder_intercept_)
    )
    return encode_blocks(vectors, *coder, n_nonzero, estimator.positive)
