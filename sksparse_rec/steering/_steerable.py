"""SteerableRecommender: knobs on a collaborative filter."""

from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    clone,
)
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from sksparse_rec._validation import (
    HasMethods,
    StrOptions,
    check_interactions,
    check_length,
    fit_context,
    rolled_back_on_error,
    to_sparse_interface,
)
from sksparse_rec.metrics._concepts import check_concepts
from sksparse_rec.models import (
    DocumentationLinkMixin,
    RankedListsMixin,
    is_labels,
)
from sksparse_rec.steering._concept_map import ConceptMap
from sksparse_rec.steering._profiles import (
    as_dense,
    is_own_code,
)
from sksparse_rec.steering._report import ReportMixin
from sksparse_rec.steering._steering import SteeringMixin
from sksparse_rec.steering._training import (
    activations_of,
    concept_directions,
    decoded,
    fit_autoencoder,
    fit_recommender,
    insertion_loss,
    item_activations,
)


class SteerableRecommender(
    SteeringMixin,
    RankedListsMixin,
    ReportMixin,
    DocumentationLinkMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    r"""Recommender with knobs: concepts that a user, or an editor, turns up and down.

    A sparse autoencoder is put between the encoder and the decoder of a recommender,
    and concepts that people know, such as genres or tags, are mapped to its neurons.
    ``recommend(X, steer={"comedy": 0.3})`` then turns profiles towards the neurons of
    a concept before they are decoded. Nothing is trained again for a concept or for a
    user. The latents of a compressed ELSA are sparse already and are steered as they
    are, without an autoencoder.

    Parameters
    ----------
    recommender : estimator
        Anything with ``fit``, ``transform`` from histories to profiles, dense or
        sparse, and ``inverse_transform`` from profiles to the scores of all items:
        `CompressedELSA`, `CompressedELSACV`, `sklearn.decomposition.TruncatedSVD` or
        ``NMF``, a `TorchRecommender`. ``fit`` trains a clone of it, or takes it as it
        is where it is fitted.
    sae : estimator or None, default=None
        Autoencoder of profiles with ``transform`` to codes, ``inverse_transform`` and
        ``components_``, the decoder; fitted or not. None steers the latents of the
        recommender where its item embeddings are sparse, and takes
        ``CompresSAE(8 * n_dimensions, positive=True)`` otherwise.
    concept_map : ConceptMap or None, default=None
        How concepts are mapped to neurons; ``fit`` clones it. None takes
        ``ConceptMap()``.
    residual : bool, default=True
        Leave in a profile what its code does not rebuild, so that lists are those of
        the recommender until a knob is turned. With False they are ranked by what the
        codes rebuild, as published: then ``score`` judges the autoencoder too, which
        is what a search over its parameters needs. It says nothing where there is no
        autoencoder.
    train_on : {"users", "items", "both"}, default="users"
        Profiles that the autoencoder learns from: those of the users in ``X``, those
        of histories of one item, or both. Items help where there are few users.
    random_state : int, RandomState instance or None, default=None
        Seeds what is trained and whose own ``random_state`` is None.

    Attributes
    ----------
    recommender_ : estimator
        The fitted recommender.
    sae_ : estimator or None
        The fitted autoencoder; None where the recommender's own latents are steered.
    concept_map_ : ConceptMap
        Where ``fit`` or ``map_concepts`` got ``item_concepts``.
    concept_directions_ : {ndarray, csr_array} of shape (n_concepts, n_dimensions)
        What the neurons of a concept add to a profile, unit rows, float64; rows of
        zeros for concepts that no neuron stands for. CSR without an autoencoder.
    item_concepts_ : csr_array of shape (n_items, n_concepts), bool
        Which items have which concepts, with ``concept_map_``.
    item_activations_ : csr_array of shape (n_items, n_neurons), float32
        Neurons of histories of one item, unit rows: what ``concept_map_`` is made of.
    item_popularity_ : ndarray of shape (n_items,), int64
        Users of each item in ``X``; breaks ties.
    insertion_loss_ : float
        Share of the recommender's nDCG@100 that is lost where profiles are replaced by
        what the codes rebuild, on hidden items of up to 1000 users: how much of
        what the recommender knows the neurons do not say. Below 0 the codes are
        better. 0 without an autoencoder; NaN if no user has items to hide.
    n_features_in_ : int
        Number of items.
    feature_names_in_ : ndarray of shape (n_items,)
        Item names, where ``X`` was a DataFrame with string columns.

    See Also
    --------
    ConceptMap : Which neurons stand for a concept, and how that is found.
    sksparse_rec.steering.TorchRecommender : Makes a recommender of a torch module.
    sksparse_rec.plotting.SteeringTradeoffDisplay : What steering gives and costs.

    Notes
    -----
    With the decoder :math:`D` and the weights :math:`w_c` of a concept's neurons, its
    direction among profiles is :math:`d_c = w_c D / \|w_c D\|`, and its *level* in a
    profile :math:`p` is :math:`g = \cos(p, d_c)`: what ``concept_levels`` shows, as a
    slider would. Knobs ask for other levels,

    - raise by :math:`a`: :math:`g + a \max(0.8 - g, 0)`, so 0 changes nothing, and with
      1 the concept weighs a third more than what is left of the user, 0.8 to 0.6: that
      fills most of a list, and beyond it the share of the concept falls for some;
    - lower by :math:`a`: :math:`g - a \max(g, 0)`, so 1 takes the concept out;
    - set to :math:`a`: :math:`a`;
    - clamp to :math:`[l, h]`: :math:`\min(\max(g, l), h)`,

    and the profile is turned, in the space of all directions that are moved, until it
    has them. Its length stays, and so do the proportions of all that is orthogonal to
    these directions. Several knobs hold at once; levels that no profile has together
    (1 of two concepts that differ) are shrunk in proportion, and concepts whose
    directions hardly differ (a cosine above 0.98) meet in the middle, as they would be
    shrunk to next to nothing otherwise. Profiles of users whose
    levels do not change are not touched, so their lists stay the same to the last bit.
    A user without a history has level 0 of everything, and gets the concept's items as
    soon as that is raised.

    Steering takes O(n_users × n_dimensions × n_concepts) time for the concepts of
    ``steer``, beside ``recommend`` of the recommender. Recommenders of this package
    are searched as ever; the scores of others are made for blocks of users that fit
    ``sklearn.get_config()["working_memory"]``. In ``fit`` the profiles that the
    autoencoder learns from take n_users × n_dimensions × 8 bytes.

    In a search, ``item_concepts`` is passed to ``GridSearchCV.fit``, which would take
    it for one row a user if there were as many items as users: call ``map_concepts``
    on the best estimator then.

    References
    ----------
    "From Knots to Knobs: Towards Steerable Collaborative Filtering Using Sparse
    Autoencoders", arXiv:2601.11182: the autoencoder inside the recommender, and
    steering by neurons of concepts. Keeping levels, lengths and what the codes miss is
    ours.

    Examples
    --------
    >>> from sksparse_rec import CompressedELSA, SteerableRecommender
    >>> from sksparse_rec.datasets import load_debian
    >>> debian = load_debian()
    >>> elsa = CompressedELSA(256, n_nonzero=16, max_iter=2, random_state=0)
    >>> model = SteerableRecommender(elsa).fit(
    ...     debian.data,
    ...     item_concepts=debian.item_tags,
    ...     concept_names=debian.tag_names,
    ... )
    >>> x = debian.data[debian.user_ids == "scikit-learn"]
    >>> model.recommend(x, k=3, steer={"field::astronomy": 0.5}).shape
    (1, 4205)
    >>> level = model.concept_levels(x, ["field::astronomy"])
    >>> level.shape
    (1, 1)
    """

    _parameter_constraints: ClassVar[dict] = {
        "recommender": [HasMethods(["fit", "transform"])],
        "sae": [HasMethods(["fit", "transform"]), None],
        "concept_map": [HasMethods(["fit", "neurons_of"]), None],
        "residual": ["boolean"],
        "train_on": [StrOptions({"users", "items", "both"})],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        recommender,
        *,
        sae=None,
        concept_map=None,
        residual=True,
        train_on="users",
        random_state=None,
    ):
        self.recommender = recommender
        self.sae = sae
        self.concept_map = concept_map
        self.residual = residual
        self.train_on = train_on
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, *, item_concepts=None, concept_names=None):
        """Fit the recommender, the autoencoder and the map of concepts.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_users, n_items)
            Non-negative interactions.
        y : object, default=None
            Ignored, but for one-dimensional labels; see ``predict``.
        item_concepts : {array-like, sparse matrix, DataFrame} of shape \
                (n_items, n_concepts), default=None
            Tags, genres, authors, sections of the items; non-negative. None makes no
            map; ``map_concepts`` can later.
        concept_names : array-like of shape (n_concepts,), default=None
            What concepts are called. None takes the columns of a DataFrame, or
            "concept0" and so on.

        Returns
        -------
        self : SteerableRecommender
            The fitted estimator; as it was before if training is interrupted.

        Raises
        ------
        ValueError
            If ``X`` is empty, has negative, NaN or infinite values; if the recommender
            or the autoencoder lacks a method, or was fitted on other columns; if
            ``item_concepts`` has another number of rows than there are items.
        """
        with rolled_back_on_error(self):
            X = check_interactions(X, estimator=self, reset=True)
            popularity = np.bincount(X.indices, minlength=X.shape[1])
            random = check_random_state(self.random_state)
            names = getattr(self, "feature_names_in_", None)
            recommender = fit_recommender(self.recommender, X, names, random)
            sae, loss = None, 0.0
            if self.sae is not None or not is_own_code(recommender):
                sae = fit_autoencoder(self.sae, recommender, X, self.train_on, random)
                loss = insertion_loss(recommender, sae, X, popularity)
            activations = item_activations(sae, recommender, X.shape[1])
            self.recommender_, self.sae_ = recommender, sae
            self.item_activations_ = activations
            self.item_popularity_ = popularity.astype(np.int64)
            self.insertion_loss_ = loss
            self._has_labels = is_labels(y)
            for name in ("concept_map_", "concept_directions_", "item_concepts_"):
                vars(self).pop(name, None)
            if item_concepts is not None:
                self.map_concepts(item_concepts, concept_names)
        return self

    def map_concepts(self, item_concepts, concept_names=None):
        """Map concepts to the neurons that there are, without training anything.

        Parameters
        ----------
        item_concepts : {array-like, sparse matrix, DataFrame} of shape \
                (n_items, n_concepts)
            As in ``fit``.
        concept_names : array-like of shape (n_concepts,), default=None
            As in ``fit``.

        Returns
        -------
        self : SteerableRecommender
            With new ``concept_map_`` and ``concept_directions_``.

        Raises
        ------
        ValueError
            As ``ConceptMap.fit``.
        """
        check_is_fitted(self)
        members, names = check_concepts(
            item_concepts, concept_names, self.n_features_in_, "item_concepts"
        )
        concept_map = ConceptMap() if self.concept_map is None else self.concept_map
        concept_map = clone(concept_map).fit(
            self.item_activations_, members, concept_names=names
        )
        directions = concept_directions(concept_map.weights_, self.sae_)
        self.concept_map_, self.concept_directions_ = concept_map, directions
        self.item_concepts_ = sp.csr_array(members, dtype=bool)
        return self

    def transform(self, X):
        """Compute the activations of neurons.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Interactions of any users; non-negative.

        Returns
        -------
        S : sparse matrix or array of shape (n_users, n_neurons)
            CSR, float32 for float32 ``X`` and float64 otherwise: codes of the profiles,
            or the profiles themselves where there is no autoencoder.

        Raises
        ------
        ValueError
            If ``X`` has negative, NaN or infinite values or another number of columns.
        """
        check_is_fitted(self)
        is_single = getattr(X, "dtype", None) == np.float32
        X = check_interactions(X, estimator=self, dtype=np.float64)
        profiles = self._plain_profiles(X)
        activations = activations_of(self.sae_, profiles)
        dtype = np.float32 if is_single else np.float64
        return to_sparse_interface(activations.astype(dtype, copy=False))

    def inverse_transform(self, X):
        """Compute the scores of all items from activations of neurons.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_neurons)
            Activations as ``transform`` returns them, edited or not.

        Returns
        -------
        scores : ndarray of shape (n_users, n_items)
            What the recommender makes of the profiles that the codes rebuild; these are
            directions, whatever the lengths of the original profiles were.

        Raises
        ------
        ValueError
            If ``X`` has another number of columns or values that are not finite.
        """
        check_is_fitted(self)
        S = check_length(X, self._n_features_out, "X", "n_neurons")
        profiles = to_sparse_interface(sp.csr_array(S))
        if self.sae_ is not None:
            profiles = decoded(self.sae_, sp.csr_array(S))
        return np.asarray(as_dense(self.recommender_.inverse_transform(profiles)))

    def get_feature_names_out(self, input_features=None):
        """Return names of neurons, after the concepts that they stand for.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Ignored.

        Returns
        -------
        names : ndarray of shape (n_neurons,), object
            ``concept_map_.neuron_names_`` where there is a map; otherwise
            "steerablerecommender0" and so on.
        """
        check_is_fitted(self)
        if hasattr(self, "concept_map_"):
            return self.concept_map_.neuron_names_.copy()
        return super().get_feature_names_out(input_features)

    @property
    def _n_features_out(self):
        return self.item_activations_.shape[1]

    def __sklearn_is_fitted__(self):
        return hasattr(self, "insertion_loss_")
