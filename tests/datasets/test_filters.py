"""What becomes of the rows: duplicates, thresholds, values, ids, titles."""

import sys
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from sklearn import config_context

from sksparse_rec.datasets import load_interactions


@pytest.fixture(params=[pd.DataFrame, pl.DataFrame, pa.table], ids=["pd", "pl", "pa"])
def make_frame(request):
    return request.param


LOG = {
    "user_id": ["b", "a", "b", "a", "c"],
    "item_id": [20, 10, 10, 20, 30],
    "rating": [4.0, 2.5, 5.0, 3.0, 1.0],
    "timestamp": [5, 4, 0, 2, 1],
    "title": ["Y", "X", "X", "Y", "Z"],
}


def test_every_library_of_dataframes(make_frame):
    loaded = load_interactions(make_frame(LOG), binary=False)
    assert loaded.user_ids.tolist() == ["a", "b", "c"]
    assert loaded.user_ids.dtype == object
    assert loaded.item_ids.dtype == np.int64
    np.testing.assert_array_equal(
        loaded.data.toarray(), [[2.5, 3, 0], [5, 4, 0], [0, 0, 1]]
    )
    assert loaded.data.dtype == np.float32
    assert loaded.item_titles.tolist() == ["X", "Y", "Z"]
    assert loaded.item_tags is None
    assert loaded.tag_names is None
    assert "5 rows read, 5 interactions of 3 users with 3 items" in loaded.DESCR


def test_timestamps_share_the_pattern_zeros_included(make_frame):
    loaded = load_interactions(make_frame(LOG))
    np.testing.assert_array_equal(loaded.timestamps.indices, loaded.data.indices)
    np.testing.assert_array_equal(loaded.timestamps.indptr, loaded.data.indptr)
    assert loaded.timestamps.data.tolist() == [4, 2, 0, 5, 1]
    assert loaded.timestamps.dtype == np.int64
    assert not np.shares_memory(loaded.timestamps.indices, loaded.data.indices)


def test_binary_gives_ones(make_frame):
    loaded = load_interactions(make_frame(LOG))
    assert loaded.data.data.tolist() == [1] * 5
    assert loaded.data.dtype == np.float32


def test_without_rating_and_timestamp(make_frame):
    log = {key: LOG[key] for key in ("user_id", "item_id")}
    loaded = load_interactions(make_frame(log))
    assert loaded.data.nnz == 5
    assert loaded.timestamps is None
    assert loaded.item_titles is None


def test_named_columns(make_frame):
    log = {"who": [1, 2], "user": [9, 9], "what": ["x", "y"], "stars": [3, 4]}
    loaded = load_interactions(
        make_frame(log), user="who", item="what", rating="stars", binary=False
    )
    assert loaded.user_ids.tolist() == [1, 2]
    assert loaded.data.toarray().tolist() == [[3, 0], [0, 4]]


def test_min_rating_keeps_equal_and_drops_what_is_empty():
    loaded = load_interactions(pd.DataFrame(LOG), min_rating=3)
    assert loaded.user_ids.tolist() == ["a", "b"]
    assert loaded.item_ids.tolist() == [10, 20]
    assert loaded.data.toarray().tolist() == [[0, 1], [1, 1]]
    assert loaded.item_titles.tolist() == ["X", "Y"]


def test_thresholds_hold_together():
    # Without item 4, user 3 has too few; without user 3, item 3 has too few.
    pairs = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 3), (3, 4), (1, 3)]
    log = pd.DataFrame(pairs, columns=["user", "item"])
    loaded = load_interactions(log, min_user=2, min_item=2)
    assert loaded.user_ids.tolist() == [1, 2]
    assert loaded.item_ids.tolist() == [1, 2]


