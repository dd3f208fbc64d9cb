"""An index as arrays and JSON, and what both must be before they are searched.

Two checks: of the form, which reads no array, and of the contents, which reads all.
After the first, searching is safe and answers may be nonsense; after the second the
index is one that its constructor makes.
"""

import math

import numpy as np

from sksparse_rec._format import (
    PersistenceError,
    check_csr,
    check_names,
    pack_names,
    unpack_names,
)
from sksparse_rec._numerics import search as kernels
from sksparse_rec._sparse import BLOCK_ENTRIES, extremes
from sksparse_rec.retrieval._ids import Ids
from sksparse_rec.retrieval._index_state import restore_state
from sksparse_rec.retrieval._packed_ids import PackedIds
from sksparse_rec.retrieval._search import ranks

NUMBERS = {
    "n_components": int,
    "peak": float,
    "norm": float,
    "width": int,
    "list_block": int,
    "inverted": bool,
}
ROWS = {"indptr", "columns", "values", "latent_lengths"}
# What is there as a whole or not at all.
OPTIONAL = (
    {"popularity", "rank"},
    {"ids", "id_order"},
    {"ids.text", "ids.starts", "id_order"},
    {"list_starts", "list_places", "list_values"},
)
DTYPES = {
    "indptr": "int64",
    "columns": "uint16 int32",
    "values": "float32 float16",
    "latent_lengths": "int64",
    "popularity": "float64",
    "rank": "int32",
    "ids": "int64",
    "ids.text": "uint8",
    "ids.starts": "int64",
    "id_order": "int64",
    "list_starts": "int32",
    "list_places": "uint16",
    "list_values": "float32 float16",
}


def take_apart(state, inverted):
    """Return the arrays of an index by name, and the rest for JSON."""
    ids = state.ids
    if isinstance(ids, Ids) and ids.values.dtype.kind == "U":
        ids = PackedIds(*pack_names(ids.values.tolist(), "ids"), ids.order)
    arrays = state._replace(ids=ids).arrays()
    content = state.numbers() | {"inverted": inverted}
    for name in ("peak", "norm"):
        content[name] = float(content[name])
    return arrays, content


def put_together(arrays, content, *, verify):
    """Return the state of an index, and whether it is inverted.

    Parameters
    ----------
    arrays : dict of str to ndarray
        In memory, or mapped.
    content : dict
    verify : bool
        Whether to read the arrays and check what they hold.

    Raises
    ------
    PersistenceError
        If they are none.
    """
    # Not as a subclass that knows its file.
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    _check_numbers(content)
    _check_form(arrays, content)
    state = restore_state(arrays, content, is_checked=verify)
    if verify:
        _check_contents(state)
    return state, content["inverted"]


def _check_numbers(content):
    if not isinstance(content, dict) or content.keys() != NUMBERS.keys():
        raise PersistenceError(
            f"an index has {', '.join(NUMBERS)}, and not {content!r:.200}"
        )
    for name, kind in NUMBERS.items():
        value = content[name]
        if name == "list_block" and value is None:
            continue
        # Of the numbers none is negative.
        is_right = type(value) is kind and 0 <= value < math.inf
        _expect(is_right, f"{name} must be {kind.__name__}, and is {value!r:.100}")


def _check_form(arrays, content):
    """Raise unless all arrays are there, in the dtypes and shapes that they need."""
    allowed = [part for part in OPTIONAL if part <= arrays.keys()]
    names = ROWS.union(*allowed)
    for wrong, what in (
        (arrays.keys() - names, "is none of an index, or not without others"),
        (names - arrays.keys(), "is missing"),
    ):
        _expect(not wrong, f"the array {min(wrong, default='')!r:.100} {what}")
    _expect(not {"ids", "ids.text"} <= names, "there are two arrays of ids")
    for name, array in arrays.items():
        _expect(
            array.dtype.name in DTYPES[name].split(),
            f"{name} is of {array.dtype}, and must be of {DTYPES[name]}",
        )
    _check_shapes(arrays, content)
    m, block = content["n_components"], content["list_block"]
    narrow = kernels.narrow_columns(arrays["columns"][:0], m).dtype
    _expect(
        arrays["columns"].dtype == narrow,
        f"columns is of {arrays['columns'].dtype}, and of {narrow} for {m} components",
    )
    _expect(content["width"] <= m, f"width is {content['width']}, above {m} components")
    if "list_values" in arrays:
        _expect(
            arrays["list_values"].dtype == arrays["values"].dtype,
            "list_values and values are of different types",
        )
    else:
        _expect(block is None, f"list_block is {block}, but there are no lists")


