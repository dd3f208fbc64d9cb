"""Torch modules on rows of arrays, in batches and without gradients."""

import contextlib

import numpy as np
import torch

from sksparse_rec._numerics.device import to_device, to_numpy

# Rows that go through a module at once.
BATCH = 512


@contextlib.contextmanager
def _evaluating(module):
    """Switch dropout and the like off, and leave the module as it was."""
    states = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, state in states:
            part.training = state


def run_rows(module, method, rows):
    """Return what a method of a module makes of rows, float32.

    Parameters
    ----------
    module : torch.nn.Module
        Stays on its device, and in the mode that it was in.
    method : str
        Gets a float32 tensor of shape (n, n_columns) and returns one of n rows, or a
        tuple whose first entry is that.
    rows : {ndarray, csr_array} of shape (n_rows, n_columns)

    Returns
    -------
    ndarray of shape (n_rows, n_outputs), float32
    """
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    parts = []
    with _evaluating(module):
        for start in range(0, max(rows.shape[0], 1), BATCH):
            batch = rows[start : start + BATCH]
            batch = batch.toarray() if hasattr(batch, "toarray") else batch
            batch = to_device(batch, device, torch.float32)
            found = getattr(module, method)(batch)
            found = found[0] if isinstance(found, tuple | list) else found
            parts.append(to_numpy(found.to(torch.float32)))
    return np.concatenate(parts)
