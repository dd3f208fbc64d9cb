"""Independent jobs, each on its share of the threads."""

from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    ThreadPoolExecutor,
    wait,
)
from threading import Event

from sksparse_rec._numerics.threads import thread_count

# Seconds. On some systems Ctrl-C reaches a thread only when it stops waiting.
POLL = 0.5


def shares_of(weights, n_threads):
    """Return how many of the threads each of several jobs takes: one at least."""
    total = sum(weights)
    return [max(1, n_threads * weight // total) for weight in weights]


def run_jobs(function, shares, n_threads):
    """Call ``function(number, check)`` for every share, several at once.

    Call ``number`` computes with ``shares[number]`` threads, at most ``n_threads``; it
    starts once those before it leave so many. If one fails or the calling thread is
    interrupted, the others raise at their next ``check()`` and those that have not
    started never do. A call that takes all threads runs in the calling thread.
    """
    stopped = Event()

    def check():
        if stopped.is_set():
            raise CancelledError

    def call(number, share):
        # It may have waited for its thread longer than another one took to fail.
        check()
        with thread_count(share):
            function(number, check)

    running = {}
    with ThreadPoolExecutor(len(shares)) as pool:
        try:
            for number, share in enumerate(shares):
                _wait_for(running, n_threads - share)
                if share == n_threads:
                    call(number, share)
                else:
                    running[pool.submit(call, number, share)] = share
            _wait_for(running, 0)
        except BaseException:
            stopped.set()
            raise


def _wait_for(running, n_threads):
    """Wait until so many threads or fewer are taken; raise what a call has raised."""
    while sum(running.values()) > n_threads:
        done = wait(running, POLL, return_when=FIRST_COMPLETED).done
        while done:
            _finish(done.pop(), running)


def _finish(call, running):
    """Forget a call; raise what it has raised."""
    del running[call]
    try:
        call.result()
    finally:
        # An error holds this frame, and would keep itself alive by way of the call.
        del call
