"""Whole files whose arrays and values are not those of a model."""

from saved_parts import edit, registry

HUGE = 1 << 40
POPULARITY = "item_popularity_"
ARRAYS, hostile, changed = registry()


@hostile("only the file knows an array 'unknown'")
def array_not_in_the_manifest(folder, saved):
    saved.put("unknown", "f", [1.0])
    del saved.file["arrays"]["unknown"]
    saved.write(folder)


@hostile("only the manifest knows an array 'unknown'")
def array_not_in_the_file(folder, saved):
    saved.file["arrays"]["unknown"] = {"dtype": "float32", "shape": [1]}
    saved.write(folder)


changed(
    "nothing needs the array 'unknown'",
    "array-extra",
    lambda saved: saved.put("unknown", "f", [1.0]),
)
changed(
    r"item_popularity_ has shape \(3, 2\), and should have",
    "dimensions",
    lambda saved: saved.put("item_popularity_", "q", [1] * 6, shape=[3, 2]),
)
changed(
    "is of float32 with indices of uint16 and int32, and should be",
    "indices-unsigned",
    lambda saved: saved.put(
        "item_embeddings_.indices", "H", saved.values("item_embeddings_.indices", "i")
    ),
)
changed(
    "the array 'item_embeddings_.indices' is missing",
    "array-missing",
    lambda saved: saved.drop("item_embeddings_.indices"),
)


EMBEDDINGS = "item_embeddings_"
for _name, _reason, _change in (
    ("indices-out-of-range", "index 4, out of range", ("indices", "i", {"_1": 4})),
    ("indices-negative", "index -1, out of range", ("indices", "i", {"_0": -1})),
    ("indices-far", "index 2147483647, out", ("indices", "i", {"_0": 2**31 - 1})),
    ("indptr-falls", "does not rise from 0 to", ("indptr", "i", {"_1": 9})),
    ("indptr-starts-late", "does not rise from 0 to", ("indptr", "i", {"_0": 1})),
    ("indptr-ends-late", "does not rise from 0 to", ("indptr", "i", {"_6": 10**6})),
    ("indptr-negative", "does not rise from 0 to", ("indptr", "i", {"_1": -5})),
    ("values-nan", "not finite", ("data", "f", {"_0": float("nan")})),
    ("values-infinite", "not finite", ("data", "f", {"_0": float("inf")})),
):
    _part, _format, _places = _change
    changed(_reason, _name, edit(f"{EMBEDDINGS}.{_part}", _format, **_places))


@hostile("the indices of row 0 of item_embeddings_ do not ascend")
def indices_swapped(folder, saved):
    values = saved.values(f"{EMBEDDINGS}.indices", "i")
    values[:2] = values[1::-1]
    saved.put(f"{EMBEDDINGS}.indices", "i", values)
    saved.write(folder)


@hostile("do not ascend")
def indices_repeated(folder, saved):
    values = saved.values(f"{EMBEDDINGS}.indices", "i")
    values[1] = values[0]
    saved.put(f"{EMBEDDINGS}.indices", "i", values)
    saved.write(folder)


def _shape(*shape):
    return lambda saved: saved.fitted[EMBEDDINGS].update(shape=list(shape))


