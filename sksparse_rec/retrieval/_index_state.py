"""The arrays of an index, and what they are made of."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from sksparse_rec._format import check_csr
from sksparse_rec._numerics import search as kernels
from sksparse_rec._validation import check_length
from sksparse_rec.retrieval._ids import Ids
from sksparse_rec.retrieval._items import bool_mask, is_mask_for_each, own_items
from sksparse_rec.retrieval._packed_ids import PackedIds
from sksparse_rec.retrieval._search import Searchable, ranks

ARRAYS = (
    "indptr",
    "columns",
    "values",
    "latent_lengths",
    "popularity",
    "rank",
    "ids",
    "id_order",
    "list_starts",
    "list_places",
    "list_values",
)


class State(NamedTuple):
    """All that an index knows, replaced as a whole.

    ``is_checked`` is False for arrays of a file that nobody has looked at.
    """

    items: Searchable
    ids: Ids | PackedIds | None
    popularity: np.ndarray | None
    is_checked: bool = True

    @property
    def n_items(self):
        """Number of items."""
        return self.items.rows.n_items

    def arrays(self):
        """Return the arrays by name, without those that are None."""
        items, lists = self.items, self.items.lists
        arrays = {
            "indptr": items.rows.indptr,
            "columns": items.rows.columns,
            "values": items.rows.values,
            "latent_lengths": items.lengths,
            "popularity": self.popularity,
            "rank": items.rank,
        }
        if self.ids is not None:
            arrays |= self.ids.arrays()
        if lists is not None:
            arrays |= {
                "list_starts": lists.starts,
                "list_places": lists.places,
                "list_values": lists.values,
            }
        return {name: array for name, array in arrays.items() if array is not None}

    def array(self, name):
        """Return an array by its name, or None."""
        if name == "ids":
            return None if self.ids is None else self.ids.values
        return self.arrays().get(name)

    def rows(self):
        """Return the items, of which others are made, checked if nobody has."""
        rows = self.items.rows
        if not self.is_checked:
            shape = rows.n_items, rows.n_components
            check_csr(rows.values, rows.columns, rows.indptr, shape, "the index")
        return rows

    def numbers(self):
        """Return what is to be known beside the arrays, by name."""
        rows, lists = self.items.rows, self.items.lists
        return {
            "n_components": rows.n_components,
            "peak": rows.peak,
            "norm": rows.norm,
            "width": rows.width,
            "list_block": None if lists is None else lists.block,
        }

    def own_ids(self):
        """Return the ids, which are positions where none were given."""
        if self.ids is not None:
            return self.ids
        positions = np.arange(self.n_items)
        return Ids(positions, positions)

    def ids_at(self, positions):
        """Return the ids at some positions; -1 is none of them."""
        if self.ids is None:
            return positions
        is_there = positions >= 0
        ids = self.ids.at(positions[is_there])
        missing = None if ids.dtype == object else -1
        found = np.full(positions.shape, missing, dtype=ids.dtype)
        found[is_there] = ids
        return found

    def positions_of(self, items, what):
        """Turn a list of ids into positions; masks and None stay what they are."""
        if self.ids is None or items is None or _is_mask(items):
            return items
        return self.ids.find(items, what)

    def excluded(self, items, n_queries, n_items):
        """Return what each query must not find as a mask."""
        if is_mask_for_each(items):
            return bool_mask(items, (n_queries, n_items), "exclude", "query")
        positions = self.own_ids().find(items, "exclude")
        check_count(positions, n_queries, "exclude", "queries")
        return own_items(positions, n_items)


def make_state(rows, ids, popularity, inverted):
    """Return the state of an index; O(nnz) time."""
    lists = kernels.make_lists(rows) if inverted and kernels.knows_lists() else None
    items = Searchable(rows, ranks(popularity), lists, learns=False)
    return State(items, ids, popularity)


def restore_state(arrays, numbers, is_checked=True):
    """Return the state that ``State.arrays`` and ``State.numbers`` describe.

    The arrays may be mapped from files: none of them is read.
    """
    lists, ids = None, None
    parts = (arrays[name] for name in ("indptr", "columns", "values"))
    facts = (numbers[name] for name in ("n_components", "peak", "norm", "width"))
    if "list_starts" in arrays:
        names = "list_starts", "list_places", "list_values"
        lists = kernels.Lists(numbers["list_block"], *(arrays[name] for name in names))
    if "ids" in arrays:
        ids = Ids(arrays["ids"], arrays["id_order"])
    elif "ids.text" in arrays:
        names = "ids.text", "ids.starts", "id_order"
        ids = PackedIds(*(arrays[name] for name in names))
    rows, lengths = kernels.Rows(*parts, *facts), arrays["latent_lengths"]
    items = Searchable(rows, arrays.get("rank"), lists, lengths, learns=False)
    return State(items, ids, arrays.get("popularity"), is_checked)


def compact_rows(rows, dtype, name, n_components=None):
    """Check embeddings and return them as ``kernels.Rows`` of a dtype.

    Raises
    ------
    ValueError
        For NaN or infinity, values out of the range of the dtype, or another width.
    """
    if n_components is None:
        # Of a matrix: anything else is refused by the check.
        n_components = int(np.prod(np.shape(rows)[1:]))
    X = check_length(rows, n_components, name, "n_components", least_rows=0)
    X = sp.csr_array(X, copy=True)
    X.sum_duplicates()
    limit = np.finfo(dtype).max
    too_large = np.abs(X.data) > limit
    if too_large.any():
        place = int(np.argmax(too_large))
        row = int(np.searchsorted(X.indptr, place, side="right")) - 1
        raise ValueError(
            f"{name}[{row}, {X.indices[place]}] is {X.data[place]}, out of the range "
            f"of {dtype}: scale the rows to unit length, or pass a wider dtype"
        )
    # scipy does not know float16.
    X.data = X.data.astype(dtype).astype(np.float32)
    X.eliminate_zeros()
    values = X.data.astype(dtype, copy=False)
    return kernels.make_rows(X.indptr, X.indices, values, X.shape[1])


def check_popularity(popularity, n_items):
    """Return popularity as float64, or None."""
    if popularity is None:
        return None
    popularity = np.asarray(popularity, dtype=np.float64)
    check_count(popularity, n_items, "popularity")
    if not np.isfinite(popularity).all():
        place = int(np.argmin(np.isfinite(popularity)))
        raise ValueError(
            f"popularity[{place}] is {popularity[place]}: give every item a number"
        )
    return popularity


def check_count(values, expected, name, of_what="rows"):
    """Raise unless there is one value for each."""
    if np.shape(values) != (expected,):
        raise ValueError(
            f"{name} has shape {np.shape(values)}, but there are {expected} {of_what}"
        )


def _is_mask(items):
    return is_mask_for_each(items) or np.asarray(items).dtype.kind == "b"
