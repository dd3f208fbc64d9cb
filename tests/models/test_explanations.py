"""Explanations: contributions by latent, segment, history and feature, and lists."""

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from sksparse_rec import CompressedELSA, LatentSegments, top_items
from sksparse_rec.models._explanations import compare_lists, split_by_segment

SPACES = ("sparse", "reconstructed", "asymmetric")


class Segments(BaseEstimator):
    """What explanations read of fitted segments."""

    def __init__(self, parts, n_components=16):
        self.segment_parts_ = [np.array(pairs) for pairs in parts]
        self.segment_names_ = [f"group {i}" for i in range(len(parts))]
        self.pair_segments_ = np.full(2 * n_components, -1)
        for segment, pairs in enumerate(parts):
            for latent, sign in pairs:
                self.pair_segments_[2 * latent + (sign < 0)] = segment

    def fit(self, X, y=None):
        return self


PARTS = [[(3, 1), (5, -1)], [(3, -1)], [(0, 1), (1, 1), (15, 1)]]
SEGMENTS = Segments(PARTS)


def segments_by_hand(by_latent, rows):
    """One contribution after the other."""
    n_segments = len(SEGMENTS.segment_parts_)
    sums = np.zeros((len(rows), n_segments + 1))
    for i, row in enumerate(rows):
        for latent, value in enumerate(row):
            if value == 0:
                continue
            pair = (latent, int(np.sign(value)))
            owners = [
                s
                for s, pairs in enumerate(SEGMENTS.segment_parts_)
                if pair in map(tuple, pairs.tolist())
            ]
            sums[i, owners[0] if owners else n_segments] += by_latent[i, latent]
    return sums


# By segment


@pytest.mark.parametrize(
    "options",
    [{}, {"calibration": True}, {"popularity_weighting": 0.2}, {"item_weighting": 0.3}],
)
def test_segments_sum_to_the_scores(make, planted, options):
    model = make(**options).fit(planted.train)
    x = 2.5 * planted.test[[7]]
    R = model.recommend(x, k=90, exclude_seen=False)
    explanation = model.explain(x, R.indices, segments=SEGMENTS)
    assert set(explanation) == {"by_latent", "by_history", "by_segment"}
    for part in explanation.values():
        np.testing.assert_allclose(np.ravel(part.sum(axis=1)), R.data, atol=1e-6)
    np.testing.assert_allclose(explanation.scores, R.data, atol=1e-6)
    assert explanation.by_segment.shape == (90, 4)


def test_segments_have_the_latents_of_the_items_side(fitted, planted):
    x, items = planted.test[[7]], np.arange(90)
    explanation = fitted.explain(x, items, segments=SEGMENTS)
    rows = fitted.item_embeddings_.toarray()
    assert (rows < 0).any()
    expected = segments_by_hand(explanation.by_latent.toarray(), rows)
    assert np.all(np.abs(expected).sum(axis=0) > 0)
    np.testing.assert_allclose(explanation.by_segment.toarray(), expected, atol=1e-12)


def test_fitted_segments(fitted, planted):
    segments = LatentSegments(min_size=4).fit(fitted.item_embeddings_)
    x, items = planted.test[[7]], np.arange(90)
    explanation = fitted.explain(x, items, segments=segments)
    A = fitted.item_embeddings_.toarray().astype(float)
    by_latent, by_segment = (
        explanation[name].toarray() for name in ("by_latent", "by_segment")
    )
    assert by_segment.shape == (90, len(segments.segment_sizes_) + 1)
    for segment, pairs in enumerate(segments.segment_parts_):
        expected = sum(
            np.where(np.sign(A[:, latent]) == sign, by_latent[:, latent], 0)
            for latent, sign in pairs
        )
        np.testing.assert_allclose(by_segment[:, segment], expected, atol=1e-12)
    item, strongest = np.argwhere(by_segment == by_segment[:, :-1].max())[0]
    line = explanation.to_text(n_top=90).split("\n")[item]
    assert str(segments.segment_names_[strongest]) in line


