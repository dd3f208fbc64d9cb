"""Every way to search, in small pieces and in several threads."""

import numpy as np
import pytest

from sksparse_rec._numerics import search, search_scipy
from sksparse_rec._numerics.threads import thread_count


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def small_pieces(monkeypatch):
    """Make every loop over blocks go round often."""
    monkeypatch.setattr(search, "LIST_BLOCK", 4)
    monkeypatch.setattr(search, "LARGEST_LIST_BLOCK", 4)
    monkeypatch.setattr(search, "PIECE", 7)
    monkeypatch.setattr(search, "ROWS_PIECE", 3)
    monkeypatch.setattr(search_scipy, "ITEM_BLOCK", 5)
    compiled = search.load_compiled_search()
    if compiled is not None:
        monkeypatch.setattr(compiled, "SPARE", 1)
        monkeypatch.setattr(compiled, "WORTH_THREADS", 0)


@pytest.fixture(params=["scipy", "scan", "lists", "chosen"])
def any_way(request, monkeypatch):
    """Search without numba, by a scan, by lists, or as the costs have it."""
    if request.param == "scipy":
        monkeypatch.setattr(search, "load_compiled_search", lambda: None)
        return request.param
    pytest.importorskip("numba")
    if request.param == "scan":
        monkeypatch.setattr(search, "BUILD_COST", 1e30)
        monkeypatch.setattr(search, "LIST_COST", 1e30)
    if request.param == "lists":
        monkeypatch.setattr(search, "BUILD_COST", -1)
        monkeypatch.setattr(search, "SCAN_COST", 1e30)
    return request.param


@pytest.fixture(params=[1, 3], ids=["1 thread", "3 threads"])
def any_threads(request):
    with thread_count(request.param, 1):
        yield request.param


@pytest.fixture(params=["whole", "small pieces"])
def any_pieces(request):
    if request.param == "small pieces":
        request.getfixturevalue("small_pieces")
