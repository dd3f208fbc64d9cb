"""Products of row-sparse matrices, compiled by numba; see ``products_torch``.

The functions have the names, arguments and results of ``products_torch`` and run on
the CPU only. Threads share nothing but what they read: each owns a range of latents,
users or items of the result, so no sum depends on their number, but for the profiles'
part of ``scores_adjoint``, to which every thread adds a share.
"""

import numpy as np
import torch

from sksparse_rec._numerics.compiling import compile_with
from sksparse_rec._numerics.optimizer import BETA1, BETA2, EPSILON
from sksparse_rec._numerics.threads import cut, cut_evenly, n_parts, run_parts

# Entries below which a second thread costs more than it brings.
WORTH_THREADS = 1 << 16
# As in ``products_torch``.
SCATTER = 5


# Sums may be reordered, which is what vectorising takes; NaN and infinity count.
_compile = compile_with(fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")


def profiles(rows, batch):
    """Return ``U = X A``, shape (n_users, m)."""
    values, columns = _arrays(rows)
    U = values.new_zeros(batch.n_users, rows.n_components)
    starts = _starts(batch.users.numpy(), batch.n_users)
    arguments = values.numpy(), columns, starts, batch.items.numpy()
    bounds = _by_work(starts, rows.width)
    _in_threads(_profiles, bounds, *arguments, batch.values.numpy(), U.numpy())
    return U


def profiles_adjoint(rows, batch, dU):
    """Return ``Xᵀ dU`` at the pattern, item by item."""
    values, columns = _arrays(rows)
    gradient = torch.zeros_like(values)
    items, users = batch.items.numpy(), batch.users.numpy()
    starts, order = _group(items, batch.n_items)
    weights = batch.values.numpy()[order]
    arguments = columns, starts, users[order], weights, dU.contiguous().numpy()
    bounds = _by_work(starts, rows.width)
    _in_threads(_profiles_adjoint, bounds, *arguments, gradient.numpy())
    return gradient


def gram(rows):
    """Return ``G = Aᵀ A``, shape (m, m)."""
    values, columns = _arrays(rows)
    m = rows.n_components
    half = values.new_zeros(m, m)
    pairs = rows.cached("pairs", lambda: _pairs_before(columns, m))
    _in_threads(_gram, _by_work(pairs), values.numpy(), columns, half.numpy())
    return half + half.T


def gram_adjoint(rows, H):
    """Return ``A H`` at the pattern for a symmetric ``H``."""
    values, columns = _arrays(rows)
    gradient = torch.empty_like(values)
    arguments = values.numpy(), columns, H.contiguous().numpy(), gradient.numpy()
    _in_threads(_gram_adjoint, _evenly(len(values), rows.width**2), *arguments)
    return gradient


def scores(rows, UT):
    """Return ``A Uᵀ``, shape (n_items, n_users), from ``UT`` (m, n_users)."""
    values, columns = _arrays(rows)
    YT = values.new_zeros(len(values), UT.shape[1])
    arguments = values.numpy(), columns, UT.contiguous().numpy(), YT.numpy()
    _in_threads(_scores, _evenly(len(values), rows.width * UT.shape[1]), *arguments)
    return YT


def scores_adjoint(rows, UT, dYT):
    """Return ``dYᵀ U`` at the pattern, and ``Aᵀ dYᵀ`` (m, n_users)."""
    values, columns = _arrays(rows)
    gradient = torch.empty_like(values)
    bounds = _evenly(len(values), rows.width * UT.shape[1])
    shares = UT.new_zeros(len(bounds) - 1, *UT.shape)
    arguments = values.numpy(), columns, UT.contiguous().numpy()
    arguments += dYT.contiguous().numpy(), gradient.numpy(), shares.numpy()
    _in_threads(_scores_adjoint, bounds, *arguments)
    return gradient, shares.sum(dim=0)


def unit_rows(values):
    """Return ``values`` with rows of unit length, and the lengths (n_rows, 1)."""
    units, norms = torch.empty_like(values), values.new_empty(len(values), 1)
    arguments = values.numpy(), units.numpy(), norms.numpy()
    _in_threads(_unit_rows, _evenly(*values.shape), *arguments)
    return units, norms


def descend_(optimizer, values, gradient, units, norms, learning_rate):
    """Take a step of NAdam along the gradient at the unit rows, in place.

    It is ``products_torch.tangent_`` and then ``optimizer.step_``, in one pass.
    """
    arrays = gradient, units, norms, values, optimizer.first, optimizer.second
    arguments = [array.numpy() for array in arrays]
    numbers = step_numbers(optimizer, learning_rate, arguments[0].dtype)
    bounds = _evenly(len(values), values.shape[1] * 4)
    _in_threads(_descend, bounds, *arguments, numbers)


def step_(optimizer, values, gradient, learning_rate):
    """Take a step of NAdam, in place; ``optimizer.step_`` in one pass."""
    arrays = gradient, values, optimizer.first, optimizer.second
    arguments = [array.view(-1).numpy() for array in arrays]
    numbers = step_numbers(optimizer, learning_rate, arguments[0].dtype)
    _in_threads(nadam, _evenly(values.numel(), 4), *arguments, numbers)


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


@_compile
def _group(labels, n_labels):
    """Order of a stable counting sort, and where each label starts in it."""
    starts = np.zeros(n_labels + 1, np.int64)
    for label in labels:
        starts[label + 1] += 1
    for label in range(n_labels):
        starts[label + 1] += starts[label]
    upcoming = starts[:-1].copy()
    order = np.empty(len(labels), np.int64)
    for position in range(len(labels)):
        label = labels[position]
        order[upcoming[label]] = position
        upcoming[label] += 1
    return starts, order


@_compile
def _pairs_before(columns, m):
    """Multiplications of ``_gram`` for all latents before each."""
    n_rows, n_nonzero = columns.shape
    work = np.zeros(m + 1, np.int64)
    for row in range(n_rows):
        for j in range(n_nonzero):
            work[columns[row, j] + 1] += n_nonzero - j
    return np.cumsum(work)


@_compile
def _profiles(part, first, last, values, columns, starts, items, weights, U):
    for user in range(first, last):
        u = U[user]
        for entry in range(starts[user], starts[user + 1]):
            item, weight = items[entry], weights[entry]
            for k in range(values.shape[1]):
                u[columns[item, k]] += weight * values[item, k]


@_compile
def _profiles_adjoint(part, first, last, columns, starts, users, weights, dU, gradient):
    for item in range(first, last):
        for entry in range(starts[item], starts[item + 1]):
            du, weight = dU[users[entry]], weights[entry]
            for k in range(columns.shape[1]):
                gradient[item, k] += weight * du[columns[item, k]]


@_compile
def _gram(part, first, last, values, columns, half):
    """Add ``values[j] * values[k]``, j < k, and half of each square.

    The columns of a row differ, but for padding: column 0, whose stored entry is the
    first of its row and so never ``k``. So four loads may precede four stores, which
    hides their latency.
    """
    n_rows, n_nonzero = values.shape
    for row in range(n_rows):
        v, c = values[row], columns[row]
        for j in range(n_nonzero):
            if c[j] < first or c[j] >= last:
                continue
            g, vj = half[c[j]], v[j]
            g[c[j]] += vj * (vj / 2)
            k = j + 1
            while k + 4 <= n_nonzero:
                g0 = g[c[k]] + vj * v[k]
                g1 = g[c[k + 1]] + vj * v[k + 1]
                g2 = g[c[k + 2]] + vj * v[k + 2]
                g3 = g[c[k + 3]] + vj * v[k + 3]
                g[c[k]], g[c[k + 1]], g[c[k + 2]], g[c[k + 3]] = g0, g1, g2, g3
                k += 4
            while k < n_nonzero:
                g[c[k]] += vj * v[k]
                k += 1


@_compile
def _gram_adjoint(part, first, last, values, columns, H, gradient):
    n_nonzero = values.shape[1]
    for row in range(first, last):
        v, c = values[row], columns[row]
        for j in range(n_nonzero):
            h = H[c[j]]
            # The first term gives the sum its type.
            total = v[0] * h[c[0]]
            for k in range(1, n_nonzero):
                total += v[k] * h[c[k]]
            gradient[row, j] = total


@_compile
def _scores(part, first, last, values, columns, UT, YT):
    for item in range(first, last):
        y = YT[item]
        for k in range(values.shape[1]):
            value, ut = values[item, k], UT[columns[item, k]]
            for user in range(len(y)):
                y[user] += value * ut[user]


@_compile
def _scores_adjoint(part, first, last, values, columns, UT, dYT, gradient, shares):
    dUT = shares[part]
    for item in range(first, last):
        dy = dYT[item]
        for k in range(values.shape[1]):
            ut, du = UT[columns[item, k]], dUT[columns[item, k]]
            value, total = values[item, k], ut[0] * dy[0]
            for user in range(1, len(dy)):
                total += ut[user] * dy[user]
            for user in range(len(dy)):
                du[user] += value * dy[user]
            gradient[item, k] = total


@_compile
def _unit_rows(part, first, last, values, units, norms):
    for row in range(first, last):
        v = values[row]
        total = v[0] * v[0]
        for k in range(1, len(v)):
            total += v[k] * v[k]
        norm = np.sqrt(total)
        if norm == 0:
            norm = norm + 1
        norms[row, 0] = norm
        for k in range(len(v)):
            units[row, k] = v[k] / norm


@_compile
def nadam(part, first, last, gradient, values, moment, square, numbers):
    keep1, take1 = numbers[0], numbers[1]
    keep2, take2 = numbers[2], numbers[3]
    correction, epsilon, now, ahead = numbers[4], numbers[5], numbers[6], numbers[7]
    for k in range(first, last):
        slope = gradient[k]
        moment[k] = keep1 * moment[k] + take1 * slope
        square[k] = keep2 * square[k] + take2 * slope * slope
        root = np.sqrt(square[k] * correction) + epsilon
        values[k] -= (now * slope + ahead * moment[k]) / root


@_compile
def _descend(
    part, first, last, gradient, units, norms, values, moment, square, numbers
):
    keep1, take1 = numbers[0], numbers[1]
    keep2, take2 = numbers[2], numbers[3]
    correction, epsilon, now, ahead = numbers[4], numbers[5], numbers[6], numbers[7]
    for row in range(first, last):
        g, a = gradient[row], units[row]
        along = g[0] * a[0]
        for k in range(1, len(g)):
            along += g[k] * a[k]
        for k in range(len(g)):
            slope = (g[k] - along * a[k]) / norms[row, 0]
            moment[row, k] = keep1 * moment[row, k] + take1 * slope
            square[row, k] = keep2 * square[row, k] + take2 * slope * slope
            root = np.sqrt(square[row, k] * correction) + epsilon
            values[row, k] -= (now * slope + ahead * moment[row, k]) / root
