"""Every file format, its detection and its broken files."""

import gzip

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sksparse_rec.datasets import load_interactions


@pytest.fixture
def write(tmp_path):
    """Write text (Latin-1 where it is not ASCII) to files of a folder."""

    def _write(encoding="utf-8", **files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", ".")
            path.write_bytes(text.encode(encoding))
        return tmp_path

    return _write


RATINGS_CSV = "userId,movieId,rating,timestamp\n1,10,4.0,100\n1,20,2.5,0\n2,10,5.0,7\n"
MOVIES_CSV = (
    "movieId,title,genres\n"
    '10,"Être, or not (1999)",Comedy|Drama\n'
    "20,Plain,(no genres listed)\n30,Unseen,War\n"
)


@pytest.mark.parametrize("where", ["folder", "file"])
@pytest.mark.parametrize("chosen", ["auto", "movielens-csv"])
def test_movielens_csv(write, where, chosen):
    folder = write(ratings__csv=RATINGS_CSV, movies__csv=MOVIES_CSV)
    source = folder if where == "folder" else str(folder / "ratings.csv")
    loaded = load_interactions(source, format=chosen, binary=False)
    assert loaded.user_ids.tolist() == [1, 2]
    assert loaded.item_ids.tolist() == [10, 20]
    assert loaded.user_ids.dtype.kind == "i"
    assert loaded.data.toarray().tolist() == [[4, 2.5], [5, 0]]
    assert loaded.timestamps.data.tolist() == [100, 0, 7]
    assert loaded.item_titles.tolist() == ["Être, or not (1999)", "Plain"]
    assert loaded.tag_names.tolist() == ["Comedy", "Drama"]
    assert loaded.item_tags.toarray().tolist() == [[1, 1], [0, 0]]
    assert loaded.item_tags.dtype == np.int8


def test_movielens_csv_without_movies(write):
    loaded = load_interactions(write(ratings__csv=RATINGS_CSV))
    assert loaded.item_titles is None
    assert loaded.item_tags is None


def test_explicit_csv_leaves_movies_alone(write):
    folder = write(ratings__csv=RATINGS_CSV, movies__csv=MOVIES_CSV)
    loaded = load_interactions(folder / "ratings.csv", format="csv")
    assert loaded.item_titles is None
    assert loaded.data.nnz == 3


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("chosen", ["auto", "movielens-dat"])
def test_movielens_dat(write, encoding, chosen):
    folder = write(
        encoding,
        ratings__dat="1::10::4::100\n1::20::3.5::0\r\n2::10::5::7\n",
        movies__dat="10::Æon: A::B (1999)::Action\n20::Plain::Action|War\n",
    )
    loaded = load_interactions(folder, format=chosen, binary=False)
    assert loaded.data.toarray().tolist() == [[4, 3.5], [5, 0]]
    assert loaded.timestamps.data.tolist() == [100, 0, 7]
    assert loaded.item_titles.tolist() == ["Æon: A::B (1999)", "Plain"]
    assert loaded.item_tags.toarray().tolist() == [[1, 0], [1, 1]]
    again = load_interactions(folder / "ratings.dat", format=chosen)
    assert again.item_titles.tolist() == loaded.item_titles.tolist()


@pytest.mark.parametrize("genres", [True, False])
@pytest.mark.parametrize("chosen", ["auto", "movielens-100k"])
def test_movielens_100k(write, genres, chosen):
    files = {
        "u__data": "1\t10\t4\t100\n1\t20\t2\t0\n2\t10\t5\t7\n",
        # NEL (0x85) in Latin-1 is no line break.
        "u__item": "10|Caf\xe9\x85|01-Jan-1995||url|0|1\n20|Plain|||url|1|1\n",
    }
    if genres:
        files["u__genre"] = "unknown|0\nAction|1\n\n"
    folder = write("latin-1", **files)
    loaded = load_interactions(folder, format=chosen, binary=False)
    assert load_interactions(folder / "u.data", format=chosen).data.nnz == 3
    assert loaded.data.toarray().tolist() == [[4, 2], [5, 0]]
    assert loaded.item_titles.tolist() == ["Caf\xe9\x85", "Plain"]
    if genres:
        assert loaded.tag_names.tolist() == ["Action", "unknown"]
        assert loaded.item_tags.toarray().tolist() == [[1, 0], [1, 1]]
    else:
        assert loaded.item_tags is None


@pytest.mark.parametrize("chosen", ["auto", "goodbooks"])
@pytest.mark.parametrize(
    "books",
    [
        'book_id,goodreads_book_id,title\n1,99,"Two\nlines"\n2,1,B\n',
        'id,book_id,title\n1,99,"Two\nlines"\n2,1,B\n',
    ],
)
def test_goodbooks(write, chosen, books):
    folder = write(
        ratings__csv="user_id,book_id,rating\n7,1,5\n8,2,3\n", books__csv=books
    )
    loaded = load_interactions(folder, format=chosen)
    assert loaded.user_ids.tolist() == [7, 8]
    assert loaded.item_titles.tolist() == ["Two\nlines", "B"]
    assert loaded.timestamps is None
    assert loaded.item_tags is None


NETFLIX = "8:\n5,3,1970-01-02\n6,4,1970-01-03\n9:\n10:\n5,1,2005-09-06\n"
TITLES = "8,2001,What, Me\xe9?\n10,NULL,Ten\n"


@pytest.mark.parametrize("chosen", ["auto", "netflix"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_netflix_combined(write, chosen, end):
    folder = write(
        "latin-1",
        combined_data_1__txt=NETFLIX.replace("\n", end),
        combined_data_2__txt="11:\n6,2,1970-01-01\n\n",
        movie_titles__csv=TITLES,
    )
    loaded = load_interactions(folder, format=chosen, binary=False)
    assert loaded.user_ids.tolist() == [5, 6]
    assert loaded.item_ids.tolist() == [8, 10, 11]
    assert loaded.data.toarray().tolist() == [[3, 1, 0], [4, 0, 2]]
    assert loaded.timestamps.data.tolist() == [86_400, 1_125_964_800, 172_800, 0]
    assert loaded.item_titles.tolist() == ["What, Me\xe9?", "Ten", ""]
    single = load_interactions(folder / "combined_data_1.txt", format=chosen)
    assert single.item_ids.tolist() == [8, 10]


@pytest.mark.parametrize("subfolder", ["", "training_set"])
def test_netflix_one_file_a_movie(tmp_path, subfolder):
    folder = tmp_path / subfolder
    folder.mkdir(exist_ok=True)
    (folder / "mv_0000001.txt").write_text("1:\n5,3,1970-01-02\n")
    (folder / "mv_0000002.txt").write_text("2:\n5,4,1970-01-02\n")
    (tmp_path / "movie_titles.txt").write_text("1,2000,One\n2,2000,Two\n")
    loaded = load_interactions(tmp_path)
    assert loaded.item_titles.tolist() == ["One", "Two"]
    assert loaded.data.nnz == 2


def test_netflix_blocks_carry_the_movie_on(write, monkeypatch):
    from pyarrow import csv

    small = csv.ReadOptions
    monkeypatch.setattr(
        csv, "ReadOptions", lambda **kw: small(**{**kw, "block_size": 32})
    )
    text = "1:\n" + "".join(f"{user},3,2000-01-01\n" for user in range(1, 50))
    loaded = load_interactions(write(combined_data_1__txt=text))
    assert loaded.data.shape == (49, 1)


@pytest.mark.parametrize(
    ("text", "line", "content"),
    [
        ("1:\n5,3,2000-01-01\n5,3\n", 3, "5,3"),
        ("1:\n5,three,2000-01-01\n", 2, "5,three"),
        ("1:\n5,3,2000-13-01\n", 2, "5,3,2000-13"),
        ("1:\n5,3,2000-01-01\n\nx:\n", 4, "x:"),
        ("5,3,2000-01-01\n1:\n", 1, "5,3"),
        ("1::\n5,3,2000-01-01\n", 1, "1::"),
    ],
)
def test_broken_netflix(write, text, line, content):
    folder = write(combined_data_1__txt=text)
    message = f"combined_data_1.txt, line {line}: '{content}"
    with pytest.raises(ValueError, match=message):
        load_interactions(folder, format="netflix")


@pytest.mark.parametrize("raw", [b"", b"1:\n5,3,\xff\n"])
def test_netflix_file_that_is_not_text(tmp_path, raw):
    path = tmp_path / "combined_data_1.txt"
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=r"combined_data_1\.txt is malformed"):
        load_interactions(path, format="netflix")


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(("suffix", "delimiter"), [("csv", ","), ("tsv", "\t")])
@pytest.mark.parametrize("chosen", ["auto", "explicit"])
def test_delimited(tmp_path, suffix, delimiter, compress, chosen):
    text = "user,item,title\n007,a,One\n8,NA,\n".replace(",", delimiter)
    path = tmp_path / f"log.{suffix}{'.gz' if compress else ''}"
    path.write_bytes(gzip.compress(text.encode()) if compress else text.encode())
    chosen = suffix if chosen == "explicit" else chosen
    loaded = load_interactions(path, format=chosen)
    assert loaded.user_ids.tolist() == ["007", "8"]
    # "NA" is an id like any other.
    assert loaded.item_ids.tolist() == ["NA", "a"]
    assert loaded.item_titles.tolist() == ["", "One"]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["7", "10", "0", "-3"], [-3, 0, 7, 10]),
        (["07", "7", "10"], ["07", "10", "7"]),
        (["00", "0"], ["0", "00"]),
        (["-07", "-7"], ["-07", "-7"]),
        (["0x1F", "31"], ["0x1F", "31"]),
        (["+7", "7"], ["+7", "7"]),
        (["1.10", "1.1"], ["1.1", "1.10"]),
        (["12345678901234567890", "12345678901234567891"], None),
        (["true", "TRUE"], ["TRUE", "true"]),
        (["2020-01-02", "2020-01-01"], ["2020-01-01", "2020-01-02"]),
    ],
)
@pytest.mark.parametrize("role", ["user", "item"])
def test_ids_are_integers_only_where_nothing_is_lost(tmp_path, role, ids, expected):
    path = tmp_path / "log.csv"
    other = {"user": "item", "item": "user"}[role]
    path.write_text(f"{role},{other},rating\n" + "".join(f"{i},5,1\n" for i in ids))
    loaded = load_interactions(path)
    assert loaded[f"{role}_ids"].tolist() == (ids if expected is None else expected)
    assert loaded[f"{other}_ids"].tolist() == [5]
    assert loaded.data.nnz == len(ids)


