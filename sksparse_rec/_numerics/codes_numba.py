"""Products of k-sparse codes, compiled by numba; see ``codes_torch``.

The functions have the names, arguments and results of ``codes_torch`` and run on the
CPU in float32. Every thread owns rows or latents of the result, so no sum depends on
the number of threads.
"""

import numpy as np
import torch

from sksparse_rec._numerics.compiling import compile_with
from sksparse_rec._numerics.threads import cut, cut_evenly, n_parts, run_parts

# Multiplications below which a second thread costs more than it brings.
WORTH_THREADS = 1 << 18
# Magnitudes are counted by the first 12 of the 31 bits behind the sign.
BITS, BINS = 19, 1 << 12
# What a limit may let pass, in multiples of what is wanted, and what it is below the
# last entry that was wanted.
MOST_ABOVE, MARGIN = 4, np.float32(0.95)
INFINITY = np.float32(np.inf)

_compile = compile_with(fastmath={"reassoc", "contract", "nsz"})


def select(activations, width, positive):
    """Return the ``width`` entries of largest magnitude of every row, largest first."""
    n_rows, n_components = activations.shape
    columns = np.empty((n_rows, width), np.int32)
    values = np.empty((n_rows, width), np.float32)
    arguments = *_arrays(activations), positive, columns, values
    _in_threads(_select, _evenly(n_rows, 4 * n_components), *arguments)
    return torch.from_numpy(columns), torch.from_numpy(values)


def decode(columns, values, decoder, levels):
    """Return ``s D`` for every level, shape (n_levels, n_rows, n_features)."""
    n_rows, width = columns.shape
    Y = torch.empty(len(levels), n_rows, decoder.shape[1])
    bounds = _evenly(n_rows, width * decoder.shape[1])
    arguments = _arrays(columns, values, decoder)
    _in_threads(_decode, bounds, *arguments, np.array(levels), Y.numpy())
    return Y


def decode_adjoint(columns, values, decoder, levels, dY):
    """Return the gradients of ``decode`` for the values and for the decoder."""
    n_rows, width = columns.shape
    n_components, n_features = decoder.shape
    # An entry is part of its own level and of all longer ones.
    sums = dY.flip(0).cumsum(0).flip(0)
    columns, values, decoder, sums = _arrays(columns, values, decoder, sums)
    level_of = np.searchsorted(levels, np.arange(width), side="right")
    dvalues = torch.empty(n_rows, width)
    arguments = columns, level_of, decoder, sums, dvalues.numpy()
    _in_threads(_values_adjoint, _evenly(n_rows, width * n_features), *arguments)
    dD = torch.empty(n_components, n_features)
    starts, order = _group(columns, n_components)
    arguments = starts, order, values, level_of, sums, dD.numpy()
    _in_threads(_rows_adjoint, _by_work(starts, n_features), *arguments)
    return dvalues, dD


def encode_adjoint(columns, dvalues, X, n_components):
    """Return the gradients of ``values = E x + b`` for ``E`` and ``b``."""
    columns, dvalues, X = _arrays(columns, dvalues, X)
    dE = torch.empty(n_components, X.shape[1])
    starts, order = _group(columns, n_components)
    level_of = np.zeros(columns.shape[1], np.int64)
    arguments = starts, order, dvalues, level_of, X[None], dE.numpy()
    _in_threads(_rows_adjoint, _by_work(starts, X.shape[1]), *arguments)
    db = np.bincount(columns.ravel(), dvalues.ravel(), minlength=n_components)
    return dE, torch.from_numpy(db.astype(np.float32))


def products(columns, values, n_components):
    """Return ``S Sᵀ``, shape (n_rows, n_rows)."""
    n_rows, width = columns.shape
    columns, values = _arrays(columns, values)
    P = torch.empty(n_rows, n_rows)
    groups = _group(columns, n_components)
    bounds = _pair_bounds(n_rows, width, n_components)
    _in_threads(_products, bounds, columns, values, *groups, P.numpy())
    return P


def products_adjoint(columns, values, n_components, dP):
    """Return ``dP S`` at the entries of ``S``, for a symmetric ``dP``."""
    n_rows, width = columns.shape
    columns, values = _arrays(columns, values)
    dvalues = torch.empty(n_rows, width)
    groups = _group(columns, n_components)
    arguments = columns, values, *groups, *_arrays(dP), dvalues.numpy()
    bounds = _pair_bounds(n_rows, width, n_components)
    _in_threads(_products_adjoint, bounds, *arguments)
    return dvalues


def _arrays(*tensors):
    """Contiguous arrays, as every other layout would be compiled anew."""
    return [tensor.contiguous().numpy() for tensor in tensors]


