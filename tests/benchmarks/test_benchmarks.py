"""The benchmarks measure what they say; run by `pytest tests/benchmarks/test_*.py`."""

import argparse
import json

import numpy as np
import pytest
import scipy.sparse as sp
from _baselines import EASE, PrunedEASE, largest_weights
from _budgets import LEVELS, default_runs
from _codes import FAMILIES, runs_of
from _costs import fit_costs
from _curves import best_dense, bytes_needed, kept_share, make_curves, same_runs
from _data import Dataset, split_dataset, split_validation
from _estimators import CodedElsa, Elsa, PrunedElsa
from _harness import Job, read_records
from _page_budgets import seeds_note, size_beside
from _page_speed import _path_section
from _plan import _setting, make_parser, run_jobs, suffix
from _process import Data
from _ranking import best_unseen, mean_ndcg
from _search import SEARCH_SYSTEMS
from _segments import SEGMENT_SYSTEMS
from _systems import POPULARITY, SYSTEMS, elsa

from sksparse_rec.datasets import make_interactions
from sksparse_rec.metrics import ndcg_at_k


@pytest.fixture(scope="module")
def interactions():
    return sp.csr_array(make_interactions(120, 40, 1500, random_state=0))


@pytest.fixture(scope="module")
def data(interactions):
    train, history, _ = split_dataset(interactions, 0)
    validation = tuple(sp.csr_matrix(part) for part in split_validation(train, 0))
    return Data(sp.csr_matrix(train), sp.csr_matrix(history), validation)


@pytest.fixture(scope="module")
def lists(interactions):
    rng = np.random.default_rng(0)
    _, history, targets = split_dataset(interactions, 0)
    scores = rng.random(history.shape)
    return scores, history, targets


def test_best_unseen_is_a_full_sort_without_what_was_seen(lists):
    scores, history, _ = lists
    ids = best_unseen(lambda users: scores[users], sp.csr_matrix(history), 40)
    for user, found in enumerate(ids):
        unseen = np.setdiff1d(np.arange(40), history[[user]].indices)
        expected = unseen[np.argsort(-scores[user, unseen])]
        np.testing.assert_array_equal(found[: len(unseen)], expected)
        assert (found[len(unseen) :] == -1).all()


@pytest.mark.parametrize("k", [5, 30])
def test_ndcg_of_the_rivals_is_that_of_the_package(lists, k):
    scores, history, targets = lists
    ids = best_unseen(lambda users: scores[users], sp.csr_matrix(history), k)
    ids[0, 2:] = -1
    targets = sp.csr_matrix(targets)
    assert mean_ndcg(targets, ids) == pytest.approx(ndcg_at_k(targets, ids, k=k))


def test_validation_users_are_training_users(data):
    train, history, targets = data.validation
    assert train.shape[0] + history.shape[0] == data.train.shape[0]
    assert (history + targets).sum() + train.sum() == data.train.sum()


@pytest.mark.parametrize("axis", ["rows", "columns"])
def test_largest_weights_of_ease(data, axis):
    model = EASE()
    model.fit(data)
    B = model.precision * model.weights
    np.fill_diagonal(B, 0)
    if axis == "columns":
        B = B.T
    kept = largest_weights(model.precision, model.weights, 3, axis).toarray()
    for row, expected in zip(kept, B, strict=True):
        items = np.argsort(-np.abs(expected))[:3]
        np.testing.assert_array_equal(np.flatnonzero(row), np.sort(items))
        np.testing.assert_allclose(row[items], expected[items])


def test_ease_that_keeps_everything_is_ease(data):
    model = PrunedEASE([39, 4])
    model.prepare(data)
    model.fit(data)
    answers = {facts["size"]: ids for facts, ids in model.answers(data.history, 10)}
    np.testing.assert_array_equal(answers[39], answers[40])
    assert not np.array_equal(answers[4], answers[40])


def task_of(system):
    return {"params": system.params, "sizes": system.sizes, "seed": 0}


def test_every_epoch_is_timed(data):
    model = Elsa(task_of(elsa("", n_components=16, n_nonzero=4, max_iter=3)))
    for _ in range(2):
        model.fit(data)
        facts = model.describe()
        assert len(facts["epoch_seconds"]) == facts["n_iter"] == 3
        assert facts["start_seconds"] > 0


