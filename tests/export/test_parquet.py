"""The lists of everybody in Parquet files: those of one call, as others read them."""

import json
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
import sklearn

from sksparse_rec import CompressedELSA, CompressedELSACV
from sksparse_rec.datasets import load_interactions
from sksparse_rec.export import recommend_to_parquet


def files_in(folder):
    return sorted(file.name for file in folder.iterdir())


# What is in it


@pytest.mark.parametrize("users_per_part", [1, 23, 40, 80, 1000])
@pytest.mark.parametrize("working_memory", [1e-9, 0.02, 1024])
def test_equals_one_call(
    write, model, X, columns, rows_of, users_per_part, working_memory
):
    with sklearn.config_context(working_memory=working_memory):
        table = write(users_per_part=users_per_part)
    assert rows_of(table) == columns(model.recommend(X, k=7))


@pytest.mark.parametrize("options", [{"exclude_seen": False, "k": 90}, {"k": 1}])
def test_options(write, model, X, columns, rows_of, options):
    assert rows_of(write(**options)) == columns(model.recommend(X, **options))


def test_the_schema_and_the_files(write, path, tmp_path):
    table = write()
    expected = {
        "user_id": pa.int64(),
        "item_id": pa.int64(),
        "rank": pa.int32(),
        "score": pa.float64(),
    }
    assert dict(zip(table.schema.names, table.schema.types, strict=True)) == expected
    parts = [f"part-0000{n}.parquet" for n in range(4)]
    assert files_in(path) == ["_manifest.json", *parts]
    assert files_in(tmp_path) == ["lists"]
    assert pq.read_table(path / parts[1])["user_id"].to_pylist()[0] == 23
    manifest = json.loads((path / "_manifest.json").read_text())
    assert manifest["k"] == 7
    assert manifest["options"] == {"exclude_seen": True}


def test_who_reads_it(write, path, rows_of):
    expected = rows_of(write(user_ids=[f"u{i}" for i in range(80)]))
    frame = pd.read_parquet(path)
    assert list(frame.itertuples(index=False, name=None)) == expected
    assert pl.read_parquet(path / "*.parquet").rows() == expected
    lists = load_interactions(path, user="user_id", item="item_id", rating="score")
    assert lists.data.nnz == len(expected)


def test_users_without_candidates_have_no_rows(write, X):
    users = write()["user_id"].to_pylist()
    assert 5 not in users
    assert users.count(0) == 7  # without history
    assert len(set(users)) == 79


def test_nobody_has_candidates(write, rows_of):
    assert rows_of(write(deny=np.ones(90, dtype=bool))) == []


def test_zero_users(write, path, rows_of):
    table = write(X=sp.csr_array((0, 90)), user_ids=np.empty(0, dtype="U3"))
    assert table.schema.field("user_id").type == pa.string()
    assert rows_of(table) == []
    assert files_in(path) == ["_manifest.json", "part-00000.parquet"]


@pytest.mark.parametrize("name", ["allow", "deny"])
def test_masks(write, model, X, columns, rows_of, name):
    mask = sp.random_array(X.shape, density=0.3, rng=0, format="csr") > 0
    assert rows_of(write(**{name: mask})) == columns(
        model.recommend(X, k=7, **{name: mask})
    )


def test_a_search_over_levels(write, train, X, columns, rows_of):
    cv = CompressedELSACV(
        16, n_nonzero=(4, 2), cv=2, max_iter=1, max_iter_per_level=1, random_state=0
    ).fit(train)
    assert rows_of(write(cv)) == columns(cv.recommend(X, k=7))


def test_vectors(write, sae, columns, rows_of):
    sae = sklearn.clone(sae).fit(
        pd.DataFrame(np.random.default_rng(0).normal(size=(8, 8))).add_prefix("x")
    )
    queries = pd.DataFrame(np.random.default_rng(1).normal(size=(80, 8))).add_prefix(
        "x"
    )
    # Eight names of features are not the names of eight items.
    table = write(sae, queries, space="reconstructed", k=3)
    expected = columns(sae.recommend(queries, 3, space="reconstructed"))
    assert [row[:3] for row in rows_of(table)] == [row[:3] for row in expected]
    np.testing.assert_allclose(table["score"], [row[3] for row in expected], rtol=1e-6)


# Ids


