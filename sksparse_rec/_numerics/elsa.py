"""Compressed ELSA: from interactions to row-sparse item embeddings of unit rows."""

from dataclasses import replace

import numpy as np
import torch

from sksparse_rec._numerics.anchors import anchor_embeddings, draw_anchors
from sksparse_rec._numerics.batching import (
    load_interactions,
    sample_outputs,
    shuffled_batches,
    thin,
)
from sksparse_rec._numerics.device import to_device, to_numpy
from sksparse_rec._numerics.encoding import encode_columns
from sksparse_rec._numerics.losses import LOSSES
from sksparse_rec._numerics.pruning import n_nonzero_at, prune
from sksparse_rec._numerics.rows import DenseRows, SparseRows, products_of
from sksparse_rec._numerics.threads import n_parts, thread_count
from sksparse_rec._numerics.training import learning_rate_at, run_epochs
from sksparse_rec._sparse import places_in_rows, row_indices


def start_from_anchors(
    X, popularity, *, n_components, n_nonzero, user_weighting, setting, generator
):
    """Return ``SparseRows`` from co-occurrence with anchors, and the anchors.

    Memory is O(n_items × n_nonzero); see ``anchors.anchor_embeddings``.
    """
    anchors = draw_anchors(popularity, n_components, generator)
    S = anchor_embeddings(
        X, anchors, n_components, n_nonzero, user_weighting=user_weighting
    )
    return rows_from_csr(S, setting), anchors


def start_dense(popularity, *, n_components, setting, generator):
    """Return Gaussian ``DenseRows``; items without interactions have zero rows."""
    values = torch.randn(len(popularity), n_components, generator=generator)
    values[torch.from_numpy(popularity == 0)] = 0
    values = values.to(device=setting.device, dtype=setting.dtype)
    values, _ = products_of(values).unit_rows(values)
    return DenseRows(values, half=setting.half)


def rows_from_csr(S, setting, width=None):
    """Return a CSR matrix as ``SparseRows``, padded to its longest row or ``width``."""
    width = width or max(1, int(np.diff(S.indptr).max(initial=0)))
    S.sort_indices()
    rows = row_indices(S)
    place = rows, places_in_rows(S, rows)
    values = np.zeros((S.shape[0], width), dtype=S.dtype)
    columns = np.zeros((S.shape[0], width), dtype=np.int32)
    live = np.zeros((S.shape[0], width), dtype=bool)
    values[place], columns[place], live[place] = S.data, S.indices, True
    return SparseRows(
        to_device(values, setting.device, setting.dtype).clone(),
        to_device(columns, setting.device),
        S.shape[1],
        None if live.all() else to_device(live, setting.device),
        setting.half,
    )


def admit_items(state, X, popularity, setting, item_weights=None):
    """Give items that have no pattern yet one, in place, if ``X`` knows them.

    Their first values are the codes of ``encoding.encode_columns``.
    """
    rows = state.rows
    used = rows.values != 0 if rows.live is None else rows.live
    empty = ~to_numpy(used.any(dim=1))
    new = np.flatnonzero(empty & (popularity > 0))
    if len(new) == 0:
        return
    embeddings = state.embeddings(rows.width)
    codes = encode_columns(X[:, new], X, embeddings, rows.width, item_weights)
    where = to_device(new, setting.device)
    if isinstance(rows, SparseRows):
        fresh = rows_from_csr(codes, setting, width=rows.width)
        rows.values[where], rows.columns[where] = fresh.values, fresh.columns
        # Empty rows mean that the pattern has a mask.
        rows.live[where] = fresh.values != 0
        # Nothing that was made of the former pattern holds any more.
        state.rows = replace(rows, of_pattern={})
    else:
        rows.values[where] = to_device(codes.toarray(), setting.device, setting.dtype)
        if rows.live is not None:
            rows.live[where] = rows.values[where] != 0
    if state.initial is not None:
        state.initial[where] = rows.values[where]


def lowered(state, n_nonzero):
    """Return a copy with each row's ``n_nonzero`` entries of largest initial value.

    Values and moments stay as they are trained; the copy has no initial values.
    """
    if n_nonzero >= state.rows.width:
        return replace(state, initial=None).copy()
    by_initial = state.rows.with_values(state.initial)
    rows, values, optimizer = prune(
        by_initial, n_nonzero, state.rows.values, replace(state.optimizer)
    )
    rows = rows.with_values(values)
    return replace(state, rows=rows, optimizer=optimizer, initial=None)


