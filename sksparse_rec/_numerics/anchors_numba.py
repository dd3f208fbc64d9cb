"""The largest entries of sparse products, compiled by numba; see ``anchors``.

``top_products`` has the arguments and the result of its namesake there, but makes no
row of the product that is longer than what is kept of it. Threads own ranges of rows,
so no sum depends on their number.
"""

import numpy as np
import scipy.sparse as sp

from sksparse_rec._numerics.compiling import compile_with
from sksparse_rec._numerics.threads import cut, n_parts, run_parts

# Products below which a second thread costs more than it brings.
WORTH_THREADS = 1 << 16

# Every sum in the order of scipy and without fused operations: the same to the bit.
_compile = compile_with()


def top_products(A, B, rows, n_kept, beside=None):
    """Return the largest entries of some rows of ``A @ B``."""
    n_rows, width = len(rows), B.shape[1]
    if beside is None:
        beside = sp.csr_array((A.shape[0], width), dtype=B.dtype)
    a, b, c = _arrays(A), _arrays(B), _arrays(beside)
    rows, n_kept = _fixed(rows), _fixed(n_kept)
    work, room = np.zeros(n_rows + 1, np.int64), np.zeros(n_rows + 1, np.int64)
    _measure(*a[:2], b[0], rows, n_kept, width, work, room)
    columns, values = np.empty(room[-1], np.int32), np.empty(room[-1], B.dtype)
    lengths = np.zeros(n_rows, np.int64)
    arguments = *a, *b, *c[:2], rows, n_kept, width, room, columns, values, lengths
    bounds = cut(work, n_parts() if work[-1] >= WORTH_THREADS else 1)
    run_parts(lambda *part: _top_products(*part, *arguments), bounds)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    if indptr[-1] < room[-1]:
        _close_gaps(room, indptr, columns, values)
        columns, values = columns[: indptr[-1]].copy(), values[: indptr[-1]].copy()
    top = sp.csr_array((values, columns, indptr), shape=(n_rows, width))
    top.has_canonical_format = True
    return top


def _arrays(X):
    return _fixed(X.indptr.astype(np.int64)), _fixed(X.indices), _fixed(X.data)


def _fixed(array):
    """View an array as one type, for which numba compiles once: read-only."""
    array = np.ascontiguousarray(array).view(np.ndarray)
    array.flags.writeable = False
    return array


@_compile
def _measure(a_starts, a_columns, b_starts, rows, n_kept, width, work, room):
    """Count the products of all rows before each, and the entries they may keep."""
    for place in range(len(rows)):
        products = 0
        if n_kept[place] > 0:
            for entry in range(a_starts[rows[place]], a_starts[rows[place] + 1]):
                middle = a_columns[entry]
                products += b_starts[middle + 1] - b_starts[middle]
        work[place + 1] = work[place] + products
        room[place + 1] = room[place] + min(products, n_kept[place], width)


@_compile
def _top_products(
    part,
    first,
    last,
    a_starts,
    a_columns,
    a_values,
    b_starts,
    b_columns,
    b_values,
    beside_starts,
    beside_columns,
    rows,
    n_kept,
    width,
    room,
    columns,
    values,
    lengths,
):
    sums, met = np.zeros(width, b_values.dtype), np.empty(width, np.int32)
    for place in range(first, last):
        row = rows[place]
        if n_kept[place] == 0:
            continue
        n_met = 0
        for entry in range(a_starts[row], a_starts[row + 1]):
            middle, weight = a_columns[entry], a_values[entry]
            for k in range(b_starts[middle], b_starts[middle + 1]):
                column, product = b_columns[k], weight * b_values[k]
                # A product that underflows to zero would be met twice.
                if sums[column] == 0 and product > 0:
                    met[n_met] = column
                    n_met += 1
                sums[column] += product
        for k in range(beside_starts[row], beside_starts[row + 1]):
            sums[beside_columns[k]] = 0
        start, stop = room[place], room[place + 1]
        n = _keep_largest(sums, met[:n_met], columns[start:stop])
        columns[start : start + n].sort()
        for k in range(start, start + n):
            values[k] = sums[columns[k]]
        for k in range(n_met):
            sums[met[k]] = 0
        lengths[place] = n


@_compile
def _keep_largest(sums, met, heap):
    """Fill ``heap`` with the columns of the largest sums; return how many they are.

    Equal sums go to the lower column. The heap has the least of its columns on top.
    """
    n = 0
    for column in met:
        if sums[column] == 0:
            continue
        if n < len(heap):
            heap[n] = column
            n += 1
            if n == len(heap):
                for place in range(n // 2 - 1, -1, -1):
                    _sink(sums, heap, place)
        elif _is_less(sums, heap[0], column):
            heap[0] = column
            _sink(sums, heap, 0)
    return n


@_compile
def _is_less(sums, one, other):
    return sums[one] < sums[other] or (sums[one] == sums[other] and one > other)


@_compile
def _sink(sums, heap, place):
    """Move a column down the heap to where it belongs."""
    column = heap[place]
    while 2 * place + 1 < len(heap):
        child = 2 * place + 1
        if child + 1 < len(heap) and _is_less(sums, heap[child + 1], heap[child]):
            child += 1
        if not _is_less(sums, heap[child], column):
            break
        heap[place] = heap[child]
        place = child
    heap[place] = column


@_compile
def _close_gaps(room, indptr, columns, values):
    for row in range(len(indptr) - 1):
        shift = room[row] - indptr[row]
        if shift > 0:
            for k in range(indptr[row], indptr[row + 1]):
                columns[k], values[k] = columns[k + shift], values[k + shift]
