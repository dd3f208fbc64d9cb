"""How different the items of a list are."""

import numpy as np
import scipy.sparse as sp
from sklearn import get_config
from sklearn.preprocessing import normalize
from sklearn.utils import check_array, gen_batches

from sksparse_rec._sparse import normalize_rows, row_indices
from sksparse_rec._validation import validate_params
from sksparse_rec.metrics._matching import (
    LIST_CONSTRAINTS,
    MEAN_CONSTRAINTS,
    mean_over_users,
    read_lists,
)


@validate_params(
    {
        **LIST_CONSTRAINTS,
        **MEAN_CONSTRAINTS,
        "item_embeddings": ["array-like", "sparse matrix"],
    },
    prefer_skip_nested_validation=True,
)
def intra_list_diversity(
    y_pred, item_embeddings, k=100, *, per_user=False, sample_weight=None
):
    r"""One minus the mean cosine of the pairs of items in a list.

    Use it to see whether lists repeat one kind of item. Judge all models by the same
    embeddings, best of content and not of one of the models.

    Parameters
    ----------
    y_pred : {CSR matrix, array-like} of shape (n_users, n_items or n_places)
        What `recommend` returns, untouched: the stored entries of a row are its
        items, best first. Or integer item indices, best first, padded with -1.
    item_embeddings : {array-like, sparse matrix} of shape (n_items, n_components)
        One row an item, of any length; an empty row has a cosine of 0 with all.
    k : int, default=100
        Cut-off: places after the k-th are ignored. Choose the length of the list that
        users see.
    per_user : bool, default=False
        Return one value a user instead of the mean.
    sample_weight : array-like of shape (n_users,), default=None
        Weights of the users in the mean. Values of ``per_user`` are not weighted.

    Returns
    -------
    float or ndarray of shape (n_users,), float64
        Mean over the users with at least two recommendations, between 0 and 2 (at
        most 1 for non-negative embeddings), or every user's value with NaN for users
        with fewer.

    Raises
    ------
    ValueError
        If ``item_embeddings`` has another number of items, if no user has two
        recommendations and a mean is asked for, or if a list holds an item twice.

    See Also
    --------
    catalog_coverage : How much of the catalogue all lists together show.

    Notes
    -----
    With unit embeddings :math:`e_i` and :math:`n = |L_u|` items in the list of user u,

    .. math::

        \mathrm{ILD@}k(u) = 1 - \frac{1}{n(n-1)} \sum_{i \ne j \in L_u} e_i^\top e_j,
        \quad
        \sum_{i \ne j} e_i^\top e_j
        = \Big\|\sum_i e_i\Big\|^2 - \sum_i \|e_i\|^2,

    so no pair is ever formed: the cost is one sparse product of lists and embeddings,
    O(k · n_nonzero) a user, in blocks of users whose memory is bounded by
    ``sklearn.get_config()["working_memory"]``.

    References
    ----------
    Ziegler, McNee, Konstan and Lausen, "Improving recommendation lists through topic
    diversification", WWW 2005.

    Examples
    --------
    >>> import numpy as np
    >>> from sksparse_rec.metrics import intra_list_diversity
    >>> item_embeddings = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    >>> y_pred = np.array([[0, 1], [0, 2]])
    >>> intra_list_diversity(y_pred, item_embeddings, k=2, per_user=True)
    array([0., 1.])
    """
    E = _unit_rows(item_embeddings)
    lists = read_lists(y_pred, k, n_items=E.shape[0])
    lengths = np.bincount(lists.users, minlength=lists.n_users)
    cosines = _sum_of_cosines(lists, lengths, E)
    pairs = np.maximum(lengths * (lengths - 1), 1)
    values = np.where(lengths > 1, 1.0 - cosines / pairs, np.nan)
    if per_user:
        return values
    return mean_over_users(
        values, sample_weight=sample_weight, lacking="two recommendations"
    )


def _unit_rows(item_embeddings):
    E = check_array(
        item_embeddings,
        accept_sparse="csr",
        dtype=np.float64,
        input_name="item_embeddings",
    )
    if not sp.issparse(E):
        return normalize(E)
    E = sp.csr_array(E, copy=not E.has_canonical_format)
    E.sum_duplicates()
    return normalize_rows(E)


def _sum_of_cosines(lists, lengths, E):
    """Sum of the cosines of each user's ordered pairs of different items."""
    starts = np.concatenate(([0], np.cumsum(lengths)))
    chosen = sp.csr_array(
        (np.ones(len(lists.items)), lists.items, starts),
        shape=(lists.n_users, E.shape[0]),
    )
    # An embedding's squared length is 1, or 0 where the row is empty.
    lengths_squared = chosen @ _squared_norms(E)
    sums_squared = np.empty(lists.n_users)
    for block in gen_batches(lists.n_users, _block_size(lengths, E)):
        sums_squared[block] = _squared_norms(chosen[block] @ E)
    return sums_squared - lengths_squared


def _squared_norms(S):
    if sp.issparse(S):
        return np.bincount(row_indices(S), np.square(S.data), minlength=S.shape[0])
    return np.square(S).sum(axis=1)


def _block_size(lengths, E):
    """Users whose summed embeddings fit working memory, squares included."""
    width = E.shape[1]
    if sp.issparse(E):
        longest = lengths.max(initial=0) * np.diff(E.indptr).max(initial=0)
        width = min(width, int(longest))
    # A value and an index for each entry, twice.
    bytes_per_user = 32 * max(width, 1)
    return max(int(get_config()["working_memory"] * 2**20) // bytes_per_user, 1)