def test_one_id_with_a_zero_in_front_anywhere_in_a_large_file(tmp_path):
    path = tmp_path / "log.csv"
    # Several blocks of the reader.
    lines = [f"{user},1\n" for user in range(300_000)]
    path.write_text("".join(["user,item\n", *lines, "07,1\n"]))
    ids = load_interactions(path).user_ids
    assert len(ids) == 300_001
    assert {"7", "07"} <= set(ids)


def test_delimited_with_byte_order_mark_and_dates(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(
        "user,item,timestamp\na,x,1970-01-02\nb,x,1970-01-03\n", encoding="utf-8-sig"
    )
    loaded = load_interactions(path)
    assert loaded.timestamps.data.tolist() == [86_400, 172_800]


@pytest.mark.parametrize("chosen", ["auto", "parquet"])
@pytest.mark.parametrize("library", [pd, pl])
def test_parquet(tmp_path, library, chosen):
    frame = library.DataFrame({"u": ["b", "a"], "i": [1, 2], "rating": [3, 4]})
    path = tmp_path / "log.parquet"
    write = frame.to_parquet if library is pd else frame.write_parquet
    write(path)
    for source in (path, tmp_path):
        loaded = load_interactions(
            source, format=chosen, user="u", item="i", binary=False
        )
        assert loaded.user_ids.tolist() == ["a", "b"]
        assert loaded.data.toarray().tolist() == [[0, 4], [3, 0]]


def test_broken_parquet(tmp_path):
    path = tmp_path / "log.parquet"
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(ValueError, match=r"log\.parquet is not a sound Parquet file"):
        load_interactions(path)


def test_parquet_missing_value(tmp_path):
    path = tmp_path / "log.parquet"
    pl.DataFrame({"user": [1, None], "item": [1, 2]}).write_parquet(path)
    with pytest.raises(ValueError, match=r"row 1 of log\.parquet: the user"):
        load_interactions(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user,item\n1,2\n1,2,3\n", "log.csv, line 3 is malformed"),
        ("user,item\n1,2\n\n1\n", "log.csv, line 4 is malformed"),
        ("user,item\n1,2\n\n,3\n", r"log.csv, line 4: the user .* is missing"),
        ("user,item\na,2\n,3\n", "log.csv, line 3: the id in column 'user' is empty"),
        ('user,item,rating\n1,"2\n",3\n1,3,x\n', "log.csv, line 4: 'x' in column 'rat"),
        ("user,item,rating\n1,2,\n", "log.csv, line 2: the rating .* is missing"),
        ("a,b\n1,2\n", r"log.csv has no column .* its columns are \['a', 'b'\]"),
        ("user,item\n", "log.csv holds no interactions"),
        ("", "log.csv is malformed"),
    ],
)
def test_broken_delimited(tmp_path, text, message):
    path = tmp_path / "log.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_interactions(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user,item\n1,2\n1\n", "log.csv.gz is malformed"),
        ("user,item\n1,2\n,2\n", r"log.csv.gz, record 3: the user .* is missing"),
    ],
)
def test_broken_compressed(tmp_path, text, message):
    path = tmp_path / "log.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    with pytest.raises(ValueError, match=message):
        load_interactions(path)


