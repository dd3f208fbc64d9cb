"""Input checks, and the only door to scikit-learn's private modules.

Everything of scikit-learn whose import path has an underscore is imported here and
nowhere else, so that a new scikit-learn release touches one file.
"""

from contextlib import contextmanager
from numbers import Integral, Real

import numpy as np
import scipy.sparse as sp
from sklearn import get_config
from sklearn.base import _fit_context
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    StrOptions,
    validate_params,
)
from sklearn.utils._sparse import _align_api_if_sparse
from sklearn.utils.validation import (
    check_array,
    check_is_fitted,
    check_non_negative,
    validate_data,
)

from sksparse_rec._sparse import extremes, is_mapped

__all__ = [
    "HasMethods",
    "Integral",
    "Interval",
    "Real",
    "StrOptions",
    "as_row",
    "as_rows",
    "check_columns",
    "check_embeddings",
    "check_interactions",
    "check_length",
    "check_segments",
    "fit_context",
    "rolled_back_on_error",
    "to_sparse_interface",
    "validate_params",
]

fit_context = _fit_context

# Entries that are looked through at once for a bad value.
BLOCK_ENTRIES = 1 << 20

# What to do about NaN and infinity.
INTERACTION_ADVICE = (
    "A missing interaction is a zero: leave it out of the sparse matrix, or fill it "
    "with 0."
)
VECTOR_ADVICE = "Drop that row, or put a finite value in its place."


@contextmanager
def rolled_back_on_error(estimator):
    """Give an estimator its public fitted state back if the block raises.

    Ctrl-C in the middle of ``fit`` counts: ``fit`` itself sets its attributes last, but
    ``validate_data`` has recorded the new columns by then.
    """
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        # Attributes with an underscore in front are the callbacks', torn down later.
        for name in [name for name in vars(estimator) if not name.startswith("_")]:
            delattr(estimator, name)
        vars(estimator).update(before)
        raise


def to_sparse_interface(S):
    """Return ``S`` as the sparse flavour that ``sklearn.set_config`` asks for.

    Parameters
    ----------
    S : sparse matrix or array
        Any scipy sparse container.

    Returns
    -------
    S : sparse matrix or array
        ``*_array`` under ``sparse_interface="sparray"``, ``*_matrix`` otherwise.
    """
    return _align_api_if_sparse(S)


def check_interactions(X, *, estimator=None, reset=False, name="X", dtype=np.float32):
    """Check a matrix of interactions and return it as a canonical CSR array.

    Parameters
    ----------
    X : {array-like, sparse matrix, DataFrame} of shape (n_users, n_items)
        Interactions: non-negative, finite.
    estimator : estimator, default=None
        Checks the number and the names of the columns against the fitted ones, or
        records them with ``reset=True``. None checks the values only.
    reset : bool, default=False
        Whether this is ``fit``.
    name : str, default="X"
        How error messages call the argument.
    dtype : dtype, default=float32
        Of the values returned. Estimators convert memory-mapped values, whose range is
        checked all the same, when they read them.

    Returns
    -------
    X : csr_array of shape (n_users, n_items)
        Duplicates summed, explicit zeros removed, indices sorted; never the caller's
        own buffers where they had to change. With an estimator, a memory-mapped CSR
        matrix that is so already stays in its file, whatever its dtype.

    Raises
    ------
    ValueError
        If a value is negative, NaN or infinite, if the matrix is empty, if the
        number of columns is not the fitted one, or if a memory-mapped matrix would
        have to be changed and its copy is larger than the working memory.
    """
    X = _widened(X)
    whom = name if estimator is None else type(estimator).__name__
    options = {
        "accept_sparse": "csr",
        "dtype": "numeric",
        "ensure_all_finite": False,
        "accept_large_sparse": True,
    }
    if estimator is None:
        X = check_array(X, input_name=name, **options)
    else:
        X = validate_data(estimator, X, reset=reset, **options)
    low, high = extremes(_values(X))
    _check_finite(X, low, high, name)
    if low < 0:
        row, column, value = _locate(X, lambda values: values < 0)
        try:
            check_non_negative(X, whom)
        except ValueError as error:
            raise ValueError(
                f"{error}: {name}[{row}, {column}] is {value}. Interactions are "
                "counts, ratings or ones; drop negative entries, or map ratings to "
                "non-negative weights first."
            ) from None
    _check_range(X, low, high, dtype, name)
    if not sp.issparse(X):
        return sp.csr_array(X.astype(dtype, copy=False))
    if estimator is not None and is_mapped(X):
        if low > 0 and X.has_canonical_format:
            return _as_array(X)
        _check_copy_fits(X, name)
    X = sp.csr_array(X, dtype=dtype, copy=not X.has_canonical_format)
    X.sum_duplicates()
    if X.nnz and not np.all(X.data):
        X = X.copy()
        X.eliminate_zeros()
    return X


