import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal

from sksparse_rec.retrieval import top_items


def rows(data, indices, indptr, n_items, container=sp.csr_array):
    return container(
        (np.array(data), np.array(indices), np.array(indptr)),
        shape=(len(indptr) - 1, n_items),
    )


@pytest.mark.parametrize("container", [sp.csr_array, sp.csr_matrix])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_order_is_kept_and_short_rows_are_padded(container, dtype):
    data = np.array([9, 5, 5, 2, 1, 0.5], dtype=dtype)
    R = rows(data, [7, 3, 1, 0, 4, 2], [0, 0, 3, 5, 6], 8, container)
    ids, scores = top_items(R)
    assert ids.dtype == np.int64
    assert scores.dtype == dtype
    assert_array_equal(ids, [[-1, -1, -1], [7, 3, 1], [0, 4, -1], [2, -1, -1]])
    inf = np.inf
    assert_array_equal(
        scores, [[-inf, -inf, -inf], [9, 5, 5], [2, 1, -inf], [0.5, -inf, -inf]]
    )


def test_a_stored_zero_is_an_item():
    ids, scores = top_items(rows([1.0, 0.0], [2, 0], [0, 2], 4))
    assert_array_equal(ids, [[2, 0]])
    assert_array_equal(scores, [[1, 0]])


@pytest.mark.parametrize("shape", [(0, 5), (3, 5), (3, 0)])
def test_nothing_recommended(shape):
    ids, scores = top_items(sp.csr_array(shape))
    assert ids.shape == scores.shape == (shape[0], 0)


def test_integer_scores_are_padded_too():
    ids, scores = top_items(rows([3, 2, 1], [1, 0, 1], [0, 2, 3], 3))
    assert_array_equal(ids, [[1, 0], [1, -1]])
    assert_array_equal(scores, [[3, 2], [1, -np.inf]])


@pytest.mark.parametrize(
    ("R", "what"),
    [
        (sp.csc_array((2, 3)), "csc matrix"),
        (sp.coo_matrix((2, 3)), "coo matrix"),
        (np.zeros((2, 3)), "ndarray"),
        ([[1]], "list"),
    ],
)
def test_other_formats_lose_the_order(R, what):
    with pytest.raises(TypeError, match=f"R must be CSR.*got a {what}"):
        top_items(R)
