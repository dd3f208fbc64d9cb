"""Thread counts that are restored, and work cut into parts."""

import threading
from concurrent.futures import ThreadPoolExecutor
from time import sleep

import numpy as np
import pytest
import torch

from sksparse_rec._numerics import threads as threads_module
from sksparse_rec._numerics.threads import (
    cut,
    cut_evenly,
    n_parts,
    run_parts,
    thread_count,
)


@pytest.fixture
def threads():
    """Start from a count that no block below asks for; put it back."""
    before = torch.get_num_threads()
    torch.set_num_threads(5)
    yield 5
    torch.set_num_threads(before)


def test_thread_count_is_restored(threads):
    with thread_count(2):
        assert torch.get_num_threads() == 2
        with thread_count(3):
            assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == threads
    with thread_count(None):
        assert torch.get_num_threads() == threads


def test_thread_count_is_restored_after_an_error(threads):
    with pytest.raises(KeyError), thread_count(2):
        raise KeyError
    assert torch.get_num_threads() == threads
    with thread_count(3):
        pass
    assert torch.get_num_threads() == threads


def test_inner_block_gives_the_outer_its_count_back(threads):
    with thread_count(2):
        with thread_count(3):
            pass
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == threads


def test_overlapping_threads_restore_what_the_first_found(threads):
    """First in, first out: the later block found the count of the earlier one."""
    first_inside, second_inside = threading.Event(), threading.Event()
    first_left = threading.Event()
    counts = {}

    def first():
        with thread_count(2):
            first_inside.set()
            assert second_inside.wait(10)
        counts["first"] = torch.get_num_threads()
        first_left.set()

    def second():
        assert first_inside.wait(10)
        with thread_count(3):
            counts["inside"] = torch.get_num_threads()
            second_inside.set()
            assert first_left.wait(10)
        counts["second"] = torch.get_num_threads()

    workers = [threading.Thread(target=work) for work in (first, second)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
    assert counts == {"inside": 3, "first": threads, "second": threads}
    assert torch.get_num_threads() == threads
    # A thread that starts afterwards finds it too.
    late = []
    worker = threading.Thread(target=lambda: late.append(torch.get_num_threads()))
    worker.start()
    worker.join(20)
    assert late == [threads]


def test_parts_have_a_count_of_their_own(threads):
    assert n_parts() == threads
    with thread_count(4, intra_op=1):
        assert (n_parts(), torch.get_num_threads()) == (4, 1)
        with thread_count(2):
            assert (n_parts(), torch.get_num_threads()) == (2, 2)
        assert (n_parts(), torch.get_num_threads()) == (4, 1)
    assert n_parts() == torch.get_num_threads() == threads


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_cut_covers_everything_once_and_evenly(n):
    work = np.random.default_rng(0).integers(0, 9, 200)
    starts = np.concatenate([[0], np.cumsum(work)])
    bounds = cut(starts, n)
    assert bounds[0] == 0
    assert bounds[-1] == 200
    assert len(bounds) == n + 1
    parts = np.diff(starts[bounds])
    assert parts.max() - parts.min() <= 2 * work.max()


def test_cut_of_nothing():
    assert cut(np.zeros(4), 2) == [0, 0, 3]


@pytest.mark.parametrize("n", [1, 2, 3, 7])
@pytest.mark.parametrize("n_things", [0, 1, 5, 200])
def test_even_parts_differ_by_one_thing_at_most(n_things, n):
    bounds = cut_evenly(n_things, n)
    assert (bounds[0], bounds[-1], len(bounds)) == (0, n_things, n + 1)
    sizes = np.diff(bounds)
    assert 0 <= sizes.min() <= sizes.max() <= sizes.min() + 1


@pytest.fixture(params=[None, 3], ids=["outside a block", "within a block"])
def maybe_block(request):
    with thread_count(request.param):
        yield


@pytest.mark.usefixtures("maybe_block")
def test_run_parts_runs_all_parts_at_once():
    seen, threads = [], {}
    barrier = threading.Barrier(3, timeout=10)

    def work(part, first, last):
        barrier.wait()
        seen.append((part, first, last))
        threads[part] = threading.get_ident()

    run_parts(work, [0, 5, 5, 9])
    assert sorted(seen) == [(0, 0, 5), (1, 5, 5), (2, 5, 9)]
    assert len(set(threads.values())) == 3
    assert threads[0] == threading.get_ident()


@pytest.mark.usefixtures("maybe_block")
@pytest.mark.parametrize("broken", [0, 1, 2])
def test_run_parts_raises_what_a_part_raises(broken):
    """When the other parts are done, and no later call suffers from it."""
    done = []

    def work(part, first, last):
        if part == broken:
            raise KeyError(first)
        sleep(0.1)
        done.append(part)

    for _ in range(2):
        with pytest.raises(KeyError, match=str(4 * broken)):
            run_parts(work, [0, 4, 8, 12])
        assert sorted(done) == sorted({0, 1, 2} - {broken})
        done.clear()


@pytest.fixture
def workers():
    """The threads that parts run in, and a function that runs two parts."""
    seen = []

    def work(part, first, last):
        seen.append(threading.current_thread())

    return seen, lambda: run_parts(work, [0, 1, 2])


def test_threads_live_as_long_as_a_block(workers):
    """And are used again within it, but for blocks within."""
    seen, run = workers

    def block():
        with thread_count(2):
            for _ in range(3):
                run()
            with thread_count(1), thread_count(2):
                run()
            run()
            assert len({thread for thread in seen if thread.is_alive()}) == 2
            raise KeyError

    with pytest.raises(KeyError):
        block()
    assert len(set(seen)) == 3
    assert [thread for thread in set(seen) if thread.is_alive()] == [
        threading.current_thread()
    ]


def test_more_parts_than_threads():
    """They take turns."""
    seen, bounds = [], [0, 1, 2, 3, 4]

    def work(*part):
        sleep(0.05)
        seen.append((*part, threading.get_ident()))

    with thread_count(2):
        run_parts(work, bounds)
    assert sorted(part[:3] for part in seen) == [(n, n, n + 1) for n in range(4)]
    assert len({part[3] for part in seen}) == 2


def test_counts_are_restored_when_the_end_of_a_block_is_interrupted(
    workers, monkeypatch
):
    def interrupt(pool):
        raise KeyboardInterrupt

    _, run = workers
    before = torch.get_num_threads()
    with monkeypatch.context() as patch:
        patch.setattr(ThreadPoolExecutor, "shutdown", interrupt)
        with pytest.raises(KeyboardInterrupt), thread_count(before + 1):
            run()
    assert (n_parts(), torch.get_num_threads()) == (before, before)
    run()


def test_a_process_does_not_wait_for_threads_of_its_parent(workers, monkeypatch):
    """In a fork there is the pool, but none of its threads."""
    seen, run = workers
    with thread_count(2):
        run()
        first = set(seen)
        monkeypatch.setattr(threads_module, "getpid", lambda: -1)
        run()
        assert len(set(seen) - first) == 1


def test_a_block_is_not_changed_by_one_that_ends_elsewhere(threads):
    """Also where its thread has not asked for its count before."""
    late_inside, early_left, seen = threading.Event(), threading.Event(), []

    def late():
        with thread_count(1):
            late_inside.set()
            assert early_left.wait(10)
            seen.append(torch.get_num_threads())

    def early():
        assert late_inside.wait(10)
        with thread_count(1):
            pass
        early_left.set()

    with thread_count(3, intra_op=1):
        workers = [threading.Thread(target=work) for work in (late, early)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(20)
    assert seen == [1]
    assert torch.get_num_threads() == threads
