"""Jobs that are independent of each other, each on its share of the threads."""

import _thread
import gc
import signal
import threading
import weakref
from concurrent.futures import CancelledError
from threading import Barrier, Event, Lock
from time import sleep

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


@pytest.mark.parametrize(
    ("shares", "n_threads"),
    [
        ([1, 1, 1], 1),
        ([1, 1, 1], 2),
        ([2, 1, 1], 3),
        ([3, 2, 2, 1], 4),
        ([8, 4, 2, 1, 1], 16),
    ],
)
def test_every_job_runs_once_on_its_share(shares, n_threads):
    """No more threads than there are at once."""
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
        # Whoever may start beside this one does so now.
        sleep(0.05)
        with lock:
            taken -= shares[number]

    run_jobs(work, shares, n_threads)
    assert sorted(started) == list(range(len(shares)))
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
        sleep(0.05)
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


@pytest.fixture
def interruptible():
    """Ctrl-C raises, also in a worker of xdist, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
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


def test_a_thread_that_cannot_start_ends_all(monkeypatch):
    """A job that waits for its thread must not start afterwards."""
    seen, original, n_started = [], threading.Thread.start, 0

    def start(thread):
        nonlocal n_started
        n_started += 1
        if n_started == 2:
            raise RuntimeError("can't start new thread")
        original(thread)

    def work(number, check):
        seen.append(number)
        sleep(0.1)

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(RuntimeError, match="start new thread"):
        run_jobs(work, [1, 1, 1], 2)
    assert seen == [0]


def test_an_error_keeps_nothing_alive():
    class Large:
        pass

    def failed():
        large = Large()

        def work(number, check):
            raise KeyError(large)

        with pytest.raises(KeyError):
            run_jobs(work, [1, 1], 2)
        return weakref.ref(large)

    gc.disable()
    try:
        assert failed()() is None
    finally:
        gc.enable()
