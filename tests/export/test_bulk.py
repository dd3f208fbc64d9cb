"""Bulk files: every line is read back, and searched with the precision of engines."""

import errno
import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from engines import open_engine, rounded
from round_trips import M, random_codes

from sksparse_rec import SparseIndex
from sksparse_rec.export import bulk_query, bulk_rank, write_bulk

FORMATS = ("elasticsearch", "opensearch", "vespa")
N = 90


@pytest.fixture(params=FORMATS)
def form(request):
    return request.param


@pytest.fixture
def codes():
    return random_codes(N)


@pytest.fixture(name="path")
def make_path(tmp_path):
    return tmp_path / "bulk"


@pytest.fixture
def unfinished(tmp_path):
    return tmp_path / "_bulk.unfinished"


def texts(path):
    return {file.name: file.read_bytes() for file in sorted(path.iterdir())}


def parts_of(path):
    return [name for name in texts(path) if name.startswith("part-")]


def search(engine, form, Q, k, **options):
    ids, scores = [], []
    for q in Q:
        response = engine.search(bulk_query(q, format=form, **options))
        answer = bulk_rank(response, q, k, format=form)
        ids.append(answer[0].tolist())
        scores.append(answer[1])
    return ids, scores


def assert_same(engine, form, index, Q, k=10, filters=None, **options):
    """The list is that of the index, up to items that no latent leads to."""
    ids, scores = search(engine, form, Q, k, **options)
    wanted, wanted_scores = index.search_ids(Q, k, **filters or {})
    for row in range(len(ids)):
        is_found = wanted_scores[row] > 0
        n_found = is_found.sum()
        assert ids[row][:n_found] == wanted[row][is_found].tolist()
        np.testing.assert_array_equal(
            scores[row][:n_found], wanted_scores[row][is_found]
        )


# What is found


@pytest.mark.parametrize("which", ["model", "sae"])
def test_items_of_a_model(request, which, path, form):
    model = request.getfixturevalue(which)
    write_bulk(model, path, format=form, items_per_part=20)
    codes = model.item_embeddings_
    assert codes.data.min() < 0
    engine = open_engine(path, form)
    assert len(engine.items) == codes.shape[0]
    Q = codes.toarray()[np.diff(codes.indptr) > 0]
    assert_same(engine, form, SparseIndex(codes), Q)


def test_profiles_of_users(model, X, path, form):
    write_bulk(model, path, format=form)
    Q = model.transform(X)
    Q = Q[np.diff(Q.indptr) > 0].toarray()
    engine = open_engine(path, form)
    assert_same(engine, form, SparseIndex(model.item_embeddings_), Q)


def test_scores_alone_are_not_enough(sae, path):
    """Rounding and missing products change the order, which ranking mends."""
    write_bulk(sae, path)
    codes = sae.item_embeddings_
    engine, index = open_engine(path, "elasticsearch"), SparseIndex(codes)
    Q = codes.toarray()
    plain = [
        [hit["_source"]["id"] for hit in engine.search(bulk_query(q))["hits"]["hits"]]
        for q in Q
    ]
    wanted = index.search_ids(Q, 5)[0].tolist()
    assert [ids[:5] for ids in plain] != wanted
    assert_same(engine, "elasticsearch", index, Q, 5)


def test_filters(codes, path, form):
    in_stock = [i % 3 == 1 for i in range(N)]
    write_bulk(codes, path, payload={"in_stock": in_stock}, format=form)
    engine, index = open_engine(path, form), SparseIndex(codes)
    where = "in_stock = true" if form == "vespa" else {"term": {"in_stock": True}}
    filters = {"allow": np.flatnonzero(in_stock)}
    Q = codes[10:30].toarray()
    assert_same(engine, form, index, Q, filters=filters, where=where)


@pytest.mark.parametrize("kind", [int, str])
def test_own_ids(codes, path, form, kind):
    ids = [kind(7 * i + 2**40) for i in range(N)]
    write_bulk(codes, path, ids, format=form)
    engine = open_engine(path, form)
    assert_same(engine, form, SparseIndex(codes, ids=ids), codes[10:20].toarray())


