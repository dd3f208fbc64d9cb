"""The benchmark of small vectors measures what it says; needs no data, no rivals."""

import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from _code_curves import (
    at_level,
    best_at,
    compresses_queries,
    for_display,
    label_of,
    make_curves,
    mean_at,
)
from _code_data import (
    Corpus,
    describe_corpus,
    distinct_rows,
    split_corpus,
    true_neighbours,
    unit_rows,
)
from _code_dense import (
    PCA,
    Matryoshka,
    Projection,
    RoundedPCA,
    Truncation,
    prefix_loss,
)
from _code_plan import neighbours_found, run_corpus
from _code_process import dead_fraction, measure
from _code_reference import Reference, top_codes
from _code_search import sparse_level
from _codes import FAMILIES, LEVELS, runs_of, speed_runs
from _harness import Job, read_records
from _page_codes import render_codes
from _plan import make_parser, run_jobs
from _run_code_rivals import largest_divisor

N_FEATURES = 32


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(0)
    spread = 0.9 ** np.arange(N_FEATURES)
    return unit_rows(rng.standard_normal((400, N_FEATURES)) * spread + 0.1)


@pytest.fixture(scope="module")
def split(vectors):
    return split_corpus(vectors, 0, 40)


def task_of(kind="pca", sizes=(), **params):
    return {"kind": kind, "params": params, "sizes": sizes, "seed": 0, "threads": 1}


def lists_of(model, split, k=10):
    catalog, queries = split
    model.fit(catalog)
    points, lists = measure(model.levels(), catalog, queries, k)
    return points, lists


def test_queries_are_not_searched(vectors):
    catalog, queries = split_corpus(vectors, 3, 40)
    assert len(catalog) == 360
    assert not set(map(bytes, queries)) & set(map(bytes, catalog))
    assert not np.array_equal(queries, split_corpus(vectors, 4, 40)[1])


def test_true_neighbours_are_a_full_sort(split):
    catalog, queries = split
    expected = np.argsort(-(queries @ catalog.T), axis=1)[:, :25]
    np.testing.assert_array_equal(true_neighbours(catalog, queries, 25), expected)


def test_share_of_neighbours_that_are_found():
    truth = np.arange(200).reshape(2, 100)
    ids = truth.copy()
    ids[0, :10] = ids[0, :10][::-1]
    ids[1, 5:] = -1
    assert neighbours_found(ids, truth) == {"recall@10": 0.75, "recall@100": 0.525}


def test_distinct_rows_keep_their_order():
    X = sp.csr_array([[1, 0, 1], [0, 1, 0], [1, 0, 1], [0, 1, 1], [0, 1, 0]])
    expected = [[1, 0, 1], [0, 1, 0], [0, 1, 1]]
    np.testing.assert_array_equal(distinct_rows(X).toarray(), expected)


@pytest.mark.parametrize("kind", [Truncation, PCA])
def test_a_projection_with_all_dimensions_loses_nothing(split, kind):
    (point,), (ids,) = lists_of(kind(task_of(sizes=(N_FEATURES,))), split)
    assert point["bytes"] == 2 * N_FEATURES
    assert neighbours_found(ids, true_neighbours(*split))["recall@10"] > 0.97


def test_projections_lose_less_with_more_dimensions(split):
    truth, found = true_neighbours(*split, 10), {}
    for kind in (Truncation, Projection, PCA, RoundedPCA):
        _, lists = lists_of(kind(task_of(sizes=(4, 8, 16))), split)
        shares = [neighbours_found(ids, truth)["recall@10"] for ids in lists]
        assert shares == sorted(shares)
        found[kind] = shares
    assert found[PCA][1] > found[Projection][1]
    assert found[RoundedPCA][1] == pytest.approx(found[PCA][1], abs=0.1)


