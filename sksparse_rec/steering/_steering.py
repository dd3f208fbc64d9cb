"""What a fitted steerable recommender does with knobs: lists, levels and profiles."""

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

from sksparse_rec._validation import check_interactions, to_sparse_interface
from sksparse_rec.retrieval import check_k, item_candidates
from sksparse_rec.steering._knobs import read_knobs, target_levels
from sksparse_rec.steering._profiles import (
    as_dense,
    best_items,
    blocks_of,
    profiles_of,
)
from sksparse_rec.steering._rotation import levels_of, rotate
from sksparse_rec.steering._training import rebuilt


class SteeringMixin:
    """``recommend`` and ``concept_levels`` of `SteerableRecommender`.

    A class that uses it has the attributes ``recommender_``, ``sae_``, ``residual``,
    ``item_popularity_`` and, where concepts are mapped, ``concept_map_`` and
    ``concept_directions_``.
    """

    def recommend(
        self, X, k=10, *, steer=None, exclude_seen=True, allow=None, deny=None
    ):
        """Recommend the ``k`` best items to each user, steered or not.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            The users' histories.
        k : int, default=10
            Length of the lists.
        steer : dict or None, default=None
            From concepts, by name or position, to what is done with them: a strength
            from 0 to 1 raises a concept, one from -1 to 0 lowers it, and a tuple says
            more: ``("raise", strength)`` and ``("lower", strength)``, from 0 to 1,
            ``("set", level)`` and ``("clamp", lowest, highest)``, from -1 to 1. Arrays
            of shape (n_users,) give every user a number; NaN leaves a user alone.
            (`recommend_in_blocks` takes single numbers only.) See Notes of the class.
            0.5 to 0.8 fills about half of a list with the concept, where there is
            enough of it: ``steering_report`` tells.
        exclude_seen : bool, default=True
            Leave out what is in the history.
        allow, deny : array-like or sparse matrix, default=None
            Items that may, or may not, be recommended, as in
            ``CompressedELSA.recommend``.

        Returns
        -------
        R : sparse matrix or array of shape (n_users, n_items)
            CSR, float64. The stored entries of a row are its items, best first, and
            their scores. A user with fewer than ``k`` candidates has a shorter row.

        Raises
        ------
        ValueError
            For an unknown concept, one that no neuron stands for, or a strength out of
            its range; for a ``k`` below 1, an unknown item, or a mask of another shape.
        """
        check_is_fitted(self)
        history = check_interactions(X, estimator=self, dtype=np.float64)
        k = check_k(k)
        names = getattr(self, "feature_names_in_", None)
        filters = item_candidates(allow, deny, *history.shape, names)
        if exclude_seen:
            filters["excluded"].append(history)
        knobs = self._read_knobs(steer, history.shape[0])
        return to_sparse_interface(
            best_items(
                self.recommender_,
                lambda users: self._steered(history, users, knobs),
                history.shape[0],
                self.item_popularity_,
                k,
                filters,
            )
        )

    def concept_levels(self, X, concepts=None):
        """Tell how much of every concept is in users' profiles: where sliders stand.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            The users' histories.
        concepts : list of str or int, default=None
            None: all of them.

        Returns
        -------
        levels : ndarray of shape (n_users, n_concepts), float64
            Cosines of profiles and the concepts' directions, from -1 to 1: below 0
            where a profile is against a concept.
            ``steer={concept: ("set", level)}`` with these levels changes nothing. 0
            for users without a history and concepts without a neuron.

        Raises
        ------
        ValueError
            For an unknown concept.
        """
        check_is_fitted(self)
        history = check_interactions(X, estimator=self, dtype=np.float64)
        directions = self._directions()
        if concepts is not None:
            directions = directions[self._positions(concepts)]
        parts = [np.empty((0, directions.shape[0]))]
        width = max(directions.shape)
        for users in blocks_of(history.shape[0], width):
            parts.append(levels_of(self._profiles(history[users]), directions))
        return np.concatenate(parts)

    def _plain_profiles(self, history):
        """Profiles before steering: CSR without an autoencoder, dense with one."""
        profiles = profiles_of(self.recommender_, history)
        return sp.csr_array(profiles) if self.sae_ is None else as_dense(profiles)

    def _profiles(self, history):
        """Profiles as they are ranked where nothing is steered."""
        profiles = self._plain_profiles(history)
        if self.sae_ is None or self.residual:
            return profiles
        return rebuilt(self.sae_, profiles)

    def _steered(self, history, users, knobs):
        """Profiles of some users as they are ranked."""
        profiles = self._profiles(history[users])
        return self._turned(profiles, [knob.of(users) for knob in knobs])

    def _turned(self, profiles, knobs):
        """Profiles after the knobs of their users."""
        if not knobs:
            return profiles
        directions = self._directions()[[knob.concept for knob in knobs]]
        levels = levels_of(profiles, directions)
        targets = target_levels(knobs, levels)
        return rotate(profiles, directions, levels, targets)

    def _read_knobs(self, steer, n_users):
        knobs = read_knobs(steer, self._position_of, n_users)
        for knob in knobs:
            if not self._has_neurons(knob.concept):
                name = self.concept_map_.concept_names_[knob.concept]
                raise ValueError(
                    f"concept {name!r} cannot be steered: no neuron stands for it, as "
                    f"{self.concept_map_.concept_counts_[knob.concept]} items have it "
                    "and none of them has activations that others do not have"
                )
        return knobs

    def _position_of(self, concept):
        self._directions()
        return self.concept_map_.position_of(concept)

    def _positions(self, concepts):
        """Return the positions of a list of concepts, int64."""
        if isinstance(concepts, str):
            raise ValueError(
                f"concepts is the string {concepts!r}, and must be a list of concepts: "
                f"[{concepts!r}]"
            )
        return np.array([self._position_of(c) for c in concepts], dtype=np.int64)

    def _has_neurons(self, concept):
        return abs(self._directions()[[concept]]).sum() > 0

    def _directions(self):
        if not hasattr(self, "concept_directions_"):
            raise ValueError(
                "there are no concepts to steer: pass item_concepts to fit, or call "
                "map_concepts"
            )
        return self.concept_directions_
