"""Products of k-sparse codes, compiled by numba; see ``codes_torch``.

The functions have the names, arguments and results of ``codes_torch`` and run on the
CPU in float32. Every thread owns rows or latents of the result, so no sum depends on
the number of threads.
"""

import numpy as np
import torch

from sksparse_rec._numerics.compiling import compile_with
from sksparse_rec._numerics.kernels_numba import group, nadam
from sksparse_rec._numerics.optimizer import NAdam
from sksparse_rec._numerics.products_numba import step_numbers
from sksparse_rec._numerics.threads import cut, cut_evenly, n_parts, run_parts

# Multiplications below which a second thread costs more than it brings.
WORTH_THREADS = 1 << 18
# Magnitudes are counted by the first 12 bits behind the sign.
BINS = 1 << 12
# What a limit may let pass, in multiples of what is wanted, and how far it is below the
# last entry that was wanted: about 5 %, in units of the last of 16 bits.
MOST_ABOVE, MARGIN = 4, 9
# Of a sort key: the magnitude stands above the column, counted down.
LAST_COLUMN = np.uint64((1 << 32) - 1)

_compile = compile_with(fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")


def select(activations, width, positive):
    """Return the ``width`` entries of largest magnitude of every row, largest first."""
    n_rows, n_components = activations.shape
    is_half = activations.dtype == torch.bfloat16
    integers = torch.int16 if is_half else torch.int32
    bits = activations.contiguous().view(integers).numpy()
    bits = bits.view(np.uint16 if is_half else np.uint32)
    columns = np.empty((n_rows, width), np.int32)
    values = np.empty((n_rows, width), np.uint32)
    arguments = bits, 16 * is_half, positive, columns, values
    _in_threads(_select, _evenly(n_rows, 4 * n_components), *arguments)
    return torch.from_numpy(columns), torch.from_numpy(values.view(np.float32))


def decode(columns, values, decoder, levels):
    """Return ``s D`` for every level, shape (n_levels, n_rows, n_features)."""
    n_rows, width = columns.shape
    Y = torch.empty(len(levels), n_rows, decoder.shape[1])
    bounds = _evenly(n_rows, width * decoder.shape[1])
    arguments = _arrays(columns, values, decoder)
    _in_threads(_decode, bounds, *arguments, np.array(levels), Y.numpy())
    return Y


def decode_adjoint(columns, decoder, levels, dY):
    """Return the gradient of ``decode`` for the values."""
    n_rows, width = columns.shape
    dvalues = torch.empty(n_rows, width)
    sums, level_of = sums_of_longer(dY), _level_of(levels, width)
    arguments = *_arrays(columns), level_of, *_arrays(decoder, sums), dvalues.numpy()
    bounds = _evenly(n_rows, width * decoder.shape[1])
    _in_threads(_decode_adjoint, bounds, *arguments)
    return dvalues


def descend_(state, codes, levels, dY, dvalues, X, learning_rate):
    """Take a step along the gradients of decoder, encoder and intercept, in place.

    A latent at a time: its rows of both gradients are summed, used and forgotten.
    """
    columns, values, dvalues, X, sums = _arrays(*codes, dvalues, X, sums_of_longer(dY))
    groups = group(columns.reshape(-1), len(state.decoder))
    level_of = _level_of(levels, columns.shape[1])
    # A tied encoder is the decoder: no rows are left for it.
    parameters = {"encoder": state.decoder[:0]} | state.parameters()
    steps = []
    for name in ("decoder", "encoder", "intercept"):
        tensor = parameters[name]
        optimizer = state.optimizers.get(name) or NAdam.start(tensor)
        tensors = tensor, optimizer.first, optimizer.second
        numbers = step_numbers(optimizer, learning_rate, np.float32)
        steps.append((*(t.numpy() for t in tensors), numbers))
    arguments = groups, (values, level_of, sums, dvalues, X), *steps
    _in_threads(_descend, _by_work(groups[0], 2 * X.shape[1]), *arguments)


def sums_of_longer(dY):
    """Gradients for the entries of each level, which all longer ones contain."""
    return dY if len(dY) == 1 else dY.flip(0).cumsum(0).flip(0)


def _level_of(levels, width):
    return np.searchsorted(levels, np.arange(width), side="right")


def products(columns, values, n_components):
    """Return ``S Sᵀ``, shape (n_rows, n_rows)."""
    n_rows, width = columns.shape
    columns, values = _arrays(columns, values)
    P = torch.empty(n_rows, n_rows)
    groups = group(columns.reshape(-1), n_components)
    bounds = _pair_bounds(n_rows, width, n_components)
    _in_threads(_products, bounds, columns, values, *groups, P.numpy())
    return P


def products_adjoint(columns, values, n_components, dP):
    """Return ``dP S`` at the entries of ``S``, for a symmetric ``dP``."""
    n_rows, width = columns.shape
    columns, values = _arrays(columns, values)
    dvalues = torch.empty(n_rows, width)
    groups = group(columns.reshape(-1), n_components)
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
def _select(first, last, bits, shift, positive, columns, values):
    """Sort the few magnitudes above a limit that is a little too low.

    ``bits`` are those of floats, which are ordered as their magnitudes are; shifted
    they are float32. The row before tells the limit; where it lets too few or too many
    pass, a count of all magnitudes does.
    """
    m, width = bits.shape[1], columns.shape[1]
    rest, margin = 31 - shift, MARGIN << (16 - shift)
    mask, infinity = (1 << rest) - 1, 0x7F80 << (16 - shift)
    magnitudes = np.empty(m, bits.dtype)
    counts = np.empty(BINS, np.int32)
    keys = np.empty(m, np.uint64)
    limit = 0
    for row in range(first, last):
        b = bits[row]
        n_above = 0
        for j in range(m):
            magnitude = b[j] & mask
            # NaN, of any sign, is above infinity: it comes first and is seen.
            if positive and b[j] > mask and magnitude <= infinity:
                magnitude = 0
            magnitudes[j] = magnitude
            n_above += magnitude >= limit
        if n_above < width or n_above > MOST_ABOVE * width:
            limit = _limit(magnitudes, rest - 12, width, counts)
        n = 0
        for j in range(m):
            if magnitudes[j] >= limit:
                keys[n] = np.uint64(magnitudes[j]) << np.uint64(32)
                keys[n] |= LAST_COLUMN - np.uint64(j)
                n += 1
        keys[:n].sort()
        for place in range(width):
            column = np.int64(LAST_COLUMN - (keys[n - 1 - place] & LAST_COLUMN))
            columns[row, place] = column
            values[row, place] = b[column] << shift if magnitudes[column] else 0
        limit = max(0, np.int64(magnitudes[columns[row, width - 1]]) - margin)


@_compile
def _limit(magnitudes, shift, width, counts):
    """Return the lower end of the bin that holds the ``width``-th largest magnitude."""
    counts[:] = 0
    for j in range(len(magnitudes)):
        counts[magnitudes[j] >> shift] += 1
    bin_, n_above = BINS - 1, counts[BINS - 1]
    while n_above < width:
        bin_ -= 1
        n_above += counts[bin_]
    return bin_ << shift


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
def _decode_adjoint(first, last, columns, level_of, decoder, sums, dvalues):
    for row in range(first, last):
        for place in range(columns.shape[1]):
            g, d = sums[level_of[place], row], decoder[columns[row, place]]
            # The first term gives the sum its type.
            total = g[0] * d[0]
            for f in range(1, len(g)):
                total += g[f] * d[f]
            dvalues[row, place] = total


@_compile
def _descend(first, last, groups, codes, of_decoder, of_encoder, of_intercept):
    """Each of the last three is a parameter, its moments and its step's numbers."""
    starts, order = groups
    values, level_of, sums, dvalues, X = codes
    D, D_moment, D_square, D_numbers = of_decoder
    E, E_moment, E_square, E_numbers = of_encoder
    b, b_moment, b_square, b_numbers = of_intercept
    width, n = values.shape[1], X.shape[1]
    dD, dE = np.empty(n, np.float32), np.empty(n, np.float32)
    db = np.zeros(len(b), np.float32)
    for latent in range(first, last):
        dD[:] = 0
        dE[:] = 0
        for entry in range(starts[latent], starts[latent + 1]):
            row, place = order[entry] // width, order[entry] % width
            value, dvalue = values[row, place], dvalues[row, place]
            g, x = sums[level_of[place], row], X[row]
            for f in range(n):
                dD[f] += value * g[f]
                dE[f] += dvalue * x[f]
            db[latent] += dvalue
        if len(E) == 0:
            for f in range(n):
                dD[f] += dE[f]
        else:
            e, moment, square = E[latent], E_moment[latent], E_square[latent]
            nadam(0, 0, n, dE, e, moment, square, E_numbers)
        # The row is of unit length, so it is its own direction.
        d = D[latent]
        along = dD[0] * d[0]
        for f in range(1, n):
            along += dD[f] * d[f]
        for f in range(n):
            dD[f] -= along * d[f]
        nadam(0, 0, n, dD, d, D_moment[latent], D_square[latent], D_numbers)
        total = d[0] * d[0]
        for f in range(1, n):
            total += d[f] * d[f]
        norm = np.sqrt(total)
        if norm > 0:
            for f in range(n):
                d[f] /= norm
    nadam(0, first, last, db, b, b_moment, b_square, b_numbers)


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