def test_dense_elsa_is_pruned_after_training(data):
    system = elsa("", sizes=(2, 16), n_components=16, n_nonzero=None, max_iter=2)
    model = PrunedElsa(task_of(system))
    model.fit(data)
    (dense, whole), (_, kept), (_, pruned) = model.answers(data.history, 10)
    assert dense["family"] == "elsa-dense"
    assert not dense["is_sparse"]
    np.testing.assert_array_equal(whole, kept)
    assert not np.array_equal(whole, pruned)


@pytest.mark.parametrize("levels", [None, (8,)])
@pytest.mark.parametrize(
    ("dataset", "sizes"), [("debian", LEVELS), ("gowalla", (8, 16, 32))]
)
def test_the_wide_path_has_its_levels_by_data_set(dataset, sizes, levels):
    """Its record has one name, whatever the levels of the command line."""
    runs = default_runs("anchors-wide", dataset, True, levels)
    assert {name: run.sizes for name, run in runs.items()} == {"anchors-wide": sizes}


def test_slow_runs_on_large_data_are_done_once():
    families = {
        family: default_runs(family, "gowalla", False)
        for family in ("anchors-wide", "elsa-dense", "paper", "anchors-path")
    }
    assert [family for family, runs in families.items() if runs] == ["anchors-path"]
    assert list(default_runs("paper", "gowalla", True)) == [
        "paper-8",
        "paper-32",
        "paper-128",
    ]


def test_runs_of_other_benchmarks_stand_in():
    def record(system, seed, ndcg, **more):
        point = {"size": 32, "is_sparse": True, "metrics": {"ndcg@100": ndcg}}
        facts = {"system": system, "seed": seed, "status": "ok", "points": [point]}
        return facts | more

    others = same_runs([record("compresso", s, 0.1) for s in (0, 1)])
    others += same_runs([record("compresso-5-epochs", 2, 0.9), record("als", 0, 0.9)])
    curves = make_curves([*others, record("compresso-32", 0, 0.2, family="compresso")])
    seeds = curves["compresso"][32 * 8]
    assert {seed: m["ndcg@100"] for seed, m in seeds.items()} == {0: 0.2, 1: 0.1}
    assert list(curves) == ["compresso"]


def test_dense_elsa_is_encoded_after_training(data):
    system = elsa("", sizes=(2, 4), n_components=16, n_nonzero=None, max_iter=2)
    model = CodedElsa(task_of(system))
    model.fit(data)
    answers = list(model.answers(data.history, 10))
    assert [facts["size"] for facts, _ in answers] == [4, 2]
    assert not np.array_equal(answers[0][1], answers[1][1])
    for (level, A), coder in zip(model.sparse_rows(), model.coders, strict=True):
        assert np.diff(A.indptr).max() == coder.n_nonzero == level
        np.testing.assert_allclose(np.sqrt(A.multiply(A).sum(axis=1)), 1, rtol=1e-5)
    assert model.describe()["coder_params"]["n_nonzero"] == [4, 2]


def test_costs_are_recovered_and_never_negative():
    rng = np.random.default_rng(0)
    terms = rng.uniform(1, 1000, (12, 3)) * [1, 1e6, 1e9]
    costs = fit_costs(terms, terms @ [2.0, 0.0, 3e-9])
    np.testing.assert_allclose(costs.coefficients, [2, 0, 3e-9], atol=1e-12)
    assert costs.error < 1e-9
    noisy = fit_costs(terms, terms @ [2.0, 0.0, 3e-9] * rng.uniform(0.8, 1.2, 12))
    assert (noisy.coefficients >= 0).all()


def record_of(family, seed, scores, *, is_sparse):
    points = [
        {"size": size, "is_sparse": is_sparse, "metrics": {"ndcg@100": score}}
        for size, score in scores.items()
    ]
    return {"status": "ok", "family": family, "seed": seed, "points": points}


@pytest.mark.parametrize(
    ("n_bytes", "expected"),
    [
        (None, "none"),
        (256, "256 (32×)"),
        (8192, "8,192 (1×)"),
        (16384, "16,384 (0.5×)"),
    ],
)
def test_sizes_beside_the_dense_one(n_bytes, expected):
    assert size_beside(n_bytes, 8192) == expected


