"""Coverage, novelty and diversity against loops over users."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn import config_context

from sksparse_rec.metrics import catalog_coverage, intra_list_diversity, novelty

LISTS = np.array([[4, 0, 2], [1, -1, -1], [-1, -1, -1], [2, 3, -1]])
N_ITEMS = 7


@pytest.fixture(params=[sp.csr_array, sp.csr_matrix, None])
def y_pred(request):
    if request.param is None:
        return LISTS
    kept = LISTS >= 0
    indptr = np.concatenate(([0], np.cumsum(kept.sum(axis=1))))
    scores = np.broadcast_to([3.0, 2.0, 1.0], LISTS.shape)[kept]
    return request.param((scores, LISTS[kept], indptr), shape=(4, N_ITEMS))


@pytest.fixture
def item_embeddings():
    return np.random.default_rng(0).normal(size=(N_ITEMS, 3))


def test_coverage(y_pred):
    assert catalog_coverage(y_pred, 3, n_items=N_ITEMS) == pytest.approx(5 / 7)
    assert catalog_coverage(y_pred, 1, n_items=N_ITEMS) == pytest.approx(3 / 7)


def test_coverage_needs_the_size_of_the_catalogue():
    with pytest.raises(ValueError, match="pass n_items"):
        catalog_coverage(LISTS)
    with pytest.raises(ValueError, match="7 columns but there are 9 items"):
        catalog_coverage(sp.csr_array((2, 7)), n_items=9)
    with pytest.raises(ValueError, match="at most 3"):
        catalog_coverage(LISTS, n_items=4)


def test_novelty(y_pred):
    popularity = np.array([8, 4, 2, 1, 1, 0, 16])
    bits = np.log2(32) - np.log2([8, 4, 2, 1, 1, 1, 16])
    expected = [bits[[4, 0, 2]].mean(), bits[1], np.nan, bits[[2, 3]].mean()]
    values = novelty(y_pred, popularity, per_user=True)
    np.testing.assert_allclose(values, expected)
    assert novelty(y_pred, popularity) == pytest.approx(np.nanmean(expected))
    assert novelty(y_pred, popularity / 32) == pytest.approx(np.nanmean(expected))
    weighted = novelty(y_pred, popularity, sample_weight=[0, 1, 1, 0])
    assert weighted == pytest.approx(bits[1])
    row = popularity[None]  # the shape of csr_matrix.sum(axis=0)
    assert novelty(y_pred, row) == pytest.approx(np.nanmean(expected))


def test_an_unseen_item_counts_like_the_rarest():
    assert novelty([[0]], [0, 2, 6]) == novelty([[1]], [0, 2, 6]) == 2.0


@pytest.mark.parametrize(
    ("popularity", "message"),
    [
        ([1, -1], "non-negative"),
        ([1, np.nan], "finite"),
        ([0, 0], "zero for every item"),
        ([1], "at most 0"),
    ],
)
def test_bad_popularity(popularity, message):
    with pytest.raises(ValueError, match=message):
        novelty([[1]], popularity)


def test_novelty_without_recommendations():
    with pytest.raises(ValueError, match="None of the 2 users has recommendations"):
        novelty([[-1], [-1]], [1, 1])


def naive_diversity(ids, E):
    ids = [i for i in ids if i >= 0]
    if len(ids) < 2:
        return np.nan
    norms = np.linalg.norm(E, axis=1)
    norms[norms == 0] = 1
    E = E / norms[:, None]
    pairs = itertools.permutations(ids, 2)
    return 1 - np.mean([E[i] @ E[j] for i, j in pairs])


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array, sp.csc_matrix])
@pytest.mark.parametrize("empty_item", [None, 2])
def test_diversity(y_pred, item_embeddings, container, empty_item):
    if empty_item is not None:
        item_embeddings[empty_item] = 0
    expected = [naive_diversity(ids, item_embeddings) for ids in LISTS]
    E = container(item_embeddings)
    values = intra_list_diversity(y_pred, E, 3, per_user=True)
    np.testing.assert_allclose(values, expected, atol=1e-12)
    assert intra_list_diversity(y_pred, E) == pytest.approx(np.nanmean(expected))


def test_diversity_does_not_depend_on_working_memory():
    rng = np.random.default_rng(0)
    lists = rng.permuted(np.tile(np.arange(50), (40, 1)), axis=1)[:, :10]
    E = sp.random_array((50, 30), density=0.2, rng=rng, format="csr")
    expected = intra_list_diversity(lists, E, per_user=True)
    with config_context(working_memory=0.004):  # about four users a block
        values = intra_list_diversity(lists, E, per_user=True)
    np.testing.assert_allclose(values, expected, rtol=1e-12)


def test_diversity_sums_duplicates_of_embeddings_in_a_copy():
    E = sp.csr_array(
        (np.array([1.0, 1.0, 2.0]), np.array([0, 0, 0]), np.array([0, 2, 3])),
        shape=(2, 1),
    )
    assert intra_list_diversity([[0, 1]], E, 2) == 0.0
    assert E.nnz == 3


def test_diversity_needs_pairs(item_embeddings):
    with pytest.raises(ValueError, match="has two recommendations"):
        intra_list_diversity(LISTS, item_embeddings, 1)
    with pytest.raises(ValueError, match="7 items"):
        intra_list_diversity(sp.csr_array((2, 5)), item_embeddings)


def test_no_users():
    with pytest.raises(ValueError, match="None of the 0 users"):
        intra_list_diversity(sp.csr_array((0, N_ITEMS)), np.eye(N_ITEMS))
