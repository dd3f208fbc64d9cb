"""Codes as Parquet and npz: what other programs read back."""

import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
from round_trips import M, random_codes

from sksparse_rec import SparseIndex
from sksparse_rec.export import write_npz, write_parquet

N = 90


@pytest.fixture
def codes():
    return random_codes(N)


@pytest.fixture(name="path")
def make_path(tmp_path):
    return tmp_path / "codes"


def read_back(path, width):
    """Return the ids and the matrix of a folder."""
    table = pq.read_table(path)
    rows = zip(table["indices"].to_pylist(), table["values"].to_pylist(), strict=True)
    dense = np.zeros((len(table), width), np.float32)
    for row, (columns, values) in zip(dense, rows, strict=True):
        assert columns == sorted(columns)
        row[columns] = values
    return table["id"].to_pylist(), dense


def bytes_of(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


# Parquet


@pytest.mark.parametrize("items_per_part", [1, 20, 90, 1000])
def test_parquet(codes, path, items_per_part):
    write_parquet(codes, path, items_per_part=items_per_part)
    ids, dense = read_back(path, M)
    assert ids == list(range(N))
    np.testing.assert_array_equal(dense, codes.toarray().astype(np.float32))
    assert len(list(path.glob("*.parquet"))) == -(-N // items_per_part)
    assert (
        pq.read_schema(path / "part-00000.parquet").metadata[b"n_components"] == b"32"
    )


@pytest.mark.parametrize("which", ["model", "sae"])
def test_parquet_of_a_model(request, which, path):
    model = request.getfixturevalue(which)
    write_parquet(model, path, items_per_part=20)
    _, dense = read_back(path, model.item_embeddings_.shape[1])
    np.testing.assert_array_equal(dense, model.item_embeddings_.toarray())


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_parquet_of_an_index(codes, path, dtype):
    ids = [f"i{i}" for i in range(N)]
    index = SparseIndex(codes, ids=ids, dtype=dtype)
    write_parquet(index, path)
    found, dense = read_back(path, M)
    assert found == ids
    np.testing.assert_array_equal(dense, codes.toarray().astype(dtype))


def test_polars(codes, path):
    payload = {
        "title": ["ž"] * N,
        "year": [None, *range(N - 1)],
        "tags": [["a"], []] * 45,
    }
    write_parquet(codes, path, payload=payload, items_per_part=30)
    frame = pl.read_parquet(path / "*.parquet")
    assert dict(frame.schema) == {
        "id": pl.Int64,
        "indices": pl.List(pl.UInt16),
        "values": pl.List(pl.Float32),
        "title": pl.String,
        "year": pl.Int64,
        "tags": pl.List(pl.String),
    }
    assert frame["year"].to_list() == payload["year"]
    assert frame["tags"].to_list() == payload["tags"]
    entries = frame.explode("indices", "values").drop_nulls("indices")
    parts = entries["values"], (entries["id"], entries["indices"])
    found = sp.coo_array(
        (parts[0].to_numpy(), tuple(map(pl.Series.to_numpy, parts[1]))), codes.shape
    )
    np.testing.assert_array_equal(found.toarray(), codes.toarray().astype("f4"))


def test_wide_codes(path):
    codes = sp.csr_array(([1.0, 2.0], ([0, 1], [7, 65_536])), shape=(2, 65_537))
    write_parquet(codes, path)
    table = pq.read_table(path)
    assert table.schema.field("indices").type == pa.list_(pa.int32())
    assert table["indices"].to_pylist() == [[7], [65_536]]


def test_the_widest_narrow_codes(path):
    codes = sp.csr_array(([1.0], ([0], [65_535])), shape=(1, 65_536))
    write_parquet(codes, path)
    table = pq.read_table(path)
    assert table.schema.field("indices").type == pa.list_(pa.uint16())
    assert table["indices"].to_pylist() == [[65_535]]


def test_no_items(path):
    write_parquet(sp.csr_array((0, M)), path, payload={"a": []})
    table = pq.read_table(path)
    assert table.shape == (0, 3)


def test_batches_do_not_count(codes, path, tmp_path, monkeypatch):
    options = {"payload": {"a": range(N)}, "items_per_part": 40}
    write_parquet(codes, path, **options)
    monkeypatch.setattr("sksparse_rec.export._code_files.ITEMS_AT_ONCE", 7)
    done = []
    write_parquet(
        codes, tmp_path / "other", on_batch=lambda *n: done.append(n), **options
    )
    expected = [7, 14, 21, 28, 35, 40, 47, 54, 61, 68, 75, 80, 87, 90]
    assert done == [(n, N) for n in expected]
    assert pq.read_table(path).equals(pq.read_table(tmp_path / "other"))


def test_large_integers_stay_exact(codes, path):
    """In a column without floats."""
    numbers = [2**53 + 1 + i for i in range(N)]
    write_parquet(codes, path, payload={"a": numbers})
    assert pq.read_table(path)["a"].to_pylist() == numbers


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"payload": {"values": [1] * N}}, "column 'values', which the codes have"),
        ({"payload": {"a": [1] * 89 + ["b"]}}, r"payload\['a'\]\[89\] is str"),
        ({"payload": {"a": [2**60 + 1] * 89 + [0.5]}}, r"\[0\] is 11529.* would round"),
        ({"payload": {"a": [[0.5]] * 89 + [[1, -(2**60)]]}}, r"\[89\] is -1152"),
        ({"payload": {"a": [1]}}, "length 1"),
        ({"ids": [0] * N}, "0 twice"),
        ({"items_per_part": 0}, "items_per_part"),
    ],
)
def test_what_is_refused(codes, path, options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write_parquet(codes, path, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("write", [write_parquet, write_npz])
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e60])
def test_bad_values(codes, path, write, bad, tmp_path):
    codes.data[-1] = bad
    with pytest.raises(ValueError, match=r"\d+, \d+\] is"):
        write(codes, path)
    assert list(tmp_path.iterdir()) == []


