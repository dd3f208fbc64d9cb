"""The benchmark of segments measures what it says; needs neither data nor rivals."""

import numpy as np
import pytest
import scipy.sparse as sp
from _data import Dataset, binarize, kept_items
from _harness import Job, read_records
from _page_segments import render_segments
from _plan import make_parser, run_jobs
from _segment_clusters import cluster_alike, fill_in
from _segment_data import TAGGED, Tagged, one_hot
from _segment_process import fewer_users, load_groups, save_groups
from _segment_rows import as_list, coherence, judge, lay_out, recall
from _segment_scores import is_frequent, nmi, score_groups, score_match
from _segments import SEGMENT_SYSTEMS
from bench_segments import (
    add_scores,
    run_groups,
    run_pages,
    summarize_groups,
    summarize_pages,
)
from sklearn.metrics import normalized_mutual_info_score

from sksparse_rec.datasets import load_debian, make_interactions

TAGS = one_hot([["a"], ["a", "b"], ["b"], ["b"], [], ["c"], ["a"]])


def test_purity_and_lift_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 1, -1])
    scores = score_groups(labels, TAGS)
    # Of 5 items with tags, group 0 has two of "a" (and two of "b", a tie), and group 1
    # one of its two items of "b".
    assert scores["n_items"] == 5
    assert scores["purity"] == pytest.approx(3 / 5)
    # "a" is on 2 of 5 items, "b" on 3.
    assert scores["lift"] == pytest.approx(3 / (3 * 2 / 5 + 2 * 3 / 5))


def test_nmi_of_single_tags_is_that_of_sklearn():
    rng = np.random.default_rng(0)
    labels, names = rng.integers(0, 7, 200), rng.integers(0, 5, 200)
    tags = one_hot([[str(name)] for name in names])
    expected = normalized_mutual_info_score(names, labels)
    assert nmi(labels, tags) == pytest.approx(expected)
    assert nmi(names, tags) == pytest.approx(1)


def test_nmi_divides_items_among_their_tags():
    # Two items of two tags are four halves of an item.
    halves = one_hot([["a"], ["b"], ["b"], ["c"]])
    whole = one_hot([["a", "b"], ["b", "c"]])
    assert nmi(np.array([0, 1]), whole) == pytest.approx(
        nmi(np.array([0, 0, 1, 1]), halves)
    )


def test_chance_is_reached_by_random_groups():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 100, 1000)
    tags = one_hot([[str(name)] for name in rng.integers(0, 5, 1000)])
    scores = score_groups(labels, tags)
    assert scores["purity"] == pytest.approx(scores["purity_chance"], abs=0.03)
    assert scores["nmi"] == pytest.approx(scores["nmi_chance"], abs=0.03)
    assert scores["purity"] > 0.3


def test_perfect_groups_are_pure_whatever_their_numbers():
    labels = np.array([7, 7, 3, 3, 3, -1])
    tags = one_hot([["x"], ["x"], ["y"], ["y"], ["y"], ["x"]])
    scores = score_groups(labels, tags)
    assert scores["purity"] == 1
    assert scores["nmi"] == pytest.approx(1)
    assert score_groups(np.full(6, -1), tags) == {"n_items": 0}


def test_frequent_tags_are_kept():
    np.testing.assert_array_equal(is_frequent(TAGS, 2), [True, True, False])
    assert not is_frequent(TAGS, 4).any()


def test_matching_by_hand():
    labels = np.array([0, 0, 0, 0, 1, 1, 2, -1])
    others = np.array([1, 1, 1, 0, 0, 0, -1, 1])
    scores = score_match(labels, others)
    # Groups 0 and 1: 3 of 5 and 2 of 3 items; group 2 has no match left.
    assert scores["jaccard"] == pytest.approx((3 / 5 + 2 / 3) / 3)
    assert scores["by_item"] == pytest.approx((4 * 3 / 5 + 2 * 2 / 3) / 7)
    assert scores["matched"] == pytest.approx(2 / 3)
    renamed = np.array([5, 5, 5, 5, 0, 0, 1, -1])
    assert score_match(labels, renamed)["jaccard"] == 1