def test_latest_of_duplicates_counts_before_min_rating():
    log = {"user": [1, 1, 1, 2], "item": [1, 1, 1, 1], "rating": [5, 2, 4, 3]}
    last = load_interactions(pd.DataFrame(log), binary=False)
    assert last.data.toarray().tolist() == [[4], [3]]
    log["timestamp"] = [10, 30, 20, 0]
    latest = load_interactions(pd.DataFrame(log), binary=False)
    assert latest.data.toarray().tolist() == [[2], [3]]
    assert latest.timestamps.data.tolist() == [30, 0]
    high = load_interactions(pd.DataFrame(log), min_rating=3)
    assert high.user_ids.tolist() == [2]


def test_equal_timestamps_take_the_last_row():
    log = {"user": [1, 1], "item": [1, 1], "rating": [1, 2], "timestamp": [7, 7]}
    loaded = load_interactions(pd.DataFrame(log), binary=False)
    assert loaded.data.toarray().tolist() == [[2]]


@pytest.mark.parametrize("dtype", ["int32", "uint16", "int64", "Int64", "float64"])
def test_numeric_ids_stay_numeric(dtype):
    log = pd.DataFrame({"user": pd.array([7, 5], dtype=dtype), "item": [1, 2]})
    loaded = load_interactions(log)
    assert loaded.user_ids.tolist() == [5, 7]
    assert loaded.user_ids.dtype == np.dtype(dtype.lower())


def test_min_rating_compares_in_the_precision_of_the_ratings():
    log = pd.DataFrame({"user": [1], "item": [1], "rating": [3.3]})
    assert load_interactions(log, min_rating=np.float64(3.3)).data.nnz == 1


def test_decimal_ratings():
    log = pl.DataFrame({"user": [1], "item": [1], "rating": [Decimal("4.5")]})
    assert load_interactions(log, binary=False).data.toarray() == [[4.5]]


def test_polars_categories_are_strings():
    log = pl.DataFrame({"user": ["b", "a"], "item": [1, 2]})
    log = log.with_columns(pl.col("user").cast(pl.Categorical))
    assert load_interactions(log).user_ids.tolist() == ["a", "b"]


def test_categories_are_strings():
    log = pd.DataFrame({"user": ["b", "a"], "item": [1, 2]}).astype(
        {"user": "category"}
    )
    assert load_interactions(log).user_ids.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    "times",
    [
        [date(1970, 1, 2), date(1970, 1, 3)],
        [datetime(1970, 1, 2), datetime(1970, 1, 3)],
        [datetime(1970, 1, 2, tzinfo=UTC), datetime(1970, 1, 3, tzinfo=UTC)],
    ],
)
def test_dates_become_seconds(times):
    log = pl.DataFrame({"user": [1, 2], "item": [1, 1], "timestamp": times})
    loaded = load_interactions(log)
    assert loaded.timestamps.data.tolist() == [86_400, 172_800]


def test_float_timestamps_stay():
    log = pd.DataFrame({"user": [1], "item": [1], "timestamp": [0.5]})
    assert load_interactions(log).timestamps.data.tolist() == [0.5]


def test_missing_titles_are_empty():
    log = pd.DataFrame({"user": [1, 2], "item": [1, 2], "title": ["A", None]})
    assert load_interactions(log).item_titles.tolist() == ["A", ""]


def test_numbers_as_text_are_read():
    log = pd.DataFrame({"user": [1], "item": [1], "rating": ["4.5"]})
    assert load_interactions(log, binary=False).data.toarray() == [[4.5]]


