"""ConceptMap: which neurons stand for which concepts."""

import difflib
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from sksparse_rec._optional import import_optional
from sksparse_rec._sparse import (
    keep_top_per_row,
    look_up,
    normalize_rows,
    row_indices,
)
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
from sksparse_rec.steering._concept_scores import (
    METHODS,
    join_sides,
    score_sides,
    split_sides,
)


class ConceptMap(DocumentationLinkMixin, BaseEstimator):
    r"""Neurons that stand for concepts, found from items that have the concepts.

    A neuron is a latent of a sparse model, and a concept is what people have a word
    for: a tag, a genre, an author, a section. The map says how strongly they belong
    together, from the activations of items and a matrix of their concepts. Use it to
    steer recommendations by words, to name latents and segments, and to look up what
    a latent is about. Nothing is trained.

    Parameters
    ----------
    method : str, default="specificity"
        How a neuron is scored for a concept: "mean", "specificity", "correlation",
        "mutual_information" or "probe". "mean" is the mean activation of the
        concept's items: simple, but neurons that fire for everything come first.
        "specificity" multiplies it by the logarithm of its ratio to the mean of all
        items, as TF-IDF does, and is the best choice for steering. "correlation" and
        "mutual_information" do not depend on the scale of a neuron; the latter sees
        only whether a neuron is active and suits sparse activations only. "probe" fits
        a sparse linear model of the concept: neurons that complement each other, at
        the price of time.
    n_neurons : int, default=8
        Neurons with a weight for each concept, those of the largest scores. 1 is one
        neuron a concept; with more, a concept that several neurons share is covered
        as well. 4 to 16 are good values.

    Attributes
    ----------
    scores_ : csr_array of shape (n_concepts, n_features_in_), float64
        How strongly concept and neuron belong together. The sign says on which side of
        the neuron the items of the concept are: positive for activations without
        negative values. Nothing is stored where they never meet, or meet less than by
        chance ("mean" knows no chance).
    weights_ : csr_array of shape (n_concepts, n_features_in_), float64
        The `n_neurons` largest scores of each concept, scaled to unit length. Empty
        for a concept without items or without neurons.
    concept_names_ : ndarray of shape (n_concepts,), object
        Unique str.
    concept_counts_ : ndarray of shape (n_concepts,), int64
        Items of each concept.
    neuron_names_ : ndarray of shape (n_features_in_,), object
        Unique names: the concept that a neuron speaks for, "comedy", "comedy (2)",
        the neuron with the largest score first, "not comedy" where it is its negative
        side, and "neuron 17" for a neuron without a clear concept; see Notes.
    neuron_concepts_ : ndarray of shape (n_features_in_, 2), int64
        The concept that the positive and the negative side of a neuron speak for, -1
        for none.
    n_features_in_ : int
        Number of neurons.
    feature_names_in_ : ndarray of shape (n_features_in_,)
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
    (array([0]), array([1.5...]))
    >>> concept_map.neuron_names_
    array(['tea', 'coffee', 'neuron 2'], dtype=object)
    """

    _parameter_constraints: ClassVar[dict] = {
        "method": [StrOptions(set(METHODS))],
        "n_neurons": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, *, method="specificity", n_neurons=8):
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

    def position_of(self, concept):
        """Return the position of a concept.

        Parameters
        ----------
        concept : str or int
            A name, or a position, which is only checked.

        Returns
        -------
        position : int
            Row of ``scores_`` and ``weights_``.

        Raises
        ------
        ValueError
            If there is no such concept; the message has the most similar names.
        """
        check_is_fitted(self)
        n_concepts = len(self.concept_names_)
        if isinstance(concept, Integral) and not isinstance(concept, bool):
            if 0 <= concept < n_concepts:
                return int(concept)
            raise ValueError(
                f"there is no concept {concept}: positions go from 0 to "
                f"{n_concepts - 1}"
            )
        found = np.flatnonzero(self.concept_names_ == concept)
        if len(found):
            return int(found[0])
        names = self.concept_names_.tolist()
        close = difflib.get_close_matches(str(concept), names)
        known = close or names[:3]
        listed = ", ".join(map(repr, known))
        hint = f"did you mean {listed}?" if close else f"concepts are {listed}, ..."
        raise ValueError(f"unknown concept {concept!r}: {hint}")

    def neurons_of(self, concept, k=None):
        """Return the neurons that stand for a concept.

        Parameters
        ----------
        concept : str or int
            Name or position.
        k : int, default=None
            Neurons to return at most. None returns all with a score.

        Returns
        -------
        neurons : ndarray of shape (n,), int64
            Strongest first, ties by position. None for a concept without items.
        scores : ndarray of shape (n,), float64
            As in ``scores_``: negative for a negative side.

        Raises
        ------
        ValueError
            If there is no such concept, or `k` is below 1.
        """
        row = self.position_of(concept)
        own = slice(*self.scores_.indptr[row : row + 2])
        neurons = self.scores_.indices[own].astype(np.int64)
        scores = self.scores_.data[own]
        order = np.lexsort((neurons, -np.abs(scores)))[: _check_k(k)]
        return neurons[order], scores[order]

    def concepts_of(self, neuron, k=None):
        """Return the concepts that a neuron stands for.

        Parameters
        ----------
        neuron : int
            Its position.
        k : int, default=None
            Concepts to return at most. None returns all with a score.

        Returns
        -------
        names : ndarray of shape (n,), object
            Strongest first, of a tie the one with more items.
        scores : ndarray of shape (n,), float64
            As in ``scores_``: negative for its negative side.

        Raises
        ------
        ValueError
            If there is no such neuron, or `k` is below 1.
        """
        check_is_fitted(self)
        is_position = isinstance(neuron, Integral) and not isinstance(neuron, bool)
        if not (is_position and 0 <= neuron < self.n_features_in_):
            raise ValueError(
                f"there is no neuron {neuron!r}: positions go from 0 to "
                f"{self.n_features_in_ - 1}"
            )
        entries = np.flatnonzero(self.scores_.indices == neuron)
        concepts = row_indices(self.scores_)[entries]
        scores = self.scores_.data[entries]
        counts = self.concept_counts_[concepts]
        order = np.lexsort((concepts, -counts, -np.abs(scores)))[: _check_k(k)]
        return self.concept_names_[concepts[order]], scores[order]

    def name_segment(self, facts):
        """Name a segment by the concept that its latent speaks for.

        Pass it as `namer` to ``LatentSegments``, fitted on embeddings with the same
        latents.

        Parameters
        ----------
        facts : Bunch
            What ``LatentSegments`` tells its `namer`; ``latent`` and ``sign`` are used.

        Returns
        -------
        name : str
            The concept of that side of the latent, or "neuron 17+" and "neuron 17-"
            where it speaks for none. Segments of the same concept get the same name,
            which ``LatentSegments`` numbers.

        Raises
        ------
        ValueError
            If there is no such neuron.
        """
        check_is_fitted(self)
        if not 0 <= facts.latent < self.n_features_in_:
            raise ValueError(
                f"the segment has latent {facts.latent}, but this map was fitted on "
                f"{self.n_features_in_} neurons: fit it on embeddings of the same model"
            )
        concept = self.neuron_concepts_[facts.latent, 0 if facts.sign > 0 else 1]
        if concept >= 0:
            return str(self.concept_names_[concept])
        return f"neuron {facts.latent}{'+' if facts.sign > 0 else '-'}"

    def to_frame(self, k=None):
        """Return the map as a table.

        Parameters
        ----------
        k : int, default=None
            Neurons of each concept at most, strongest first. None takes all with a
            score.

        Returns
        -------
        frame : pandas.DataFrame
            ``concept`` (its name), ``neuron``, ``score`` and ``weight``, by concept in
            the order of ``concept_names_``.

        Raises
        ------
        ValueError
            If `k` is below 1.
        ImportError
            If pandas is not installed.
        """
        check_is_fitted(self)
        pandas = import_optional("pandas", "ConceptMap.to_frame", "data")
        k = _check_k(k)
        scores = self.scores_ if k is None else keep_top_per_row(self.scores_, k)
        rows = row_indices(scores)
        order = np.lexsort((scores.indices, -np.abs(scores.data), rows))
        rows, neurons = rows[order], scores.indices[order].astype(np.int64)
        # Entries by row and column, which ascend in canonical rows.
        n_neurons, weights = self.n_features_in_, self.weights_
        known = row_indices(weights) * n_neurons + weights.indices
        found, has_weight = look_up(known, rows * n_neurons + neurons)
        weight = np.zeros(len(rows))
        weight[has_weight] = weights.data[found[has_weight]]
        return pandas.DataFrame(
            {
                "concept": self.concept_names_[rows],
                "neuron": neurons,
                "score": scores.data[order],
                "weight": weight,
            }
        )

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


def _check_k(k):
    if k is not None and (not isinstance(k, Integral) or k < 1):
        raise ValueError(f"k must be None or an int of at least 1, got {k!r}")
    return k
