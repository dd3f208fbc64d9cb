"""Batches on their way into a store."""

import numpy as np

from sksparse_rec.export._ledger import Ledger


def write_batches(store, batches, progress, on_batch):
    """Check all batches, and write those that the progress does not have.

    Parameters
    ----------
    store : Store
    batches : Batches
    progress : str, path-like or None
    on_batch : callable or None
    """
    description = batches.check(store._check) | store._describe(batches.batch_size)
    ledger = Ledger(progress, description, batches.n_items)
    n_done, base = ledger.read()
    if n_done and not _has(store, batches, n_done):
        n_done, base = 0, None
    if base is not None:
        base = _go_on(store, batches, n_done, base)
    else:
        base = store._end()
        # Before the first batch, which a crash may leave in the store without a trace.
        ledger.write(0, base)
    for batch in batches.between(n_done):
        store._upsert(batch, _settle(store, batch, base))
        ledger.write(batch.stop, base)
        if on_batch is not None:
            on_batch(batch.stop, batches.n_items)
    store._finish()


def _has(store, batches, n_done):
    """Tell whether the batches that were acknowledged are there still."""
    if len(store) < n_done:
        return False
    last = batches.ids[max(0, n_done - batches.batch_size) : n_done]
    return bool((store._positions_of(last) >= 0).all())


def _go_on(store, batches, n_done, base):
    """Return the base with which positions are new, if others wrote meanwhile."""
    ids = batches.ids[n_done : n_done + batches.batch_size]
    if not len(ids):
        return base
    # Of the batch that was under way.
    positions = base + n_done + np.arange(len(ids))
    own = positions[store._positions_of(ids) == positions]
    end = store._end()
    return base if end <= own.max(initial=base + n_done - 1) + 1 else end - n_done


def _settle(store, batch, base):
    """Return positions: of old items their own, of new ones those behind."""
    positions = base + np.arange(batch.start, batch.stop)
    if base:
        old = store._positions_of(batch.ids)
        positions = np.where(old >= 0, old, positions)
    return positions
