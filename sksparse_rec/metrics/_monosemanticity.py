"""How clearly each neuron stands for one concept."""

import numpy as np
import scipy.sparse as sp
from sklearn import get_config
from sklearn.utils import Bunch, gen_batches

from sksparse_rec._optional import import_optional
from sksparse_rec._validation import (
    Integral,
    Interval,
    Real,
    check_length,
    validate_params,
)
from sksparse_rec.metrics._columns import first_duplicates
from sksparse_rec.metrics._concepts import MIN_LIFT, MIN_PRECISION, check_concepts
from sksparse_rec.metrics._judging import BYTES_PER_PAIR, Judgement, Rule, judge

COUNT = [Interval(Integral, 1, None, closed="left")]


class Monosemanticity(Bunch):
    """How clearly neurons stand for concepts: what ``monosemanticity`` returns.

    A `sklearn.utils.Bunch` of arrays with one entry a neuron, and of shares; ``print``
    shows the shares.

    Parameters
    ----------
    **kwargs : object
        The attributes below, by name.

    Attributes
    ----------
    best_concept : ndarray of shape (n_neurons,), int64
        The concept of the largest ``auc``, among those that the neuron is clearly about
        if there are any; -1 for a neuron that is dead or meets none.
    side : ndarray of shape (n_neurons,), int64
        Whether the concept is on the positive side of the neuron, 1, or on the
        negative one, -1; 0 without a concept.
    auc : ndarray of shape (n_neurons,), float64
        Area under the ROC curve of the neuron as a classifier of its best concept.
        1 is perfect, 0.5 is chance. NaN without a concept, as the next three.
    precision : ndarray of shape (n_neurons,), float64
        Part of the activation on that side that items of the best concept have.
    selectivity : ndarray of shape (n_neurons,), float64
        Mean activation of the best concept's items against that of the others, from
        -1 to 1, which means that only items of the concept are active.
    entropy : ndarray of shape (n_neurons,), float64
        Spread over the concepts, from 0, one concept only, to 1, all alike.
    n_active : ndarray of shape (n_neurons,), int64
        Items with an activation other than 0.
    is_dead : ndarray of shape (n_neurons,), bool
        Neurons without any.
    duplicate_of : ndarray of shape (n_neurons,), int64
        The first neuron with nearly the same activations, or -1.
    is_clear : ndarray of shape (n_neurons,), bool
        Neurons with a clear concept.
    clear_share, dead_share, duplicate_share : float
        Shares of all neurons.
    concept_names : ndarray of shape (n_concepts,), object
        What concepts are called.

    See Also
    --------
    monosemanticity : Makes it, and has the definitions.

    Examples
    --------
    >>> import numpy as np
    >>> from sksparse_rec.metrics import monosemanticity
    >>> X = np.array([[2.0, 0, 2], [3, 0, 3], [0, 1, 0], [0, 2, 0]])
    >>> result = monosemanticity(
    ...     X, ["tea", "tea", "milk", "milk"], min_items=2, min_active=2
    ... )
    >>> result
    3 neurons: 100.0 % clear, 0.0 % dead, 33.3 % duplicates
    """

    def __repr__(self):
        return (
            f"{len(self.auc)} neurons: {self.clear_share:.1%} clear, "
            f"{self.dead_share:.1%} dead, {self.duplicate_share:.1%} duplicates"
        ).replace("%", " %")

    def to_frame(self):
        """Return a table with a row for each neuron.

        Returns
        -------
        frame : pandas.DataFrame
            ``neuron``, ``concept`` (its name, None without one), ``side``, ``auc``,
            ``precision``, ``selectivity``, ``entropy``, ``n_active``, ``is_clear``,
            ``is_dead`` and ``duplicate_of``.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = import_optional("pandas", "Monosemanticity.to_frame", "data")
        names = np.append(self.concept_names, [None])[self.best_concept]
        fields = ("side", "auc", "precision", "selectivity", "entropy", "n_active")
        fields += ("is_clear", "is_dead", "duplicate_of")
        table = {"neuron": np.arange(len(names)), "concept": names}
        return pandas.DataFrame(table | {field: self[field] for field in fields})


@validate_params(
    {
        "activations": ["array-like", "sparse matrix"],
        "concepts": ["array-like", "sparse matrix"],
        "concept_names": ["array-like", None],
        "min_items": COUNT,
        "min_active": COUNT,
        "min_precision": [Interval(Real, 0, 1, closed="both")],
        "min_lift": [Interval(Real, 0, None, closed="left")],
        "min_cosine": [Interval(Real, 0, 1, closed="right")],
    },
    prefer_skip_nested_validation=True,
)
def monosemanticity(
    activations,
    concepts,
    *,
    concept_names=None,
    min_items=20,
    min_active=10,
    min_precision=MIN_PRECISION,
    min_lift=MIN_LIFT,
    min_cosine=0.99,
):
    r"""Measure how clearly each neuron stands for one concept.

    Use it to see whether latents mean something before you steer by them or show
    them, and compare with the dense latents of the base model and with random
    directions (``X @ rng.normal(size=(n_components, n))``), which go through the same
    function.

    Parameters
    ----------
    activations : {array-like, sparse matrix} of shape (n_items, n_neurons)
        Values of any sign; a neuron with both signs is judged on its better side.
    concepts : {array-like, sparse matrix, DataFrame} of shape (n_items, n_concepts)
        An item has a concept where its weight is above 0. Of shape (n_items,): the
        class of each item.
    concept_names : sequence of n_concepts str, default=None
        None takes the columns of a DataFrame where all are strings, the classes, or
        "concept0", "concept1".
    min_items : int, default=20
        Concepts with fewer items are left out, as are those that all items have. The
        best of hundreds of concepts looks good by chance if they are small: the AUC of
        n random items has a standard deviation of about :math:`\sqrt{1 / 12n}`.
    min_active : int, default=10
        Neurons that are active for fewer items, on the side that is judged, are not
        clear.
    min_precision : float, default=0.5
        Part of its activation that a clear neuron has for items of one concept.
    min_lift : float, default=2.0
        That part is also to be at least this many times the concept's part of all
        items, so that a concept of half of the items is no neuron's.
    min_cosine : float, default=0.99
        A neuron is a duplicate if the absolute cosine of its activations with those
        of a neuron before it is at least this.

    Returns
    -------
    Monosemanticity
        Arrays with an entry a neuron and shares of neurons; ``to_frame()`` is a table.

    Raises
    ------
    ValueError
        If an activation is NaN or infinite, a weight is negative, NaN or infinite,
        numbers of items differ, there are more or fewer names than concepts or two of
        the same, or if no concept has `min_items` items.

    See Also
    --------
    sksparse_rec.ConceptMap : Finds the neurons of a concept.

    Notes
    -----
    With activations :math:`x_i` of n items and :math:`I_c` the :math:`n_c` items of
    concept c,

    .. math::

        \mathrm{AUC}_c = \frac{\sum_{i \in I_c} r_i - n_c (n_c + 1) / 2}
                              {n_c (n - n_c)}

    with the ranks :math:`r_i` of all items, ties counted half, so that the many zeros
    of a sparse neuron are one block. For the negative side it is 1 - AUC. The best
    concept is that of the largest, among those with an item that is active on the
    side, and first among those that the neuron is clearly about; ties go to the
    concept with more items, then to the lower one. With the absolute activations
    :math:`a_i \ge 0` on its side and their means :math:`m_c` over the items of
    concepts and :math:`m_{\bar c}` over the others,

    .. math::

        \mathrm{selectivity} = \frac{m_c - m_{\bar c}}{m_c + m_{\bar c}}, \quad
        \mathrm{entropy} = -\frac{1}{\log C} \sum_{c=1}^C p_c \log p_c, \quad
        p_c = \frac{m_c}{\sum_d m_d}

    over the C concepts that are not left out. The means take chance out of the
    entropy: sums would be proportional to the sizes of concepts for a neuron that is
    active at random, and its entropy would be theirs, where it should be 1. Concepts
    that share items keep it above 0. It is NaN if C is 1.

    A neuron is clearly about a concept if a side that is active for `min_active` items
    has a precision, :math:`n_c m_c / \sum_i a_i`, of at least `min_precision` and of at
    least `min_lift` times :math:`n_c / n`. AUC is no part of that rule: it asks for a
    neuron that finds most items of a concept. A latent that is active for 2 % of the
    items cannot, however well it is understood, while random directions through dense
    latents, whose entropy is near 1, reach 0.8 for whatever splits the catalogue.

    Time: O(nnz × concepts of an item) and a sort of the activations, and O(sum over
    the items of squared active neurons) for the duplicates. Memory: a copy of the
    activations (12 to 16 bytes an entry, for dense ones too), and blocks of neurons
    that fit scikit-learn's ``working_memory``.

    References
    ----------
    "From Knots to Knobs: Towards Steerable Collaborative Filtering Using Sparse
    Autoencoders", arXiv:2601.11182.

    Examples
    --------
    >>> import numpy as np
    >>> from sksparse_rec.metrics import monosemanticity
    >>> X = np.array([[2.0, 0, 1], [3, 0, 0], [0, 1, 0], [0, 2, 1]])
    >>> y = np.array([[1, 0], [1, 0], [0, 1], [0, 1]])
    >>> result = monosemanticity(X, y, min_items=2, min_active=2)
    >>> result.auc
    array([1. , 1. , 0.5])
    >>> result.entropy
    array([0., 0., 1.])
    >>> result.clear_share
    0.6666666666666666
    """
    X = _columns(check_length(activations, None, "activations"))
    Y, names = check_concepts(concepts, concept_names, X.shape[0], "concepts")
    counts = np.bincount(Y.indices, minlength=Y.shape[1])
    judged = _judged_concepts(counts, min_items, X.shape[0])
    ones = sp.csr_array((np.ones(Y.nnz), Y.indices, Y.indptr), shape=Y.shape)
    has = sp.csr_array(ones.T)[judged]
    rule = Rule(min_precision, min_lift, min_active)
    found = [
        judge(X[:, block], has, counts[judged], rule) for block in _blocks(X, judged)
    ]
    best, *found = map(np.concatenate, zip(*found, strict=True))
    judgement = Judgement(np.append(judged, -1)[best], *found)
    n_active = np.diff(X.indptr).astype(np.int64)
    duplicate_of = first_duplicates(X, min_cosine)
    return Monosemanticity(
        **judgement._asdict(),
        n_active=n_active,
        is_dead=n_active == 0,
        duplicate_of=duplicate_of,
        clear_share=float(judgement.is_clear.mean()),
        dead_share=float(np.mean(n_active == 0)),
        duplicate_share=float(np.mean(duplicate_of >= 0)),
        concept_names=names,
    )


def _columns(X):
    """Return activations as columns, a copy without duplicates and zeros."""
    X = sp.csc_array(X, dtype=np.float64, copy=sp.issparse(X))
    X.sum_duplicates()
    X.eliminate_zeros()
    return X


def _judged_concepts(counts, min_items, n_items):
    """Return the concepts that are compared, those with more items first."""
    judged = np.flatnonzero((counts >= min_items) & (counts < n_items))
    if len(judged) == 0:
        raise ValueError(
            f"no concept has at least min_items={min_items} of the {n_items} items, "
            f"and not all: the largest has {counts.max(initial=0)}; lower min_items, "
            "or give more concepts"
        )
    return judged[np.argsort(-counts[judged], kind="stable")]


def _blocks(X, judged):
    limit = get_config()["working_memory"] * 2**20
    width = int(max(1, limit // (BYTES_PER_PAIR * len(judged))))
    return gen_batches(X.shape[1], width)