def test_without_segments_all_is_left_over():
    rows = sp.csr_array([[0.5, -0.5, 0], [0, 0, 0]])
    split = split_by_segment(rows, rows * 2, np.full(6, -1), 0)
    np.testing.assert_array_equal(split.toarray(), [[0], [0]])
    assert split.shape == (2, 1)


def test_segments_of_other_embeddings_are_refused(fitted, planted):
    for n_components in (15, 17):
        others = LatentSegments(min_size=1).fit(np.eye(n_components))
        with pytest.raises(ValueError, match=f"of {n_components} columns.* have 16"):
            fitted.explain(planted.test[[0]], [1], segments=others)
    unfitted = Segments([])
    del unfitted.pair_segments_
    with pytest.raises(NotFittedError):
        fitted.explain(planted.test[[0]], [1], segments=unfitted)


# Codes


@pytest.fixture(scope="module", params=["plain", "centred"])
def sae(request, make_sae, vectors):
    return make_sae(center=request.param == "centred").fit(vectors.train + 0.05)


@pytest.mark.parametrize("space", SPACES)
def test_explanations_of_codes_sum_to_the_cosines(sae, vectors, space):
    for x in (vectors.test[0], vectors.test[[3]], sp.csr_array(vectors.test[[3]])):
        row = x if np.ndim(x) == 2 or sp.issparse(x) else x[None]
        R = sae.recommend(row, k=600, space=space)
        (ids,), (cosines,) = top_items(R)
        explanation = sae.explain(x, ids, space=space, segments=Segments(PARTS, 64))
        assert explanation.by_latent.shape == (600, 64)
        assert explanation.by_segment.shape == (600, 4)
        assert ("by_feature" in explanation) == (space == "asymmetric")
        for part in explanation.values():
            assert part.format == "csr"
            np.testing.assert_allclose(np.ravel(part.sum(axis=1)), cosines, atol=1e-6)


def test_explanations_of_codes_equal_the_formulas(sae, vectors):
    x, items = vectors.test[[5]], [4, 9, 9]
    A = sae.item_embeddings_.toarray()[items].astype(float)
    D = sae.components_.astype(float)
    code = sae.transform(x).toarray()[0].astype(float)
    rebuilt, norms = code @ D, np.linalg.norm(A @ D, axis=1, keepdims=True)
    unit = x[0] / np.linalg.norm(x)
    if sae.mean_ is not None:
        unit = unit - sae.mean_
        unit /= np.linalg.norm(unit)
    expected = {
        "sparse": A * code / np.linalg.norm(code),
        "reconstructed": A / norms * (D @ rebuilt) / np.linalg.norm(rebuilt),
        "asymmetric": A / norms * (D @ unit),
    }
    for space, by_latent in expected.items():
        found = sae.explain(x, items, space=space)
        np.testing.assert_allclose(found.by_latent.toarray(), by_latent, atol=1e-6)
    by_feature = A @ D / norms * unit
    np.testing.assert_allclose(found.by_feature.toarray(), by_feature, atol=1e-6)


def test_a_feature_taken_away_takes_its_contribution(make_sae, vectors):
    # The asymmetric cosine times the length of the query is linear in the query.
    model = make_sae().fit(vectors.train)
    x, f = vectors.test[0].copy(), 3
    share = model.explain(x, [7], space="asymmetric").by_feature[0, f]
    with_it = model.explain(x, [7], space="asymmetric").scores[0] * np.linalg.norm(x)
    share *= np.linalg.norm(x)
    x[f] = 0
    left = model.explain(x, [7], space="asymmetric").scores[0] * np.linalg.norm(x)
    assert left == pytest.approx(with_it - share, abs=1e-5)


@pytest.mark.parametrize("space", SPACES)
def test_a_vector_of_zeros_has_nothing_to_explain(fitted_sae, space):
    explanation = fitted_sae.explain(np.zeros(32), [1, 2], space=space)
    for part in explanation.values():
        assert np.all(part.toarray() == 0)
    assert fitted_sae.explain(np.ones(32), [], space=space).by_latent.shape == (0, 64)


