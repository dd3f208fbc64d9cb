"""Which items may be recommended: allow, deny and the history."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from sksparse_rec import top_items


def test_allow_and_deny_in_all_forms(fitted, planted):
    X = planted.test
    every = fitted.recommend(X, k=90)
    mask = np.zeros(90, dtype=bool)
    mask[[3, 50, 7]] = True
    forms = [
        [3, 50, 7],
        (7, 3, 50),
        [7, 7, 3, 50],
        np.array([3, 50, 7], dtype=np.uint8),
        mask,
        mask.tolist(),
        pd.Series([3, 50, 7]),
        sp.csr_array(np.tile(mask, (80, 1))),
        sp.coo_matrix(np.tile(mask, (80, 1)).astype(float)),
        np.tile(mask, (80, 1)),
    ]
    kept, dropped = every.toarray() * mask, every.toarray() * ~mask
    for form in forms:
        allowed = fitted.recommend(X, k=90, allow=form)
        np.testing.assert_allclose(allowed.toarray(), kept, atol=1e-6)
        assert set(allowed.indices) <= {3, 7, 50}
        denied = fitted.recommend(X, k=90, deny=form)
        np.testing.assert_allclose(denied.toarray(), dropped, atol=1e-6)
        assert not set(denied.indices) & {3, 7, 50}
        assert allowed.nnz + denied.nnz == every.nnz
    single = fitted.recommend(X, k=3, allow=3)
    assert set(single.indices) == {3}


def test_allow_and_deny_together(fitted, planted):
    rng = np.random.default_rng(0)
    X = planted.test
    some, others = rng.random(90) < 0.5, rng.random(90) < 0.3
    each, other = rng.random((80, 90)) < 0.5, rng.random((80, 90)) < 0.3
    for allow in (some, each):
        for deny in (others, other):
            wanted = np.broadcast_to(allow & ~deny, (80, 90))
            expected = wanted & (X.toarray() == 0)
            R = fitted.recommend(
                X,
                k=90,
                allow=sp.csr_array(allow) if allow.ndim == 2 else allow,
                deny=sp.csc_array(deny) if deny.ndim == 2 else np.flatnonzero(deny),
            ).tocoo()
            found = np.zeros((80, 90), dtype=bool)
            found[R.row, R.col] = True
            np.testing.assert_array_equal(found, expected)


def test_a_filter_keeps_the_order_and_the_scores(fitted, planted):
    allow = np.arange(0, 90, 2)
    R = fitted.recommend(planted.test, k=5, allow=allow)
    longer, scores = top_items(fitted.recommend(planted.test, k=90))
    for user in range(80):
        even = (longer[user] % 2 == 0) & (longer[user] >= 0)
        row = slice(R.indptr[user], R.indptr[user + 1])
        np.testing.assert_array_equal(R.indices[row], longer[user][even][:5])
        np.testing.assert_allclose(R.data[row], scores[user][even][:5], atol=1e-6)


@pytest.mark.parametrize("allow", [[], np.array([]), np.zeros(90, dtype=bool)])
def test_nothing_allowed(fitted, planted, allow):
    R = fitted.recommend(planted.test, allow=allow)
    assert R.shape == (80, 90)
    assert R.nnz == 0
    assert fitted.recommend(planted.test, deny=allow).nnz == 800


def test_a_mask_that_allows_some_users_nothing(fitted, planted):
    mask = sp.lil_array((80, 90), dtype=bool)
    mask[3, [1, 2]] = True
    R = fitted.recommend(planted.test, exclude_seen=False, allow=mask)
    np.testing.assert_array_equal(np.flatnonzero(np.diff(R.indptr)), [3])
    zeros = sp.csr_array((np.zeros(2), ([3, 3], [1, 2])), shape=(80, 90))
    assert fitted.recommend(planted.test, allow=zeros).nnz == 0


@pytest.mark.parametrize("which", ["allow", "deny"])
@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        ([1, 90], ValueError, "position 90.*0 to 89"),
        ([-1], ValueError, "position -1"),
        (["x"], ValueError, "without item names"),
        ([0.5], TypeError, "positions.*names"),
        ([None], TypeError, "positions.*names"),
        (np.ones(5, dtype=bool), ValueError, r"mask of shape \(5,\).*90"),
        (sp.csr_array((80, 5)), ValueError, r"\(80, 5\).*\(80, 90\)"),
        (sp.csr_array((3, 90)), ValueError, r"\(3, 90\).*\(80, 90\)"),
    ],
)
def test_wrong_filters(fitted, planted, which, value, error, words):
    with pytest.raises(error, match=f"{which}.*{words}"):
        fitted.recommend(planted.test, **{which: value})


def test_wrong_items(fitted, planted):
    for call in (
        fitted.similar_items,
        lambda items: fitted.explain(planted.test[[0]], items),
    ):
        with pytest.raises(ValueError, match="items contains position 90"):
            call([0, 90])
        with pytest.raises(ValueError, match="items contains position -1"):
            call([-1])
        with pytest.raises(TypeError, match="items must hold item positions"):
            call([1.5])
        with pytest.raises(ValueError, match="one-dimensional"):
            call([[1, 2], [3, 4]])


def test_no_items(fitted, planted):
    S = fitted.similar_items([])
    assert S.shape == (0, 90)
    explanation = fitted.explain(planted.test[[0]], [])
    assert explanation.by_latent.shape == (0, 16)
    assert explanation.by_history.shape == (0, 90)
