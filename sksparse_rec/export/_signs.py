"""Latents of both signs as latents that have none."""

import numpy as np
import scipy.sparse as sp

SIGNS = ("native", "split", "nonnegative")


def stored_width(n_components, signs):
    """Return how many dimensions the vectors in a store have."""
    return 2 * n_components if signs == "split" else n_components


def vector_name(n_components, signs):
    """Return the name of a vector, which tells its width and signs."""
    return f"codes_{n_components}" + ("_split" if signs == "split" else "")


def to_stored(rows, signs):
    """Return codes as a store gets them.

    Parameters
    ----------
    rows : csr_array of shape (n_rows, n_components)
        Columns ascending.
    signs : {"native", "split", "nonnegative"}
        With "split" latent ``j`` becomes ``j`` where it is positive, and ``j +
        n_components``, with its absolute value, where it is negative.

    Returns
    -------
    csr_array of shape (n_rows, stored_width(n_components, signs))
        Columns ascending.
    """
    if signs != "split":
        return rows
    n_rows, m = rows.shape
    columns = rows.indices + m * (rows.data < 0).astype(rows.indices.dtype)
    parts = np.abs(rows.data), columns, rows.indptr
    return sorted_rows(sp.csr_array(parts, shape=(n_rows, 2 * m)))


def from_stored(rows, n_components, signs):
    """Return what ``to_stored`` was given, in float64."""
    data, columns = rows.data.astype(np.float64), rows.indices
    if signs == "split":
        is_negative = columns >= n_components
        data = np.where(is_negative, -data, data)
        columns = columns - n_components * is_negative.astype(columns.dtype)
    shape = rows.shape[0], n_components
    return sorted_rows(sp.csr_array((data, columns, rows.indptr), shape=shape))


def canonical(Q):
    """Return a csr_array of float64, a copy, columns ascending and without zeros."""
    Q = sp.csr_array(Q, dtype=np.float64, copy=True)
    Q.sum_duplicates()
    Q.eliminate_zeros()
    return Q


def sorted_rows(rows):
    """Return a CSR matrix with the columns of every row ascending."""
    if not rows.has_sorted_indices:
        rows = rows.sorted_indices()
    return rows


def check_signs(rows, start, signs, refusal):
    """Raise if codes are negative where they must not be.

    Raises
    ------
    ValueError
        For the first one; ``start`` is the position of the first row, and ``refusal``
        why the store takes none as they are, or None.
    """
    if signs == "split" or (signs == "native" and refusal is None):
        return
    if rows.data.size == 0 or rows.data.min() >= 0:
        return
    place = int(np.argmax(rows.data < 0))
    row = start + int(np.searchsorted(rows.indptr, place, side="right")) - 1
    where = f"codes[{row}, {rows.indices[place]}] is {rows.data[place]}"
    if signs == "nonnegative":
        raise ValueError(
            f"{where}, and signs='nonnegative' takes no negative values: choose "
            "signs='split'"
        )
    raise ValueError(f"{where}, and {refusal}: choose signs='split'")
