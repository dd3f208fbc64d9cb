"""Recommendations to everybody as Parquet files."""

import os

from sksparse_rec._validation import Integral, Interval, validate_params
from sksparse_rec.export._columns import Columns, as_id_column
from sksparse_rec.export._digests import digest_of, digest_of_ids
from sksparse_rec.export._parquet_parts import ParquetParts
from sksparse_rec.models import CompresSAE, recommend_in_blocks

FORMAT = 1
REPEATING = ["user_id", "item_id", "rank"]


@validate_params(
    {
        "model": [object],
        "X": "no_validation",
        "path": [str, os.PathLike],
        "k": "no_validation",
        "user_ids": "no_validation",
        "item_ids": "no_validation",
        "allow": "no_validation",
        "deny": "no_validation",
        "users_per_part": [Interval(Integral, 1, None, closed="left")],
        "on_block": [callable, None],
        "options": [dict],
    },
    prefer_skip_nested_validation=True,
)
def recommend_to_parquet(
    model,
    X,
    path,
    k=10,
    *,
    user_ids=None,
    item_ids=None,
    allow=None,
    deny=None,
    users_per_part=20_000,
    on_block=None,
    **options,
):
    """Write recommendations to everybody to a folder of Parquet files.

    Use it for the nightly lists of millions of users. Memory is bounded, and a call
    that was killed goes on where it was when it is repeated.

    Parameters
    ----------
    model : CompressedELSA, CompressedELSACV or CompresSAE
        Fitted. Any estimator with such a `recommend` will do.
    X : {array-like, sparse matrix, DataFrame} of shape (n_users, n_columns)
        What `recommend` takes. It may be mapped from a file larger than memory, and
        may have no rows, which makes a table without any.
    path : str or path-like
        The folder to make; missing parents are made. It appears under this name when
        all is there. Until then the parts are beside it, in ``_<name>.unfinished``.
    k : int, default=10
        Length of the lists.
    user_ids : array-like of shape (n_users,), default=None
        Ids of the rows of `X`, distinct: integers, strings, anything that Arrow makes
        one column of. None takes the positions in `X`.
    item_ids : array-like of shape (n_items,), default=None
        Ids of the items likewise. None takes the names that the model was fitted with,
        or positions where it has none.
    allow, deny : array-like or sparse matrix, default=None
        As in `recommend`: for all users, or a mask with a row for each.
    users_per_part : int, default=20000
        Users in a file: also what is lost when a process is killed. Take fewer where
        recommending is slow, more where readers want few large files.
    on_block : callable, default=None
        Called with the number of users done and of all users after every block, and
        for every part found from an earlier call. What it raises ends the call.
    **options
        Passed on to `recommend`: ``exclude_seen=False``, ``space="reconstructed"``.

    Raises
    ------
    ValueError
        If the folder, complete or not, holds the recommendations of another model, of
        other data or parameters: the message says which differ. For ids that are
        missing or not distinct, and whatever `recommend` refuses.
    FileExistsError
        If there is something else at `path`.
    BlockingIOError
        If another process is writing this folder.
    OSError
        If the disk is full, for instance: complete parts stay. Make room and repeat
        the call.
    ImportError
        If pyarrow is missing, which the extra ``parquet`` installs.

    See Also
    --------
    sksparse_rec.recommend_in_blocks : The same for other destinations.

    Notes
    -----
    The table has a row for each recommendation: ``user_id``, ``item_id``, ``rank``
    (int32, from 1) and ``score`` (float64), in the order of `X` and best first. Users
    without candidates have no rows. Files are named ``part-00000.parquet`` and so on,
    compressed with zstd; beside them is ``_manifest.json``, which readers of folders
    skip.

    A file is written under a hidden name, and renamed when it is on the disk. Before
    anything else the model and all of `X` are read once, in pieces, for a digest, at
    about half a gigabyte per second, which is how a repeated call knows that nothing
    has changed; one that is complete does nothing more. Every file has the digest too,
    and what is missing or cut off is written again. Every part goes to the logger
    ``sksparse_rec`` at level INFO.

    Two processes do not share a folder: to use several machines, give each its rows of
    `X` and a folder of its own. Memory is that of `recommend_in_blocks` and of the ids.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from pyarrow import parquet
    >>> from sksparse_rec import CompressedELSA
    >>> from sksparse_rec.datasets import make_interactions
    >>> from sksparse_rec.export import recommend_to_parquet
    >>> X = make_interactions(1000, 100, 9000, random_state=0)
    >>> model = CompressedELSA(64, n_nonzero=8, max_iter=2, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "lists"
    ...     recommend_to_parquet(model, X, path, k=5, users_per_part=400)
    ...     [file.name for file in sorted(path.glob("*.parquet"))]
    ...     parquet.read_table(path).shape
    ['part-00000.parquet', 'part-00001.parquet', 'part-00002.parquet']
    (5000, 4)
    """
    blocks = recommend_in_blocks(model, X, k, allow=allow, deny=deny, **options)
    user_ids = as_id_column(user_ids, blocks.n_users, "user_ids", "the rows of X")
    if item_ids is None:
        item_ids = item_names(model)
    item_ids = as_id_column(item_ids, blocks.n_items, "item_ids", "the items")
    columns = Columns(user_ids, item_ids)

    def tables(rows, schema):
        for block, R in blocks.between(rows.start, rows.stop):
            yield block.stop, columns.table(block, R, schema)

    parts = ParquetParts(
        columns.fields,
        tables,
        n_rows=blocks.n_users,
        rows_per_part=int(users_per_part),
        what="recommendations",
        repeating=REPEATING,
        report=on_block,
    )
    parts.run(path, lambda: _describe(blocks, columns, parts.rows_per_part))


def _describe(blocks, columns, users_per_part):
    """Return everything that the files depend on."""
    return {
        "format": FORMAT,
        "model": digest_of(blocks.model),
        "X": digest_of(blocks.X),
        "k": blocks.k,
        "allow": digest_of(blocks.allow),
        "deny": digest_of(blocks.deny),
        "options": {
            name: value if isinstance(value, bool | str) else digest_of(value)
            for name, value in blocks.options.items()
        },
        "user_ids": _digest_of_ids(columns.user_ids),
        "item_ids": _digest_of_ids(columns.item_ids),
        "users_per_part": users_per_part,
    }


def item_names(model):
    """Return the names of items; those of CompresSAE are the features of vectors."""
    if isinstance(model, CompresSAE):
        return None
    return getattr(model, "feature_names_in_", None)


def _digest_of_ids(ids):
    return None if ids is None else digest_of_ids(ids)
