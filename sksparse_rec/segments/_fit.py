"""From item embeddings to the fitted attributes of segments."""

import numpy as np

from sksparse_rec.segments._assignment import (
    dominant_pairs,
    mean_directions,
    memberships_of,
    pair_latents,
    segments_of_pairs,
    unit_rows,
)
from sksparse_rec.segments._merging import cut_tree, merge_tree


def fit_segments(estimator, X):
    """Return the fitted attributes of `LatentSegments`, by name.

    Parameters
    ----------
    estimator : LatentSegments
        Its parameters are read, and nothing is set.
    X : csr_array of shape (n_items, n_components)
        Item embeddings in canonical form.
    """
    unit, dominant = unit_rows(X), dominant_pairs(X)
    grouped = dominant >= 0
    groups = np.full(len(dominant), -1, dtype=np.int64)
    pairs, groups[grouped], sizes = np.unique(
        dominant[grouped], return_inverse=True, return_counts=True
    )
    tree, clusters = np.empty((0, 4)), np.arange(len(pairs))
    if estimator.merge_threshold is not None and len(pairs):
        tree = merge_tree(mean_directions(unit, groups, len(pairs)))
        clusters = cut_tree(tree, estimator.merge_threshold)
    pair_segments, first = segments_of_pairs(
        pairs, clusters, sizes, estimator.min_size, 2 * X.shape[1]
    )
    labels = np.append(pair_segments, -1)[dominant]
    latents, signs = pair_latents(first)
    directions = mean_directions(unit, labels, len(first))
    ids = segment_ids(first)
    return {
        "labels_": labels,
        "segment_latents_": latents,
        "segment_signs_": signs,
        "segment_sizes_": np.bincount(labels[labels >= 0], minlength=len(first)),
        "segment_ids_": ids,
        "segment_names_": ids.copy(),
        "segment_embeddings_": directions.astype(X.dtype, copy=False),
        "memberships_": memberships_of(
            X, pair_segments, len(first), estimator.n_latents
        ),
        "merge_tree_": tree,
        "merge_leaves_": np.column_stack([*pair_latents(pairs), sizes]),
        "pair_segments_": pair_segments,
        "item_embeddings_": X,
    }


def segment_ids(pairs):
    """Return the ids of segments by their first pairs: "12+" or "3-"."""
    latents, signs = pair_latents(pairs)
    ids = [f"{n}{'+' if s > 0 else '-'}" for n, s in zip(latents, signs, strict=True)]
    return np.array(ids, dtype=object)
