"""Compressed ELSA: from interactions to row-sparse item embeddings of unit rows."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
import torch

from sksparse_rec._numerics.anchors import anchor_embeddings, draw_anchors
from sksparse_rec._numerics.batching import (
    load_interactions,
    sample_outputs,
    shuffled_batches,
    thin,
)
from sksparse_rec._numerics.device import to_csr, to_device, to_numpy
from sksparse_rec._numerics.encoding import encode_columns
from sksparse_rec._numerics.losses import LOSSES
from sksparse_rec._numerics.optimizer import NAdam
from sksparse_rec._numerics.pruning import n_nonzero_at, prune
from sksparse_rec._numerics.rows import DenseRows, SparseRows, tangent_, unit_rows
from sksparse_rec._numerics.training import learning_rate_at, run_epochs
from sksparse_rec._sparse import normalize_rows, places_in_rows, row_indices

DTYPES = {
    "auto": torch.float32,
    "float32": torch.float32,
    "float64": torch.float64,
}


class Setting(NamedTuple):
    """Everything about a training that is not data."""

    loss: str
    batch_size: int
    learning_rate: float
    n_decay_epochs: int | None
    dropout: float
    max_output: int | None
    dtype: torch.dtype
    device: torch.device


@dataclass
class TrainingState:
    """What training changes; ``initial`` is there for rewinding only."""

    rows: DenseRows | SparseRows
    optimizer: NAdam
    initial: torch.Tensor | None = None
    n_epochs: int = 0

    @classmethod
    def start(cls, rows, *, keep_initial):
        """Return the state before the first step."""
        initial = rows.values.clone() if keep_initial else None
        return cls(rows, NAdam.start(rows.values), initial)

    def embeddings(self, n_nonzero):
        """Return the embeddings as a CSR array, float32, rows of unit length.

        Rows keep their ``n_nonzero`` largest entries: before the end of a sparsity
        schedule there are more.
        """
        rows = self.rows
        if n_nonzero < rows.width:
            rows, _, _ = prune(rows, n_nonzero, None, NAdam.start(rows.values))
        values = unit_rows(rows.values)[0].float()
        if isinstance(rows, SparseRows):
            return to_csr(values, rows.columns, rows.live, rows.n_components)
        return sp.csr_array(to_numpy(values))

    def to_arrays(self):
        """Return the state as a dictionary of numpy arrays and numbers."""
        return {
            "values": to_numpy(self.rows.values),
            "columns": _optional(getattr(self.rows, "columns", None), to_numpy),
            "live": _optional(self.rows.live, to_numpy),
            "n_components": self.rows.n_components,
            "width": self.rows.width,
            "initial": _optional(self.initial, to_numpy),
            "first": to_numpy(self.optimizer.first),
            "second": to_numpy(self.optimizer.second),
            "n_steps": self.optimizer.n_steps,
            "momentum_product": self.optimizer.momentum_product,
            "n_epochs": self.n_epochs,
        }

    @classmethod
    def from_arrays(cls, arrays, setting):
        """Rebuild the state of ``to_arrays``; nothing of the arrays is shared."""

        def tensor(name):
            return _optional(
                arrays[name],
                lambda array: to_device(array, setting.device, setting.dtype).clone(),
            )

        live = _optional(arrays["live"], lambda a: to_device(a, setting.device).clone())
        if arrays["columns"] is None:
            rows = DenseRows(tensor("values"), live, arrays["width"])
        else:
            columns = to_device(arrays["columns"], setting.device).clone()
            rows = SparseRows(tensor("values"), columns, arrays["n_components"], live)
        optimizer = NAdam(
            tensor("first"),
            tensor("second"),
            arrays["n_steps"],
            arrays["momentum_product"],
        )
        return cls(rows, optimizer, tensor("initial"), arrays["n_epochs"])


def _optional(value, function):
    return None if value is None else function(value)


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
    return DenseRows(unit_rows(values)[0])


def rows_from_csr(S, setting, width=None):
    """Return a CSR matrix as ``SparseRows``, padded to its longest row or ``width``."""
    width = width or max(1, int(np.diff(S.indptr).max(initial=0)))
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
    )


def admit_items(state, X, popularity, setting):
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
    codes = encode_columns(X[:, new], X, embeddings, rows.width)
    where = to_device(new, setting.device)
    if isinstance(rows, SparseRows):
        fresh = rows_from_csr(codes, setting, width=rows.width)
        rows.values[where], rows.columns[where] = fresh.values, fresh.columns
        # Empty rows mean that the pattern has a mask.
        rows.live[where] = fresh.values != 0
    else:
        rows.values[where] = to_device(codes.toarray(), setting.device, setting.dtype)
        if rows.live is not None:
            rows.live[where] = rows.values[where] != 0
    if state.initial is not None:
        state.initial[where] = rows.values[where]


def train(
    X,
    state,
    setting,
    schedule,
    n_epochs,
    generator,
    *,
    on_epoch_begin=None,
    on_epoch_end=None,
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
    on_epoch_begin, on_epoch_end : callable, default=None
        See ``training.run_epochs``.

    Returns
    -------
    losses : list of float, n_steps : int
    """
    # The losses compare directions, so the unit of a user's values does not matter to
    # them; unit rows keep their squares within the range of float32.
    interactions = load_interactions(normalize_rows(X), setting.device, setting.dtype)
    last_epoch = state.n_epochs + n_epochs
    seen = 0

    def step(batch):
        nonlocal seen
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

    def after_epoch(stop):
        if schedule is None:
            return
        n_nonzero = n_nonzero_at(state.n_epochs, schedule)
        if n_nonzero < state.rows.width:
            # Rewinding needs another epoch: without one it would undo the training.
            rewind = schedule.rewind and not stop and state.n_epochs < last_epoch
            state.rows, state.initial, state.optimizer = prune(
                state.rows, n_nonzero, state.initial, state.optimizer, rewind=rewind
            )
        if state.n_epochs >= schedule.n_epochs:
            state.initial = None

    return run_epochs(
        lambda: shuffled_batches(interactions, setting.batch_size, generator),
        step,
        n_epochs,
        after_epoch=after_epoch,
        on_epoch_begin=on_epoch_begin,
        on_epoch_end=epoch_ends,
    )


def train_step(batch, state, setting, learning_rate, generator):
    """Take one NAdam step on the raw rows; return the loss before it.

    The order is part of the method: normalise the rows, loss and gradient at the unit
    rows, back through the normalisation, mask, step.
    """
    rows, loss_function = state.rows, LOSSES[setting.loss]
    if setting.dropout > 0:
        batch = thin(batch, setting.dropout, generator)
    values, norms = unit_rows(rows.values)
    A = rows.with_values(values)
    if setting.max_output is None or setting.max_output >= batch.n_items:
        loss, gradient = loss_function(batch, A)
    else:
        batch, outputs = sample_outputs(batch, setting.max_output, generator)
        loss, share = loss_function(batch, A.take(outputs))
        gradient = torch.zeros_like(values).index_copy_(0, outputs, share)
    gradient = tangent_(gradient, values, norms)
    if rows.live is not None:
        gradient.mul_(rows.live)
    state.optimizer.step_(rows.values, gradient, learning_rate)
    return loss
