"""Lists of items as the columns of a table."""

import numpy as np

from sksparse_rec._optional import import_optional
from sksparse_rec._sparse import places_in_rows, row_indices


class Columns:
    """Turns blocks of recommendations into tables with the ids of their owner.

    Parameters
    ----------
    user_ids, item_ids : Arrow array, or None
        None for positions.
    """

    def __init__(self, user_ids, item_ids):
        arrow = import_optional("pyarrow", "Parquet", "parquet")
        self.arrow, self.user_ids, self.item_ids = arrow, user_ids, item_ids
        self.fields = [
            ("user_id", arrow.int64() if user_ids is None else user_ids.type),
            ("item_id", arrow.int64() if item_ids is None else item_ids.type),
            ("rank", arrow.int32()),
            ("score", arrow.float64()),
        ]

    def table(self, rows, R, schema):
        """Return a table with a row for each recommendation, best first."""
        users = row_indices(R)
        ranks = (places_in_rows(R, users) + 1).astype(np.int32)
        columns = [self._users(users, rows), self._items(R.indices), ranks, R.data]
        return self.arrow.Table.from_arrays(
            [self.arrow.array(column) for column in columns], schema=schema
        )

    def _users(self, users, rows):
        if self.user_ids is None:
            return users + rows.start
        ids = self.user_ids.slice(rows.start, rows.stop - rows.start)
        if isinstance(ids, self.arrow.ChunkedArray):
            ids = ids.combine_chunks()
        return ids.take(self.arrow.array(users))

    def _items(self, items):
        if self.item_ids is None:
            return items.astype(np.int64)
        return self.item_ids.take(self.arrow.array(items))


def as_id_column(ids, length, what, of_what):
    """Return ids as an Arrow array, and None for None.

    Raises
    ------
    ValueError
        If there are more or fewer than ``length``, one is missing or there twice, or
        they are of several types.
    """
    if ids is None:
        return None
    arrow = import_optional("pyarrow", "Parquet", "parquet")
    try:
        column = _plain_column(arrow, ids)
        n_distinct = len(column.unique())
    except (arrow.ArrowException, TypeError) as error:
        raise ValueError(f"{what} cannot be a column: {error}") from error
    if len(column) != length:
        raise ValueError(f"{what} has {len(column)} ids, but {of_what} is {length}")
    is_missing = np.asarray(column.is_null(nan_is_null=True))
    if is_missing.any():
        place = int(np.argmax(is_missing))
        raise ValueError(f"{what}[{place}] is missing: give each an id")
    if n_distinct < length:
        _raise_repeated(column, what)
    return column


def _plain_column(arrow, ids):
    if not isinstance(ids, arrow.Array | arrow.ChunkedArray):
        ids = arrow.array(ids if hasattr(ids, "dtype") else list(ids), from_pandas=True)
    if arrow.types.is_dictionary(ids.type):
        ids = ids.cast(ids.type.value_type)
    return ids


def _raise_repeated(column, what):
    first = {}
    for position, value in enumerate(column.to_pylist()):
        if value in first:
            raise ValueError(
                f"{what}[{position}] is {value!r}, and so is {what}[{first[value]}]: "
                "ids must be distinct"
            )
        first[value] = position