def test_a_stopped_export_goes_on(codes, path, tmp_path):
    options = {"items_per_part": 20, "payload": {"a": [*range(N)]}}
    write_parquet(codes, tmp_path / "expected", **options)

    def stop(n_done, n_items):
        if n_done == 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_parquet(codes, path, on_batch=stop, **options)
    unfinished = tmp_path / "_codes.unfinished"
    assert sorted(file.name for file in unfinished.glob("*.parquet")) == [
        "part-00000.parquet",
        "part-00001.parquet",
    ]
    before = (unfinished / "part-00001.parquet").stat().st_mtime_ns
    with pytest.raises(ValueError, match=r"holds codes that differ .* in payload"):
        write_parquet(codes, path, **options | {"payload": {"a": [0] * N}})
    with pytest.raises(ValueError, match="in codes, items_per_part"):
        write_parquet(codes * 2, path, **options | {"items_per_part": 10})
    write_parquet(codes, path, **options)
    assert (path / "part-00001.parquet").stat().st_mtime_ns == before
    assert bytes_of(path) == bytes_of(tmp_path / "expected")


def test_without_pyarrow(codes, path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"sksparse-rec\[parquet\]"):
        write_parquet(codes, path)


# npz


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", [int, str])
def test_npz(codes, path, kind, compressed):
    ids = [kind(7 * i + 2**40) for i in range(N)]
    write_npz(codes, path, ids, compressed=compressed)
    found = sp.load_npz(path)
    assert isinstance(found, sp.csr_array)
    assert found.dtype == np.float32
    assert found.has_canonical_format
    np.testing.assert_array_equal(found.toarray(), codes.toarray().astype("f4"))
    with np.load(path, allow_pickle=False) as file:
        assert file["ids"].tolist() == ids
        assert {name: file[name].dtype.str for name in ("indices", "indptr")} == {
            "indices": "<i4",
            "indptr": "<i8",
        }


def test_npz_of_a_model(sae, path):
    write_npz(sae, path)
    np.testing.assert_array_equal(
        sp.load_npz(path).toarray(), sae.item_embeddings_.toarray()
    )


def test_npz_of_an_index(codes, path):
    index = SparseIndex(codes, dtype="float16")
    write_npz(index, path)
    expected = codes.toarray().astype("f2").astype("f4")
    np.testing.assert_array_equal(sp.load_npz(path).toarray(), expected)


def test_npz_in_batches(codes, path, tmp_path, monkeypatch):
    write_npz(codes, path)
    monkeypatch.setattr("sksparse_rec.export._code_files.ITEMS_AT_ONCE", 7)
    write_npz(codes, tmp_path / "deeper" / "other")
    # Archives have the time that they were made at.
    with np.load(path) as one, np.load(tmp_path / "deeper" / "other") as other:
        assert set(one) == set(other)
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def test_npz_without_items(path):
    write_npz(sp.csr_array((0, M)), path)
    assert sp.load_npz(path).shape == (0, M)


def test_npz_is_replaced_when_it_is_complete(codes, path, tmp_path, monkeypatch):
    write_npz(codes, path)
    before = path.read_bytes()

    def fail(*args):
        raise OSError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("sksparse_rec.export._code_files._write_entries", fail)
        with pytest.raises(OSError, match="No space"):
            write_npz(codes * 2, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    write_npz(codes * 2, path)
    assert sp.load_npz(path).sum() == np.float32(codes.data * 2).sum()


def test_a_table_of_codes(codes, path):
    frame = pd.DataFrame(codes.toarray(), columns=[f"l{j}" for j in range(M)])
    write_npz(frame, path)
    np.testing.assert_array_equal(
        sp.load_npz(path).toarray(), codes.toarray().astype("f4")
    )