def test_outliers_go_to_the_nearest_group():
    embeddings = sp.csr_array(
        [[1.0, 0, 0], [1, 0, 0], [0, 1, 0], [0.6, 0.8, 0], [0, 0, 1], [-1, 0, 0]]
    )
    labels = np.array([0, 0, 1, -1, -1, -1])
    np.testing.assert_array_equal(fill_in(labels, embeddings), [0, 0, 1, 1, -1, -1])
    np.testing.assert_array_equal(labels, [0, 0, 1, -1, -1, -1])


@pytest.mark.parametrize("method", ["kmeans", "ward"])
def test_clusterings_are_of_the_same_items_and_number(method):
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(60, 4))
    labels = rng.integers(-1, 6, 60)
    found = cluster_alike(labels, factors, method, 0)
    np.testing.assert_array_equal(found < 0, labels < 0)
    assert len(np.unique(found[found >= 0])) == 6


def test_pages_by_hand():
    groups = one_hot(["ab", "a", "b", "b", "a", "a", "b", "c"])
    scores = np.array([[9.0, 1, 8, 7, 2, 3, 0, 99]])
    page = lay_out(scores, groups, n_rows=3, row_length=3)
    # Both groups have three of the best; "b" has more, and takes the shared item; then
    # "a" has the other three. "c" is too short for a row.
    np.testing.assert_array_equal(page, [[[0, 2, 3], [5, 4, 1], [-1, -1, -1]]])


def test_no_item_is_on_a_page_twice_nor_one_that_may_not_be():
    rng = np.random.default_rng(0)
    scores = np.maximum(rng.normal(size=(20, 300)), 0)
    groups = sp.csr_array((rng.random((300, 15)) < 0.2).astype(float))
    for user, page in zip(scores, lay_out(scores, groups, 5, 6), strict=True):
        items = page[page >= 0]
        assert len(items) == len(set(items)) > 20
        assert np.all(user[items] > 0)
        for row in page:
            row = row[row >= 0]
            assert np.all(np.diff(user[row]) <= 0)
            assert groups[row].sum(axis=0).max() == len(row)


def test_one_group_of_all_items_is_the_list():
    scores = np.random.default_rng(0).random((5, 50))
    pages = lay_out(scores, sp.csr_array(np.ones((50, 1))), 2, 10)
    np.testing.assert_array_equal(pages[:, 0], as_list(scores, 10))
    assert np.all(pages[:, 1] == -1)
    longer = as_list(scores, 60)
    np.testing.assert_array_equal(longer[:, :50], as_list(scores, 50))
    assert np.all(longer[:, 50:] == -1)


def test_recall_by_hand():
    targets = sp.csr_array([[1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]])
    found = np.array([[[0, 2], [-1, -1]], [[1, 3], [0, -1]], [[0, 1], [2, 3]]])
    assert recall(found, targets) == pytest.approx((1 / 2 + 1) / 2)
    pages = np.full((3, 10, 10), -1)
    pages[:, :2, :2] = found
    corner = judge("rows", pages, targets, sp.csr_array((4, 1)))["corners"][0]
    assert corner["recall"] == pytest.approx((1 / 2 + 1) / 2)
    assert (corner["rows"], corner["columns"]) == (2, 5)
    assert corner["filled"] == pytest.approx(9 / 30)


def test_coherence_by_hand():
    tags = one_hot([["a"], ["a", "b"], ["a"], ["b"], ["b"], [], ["c"]])
    row, short = [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 5, -1]
    # Of five items with tags three carry "a", and three "b".
    assert coherence(np.array([[row, short]]), tags) == pytest.approx(3 / 5)
    more = [0, 1, 2, 3, 4, 6]
    pages = np.array([[row], [more]])
    assert coherence(pages, tags) == pytest.approx((3 / 5 + 3 / 6) / 2)
    assert coherence(np.array([[short]]), tags) is None