def train(
    X,
    state,
    setting,
    schedule,
    n_epochs,
    generator,
    *,
    item_weights=None,
    before_step=None,
    on_epoch_begin=None,
    on_epoch_end=None,
    after_epoch=None,
):
    """Train ``state`` in place for ``n_epochs`` more epochs, pruning by ``schedule``.

    Parameters
    ----------
    X : csr_array of shape (n_users, n_items)
    state : TrainingState
    setting : Setting
    schedule : pruning.SparsitySchedule or None
        None trains the pattern as it is.
    n_epochs : int
    generator : torch.Generator
    item_weights : ndarray of shape (n_items,), default=None
        What an interaction counts.
    before_step : callable, default=None
        ``before_step()`` ends the training where it raises.
    on_epoch_begin, on_epoch_end : callable, default=None
        See ``training.run_epochs``.
    after_epoch : callable, default=None
        ``after_epoch(stop)`` finds ``state`` as the next epoch will.

    Returns
    -------
    losses : list of float, n_steps : int
    """
    # The losses compare directions, so the unit of a user's values does not matter to
    # them; unit rows keep their squares within the range of float32.
    interactions = load_interactions(
        X, setting.device, setting.dtype, unit_rows=True, item_weights=item_weights
    )
    last_epoch = state.n_epochs + n_epochs
    seen = 0

    def step(batch):
        nonlocal seen
        if before_step is not None:
            before_step()
        progress = state.n_epochs + seen / X.shape[0]
        seen += batch.n_users
        rate = learning_rate_at(progress, setting.learning_rate, setting.n_decay_epochs)
        return train_step(batch, state, setting, rate, generator)

    def epoch_ends(epoch, loss):
        nonlocal seen
        seen = 0
        state.n_epochs += 1
        lengths = torch.linalg.vector_norm(state.rows.values, dim=1)
        if not bool(torch.isfinite(lengths).all()):
            raise FloatingPointError(
                f"training diverged in epoch {state.n_epochs}: lower learning_rate"
            )
        return on_epoch_end is not None and on_epoch_end(epoch, loss)

    def epoch_is_over(stop):
        _prune_by_schedule(state, schedule, may_rewind=not stop, last_epoch=last_epoch)
        if after_epoch is not None:
            after_epoch(stop)

    return run_epochs(
        lambda: shuffled_batches(interactions, setting.batch_size, generator),
        step,
        n_epochs,
        n_done=state.n_epochs,
        after_epoch=epoch_is_over,
        on_epoch_begin=on_epoch_begin,
        on_epoch_end=epoch_ends,
    )


def _prune_by_schedule(state, schedule, *, may_rewind, last_epoch):
    if schedule is None:
        return
    n_nonzero = n_nonzero_at(state.n_epochs, schedule)
    if n_nonzero < state.rows.width:
        # Rewinding needs another epoch: without one it would undo the training.
        rewind = schedule.rewind and may_rewind and state.n_epochs < last_epoch
        # Nothing compiled runs beside torch's own threads here.
        with thread_count(n_parts()):
            state.rows, state.initial, state.optimizer = prune(
                state.rows, n_nonzero, state.initial, state.optimizer, rewind=rewind
            )
    if state.n_epochs >= schedule.n_epochs:
        state.initial = None


def train_step(batch, state, setting, learning_rate, generator):
    """Take one NAdam step on the raw rows; return the loss before it.

    The order is part of the method: normalise the rows, loss and gradient at the unit
    rows, mask, back through the normalisation, step.
    """
    rows, loss_function = state.rows, LOSSES[setting.loss]
    products = products_of(rows.values)
    if setting.dropout > 0:
        batch = thin(batch, setting.dropout, generator)
    values, norms = products.unit_rows(rows.values)
    A = rows.with_values(values)
    if setting.max_output is None or setting.max_output >= batch.n_items:
        loss, gradient = loss_function(batch, A)
    else:
        batch, outputs = sample_outputs(batch, setting.max_output, generator)
        loss, share = loss_function(batch, A.take(outputs))
        gradient = torch.zeros_like(values).index_copy_(0, outputs, share)
    if rows.live is not None:
        gradient.mul_(rows.live)
    products.descend_(
        state.optimizer, rows.values, gradient, values, norms, learning_rate
    )
    return loss