def test_text_that_is_not_utf8(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes("user,item\nJos\xe9,2\n".encode("latin-1"))
    with pytest.raises(ValueError, match="not UTF-8"):
        load_interactions(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1::2::3::4\n1::2::3\n", "ratings.dat, line 2 is malformed"),
        ("1::2::3::4\n1::x::3::4\n", "ratings.dat, line 2: the id 'x' is not an int"),
        ("1::2::3::4\n1::2::y::4\n", "ratings.dat, line 2: 'y' in column 'rating'"),
    ],
)
def test_broken_dat(write, text, message):
    with pytest.raises(ValueError, match=message):
        load_interactions(write(ratings__dat=text))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"ratings__csv": RATINGS_CSV, "movies__csv": "movieId,title\n1,A\nx,B\n"},
            "movies.csv, line 3 is malformed: movieId is 'x'",
        ),
        (
            {"ratings__csv": RATINGS_CSV, "movies__csv": "id,name\n1,A\n"},
            r"movies.csv needs the columns movieId and title; it has \['id', 'name'\]",
        ),
        (
            {"ratings__dat": "1::2::3::4\n", "movies__dat": "1::A::B\n\n2::C\n"},
            "movies.dat, line 3 is malformed: '2::C'",
        ),
        (
            {"combined_data_1__txt": NETFLIX, "movie_titles__csv": "1,2000\n"},
            "movie_titles.csv, line 1 is malformed",
        ),
    ],
)
def test_broken_catalogue(write, files, message):
    with pytest.raises(ValueError, match=message):
        load_interactions(write(**files))


def test_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load_interactions(tmp_path / "nothing.csv")
    with pytest.raises(FileNotFoundError, match="holds none of"):
        load_interactions(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"holds no u\.data"):
        load_interactions(tmp_path, format="movielens-100k")
    with pytest.raises(IsADirectoryError, match="'csv' is a single file"):
        load_interactions(tmp_path, format="csv")


def test_columns_of_a_format_without_names(write):
    folder = write(ratings__dat="1::2::3::4\n")
    with pytest.raises(ValueError, match=r"no named columns; leave out \['user'\]"):
        load_interactions(folder, user="who")


def test_message_for_a_rating_that_is_not_positive_names_the_line(write):
    folder = write(ratings__csv=RATINGS_CSV.replace("2.5", "0.0"))
    with pytest.raises(ValueError, match=r"ratings\.csv, line 3: the rating is 0"):
        load_interactions(folder, binary=False)
