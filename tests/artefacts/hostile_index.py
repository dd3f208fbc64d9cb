"""Indexes whose arrays and numbers are not those of an index."""

from saved_parts import edit, registry

HUGE = 1 << 40
INDEX, hostile, changed = registry()


def _number(**numbers):
    return lambda saved: saved.content.update(numbers)


def _only(name):
    """Drop one array of those that are there together."""
    return lambda saved: saved.drop(name)


# What is seen without reading an array.
for _name, _reason, _change in (
    ("width-huge", "width is 1099511627776, above 8", _number(width=HUGE)),
    ("width-text", "width must be int", _number(width="4")),
    ("peak-negative", "peak must be float", _number(peak=-1.0)),
    ("components-fewer", r"latent_lengths has the shape", _number(n_components=7)),
    ("components-many", "latent_lengths has the", _number(n_components=HUGE)),
    ("block-0", "list_block is 0", _number(list_block=0)),
    ("block-huge", "list_block is 1099511627776", _number(list_block=HUGE)),
    ("block-missing", "list_block is None", _number(list_block=None)),
    ("block-other", "list_starts has the shape", _number(list_block=2)),
    ("number-unknown", "an index has n_components", _number(__reduce__="os.system")),
    ("columns-missing", "'columns' is missing", _only("columns")),
    ("rank-missing", "'popularity' is none of an index, or not", _only("rank")),
    ("places-missing", "'list_starts' is none of", _only("list_places")),
    ("text-missing", "'id_order' is none of", _only("ids.text")),
    (
        "array-unknown",
        "'unknown' is none of an index",
        lambda saved: saved.put("unknown", "f", [1.0]),
    ),
    (
        "two-kinds-of-ids",
        "there are two arrays of ids",
        lambda saved: saved.put("ids", "q", range(6)),
    ),
    ("rank-short", "rank has the shape", lambda saved: saved.put("rank", "i", [0])),
    (
        "columns-wide",
        "columns is of int32, and of uint16",
        lambda saved: saved.put("columns", "i", saved.values("columns", "H")),
    ),
    (
        "values-double",
        "values is of float64, and must be of float32 float16",
        lambda saved: saved.put("values", "d", saved.values("values", "f")),
    ),
):
    changed(_reason, f"index-form-{_name}", _change)

# What only those see who read the arrays: searches have to bear it.
FOLLOWS = "is not what follows from the other arrays"
for _name, _reason, _change in (
    ("columns-out-of-range", "index 65535, out", edit("columns", "H", _0=65535)),
    ("columns-fall", "of row 0 of .* do not ascend", edit("columns", "H", _1=0)),
    ("indptr-far", "does not rise from 0", edit("indptr", "q", _1=HUGE)),
    ("indptr-negative", "does not rise from 0", edit("indptr", "q", _2=-HUGE)),
    ("indptr-first", "does not rise from 0", edit("indptr", "q", _0=1 << 62)),
    ("values-nan", "not finite", edit("values", "f", _0=float("nan"))),
    ("values-larger", "peak is .* and should be", edit("values", "f", _0=1e30)),
    (
        "lengths",
        f"latent_lengths {FOLLOWS}",
        edit("latent_lengths", "q", _0=HUGE),
    ),
    (
        "starts-far",
        f"list_starts {FOLLOWS}",
        edit("list_starts", "i", _1=2**31 - 1),
    ),
    (
        "starts-negative",
        f"list_starts {FOLLOWS}",
        edit("list_starts", "i", _1=-9),
    ),
    ("places-far", f"list_places {FOLLOWS}", edit("list_places", "H", _0=65535)),
    ("list-values", f"list_values {FOLLOWS}", edit("list_values", "f", _0=5.0)),
    ("rank-far", f"rank {FOLLOWS}", edit("rank", "i", _0=2**31 - 1)),
    ("popularity", "popularity holds", edit("popularity", "d", _0=float("inf"))),
    ("order-far", "id_order has positions", edit("id_order", "q", _2=HUGE)),
    ("order-negative", "id_order has positions", edit("id_order", "q", _2=-1)),
    ("order-twice", "ids are not distinct", edit("id_order", "q", _0=1, _1=1)),
    ("ids-far", "are not those of names", edit("ids.starts", "q", _1=HUGE)),
    ("ids-no-text", "no valid UTF-8", edit("ids.text", "B", _0=0xFF)),
    ("width", "width is 1, and should", _number(width=1)),
    ("norm-small", "norm is 0.0, and should", _number(norm=0.0)),
):
    changed(_reason, f"index-contents-{_name}", _change)
