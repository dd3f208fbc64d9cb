"""Recommendations as padded arrays."""

import numpy as np
import scipy.sparse as sp

from sksparse_rec._sparse import places_in_rows, row_indices


def top_items(R):
    """Turn recommendations into padded arrays of item positions and scores.

    Use it after ``recommend`` or ``similar_items`` when arrays are handier than a
    sparse matrix.

    Parameters
    ----------
    R : sparse matrix or array of shape (n_rows, n_items)
        CSR as ``recommend`` returns it: the stored entries of a row are its items,
        best first. Operations of scipy that sort a row's columns lose that order.

    Returns
    -------
    ids : ndarray of shape (n_rows, k), int64
        Positions of the items, best first; ``k`` is the longest row of ``R``. Shorter
        rows are padded with -1.
    scores : ndarray of shape (n_rows, k), dtype of ``R``
        Their scores, padded with -inf.

    Raises
    ------
    TypeError
        If ``R`` is not CSR: other formats do not keep the order of a row.

    See Also
    --------
    sksparse_rec.CompressedELSA.recommend : Makes ``R``.

    Notes
    -----
    Takes O(n_rows × k) time and memory.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from sksparse_rec import top_items
    >>> R = csr_array((np.array([3.0, 2.0, 1.0]), [4, 0, 2], [0, 2, 3]), shape=(2, 5))
    >>> ids, scores = top_items(R)
    >>> ids
    array([[ 4,  0],
           [ 2, -1]])
    >>> scores
    array([[  3.,   2.],
           [  1., -inf]])
    """
    if not (sp.issparse(R) and R.format == "csr"):
        what = f"{R.format} matrix" if sp.issparse(R) else type(R).__name__
        raise TypeError(
            f"R must be CSR as recommend returns it, best item first, got a {what}"
        )
    lengths = np.diff(R.indptr)
    shape = (R.shape[0], int(lengths.max(initial=0)))
    rows = row_indices(R)
    place = rows, places_in_rows(R, rows)
    ids = np.full(shape, -1, dtype=np.int64)
    # Integers have no -inf.
    scores = np.full(shape, -np.inf, dtype=np.result_type(R.dtype, np.float32))
    ids[place], scores[place] = R.indices, R.data
    return ids, scores
