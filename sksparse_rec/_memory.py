"""What embeddings take: bytes and operations, dense, truncated and sparse."""

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils import Bunch

from sksparse_rec._validation import Integral, Interval, Real, validate_params

CATALOGUE_SIZES = 10 ** np.arange(6, 10)
# Without an estimator.
PLAN = {
    "n_items": 10**6,
    "list_imbalance": 1.0,
    "has_decoder": True,
}
COUNT = [Interval(Integral, 1, None, closed="left"), None]


class MemoryReport(Bunch):
    """What ``memory_report`` returns: a Bunch that prints as a table."""

    def __repr__(self):
        kinds = {
            "dense": f"{self.n_features} {self.dense_dtype}",
            "truncated": f"{self.n_truncated} {self.dtype}",
            "sparse": f"{_readable(self.n_nonzero)} {self.dtype}",
            "sparse_both": "",
        }
        first, *others = (f"{n_items:.3g}" for n_items in self.catalogue_sizes)
        rows = [["", "bytes", "compression", "operations", f"GB: {first}", *others]]
        for name, kind in kinds.items():
            numbers = [
                _readable(self.bytes_per_item[name]),
                f"{self.compression[name]:.3g}x",
                f"{self.operations[name]:.3g}",
                *map(_readable, self.gigabytes[name]),
            ]
            rows.append([f"{name} {kind}", *numbers])
        return "\n".join([*self._heading(), *_aligned(rows), *self._extras()])

    def _heading(self):
        yield (
            f"Sparse: {_readable(self.n_nonzero)} of {self.n_components} latents. "
            f"Dense: {self.dense_rival}."
        )
        yield f"Bytes of an item, operations of a query among {self.n_items:,} items:"

    def _extras(self):
        more = {name: _readable(n) for name, n in self.pointer_bytes_per_item.items()}
        yield (
            f"Pointers to rows of unequal lengths: {more['sparse']} more bytes of an "
            f"item, in both layouts {more['sparse_both']}."
        )
        if self.has_decoder:
            yield (
                f"Reconstructed space: {self.reconstruction_operations:.3g} more "
                f"operations, and {_readable(self.decoder_bytes / 1e6)} MB of decoder."
            )


