"""The loops of ``products_numba``, each over one thread's part of the result.

``part`` is the number of the part, ``first`` and ``last`` are what it owns: latents,
users, items or rows. Columns of a row ascend, but for padding; see ``rows.SparseRows``.
"""

import numpy as np

from sksparse_rec._numerics.compiling import compile_with

# A square of this side fits into the nearest cache, whatever the length of a row.
TILE = 16

# Sums may be reordered, which is what vectorising takes; NaN and infinity count.
_compile = compile_with(fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")


@_compile
def group(labels, n_labels):
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
def pairs_before(columns, m):
    """Multiplications of ``gram`` for all latents before each."""
    n_rows, n_nonzero = columns.shape
    work = np.zeros(m + 1, np.int64)
    for row in range(n_rows):
        for j in range(n_nonzero):
            work[columns[row, j] + 1] += n_nonzero - j
    return np.cumsum(work)


@_compile
def profiles(part, first, last, values, columns, starts, items, weights, U):
    """Write the profiles of users ``first`` to ``last`` into ``U``."""
    for user in range(first, last):
        u = U[user]
        u[:] = 0
        for entry in range(starts[user], starts[user + 1]):
            item, weight = items[entry], weights[entry]
            for k in range(values.shape[1]):
                u[columns[item, k]] += weight * values[item, k]


@_compile
def profiles_adjoint(part, first, last, columns, starts, users, weights, dU, gradient):
    """Add the gradient of the profiles at items ``first`` to ``last``."""
    for item in range(first, last):
        for entry in range(starts[item], starts[item + 1]):
            du, weight = dU[users[entry]], weights[entry]
            for k in range(columns.shape[1]):
                gradient[item, k] += weight * du[columns[item, k]]


@_compile
def gram(part, first, last, values, columns, G):
    """Write rows ``first`` to ``last`` of ``G``, from the diagonal on.

    A pair of columns that does not ascend would be lost. Padding is column 0, whose
    stored entry is the first of its row and so never ``k``. So four loads may precede
    four stores, which hides their latency. What padding leaves below the diagonal,
    ``mirror`` writes over.
    """
    n_rows, n_nonzero = values.shape
    for latent in range(first, last):
        G[latent, latent:] = 0
    for row in range(n_rows):
        v, c = values[row], columns[row]
        for j in range(n_nonzero):
            if c[j] < first or c[j] >= last:
                continue
            g, vj = G[c[j]], v[j]
            g[c[j]] += vj * vj
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
def mirror(part, first, last, G):
    """Copy what is above the diagonal below it, for rows of tiles."""
    m = len(G)
    for top in range(first * TILE, min(last * TILE, m), TILE):
        for left in range(0, top + 1, TILE):
            for i in range(top, min(top + TILE, m)):
                for j in range(left, min(left + TILE, i)):
                    G[i, j] = G[j, i]


@_compile
def whole_rows(part, first, last, bits, columns, block):
    """Write rows ``first`` to ``last`` with their zeros, rounded to bfloat16.

    ``bits`` are those of float32, of which bfloat16 is the upper half. Ties go to even,
    as in torch; the NaN that arithmetic makes stays one.
    """
    block[first:last] = 0
    for row in range(first, last):
        for k in range(bits.shape[1]):
            b = bits[row, k]
            # Padding, 0 or -0, shares column 0 with what is stored there.
            if b & 0x7FFFFFFF != 0:
                block[row, columns[row, k]] = (b + 0x7FFF + ((b >> 16) & 1)) >> 16


@_compile
def at_pattern(part, first, last, columns, whole, bits):
    """Write what whole rows of bfloat16 have at the pattern, as float32."""
    for row in range(first, last):
        for k in range(columns.shape[1]):
            bits[row, k] = np.int32(whole[row, columns[row, k]]) << 16


@_compile
def gram_adjoint(part, first, last, values, columns, H, gradient):
    """Write ``A H`` at rows ``first`` to ``last``.

    Every element of ``H`` that is looked up, from the diagonal on, serves both entries
    that it stands between.
    """
    n_nonzero = values.shape[1]
    for row in range(first, last):
        v, c, g = values[row], columns[row], gradient[row]
        for j in range(n_nonzero):
            g[j] = v[j] * H[c[j], c[j]]
        for j in range(n_nonzero):
            h, vj = H[c[j]], v[j]
            total = g[j]
            k = j + 1
            while k + 4 <= n_nonzero:
                h0, h1, h2, h3 = h[c[k]], h[c[k + 1]], h[c[k + 2]], h[c[k + 3]]
                g0, g1 = g[k] + vj * h0, g[k + 1] + vj * h1
                g2, g3 = g[k + 2] + vj * h2, g[k + 3] + vj * h3
                total += v[k] * h0 + v[k + 1] * h1 + v[k + 2] * h2 + v[k + 3] * h3
                g[k], g[k + 1], g[k + 2], g[k + 3] = g0, g1, g2, g3
                k += 4
            while k < n_nonzero:
                total += v[k] * h[c[k]]
                g[k] += vj * h[c[k]]
                k += 1
            g[j] = total


@_compile
def cosines(part, first, last, U, UG, x_squared, numbers, cosine, W):
    """See ``products_torch.cosines_``; ``numbers`` are ``-2 / n_users`` and 64 eps."""
    slope, rounding = numbers
    for user in range(first, last):
        u, ug, w = U[user], UG[user], W[user]
        u_squared, along = u[0] * u[0], u[0] * ug[0]
        for k in range(1, len(u)):
            u_squared += u[k] * u[k]
            along += u[k] * ug[k]
        x = x_squared[user]
        y = along - (u_squared + u_squared) + x
        cosine[user] = 0
        # No integers, which would widen the sums: twice what torch has by these names.
        by_norm = by_gram = slope - slope
        if x != 0 and not y <= rounding * max(u_squared, x):
            norms = np.sqrt(x) * np.sqrt(y)
            cosine[user] = (u_squared - x) / norms
            by_gram = -slope * cosine[user] / y
            by_norm = slope / norms - by_gram
            by_norm += by_norm
        for k in range(len(u)):
            ug[k] = by_norm * u[k] + by_gram * ug[k]
            w[k] = by_gram * u[k]


@_compile
def scores(part, first, last, values, columns, UT, YT):
    """Write the scores of items ``first`` to ``last`` into ``YT``."""
    for item in range(first, last):
        y = YT[item]
        y[:] = 0
        for k in range(values.shape[1]):
            value, ut = values[item, k], UT[columns[item, k]]
            for user in range(len(y)):
                y[user] += value * ut[user]


@_compile
def scores_adjoint(part, first, last, values, columns, UT, dYT, gradient, shares):
    """Write the gradient of the scores, and add up a share of the profiles'."""
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
def unit_rows(part, first, last, values, units, norms):
    """Write rows of unit length, and the lengths; zero rows stay, of length 1."""
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
    """Take a step of NAdam at elements ``first`` to ``last``."""
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
def descend(part, first, last, gradient, units, norms, values, moment, square, numbers):
    """Take a step of NAdam at rows ``first`` to ``last``, along the tangent."""
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