def check_embeddings(X, *, estimator, reset=False):
    """Check a table of vectors, which stays in its file where it is in one.

    Parameters
    ----------
    X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
        Finite values of any sign.
    estimator : estimator
        Its number and names of columns are compared, or recorded with ``reset``.
    reset : bool, default=False
        Whether this is ``fit``.

    Returns
    -------
    X : {ndarray, csr_array} of shape (n_samples, n_features)
        float32, float64 or, if dense, float16: the caller's own buffers where they are
        that.

    Raises
    ------
    ValueError
        If a value is NaN or infinite, if the table is empty, or if the number of
        columns is not the fitted one.
    """
    dtypes = [np.float64, np.float32]
    if not sp.issparse(X):
        # Which scipy only half knows.
        dtypes.append(np.float16)
    X = validate_data(
        estimator,
        _widened(X),
        reset=reset,
        accept_sparse="csr",
        dtype=dtypes,
        ensure_all_finite=False,
    )
    _check_finite(X, *extremes(_values(X)), "X", VECTOR_ADVICE)
    return sp.csr_array(X) if sp.issparse(X) else X


def as_rows(X):
    """Return a matrix or a table of which slices of rows cost no more than they hold.

    CSR matrices, arrays and DataFrames are returned as they are, their values unread.

    Raises
    ------
    ValueError
        If it is not two-dimensional.
    """
    if sp.issparse(X) and X.format != "csr":
        X = sp.csr_array(_widened(X))
    elif not hasattr(X, "shape"):
        X = np.asarray(X)
    return X if len(X.shape) == 2 else check_array(X)


def as_row(x):
    """Return a vector as a row; what has rows already keeps them."""
    if sp.issparse(x):
        return x.reshape((1, -1)) if x.ndim == 1 else x
    if hasattr(x, "columns"):
        return x
    return np.atleast_2d(np.asarray(x))


def check_columns(X, estimator):
    """Raise if the number or the names of columns are not the fitted ones.

    Nothing else is looked at: no value is read, and there may be no rows.
    """
    validate_data(estimator, X, reset=False, skip_check_array=True)


def check_length(Z, n_columns, name, meaning=None, least_rows=1):
    """Check a matrix of finite values with a given number of columns.

    Parameters
    ----------
    Z : {array-like, sparse matrix} of shape (n_rows, n_columns)
    n_columns : int or None
        What there must be; None takes any number.
    name, meaning : str
        How error messages call ``Z`` and ``n_columns``.
    least_rows : int, default=1
        Fewer rows are an error.

    Returns
    -------
    Z : csr_array or ndarray, float32 or float64

    Raises
    ------
    ValueError
        If the number of columns differs or a value is NaN or infinite.
    """
    Z = check_array(
        Z,
        accept_sparse="csr",
        dtype=[np.float64, np.float32],
        ensure_all_finite=False,
        ensure_min_samples=least_rows,
        input_name=name,
    )
    _check_finite(Z, *extremes(_values(Z)), name, VECTOR_ADVICE)
    if n_columns is not None and Z.shape[1] != n_columns:
        raise ValueError(
            f"{name} has {Z.shape[1]} columns, but {meaning} is {n_columns}"
        )
    return sp.csr_array(Z) if sp.issparse(Z) else Z