def test_one_item_is_replaced_by_another_file(codes, path, tmp_path):
    """An id that comes again takes the place of the former."""
    write_bulk(codes, path)
    engine = open_engine(path, "elasticsearch")
    write_bulk(codes[[7]], tmp_path / "more", [5])
    engine.load((tmp_path / "more" / "part-00000.ndjson").read_text())
    index = SparseIndex(codes)
    index.update([5], codes[[7]])
    assert len(engine.items) == N
    assert_same(engine, "elasticsearch", index, codes[20:30].toarray(), k=3)


def test_an_index_of_half_precision(codes, path):
    index = SparseIndex(codes, ids=[f"i{i}" for i in range(N)], dtype="float16")
    write_bulk(index, path)
    assert_same(
        open_engine(path, "elasticsearch"), "elasticsearch", index, codes[:3].toarray()
    )


def test_max_terms(codes, path, form):
    q = np.zeros(M)
    q[:4] = 0.1, -3, 0.2, 2
    body = bulk_query(q, format=form, max_terms=2)
    assert search(open_written(codes, path, form), form, [q], 3, max_terms=2)
    if form == "elasticsearch":
        (must,) = body["query"]["bool"]["must"]
        vector = must["sparse_vector"]["query_vector"]
        assert vector == {"3": 0.5, str(M + 1): 0.75}


def open_written(codes, path, form):
    write_bulk(codes, path, format=form)
    return open_engine(path, form)


def test_queries_of_any_kind(codes):
    dense = codes[[10]].toarray()
    expected = bulk_query(dense[0])
    assert bulk_query(dense) == bulk_query(codes[[10]]) == expected
    assert bulk_query(dense[0].tolist()) == expected
    # Scaled by powers of two, so that no weight is out of range.
    assert bulk_query(dense * 2.0**200) == bulk_query(dense * 2.0**-200) == expected


def test_values_out_of_the_range_of_float32(codes, path, form):
    engine = open_written(codes, path, form)
    Q = codes[10:14].toarray() * 1e60
    assert_same(engine, form, SparseIndex(codes), Q, 3)


@pytest.mark.parametrize(
    ("q", "message"),
    [
        (np.zeros(M), "no non-zeros"),
        (np.ones((2, M)), "2 rows"),
        ([np.nan, 1.0], "NaN"),
    ],
)
def test_bad_queries(q, message):
    with pytest.raises(ValueError, match=message):
        bulk_query(q)


def test_bad_filters():
    with pytest.raises(ValueError, match=r"where is 'a = 1', but .* dict or list"):
        bulk_query([1.0], where="a = 1")
    with pytest.raises(ValueError, match="a filter of vespa is str"):
        bulk_query([1.0], where={"term": {}}, format="vespa")


def test_bad_responses():
    with pytest.raises(ValueError, match=r"no hits .*too_many_clauses"):
        bulk_rank({"error": {"type": "too_many_clauses"}}, [1.0])
    source = {"id": 1, "position": 0, "code": {"7": 1.0}}
    with pytest.raises(ValueError, match="latent 7, but q has 1"):
        bulk_rank({"hits": {"hits": [{"_source": source}]}}, [1.0])
    ids, scores = bulk_rank({"hits": {"hits": []}}, [1.0])
    assert len(ids) == len(scores) == 0


# What is in the files


