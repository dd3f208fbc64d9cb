"""`save_model` and `load_model`."""

import os

from sksparse_rec._format import PersistenceError, read_folder, write_folder
from sksparse_rec._validation import Integral, Interval, validate_params
from sksparse_rec.persistence._classes import CLASSES
from sksparse_rec.persistence._context import Reading, Writing
from sksparse_rec.persistence._parameters import read_object, write_object


@validate_params(
    {
        "model": "no_validation",
        "path": [str, os.PathLike],
        "overwrite": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def save_model(model, path, *, overwrite=False):
    """Write a model to a folder.

    Use it to move a model to another machine, another release of Python, numpy or
    this package, or to people who would not load your pickles: the folder holds
    arrays (safetensors) and JSON, and loading it runs no code of its own.

    Parameters
    ----------
    model : estimator or SparseIndex
        CompressedELSA, CompressedELSACV, CompresSAE, LatentSegments, ConceptMap or
        SteerableRecommender, fitted or not. The last may hold any of the first three,
        or a `sklearn.decomposition.TruncatedSVD`, also within a
        `sklearn.frozen.FrozenEstimator`.
    path : str or path-like
        The folder to make, ``model.elsa`` for instance; missing parents are made.
    overwrite : bool, default=False
        Replace the model that is there. Whoever loads it meanwhile, or after a crash
        in the middle, gets the old one or the new one. What is not a saved model is
        never replaced.

    Raises
    ------
    FileExistsError
        If there is something at `path` already, unless it is an empty folder, or a
        saved model and `overwrite` is True.
    PersistenceError
        If the model, or a model within it, is of another class, such as ``NMF`` or
        `TorchRecommender`; or if a parameter or an attribute has no place in the
        format: a callable ``scoring``, a splitter object as ``cv``, a ``RandomState``,
        callbacks. The message says what to do about it.

    See Also
    --------
    load_model : Read the folder.
    sksparse_rec.PersistenceError : What is raised, by both.

    Notes
    -----
    Everything is written that later calls need, the state of the optimizer included,
    so that ``partial_fit`` and ``warm_start`` go on as they would have; but not the
    interactions that `CompressedELSA.encode_items` remembers. Time is that of writing
    and hashing the arrays, about three times the embeddings for `CompressedELSA`;
    memory beside the model is O(n_items) where items have names. The format is
    described in the documentation, under "The format of saved models".

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sksparse_rec import CompressedELSA, load_model, save_model
    >>> from sksparse_rec.datasets import make_interactions
    >>> X = make_interactions(300, 100, 3000, random_state=0)
    >>> model = CompressedELSA(64, n_nonzero=8, max_iter=2, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "model.elsa"
    ...     save_model(model, path)
    ...     loaded = load_model(path)
    >>> bool((loaded.predict(X) == model.predict(X)).all())
    True
    """
    writing = Writing(CLASSES)
    node = write_object(model, "", writing)
    # What could not be read is not written.
    _check(node, writing.arrays)
    write_folder(
        path, node["class"], writing.arrays, node["content"], overwrite=overwrite
    )


@validate_params(
    {
        "path": [str, os.PathLike],
        "verify": ["boolean"],
        "max_bytes": [Interval(Integral, 0, None, closed="left"), None],
    },
    prefer_skip_nested_validation=True,
)
def load_model(path, *, verify=True, max_bytes=None):
    """Read a model that `save_model` wrote.

    Parameters
    ----------
    path : str or path-like
        The folder.
    verify : bool, default=True
        Whether to compare the SHA-256 of the arrays with the manifest, which takes
        about a second for each gigabyte. What arrays mean is checked anyway: shapes,
        dtypes, indices within their range, values that have to be finite.
    max_bytes : int, default=None
        The most that is read into memory. None is the memory of the machine.

    Returns
    -------
    object
        A model of the class that was saved, with the same parameters, fitted
        attributes and answers. What was trained on a GPU is loaded without one:
        fitted attributes are numpy and scipy; a parameter ``device="cuda"`` stays
        what it is.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    PersistenceError
        If it is no saved model, or damaged, incomplete, too large, of a version that
        this release does not know, or of a class that is not in the allow-list.

    See Also
    --------
    save_model : Write the folder.

    Notes
    -----
    Nothing in the folder is run: classes are looked up in a list, called with the
    saved parameters, and given the fitted attributes that the list has for them.
    Digests tell damage, not forgery: where somebody could change the whole folder,
    compare the SHA-256 of ``manifest.json``, which covers the rest, with one that you
    trust.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sksparse_rec import CompresSAE, load_model, save_model
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "unfitted"
    ...     save_model(CompresSAE(64, n_nonzero=8, random_state=0), path)
    ...     load_model(path)
    CompresSAE(n_components=64, n_nonzero=8, random_state=0)
    """
    folder = read_folder(path, verify=verify, max_bytes=max_bytes)
    node = {"class": folder.kind, "content": folder.content}
    try:
        return _check(node, folder.arrays)
    except PersistenceError as error:
        raise PersistenceError(f"{path} cannot be loaded: {error}") from None
    except RecursionError:
        # What the parser of JSON has let pass.
        raise PersistenceError(
            f"{path} cannot be loaded: its parameters are nested too deeply"
        ) from None


def _check(node, arrays):
    """Put a model together, which takes all arrays."""
    reading = Reading(CLASSES, dict(arrays))
    model = read_object(node, "", reading)
    if reading.arrays:
        name = sorted(reading.arrays)[0]
        raise PersistenceError(f"nothing needs the array {name!r:.200}")
    return model
