"""The benchmark of searches measures what it says; needs no rivals."""

import json

import numpy as np
import pytest
import scipy.sparse as sp
from _harness import Job, read_records
from _page_search import render_search
from _plan import make_parser, run_jobs
from _run_search import Index, Scipy, Torch
from _search import SEARCH_SYSTEMS
from _search_data import (
    N_COMPONENTS,
    N_NONZERO,
    Catalogue,
    describe_catalogue,
    make_items,
    make_queries,
    make_vectors,
)
from _search_process import LOADS, measure, share_right
from bench_search import run_catalogue, summarize_search


@pytest.fixture(scope="module")
def items():
    return make_items(3000, 0)


@pytest.fixture(scope="module")
def queries(items):
    return make_queries(items, 0)


def test_items_are_unit_rows_of_distinct_latents(items):
    assert items.shape == (3000, N_COMPONENTS)
    lengths = np.diff(items.indptr)
    assert N_NONZERO * 0.8 < lengths.mean() <= lengths.max() == N_NONZERO
    again = sp.csr_array((items.data, items.indices, items.indptr), items.shape)
    assert again.has_canonical_format
    np.testing.assert_allclose(items.multiply(items).sum(axis=1), 1, rtol=1e-5)
    assert 0.8 < np.mean(items.data > 0) < 0.9


def test_the_seed_decides(items, queries):
    again = make_items(3000, 0)
    assert (again != items).nnz == 0
    assert (make_items(3000, 1) != items).nnz > 0
    for one, other in zip(queries, make_queries(again, 0), strict=True):
        assert abs(one - other).max() == 0
    described = describe_catalogue(Catalogue(3000), 0)
    assert described == describe_catalogue(Catalogue(3000), 0)
    assert described["sha256"] != describe_catalogue(Catalogue(3000), 1)["sha256"]


def test_profiles_are_half_dense_and_codes_sparse(queries):
    profiles, codes = queries
    assert 0.3 < np.mean(profiles != 0) < 0.8
    assert np.diff(codes.indptr).max() <= N_NONZERO


def test_vectors_have_unit_length():
    vectors = make_vectors(50, 7, 0)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    assert not np.array_equal(vectors, make_vectors(50, 7, 1))


@pytest.mark.parametrize(
    "make",
    [
        lambda items: Index(items, "float16", True),
        lambda items: Index(items, "float32", False),
        Scipy,
        Torch,
    ],
)
def test_all_find_the_same(monkeypatch, items, queries, make):
    monkeypatch.setattr("_run_search.STREAM_BYTES", 1 << 12)
    monkeypatch.setattr("_search_process.REPEATS", 2)
    searcher = make(items)
    for Q in queries:
        assert share_right(searcher, items, Q[:8]) == 1
    point = measure(searcher, queries[0], LOADS["one profile"])
    assert point["n_queries"] == 1
    assert point["fastest"] <= point["seconds"]
    assert searcher.nbytes > 0


def test_wrong_lists_are_noticed(items, queries):
    class Wrong:
        def search(self, Q, k):
            return np.tile(np.arange(k), (Q.shape[0], 1))

    class Short:
        def search(self, Q, k):
            return np.full((Q.shape[0], k), -1)

    class Without50th:
        def search(self, Q, k):
            Q = Q.toarray() if hasattr(Q, "toarray") else Q
            best = np.argsort(-(items @ Q.T).T, axis=1, kind="stable")
            return np.delete(best, 49, axis=1)[:, :k]

    for searcher in (Wrong(), Short(), Without50th()):
        for Q in queries:
            assert share_right(searcher, items, Q[:8]) == 0


def test_runs_are_recorded_and_rendered(monkeypatch, tmp_path):
    monkeypatch.setattr("_search_process.REPEATS", 1)
    options = make_parser("", seeds=[0]).parse_args(
        ["--results", str(tmp_path), "--threads", "1"]
    )
    names = ("index-float16", "scipy", "faiss-384")
    jobs = [Job(name, SEARCH_SYSTEMS[name], Catalogue(500), 0) for name in names]
    run_jobs(jobs, options, "search", run_catalogue)
    records = read_records(tmp_path / "search")
    assert [record["system"] for record in records] == ["index-float16", "scipy"]
    for record in records:
        assert record["status"] == "ok", record
        assert {point["load"] for point in record["points"]} == set(LOADS)
        assert all(point["share_right"] == 1 for point in record["points"])
        assert "one code" in summarize_search(record)
    dense = json.loads(json.dumps(records[1])) | {
        "system": "faiss-384",
        "label": "dense",
    }
    dense["points"] = [point for point in dense["points"] if "profile" in point["load"]]
    failed = dense | {"system": "faiss-1024", "status": "failed", "error": "no memory"}
    page = render_search([*records, dense, failed])
    for words in ("## 500 items", "SparseIndex, float16", "no memory", "best sparse"):
        assert words in page