def test_refused_queries(fitted_sae, vectors):
    with pytest.raises(ValueError, match="one vector, got 2 rows"):
        fitted_sae.explain(vectors.test[:2], [1])
    with pytest.raises(ValueError, match="space"):
        fitted_sae.explain(vectors.test[0], [1], space="dense")
    with pytest.raises(ValueError, match="position 600"):
        fitted_sae.explain(vectors.test[0], [600])
    with pytest.raises(ValueError, match="NaN"):
        fitted_sae.explain(np.full(32, np.nan), [1])
    with pytest.raises(ValueError, match="31 features"):
        fitted_sae.explain(np.ones(31), [1])


# Lists without an item


@pytest.mark.parametrize("options", [{}, {"deny": [3]}, {"exclude_seen": False}])
def test_the_new_list_is_that_of_the_shorter_history(fitted, planted, options):
    for user in range(6):
        x = 2.0 * planted.test[[user]]
        for item in x.indices[:3]:
            shorter = x.toarray()
            shorter[0, item] = 0
            change = fitted.without(x, item, k=8, **options)
            for when, row in (("before", x), ("after", shorter)):
                (ids,), (scores,) = top_items(fitted.recommend(row, k=8, **options))
                np.testing.assert_array_equal(change[when], ids)
                np.testing.assert_array_equal(change[f"scores_{when}"], scores)
            before, after = change.before.tolist(), change.after.tolist()
            assert set(change.entered) == set(after) - set(before)
            assert set(change.left) == set(before) - set(after)
            expected = [
                [i, before.index(i), after.index(i)]
                for i in after
                if i in before and before.index(i) != after.index(i)
            ]
            assert change.moved.tolist() == expected


def test_scores_fall_by_what_the_item_brought(fitted, planted):
    x = planted.test[[2]]
    item = x.indices[1]
    change = fitted.without(x, item, k=90, exclude_seen=False)
    by_history = fitted.explain(x, np.arange(90)).by_history.toarray()
    before, after = np.zeros(90), np.zeros(90)
    before[change.before], after[change.after] = (
        change.scores_before,
        change.scores_after,
    )
    np.testing.assert_allclose(before - after, by_history[:, item], atol=1e-6)


def test_several_items_and_all_of_them(fitted, planted):
    x = planted.test[[4]]
    change = fitted.without(x, x.indices[:2], k=5)
    np.testing.assert_array_equal(change.removed, x.indices[:2])
    everything = fitted.without(x, x.indices, k=5)
    (popular,), _ = top_items(fitted.recommend(sp.csr_array((1, 90)), k=5))
    np.testing.assert_array_equal(everything.after, popular)


def test_what_cannot_be_taken_out(fitted, planted):
    x = planted.test[[4]]
    absent = np.setdiff1d(np.arange(90), x.indices)[0]
    with pytest.raises(ValueError, match=f"item {absent} is not in the history"):
        fitted.without(x, absent)
    with pytest.raises(ValueError, match="position 90"):
        fitted.without(x, 90)
    with pytest.raises(ValueError, match="nothing to take out"):
        fitted.without(x, [])
    with pytest.raises(ValueError, match="call without for each"):
        fitted.without(planted.test[:2], 1)
    with pytest.raises(ValueError, match="k must be"):
        fitted.without(x, x.indices[0], k=0)


def test_the_item_itself_may_enter_or_be_denied(fitted, planted):
    x = planted.test[[4]]
    for item in x.indices:
        free = fitted.without(x, item, k=90)
        assert item in free.entered
        assert item not in fitted.without(x, item, k=90, deny=[item]).after


def test_lists_may_be_shorter_than_k_and_empty(fitted):
    x = np.ones(90)
    change = fitted.without(x, 3, k=4)
    assert change.before.tolist() == []
    assert change.after.tolist() == change.entered.tolist() == [3]
    assert "gains item 3." in change.to_text()


