"""Batches of users: CSR rows held as tensors on one device."""

from typing import NamedTuple

import torch

from sksparse_rec._numerics.device import to_device


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


def load_interactions(X, device, dtype):
    """Copy a scipy CSR matrix to ``device`` once; batches are cut from it there."""
    return Interactions(
        to_device(X.indptr, device, torch.int64),
        to_device(X.indices, device),
        to_device(X.data, device, dtype),
        X.shape[1],
    )


def take_users(interactions, users):
    """Return the ``Batch`` of some rows; ``users`` is an int64 tensor of positions."""
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


def shuffled_batches(interactions, batch_size, generator):
    """Yield every user once, in random order, ``batch_size`` at a time."""
    n_users = len(interactions.indptr) - 1
    order = torch.randperm(n_users, generator=generator)
    for users in order.to(interactions.indptr.device).split(batch_size):
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
