"""The bundled data set: which packages Debian's source packages depend on."""

from importlib import resources

import numpy as np
from sklearn.utils import Bunch

from sksparse_rec.datasets._base import load_description, make_indicator


def load_debian():
    """Load the dependencies of the Debian 12 packages, a bundled real data set.

    Rows ("users") are source packages, columns ("items") the binary packages that
    they depend on: implicit feedback with popular and rare items, clear topics
    (programming languages, desktops, sciences), readable names and curated tags. Use
    it for examples, tests and first experiments; it needs no download.

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        data : CSR matrix of shape (11426, 4205), float32
            Ones where the source package depends on the binary package; 126,648 of
            them. A ``csr_array`` or ``csr_matrix``, as ``sklearn.set_config`` asks.
        timestamps : None
            There are none.
        user_ids : ndarray of shape (11426,), object
            Names of the source packages, ascending.
        item_ids : ndarray of shape (4205,), object
            Names of the binary packages, ascending.
        item_titles : None
            There are none; the names speak for themselves.
        item_sections : ndarray of shape (4205,), object
            Section of the archive, such as "python" or "libs".
        item_tags : CSR matrix of shape (4205, 425), int8
            Ones where the binary package carries the debtag. 2,988 have at least one.
        tag_names : ndarray of shape (425,), object
            Names of the debtags, such as "devel::lang:python".
        DESCR : str
            The full description.

    See Also
    --------
    load_interactions : Read your own interactions.
    make_interactions : Generate interactions with planted clusters.

    Notes
    -----
    Loading takes about 20 ms and 3 MB.

    References
    ----------
    Debian 12 "bookworm", package index of main/binary-amd64, release 12.15,
    https://www.debian.org/distrib/packages

    Examples
    --------
    >>> from sksparse_rec.datasets import load_debian
    >>> debian = load_debian()
    >>> debian.data.shape
    (11426, 4205)
    >>> row = list(debian.user_ids).index("gimp")
    >>> print(*debian.item_ids[debian.data[[row]].indices][:3])
    ghostscript graphviz gvfs-backends
    """
    path = resources.files("sksparse_rec.datasets") / "data" / "debian.npz"
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        names = {
            key: arrays[key].astype(str).astype(object)
            for key in ("user_ids", "item_ids", "item_sections", "tag_names")
        }
        data = make_indicator(
            arrays["row_lengths"],
            arrays["indices"],
            names["item_ids"].size,
            np.float32,
        )
        item_tags = make_indicator(
            arrays["tag_row_lengths"],
            arrays["tag_indices"],
            names["tag_names"].size,
            np.int8,
        )
    return Bunch(
        data=data,
        timestamps=None,
        item_titles=None,
        item_tags=item_tags,
        DESCR=load_description("debian"),
        **names,
    )