def test_rounded_pca_stores_a_byte_for_a_dimension(split):
    model = RoundedPCA(task_of(sizes=(8,)))
    model.fit(split[0])
    (level,) = model.levels()
    codes = level.encode(split[0]) / (model.largest[8] / 127)
    assert level.facts["bytes"] == 8
    np.testing.assert_allclose(codes, codes.round(), atol=1e-4)
    assert codes.abs().max() <= 127.001


def test_prefixes_of_a_matryoshka_head_learn(split):
    params = {
        "max_iter": 5,
        "batch_size": 120,
        "learning_rate": 0.003,
        "scale_learning_rate": 0.0,
        "temperature": 0.1,
    }
    X, losses = torch.from_numpy(split[0]), {}
    for kind in (PCA, Matryoshka):
        model = kind(task_of(sizes=(4, 8), **params))
        model.fit(split[0])
        losses[kind] = prefix_loss(X, model.directions, (4, 8), 0.1)
    assert losses[Matryoshka] < losses[PCA]
    # All dimensions have the similarities that are learnt from.
    assert prefix_loss(X, torch.eye(N_FEATURES), (N_FEATURES,), 0.1) < losses[PCA]


def test_top_codes_are_the_largest_by_magnitude():
    latents = torch.tensor([[1.0, -3.0, 2.0], [0.5, 0.1, -0.2]])
    expected = [[0, -3, 2], [0.5, 0, -0.2]]
    np.testing.assert_allclose(top_codes(latents, 2).toarray(), expected)


def cosines(A, B):
    return unit_rows(A) @ unit_rows(B).T


def test_sparse_codes_are_searched_in_three_spaces(split):
    catalog, queries = split
    rng = np.random.default_rng(0)
    W = rng.standard_normal((24, N_FEATURES)).astype(np.float32)

    def encode(X):
        return top_codes(torch.from_numpy(X) @ torch.from_numpy(W).T, 5)

    level = sparse_level("own", 5, encode, W)
    points, lists = measure([level], catalog, queries, 20)
    S, T = encode(queries).toarray(), encode(catalog).toarray()
    expected = {
        "own-sparse": cosines(S, T),
        "own-reconstructed": cosines(S @ W, T @ W),
        "own-asymmetric": cosines(queries, T @ W),
    }
    assert [point["family"] for point in points] == list(expected)
    for (family, scores), ids in zip(expected.items(), lists, strict=True):
        best = -np.sort(-scores, axis=1)[:, :20]
        found = np.take_along_axis(scores, ids, axis=1)
        # The stored values have 11 bits.
        np.testing.assert_allclose(found, best, atol=2e-3, err_msg=family)
    assert {point["bytes"] for point in points} == {20}
    assert points[0]["dead_fraction"] == dead_fraction(encode(catalog))


def test_dead_latents_are_those_that_no_code_uses():
    codes = sp.csr_array([[1.0, 0, 0, 2], [0, 0, 0, 3]])
    assert dead_fraction(codes) == 0.5
    codes.data[0] = 0
    assert dead_fraction(codes) == 0.75


def test_the_published_implementation_learns(split):
    params = {
        "n_components": 48,
        "n_nonzero": 6,
        "learning_rate": 1e-2,
        "batch_size": 60,
    }
    truth, shares = true_neighbours(*split, 10), []
    for max_iter in (1, 20):
        model = Reference(task_of("reference", **params, max_iter=max_iter))
        points, lists = lists_of(model, split)
        assert len(model.describe()["epoch_seconds"]) == max_iter
        norms = model.decoder.detach().norm(dim=1)
        np.testing.assert_allclose(norms, 1, atol=1e-5)
        rebuilt = [point["family"] for point in points].index("reference-reconstructed")
        shares.append(neighbours_found(lists[rebuilt], truth)["recall@10"])
    assert shares[1] > shares[0] + 0.1


def test_parts_of_product_quantisation_divide_the_dimensions():
    assert [largest_divisor(384, n) for n in (16, 256, 512)] == [16, 192, 384]


