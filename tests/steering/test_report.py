"""Reports of steering: their numbers are those of the lists."""

import re

import numpy as np
import pytest
import scipy.sparse as sp

from sksparse_rec import top_items
from sksparse_rec.metrics import catalog_coverage, ndcg_at_k, recall_at_k
from sksparse_rec.model_selection import holdout_split
from sksparse_rec.steering import SteeringReport

STRENGTHS = (0, 0.25, 1)


@pytest.fixture(scope="module", params=["own", "coded"])
def steered(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def split(planted):
    return holdout_split(planted.test, random_state=3)


@pytest.fixture(scope="module")
def report(steered, split):
    history, targets = split
    return steered.steering_report(history, y=targets, strengths=STRENGTHS, k=5)


@pytest.mark.parametrize("i", range(3))
@pytest.mark.parametrize("name", ["tea", "opera"])
def test_numbers_are_those_of_the_lists(steered, split, report, name, i):
    history, targets = split
    row = report.concept_names.tolist().index(name)
    R = steered.recommend(history, k=100, steer={name: STRENGTHS[i]})
    first = steered.recommend(history, k=5, steer={name: STRENGTHS[i]})
    plain, _ = top_items(steered.recommend(history, k=5))
    ids, _ = top_items(first)
    members = steered.item_concepts_[:, [row]].toarray().ravel()
    overlap = np.mean([np.isin(a, b).mean() for a, b in zip(ids, plain, strict=True)])
    expected = {
        "share": members[ids].mean(),
        "ndcg": ndcg_at_k(targets, R, 100),
        "recall": recall_at_k(targets, R, 100),
        "overlap": overlap,
        "coverage": catalog_coverage(first, 5),
    }
    for measure, value in expected.items():
        np.testing.assert_allclose(getattr(report, measure)[row, i], value, rtol=1e-9)


def test_what_is_not_steered_is_the_first_strength(report):
    steerable = slice(0, 5)
    np.testing.assert_array_equal(
        report.unsteered["share"][steerable], report.share[steerable, 0]
    )
    for measure in ("ndcg", "recall", "coverage"):
        np.testing.assert_allclose(
            getattr(report, measure)[steerable, 0], report.unsteered[measure]
        )
    np.testing.assert_array_equal(report.overlap[steerable, 0], 1)


def test_a_concept_without_items_has_no_numbers(report):
    assert report.concept_names[5] == "nothing"
    for measure in SteeringReport.MEASURES:
        assert np.isnan(getattr(report, measure)[5]).all()
    assert report.unsteered["share"][5] == 0


def test_shares_rise_with_strength(report):
    assert np.all(report.share[:5, -1] > report.share[:5, 0])


def test_a_table_of_it(report):
    frame = report.to_frame()
    assert list(frame) == ["concept", "strength", *SteeringReport.MEASURES]
    assert len(frame) == 6 * 3
    line = frame[(frame.concept == "jazz") & (frame.strength == 0.25)].iloc[0]
    assert line.share == report.share[1, 1]
    assert line.coverage == report.coverage[1, 1]


def test_hidden_items_are_drawn_where_none_are_given(steered, planted):
    history, targets = holdout_split(planted.test, random_state=0)
    drawn = steered.steering_report(planted.test, ["tea"], strengths=[0.5])
    given = steered.steering_report(history, ["tea"], y=targets, strengths=[0.5])
    assert drawn.ndcg == given.ndcg
    assert drawn.share == given.share


def test_concepts_by_name_and_position(steered, planted):
    some = steered.steering_report(planted.test, ["chess", 0], strengths=[1])
    assert some.concept_names.tolist() == ["chess", "tea"]
    assert some.share.shape == (2, 1)
    none = steered.steering_report(planted.test, [], strengths=[0, 1])
    assert none.share.shape == (0, 2)
    assert len(none.to_frame()) == 0


@pytest.mark.parametrize("method", ["lower", "set"])
def test_other_methods(steered, planted, method):
    report = steered.steering_report(
        planted.test, ["tea"], strengths=[0, 1], method=method
    )
    assert report.method == method
    X, targets = holdout_split(planted.test, random_state=0)
    R = steered.recommend(X, k=100, steer={"tea": (method, 1)})
    np.testing.assert_allclose(report.ndcg[0, 1], ndcg_at_k(targets, R, 100))


def report_of(shares):
    shares = np.array([shares], dtype=float)
    strengths = np.linspace(0, 1, shares.shape[1])
    names = np.array(["tea"], dtype=object)
    return SteeringReport(names, strengths, *[shares] * 5, {}, "raise", 10)


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([0.2, 0.4, 0.6], 0.75),
        ([0.5, 0.4, 0.9], 0),
        ([0.1, 0.5, 0.9], 0.5),
        ([0.1, 0.7, 0.3], 1 / 3),
        ([0.1, 0.2, 0.3], np.nan),
        ([np.nan, np.nan, np.nan], np.nan),
    ],
)
def test_strength_for_a_share(shares, expected):
    np.testing.assert_allclose(report_of(shares).strength_for(0.5), [expected])


@pytest.mark.parametrize("share", [2, -0.1, np.nan, "much"])
def test_shares_that_no_list_has(share):
    with pytest.raises(ValueError, match="share must be a number from 0 to 1, got"):
        report_of([0.2, 0.4]).strength_for(share)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strengths": [0.5, 0.2]}, "strengths have to ascend"),
        ({"strengths": [0, 2]}, "strengths are numbers from 0 to 1"),
        ({"strengths": []}, "strengths are numbers from 0 to 1"),
        (
            {"method": "clamp"},
            "method is one of ('raise', 'lower', 'set')",
        ),
        ({"k": 0}, "k must be an integer of at least 1, got 0"),
        ({"concepts": ["tee"]}, "did you mean 'tea'?"),
        ({"y": sp.csr_array((80, 3))}, "y has the shape (80, 3)"),
    ],
)
def test_refused_reports(own, planted, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        own.steering_report(planted.test, **options)


def test_targets_of_another_shape(own, planted):
    with pytest.raises(ValueError, match=re.escape("y has the shape (40, 90), but X")):
        own.steering_report(planted.test, y=planted.test[:40])
