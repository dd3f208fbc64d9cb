"""Jobs that are independent of each other, each on its share of the threads."""

import _thread
import threading
from concurrent.futures import CancelledError
from threading import Barrier, Event, Lock

import pytest
import torch

from sksparse_rec._numerics.jobs import run_jobs, shares_of
from sksparse_rec._numerics.threads import n_parts


@pytest.mark.parametrize(
    ("weights", "n_threads", "shares"),
    [
        ([256, 128, 64, 32, 16, 8], 1, [1, 1, 1, 1, 1, 1]),
        ([256, 128, 64, 32, 16, 8], 2, [1, 1, 1, 1, 1, 1]),
        ([256, 128, 64, 32, 16, 8], 4, [2, 1, 1, 1, 1, 1]),
        ([256, 128, 64, 32, 16, 8], 16, [8, 4, 2, 1, 1, 1]),
        ([5], 7, [7]),
        ([1, 1], 7, [3, 3]),
    ],
)
def test_shares(weights, n_threads, shares):
    assert shares_of(weights, n_threads) == shares


@pytest.mark.parametrize("n_threads", [1, 2, 3, 16])
def test_every_job_runs_once_on_its_share(n_threads):
    """No more threads than there are at once, in the order of the jobs."""
    shares = shares_of([8, 4, 2, 1, 1], n_threads)
    lock, started, taken, most, counts = Lock(), [], 0, [], {}
    before = torch.get_num_threads()

    def work(number, check):
        nonlocal taken
        with lock:
            started.append(number)
            taken += shares[number]
            most.append(taken)
        counts[number] = n_parts(), torch.get_num_threads()
        check()
        with lock:
            taken -= shares[number]

    run_jobs(work, shares, n_threads)
    assert sorted(started) == [0, 1, 2, 3, 4]
    assert max(most) <= n_threads
    assert counts == {number: (share, share) for number, share in enumerate(shares)}
    assert torch.get_num_threads() == before


def test_jobs_run_at_once():
    """Every one of them waits for the others."""
    barrier = Barrier(3)
    run_jobs(lambda number, check: barrier.wait(10), [2, 1, 1], 4)
    assert not barrier.broken


def test_a_job_waits_for_as_many_threads_as_it_takes():
    running, seen = set(), {}

    def work(number, check):
        running.add(number)
        seen[number] = set(running)
        running.remove(number)

    run_jobs(work, [1, 1, 2], 2)
    assert seen[2] == {2}


def test_a_job_that_takes_all_threads_runs_in_the_calling_one():
    """Where Ctrl-C reaches it."""
    seen = []
    run_jobs(lambda *_: seen.append(threading.get_ident()), [2, 2], 2)
    assert seen == [threading.get_ident()] * 2


def ended_by(error, fail):
    """Return which jobs were told to end when job 0 of four failed.

    Another one is running by then, and two have not started.
    """
    inside, ended, started = Event(), [], []

    def work(number, check):
        started.append(number)
        if number == 0:
            assert inside.wait(10)
            fail()
        inside.set()
        try:
            for _ in range(1000):
                threading.Event().wait(0.01)
                check()
        except CancelledError:
            ended.append(number)
            raise

    before = set(threading.enumerate())
    with pytest.raises(error):
        run_jobs(work, [1] * 4, 2)
    # Nobody waits for a thread that was being started when the interrupt came.
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
    assert sorted(started) == [0, 1]
    return set(ended)


def test_an_error_ends_the_others():
    def fail():
        raise FloatingPointError

    assert ended_by(FloatingPointError, fail) == {1}


def test_an_interrupt_ends_all():
    def interrupt():
        _thread.interrupt_main()

    assert ended_by(KeyboardInterrupt, interrupt) == {0, 1}


def test_an_error_of_the_calling_thread_ends_all():
    """Of a job that waits for nobody, and of one that waited."""
    seen = []

    def work(number, check):
        seen.append(number)
        if number == 1:
            raise KeyError(number)

    with pytest.raises(KeyError):
        run_jobs(work, [1, 2, 1], 2)
    assert seen == [0, 1]
