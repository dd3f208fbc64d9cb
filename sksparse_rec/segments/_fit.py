"""From item embeddings to the fitted attributes of segments."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from sksparse_rec._names import unique_names
from sksparse_rec.segments._assignment import (
    dominant_pairs,
    labels_of,
    mean_directions,
    memberships_of,
    pair_latents,
    segments_of_pairs,
    unit_rows,
)
from sksparse_rec.segments._inverted import (
    Partition,
    group_members,
    invert_members,
)
from sksparse_rec.segments._merging import cut_tree, embed_names, merge_tree
from sksparse_rec.segments._names import (
    check_namer,
    name_segments,
    segment_ids,
)
from sksparse_rec.segments._nearest import assign_nearest, nearest_shares


class Groups(NamedTuple):
    """Items by dominant pair, before merging.

    Attributes
    ----------
    unit : csr_array of shape (n_items, n_components)
        Unit rows.
    dominant : ndarray of shape (n_items,), int64
        The pair of every item, -1 for rows of zeros.
    pairs, sizes : ndarray of shape (n_groups,), int64
        The pairs that there are, ascending, and their numbers of items.
    """

    unit: sp.csr_array
    dominant: np.ndarray
    pairs: np.ndarray
    sizes: np.ndarray


def fit_segments(estimator, X, material):
    """Return the fitted attributes of `LatentSegments`, by name.

    Parameters
    ----------
    estimator : LatentSegments
        Its parameters are read, and nothing is set.
    X : csr_array of shape (n_items, n_components)
        Item embeddings in canonical form.
    material : Material
    """
    check_namer(estimator.namer, material)
    groups = _group(X)
    tree, clusters, known = _merge(estimator, groups, material)
    pair_segments, first = segments_of_pairs(
        groups.pairs, clusters, groups.sizes, estimator.min_size, 2 * X.shape[1]
    )
    labels = labels_of(groups.dominant, pair_segments)
    directions = mean_directions(groups.unit, labels, len(first))
    directions = directions.astype(X.dtype, copy=False)
    if estimator.assign == "nearest":
        partition, kept = _reassign(X, directions, first, estimator.min_size)
        directions, first = directions[kept], first[kept]
        pair_segments = renumber(pair_segments, kept)
        memberships = nearest_shares(X, directions, first, estimator.n_latents)
    else:
        partition = _partition(groups, pair_segments, first)
        memberships = memberships_of(X, pair_segments, len(first), estimator.n_latents)
    labels = partition.labels
    latents, signs = pair_latents(first)
    return {
        "labels_": labels,
        "segment_latents_": latents,
        "segment_signs_": signs,
        "segment_sizes_": np.bincount(labels[labels >= 0], minlength=len(first)),
        "segment_ids_": segment_ids(first),
        "segment_names_": _name(estimator, partition, material, pair_segments, known),
        "segment_embeddings_": directions,
        "memberships_": memberships,
        "merge_tree_": tree,
        "merge_leaves_": np.column_stack([*pair_latents(groups.pairs), groups.sizes]),
        "pair_segments_": pair_segments,
        "item_embeddings_": X,
        "item_names_": material.item_names,
        "former_ids_": np.empty(0, dtype=object),
    }


def _name(estimator, partition, material, pair_segments, known):
    """Return unique names; those are kept that groups of the same items have."""
    first = partition.first_pairs
    n_parts = np.bincount(pair_segments[pair_segments >= 0], minlength=len(first))
    # What was merged has new members, and a new name.
    is_group = n_parts == 1
    if estimator.assign == "nearest":
        is_group[:] = False
    kept = {pair: known[pair] for pair in first[is_group] if pair in known}
    names = name_segments(estimator.namer, estimator.n_words, partition, material, kept)
    return unique_names(names)


def _reassign(X, directions, first_pairs, min_size):
    """Put every item to the nearest segment.

    Returns
    -------
    partition : Partition
        Its segments are sorted by their new sizes, ties by the first pair.
    kept : ndarray of shape (n_left,), int64
        The former numbers of these segments.
    """
    labels, cosines, left = assign_nearest(X, directions, first_pairs, min_size)
    sizes = np.bincount(labels[labels >= 0], minlength=len(first_pairs))
    kept = np.flatnonzero(left)
    kept = kept[np.lexsort((first_pairs[kept], -sizes[kept]))]
    labels = renumber(labels, kept)
    members = group_members(labels, cosines, len(kept))
    return Partition(labels, first_pairs[kept], members), kept


def renumber(labels, kept):
    """Return the places of labels in ``kept``, -1 for those that are not there."""
    places = np.full(max(labels.max(initial=-1), kept.max(initial=-1)) + 2, -1)
    places[kept] = np.arange(len(kept))
    return places[labels]


def _group(X):
    dominant = dominant_pairs(X)
    pairs, sizes = np.unique(dominant[dominant >= 0], return_counts=True)
    return Groups(unit_rows(X), dominant, pairs, sizes)


def _partition(groups, pair_segments, first_pairs):
    labels = labels_of(groups.dominant, pair_segments)
    members = invert_members(groups.unit, labels, pair_segments, len(first_pairs))
    return Partition(labels, first_pairs, members)


def _merge(estimator, groups, material):
    """Return the tree, the cluster of every group, and the names that were compared.

    Names are by pair; there are none without ``embedder``.
    """
    n_groups = len(groups.pairs)
    if estimator.merge_threshold is None or n_groups == 0:
        return np.empty((0, 4)), np.arange(n_groups), {}
    pair_groups = np.full(2 * groups.unit.shape[1], -1, dtype=np.int64)
    pair_groups[groups.pairs] = np.arange(n_groups)
    labels = labels_of(groups.dominant, pair_groups)
    tables, names = [mean_directions(groups.unit, labels, n_groups)], {}
    if estimator.embedder is not None:
        partition = _partition(groups, pair_groups, groups.pairs)
        raw = name_segments(estimator.namer, estimator.n_words, partition, material)
        names = dict(zip(groups.pairs.tolist(), raw, strict=True))
        tables.append(embed_names(estimator.embedder, raw))
    tree = merge_tree(*tables)
    return tree, cut_tree(tree, estimator.merge_threshold), names