def test_columns_that_are_kept():
    X = sp.csr_array(make_interactions(40, 60, 200, random_state=0))
    kept = kept_items(X, 0)
    assert 0 < len(kept) == binarize(X, 0).shape[1] < 60
    rows = np.diff(X.indptr) >= 5
    expected = np.flatnonzero(np.asarray(X[rows].sum(axis=0)).ravel())
    np.testing.assert_array_equal(kept, expected)


def test_tags_of_debian_belong_to_its_columns():
    tagged = TAGGED["debian"]
    n_items = tagged.dataset.load().shape[1]
    tags = tagged.load_tags()
    assert {table.shape[0] for table in tags.values()} == {n_items}
    names = tagged.load_names()
    assert {name: len(each) for name, each in names.items()} == {
        name: table.shape[1] for name, table in tags.items()
    }
    data = load_debian()
    kept = kept_items(data.data, 0)
    column = np.flatnonzero(names["section"] == "editors")[0]
    np.testing.assert_array_equal(
        tags["section"][:, [column]].toarray().ravel() > 0,
        np.asarray(data.item_sections)[kept] == "editors",
    )
    assert np.all(np.diff(tags["section"].indptr) <= 1)


def test_groups_are_handed_back(tmp_path):
    labels, embeddings = np.array([0, -1]), sp.csr_matrix([[0, 1.0], [2, 0]])
    save_groups(tmp_path / "groups.npz", {"labels": labels}, embeddings)
    groups, again = load_groups(tmp_path / "groups.npz")
    np.testing.assert_array_equal(groups["labels"], labels)
    assert abs(again - embeddings).max() == 0
    assert fewer_users(sp.csr_matrix(np.ones((20, 3))), 0).shape == (18, 3)


def _made_up():
    rng = np.random.default_rng(0)
    X = sp.csr_array(make_interactions(200, 80, 3000, random_state=0))
    X.data[:] = 1
    tags = one_hot([[str(tag)] for tag in rng.integers(0, 4, X.shape[1])])
    dataset = Dataset("debian", lambda: X.astype(np.float32), 40)
    return Tagged(dataset, lambda: {"section": tags, "none": tags[:, :0]}, "section")


def test_groups_without_clusterings_are_no_result():
    record = {"status": "ok", "seconds": 3.0}
    clusters = {"status": "failed", "error": "no memory"}
    assert add_scores(record, clusters, None, {}) == {**clusters, "seconds": 3.0}


def test_runs_are_recorded_and_rendered(tmp_path):
    options = make_parser("", seeds=[0]).parse_args(
        ["--results", str(tmp_path), "--threads", "1", "--device", "cpu"]
    )
    tagged = _made_up()
    settings = {"estimator": {"n_components": 8, "n_nonzero": 2}}
    jobs = [
        Job(name, SEGMENT_SYSTEMS[name].with_settings(settings), tagged, 0)
        for name in ("segments", "audience")
    ]
    run_jobs(jobs, options, "segments", run_groups)
    run_jobs(jobs, options, "segment-pages", run_pages)
    records = read_records(tmp_path / "segments")
    pages = read_records(tmp_path / "segment-pages")
    for record in (*records, *pages):
        assert record["status"] == "ok", record
        assert record["device"] == "cpu"
        assert record["label"].startswith(SEGMENT_SYSTEMS[record["system"]].label)
    points = {(each["name"], each["coverage"]): each for each in records[0]["points"]}
    for coverage in ("covered", "all"):
        own = points["latents", coverage]
        for name in ("kmeans-svd", "ward-elsa"):
            other = points[name, coverage]
            assert other["n_groups"] == own["n_groups"]
            assert other["share"] == own["share"]
    assert "latents covered" in summarize_groups(records[0])
    assert "one list" in summarize_pages(pages[0])
    failed = {**records[0], "seed": 1, "status": "failed", "error": "no memory"}
    page = render_segments([*records, failed], pages)
    for words in ("## debian", "Purity", "no memory", "nine tenths", "2 × 5"):
        assert words in page