def test_values_are_exact(path, form):
    """Decimals give back each float32; what engines find by is as they round it."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, M)).astype(np.float32)
    values[0, :4] = 1e-38, -1e-45, 3e-39, np.finfo(np.float32).tiny
    write_bulk(values, path, format=form)
    items = open_engine(path, form).items.values()
    for row, item in zip(values, items, strict=True):
        code = item["code"]["cells"] if form == "vespa" else item["code"]
        for j, value in enumerate(row):
            assert np.float32(code[str(j)]) == value
    assert rounded(1.0) == 1
    assert 0.996 < rounded(np.nextafter(np.float32(1), np.float32(0))) < 1


def test_definitions(codes, path, form):
    payload = {
        "title": ["ž"] * N,
        "year": [None, *range(N - 1)],
        "price": [1, *[0.5] * (N - 1)],
        "is_new": [True] * N,
        "genres": [[], *[["a", "b"]] * (N - 1)],
        "nothing": [[]] * N,
    }
    write_bulk(codes, path, payload=payload, format=form)
    first, second, *_ = open_engine(path, form).items.values()
    assert "year" not in first
    assert [second[name] for name in payload] == ["ž", 0, 0.5, True, ["a", "b"], []]
    if form == "vespa":
        schema = (path / "items.sd").read_text()
        for field in (
            "year type long",
            "price type double",
            "is_new type bool",
            "genres type array<string>",
        ):
            assert f"field {field} {{" in schema
        return
    fields = json.loads((path / "index.json").read_text())["mappings"]["properties"]
    types = {name: field["type"] for name, field in fields.items()}
    assert [types[name] for name in payload] == [
        "keyword",
        "long",
        "double",
        "boolean",
        "keyword",
        "keyword",
    ]
    assert fields["code"] == {"type": "object", "enabled": False}


def test_the_name_of_vespa(codes, path):
    write_bulk(codes, path, format="vespa", name="films")
    assert "document films {" in (path / "films.sd").read_text()
    assert bulk_query([1.0], format="vespa", name="films")["yql"].startswith(
        "select id, position, code from films where"
    )


@pytest.mark.parametrize("items_per_part", [1, 7, 90, 1000])
def test_parts_by_items(codes, path, items_per_part):
    write_bulk(codes, path, items_per_part=items_per_part)
    assert len(parts_of(path)) == -(-N // items_per_part)


def test_parts_by_bytes(codes, path):
    write_bulk(codes, path, bytes_per_part=2000)
    sizes = [(path / name).stat().st_size for name in parts_of(path)]
    longest = max(len(text) for text in texts(path)["part-00000.ndjson"].split(b"\n"))
    assert max(sizes) <= 2000
    assert min(sizes[:-1]) > 2000 - 3 * longest
    assert len(open_engine(path, "elasticsearch").items) == N


def test_an_item_larger_than_a_part(codes, path):
    write_bulk(codes, path, bytes_per_part=10)
    assert len(parts_of(path)) == N
    assert len(open_engine(path, "elasticsearch").items) == N


def test_pieces_do_not_count(codes, path, tmp_path, monkeypatch):
    write_bulk(codes, path, bytes_per_part=3000)
    monkeypatch.setattr("sksparse_rec.export._bulk.ITEMS_AT_ONCE", 7)
    write_bulk(codes, tmp_path / "other", bytes_per_part=3000)
    assert texts(path) == texts(tmp_path / "other")


def test_nothing_to_write(path, form):
    write_bulk(sp.csr_array((0, M)), path, format=form)
    assert parts_of(path) == []
    assert len(texts(path)) == 2


def test_a_table_as_payload(codes, path):
    table = pd.DataFrame({"year": np.arange(N)}, index=np.arange(N)[::-1])
    write_bulk(codes, path, payload=table)
    items = open_engine(path, "elasticsearch").items.values()
    assert [item["year"] for item in items] == list(range(N))


# What is refused


@pytest.mark.parametrize("signs", ["native", "nonnegative"])
def test_negative_values(codes, path, form, signs):
    with pytest.raises(ValueError, match=r"codes\[0, \d+\] is -.* signs='split'"):
        write_bulk(codes, path, format=form, signs=signs)
    assert not path.exists()
    codes = abs(codes)
    write_bulk(codes, path, format=form, signs=signs)
    engine = open_engine(path, form)
    assert_same(engine, form, SparseIndex(codes), codes[10:20].toarray())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"payload": {"code": [1] * N}}, "column 'code', which items have"),
        ({"payload": {"a.b": [1] * N}}, "column 'a.b', but names there have no dots"),
        ({"payload": {"a": [1] * 89 + ["b"]}}, r"payload\['a'\]\[89\] is str, and"),
        ({"payload": {"a": [2**60 + 1] * 89 + [0.5]}}, r"\[0\] is 11529.* would round"),
        ({"payload": {"a": [[0.5]] * 89 + [[1, -(2**60)]]}}, r"\[89\] is -1152"),
        ({"payload": {"a": [[1], *[1] * 89]}}, r"\[1\] is int, .* a list of int"),
        ({"payload": {"a b": [1] * N}, "format": "vespa"}, "letters, digits"),
        ({"ids": ["", *map(str, range(89))]}, "ids contains '', but ids have 1 to"),
        ({"ids": ["ž" * 257, *map(str, range(89))]}, "1 to 512 bytes"),
        ({"ids": ["a\n", *map(str, range(89))], "format": "vespa"}, "printable"),
        ({"format": "vespa", "name": "a b"}, "name must be letters"),
        ({"format": "solr"}, "format"),
        ({"signs": "both"}, "signs"),
    ],
)
def test_what_is_refused(codes, path, options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write_bulk(codes, path, **options)
    assert list(tmp_path.iterdir()) == []


def test_weights_out_of_range(codes, path, tmp_path):
    with pytest.raises(
        ValueError, match=r"values of up to \d+.*, for values below 2048"
    ):
        write_bulk(codes * 4096, path, format="vespa")
    assert list(tmp_path.iterdir()) == []


# Going on


@pytest.fixture
def write(codes, path):
    def write(path=path, codes=codes, **options):
        write_bulk(codes, path, **{"items_per_part": 25} | options)

    return write


@pytest.fixture
def expected(write, tmp_path):
    write(tmp_path / "expected")
    expected = texts(tmp_path / "expected")
    shutil.rmtree(tmp_path / "expected")
    return expected


def stop_after(n_parts):
    calls = []

    def stop(n_done, n_items):
        calls.append((n_done, n_items))
        if len(calls) == n_parts:
            raise KeyboardInterrupt

    return stop


@pytest.mark.parametrize("n_parts", [1, 2, 4])
def test_stopped_by_the_caller(write, path, unfinished, expected, n_parts, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write(on_part=stop_after(n_parts))
    assert not path.exists()
    times = {file.name: file.stat().st_mtime_ns for file in unfinished.glob("part-*")}
    assert len(times) == n_parts
    done = []
    write(on_part=lambda *given: done.append(given))
    assert done == [(25, N), (50, N), (75, N), (N, N)]
    assert texts(path) == expected
    for name, time in times.items():
        assert (path / name).stat().st_mtime_ns == time
    assert list(tmp_path.iterdir()) == [path]


def test_a_complete_export_is_left_alone(write, path):
    write()
    times = {file: file.stat().st_mtime_ns for file in path.iterdir()}
    write()
    assert times == {file: file.stat().st_mtime_ns for file in path.iterdir()}


@pytest.mark.parametrize("place", ["os.replace", "os.fsync"])
@pytest.mark.parametrize("call", range(1, 11))
def test_a_full_disk(write, path, expected, place, call, monkeypatch):
    """Wherever it stops, between a part and its line in the ledger included."""
    calls, function = [], getattr(os, place.removeprefix("os."))

    def full(*args):
        calls.append(args)
        if len(calls) == call:
            raise OSError(errno.ENOSPC, "No space left on device")
        return function(*args)

    with monkeypatch.context() as patched:
        patched.setattr(place, full)
        with pytest.raises(OSError, match="No space"):
            write()
    write()
    assert texts(path) == expected


@pytest.mark.parametrize("damage", ["part", "missing", "ledger", "schema"])
@pytest.mark.parametrize("complete", [True, False])
def test_what_is_damaged_is_written_again(
    write, path, unfinished, expected, damage, complete
):
    if complete:
        write()
    else:
        with pytest.raises(KeyboardInterrupt):
            write(on_part=stop_after(3))
    folder = path if complete else unfinished
    if damage == "part":
        part = folder / "part-00001.ndjson"
        part.write_bytes(part.read_bytes()[:-5])
    elif damage == "missing":
        (folder / "part-00001.ndjson").unlink()
    elif damage == "ledger":
        (folder / "_parts.json").write_text("[{")
    else:
        (folder / "index.json").unlink()
    write()
    assert texts(path) == expected


@pytest.mark.parametrize("complete", [True, False])
def test_nobody_goes_on_with_another_export(write, codes, path, unfinished, complete):
    options = {"ids": np.arange(N), "payload": {"a": [1] * N}}
    if complete:
        write(**options)
    else:
        with pytest.raises(KeyboardInterrupt):
            write(on_part=stop_after(2), **options)
    before = texts(path if complete else unfinished)
    others = {
        "codes": {"codes": codes * 2},
        "format": {"format": "opensearch"},
        "ids": {"ids": np.arange(N) + 1},
        "payload": {"payload": {"a": [2] * N}},
        "items_per_part": {"items_per_part": 24},
        "bytes_per_part": {"bytes_per_part": 10},
    }
    for name, change in others.items():
        with pytest.raises(ValueError, match=f"holds codes that differ .* in {name}. "):
            write(**options | change)
    assert texts(path if complete else unfinished) == before
    write(**options)


def test_something_else_is_there(write, path):
    path.mkdir()
    (path / "notes.txt").touch()
    with pytest.raises(FileExistsError, match="is no folder of codes"):
        write()
