"""Cosines of every pair of codes, as they are and of what they rebuild."""

from functools import partial

import numpy as np
import scipy.sparse as sp
from sklearn import get_config
from sklearn.utils import check_array, gen_batches

from sksparse_rec._sparse import normalize_rows, scale_rows
from sksparse_rec._validation import check_length

# Rows of S that are multiplied at once: more of their profiles do not fit the cache.
LARGEST_BLOCK = 128
# Arrays of the width of the codes, and of a decoder's rows, that exist at once.
PROFILE_COPIES = 3
RECONSTRUCTION_COPIES = 2


def sparse_similarity(S, T=None):
    r"""Cosine similarity of every pair of sparse codes.

    Use it to look at a few codes: which of them are alike, and how much. The best of a
    whole catalogue come from ``recommend`` and ``similar_items``, which keep only
    those.

    Parameters
    ----------
    S : {array-like, sparse matrix} of shape (n_S, n_components)
        Codes, raw or scaled to unit rows: what ``transform`` returns, or
        ``item_embeddings_``. Values may be negative.
    T : {array-like, sparse matrix} of shape (n_T, n_components), default=None
        The codes to compare with; None: ``S`` itself.

    Returns
    -------
    ndarray of shape (n_S, n_T), float64
        Between -1 and 1 up to rounding. A row without entries has 0 with every other.

    Raises
    ------
    ValueError
        If ``S`` and ``T`` have different numbers of columns, are empty, or hold NaN
        or infinity.

    See Also
    --------
    reconstructed_similarity : Cosines of the vectors that the codes stand for.
    sklearn.metrics.pairwise.cosine_similarity : Also for dense vectors.

    Notes
    -----
    The similarity of two codes is

    .. math:: \frac{\langle s, t \rangle}{\|s\| \, \|t\|}.

    A pair takes O(k) time, with k the non-zeros of a row of ``T``. Beside the result
    and float64 copies of the codes, memory is bounded by
    ``sklearn.get_config()["working_memory"]``.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from sksparse_rec import sparse_similarity
    >>> S = csr_array([[3.0, 0.0, -4.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0]])
    >>> sparse_similarity(S[:2], S)
    array([[ 1. ,  0. , -0.8],
           [ 0. ,  1. ,  0. ]])
    """
    S = normalize_rows(_check_codes(S, "S"))
    if T is None:
        T = S
    else:
        T = _check_codes(T, "T", S.shape[1], "the number of columns of S")
        T = normalize_rows(T)
    return _products(S, T, lambda block: block.toarray())


def reconstructed_similarity(S, T=None, decoder=None):
    r"""Cosine similarity of the vectors that every pair of sparse codes rebuilds.

    Use it where codes are compared as the vectors they stand for: two different
    latents may point in nearly the same direction, which ``sparse_similarity`` does
    not see. It comes closer to the similarity of the vectors that were compressed. The
    best of a whole catalogue come from ``recommend(..., space="reconstructed")``.

    Parameters
    ----------
    S : {array-like, sparse matrix} of shape (n_S, n_components)
        Codes, raw or scaled to unit rows: what ``transform`` returns, or
        ``item_embeddings_``. Values may be negative.
    T : {array-like, sparse matrix} of shape (n_T, n_components), default=None
        The codes to compare with; None: ``S`` itself. Where one of the two is much
        larger, let it be this one.
    decoder : array-like of shape (n_components, n_features)
        What the codes are multiplied with to rebuild vectors: ``components_`` of the
        ``CompresSAE`` that made them. Must be given.

    Returns
    -------
    ndarray of shape (n_S, n_T), float64
        Between -1 and 1 up to rounding. A code that rebuilds the zero vector has 0
        with every other.

    Raises
    ------
    ValueError
        If there is no decoder, if its rows are not as many as the columns of ``S`` and
        ``T``, or if any of the three is empty or holds NaN or infinity.
    TypeError
        If the decoder is sparse.

    See Also
    --------
    sparse_similarity : Cosines of the codes themselves, without a decoder.

    Notes
    -----
    With :math:`W` the decoder and :math:`K = W W^\top`, the similarity of two codes is

    .. math:: \frac{s K t^\top}{\sqrt{s K s^\top} \sqrt{t K t^\top}},

    the cosine of :math:`sW` and :math:`tW`. Neither :math:`K` nor all of :math:`TW` is
    formed. The profile :math:`sK` takes O(n_components × n_features) time for a row of
    ``S``, the norm O(k × n_features) for a row of either, with k its non-zeros, and
    then a pair takes O(k). Beside the result and float64 copies of the codes and the
    decoder, memory is bounded by ``sklearn.get_config()["working_memory"]``.

    Examples
    --------
    Two latents that point in similar directions:

    >>> from scipy.sparse import csr_array
    >>> from sksparse_rec import reconstructed_similarity, sparse_similarity
    >>> decoder = [[1.0, 0.0], [0.8, 0.6]]
    >>> S = csr_array([[1.0, 0.0], [0.0, 1.0]])
    >>> sparse_similarity(S)
    array([[1., 0.],
           [0., 1.]])
    >>> reconstructed_similarity(S, decoder=decoder)
    array([[1. , 0.8],
           [0.8, 1. ]])
    """
    if decoder is None:
        raise ValueError(
            "decoder is None: pass the components_ of the CompresSAE that made the "
            "codes, or compare the codes themselves with sparse_similarity"
        )
    decoder = check_array(decoder, dtype=np.float64, input_name="decoder")
    expected = len(decoder), "the number of rows of decoder"
    S = _check_codes(S, "S", *expected)
    T = S if T is None else _check_codes(T, "T", *expected)
    T = scale_rows(T, _inverse(reconstruction_norms(T, decoder)))
    to_profiles = partial(query_profiles, decoder=decoder)
    return _products(S, T, to_profiles, n_features=decoder.shape[1])


