"""Products of row-sparse matrices, compiled by numba; see ``products_torch``.

The functions have the names, arguments and results of ``products_torch`` and run on
the CPU only. Threads share nothing but what they read: each owns a range of latents,
users or items of the result, so no sum depends on their number, but for the profiles'
part of ``scores_adjoint``, to which every thread adds a share.
"""

import numpy as np
import torch

from sksparse_rec._numerics import kernels_numba as kernels
from sksparse_rec._numerics import products_torch
from sksparse_rec._numerics.optimizer import BETA1, BETA2, EPSILON
from sksparse_rec._numerics.threads import cut, cut_evenly, n_parts, run_parts

# Entries below which a second thread costs more than it brings.
WORTH_THREADS = 1 << 20
# As in ``products_torch``.
SCATTER, GATHER = (7, 13), (6, 16)


def profiles(rows, batch):
    """Return ``U = X A``, shape (n_users, m)."""
    values, columns = _arrays(rows)
    U = values.new_empty(batch.n_users, rows.n_components)
    starts = _starts(batch.users.numpy(), batch.n_users)
    arguments = values.numpy(), columns, starts, batch.items.numpy()
    bounds = _by_work(starts, rows.width)
    _in_threads(kernels.profiles, bounds, *arguments, batch.values.numpy(), U.numpy())
    return U


def profiles_adjoint(rows, batch, dU, gradient):
    """Add ``Xᵀ dU`` at the pattern, item by item."""
    _, columns = _arrays(rows)
    items, users = batch.items.numpy(), batch.users.numpy()
    starts, order = kernels.group(items, batch.n_items)
    weights = batch.values.numpy()[order]
    arguments = columns, starts, users[order], weights, dU.contiguous().numpy()
    bounds = _by_work(starts, rows.width)
    _in_threads(kernels.profiles_adjoint, bounds, *arguments, gradient.numpy())


def gram(rows):
    """Return ``G = Aᵀ A``, shape (m, m)."""
    values, columns = _arrays(rows)
    m = rows.n_components
    G = values.new_empty(m, m)
    pairs = rows.cached("pairs", lambda: kernels.pairs_before(columns, m))
    _in_threads(kernels.gram, _by_work(pairs), values.numpy(), columns, G.numpy())
    return mirror_(G)