@pytest.mark.parametrize(
    "make",
    [
        list,
        np.array,
        pd.Index,
        pd.Series,
        pl.Series,
        pa.array,
        lambda ids: pa.chunked_array([ids[:30], ids[30:]]),
        lambda ids: pd.Series(ids, dtype="category"),
        lambda ids: np.array(ids, dtype=object),
    ],
)
@pytest.mark.parametrize("kind", ["text", "number"])
def test_ids(write, model, X, columns, rows_of, make, kind):
    names = {"text": "user {}".format, "number": lambda i: 2**40 - 7 * i}[kind]
    users, items = [names(i) for i in range(80)], [names(i) for i in range(90)]
    table = write(user_ids=make(users), item_ids=make(items))
    expected = columns(model.recommend(X, k=7))
    assert rows_of(table) == [(users[u], items[i], *rest) for u, i, *rest in expected]


def test_names_of_a_data_frame(write, train, X, columns, rows_of):
    names = [f"item {i}" for i in range(90)]
    model = CompressedELSA(16, n_nonzero=4, max_iter=1, random_state=0)
    model.fit(pd.DataFrame(train.toarray(), columns=names))
    frame = pd.DataFrame(X.toarray(), columns=names)
    table = write(model, frame, deny=["item 3"])
    expected = columns(model.recommend(frame, k=7, deny=[3]))
    assert rows_of(table) == [(u, names[i], *rest) for u, i, *rest in expected]


@pytest.mark.parametrize("name", ["user_ids", "item_ids"])
def test_ids_that_are_refused(write, name, tmp_path):
    n = {"user_ids": 80, "item_ids": 90}[name]
    good = np.arange(n).astype(str).tolist()
    cases = [
        (good[1:], f"{name} has {n - 1} ids, but the .* is {n}"),
        ([*good[:-1], None], rf"{name}\[{n - 1}\] is missing"),
        ([*good[:-1], "3"], rf"{name}\[{n - 1}\] is '3', and so is {name}\[3\]"),
        ([*good[:-1], 3], f"{name} cannot be a column"),
        ([1.0, np.nan, *range(2, n)], rf"{name}\[1\] is missing"),
        (pa.array([1.0, np.nan, *range(2, n)]), rf"{name}\[1\] is missing"),
        (np.zeros((n, 2)), f"{name} cannot be a column"),
        ([[i] for i in range(n)], f"{name} cannot be a column"),
    ]
    for ids, message in cases:
        with pytest.raises(ValueError, match=message):
            write(**{name: ids})
    assert files_in(tmp_path) == []


# Progress, size, what is missing


def test_progress(write, path, caplog):
    calls = []
    with caplog.at_level("INFO", logger="sksparse_rec"):
        write(on_block=lambda *given: calls.append(given))
    assert calls == [(23, 80), (46, 80), (69, 80), (80, 80)]
    assert [record.getMessage() for record in caplog.records] == [
        *(f"{path}: part {n} of 4" for n in (1, 2, 3, 4)),
        f"{path}: complete",
    ]
    calls.clear()
    with sklearn.config_context(working_memory=1e-9):
        write(path=path.with_name("more"), on_block=lambda n, _: calls.append(n))
    assert calls == list(range(1, 81))


def test_memory_is_bounded(many_histories, peak_of, tmp_path, monkeypatch):
    for name in ("BLOCK_ENTRIES", "HASH_ENTRIES"):
        monkeypatch.setattr(f"sksparse_rec._sparse.{name}", 1 << 14)
    opened = many_histories
    model = CompressedELSA(16, n_nonzero=2, max_iter=1, random_state=0)
    model.fit(opened[:1000])
    size, pool = opened.data.nbytes + opened.indices.nbytes, pa.default_memory_pool()
    names, in_arrow = [f"a name of some length {i}" for i in range(500)], []

    def look(n_done, n_all):
        in_arrow.append(pool.bytes_allocated())

    def run():
        recommend_to_parquet(
            model, opened, tmp_path / "lists", 20, item_ids=names, on_block=look
        )

    with sklearn.config_context(working_memory=2):
        _, peak = peak_of(run)
    assert peak < 1.25 * 2 * 2**20 + 2**20 < size / 4
    # Arrow keeps no block once it is written.
    assert max(in_arrow) - min(in_arrow) < 2**20
    assert pq.read_metadata(tmp_path / "lists" / "part-00000.parquet").num_rows == 4e5


def test_without_pyarrow(write, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install 'sksparse-rec\[parquet\]'"):
        write()


def test_folders_are_made_and_written_as_text(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(write(path="some/where/lists")) > 0
    assert files_in(tmp_path / "some" / "where") == ["lists"]