@validate_params(
    {
        "n_items": COUNT,
        "n_features": COUNT,
        "n_components": COUNT,
        "n_nonzero": [Interval(Real, 0, None, closed="neither"), None],
        "truncated": COUNT,
    },
    prefer_skip_nested_validation=True,
)
def memory_report(
    estimator=None,
    *,
    n_items=None,
    n_features=None,
    n_components=None,
    n_nonzero=None,
    dtype="float16",
    dense_dtype="float32",
    truncated=None,
):
    r"""Memory and operations of dense, truncated and sparse embeddings.

    Use it before training to see what a catalogue will take, and after it with the
    fitted estimator, whose rows may have fewer non-zeros than asked for.

    Parameters
    ----------
    estimator : CompressedELSA, CompressedELSACV or CompresSAE, default=None
        A fitted estimator, or anything with its ``item_embeddings_``, which gives what
        the next four parameters leave open. None: those have to be given.
    n_items : int, default=None
        Size of the catalogue. None: that of the estimator, or one million without one.
    n_features : int, default=None
        Dimensions of the dense vectors to compare with. None: those that
        ``CompresSAE`` compresses, and for the others ``n_components``, as the rival of
        a compressed ELSA is a dense one of the same width.
    n_components : int, default=None
        Latents. Indices of up to 65,536 take 2 bytes, of more 4.
    n_nonzero : float, default=None
        Non-zeros of an item. None: the mean over the items of the estimator.
    dtype : dtype, default="float16"
        Of the values of sparse and truncated embeddings. Rankings hardly change from
        "float32" to "float16".
    dense_dtype : dtype, default="float32"
        Of the dense vectors, and of a decoder. With "float16" the comparison is one of
        dimensions alone.
    truncated : int, default=None
        Dimensions that are left of a dense vector which is cut, as Matryoshka
        embeddings are made for, or projected by PCA. None: as many as fit the bytes
        of a sparse one.

    Returns
    -------
    Bunch
        ``print`` shows it as a table. Dictionaries have the keys "dense",
        "truncated", "sparse" (rows of latents, CSR) and "sparse_both" (the same and
        its transpose, a list of items for every latent, CSC).

        bytes_per_item : dict of float
            Bytes of the values and indices of an item.
        compression : dict of float
            Bytes of a dense item divided by these.
        operations : dict of float
            Multiply-adds of the exact scores of one query with ``n_items`` items. The
            query of "sparse_both" is the code of an item, and only the lists of its
            latents are read; a profile with every latent takes those of "sparse".
        gigabytes : dict of ndarray of shape (n_sizes,)
            10⁹ bytes, of ``catalogue_sizes`` items.
        catalogue_sizes : ndarray of shape (n_sizes,), int64
            ``n_items`` and 10⁶, 10⁷, 10⁸ and 10⁹, ascending.
        pointer_bytes_per_item : dict of float
            Bytes of the row pointers of CSR, with those of CSC in "sparse_both", in
            addition to the above: rows of equal lengths need none.
        has_decoder : bool
            Whether the codes rebuild dense vectors, so that there is a reconstructed
            space to search.
        reconstruction_operations, decoder_bytes : float, or None without a decoder
            What that space takes beside "sparse": multiply-adds of a query, and bytes
            of the decoder, both whatever ``n_items``.
        list_imbalance : float
            How many times longer the lists that a query reads are than if all latents
            were used alike: 1 without an estimator.
        dense_rival : str
            What the dense vectors are, in words.
        n_truncated : int
            Dimensions of "truncated".
        n_items, n_features, n_components, n_nonzero, dtype, dense_dtype
            What was used.

    Raises
    ------
    ValueError
        If a number is missing or out of its range, or a dtype is not one of numbers.
    NotFittedError
        If the estimator has no embeddings yet.

    See Also
    --------
    sksparse_rec.CompressedELSACV : Takes a budget of bytes.

    Notes
    -----
    With values of v bytes and indices of b bytes, a sparse item takes

    .. math:: \mathrm{n\_nonzero} \times (v + b)

    bytes. Its columns are latents, b = 2 up to 65,536 of them and else 4; in the
    transpose they are items, so b = 4 between 65,537 and 2³² items. A query by the
    lists of its latents takes

    .. math:: \mathrm{list\_imbalance} \times
              \frac{\mathrm{n\_nonzero}^2}{\mathrm{n\_components}}
              \times \mathrm{n\_items}

    operations. These are bytes of storage: ``item_embeddings_`` itself holds float32
    values and int32 columns, 8 bytes a non-zero. O(nnz) time with an estimator.

    Examples
    --------
    >>> from sksparse_rec import memory_report
    >>> report = memory_report(n_features=384, n_components=4096, n_nonzero=32)
    >>> report.bytes_per_item["sparse"], report.compression["sparse"]
    (128, 12.0)
    >>> print(report)
    Sparse: 32 of 4096 latents. Dense: the vectors that the codes are made of.
    Bytes of an item, operations of a query among 1,000,000 items:
                          bytes  compression  operations  GB: 1e+06  1e+07  1e+08  1e+09
    dense 384 float32     1,536           1x    3.84e+08       1.54   15.4    154  1,536
    truncated 64 float16    128          12x     6.4e+07      0.128   1.28   12.8    128
    sparse 32 float16       128          12x     3.2e+07      0.128   1.28   12.8    128
    sparse_both             320         4.8x     2.5e+05       0.32    3.2     32    320
    Pointers to rows of unequal lengths: 4 more bytes of an item, in both layouts 4.02.
    Reconstructed space: 1.59e+06 more operations, and 6.29 MB of decoder.
    """
    given = {
        "n_items": n_items,
        "n_features": n_features,
        "n_components": n_components,
        "n_nonzero": n_nonzero,
    }
    # Python's numbers do not wrap around.
    given = {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in given.items()
        if value is not None
    }
    known = PLAN if estimator is None else _read(estimator)
    report = MemoryReport(
        **(known | given),
        dtype=_numeric_dtype("dtype", dtype),
        dense_dtype=_numeric_dtype("dense_dtype", dense_dtype),
    )
    _check(report, truncated)
    report.dense_rival = (
        "the vectors that the codes are made of"
        if report.has_decoder
        else f"a dense model of {report.n_features} components"
    )
    report.n_truncated = truncated or _n_fitting(report)
    report.bytes_per_item = _bytes_per_item(report, report.n_items)
    report.compression = {
        name: report.bytes_per_item["dense"] / size
        for name, size in report.bytes_per_item.items()
    }
    report.operations = _operations(report)
    report.catalogue_sizes = np.union1d(report.n_items, CATALOGUE_SIZES)
    report.gigabytes = _gigabytes(report)
    report.pointer_bytes_per_item = _pointer_bytes(report)
    report.update(_cost_of_reconstruction(report))
    return report