def test_every_family_has_runs_of_all_sizes():
    for family in FAMILIES:
        runs = runs_of(family)
        assert len(runs) in (1, len(LEVELS))
        json.dumps([system.params for system in runs.values()])
    assert runs_of("one")["one"].sizes == (4, 8, 16, 32, 64, 128)
    assert runs_of("sae", [16])["sae-16"].params["n_nonzero"] == 4
    assert {"reference-1024", "sae-epochs-1"} <= set(speed_runs())
    # A batch larger than the number of queries stays what it is.
    reference = speed_runs()["reference-1024"]
    assert reference.params_for(10, 10)["batch_size"] == 1024


def record_of(family, seed, scores):
    points = [
        {"bytes": size, "metrics": {"recall@100": score, "recall@10": score}}
        for size, score in scores.items()
    ]
    return {"status": "ok", "family": family, "seed": seed, "points": points}


def test_sizes_between_levels_belong_to_the_next_one():
    curves = make_curves(
        [
            record_of("pq", 0, {16: 0.5, 192: 0.9}),
            record_of("pq", 1, {16: 0.7}),
            record_of("pca", 0, {16: 0.55, 768: 1.0}),
            {"status": "failed", "family": "opq", "seed": 0},
        ]
    )
    assert list(curves) == ["pca", "pq"]
    assert at_level(curves["pq"], 256) == 192
    assert at_level(curves["pq"], 512) is None
    assert mean_at(curves, "pq", 16) == pytest.approx(0.6)
    assert best_at(curves, 16, lambda family: True)[0] == "pq"
    assert best_at(curves, 16, compresses_queries) == ("pca", 0.55)
    assert best_at(curves, 512, lambda family: True) == ("pq", 0.9)
    # Only the seed that both sizes have; and nothing beyond the largest level.
    assert for_display(curves, ["pq", "pca", "sae-sparse"]) == {
        "faiss PQ": ([16, 192], [[0.5], [0.9]]),
        "PCA, uncentred": ([16], [[0.55]]),
    }
    assert label_of("sae-sparse@init=random") == "CompresSAE, sparse, init=random"


def test_runs_are_recorded_and_rendered(vectors, tmp_path, capsys):
    corpus = Corpus("minilm-wordnet", lambda: vectors, "", 40)
    systems = runs_of("pca") | runs_of("truncation") | runs_of("pq", [16])
    small = {"n_components": 64, "n_nonzero": 4}
    reference = speed_runs()["reference-1024"]
    reference = replace(reference, params=reference.params | small | {"max_iter": 2})
    options = make_parser("").parse_args(["--results", str(tmp_path), "--threads", "1"])

    def run(systems, benchmark):
        jobs = [Job(name, system, corpus, 0) for name, system in systems.items()]
        run_jobs(jobs, options, benchmark, run_corpus)
        return capsys.readouterr().out

    assert "left out are pq-16" in run(systems, "codes")
    assert "reference-1024" in run({"reference-1024": reference}, "codes-speed")
    records = read_records(tmp_path / "codes")
    assert [record["system"] for record in records] == ["pca", "truncation"]
    for record in records:
        assert record["status"] == "ok"
        assert [point["bytes"] for point in record["points"]] == [16, 32, 64]
        shares = [point["metrics"]["recall@100"] for point in record["points"]]
        assert shares == sorted(shares)
        assert record["fit_peak_bytes"] >= record["baseline_bytes"] > 0
        assert record["dataset"] == describe_corpus(corpus, unit_rows(vectors))
    assert "pca" not in run(systems, "codes")
    (speed,) = read_records(tmp_path / "codes-speed")
    assert len(speed["epoch_seconds"]) == 2
    page = render_codes(records, [speed], {"minilm-wordnet": "figure.svg"})
    assert "PCA, uncentred" in page
    assert "published, batches of 1024" in page
    assert "360 vectors of 32 dimensions and 40 queries" in page
