"""Matrices of items and concepts: what is taken, and what concepts are called."""

from collections import Counter

import numpy as np
import scipy.sparse as sp
from sklearn.utils import check_array

# A neuron is clearly about a concept whose items have this part of its activation,
MIN_PRECISION = 0.5
# and this many times what a neuron that is active at random would give them.
MIN_LIFT = 2.0
ADVICE = "Items that have a concept get a positive weight, such as 1, and the others 0."


def check_concepts(y, concept_names, n_items, name="y"):
    """Check which items have which concepts.

    Parameters
    ----------
    y : {array-like, sparse matrix, DataFrame} of shape (n_items, n_concepts)
        Weights of items in concepts; of shape (n_items,) the class of every item.
    concept_names : sequence of n_concepts str, default=None
        None takes the columns of a DataFrame where they are strings, classes as
        strings, or "concept0".
    n_items : int
        What there must be.
    name : str
        How error messages call ``y``.

    Returns
    -------
    concepts : csr_array of shape (n_items, n_concepts), float64
        Canonical, without explicit zeros; never the caller's own buffers.
    concept_names : ndarray of shape (n_concepts,), object
        Unique str.

    Raises
    ------
    ValueError
        If a weight is negative, NaN or infinite, if there are more or fewer rows than
        items or names than concepts, or if two concepts have the same name.
    """
    if not sp.issparse(y) and _n_dimensions(y, name) == 1:
        concepts, found = _classes(y, name)
    else:
        found = _string_columns(y)
        concepts = _weights(y, name)
    if concepts.shape[0] != n_items:
        raise ValueError(
            f"{name} has {concepts.shape[0]} rows, but there are {n_items} items: it "
            "must have one row an item, in the same order"
        )
    if isinstance(concept_names, str):
        raise ValueError(
            f"concept_names is the string {concept_names!r}, and must be a list of "
            "names, one a concept"
        )
    names = found if concept_names is None else list(concept_names)
    return concepts, _names(names, concepts.shape[1])


def _n_dimensions(y, name):
    try:
        n_dimensions = np.ndim(y)
    except ValueError as error:
        # Rows of unequal lengths.
        raise ValueError(
            f"{name} is neither a matrix of items and concepts nor one class an item: "
            "sklearn.preprocessing.MultiLabelBinarizer makes a matrix of lists of tags"
        ) from error
    if n_dimensions == 0:
        raise ValueError(
            f"{name} is {y!r}, and must be a matrix of items and concepts, or one "
            "class an item"
        )
    return n_dimensions


def _classes(y, name):
    y = check_array(y, ensure_2d=False, dtype=None, input_name=name)
    if y.dtype.kind == "O":
        missing = [item for item, label in enumerate(y) if label is None]
        if missing:
            raise ValueError(
                f"Input {name} contains None: {name}[{missing[0]}] has no class. Give "
                "a matrix, with a row of zeros for an item without concepts"
            )
    classes, codes = np.unique(y, return_inverse=True)
    shape = len(y), len(classes)
    ones = np.ones(len(y))
    concepts = sp.csr_array((ones, codes, np.arange(len(y) + 1)), shape=shape)
    return concepts, [str(label) for label in classes.tolist()]


def _string_columns(y):
    columns = list(getattr(y, "columns", ()))
    all_strings = columns and all(isinstance(column, str) for column in columns)
    return columns if all_strings else None


def _weights(y, name):
    y = check_array(
        y,
        accept_sparse="csr",
        dtype=np.float64,
        ensure_all_finite=False,
        input_name=name,
    )
    # A copy, as sums of duplicates and removed zeros are the caller's otherwise.
    concepts = sp.csr_array(y, copy=True)
    concepts.sum_duplicates()
    concepts.eliminate_zeros()
    bad = np.flatnonzero(~(np.isfinite(concepts.data) & (concepts.data > 0)))
    if len(bad):
        row = int(np.searchsorted(concepts.indptr, bad[0], side="right")) - 1
        column, value = int(concepts.indices[bad[0]]), float(concepts.data[bad[0]])
        is_nan = np.isnan(value)
        what = "NaN" if is_nan else "infinity" if value > 0 else "a negative value"
        raise ValueError(
            f"Input {name} contains {what}: {name}[{row}, {column}] is {value}. "
            f"{ADVICE}"
        )
    return concepts


def _names(names, n_concepts):
    if names is None:
        names = [f"concept{concept}" for concept in range(n_concepts)]
    if len(names) != n_concepts:
        raise ValueError(
            f"concept_names has {len(names)} names, but there are {n_concepts} "
            "concepts: it must have one name a column"
        )
    unique = np.empty(n_concepts, dtype=object)
    unique[:] = [str(name) for name in names]
    if len(set(unique)) < n_concepts:
        count = Counter(unique)
        place = next(i for i, name in enumerate(unique) if count[name] > 1)
        again = np.flatnonzero(unique == unique[place]).tolist()
        raise ValueError(
            f"concept {unique[place]!r} is there {len(again)} times, in the columns "
            f"{again}: merge these columns, or give them different names"
        )
    return unique