@pytest.mark.parametrize(
    ("interface", "kind"), [("sparray", sp.csr_array), ("spmatrix", sp.csr_matrix)]
)
def test_sparse_interface(interface, kind):
    with config_context(sparse_interface=interface):
        loaded = load_interactions(pd.DataFrame(LOG))
    assert type(loaded.data) is kind
    assert type(loaded.timestamps) is kind


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("user_id", None, r"row 1 of the DataFrame: the user \(column 'user_id'\) is"),
        ("item_id", None, "row 1 of the DataFrame: the item .* is missing"),
        ("rating", None, "row 1 of the DataFrame: the rating .* is missing"),
        ("timestamp", None, "row 1 of the DataFrame: the timestamp .* is missing"),
        ("user_id", "", "row 1 of the DataFrame: the id in column 'user_id' is empty"),
        ("rating", np.inf, "row 1 of the DataFrame: the rating .* infinity"),
    ],
)
def test_bad_values_are_located(make_frame, column, value, message):
    log = {key: list(values) for key, values in LOG.items()}
    log[column][1] = value
    with pytest.raises(ValueError, match=message):
        load_interactions(make_frame(log))


def test_nan_is_missing_in_polars():
    log = pl.DataFrame({"user": [1.0, float("nan")], "item": [1, 2]})
    with pytest.raises(ValueError, match="row 1 of the DataFrame: the user"):
        load_interactions(log)


@pytest.mark.parametrize("column", ["rating", "timestamp"])
def test_text_is_not_a_number(column):
    log = pd.DataFrame(LOG).astype({column: object})
    log.loc[2, column] = "five"
    with pytest.raises(ValueError, match="row 2 of the DataFrame: 'five' in column"):
        load_interactions(log)


def test_bytes_are_not_ids():
    log = pl.DataFrame({"user": [b"a"], "item": [1]})
    with pytest.raises(ValueError, match="not UTF-8 text"):
        load_interactions(log)


@pytest.mark.parametrize(
    ("columns", "parameters", "message"),
    [
        (["a", "item"], {}, r"no column known to be the user.*\['a', 'item'\]"),
        (["user", "b"], {}, r"no column known to be the item.*\['user', 'b'\]"),
        (["user", "item"], {"rating": "stars"}, "no column 'stars' for the rating"),
        (["user", "userId", "item"], {}, "2 columns for the user"),
        (["user", "item"], {"binary": False}, "no ratings, which binary=False needs"),
        (["user", "item"], {"min_rating": 1}, "no ratings, which min_rating needs"),
        (["user", "item"], {"min_user": 0}, "min_user"),
        (["user", "item"], {"format": "excel"}, "format"),
    ],
)
def test_bad_parameters(columns, parameters, message):
    log = pd.DataFrame({column: [1, 2] for column in columns})
    with pytest.raises(ValueError, match=message):
        load_interactions(log, **parameters)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"min_rating": 6}, "after min_rating=6; the highest rating is 5"),
        ({"min_user": 3}, "after min_user=3 and min_item=1"),
        ({"min_item": 9}, "after min_user=1 and min_item=9"),
    ],
)
def test_message_names_the_filter_that_drops_all(parameters, message):
    with pytest.raises(ValueError, match=message):
        load_interactions(pd.DataFrame(LOG), **parameters)


def test_empty_frame():
    with pytest.raises(ValueError, match="The DataFrame holds no interactions"):
        load_interactions(pd.DataFrame({"user": [], "item": []}))


@pytest.mark.parametrize("rating", [0, -1])
def test_ratings_must_be_positive_without_binary(rating):
    log = pd.DataFrame({"user": [1, 2], "item": [1, 1], "rating": [3, rating]})
    with pytest.raises(ValueError, match=f"row 1 .* the rating is {rating}"):
        load_interactions(log, binary=False)
    assert load_interactions(log, binary=False, min_rating=1).data.nnz == 1
    assert load_interactions(log).data.nnz == 2


@pytest.mark.parametrize("source", [3, None, [[1, 2]], pl.LazyFrame({"user": [1]})])
def test_neither_path_nor_frame(source):
    with pytest.raises(TypeError, match="path or an eager DataFrame"):
        load_interactions(source)


def test_missing_extra_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "narwhals", None)
    with pytest.raises(ImportError, match=r"pip install 'sksparse-rec\[data\]'"):
        load_interactions(pd.DataFrame(LOG))
