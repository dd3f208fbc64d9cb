"""Batches of users: rows of interactions as tensors on one device."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
import torch

from sksparse_rec._numerics.device import to_device
from sksparse_rec._sparse import (
    is_mapped,
    normalize_rows,
    row_indices,
    rows_at,
    scale_columns,
)


class Interactions(NamedTuple):
    """A CSR matrix of interactions on a device, shape (n_users, n_items)."""

    indptr: torch.Tensor  # (n_users + 1,) int64
    items: torch.Tensor  # (nnz,) int32 or int64
    values: torch.Tensor  # (nnz,) float
    n_items: int


class Batch(NamedTuple):
    """Some users' interactions as triplets, ordered by user."""

    users: torch.Tensor  # (nnz,) int64, position of the user in the batch
    items: torch.Tensor  # (nnz,) int64
    values: torch.Tensor  # (nnz,) float
    n_users: int
    n_items: int


class HostInteractions(NamedTuple):
    """Interactions that stay where they are, in memory or in a mapped file."""

    X: sp.csr_array  # (n_users, n_items), any numeric dtype
    unit_rows: bool
    device: torch.device  # of the batches
    dtype: torch.dtype
    item_weights: np.ndarray | None = None  # (n_items,)


def load_interactions(X, device, dtype, *, unit_rows=False, item_weights=None):
    """Get a scipy CSR matrix ready for batches, scaled to unit rows if asked for.

    ``item_weights``, numbers that columns are multiplied by, come before that.
    Another device than the CPU gets a copy of the whole, from which batches are cut
    there, unless the matrix is memory-mapped. Otherwise only batches are ever copied.
    """
    if device.type == "cpu" or is_mapped(X):
        return HostInteractions(X, unit_rows, device, dtype, item_weights)
    X = scale_columns(X, item_weights)
    X = normalize_rows(X) if unit_rows else X
    return Interactions(
        to_device(X.indptr, device, torch.int64),
        to_device(X.indices, device),
        to_device(X.data, device, dtype),
        X.shape[1],
    )


def take_users(interactions, users):
    """Return the ``Batch`` of some rows; ``users`` is an int64 tensor of positions."""
    if isinstance(interactions, HostInteractions):
        return _copy_users(interactions, users)
    starts = interactions.indptr[users]
    lengths = interactions.indptr[users + 1] - starts
    total = int(lengths.sum())
    rows = torch.repeat_interleave(lengths, output_size=total)
    # Entry e of the batch is entry e - (its row's start in the batch) of its row.
    shift = starts - (lengths.cumsum(0) - lengths)
    entries = torch.arange(total, device=users.device) + shift[rows]
    return Batch(
        rows,
        interactions.items[entries].long(),
        interactions.values[entries],
        len(users),
        interactions.n_items,
    )


def _copy_users(interactions, users):
    X, unit_rows, device, dtype, item_weights = interactions
    rows = scale_columns(rows_at(X, users.numpy()), item_weights)
    if unit_rows:
        rows = normalize_rows(rows)
    return Batch(
        to_device(row_indices(rows), device),
        to_device(rows.indices, device).long(),
        to_device(rows.data, device, dtype),
        *rows.shape,
    )


def shuffled_batches(interactions, batch_size, generator):
    """Yield every user once, in random order, ``batch_size`` at a time."""
    on_host = isinstance(interactions, HostInteractions)
    n_users = interactions.X.shape[0] if on_host else len(interactions.indptr) - 1
    order = torch.randperm(n_users, generator=generator)
    if not on_host:
        order = order.to(interactions.indptr.device)
    for users in order.split(batch_size):
        yield take_users(interactions, users)


def thin(batch, share, generator):
    """Leave a random ``share`` of the interactions out of a batch."""
    kept = torch.rand(len(batch.items), generator=generator) >= share
    kept = kept.to(batch.items.device)
    return batch._replace(
        users=batch.users[kept], items=batch.items[kept], values=batch.values[kept]
    )


def sample_outputs(batch, max_output, generator):
    """Restrict a batch to its own items plus uniform negatives.

    All items of the batch are kept, and items drawn uniformly from the rest fill the
    outputs up to ``max_output`` ("sampled outputs" of the Compressed ELSA paper).

    Returns
    -------
    batch : Batch
        With items renumbered to positions in ``outputs``.
    outputs : tensor of shape (n_outputs,), int64
        The items that are scored, ascending.
    """
    chosen = torch.zeros(batch.n_items, dtype=torch.bool, device=batch.items.device)
    chosen[batch.items] = True
    missing = max_output - int(chosen.sum())
    if missing > 0:
        others = (~chosen).nonzero().squeeze(1)
        draw = torch.randperm(len(others), generator=generator)[:missing]
        chosen[others[draw.to(others.device)]] = True
    outputs = chosen.nonzero().squeeze(1)
    position = chosen.cumsum(0) - 1
    restricted = batch._replace(items=position[batch.items], n_items=len(outputs))
    return restricted, outputs
