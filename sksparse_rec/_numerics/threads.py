"""How many threads compute, and work cut into a part for each of them."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock, local

import numpy as np
import torch


@contextmanager
def thread_count(n_threads, intra_op=None):
    """Run a block with the thread count set, then restore it.

    Torch's own count becomes ``intra_op``, which is ``n_threads`` unless given, and
    ``run_parts`` makes ``n_threads`` parts. None leaves the count alone. Part of
    torch's count belongs to the Python thread and part to the process, so of blocks
    that overlap in several threads every one, on leaving, restores what the first
    found.
    """
    if n_threads is None:
        yield
        return
    own = n_threads if intra_op is None else intra_op
    with _counts.lock:
        # A thread takes the count of the process when it first asks for it, and would
        # take what another thread has made of that by then.
        found = torch.get_num_threads()
        if _counts.inside == 0:
            _counts.before = found
        _counts.inside += 1
        outer = vars(_counts.own).copy()
        _counts.own.intra_op, _counts.own.n_parts = own, n_threads
        torch.set_num_threads(own)
    try:
        yield
    finally:
        with _counts.lock:
            _counts.inside -= 1
            vars(_counts.own).clear()
            vars(_counts.own).update(outer)
            torch.set_num_threads(outer.get("intra_op", _counts.before))


class _ThreadCounts:
    def __init__(self):
        self.lock, self.inside, self.before = Lock(), 0, 0
        self.own = local()


_counts = _ThreadCounts()


def n_parts():
    """Return the number of threads that may compute at once, for this thread."""
    return getattr(_counts.own, "n_parts", None) or torch.get_num_threads()


def cut(starts, n_parts):
    """Return bounds of ``n_parts`` ranges that hold about as much work each.

    ``starts[i]`` is the work of everything before ``i``, so it has one entry more than
    there are things.
    """
    total = int(starts[-1])
    cuts = [np.searchsorted(starts, total * part / n_parts) for part in range(n_parts)]
    return [0, *(int(cut) for cut in cuts[1:]), len(starts) - 1]


def cut_evenly(n_things, n_parts):
    """Return bounds of ``n_parts`` ranges of as many things each, give or take one."""
    return [n_things * part // n_parts for part in range(n_parts + 1)]


def run_parts(function, bounds):
    """Call ``function(part, first, last)`` for every part, all at once.

    The first part runs in the calling thread and every other one in a new one. Unlike
    the threads of OpenMP they sleep while they wait, so that a busy machine slows them
    down no more than in proportion. The function releases the GIL.
    """
    if len(bounds) == 2:
        function(0, *bounds)
        return
    # A pool of its own: one that outlives the call would not survive a fork.
    with ThreadPoolExecutor(len(bounds) - 2) as pool:
        parts = [
            pool.submit(function, part, *bounds[part : part + 2])
            for part in range(1, len(bounds) - 1)
        ]
        function(0, *bounds[:2])
    for part in parts:
        part.result()
