"""The one training loop: epochs, batches, a step. Models supply the step."""

import math


def run_epochs(
    make_batches,
    step,
    n_epochs,
    *,
    n_done=0,
    after_epoch=None,
    on_epoch_begin=None,
    on_epoch_end=None,
):
    """Train for ``n_epochs`` epochs or until ``on_epoch_end`` asks to stop.

    Parameters
    ----------
    make_batches : callable
        Returns an iterable over the batches of one epoch.
    step : callable
        ``step(batch) -> loss``, a scalar tensor.
    n_epochs : int
        At most this many.
    n_done : int, default=0
        Epochs of the same training before this call, for the error.
    after_epoch : callable, default=None
        ``after_epoch(stop)``: what changes between epochs, such as pruning. It comes
        after ``on_epoch_end``, which sees the epoch's own result.
    on_epoch_begin : callable, default=None
        ``on_epoch_begin(epoch)``, counted from 0 in this call.
    on_epoch_end : callable, default=None
        ``on_epoch_end(epoch, loss) -> bool``; true stops the training.

    Returns
    -------
    losses : list of float
        The mean batch loss of every epoch.
    n_steps : int
        Batches seen.

    Raises
    ------
    FloatingPointError
        If the loss of an epoch is not finite.
    """
    losses, n_steps = [], 0
    for epoch in range(n_epochs):
        if on_epoch_begin is not None:
            on_epoch_begin(epoch)
        loss, n_batches = run_epoch(make_batches(), step)
        n_steps += n_batches
        losses.append(loss)
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the training loss became {loss} in epoch {n_done + epoch + 1}: "
                "lower learning_rate, or scale the values of X down"
            )
        stop = on_epoch_end is not None and bool(on_epoch_end(epoch, loss))
        if after_epoch is not None:
            after_epoch(stop)
        if stop:
            break
    return losses, n_steps


def learning_rate_at(progress, start, n_decay_epochs):
    """Return the step size after ``progress`` epochs, a real number.

    It falls linearly until ``n_decay_epochs`` and stays, from the last of them on, at
    ``start / n_decay_epochs``, so that training can go on. None keeps ``start``.
    """
    if n_decay_epochs is None:
        return start
    return start * max(1 - progress / n_decay_epochs, 1 / n_decay_epochs)


def run_epoch(batches, step):
    """Run one epoch; the loss is read from the device once, at its end."""
    total, n_batches = 0.0, 0
    for batch in batches:
        total = total + step(batch)
        n_batches += 1
    return float(total) / max(1, n_batches), n_batches
