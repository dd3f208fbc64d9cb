"""Batches of dense vectors: rows of a table as unit rows on one device."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
import torch

from sksparse_rec._numerics.device import has_room, to_device

# Rows of a mapped file that are read together, and how many such pieces are shuffled
# into each other at a time.
PIECE_ROWS, PIECES = 64, 256
# Rows that are converted at once where the whole table is passed over.
BLOCK_ROWS = 2048
# Lengths whose squares are far from the ends of float32.
ORDINARY = 1e15
# Lengths below this are what rounding leaves of a unit row less one like it.
ROUNDING = 1e-6


class Vectors(NamedTuple):
    """A table that stays where it is, and what is done to the rows that are taken."""

    X: np.ndarray | sp.csr_array  # (n_rows, n_features), any floating dtype
    mean: np.ndarray | None  # of the unit rows, float32: subtracted where given
    device: torch.device
    is_mapped: bool = False
    units: torch.Tensor | None = None  # all of the unit rows, where the device has room


def unit_rows(rows, mean=None):
    """Return rows as float32 of unit length, less the mean; rows of zeros stay so.

    Parameters
    ----------
    rows : {ndarray, csr_array} of shape (n_rows, n_features)
    mean : ndarray of shape (n_features,), default=None
        What is left of a row is scaled to unit length again; nothing but rounding
        errors counts as zeros.
    """
    rows = rows.toarray() if sp.issparse(rows) else np.asarray(rows)
    # The same numbers in any type give the same rows.
    with np.errstate(over="ignore"):
        narrow = rows.astype(np.float32, copy=False)
        norms = np.linalg.norm(narrow, axis=1, keepdims=True)
    is_ordinary = (norms > 1 / ORDINARY) & (norms < ORDINARY)
    is_zero = np.zeros_like(is_ordinary)
    if not is_ordinary.all():
        # By the largest value first, as squares overflow and vanish. The other rows are
        # what they are without it.
        largest = np.abs(rows).max(axis=1, keepdims=True, initial=0).astype(np.float64)
        is_zero = largest == 0
        narrow = rows / np.where(is_ordinary | is_zero, 1, largest)
        narrow = narrow.astype(np.float32)
        norms = np.linalg.norm(narrow, axis=1, keepdims=True) + is_zero
    units = narrow / norms
    if mean is None:
        return units
    units = np.where(is_zero, 0, units - mean).astype(np.float32)
    norms = np.linalg.norm(units, axis=1, keepdims=True)
    return units / np.where(norms > ROUNDING, norms, np.inf)


def mean_unit_row(X):
    """Return the mean of the unit rows of a table, float32."""
    total = np.zeros(X.shape[1])
    for first in range(0, X.shape[0], BLOCK_ROWS):
        total += unit_rows(X[first : first + BLOCK_ROWS]).sum(axis=0, dtype=float)
    return (total / max(1, X.shape[0])).astype(np.float32)


def take_rows(vectors, rows):
    """Return some rows as a float32 tensor; ``rows`` are positions or a slice."""
    if vectors.units is not None:
        at = rows if isinstance(rows, slice) else to_device(rows, vectors.device)
        return vectors.units[at]
    taken = unit_rows(vectors.X[rows], vectors.mean)
    return to_device(taken, vectors.device)


def load_vectors(X, mean, device, is_mapped=False):
    """Get a table ready for batches.

    An accelerator that has room gets all of it as unit rows, once, unless it is sparse
    or mapped: rows that are copied for every batch would take longer than the step.

    Parameters
    ----------
    X : {ndarray, csr_array} of shape (n_rows, n_features)
    mean : ndarray of shape (n_features,) or None
    device : torch.device
    is_mapped : bool, default=False

    Returns
    -------
    Vectors
    """
    vectors = Vectors(X, mean, device, is_mapped)
    n_bytes = 4 * X.shape[0] * X.shape[1]
    if is_mapped or sp.issparse(X) or not has_room(device, n_bytes):
        return vectors
    units = torch.empty(X.shape, dtype=torch.float32, device=device)
    for first in range(0, X.shape[0], BLOCK_ROWS):
        rows = slice(first, first + BLOCK_ROWS)
        units[rows] = take_rows(vectors, rows)
    return vectors._replace(units=units)


def all_blocks(vectors):
    """Yield the whole table in order, ``BLOCK_ROWS`` rows at a time."""
    for first in range(0, vectors.X.shape[0], BLOCK_ROWS):
        yield take_rows(vectors, slice(first, first + BLOCK_ROWS))


def draw_rows(vectors, n_rows, generator):
    """Return different rows, drawn at random, that are not zero.

    There are fewer where the table has no more of them.
    """
    order = torch.randperm(vectors.X.shape[0], generator=generator).numpy()
    drawn, n_drawn, first = [take_rows(vectors, order[:0])], 0, 0
    while n_drawn < n_rows and first < len(order):
        last = first + n_rows - n_drawn
        rows = take_rows(vectors, np.sort(order[first:last]))
        rows = rows[rows.any(dim=1)]
        drawn.append(rows)
        n_drawn, first = n_drawn + len(rows), last
    return torch.cat(drawn)


def shuffled_vectors(vectors, batch_size, generator):
    """Yield every row once, in random order, ``batch_size`` at a time.

    A file that is mapped into memory is read in pieces of consecutive rows: pieces
    come in random order, and the rows of a number of them are shuffled together.
    """
    for positions in _order(vectors, generator).split(batch_size):
        # In a file, from front to back.
        yield take_rows(vectors, positions.sort().values.numpy())


def _order(vectors, generator):
    n_rows = vectors.X.shape[0]
    if not vectors.is_mapped:
        return torch.randperm(n_rows, generator=generator)
    order = torch.randperm(-(-n_rows // PIECE_ROWS), generator=generator)
    mixed = []
    for group in order.split(PIECES):
        rows = (group[:, None] * PIECE_ROWS + torch.arange(PIECE_ROWS)).flatten()
        rows = rows[rows < n_rows]
        mixed.append(rows[torch.randperm(len(rows), generator=generator)])
    return torch.cat(mixed)
