"""What every loader shares: data home, descriptions, optional imports, indicators."""

import os
from importlib import resources
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from sksparse_rec._optional import import_optional as import_extra
from sksparse_rec._validation import to_sparse_interface, validate_params


@validate_params(
    {"data_home": [str, os.PathLike, None]}, prefer_skip_nested_validation=True
)
def get_data_home(data_home=None):
    """Return the folder that downloads are kept in, and make it if need be.

    Use it to find out where the fetchers put their files, or to remove them.

    Parameters
    ----------
    data_home : str or path-like, default=None
        The folder; ``~`` stands for the home folder. None takes the environment
        variable ``SKSPARSE_REC_DATA_HOME``, or ``~/sksparse_rec_data`` where it is
        not set. Point it to a shared disk to download a data set only once.

    Returns
    -------
    str
        The path of the folder, which exists.

    Raises
    ------
    OSError
        If the folder cannot be made.

    See Also
    --------
    fetch_movielens : Download a MovieLens release.
    fetch_goodbooks : Download Goodbooks-10k.

    Notes
    -----
    Each archive is kept as it was downloaded; its checksum is compared on every use.

    Examples
    --------
    >>> import os, tempfile
    >>> from sksparse_rec.datasets import get_data_home
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     os.path.isdir(get_data_home(os.path.join(folder, "data")))
    True
    """
    if data_home is None:
        data_home = os.environ.get(
            "SKSPARSE_REC_DATA_HOME", os.path.join("~", "sksparse_rec_data")
        )
    folder = Path(data_home).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def load_description(name):
    """Return the text of ``descr/<name>.rst``."""
    folder = resources.files("sksparse_rec.datasets") / "descr"
    return (folder / f"{name}.rst").read_text(encoding="utf-8")


def import_optional(name, purpose):
    """Import a module of the extra ``data``, or say how to install it."""
    return import_extra(name, purpose, "data")


def make_indicator(row_lengths, indices, n_columns, dtype):
    """Return the CSR matrix of ones that has these column indices row after row."""
    indptr = np.zeros(len(row_lengths) + 1, dtype=np.int32)
    np.cumsum(row_lengths, out=indptr[1:])
    ones = np.ones(len(indices), dtype=dtype)
    return to_sparse_interface(
        sp.csr_array(
            (ones, np.asarray(indices, dtype=np.int32), indptr),
            shape=(len(row_lengths), n_columns),
        )
    )
