"""How many threads compute, and work cut into a part for each of them."""

from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from os import getpid
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
    # Its threads start when they are first asked for.
    pool = ThreadPoolExecutor(n_threads - 1) if n_threads > 1 else None
    with _counts.lock:
        # A thread takes the count of the process when it first asks for it, and would
        # take what another thread has made of that by then.
        found = torch.get_num_threads()
        if _counts.inside == 0:
            _counts.before = found
        _counts.inside += 1
        outer = vars(_counts.own).copy()
        _counts.own.intra_op, _counts.own.n_parts = own, n_threads
        _counts.own.pool, _counts.own.process = pool, getpid()
        torch.set_num_threads(own)
    try:
        yield
    finally:
        try:
            with _counts.lock:
                _counts.inside -= 1
                vars(_counts.own).clear()
                vars(_counts.own).update(outer)
                torch.set_num_threads(outer.get("intra_op", _counts.before))
        finally:
            if pool is not None:
                pool.shutdown()


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

    The first part runs in the calling thread and every other one in one of the threads
    of ``thread_count``, or outside it in a new one. Unlike the threads of OpenMP they
    sleep while they wait, so that a busy machine slows them down no more than in
    proportion. The function releases the GIL.
    """
    if len(bounds) == 2:
        function(0, *bounds)
        return
    pool = getattr(_counts.own, "pool", None)
    # The threads of a pool do not survive a fork.
    if pool is None or _counts.own.process != getpid():
        with ThreadPoolExecutor(len(bounds) - 2) as pool:
            _run_in(pool, function, bounds)
    else:
        _run_in(pool, function, bounds)


def _run_in(pool, function, bounds):
    parts = [
        pool.submit(function, part, *bounds[part : part + 2])
        for part in range(1, len(bounds) - 1)
    ]
    try:
        function(0, *bounds[:2])
    finally:
        # Whoever catches an error may go on with what the other parts write.
        wait(parts)
    for part in parts:
        part.result()
