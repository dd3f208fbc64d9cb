"""Bytes and operations, worked out by hand."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError

from sksparse_rec import CompressedELSA, memory_report

PLAN = {"n_features": 384, "n_components": 4096, "n_nonzero": 32}
KINDS = ["dense", "truncated", "sparse", "sparse_both"]
# Latents used by 1, 3, 0 and 2 of three items.
CODES = sp.csr_array(
    np.array([[0, 0.6, 0, 0.8], [0.6, 0.8, 0, 0], [0, 0.8, 0, -0.6]], np.float32)
)


def test_a_plan():
    report = memory_report(**PLAN)
    assert report.bytes_per_item == {
        "dense": 384 * 4,
        "truncated": 64 * 2,
        "sparse": 32 * (2 + 2),
        "sparse_both": 32 * (2 + 2) + 32 * (2 + 4),
    }
    assert report.compression == {
        "dense": 1,
        "truncated": 12,
        "sparse": 12,
        "sparse_both": 4.8,
    }
    assert report.n_items == 1_000_000
    assert report.n_truncated == 64
    assert report.operations == {
        "dense": 384e6,
        "truncated": 64e6,
        "sparse": 32e6,
        "sparse_both": 32 * 32 / 4096 * 1e6,
    }
    assert report.catalogue_sizes.tolist() == [10**6, 10**7, 10**8, 10**9]
    assert_allclose(report.gigabytes["dense"], [1.536, 15.36, 153.6, 1536])
    assert_allclose(report.gigabytes["sparse"], [0.128, 1.28, 12.8, 128])
    assert_allclose(report.gigabytes["sparse_both"], [0.32, 3.2, 32, 320])
    assert report.reconstruction_operations == 32 * 384 + 384 * 4096
    assert report.decoder_bytes == 4096 * 384 * 4


@pytest.mark.parametrize(
    ("dtype", "dense_dtype", "expected"),
    [
        ("float32", "float32", (1536, 48 * 4, 32 * 6, 32 * 6 + 32 * 8)),
        (np.float16, np.float16, (768, 64 * 2, 32 * 4, 32 * 4 + 32 * 6)),
        ("int8", "float64", (3072, 96, 32 * 3, 32 * 3 + 32 * 5)),
    ],
)
def test_types(dtype, dense_dtype, expected):
    report = memory_report(**PLAN, dtype=dtype, dense_dtype=dense_dtype)
    assert report.bytes_per_item == dict(zip(KINDS, expected, strict=True))
    assert report.dtype == np.dtype(dtype)


@pytest.mark.parametrize(
    ("n_components", "n_items", "by_item", "by_latent"),
    [
        (65_536, 65_536, 4, 4),
        (65_537, 65_537, 6, 6),
        (4096, 2**32, 4, 6),
        (4096, 2**32 + 1, 4, 10),
    ],
)
def test_indices(n_components, n_items, by_item, by_latent):
    report = memory_report(
        n_features=100, n_components=n_components, n_nonzero=10, n_items=n_items
    )
    assert report.bytes_per_item["sparse"] == 10 * by_item
    assert report.bytes_per_item["sparse_both"] == 10 * (by_item + by_latent)


def test_indices_grow_with_the_catalogue():
    """Of the transpose: 2 bytes at 50,000 items, 4 at a million."""
    report = memory_report(**PLAN, n_items=50_000)
    assert report.bytes_per_item["sparse_both"] == 256
    assert report.catalogue_sizes.tolist() == [5 * 10**4, 10**6, 10**7, 10**8, 10**9]
    assert_allclose(report.gigabytes["sparse_both"], [0.0128, 0.32, 3.2, 32, 320])


def test_pointers():
    report = memory_report(**PLAN, n_items=50_000)
    assert report.pointer_bytes_per_item["sparse"] == 4
    both = report.pointer_bytes_per_item["sparse_both"]
    assert both == pytest.approx(4 + 4 * 4096 / 50_000)
    for n_items, pointer in [(2**26 - 1, 4), (2**26, 8)]:
        report = memory_report(**PLAN, n_items=n_items)
        assert report.pointer_bytes_per_item["sparse"] == pointer


@pytest.mark.parametrize(
    ("options", "n_truncated"),
    [
        ({"truncated": 100}, 100),
        ({"n_nonzero": 300}, 384),  # larger than the dense vector
        ({"n_nonzero": 0.1}, 1),
        ({"n_nonzero": 31.9}, 63),
        ({"dtype": "float32"}, 48),
    ],
)
def test_truncated(options, n_truncated):
    report = memory_report(**(PLAN | options))
    assert report.n_truncated == n_truncated
    assert report.operations["truncated"] == n_truncated * 10**6


def test_codes_of_vectors():
    estimator = SimpleNamespace(
        item_embeddings_=CODES, n_features_in_=5, encoder_components_=np.ones((4, 5))
    )
    report = memory_report(estimator)
    assert (report.n_items, report.n_components, report.n_features) == (3, 4, 5)
    assert report.n_nonzero == 2
    assert report.bytes_per_item["dense"] == 5 * 4
    assert report.bytes_per_item["sparse"] == 2 * 4
    assert report.decoder_bytes == 4 * 5 * 4
    # A query by each item reads the lists of its latents.
    lists = np.count_nonzero(CODES.toarray(), axis=0)
    read = np.mean([lists[row != 0].sum() for row in CODES.toarray()])
    assert report.operations["sparse_both"] == pytest.approx(read)
    assert report.list_imbalance == pytest.approx(4 * (1 + 9 + 4) / 36)


def test_arguments_replace_what_the_estimator_says():
    estimator = SimpleNamespace(item_embeddings_=CODES)
    report = memory_report(estimator, n_items=300, n_features=2, n_nonzero=3)
    assert report.bytes_per_item["dense"] == 8
    assert report.bytes_per_item["sparse"] == 12
    assert report.operations["sparse"] == 900
    assert report.dense_rival == "a dense model of 2 components"
    assert report.catalogue_sizes[0] == 300


def test_compressed_elsa(planted):
    model = CompressedELSA(32, n_nonzero=4, max_iter=2, random_state=0)
    model.fit(planted.train)
    A = model.item_embeddings_
    report = memory_report(model)
    assert report.n_items == A.shape[0]
    assert report.n_nonzero == A.nnz / A.shape[0]
    assert report.bytes_per_item["sparse"] == pytest.approx(4 * A.nnz / A.shape[0])
    assert report.bytes_per_item["dense"] == 32 * 4
    assert "32 components" in report.dense_rival
    assert not report.has_decoder
    assert report.reconstruction_operations is None
    assert report.decoder_bytes is None
    assert "Reconstructed" not in str(report)


def test_prints_as_a_table():
    report = memory_report(**PLAN, n_items=50_000)
    lines = str(report).split("\n")
    assert repr(report) == str(report)
    assert "32 of 4096 latents" in lines[0]
    assert "50,000 items" in lines[1]
    assert lines[2].split()[-5:] == ["5e+04", "1e+06", "1e+07", "1e+08", "1e+09"]
    assert len({len(line) for line in lines[2:7]}) == 1
    for name, line in zip(KINDS, lines[3:7], strict=True):
        assert line.startswith(name)
        assert f"{report.compression[name]:.3g}x" in line
    assert lines[3].split()[-1] == "1,536"
    assert lines[5].split()[3] == "128"
    assert "6.29 MB" in lines[-1]


def test_survives_pickling():
    report = memory_report(**PLAN)
    again = pickle.loads(pickle.dumps(report))
    assert str(again) == str(report)
    assert_array_equal(again.gigabytes["sparse"], report.gigabytes["sparse"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_nonzero": None}, "n_nonzero must be given"),
        ({"n_features": None, "n_components": None}, "n_features, n_components must"),
        ({"n_nonzero": 5000}, "n_nonzero=5000 is more than n_components=4096"),
        ({"truncated": 385}, "truncated=385 is more than n_features=384"),
        ({"truncated": 0}, "'truncated' parameter .* Got 0"),
        ({"n_items": 0}, "'n_items' parameter .* Got 0"),
        ({"n_items": 1e6}, "'n_items' parameter .* Got 1000000.0"),
        ({"n_nonzero": 0}, "'n_nonzero' parameter .* Got 0"),
        ({"dtype": "bfloat16"}, "dtype='bfloat16' .* one with as many bytes"),
        ({"dense_dtype": "U4"}, "dense_dtype='U4' is not a numpy dtype"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        memory_report(**(PLAN | options))


def test_estimators_without_embeddings():
    with pytest.raises(
        NotFittedError, match=r"CompressedELSA instance .* fit it first"
    ):
        memory_report(CompressedELSA())
    empty = SimpleNamespace(item_embeddings_=sp.csr_array((3, 4)))
    with pytest.raises(ValueError, match="0 non-zeros"):
        memory_report(empty)


@pytest.mark.parametrize("name", ["dtype", "dense_dtype"])
def test_no_dtype_is_none_of_numpys(name):
    with pytest.raises(ValueError, match=f"{name}=None is not a numpy dtype"):
        memory_report(**{name: None})


def test_narrow_integers_do_not_wrap_around():
    sizes = {"n_items": 10**8, "n_features": 768, "n_components": 8192}
    expected = memory_report(n_nonzero=64, **sizes)
    found = memory_report(
        n_nonzero=np.int8(64), **{k: np.int32(v) for k, v in sizes.items()}
    )
    assert found.operations == expected.operations
    assert found.operations["sparse"] > 2**31
