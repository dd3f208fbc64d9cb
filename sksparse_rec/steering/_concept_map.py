"""ConceptMap: which neurons stand for which concepts."""

from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator

from sksparse_rec._sparse import keep_top_per_row, normalize_rows
from sksparse_rec._validation import (
    Integral,
    Interval,
    StrOptions,
    check_embeddings,
    fit_context,
    rolled_back_on_error,
)
from sksparse_rec.metrics._concepts import check_concepts
from sksparse_rec.models._base import DocumentationLinkMixin
from sksparse_rec.steering._concept_names import name_neurons, spoken_concepts
from sksparse_rec.steering._concept_queries import ConceptQueriesMixin
from sksparse_rec.steering._concept_scores import METHODS, score_sides
from sksparse_rec.steering._sides import join_sides, split_sides


class ConceptMap(ConceptQueriesMixin, DocumentationLinkMixin, BaseEstimator):
    r"""Neurons that stand for concepts, found from items that have the concepts.

    A neuron is a latent of a sparse model, and a concept is what people have a word
    for: a tag, a genre, an author, a section. The map says how strongly they belong
    together, from the activations of items and a matrix of their concepts. Use it to
    steer recommendations by words, to name latents and segments, and to look up what
    a latent is about. Nothing is trained.

    Parameters
    ----------
    method : str, default="correlation"
        How a neuron is scored for a concept: "mean", "specificity", "correlation",
        "mutual_information" or "probe". "mean" is the mean activation of the
        concept's items: simple, but neurons that fire for everything come first.
        "specificity" multiplies it by the logarithm of its ratio to the mean of all
        items, as TF-IDF does. "correlation" and "mutual_information" do not depend on
        the scale of a neuron; the latter sees only whether a neuron is active and
        suits sparse activations only. "probe" fits a sparse linear model of the
        concept: neurons that complement each other, at the price of time. Of those
        measured, "correlation" steers best on most data.
    n_neurons : int, default=16
        Neurons with a weight for each concept, those of the largest scores. 1 is one
        neuron a concept, which is easier to explain and steers less well: a concept
        is often shared by several. 8 to 32 are good values.

    Attributes
    ----------
    scores_ : csr_array of shape (n_concepts, n_neurons), float64
        How strongly concept and neuron belong together. The sign says on which side of
        the neuron the items of the concept are: positive for activations without
        negative values. Nothing is stored where they never meet, or meet less than by
        chance ("mean" knows no chance).
    weights_ : csr_array of shape (n_concepts, n_neurons), float64
        The `n_neurons` largest scores of each concept, scaled to unit length. Empty
        for a concept without items or without neurons.
    concept_names_ : ndarray of shape (n_concepts,), object
        Unique str.
    concept_counts_ : ndarray of shape (n_concepts,), int64
        Items of each concept.
    neuron_names_ : ndarray of shape (n_neurons,), object
        Unique names: the concept that a neuron speaks for, "comedy", "comedy (2)",
        the neuron with the largest score first, "not comedy" where it is its negative
        side, and "neuron 17" for a neuron without a clear concept; see Notes.
    neuron_concepts_ : ndarray of shape (n_neurons, 2), int64
        The concept that the positive and the negative side of a neuron speak for, -1
        for none.
    n_features_in_ : int
        Number of neurons.
    feature_names_in_ : ndarray of shape (n_neurons,)
        Where ``X`` was a DataFrame with string columns.

    See Also
    --------
    sksparse_rec.metrics.monosemanticity : How clearly neurons are about one concept.
    LatentSegments : Takes ``name_segment`` as its ``namer``.

    Notes
    -----
    Each side of a neuron, its positive and its negative activations, is scored as a
    neuron of its own, and the larger score is kept with the sign of its side. With
    weights :math:`y_{ci}` of items in concepts and activations :math:`x_{ij} \ge 0`
    of a side, :math:`m_{cj} = \sum_i y_{ci} x_{ij} / \sum_i y_{ci}` and the mean
    :math:`m_j` over all items, the scores are

    .. math::

        \text{mean: } m_{cj}, \quad
        \text{specificity: } m_{cj} \log \max\Big(1,
            \frac{m_{cj}}{m_j + 0.1\,\bar m}\Big), \quad
        \text{correlation: }
            \frac{\mathrm{cov}(y_c, x_j)}{\sigma(y_c)\,\sigma(x_j)},

    where :math:`\bar m` is the mean of the :math:`m_j` that are not zero; the mutual
    information, in nats, of having the concept and being active; and the positive
    coefficients of an orthogonal matching pursuit with `n_neurons` steps among the 128
    sides of the largest correlation, all standardised, with a ridge of 0.1.

    A side *speaks for* the concept of its largest score among those whose items have
    at least half of its activation, at least twice the part that they are of all
    items, and at least two items for which it is active.

    Ties go to the lower neuron, and among concepts to the one with more items, then to
    the lower one.

    It takes as long as the sparse product of concepts and activations, O(sum over the
    items of their concepts × active neurons), and the memory of ``scores_``; blocks of
    concepts keep the rest within scikit-learn's ``working_memory``. "probe" adds a fit
    among 128 neurons for each concept. Dense activations are taken too, as a sparse
    matrix with all their entries.

    References
    ----------
    "From Knots to Knobs: Towards Steerable Collaborative Filtering Using Sparse
    Autoencoders", arXiv:2601.11182.

    Examples
    --------
    >>> import numpy as np
    >>> from sksparse_rec import ConceptMap
    >>> X = np.array([[2.0, 0, 1], [3, 0, 0], [0, 1, 0], [0, 2, 1]])
    >>> y = np.array([[1, 0], [1, 0], [0, 1], [0, 1]])
    >>> concept_map = ConceptMap().fit(X, y, concept_names=["tea", "coffee"])
    >>> concept_map.neurons_of("tea")
    (array([0]), array([0.96...]))
    >>> concept_map.neuron_names_
    array(['tea', 'coffee', 'neuron 2'], dtype=object)
    """

    _parameter_constraints: ClassVar[dict] = {
        "method": [StrOptions(set(METHODS))],
        "n_neurons": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, *, method="correlation", n_neurons=16):
        self.method = method
        self.n_neurons = n_neurons

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, concept_names=None):
        """Score all neurons for all concepts.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_items, n_neurons)
            Activations of items, of any sign, such as the ``item_embeddings_`` of a
            model or the codes of an autoencoder.
        y : {array-like, sparse matrix, DataFrame} of shape (n_items, n_concepts)
            Weights of items in concepts, 0 for items without; any that are not
            negative. Of shape (n_items,): the class of each item, one concept a class.
        concept_names : sequence of n_concepts str, default=None
            None takes the columns of a DataFrame where all are strings, the classes
            of a one-dimensional ``y``, or "concept0", "concept1".

        Returns
        -------
        self : ConceptMap
            The fitted estimator; as it was before if something fails.

        Raises
        ------
        ValueError
            If ``X`` is empty or has NaN or infinite values, if a weight in ``y`` is
            negative, NaN or infinite, if their numbers of rows differ, or if there
            are more or fewer names than concepts, or two of the same.
        """
        with rolled_back_on_error(self):
            X = _canonical(check_embeddings(X, estimator=self, reset=True))
            if y is None:
                raise ValueError(
                    "ConceptMap requires y to be passed, but the target y is None"
                )
            concepts, names = check_concepts(y, concept_names, X.shape[0])
            C, S = sp.csr_array(concepts.T), split_sides(X)
            sides = score_sides(C, S, self.method, self.n_neurons)
            spoken, best = spoken_concepts(C, S, sides)
            scores = join_sides(sides, X.shape[1])
            self.scores_ = scores
            self.weights_ = normalize_rows(keep_top_per_row(scores, self.n_neurons))
            self.concept_names_ = names
            self.concept_counts_ = np.diff(C.indptr).astype(np.int64)
            self.neuron_concepts_ = _by_neuron(spoken, X.shape[1], -1)
            best = _by_neuron(best, X.shape[1], 0)
            self.neuron_names_ = name_neurons(self.neuron_concepts_, best, names)
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.required = True
        tags.target_tags.two_d_labels = True
        tags.target_tags.multi_output = True
        tags.target_tags.positive_only = True
        return tags


def _canonical(X):
    """Return activations as CSR without duplicates and zeros, never edited in place."""
    if not sp.issparse(X):
        return sp.csr_array(np.asarray(X, dtype=np.float64))
    clean = X.has_canonical_format and np.all(X.data)
    X = sp.csr_array(X, dtype=np.float64, copy=not clean)
    X.sum_duplicates()
    X.eliminate_zeros()
    return X


def _by_neuron(sides, n_neurons, missing):
    """Return values of sides as a row of two for each neuron."""
    if len(sides) == 2 * n_neurons:
        return sides.reshape(n_neurons, 2)
    return np.column_stack([sides, np.full_like(sides, missing)])
