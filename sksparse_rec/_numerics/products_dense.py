"""Products of dense matrices on as many threads as may compute, and in bfloat16."""

from itertools import chain

import torch

from sksparse_rec._numerics.threads import cut_evenly, n_parts, run_parts, thread_count

# Multiplications below which a second thread costs more than it brings, and those in
# bfloat16, for which a thread has more to prepare.
WORTH_THREADS, WORTH_THREADS_HALF = 1 << 27, 1 << 30
# Rows that a part of a product has at least: fewer are summed in another order. In full
# precision the number of longer parts can change rounding too.
LEAST_ROWS = 16
# Rows of a Gram matrix that are computed at once, from the diagonal on: fewer take
# longer each, more repeat what is on the other side of the diagonal.
STRIP = 128


def multiply(A, B, half):
    """Return ``A @ B`` in the type of ``A``, through bfloat16 if ``half``."""
    work = A.shape[0] * A.shape[1] * B.shape[1]
    parts = min(_parts_worth(work, half, A.device), max(1, len(A) // LEAST_ROWS))
    if parts == 1:
        return (A.bfloat16() @ B.bfloat16()).to(A.dtype) if half else A @ B
    C = A.new_empty(A.shape[0], B.shape[1])
    if half:
        halved = _halved(B, parts)
        _in_parts(
            lambda rows: C[rows].copy_(A[rows].bfloat16() @ halved), len(A), parts
        )
    else:
        _in_parts(lambda rows: torch.mm(A[rows], B, out=C[rows]), len(A), parts)
    return C


def add_gram_(G, block):
    """Add ``blockᵀ block`` to ``G`` from the diagonal on, in strips of rows.

    Entries below the diagonal may hold anything afterwards.
    """
    m = len(G)
    # A device is fastest at one large product.
    strip = STRIP if G.device.type == "cpu" else m
    firsts = range(0, m, strip)
    # Strips get shorter: the first and the last one are as much work together as the
    # second and the last but one.
    pairs = [
        sorted({firsts[number], firsts[-1 - number]})
        for number in range(-(-len(firsts) // 2))
    ]

    def add(some):
        for first in chain(*pairs[some]):
            rows = slice(first, first + strip)
            G[rows, first:].add_(block[:, rows].T @ block[:, first:])

    work = len(block) * m * m // 2
    parts = _parts_worth(work, block.dtype == torch.bfloat16, G.device)
    _in_parts(add, len(pairs), min(parts, len(pairs)))


def _halved(B, parts):
    if B.dtype == torch.bfloat16:
        return B
    halved = torch.empty_like(B, dtype=torch.bfloat16)
    _in_parts(lambda rows: halved[rows].copy_(B[rows]), len(B), parts)
    return halved


def _parts_worth(work, half, device):
    """Return into how many parts a product of ``work`` multiplications is cut.

    It is one where torch cuts it.
    """
    parts = n_parts()
    is_small = work < (WORTH_THREADS_HALF if half else WORTH_THREADS)
    is_torchs = parts == torch.get_num_threads()
    return 1 if is_small or is_torchs or device.type != "cpu" else parts


def _in_parts(function, n_things, parts):
    """Call a function of torch for slices of things, on one thread each."""
    if parts == 1:
        function(slice(0, n_things))
        return

    def call(part, first, last):
        with thread_count(1):
            function(slice(first, last))

    run_parts(call, cut_evenly(n_things, parts))
