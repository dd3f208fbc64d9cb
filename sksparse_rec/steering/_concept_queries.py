"""What a fitted concept map is asked."""

import difflib

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sksparse_rec._optional import import_optional
from sksparse_rec._sparse import keep_top_per_row, look_up, row_indices
from sksparse_rec._validation import Integral


class ConceptQueriesMixin:
    """Concepts of neurons, neurons of concepts, names and tables."""

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
        names = self.concept_names_.tolist()
        if isinstance(concept, str) and concept in names:
            return names.index(concept)
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


def _check_k(k):
    if k is not None and (not isinstance(k, Integral) or k < 1):
        raise ValueError(f"k must be None or an int of at least 1, got {k!r}")
    return k