def _pair_bounds(n_rows, width, n_components):
    return _evenly(n_rows, width * (1 + n_rows * width // n_components))


def _evenly(n_things, work):
    return cut_evenly(n_things, _n_parts(n_things * work))


def _by_work(starts, work):
    return cut(starts, _n_parts(starts[-1] * work))


def _n_parts(work):
    return n_parts() if work >= WORTH_THREADS else 1


def _in_threads(kernel, bounds, *arguments):
    run_parts(lambda part, *ends: kernel(*ends, *arguments), bounds)


@_compile
def _select(first, last, activations, positive, columns, values):
    """Sort the few magnitudes above a limit that is a little too low.

    The row before tells the limit; where it lets too few or too many pass, a count of
    all magnitudes does.
    """
    m, width = activations.shape[1], columns.shape[1]
    magnitudes = np.empty(m, np.float32)
    counts = np.empty(BINS, np.int32)
    found = np.empty(m, np.int32)
    limit = np.float32(0)
    for row in range(first, last):
        a = activations[row]
        for j in range(m):
            magnitude = np.float32(0) if positive and a[j] <= 0 else abs(a[j])
            # NaN comes first, so that it is seen.
            magnitudes[j] = magnitude if magnitude <= INFINITY else INFINITY
        n_above = 0
        for j in range(m):
            n_above += magnitudes[j] >= limit
        if n_above < width or n_above > MOST_ABOVE * width:
            limit = _limit(magnitudes, width, counts)
        n = 0
        for j in range(m):
            if magnitudes[j] >= limit:
                found[n] = j
                n += 1
        order = np.argsort(-magnitudes[found[:n]], kind="mergesort")
        for place in range(width):
            column = found[order[place]]
            columns[row, place] = column
            dropped = positive and a[column] <= 0
            values[row, place] = np.float32(0) if dropped else a[column]
        limit = magnitudes[columns[row, width - 1]] * MARGIN


@_compile
def _limit(magnitudes, width, counts):
    """Return the lower end of the bin that holds the ``width``-th largest magnitude.

    Floats that are not negative are ordered as their bits are.
    """
    bits = magnitudes.view(np.uint32)
    counts[:] = 0
    for j in range(len(bits)):
        # The sign is cut off, as a zero may have one.
        counts[bits[j] >> BITS & BINS - 1] += 1
    bin_, n_above = BINS - 1, counts[BINS - 1]
    while n_above < width:
        bin_ -= 1
        n_above += counts[bin_]
    return np.array([bin_ << BITS], np.uint32).view(np.float32)[0]


@_compile
def _decode(first, last, columns, values, decoder, levels, Y):
    for row in range(first, last):
        place = 0
        for level in range(len(levels)):
            y = Y[level, row]
            if level == 0:
                y[:] = 0
            else:
                y[:] = Y[level - 1, row]
            while place < levels[level]:
                value, d = values[row, place], decoder[columns[row, place]]
                for f in range(len(y)):
                    y[f] += value * d[f]
                place += 1


@_compile
def _values_adjoint(first, last, columns, level_of, decoder, sums, dvalues):
    for row in range(first, last):
        for place in range(columns.shape[1]):
            g, d = sums[level_of[place], row], decoder[columns[row, place]]
            # The first term gives the sum its type.
            total = g[0] * d[0]
            for f in range(1, len(g)):
                total += g[f] * d[f]
            dvalues[row, place] = total


@_compile
def _rows_adjoint(first, last, starts, order, values, level_of, sums, gradient):
    """Sum ``value × sums`` over the entries of each latent."""
    width = values.shape[1]
    for latent in range(first, last):
        out = gradient[latent]
        out[:] = 0
        for entry in range(starts[latent], starts[latent + 1]):
            row, place = order[entry] // width, order[entry] % width
            value, g = values[row, place], sums[level_of[place], row]
            for f in range(len(out)):
                out[f] += value * g[f]


@_compile
def _products(first, last, columns, values, starts, order, P):
    width = values.shape[1]
    for row in range(first, last):
        p = P[row]
        p[:] = 0
        for place in range(width):
            latent, value = columns[row, place], values[row, place]
            for entry in range(starts[latent], starts[latent + 1]):
                other, at = order[entry] // width, order[entry] % width
                p[other] += value * values[other, at]


@_compile
def _products_adjoint(first, last, columns, values, starts, order, dP, dvalues):
    width = values.shape[1]
    for row in range(first, last):
        g = dP[row]
        for place in range(width):
            latent = columns[row, place]
            total = np.float32(0)
            for entry in range(starts[latent], starts[latent + 1]):
                other, at = order[entry] // width, order[entry] % width
                total += g[other] * values[other, at]
            dvalues[row, place] = total


@_compile
def _group(columns, n_components):
    """Flat positions of the entries of each latent, and where each latent starts."""
    n_rows, width = columns.shape
    starts = np.zeros(n_components + 1, np.int64)
    for row in range(n_rows):
        for place in range(width):
            starts[columns[row, place] + 1] += 1
    for latent in range(n_components):
        starts[latent + 1] += starts[latent]
    upcoming = starts[:-1].copy()
    order = np.empty(n_rows * width, np.int64)
    for row in range(n_rows):
        for place in range(width):
            latent = columns[row, place]
            order[upcoming[latent]] = row * width + place
            upcoming[latent] += 1
    return starts, order
