"""Profiles turned until concepts have the levels that are asked for.

The *level* of a concept in a profile is the cosine of the profile and the concept's
direction. Everything here is float64, and rows of zeros have level 0.
"""

import numpy as np
import scipy.sparse as sp

from sksparse_rec._sparse import row_indices, scale_rows

# Levels that differ by less are the same: profiles that come in float32 differ by more
# than 1e-8 from block to block.
SAME = 1e-6
# Eigenvalues of products of directions below which directions are the same: two of a
# cosine above 0.98. No profile has levels that differ where directions hardly do, and
# shrunk until one has them they would leave next to nothing of either.
PARALLEL = 0.02
# The square of what a unit profile has beside the concepts, if it has something.
NOTHING = 1e-12


def row_norms(P):
    """Return the lengths of the rows of an array or CSR matrix, float64."""
    if sp.issparse(P):
        squares = np.bincount(row_indices(P), P.data**2, minlength=P.shape[0])
    else:
        squares = np.einsum("ij,ij->i", P, P)
    return np.sqrt(squares)


def unit(P):
    """Return rows scaled to unit length; rows of zeros stay."""
    norms = row_norms(P)
    factors = 1 / np.where(norms > 0, norms, 1)
    return scale_rows(P, factors) if sp.issparse(P) else P * factors[:, None]


def levels_of(profiles, directions):
    """Return the cosines of profiles and directions.

    Parameters
    ----------
    profiles : {ndarray, csr_array} of shape (n_users, n_dimensions), float64
    directions : {ndarray, csr_array} of shape (n_concepts, n_dimensions), float64
        Unit rows; rows of zeros have level 0 everywhere.

    Returns
    -------
    levels : ndarray of shape (n_users, n_concepts), float64
        From -1 to 1.
    """
    products = profiles @ directions.T
    if sp.issparse(products):
        products = products.toarray()
    norms = row_norms(profiles)
    return np.clip(products / np.where(norms > 0, norms, 1)[:, None], -1, 1)


def rotate(profiles, directions, levels, targets):
    """Give profiles other levels, and keep their lengths.

    With ``u`` a profile of unit length, ``B`` the directions that are moved for it,
    ``g = B u`` its levels, ``v`` the targets and ``M = B Bᵀ``,

        ``u' = Bᵀ M⁺ v + κ (u - Bᵀ M⁺ g)``,

    with ``κ >= 0`` such that ``‖u'‖ = 1``: the profile keeps what is orthogonal to the
    concepts, in a smaller or larger share. Where ``vᵀ M⁺ v > 1`` no profile has these
    levels: nothing of the rest is kept, and the levels are shrunk in proportion.
    ``M⁺`` leaves out where directions hardly differ, so that targets of nearly the same
    direction meet in the middle. A profile of zeros becomes one of unit length.

    Parameters
    ----------
    profiles : {ndarray, csr_array} of shape (n_users, n_dimensions), float64
    directions : {ndarray, csr_array} of shape (n_concepts, n_dimensions), float64
        Unit rows. Sparse where ``profiles`` are.
    levels : ndarray of shape (n_users, n_concepts)
        What `levels_of` returns for both.
    targets : ndarray of shape (n_users, n_concepts)
        NaN: the concept goes where the others take it. A target that is the level
        holds it there while others move.

    Returns
    -------
    profiles : {ndarray, csr_array} of shape (n_users, n_dimensions), float64
        Users for whom nothing moves have the values that they had, to the last bit.
    """
    held = ~np.isnan(targets)
    moved = (held & (np.abs(targets - levels) > SAME)).any(axis=1)
    if not moved.any():
        return profiles
    users = np.flatnonzero(moved)
    parts = profiles[users], levels[users], targets[users], held[users]
    turned = _turn_all(parts[0], directions, *parts[1:])
    if not sp.issparse(profiles):
        result = profiles.copy()
        result[users] = turned
        return result
    # Rows that stay keep the order of their entries too, and so the order of sums.
    rows = np.arange(profiles.shape[0])
    rows[users] = profiles.shape[0] + np.arange(len(users))
    return sp.csr_array(sp.vstack([profiles, turned], format="csr"))[rows]


def _turn_all(profiles, directions, levels, targets, held):
    """Return turned profiles; users of the same concepts are turned together."""
    norms = row_norms(profiles)
    coefficients = np.zeros(levels.shape)
    kept = np.ones(len(levels))
    patterns, groups = np.unique(held, axis=0, return_inverse=True)
    groups = groups.ravel()
    for group, pattern in enumerate(patterns):
        users, concepts = np.flatnonzero(groups == group), np.flatnonzero(pattern)
        B = directions[concepts]
        M = B @ B.T
        M = M.toarray() if sp.issparse(M) else M
        cells = np.ix_(users, concepts)
        kept[users], coefficients[cells] = _turn(
            M, levels[cells], targets[cells], norms[users] > 0
        )
    coefficients *= np.where(norms > 0, norms, 1)[:, None]
    if sp.issparse(profiles):
        turned = scale_rows(profiles, kept) + sp.csr_array(coefficients) @ directions
        return sp.csr_array(turned)
    return profiles * kept[:, None] + coefficients @ directions


def _turn(M, levels, targets, is_filled):
    """Return what unit profiles keep, and what is added to them of each direction.

    Parameters
    ----------
    M : ndarray of shape (n_concepts, n_concepts)
        Products of the directions.
    levels, targets : ndarray of shape (n_users, n_concepts)
    is_filled : ndarray of bool of shape (n_users,)
        False: a profile of zeros, which has nothing to keep.

    Returns
    -------
    kept : ndarray of shape (n_users,)
    coefficients : ndarray of shape (n_users, n_concepts)
    """
    values, vectors = np.linalg.eigh(M)
    vectors = vectors[:, values > PARALLEL]
    inverse = (vectors / values[values > PARALLEL]) @ vectors.T
    present, wanted = levels @ inverse, targets @ inverse
    rest = is_filled - np.einsum("ij,ij->i", present @ M, present)
    squares = np.einsum("ij,ij->i", wanted @ M, wanted)
    has_rest = rest > NOTHING
    kept = np.sqrt(np.maximum(1 - squares, 0) / np.where(has_rest, rest, 1))
    kept[~has_rest] = 0
    # Where there is no rest to keep, the concepts have all of the length.
    is_all = (kept == 0) & (squares > 0)
    wanted /= np.where(is_all, np.sqrt(squares), 1)[:, None]
    return kept, wanted - kept[:, None] * present
