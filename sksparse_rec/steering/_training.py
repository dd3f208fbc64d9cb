"""What `SteerableRecommender.fit` does, one step a function."""

import itertools

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from sksparse_rec._validation import to_sparse_interface
from sksparse_rec.model_selection import score_ranking
from sksparse_rec.models import CompresSAE
from sksparse_rec.steering._profiles import (
    as_dense,
    best_items,
    blocks_of,
    item_profiles,
    profiles_of,
    unwrapped,
)
from sksparse_rec.steering._rotation import row_norms, unit

# Neurons of the default autoencoder for each dimension of a profile.
EXPANSION = 8
# Users that tell what the insertion of the autoencoder costs.
N_JUDGES = 1000
# Users whose profiles are made at once, at most.
USER_BLOCK = 4096
# Length of the lists that are compared, and of those of ``score``.
CUT_OFF = 100


def is_fitted(estimator):
    """Tell whether an estimator is fitted; raises for a frozen one that is not."""
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        if isinstance(estimator, FrozenEstimator):
            raise
        return False
    return True


def _seeded_clone(estimator, random):
    """Return a clone whose parameters ``random_state`` that are None are seeds."""
    copy = clone(estimator)
    for name, value in sorted(copy.get_params().items()):
        if value is None and name.rpartition("__")[2] == "random_state":
            copy.set_params(**{name: random.randint(np.iinfo(np.int32).max)})
    return copy


def fit_recommender(recommender, X, names, random):
    """Return a recommender fitted on ``X``: the given one if it is fitted already.

    ``names`` are those of the columns of ``X``, or None.
    """
    own = unwrapped(recommender)
    for method in ("transform", "inverse_transform"):
        if not hasattr(own, method):
            raise ValueError(
                f"{type(own).__name__} has no method {method}, which steering "
                "needs: transform from histories to profiles, and inverse_transform "
                "from profiles to the scores of all items"
            )
    if not is_fitted(recommender):
        return _seeded_clone(recommender, random).fit(to_sparse_interface(X))
    n_fitted = getattr(own, "n_features_in_", X.shape[1])
    if n_fitted != X.shape[1]:
        raise ValueError(
            f"recommender was fitted on {n_fitted} items, but X has {X.shape[1]}"
        )
    _check_same_items(getattr(own, "feature_names_in_", None), names)
    return recommender


def _check_same_items(fitted, names):
    if fitted is None or names is None:
        return
    differ = np.flatnonzero(np.asarray(fitted) != np.asarray(names))
    if len(differ):
        place = differ[0]
        raise ValueError(
            f"recommender was fitted with {fitted[place]!r} as column {place}, where X "
            f"has {names[place]!r}: pass the columns in the order of its "
            "feature_names_in_"
        )


def fit_autoencoder(sae, recommender, X, train_on, random):
    """Return an autoencoder of profiles: the given one if it is fitted already."""
    width = profiles_of(recommender, X[:1]).shape[1]
    if sae is not None and is_fitted(sae):
        n_fitted = getattr(unwrapped(sae), "n_features_in_", width)
        if n_fitted != width:
            raise ValueError(
                f"sae was fitted on vectors of {n_fitted} columns, but profiles of "
                f"{type(unwrapped(recommender)).__name__} have {width}"
            )
    else:
        if sae is None:
            sae = CompresSAE(EXPANSION * width, positive=True)
        sae = _seeded_clone(sae, random).fit(
            _training_profiles(recommender, X, train_on)
        )
    if not hasattr(unwrapped(sae), "components_"):
        raise ValueError(
            f"sae is a {type(unwrapped(sae)).__name__}, which has no components_ after "
            "fit: they say what a neuron adds to a profile"
        )
    return sae


def _training_profiles(recommender, X, train_on):
    """Return the profiles that the autoencoder learns from, float32, none of zeros."""
    sources = []
    if train_on in ("users", "both"):
        blocks = blocks_of(*X.shape, USER_BLOCK)
        sources.append(profiles_of(recommender, X[users]) for users in blocks)
    if train_on in ("items", "both"):
        sources.append(item_profiles(recommender, X.shape[1]))
    parts = []
    for part in itertools.chain(*sources):
        profiles = as_dense(part).astype(np.float32)
        parts.append(profiles[profiles.any(axis=1)])
    # Without any profile the autoencoder says what it misses.
    return np.concatenate(parts) if any(map(len, parts)) else profiles