@pytest.mark.parametrize(
    ("before", "after", "entered", "left", "moved"),
    [
        ([1, 2, 3], [1, 2, 3], [], [], []),
        ([1, 2, 3], [2, 1, 4], [4], [3], [[2, 1, 0], [1, 0, 1]]),
        ([], [5, 6], [5, 6], [], []),
        ([5, 6], [6], [], [5], [[6, 1, 0]]),
    ],
)
def test_lists_are_told_apart(before, after, entered, left, moved):
    found = compare_lists(np.array(before, int), np.array(after, int))
    assert found[2].shape == (len(moved), 3)
    assert [part.tolist() for part in found] == [entered, left, moved]


# Names


def test_named_columns_are_used_without_warnings(make, tiny):
    pd = pytest.importorskip("pandas")
    names = [f"film {i}" for i in range(12)]
    frame = pd.DataFrame(tiny.toarray(), columns=names)
    model = make().fit(frame)
    seen = names[tiny[[0]].indices[0]]
    change = model.without(frame[:1], seen, k=3)
    assert change.to_text().startswith(f"Without {seen} the list of 3")
    plain = make().fit(tiny).without(tiny[[0]], tiny[[0]].indices[0], k=3)
    np.testing.assert_array_equal(change.after, plain.after)
    absent = names[np.setdiff1d(np.arange(12), tiny[[0]].indices)[0]]
    with pytest.raises(ValueError, match=f"item '{absent}' is not in the history"):
        model.without(frame[:1], absent)
    explanation = model.explain(frame[:1], ["film 4"])
    assert explanation.to_text().startswith("film 4 scores")
    assert "film" in explanation.to_frame().name.iloc[0]


def test_results_can_be_copied_and_pickled(fitted, planted):
    x = planted.test[[0]]
    explanation = fitted.explain(x, [1, 2], segments=SEGMENTS)
    change = fitted.without(x, x.indices[0])
    for result in (explanation, change):
        for other in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result)):
            assert type(other) is type(result)
            assert other.to_text() == result.to_text()
            assert set(other) == set(result)
    assert "to_frame" in dir(explanation)
    assert "by_latent" in dir(explanation)
    np.testing.assert_array_equal(explanation.positions, [1, 2])


@pytest.mark.parametrize("n_names", [89, 91])
@pytest.mark.parametrize("method", ["to_text", "to_frame"])
def test_names_for_other_numbers_of_items(fitted, planted, method, n_names):
    pytest.importorskip("pandas")
    x, names = planted.test[[0]], ["a"] * n_names
    for result in (fitted.explain(x, [1]), fitted.without(x, x.indices[0])):
        with pytest.raises(ValueError, match=f"has {n_names} names for 90 items"):
            getattr(result, method)(names)


def test_names_for_other_numbers_of_codes(fitted_sae, vectors):
    n_items = fitted_sae.item_embeddings_.shape[0]
    explanation = fitted_sae.explain(vectors.test[0], [1])
    for n_names in (n_items - 1, n_items + 1):
        with pytest.raises(ValueError, match=f"{n_names} names for {n_items} items"):
            explanation.to_text(["a"] * n_names)


def test_a_wider_search_explains_as_its_model(fitted_cv, planted):
    x = planted.test[[1]]
    mine, best = fitted_cv, fitted_cv.best_estimator_
    names = np.array([f"film {i}" for i in range(90)], object)
    texts = [m.explain(x, [5, 6]).to_text(names) for m in (mine, best)]
    assert texts[0] == texts[1]
    lists = [m.without(x, x.indices[0]).to_text(names) for m in (mine, best)]
    assert lists[0] == lists[1]


def test_unfitted_models(make, planted):
    with pytest.raises(NotFittedError):
        make().without(planted.test[[0]], 1)
    assert isinstance(make(), CompressedELSA)
