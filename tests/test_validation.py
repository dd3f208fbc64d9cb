"""What comes in as interactions, and what is said about what may not."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import sklearn
from numpy.testing import assert_array_equal
from scipy.sparse import save_npz
from sklearn.base import BaseEstimator

from sksparse_rec._validation import (
    check_interactions,
    check_length,
    rolled_back_on_error,
    to_sparse_interface,
)
from sksparse_rec.datasets import open_interactions

DENSE = np.array([[0, 2, 0, 1], [0, 0, 0, 0], [3, 0, 0, 5]])
CONTAINERS = [
    sp.csr_array,
    sp.csr_matrix,
    sp.csc_array,
    sp.csc_matrix,
    sp.coo_array,
    sp.coo_matrix,
    sp.lil_array,
    sp.dok_array,
]


class Estimator(BaseEstimator):
    """Something to record columns on."""


def wide(container, dense):
    X = container(dense)
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


def pandas_sparse(dense):
    return pd.DataFrame.sparse.from_spmatrix(sp.csr_array(dense))


def assert_canonical(X, expected, dtype=np.float32):
    assert type(X) is sp.csr_array
    assert X.dtype == dtype
    assert_array_equal(X.toarray(), expected)
    assert X.nnz == np.count_nonzero(expected)
    assert X.has_canonical_format
    X.check_format()


@pytest.mark.parametrize("with_estimator", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        *CONTAINERS,
        lambda dense: wide(sp.csr_array, dense),
        lambda dense: wide(sp.csc_matrix, dense),
        np.asarray,
        np.asfortranarray,
        np.ndarray.tolist,
        pd.DataFrame,
        pl.DataFrame,
        pandas_sparse,
    ],
    ids=lambda make: make.__name__,
)
def test_any_container(make, with_estimator):
    estimator = Estimator() if with_estimator else None
    X = check_interactions(make(DENSE), estimator=estimator, reset=with_estimator)
    assert_canonical(X, DENSE)
    if with_estimator:
        assert estimator.n_features_in_ == 4


@pytest.mark.parametrize("target", [np.float32, np.float64])
@pytest.mark.parametrize(
    "dtype", [bool, np.int8, np.uint8, np.int64, np.float32, np.float64]
)
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array, sp.coo_array])
def test_any_dtype(container, dtype, target):
    X = DENSE.astype(dtype)
    assert_canonical(check_interactions(container(X), dtype=target), X, target)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int64, np.float64])
@pytest.mark.parametrize("make", ["csr", "csc", "coo"])
def test_duplicates_are_summed(make, dtype):
    """As numbers: two likes are two, and counts do not wrap around."""
    largest = 1 if dtype is bool else 100
    triplets = np.full(4, largest, dtype=dtype), ([0, 0, 0, 1], [2, 2, 2, 0])
    X = sp.coo_array(triplets, shape=(2, 3))
    if make == "csr":
        X = sp.csr_array(
            (triplets[0], np.array([2, 2, 2, 0]), np.array([0, 3, 4])), shape=(2, 3)
        )
    elif make == "csc":
        X = sp.csc_array(
            (triplets[0], np.array([1, 0, 0, 0]), np.array([0, 1, 1, 4])), shape=(2, 3)
        )
    expected = [[0, 0, 3 * largest], [largest, 0, 0]]
    assert_canonical(check_interactions(X), np.array(expected))


def test_explicit_zeros_are_dropped():
    X = sp.csr_array(DENSE.astype(np.float32))
    X.data[0] = 0
    expected = DENSE.copy()
    expected[0, 1] = 0
    assert_canonical(check_interactions(X), expected)


def untidy(dtype, index_dtype):
    """Unsorted, a duplicate, an explicit zero."""
    return sp.csr_array(
        (
            np.array([1, 2, 3, 0], dtype=dtype),
            np.array([3, 1, 3, 0], dtype=index_dtype),
            np.array([0, 3, 4], dtype=index_dtype),
        ),
        shape=(2, 4),
    )


@pytest.mark.parametrize("target", [np.float32, np.float64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
@pytest.mark.parametrize("tidy", ["untidy", "unsorted", "zeros", "canonical"])
def test_the_callers_matrix_is_never_touched(tidy, index_dtype, dtype, target):
    X = untidy(dtype, index_dtype)
    if tidy == "canonical":
        X.sum_duplicates()
        X.eliminate_zeros()
    elif tidy == "zeros":
        X.sum_duplicates()
    elif tidy == "unsorted":
        X.indices[2], X.data[3] = 0, 7
    before = [array.copy() for array in (X.data, X.indices, X.indptr)]
    expected = X.toarray()
    assert_canonical(check_interactions(X, dtype=target), expected, target)
    for array, copy in zip((X.data, X.indices, X.indptr), before, strict=True):
        assert_array_equal(array, copy)
        assert array.dtype == copy.dtype


def test_the_callers_array_is_never_touched():
    X = DENSE.astype(np.float32)
    check_interactions(X).data[:] = 9
    assert_array_equal(X, DENSE)


@pytest.mark.parametrize("container", [np.asarray, pd.DataFrame, *CONTAINERS])
@pytest.mark.parametrize(
    ("value", "words", "advice"),
    [
        (-2.5, "Negative values in data", "drop negative entries"),
        (np.nan, "NaN", "leave it out of the sparse matrix"),
        (np.inf, "infinity", "leave it out of the sparse matrix"),
        (-np.inf, "infinity", "leave it out of the sparse matrix"),
    ],
    ids=str,
)
@pytest.mark.parametrize("place", [(0, 3), (2, 0)])
def test_bad_values_are_named_with_their_place(container, value, words, advice, place):
    X = DENSE.astype(float)
    X[place] = value
    for estimator in (None, Estimator()):
        with pytest.raises(ValueError, match=words) as caught:
            check_interactions(
                container(X), estimator=estimator, reset=True, name="history"
            )
        message = str(caught.value)
        assert f"history[{place[0]}, {place[1]}] is {value}" in message
        assert advice in message
    assert "Estimator" in message or "history" in message


def test_place_of_a_bad_value_among_untidy_ones():
    X = untidy(np.float64, np.int32)
    X.data[2] = -1
    with pytest.raises(ValueError, match=r"X\[0, 3\] is -1.0"):
        check_interactions(X)


@pytest.mark.parametrize("value", [1e300, 1e-60])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_values_that_the_target_dtype_cannot_hold(container, value):
    X = container([[0, value]])
    with pytest.raises(ValueError, match=r"X\[0, 1\] is 1e.*float32"):
        check_interactions(X)
    assert check_interactions(X, dtype=np.float64).data == [value]


@pytest.mark.parametrize("shape", [(0, 4), (3, 0)])
@pytest.mark.parametrize("container", [np.empty, sp.csr_array])
def test_empty(container, shape):
    with pytest.raises(ValueError, match=r"Found array with 0 (sample|feature)"):
        check_interactions(container(shape))


def test_no_interactions_at_all():
    assert_canonical(check_interactions(sp.csr_array((3, 4))), np.zeros((3, 4)))


@pytest.mark.parametrize("X", [np.ones(4), [1, 2], np.ones((2, 2, 2))], ids=str)
def test_wrong_dimensions(X):
    with pytest.raises(ValueError, match=r"Expected 2D array|dim"):
        check_interactions(X)


@pytest.mark.parametrize("X", [[["a", "b"]], [[1j, 2]]], ids=str)
def test_what_is_no_number(X):
    with pytest.raises(ValueError):
        check_interactions(np.array(X))


@pytest.mark.parametrize("container", [np.asarray, *CONTAINERS])
def test_columns_are_those_of_fit(container):
    estimator = Estimator()
    check_interactions(container(DENSE), estimator=estimator, reset=True)
    check_interactions(container(DENSE[:1]), estimator=estimator)
    with pytest.raises(ValueError, match=r"3 features.*Estimator.*4 features"):
        check_interactions(container(DENSE[:, :3]), estimator=estimator)


def test_names_are_those_of_fit():
    estimator = Estimator()
    frame = pd.DataFrame(DENSE, columns=list("abcd"))
    check_interactions(frame, estimator=estimator, reset=True)
    assert estimator.feature_names_in_.tolist() == list("abcd")
    with pytest.raises(ValueError, match="feature names should match"):
        check_interactions(frame[list("abdc")], estimator=estimator)


def map_to_disk(X, folder):
    """Return X, with all its flaws, from a file."""
    save_npz(folder / "X.npz", X, compressed=False)
    return sp.csr_array(open_interactions(folder / "X.npz"))


class TestMemoryMapped:
    @pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
    @pytest.mark.parametrize(
        "dtype", [bool, np.int8, np.uint8, np.int64, np.float32, np.float64]
    )
    @pytest.mark.parametrize("container", [sp.csr_array, sp.csr_matrix])
    def test_stays_in_its_file(self, container, dtype, index_dtype, tmp_path):
        dense = DENSE.astype(dtype)
        X = sp.csr_array(dense)
        X.indices, X.indptr = (
            X.indices.astype(index_dtype),
            X.indptr.astype(index_dtype),
        )
        X = container(map_to_disk(X, tmp_path))
        for target in (np.float32, np.float64):
            checked = check_interactions(
                X, estimator=Estimator(), reset=True, dtype=target
            )
            assert_canonical(checked, dense, dtype)
            for name in ("data", "indices", "indptr"):
                assert np.shares_memory(getattr(checked, name), getattr(X, name))

    def test_without_an_estimator_it_is_read(self, tmp_path):
        X = map_to_disk(sp.csr_array(DENSE.astype(np.int8)), tmp_path)
        assert_canonical(check_interactions(X, dtype=np.float64), DENSE, np.float64)

    @pytest.mark.parametrize("block", [1, 2, 100])
    @pytest.mark.parametrize("value", [np.nan, np.inf, -1, 1e300, 1e-60])
    @pytest.mark.parametrize("place", [(0, 3), (2, 0), (2, 3)])
    def test_bad_values_are_found(self, place, value, block, tmp_path, monkeypatch):
        monkeypatch.setattr("sksparse_rec._sparse.BLOCK_ENTRIES", block)
        monkeypatch.setattr("sksparse_rec._validation.BLOCK_ENTRIES", block)
        dense = DENSE.astype(float)
        dense[place] = value
        X = map_to_disk(sp.csr_array(dense), tmp_path)
        with pytest.raises(ValueError) as caught:
            check_interactions(X, estimator=Estimator(), reset=True)
        assert f"X[{place[0]}, {place[1]}] is {float(value)}" in str(caught.value)

    @pytest.mark.parametrize("flaw", ["untidy", "unsorted", "zeros", "duplicates"])
    def test_what_has_to_change_is_copied_if_small(self, flaw, tmp_path):
        X = untidy(np.float32, np.int32)
        if flaw == "zeros":
            X.sum_duplicates()
        elif flaw == "unsorted":
            X = sp.csr_array(([1.0, 2], [3, 1], [0, 2, 2]), shape=(2, 4))
        elif flaw == "duplicates":
            X = sp.csr_array(([1.0, 2], [1, 1], [0, 2, 2]), shape=(2, 4))
        expected = X.toarray()
        X = map_to_disk(X, tmp_path)
        before = X.data.copy(), X.indices.copy()
        checked = check_interactions(X, estimator=Estimator(), reset=True)
        assert_canonical(checked, expected)
        assert_array_equal(X.data, before[0])
        assert_array_equal(X.indices, before[1])
        with (
            sklearn.config_context(working_memory=1e-9),
            pytest.raises(ValueError, match=r"X is memory-mapped.*X\.sum_dup"),
        ):
            check_interactions(X, estimator=Estimator(), reset=True)

    def test_columns_are_those_of_fit(self, tmp_path):
        X = map_to_disk(sp.csr_array(DENSE), tmp_path)
        estimator = Estimator()
        check_interactions(X, estimator=estimator, reset=True)
        assert estimator.n_features_in_ == 4
        with pytest.raises(ValueError, match=r"3 features.*Estimator.*4 features"):
            check_interactions(DENSE[:, :3], estimator=estimator)


class TestCheckLength:
    @pytest.mark.parametrize("container", [np.asarray, sp.csr_array, sp.coo_matrix])
    def test_values_may_be_negative(self, container):
        Z = check_length(container(DENSE * -1.0), 4, "Z", "n_components")
        assert type(Z) in (np.ndarray, sp.csr_array)
        dense = Z.toarray() if sp.issparse(Z) else Z
        assert_array_equal(dense, -DENSE)

    def test_float32_stays(self):
        assert check_length(DENSE.astype(np.float32), 4, "Z", "m").dtype == np.float32
        assert check_length(DENSE, 4, "Z", "m").dtype == np.float64

    def test_wrong_width_names_both(self):
        with pytest.raises(ValueError, match="Z has 4 columns, but n_components is 5"):
            check_length(DENSE, 5, "Z", "n_components")

    @pytest.mark.parametrize("container", [np.asarray, sp.csc_array])
    def test_not_finite(self, container):
        Z = DENSE * 1.0
        Z[2, 3] = np.nan
        with pytest.raises(ValueError, match=r"NaN.*Z\[2, 3\] is nan"):
            check_length(container(Z), 4, "Z", "n_components")


class TestRolledBackOnError:
    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
    def test_public_state_returns(self, error):
        estimator = Estimator()
        estimator.kept_, estimator.changed_, estimator.gone_ = 1, 2, 3
        estimator._private = 4

        def interrupted():
            with rolled_back_on_error(estimator):
                estimator.changed_, estimator.new_ = 20, 30
                estimator._callbacks = 40
                del estimator.gone_
                raise error

        with pytest.raises(error):
            interrupted()
        assert vars(estimator) == {
            "kept_": 1,
            "changed_": 2,
            "gone_": 3,
            "_private": 4,
            "_callbacks": 40,  # torn down by their owner
        }

    def test_success_is_left_alone(self):
        estimator = Estimator()
        with rolled_back_on_error(estimator):
            estimator.new_ = 1
        assert estimator.new_ == 1

    def test_columns_of_a_failed_fit_are_forgotten(self):
        estimator = Estimator()
        with pytest.raises(ValueError), rolled_back_on_error(estimator):
            check_interactions(-DENSE, estimator=estimator, reset=True)
        assert not hasattr(estimator, "n_features_in_")


@pytest.mark.parametrize(
    ("interface", "kind"), [("sparray", sp.csr_array), ("spmatrix", sp.csr_matrix)]
)
@pytest.mark.parametrize("container", [sp.csr_array, sp.csr_matrix])
def test_sparse_interface(container, interface, kind):
    """Rows keep their order: recommendations are best first."""
    S = container(
        (np.array([3.0, 2, 1]), np.array([2, 0, 1]), np.array([0, 3])), shape=(1, 3)
    )
    with sklearn.config_context(sparse_interface=interface):
        result = to_sparse_interface(S)
    assert type(result) is kind
    assert_array_equal(result.indices, [2, 0, 1])
    assert_array_equal(result.data, [3, 2, 1])