def _read(estimator):
    """Return what a fitted estimator knows of its embeddings."""
    whom = type(estimator).__name__
    A = getattr(estimator, "item_embeddings_", None)
    if A is None:
        raise NotFittedError(
            f"This {whom} instance has no item_embeddings_: fit it first, or give "
            "n_features, n_components and n_nonzero in place of it"
        )
    if A.nnz == 0:
        raise ValueError(
            f"item_embeddings_ of this {whom} instance has 0 non-zeros, so there is "
            "nothing to store: fit it on rows that are not zero"
        )
    n_items, n_components = A.shape
    lengths = np.bincount(A.indices, minlength=n_components)
    known = {
        "n_items": n_items,
        "n_features": n_components,
        "n_components": n_components,
        "n_nonzero": A.nnz / n_items,
        "list_imbalance": n_components * float(np.square(lengths / A.nnz).sum()),
        # Only CompresSAE makes its codes of dense vectors.
        "has_decoder": hasattr(estimator, "encoder_components_"),
    }
    if known["has_decoder"]:
        known["n_features"] = estimator.n_features_in_
    return known


def _check(report, truncated):
    needed = ("n_features", "n_components", "n_nonzero")
    missing = [name for name in needed if name not in report]
    if missing:
        raise ValueError(
            f"{', '.join(missing)} must be given, as there is no fitted estimator"
        )
    if report.n_nonzero > report.n_components:
        raise ValueError(
            f"n_nonzero={report.n_nonzero} is more than n_components="
            f"{report.n_components}: a row has at most as many non-zeros as latents"
        )
    if truncated is not None and truncated > report.n_features:
        raise ValueError(
            f"truncated={truncated} is more than n_features={report.n_features}: give "
            "the dimensions that are left of a dense vector"
        )


def _numeric_dtype(name, dtype):
    try:
        # numpy takes None for float64.
        known = None if dtype is None else np.dtype(dtype)
    except TypeError:
        known = None
    if known is None or known.kind not in "fiu":
        raise ValueError(
            f"{name}={dtype!r} is not a numpy dtype of real numbers: give 'float32', "
            "'float16' or 'int8', or one with as many bytes as what you store"
        )
    return known


def _bytes_per_nonzero(report, n_columns):
    index = next(size for size in (2, 4, 8) if n_columns <= 1 << 8 * size)
    return report.dtype.itemsize + index


def _n_fitting(report):
    """Dimensions of a dense vector that fit the bytes of a sparse one."""
    sparse = report.n_nonzero * _bytes_per_nonzero(report, report.n_components)
    return min(max(1, int(sparse // report.dtype.itemsize)), report.n_features)


def _bytes_per_item(report, n_items):
    rows = report.n_nonzero * _bytes_per_nonzero(report, report.n_components)
    # Its transpose stores items in place of latents.
    lists = report.n_nonzero * _bytes_per_nonzero(report, n_items)
    return {
        "dense": report.n_features * report.dense_dtype.itemsize,
        "truncated": report.n_truncated * report.dtype.itemsize,
        "sparse": rows,
        "sparse_both": rows + lists,
    }


def _operations(report):
    read = report.list_imbalance * report.n_nonzero**2 / report.n_components
    per_item = {
        "dense": report.n_features,
        "truncated": report.n_truncated,
        "sparse": report.n_nonzero,
        "sparse_both": read,
    }
    return {name: number * report.n_items for name, number in per_item.items()}


def _gigabytes(report):
    sizes = report.catalogue_sizes
    per_item = [_bytes_per_item(report, n_items) for n_items in sizes.tolist()]
    return {
        name: np.array([values[name] for values in per_item]) * sizes / 1e9
        for name in per_item[0]
    }


def _pointer_bytes(report):
    # scipy's are int32 as long as those count every entry.
    pointer = 4 if report.n_items * report.n_nonzero < 1 << 31 else 8
    lists = pointer * report.n_components / report.n_items
    return {"sparse": pointer, "sparse_both": pointer + lists}


def _cost_of_reconstruction(report):
    if not report.has_decoder:
        return {"reconstruction_operations": None, "decoder_bytes": None}
    decode = report.n_nonzero * report.n_features
    project = report.n_features * report.n_components
    return {
        "reconstruction_operations": decode + project,
        "decoder_bytes": project * report.dense_dtype.itemsize,
    }


def _readable(number):
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _aligned(rows):
    """Return the lines of a table whose first column is text."""
    text, *numbers = (max(map(len, column)) for column in zip(*rows, strict=True))
    form = "  ".join([f"{{:<{text}}}", *(f"{{:>{width}}}" for width in numbers)])
    return [form.format(*row) for row in rows]