def test_sizes_are_compared_over_common_seeds():
    curves = make_curves(
        [
            record_of("elsa-dense", 0, {16: 0.2, 64: 0.4, 128: 0.3}, is_sparse=False),
            record_of("anchors-fit", 0, {8: 0.38, 16: 0.395}, is_sparse=True),
            record_of("anchors-fit", 1, {8: 0.9, 16: 0.9}, is_sparse=True),
            {"status": "timeout", "family": "paper", "seed": 0},
        ]
    )
    assert list(curves) == ["anchors-fit", "elsa-dense"]
    assert best_dense(curves) == 256
    assert kept_share(curves, "anchors-fit", 64) == pytest.approx(0.95)
    assert bytes_needed(curves, "anchors-fit", 0.9) == 64
    assert bytes_needed(curves, "anchors-fit", 0.975) == 128
    assert bytes_needed(curves, "anchors-fit", 1) is None
    assert kept_share(curves, "paper", 64) is None
    assert seeds_note(curves) == (
        "- Seeds of a number: 2; 1 of dense ELSA at 64, 256, 512 bytes."
    )


def test_a_path_is_compared_with_fits_of_the_same_seed():
    def record(system, seed, seconds, scores):
        costs = {"fit_seconds": seconds, "fit_peak_bytes": 3e6, "baseline_bytes": 1e6}
        where = {"system": system, "dataset": {"name": "ml-1m", "sha256": "a"}}
        return record_of(system, seed, scores, is_sparse=True) | costs | where

    page = _path_section(
        [
            record("path", 0, 12, {8: 0.5, 4: 0.25}),
            record("fit", 0, 8, {8: 0.4}),
            record("path", 1, 14, {8: 0.6, 4: 0.25}),
            record("fit", 1, 7, {8: 0.2}),
            record("path", 2, 100, {8: 0.6, 4: 0.25}),
            record("path@max_iter=4", 1, 1, {8: 0.1, 4: 0.1}),
        ]
    )
    assert "Levels of 8, 4 non-zeros" in page
    (row,) = [line for line in page.splitlines() if line.startswith("| ml-1m")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:5] == ["13.0", "7.5", "1.75", "1.50 to 2.00"]
    assert [cell.split()[0] for cell in cells[5:]] == [
        "0.5500",
        "0.3000",
        "2",
        "2",
        "2",
    ]


def test_settings_of_the_command_line():
    settings = [_setting("max_iter=5"), _setting("pruning=linear")]
    assert settings == [("max_iter", 5), ("pruning", "linear")]
    assert suffix(settings) == "@max_iter=5,pruning=linear"
    assert suffix([]) == ""
    changed = SYSTEMS["anchors"].with_settings(dict(settings))
    assert changed.params["pruning"] == "linear"
    assert "max_iter=5" in changed.label
    with pytest.raises(argparse.ArgumentTypeError, match="NAME=VALUE"):
        _setting("max_iter")


def test_rivals_run_in_an_interpreter_of_their_own():
    codes = [runs_of(family, [128]) for family in FAMILIES]
    found = sorted(
        name
        for systems in (SYSTEMS, SEARCH_SYSTEMS, SEGMENT_SYSTEMS, *codes)
        for name, system in systems.items()
        if system.is_rival
    )
    assert found == sorted(
        (
            *("als", "bpr", "elsarec", "compresso"),
            *("sparse-dot-topn", "faiss-384", "faiss-1024"),
            "compresso",
            *("pq-128", "opq-128", "csr-128", "topksae-128"),
        )
    )


def test_a_run_is_recorded_once(interactions, tmp_path, capsys):
    jobs = [Job("popularity", POPULARITY, Dataset("tiny", lambda: interactions, 10), 0)]
    arguments = ["--results", str(tmp_path), "--threads", "1"]

    def run(*more):
        run_jobs(jobs, make_parser("").parse_args([*arguments, *more]), "quality")
        return capsys.readouterr().out

    assert "time is up" in run("--max-seconds", "0")
    assert read_records(tmp_path / "quality") == []
    assert "tiny popularity seed 0" in run("--dry-run")
    assert "nDCG@100" in run()
    (record,) = read_records(tmp_path / "quality")
    assert record["status"] == "ok"
    assert record["dataset"]["n_test_users"] == 10
    assert 0 < record["points"][0]["metrics"]["ndcg@100"] < 1
    assert record["fit_peak_bytes"] >= record["baseline_bytes"] > 0
    json.dumps(record)
    assert run() == ""