COLUMNS = "_training_state.columns"
for _name, _reason, _change in (
    ("matrix-wide", "makes n_components 1099511627776, but", _shape(6, HUGE)),
    ("matrix-long", "makes n_items 7, but n_features_in_ makes it 6", _shape(7, 4)),
    ("matrix-negative", "makes n_items -6", _shape(-6, 4)),
    ("matrix-flat", "item_embeddings_ must be a matrix", _shape(24)),
    ("anchors-far", "anchors_ must be less than 6", edit("anchors_", "q", _0=6)),
    (
        "anchors-below",
        "anchors_ must be at least -1",
        edit("anchors_", "q", _0=-2),
    ),
    ("columns-far", f"{COLUMNS} must be less than 4", edit(COLUMNS, "i", _0=4)),
    ("columns-below", f"{COLUMNS} must be at least 0", edit(COLUMNS, "i", _0=-1)),
    (
        "popularity-short",
        "item_popularity_ makes n_items 5",
        lambda saved: saved.put(POPULARITY, "q", [1] * 5),
    ),
    (
        "popularity-float",
        "item_popularity_ has dtype float64, and should have int64",
        lambda saved: saved.put(POPULARITY, "d", [1.0] * 6),
    ),
    (
        "names-not-utf-8",
        "name 0 of feature_names_in_ is no valid UTF-8",
        edit("feature_names_in_.text", "B", _0=255),
    ),
    (
        "names-fall",
        "are not those of names",
        edit("feature_names_in_.starts", "q", _1=12),
    ),
    (
        "names-beyond",
        "are not those of names",
        edit("feature_names_in_.starts", "q", _6=10**9),
    ),
    (
        "n-items-huge",
        "makes n_items 6, but n_features_in_ makes it 1099511627776",
        lambda saved: saved.fitted.update(n_features_in_=HUGE),
    ),
    (
        "n-nonzero-huge",
        "n_nonzero_ must be at most 4",
        lambda saved: saved.fitted.update(n_nonzero_=HUGE),
    ),
    (
        "n-nonzero-text",
        "n_nonzero_ must be a whole number",
        lambda saved: saved.fitted.update(n_nonzero_="2"),
    ),
    (
        "array-in-json",
        "item_popularity_ must be an array, and is .1, 2.",
        lambda saved: saved.fitted.update(item_popularity_=[1, 2]),
    ),
    (
        "attribute-unknown",
        "__class__ has no place in the format",
        lambda saved: saved.fitted.update(__class__="os.system"),
    ),
    (
        "attribute-method",
        "recommend has no place in the format",
        lambda saved: saved.fitted.update(recommend="os.system"),
    ),
    (
        "attribute-missing",
        "anchors_ is missing",
        lambda saved: saved.fitted.pop("anchors_"),
    ),
    (
        "state-without-width",
        "_training_state.width is missing",
        lambda saved: saved.fitted["_training_state"].pop("width"),
    ),
    (
        "slopes-missing",
        "there are item_intercepts_, but no item_slopes_",
        lambda saved: saved.fitted.update(item_slopes_=None),
    ),
    (
        "parameter-unknown",
        "CompressedELSA has no parameter 'command'",
        lambda saved: saved.parameters.update(command="rm"),
    ),
    (
        "parameter-object",
        "random_state is no parameter",
        lambda saved: saved.parameters.update(random_state={"type": "pickle"}),
    ),
    (
        "parameter-class",
        "'system' is none of those",
        lambda saved: saved.parameters.update(
            random_state={"type": "model", "class": "system", "content": {}}
        ),
    ),
    (
        "parameter-array",
        "n_nonzero is no array of 'object'",
        lambda saved: saved.parameters.update(
            n_nonzero={"type": "ndarray", "dtype": "object", "value": [1]}
        ),
    ),
    (
        "parameter-array-text",
        "n_nonzero is no array of 'int64'",
        lambda saved: saved.parameters.update(
            n_nonzero={"type": "ndarray", "dtype": "int64", "value": ["x" * 99, "1"]}
        ),
    ),
    (
        "parameter-array-dtype",
        r"n_nonzero is no array of '\(2,i4'",
        lambda saved: saved.parameters.update(
            n_nonzero={"type": "ndarray", "dtype": "(2,i4", "value": [1]}
        ),
    ),
    (
        "settings-code",
        "_sklearn_output_config must be strings",
        lambda saved: saved.content["settings"].update(_sklearn_output_config=[1]),
    ),
    (
        "settings-unknown",
        "__reduce__ has no place",
        lambda saved: saved.content["settings"].update(__reduce__="os.system"),
    ),
):
    changed(_reason, _name, _change)


def _empty(shape):
    """Add an array of a shape without any entry."""

    def change(saved):
        bodies = saved.bodies()
        bodies["unknown"] = ("F32", shape, b"")
        saved.file["arrays"]["unknown"] = {"dtype": "float32", "shape": shape}
        saved.arrange(bodies)

    return change


for _name, _dimensions in (
    ("shape-overflows", [0, 1 << 62, 1 << 62]),
    ("shape-long", [0] * 70),
):
    changed("too large a one", _name, _empty(_dimensions))
