"""Items as users name them."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal

from sksparse_rec.retrieval._items import item_filter, item_positions

NAMES = np.array(["a", "b", "c", "d"], dtype=object)


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([2, 0, 2], [2, 0, 2]),
        ((3,), [3]),
        (1, [1]),
        (np.int32(1), [1]),
        (range(2), [0, 1]),
        (np.array([0, 3], dtype=np.uint8), [0, 3]),
        (pd.Series([1, 2], index=[7, 9]), [1, 2]),
        (pl.Series([1, 2]), [1, 2]),
        (np.array([True, False, False, True]), [0, 3]),
        ([True, False, False, True], [0, 3]),
        ([], []),
        (np.empty(0, dtype=np.int8), []),
        ("c", [2]),
        (["d", "a"], [3, 0]),
        (np.array(["d", "a"]), [3, 0]),
        (np.array(["d", "a"], dtype=object), [3, 0]),
        (pd.Index(["d", "a"]), [3, 0]),
        (pd.Series(["d", "a"], dtype="str"), [3, 0]),
        (pd.Series(["d", "a"], dtype="category"), [3, 0]),
        (pl.Series(["d", "a"]), [3, 0]),
    ],
    ids=repr,
)
def test_positions(items, expected):
    positions = item_positions(items, 4, NAMES)
    assert positions.dtype == np.int64
    assert_array_equal(positions, expected)


@pytest.mark.parametrize(
    ("items", "error", "message"),
    [
        ([0, 4], ValueError, "deny contains position 4, but positions run from 0 to 3"),
        ([-1], ValueError, "deny contains position -1"),
        (["a", "x"], ValueError, "deny contains 'x', which is no fitted item"),
        ([True, False], ValueError, r"boolean mask of shape \(2,\).*4 items"),
        ([[0, 1]], ValueError, r"one-dimensional, got shape \(1, 2\)"),
        ([0.0, 1.0], TypeError, "deny must hold item positions.*float64.*0.0"),
        ([None], TypeError, "deny must hold item positions"),
        ({0, 1}, TypeError, "deny must hold item positions"),
        ([0, "a"], (TypeError, ValueError), "deny"),
    ],
    ids=repr,
)
def test_what_is_no_item(items, error, message):
    with pytest.raises(error, match=message):
        item_positions(items, 4, NAMES, "deny")


def test_names_need_a_fit_on_names():
    with pytest.raises(ValueError, match=r"name 'a'.*fit on a DataFrame, or pass pos"):
        item_positions(["a"], 4)


def test_no_filter():
    assert item_filter(None, 3, 4, None, "allow") == (None, None)


@pytest.mark.parametrize(
    "items", [[0, 3], ["a", "d"], np.array([True, False, False, True]), (3, 0, 0)]
)
def test_filter_for_all(items):
    for_all, for_each = item_filter(items, 3, 4, NAMES, "allow")
    assert for_each is None
    assert for_all.dtype == bool
    assert_array_equal(for_all, [True, False, False, True])


def test_filter_of_nothing():
    for_all, _ = item_filter([], 3, 4, None, "allow")
    assert_array_equal(for_all, [False] * 4)


MASK = np.array([[1, 0, 0, 1], [0, 0, 0, 0], [0, 1, 1, 0]])


@pytest.mark.parametrize(
    "items",
    [
        sp.csr_array(MASK),
        sp.csc_matrix(MASK),
        sp.coo_array(MASK.astype(bool)),
        sp.lil_matrix(MASK * 0.5),
        sp.csr_array((MASK > 0) * -2.0),
        MASK > 0,
        MASK,
        pd.DataFrame(MASK > 0),
    ],
    ids=lambda items: type(items).__name__,
)
def test_filter_for_each(items):
    for_all, for_each = item_filter(items, 3, 4, None, "allow")
    assert for_all is None
    assert isinstance(for_each, sp.csr_array)
    assert for_each.dtype == bool
    assert_array_equal(for_each.toarray(), MASK > 0)
    assert for_each.nnz == 4


def test_mask_is_left_as_it_was():
    """Duplicates and explicit zeros go, in a copy."""
    mask = sp.csr_array(
        (np.array([1, 1, 0, 1]), np.array([3, 3, 1, 0]), np.array([0, 4, 4])),
        shape=(2, 4),
    )
    before = [array.copy() for array in (mask.data, mask.indices, mask.indptr)]
    _, for_each = item_filter(mask, 2, 4, None, "deny")
    assert_array_equal(for_each.indices, [0, 3])
    for array, copy in zip((mask.data, mask.indices, mask.indptr), before, strict=True):
        assert_array_equal(array, copy)


@pytest.mark.parametrize("shape", [(2, 4), (3, 5), (1, 4)])
def test_mask_of_another_shape(shape):
    for mask in (sp.csr_array(shape), np.zeros(shape, dtype=bool)):
        with pytest.raises(ValueError, match=r"deny is a mask of shape .*\(3, 4\)"):
            item_filter(mask, 3, 4, None, "deny")
