"""Sparsity schedules, and the step from a denser pattern to a sparser one."""

from typing import NamedTuple

import torch

from sksparse_rec._numerics.optimizer import NAdam
from sksparse_rec._numerics.rows import DenseRows, SparseRows

# A pattern is stored row-sparse once it keeps at most this share of the columns:
# below it, gathers at the pattern are cheaper than products of the whole matrix.
SPARSE_SHARE = 1 / 4
STEPS = 4


class SparsitySchedule(NamedTuple):
    """How many non-zeros a row keeps, and when; see ``n_nonzero_at``."""

    pruning: str
    n_epochs: int
    start: int
    target: int
    rewind: bool


def n_nonzero_at(epoch, schedule):
    """Return the non-zeros a row keeps after ``epoch`` epochs.

    It is ``start`` before the first epoch and ``target`` from ``n_epochs`` on. Between
    them ``"constant"`` is at the target already, ``"linear"`` loses the same number
    and ``"exponential"`` the same share an epoch; ``"stepwise"`` takes the exponential
    path in ``STEPS`` steps.
    """
    pruning, n_epochs, start, target, _ = schedule
    if epoch >= n_epochs:
        return target
    if epoch <= 0:
        return start
    if pruning == "constant":
        return target
    progress = epoch / n_epochs
    if pruning == "linear":
        return round(start + (target - start) * progress)
    if pruning == "stepwise":
        progress = int(progress * STEPS) / STEPS
    return round(start * (target / start) ** progress)


def prune(rows, n_nonzero, initial, optimizer, *, rewind=False):
    """Keep each row's ``n_nonzero`` largest absolute values.

    Parameters
    ----------
    rows : DenseRows or SparseRows
        The current parameter.
    n_nonzero : int
        Entries kept a row.
    initial : tensor of the shape of ``rows.values``, or None
        The values before training, needed for rewinding.
    optimizer : NAdam
        Its moments follow the kept entries.
    rewind : bool, default=False
        Set the kept entries back to their initial values and forget the moments, as in
        the lottery-ticket literature.

    Returns
    -------
    rows, initial, optimizer
        For the new pattern; ``SparseRows`` once few enough columns are left.
    """
    magnitude = rows.values.abs()
    if rows.live is not None:
        magnitude = magnitude.masked_fill(~rows.live, -1)
    kept = magnitude.topk(n_nonzero, dim=1).indices.sort(dim=1).values
    live = magnitude.gather(1, kept) > 0
    sparse = isinstance(rows, SparseRows)
    if sparse or n_nonzero <= SPARSE_SHARE * rows.n_components:
        columns = rows.columns.gather(1, kept) if sparse else kept.int()
        columns = columns.masked_fill(~live, 0)

        def narrow(tensor):
            return tensor.gather(1, kept).masked_fill_(~live, 0)

        def rebuild(values):
            padding = None if bool(live.all()) else live
            return SparseRows(values, columns, rows.n_components, padding, rows.half)

    else:
        mask = torch.zeros_like(rows.values, dtype=torch.bool).scatter_(1, kept, live)

        def narrow(tensor):
            return tensor * mask

        def rebuild(values):
            return DenseRows(values, mask, n_nonzero, rows.half)

    initial = None if initial is None else narrow(initial)
    if rewind:
        values = initial.clone()
        return rebuild(values), initial, NAdam.start(values)
    optimizer.first, optimizer.second = (
        narrow(optimizer.first),
        narrow(optimizer.second),
    )
    return rebuild(narrow(rows.values)), initial, optimizer