def reconstruction_norms(S, decoder):
    """Return the Euclidean length of every row of ``S @ decoder``.

    Parameters
    ----------
    S : sparse matrix of shape (n_rows, n_components)
        CSR.
    decoder : ndarray of shape (n_components, n_features)
        Computed with in float64, into which other types are copied.

    Returns
    -------
    norms : ndarray of shape (n_rows,), float64

    Notes
    -----
    O(nnz(S) × n_features) time; memory bounded by the working memory.
    """
    decoder = np.asarray(decoder, dtype=np.float64)
    norms = np.empty(S.shape[0])
    for rows in _blocks(S.shape[0], RECONSTRUCTION_COPIES * decoder.shape[1]):
        norms[rows] = np.linalg.norm(S[rows].astype(np.float64) @ decoder, axis=1)
    return norms


def query_profiles(S, decoder):
    """Return ``x decoderᵀ`` for the reconstruction ``x`` of every code at unit length.

    Its product with a code that is divided by its own reconstruction norm is the
    cosine of the two reconstructions.

    Parameters
    ----------
    S : sparse matrix of shape (n_rows, n_components)
        CSR.
    decoder : ndarray of shape (n_components, n_features)
        Computed with in float64, into which other types are copied: callers with many
        blocks convert it once.

    Returns
    -------
    profiles : ndarray of shape (n_rows, n_components), float64
        Zero for codes that rebuild the zero vector.
    """
    decoder = np.asarray(decoder, dtype=np.float64)
    reconstructions = S.astype(np.float64) @ decoder
    norms = np.linalg.norm(reconstructions, axis=1)
    reconstructions *= _inverse(norms)[:, None]
    return reconstructions @ decoder.T


def _check_codes(S, name, n_columns=None, meaning=None):
    """Return codes as a CSR array, float64, sorted and without duplicates."""
    if n_columns is None:
        # Of a matrix: anything else is refused by the check.
        n_columns = int(np.prod(np.shape(S)[1:]))
    S = check_length(S, n_columns, name, meaning)
    S = sp.csr_array(S, dtype=np.float64, copy=True)
    S.sum_duplicates()
    return S


def _products(S, T, to_profiles, n_features=0):
    """Return ``to_profiles(S) @ T.T``, a block of the rows of ``S`` at a time."""
    products = np.empty((S.shape[0], T.shape[0]))
    width = (
        T.shape[0] + PROFILE_COPIES * S.shape[1] + RECONSTRUCTION_COPIES * n_features
    )
    for rows in _blocks(S.shape[0], width):
        products[rows] = (T @ to_profiles(S[rows]).T).T
    return products


def _blocks(n_rows, width):
    """Yield slices of rows of which ``width`` float64 each fit working memory."""
    budget = get_config()["working_memory"] * 2**20
    size = int(np.clip(budget / (8 * width), 1, LARGEST_BLOCK))
    return gen_batches(n_rows, size)


def _inverse(norms):
    """Return 1 / norms, and 0 where a norm is 0."""
    return np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
