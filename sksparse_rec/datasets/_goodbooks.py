"""Goodbooks-10k."""

from sksparse_rec._validation import validate_params
from sksparse_rec.datasets._base import load_description
from sksparse_rec.datasets._interactions import FILTER_CONSTRAINTS, load_interactions
from sksparse_rec.datasets._remote import (
    FETCH_CONSTRAINTS,
    RemoteFile,
    fetch_file,
    unpacked,
)

# The checksum is the one that the data set registry of the Ludwig project verifies.
ARCHIVE = RemoteFile(
    "goodbooks-10k.zip",
    "https://github.com/zygmuntz/goodbooks-10k/releases/download/v1.0/goodbooks-10k.zip",
    "261b97b56db61f3fb2ce5aadbb13704d30179fcc986c17ace665a0af9ed00731",
)
_MEMBERS = {"ratings.csv", "books.csv"}


@validate_params(
    {**FETCH_CONSTRAINTS, **FILTER_CONSTRAINTS}, prefer_skip_nested_validation=True
)
def fetch_goodbooks(
    *,
    data_home=None,
    download_if_missing=True,
    n_retries=3,
    delay=1.0,
    min_rating=None,
    min_user=1,
    min_item=1,
    binary=True,
):
    """Load the Goodbooks-10k ratings, downloading them if need be.

    Six million ratings (1 to 5 stars) of 10,000 books by 53,424 readers: dense
    enough for good models on one machine, and one of the sets of the compressed ELSA
    paper. Pass ``min_rating=4`` for its implicit feedback.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder to keep the archive in; see :func:`get_data_home` for the default.
    download_if_missing : bool, default=True
        Whether to download the archive where it is missing or damaged. With False
        that is an error, and no connection is made.
    n_retries : int, default=3
        Number of further attempts after a failed connection or a server's error.
    delay : float, default=1.0
        Seconds between attempts.
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
        returns. ``item_titles`` are the titles of the books; ``timestamps``,
        ``item_tags`` and ``tag_names`` are None. In addition,

        source : str
            The address that the data are from.

    Raises
    ------
    OSError
        If the archive cannot be downloaded, its checksum is wrong, or it is missing
        and ``download_if_missing=False``. Nothing is kept of a failed download.
    ValueError
        If no interaction is left after the filters.
    ImportError
        If the packages of the extra ``data`` are not installed.

    See Also
    --------
    fetch_movielens : Download a MovieLens release.
    load_interactions : Read files that are already on disk.

    Notes
    -----
    The archive is kept in `data_home`; reading it takes a few seconds and some 500 MB
    of memory. Its SHA-256 is compared on every call, and a damaged file
    is downloaded again. A download goes to a temporary name first, so that an
    interrupted one leaves nothing under the final name.

    References
    ----------
    Z. Zajac, "Goodbooks-10k: a new dataset for book recommendations", 2017,
    https://github.com/zygmuntz/goodbooks-10k (CC BY-SA 4.0)

    Examples
    --------
    >>> from sksparse_rec.datasets import fetch_goodbooks
    >>> books = fetch_goodbooks(min_rating=4)  # doctest: +SKIP
    """
    path = fetch_file(
        ARCHIVE,
        data_home=data_home,
        download_if_missing=download_if_missing,
        n_retries=n_retries,
        delay=delay,
    )
    with unpacked(path, _MEMBERS) as folder:
        data = load_interactions(
            folder,
            format="goodbooks",
            min_rating=min_rating,
            min_user=min_user,
            min_item=min_item,
            binary=binary,
        )
    data.DESCR = load_description("goodbooks") + "\n" + data.DESCR + "\n"
    data.source = ARCHIVE.url
    return data
