"""Checks of compressed rows that come from a file."""

import numpy as np

from sksparse_rec._format._errors import PersistenceError
from sksparse_rec._sparse import BLOCK_ENTRIES, extremes


def check_csr(data, indices, indptr, shape, what):
    """Raise unless three arrays are a CSR matrix in canonical form, of finite values.

    Whatever computes with it may then use the indices as positions unchecked. For a
    matrix by columns pass its transposed shape.

    Parameters
    ----------
    data, indices, indptr : ndarray
        In memory or mapped.
    shape : (int, int)
        Rows and columns.
    what : str
        How error messages call the matrix.

    Raises
    ------
    PersistenceError
        If the lengths differ, ``indptr`` falls, an index is out of range, the indices
        of a row do not ascend, or a value is NaN or infinite.

    Notes
    -----
    Reads every array once, in blocks.
    """
    n_rows, n_columns = shape
    one_dimensional = data.ndim == indices.ndim == indptr.ndim == 1
    if not one_dimensional or len(data) != len(indices) or len(indptr) != n_rows + 1:
        raise PersistenceError(
            f"{what} has data, indices and indptr of shapes {data.shape}, "
            f"{indices.shape} and {indptr.shape}, which do not make a matrix of "
            f"{n_rows} rows"
        )
    if indices.dtype.kind not in "iu" or indptr.dtype.kind != "i":
        raise PersistenceError(
            f"{what} has indices of {indices.dtype} and indptr of {indptr.dtype}, "
            "which are no integers"
        )
    if indptr[0] != 0 or indptr[-1] != len(data) or np.any(indptr[1:] < indptr[:-1]):
        raise PersistenceError(
            f"indptr of {what} does not rise from 0 to {len(data)}, the number of its "
            "entries"
        )
    low, high = extremes(indices)
    if len(indices) and not 0 <= low <= high < n_columns:
        raise PersistenceError(
            f"{what} has the index {low if low < 0 else high}, out of range for "
            f"{n_columns} columns"
        )
    _check_ascending(indices, indptr, what)
    if not np.isfinite(extremes(data)).all():
        raise PersistenceError(f"{what} holds values that are not finite")


def _check_ascending(indices, indptr, what):
    for start in range(0, len(indices) - 1, BLOCK_ENTRIES):
        block = indices[start : start + BLOCK_ENTRIES + 1]
        falls = start + 1 + np.flatnonzero(block[1:] <= block[:-1])
        row = np.searchsorted(indptr, falls.astype(indptr.dtype))
        inside = indptr[row] != falls
        if inside.any():
            place = int(row[inside][0]) - 1
            raise PersistenceError(
                f"the indices of row {place} of {what} do not ascend"
            )