def check_segments(segments, n_components):
    """Raise if segments are not fitted, or on embeddings of another width."""
    check_is_fitted(segments, "pair_segments_")
    n_fitted = len(segments.pair_segments_) // 2
    if n_fitted != n_components:
        raise ValueError(
            f"segments were fitted on embeddings of {n_fitted} columns, but those of "
            f"this estimator have {n_components}: fit them on its item_embeddings_"
        )


def check_share(number, name):
    """Raise if something is no number from 0 to 1."""
    is_number = isinstance(number, Real) and not isinstance(number, bool)
    if not (is_number and 0 <= number <= 1):
        raise ValueError(f"{name} must be a number from 0 to 1, got {number!r}")


def _widened(X):
    """Return a matrix whose conversion to CSR, which sums duplicates, is exact."""
    narrow = sp.issparse(X) and X.format == "coo"
    if narrow and (X.dtype.kind in "biu" or X.dtype == np.float16):
        return X.astype(np.float64)
    return X


def _values(X):
    return X.data if sp.issparse(X) else X


def _as_array(X):
    """Return a canonical CSR matrix as an array that shares its buffers."""
    X = sp.csr_array(X)
    X.has_canonical_format = True
    return X


def _check_copy_fits(X, name):
    """Refuse to read a large memory-mapped matrix into memory only to tidy it."""
    limit = get_config()["working_memory"]
    size = (X.data.nbytes + X.indices.nbytes) / 2**20
    if size > limit:
        raise ValueError(
            f"{name} is memory-mapped, and its rows are not sorted, or have duplicates "
            f"or explicit zeros, so that training would need a copy of {size:.0f} MiB "
            f"in memory, more than the working memory of {limit} MiB: save it after "
            f"{name}.sum_duplicates() and {name}.eliminate_zeros(), or raise "
            "sklearn.set_config(working_memory=...)"
        )


def _check_finite(X, low, high, name, advice=INTERACTION_ADVICE):
    if X.dtype.kind != "f" or (np.isfinite(low) and np.isfinite(high)):
        return
    row, column, value = _locate(X, lambda values: ~np.isfinite(values))
    what = "NaN" if np.isnan(value) else "infinity"
    raise ValueError(
        f"Input {name} contains {what}: {name}[{row}, {column}] is {value}. {advice}"
    )


def _check_range(X, low, high, dtype, name):
    """Refuse values that ``dtype`` turns into infinity or zero."""
    if dtype is None or X.dtype.kind != "f" or np.dtype(dtype).kind != "f":
        return
    limits = np.finfo(dtype)
    if np.finfo(X.dtype).max <= limits.max:
        return
    if low >= limits.tiny and high <= limits.max:
        return

    def is_bad(values):
        return (values > limits.max) | ((values > 0) & (values < limits.tiny))

    bad = _locate(X, is_bad)
    if bad is not None:
        row, column, value = bad
        raise ValueError(
            f"{name}[{row}, {column}] is {value}, out of the range of "
            f"{np.dtype(dtype)}: divide {name} by its largest value"
        )


def _locate(X, is_bad):
    """Row, column and value of the first bad entry, None where there is none."""
    if not sp.issparse(X):
        step = max(1, BLOCK_ENTRIES // max(1, X.shape[1]))
        for start in range(0, len(X), step):
            rows, columns = np.nonzero(is_bad(X[start : start + step]))
            if len(rows):
                row, column = start + int(rows[0]), int(columns[0])
                return row, column, X[row, column].item()
        return None
    for start in range(0, len(X.data), BLOCK_ENTRIES):
        bad = np.flatnonzero(is_bad(X.data[start : start + BLOCK_ENTRIES]))
        if len(bad):
            position = start + int(bad[0])
            row = int(np.searchsorted(X.indptr, position, side="right")) - 1
            return row, int(X.indices[position]), X.data[position].item()
    return None
