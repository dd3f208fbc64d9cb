"""Digests are those of what a value means, and of nothing else."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp

from sksparse_rec import CompressedELSA, CompressedELSACV, load_model, save_model
from sksparse_rec.export import _digests
from sksparse_rec.export._digests import digest_of, digest_of_ids

TABLE = np.arange(60.0).reshape(20, 3)
VALUES = {
    "none": None,
    "number": 3,
    "text": "3",
    "list": [3],
    "names": ["a", "b"],
    "other names": ["ab"],
    "table": TABLE,
    "another value": TABLE + (TABLE == 59),
    "turned": TABLE.reshape(3, 20),
    "integers": TABLE.astype(int),
    "order": TABLE[::-1],
    "objects": np.array(["a", None], dtype=object),
    "texts": np.array(["a", "b"]),
    "scalar": np.array(3),
    "frame": pd.DataFrame(TABLE),
    "frame of text": pd.DataFrame({"a": ["x", "y"]}),
    "sparse": sp.csr_array(TABLE),
    "sparse, edited": sp.csr_array(TABLE * (TABLE != 59)),
    "steer": {"comedy": 0.5},
    "steer more": {"comedy": 0.6},
    "what JSON lacks": slice(3),
    "other such": slice(4),
}


def test_all_differ():
    digests = {name: digest_of(value) for name, value in VALUES.items()}
    assert len(set(digests.values())) == len(digests), digests


def test_pieces_do_not_count(monkeypatch):
    arrays = {name: value for name, value in VALUES.items() if name != "frame of text"}
    before = {name: digest_of(value) for name, value in arrays.items()}
    monkeypatch.setattr("sksparse_rec._sparse.HASH_ENTRIES", 7)
    monkeypatch.setattr(_digests, "HASH_ENTRIES", 7)
    numbers = {n for n, v in arrays.items() if getattr(v, "size", 0) > 7}
    assert len(numbers) >= 6
    assert {name: digest_of(value) for name, value in arrays.items()} == before


def test_equal_values(tmp_path):
    np.save(tmp_path / "X.npy", TABLE)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert digest_of(mapped) == digest_of(np.asfortranarray(TABLE)) == digest_of(TABLE)
    S = sp.csr_array(TABLE)
    assert digest_of(S.tocsc()) == digest_of(sp.csr_matrix(S)) == digest_of(S)
    assert digest_of({"b": np.float64(1), "a": 2}) == digest_of({"a": 2, "b": 1.0})
    assert digest_of({"a": np.int64(2), "b": TABLE[0]}) == digest_of(
        {"a": 2, "b": [0.0, 1.0, 2.0]}
    )
    frame = pl.DataFrame({"a": [1.0, 2], "b": [3.0, 4]})
    assert digest_of(frame) == digest_of(pd.DataFrame({"a": [1.0, 2], "b": [3.0, 4]}))
    assert digest_of(frame) != digest_of(frame[::-1])


@pytest.mark.parametrize("kind", ["model", "search", "codes"])
def test_models(model, sae, train, tmp_path, kind):
    if kind == "search":
        model = CompressedELSACV(16, n_nonzero=(4, 2), cv=2, max_iter=1).fit(train)
    fitted = sae if kind == "codes" else model
    save_model(fitted, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert digest_of(loaded) == digest_of(fitted)
    loaded.set_params(n_jobs=3, verbose=2)
    assert digest_of(loaded) == digest_of(fitted)
    loaded.item_embeddings_.data[-1] *= 1.001
    assert digest_of(loaded) != digest_of(fitted)


def test_names_of_items_count(train):
    def fit(names):
        frame = pd.DataFrame(train.toarray(), columns=names)
        return CompressedELSA(8, n_nonzero=2, max_iter=1, random_state=0).fit(frame)

    names = [f"item {i}" for i in range(90)]
    assert digest_of(fit(names)) == digest_of(fit(names))
    assert digest_of(fit(names)) != digest_of(fit(names[::-1]))


def test_ids():
    ids = [
        pa.array([1, 2, 3]),
        pa.array([1, 2, 3], pa.int32()),
        pa.array(["1", "2", "3"]),
        pa.array([1, 2]),
        pa.array([3, 2, 1]),
    ]
    digests = [digest_of_ids(column) for column in ids]
    assert len(set(digests)) == len(digests)
    chunks = pa.chunked_array([[1], [2, 3]])
    assert digest_of_ids(chunks) == digests[0]