def activations_of(sae, profiles):
    """Return the neurons of profiles, CSR float64: profiles without ``sae``."""
    if sae is not None:
        profiles = sae.transform(as_dense(profiles))
    return sp.csr_array(profiles, dtype=np.float64)


def item_activations(sae, recommender, n_items):
    """Return the neurons of one-item histories, unit rows, float32."""
    parts = (activations_of(sae, P) for P in item_profiles(recommender, n_items))
    activations = sp.csr_array(sp.vstack(list(parts)))
    activations.eliminate_zeros()
    return unit(activations).astype(np.float32)


def concept_directions(weights, sae):
    """Return the directions of concepts in the space of profiles, unit rows, float64.

    CSR without ``sae``, an ndarray with one.
    """
    if sae is None:
        return unit(sp.csr_array(weights, dtype=np.float64))
    directions = sp.csr_array(weights) @ unwrapped(sae).components_.astype(np.float64)
    return unit(np.asarray(directions))


def decoded(sae, codes):
    """Return the directions of the profiles that codes stand for, zeros for empty ones.

    Parameters
    ----------
    sae : fitted autoencoder
    codes : csr_array of shape (n_users, n_neurons)

    Returns
    -------
    ndarray of shape (n_users, n_dimensions)
    """
    directions = np.asarray(sae.inverse_transform(to_sparse_interface(codes)))
    mean = _center(sae)
    if mean is None:
        return directions
    # From the mean, which lies within the unit sphere, a direction meets it once.
    away = unit(directions.astype(np.float64))
    along = away @ mean
    distances = np.sqrt(along**2 + np.maximum(1 - mean @ mean, 0)) - along
    profiles = mean + away * distances[:, None]
    profiles[~directions.any(axis=1)] = 0
    return profiles.astype(directions.dtype)


def _center(sae):
    """Return where the vectors of ``inverse_transform`` start from, None for zero.

    A `CompresSAE` returns directions from its mean, and others add theirs.
    """
    own = unwrapped(sae)
    mean = own.mean_ if isinstance(own, CompresSAE) else None
    return None if mean is None else mean.astype(np.float64)


def rebuilt(sae, profiles):
    """Return what the codes of dense profiles rebuild, with the length of the profiles.

    Parameters
    ----------
    sae : fitted autoencoder
    profiles : ndarray of shape (n_users, n_dimensions), float64
    """
    directions = np.asarray(sae.inverse_transform(sae.transform(profiles)), np.float64)
    mean = _center(sae)
    if mean is not None:
        # Such a code rebuilds where a unit profile is, seen from the mean.
        distances = row_norms(unit(profiles) - mean)
        directions = mean + unit(directions) * distances[:, None]
    return unit(directions) * row_norms(profiles)[:, None]


def insertion_loss(recommender, sae, X, popularity):
    """Return the share of nDCG@100 that is lost where lists come from rebuilt profiles.

    A fifth of the items of some users is hidden. NaN if nobody has items to hide, 0
    where the recommender finds none of them.
    """
    lengths = np.diff(X.indptr)
    judges = np.flatnonzero(lengths > 1)
    if not len(judges):
        return np.nan
    spread = np.linspace(0, len(judges) - 1, N_JUDGES).astype(int)
    judges = judges[np.unique(spread)]

    def score(change):
        def recommend(history, k, exclude_seen):
            history = sp.csr_array(history)
            return best_items(
                recommender,
                lambda users: change(profiles_of(recommender, history[users])),
                history.shape[0],
                popularity,
                k,
                {"candidates": None, "allowed": None, "excluded": [history]},
            )

        return score_ranking(recommend, X[judges], k=CUT_OFF)

    whole = score(as_dense)
    inserted = score(lambda profiles: rebuilt(sae, as_dense(profiles)))
    return float(1 - inserted / whole) if whole > 0 else 0.0