def mirror_(G):
    """Copy what is above the diagonal below it; return ``G``."""
    # A row of tiles has one more than there are rows before it.
    tiles = np.cumsum(np.arange(-(-len(G) // kernels.TILE) + 1))
    _in_threads(kernels.mirror, _by_work(tiles, kernels.TILE**2), G.numpy())
    return G


def gram_adjoint(rows, H):
    """Return ``A H`` at the pattern for a symmetric ``H``."""
    values, columns = _arrays(rows)
    gradient = torch.empty_like(values)
    arguments = values.numpy(), columns, H.contiguous().numpy(), gradient.numpy()
    _in_threads(kernels.gram_adjoint, _evenly(len(values), rows.width**2), *arguments)
    return gradient


def whole_rows(rows, part):
    """Return some rows with all of their zeros, in bfloat16 if ``rows.half``."""
    if not _has_halves(rows):
        return products_torch.whole_rows(rows, part)
    values, columns = _arrays(rows)
    bits, columns = values[part].view(torch.int32), columns[part]
    block = torch.empty(len(bits), rows.n_components, dtype=torch.bfloat16)
    arguments = bits.numpy(), columns, block.view(torch.int16).numpy()
    _in_threads(kernels.whole_rows, _evenly(*block.shape), *arguments)
    return block


def at_pattern(rows, part, whole, gradient):
    """Write what some whole rows have at the pattern into a gradient."""
    if not _has_halves(rows):
        products_torch.at_pattern(rows, part, whole, gradient)
        return
    _, columns = _arrays(rows)
    bits = gradient[part].view(torch.int32)
    arguments = columns[part], whole.view(torch.int16).numpy(), bits.numpy()
    _in_threads(kernels.at_pattern, _evenly(*bits.shape), *arguments)


def cosines_(U, UG, x_squared):
    """Return cosines and gradients; see ``products_torch.cosines_``."""
    cosine, W = U.new_empty(len(U)), torch.empty_like(U)
    arrays = [array.numpy() for array in (U, UG, x_squared)]
    slope, rounding = -2 / len(U), 64 * torch.finfo(U.dtype).eps
    numbers = np.array([slope, rounding], dtype=arrays[0].dtype)
    bounds = _evenly(*U.shape)
    _in_threads(kernels.cosines, bounds, *arrays, numbers, cosine.numpy(), W.numpy())
    return cosine, UG, W


def scores(rows, UT):
    """Return ``A Uᵀ``, shape (n_items, n_users), from ``UT`` (m, n_users)."""
    values, columns = _arrays(rows)
    YT = values.new_empty(len(values), UT.shape[1])
    arguments = values.numpy(), columns, UT.contiguous().numpy(), YT.numpy()
    bounds = _evenly(len(values), rows.width * UT.shape[1])
    _in_threads(kernels.scores, bounds, *arguments)
    return YT


def scores_adjoint(rows, UT, dYT):
    """Return ``dYᵀ U`` at the pattern, and ``Aᵀ dYᵀ`` (m, n_users)."""
    values, columns = _arrays(rows)
    gradient = torch.empty_like(values)
    bounds = _evenly(len(values), rows.width * UT.shape[1])
    shares = UT.new_zeros(len(bounds) - 1, *UT.shape)
    arguments = values.numpy(), columns, UT.contiguous().numpy()
    arguments += dYT.contiguous().numpy(), gradient.numpy(), shares.numpy()
    _in_threads(kernels.scores_adjoint, bounds, *arguments)
    return gradient, shares.sum(dim=0)


def unit_rows(values):
    """Return ``values`` with rows of unit length, and the lengths (n_rows, 1)."""
    units, norms = torch.empty_like(values), values.new_empty(len(values), 1)
    arguments = values.numpy(), units.numpy(), norms.numpy()
    _in_threads(kernels.unit_rows, _evenly(*values.shape), *arguments)
    return units, norms


def descend_(optimizer, values, gradient, units, norms, learning_rate):
    """Take a step of NAdam along the gradient at the unit rows, in place.

    It is ``products_torch.tangent_`` and then ``optimizer.step_``, in one pass.
    """
    arrays = gradient, units, norms, values, optimizer.first, optimizer.second
    arguments = [array.numpy() for array in arrays]
    numbers = step_numbers(optimizer, learning_rate, arguments[0].dtype)
    bounds = _evenly(len(values), values.shape[1] * 4)
    _in_threads(kernels.descend, bounds, *arguments, numbers)


def step_(optimizer, values, gradient, learning_rate):
    """Take a step of NAdam, in place; ``optimizer.step_`` in one pass."""
    arrays = gradient, values, optimizer.first, optimizer.second
    arguments = [array.view(-1).numpy() for array in arrays]
    numbers = step_numbers(optimizer, learning_rate, arguments[0].dtype)
    _in_threads(kernels.nadam, _evenly(values.numel(), 4), *arguments, numbers)


def step_numbers(optimizer, learning_rate, dtype):
    """Numbers of the type of the arrays, so that nothing is widened on the way."""
    correction, now, ahead = optimizer.advance(learning_rate)
    numbers = BETA1, 1 - BETA1, BETA2, 1 - BETA2, correction, EPSILON, now, ahead
    return np.array(numbers, dtype=dtype)


def _arrays(rows):
    """Values, contiguous, and columns in as few bytes as they take."""

    def narrow():
        dtype = np.uint16 if rows.n_components <= 1 << 16 else np.int32
        return rows.columns.numpy().astype(dtype)

    return rows.values.contiguous(), rows.cached("columns", narrow)


def _has_halves(rows):
    """Whether bfloat16 is the upper half of the values."""
    return rows.half and rows.values.dtype == torch.float32


def _starts(sorted_labels, n_labels):
    return np.searchsorted(sorted_labels, np.arange(n_labels + 1))


def _evenly(n_things, work):
    """Give bounds for the threads; a thing takes ``work`` multiplications."""
    return cut_evenly(n_things, _n_parts(n_things * work))


def _by_work(starts, work=1):
    """Give bounds for things of ``starts[i + 1] - starts[i]`` times ``work`` each."""
    return cut(starts, _n_parts(starts[-1] * work))


def _n_parts(work):
    return n_parts() if work >= WORTH_THREADS else 1


def _in_threads(kernel, bounds, *arguments):
    run_parts(lambda *part: kernel(*part, *arguments), bounds)