def _check_shapes(arrays, content):
    m, block = content["n_components"], content["list_block"]
    n_items, nnz = arrays["indptr"].size - 1, arrays["columns"].size
    _expect(m > 0 and n_items >= 0, f"there are {m} components and {n_items} items")
    by_item = ("popularity", "rank", "ids", "id_order")
    shapes = dict.fromkeys(by_item, (n_items,)) | {
        "indptr": (n_items + 1,),
        "columns": (nnz,),
        "values": (nnz,),
        "latent_lengths": (m,),
        "ids.text": (arrays.get("ids.text", np.empty(0)).size,),
        "ids.starts": (n_items + 1,),
        "list_places": (nnz,),
        "list_values": (nnz,),
    }
    if "list_starts" in arrays:
        is_right = block is not None and 0 < block <= kernels.LARGEST_LIST_BLOCK
        _expect(is_right, f"list_block is {block}")
        shapes["list_starts"] = (-(-n_items // block), m + 1)
    for name, array in arrays.items():
        _expect(
            array.shape == shapes[name],
            f"{name} has the shape {array.shape}, and should have {shapes[name]}",
        )


def _check_contents(state):
    """Raise unless the arrays hold what the constructor puts into them; O(nnz)."""
    items, rows = state.items, state.items.rows
    shape = rows.n_items, rows.n_components
    check_csr(rows.values, rows.columns, rows.indptr, shape, "item_embeddings")
    expected = kernels.make_rows(*rows[:4])
    for name in ("peak", "width", "norm"):
        value, right = getattr(rows, name), getattr(expected, name)
        # numpy may add up in another order elsewhere.
        _expect(
            math.isclose(value, right, rel_tol=1e-6 if name == "norm" else 0),
            f"{name} is {value}, and should be {right}",
        )
    _expect_same("latent_lengths", items.lengths, kernels.latent_lengths(rows))
    if state.popularity is not None:
        is_finite = np.isfinite(extremes(state.popularity)).all()
        _expect(is_finite, "popularity holds values that are not finite")
        _expect_same("rank", items.rank, ranks(state.popularity))
    if items.lists is not None:
        _check_lists(rows, items.lists)
    if state.ids is not None:
        _check_ids(state.ids.arrays())


def _check_lists(rows, lists):
    for b, entries, starts, places, values in kernels.blocks_of_lists(
        rows, lists.block
    ):
        _expect_same("list_starts", lists.starts[b], starts)
        _expect_same("list_places", lists.places[entries], places)
        _expect_same("list_values", lists.values[entries], values)


def _check_ids(arrays):
    order = arrays["id_order"]
    low, high = extremes(order)
    is_inside = len(order) == 0 or 0 <= low <= high < len(order)
    _expect(is_inside, f"id_order has positions from {low} to {high}")
    if "ids" in arrays:
        values = arrays["ids"]
    else:
        text, starts = arrays["ids.text"], arrays["ids.starts"]
        check_names(text, starts, "ids")
        values = unpack_names(text, starts, "ids")
    for first in range(0, len(order), BLOCK_ENTRIES):
        ordered = values[order[first : first + BLOCK_ENTRIES + 1]]
        # So every position is there, and every id only once.
        is_rising = np.all(ordered[1:] > ordered[:-1])
        _expect(is_rising, "ids are not distinct, or id_order is not their order")


def _expect_same(name, array, expected):
    _expect(
        np.array_equal(array, expected),
        f"{name} is not what follows from the other arrays",
    )


def _expect(is_right, message):
    if not is_right:
        raise PersistenceError(message)
