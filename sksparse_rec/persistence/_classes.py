"""The allow-list: the classes that are saved and loaded, and what they consist of.

A class joins by one entry here. Nothing else in a file is ever called, imported or set.
"""

import numpy as np

from sksparse_rec._format import PersistenceError
from sksparse_rec.models import CompresSAE, CompressedELSA, CompressedELSACV
from sksparse_rec.persistence._estimators import SavedEstimator, SavedObject
from sksparse_rec.persistence._kinds import (
    Array,
    Csr,
    Fields,
    Flag,
    Float,
    Floats,
    Integer,
    Model,
    Names,
    Nullable,
    Optional,
)
from sksparse_rec.persistence._steering import (
    CONCEPT_MAP,
    FROZEN_ESTIMATOR,
    STEERABLE_RECOMMENDER,
    TRUNCATED_SVD,
)
from sksparse_rec.retrieval import SparseIndex
from sksparse_rec.segments import LatentSegments

ITEMS, LATENTS, FEATURES = "n_items", "n_components", "n_features"
# Of which there may be none.
SEGMENTS = "n_segments?"
REAL = "float32 float64"


def _check_entries(state):
    """Raise unless the width of ELSA's rows is that of their arrays."""
    dense = state["columns"] is None
    expected = state["n_components" if dense else "width"]
    if state["values"].shape[1] != expected:
        raise PersistenceError(
            f"_training_state.values has {state['values'].shape[1]} entries a row, and "
            f"should have {expected}"
        )


def _check_calibration(state):
    """Raise if there are intercepts without slopes, which are never learned alone."""
    if state["item_slopes_"] is None and state["item_intercepts_"] is not None:
        raise PersistenceError("there are item_intercepts_, but no item_slopes_")


def _check_level(state):
    """Raise unless the selected level is one of the grid."""
    if state["best_index_"] >= len(state["n_nonzero_grid_"]):
        raise PersistenceError(
            f"best_index_ is {state['best_index_']}, but there are "
            f"{len(state['n_nonzero_grid_'])} levels"
        )


def _check_encoder(state):
    """Raise unless an optimizer of the encoder is there or not."""
    found = [key for key in state if key.startswith("encoder.")]
    if len(found) not in (0, len(_moments("encoder", 2))):
        raise PersistenceError(f"_optimizer_state has of the encoder only {found}")


def _check_segments(state):
    """Raise unless the tables of pairs and of groups have the sizes they must have."""
    pairs, leaves = state["pair_segments_"], state["merge_leaves_"]
    n_latents = state["n_features_in_"]
    n_merges = len(state["merge_tree_"])
    if len(pairs) != 2 * n_latents:
        raise PersistenceError(
            f"pair_segments_ has {len(pairs)} entries, and should have {2 * n_latents}"
        )
    if leaves.shape[1] != 3 or state["merge_tree_"].shape[1] != 4:
        raise PersistenceError("merge_leaves_ has no 3 columns, or merge_tree_ no 4")
    if n_merges not in (0, len(leaves) - 1):
        raise PersistenceError(
            f"merge_tree_ has {n_merges} rows, but there are {len(leaves)} groups"
        )
    labels, sizes = state["labels_"], state["segment_sizes_"]
    found = np.bincount(labels[labels >= 0], minlength=len(sizes))
    if not np.array_equal(found, sizes):
        raise PersistenceError("segment_sizes_ are not those of labels_")
    if not np.isin(state["segment_signs_"], (-1, 1)).all():
        raise PersistenceError("segment_signs_ has others than 1 and -1")
    if not (
        (leaves[:, 0] >= 0).all()
        and (leaves[:, 0] < n_latents).all()
        and np.isin(leaves[:, 1], (-1, 1)).all()
        and (leaves[:, 2] >= 1).all()
    ):
        raise PersistenceError("merge_leaves_ are no latents, signs and sizes")


def _moments(name, n_dimensions, kind=lambda kind: kind):
    shape = (LATENTS, FEATURES)[:n_dimensions]
    return {
        f"{name}.first": kind(Array("float32", shape, finite=False)),
        f"{name}.second": kind(Array("float32", shape, finite=False)),
        f"{name}.n_steps": kind(Integer()),
        f"{name}.momentum_product": kind(Float()),
    }


# Where the parameter of the training is: rows of values at columns, or dense rows.
_ENTRIES = (ITEMS, "entries of a row")

COMPRESSED_ELSA = SavedEstimator(
    CompressedELSA,
    Fields(
        {
            "n_features_in_": Integer(dimension=ITEMS),
            "feature_names_in_": Optional(Names(ITEMS)),
            "item_popularity_": Array("int64", (ITEMS,), low=0),
            "anchors_": Array("int64", (LATENTS,), low=-1, below=ITEMS),
            "item_embeddings_": Csr((ITEMS, LATENTS)),
            "item_weights_": Optional(Nullable(Array("float32", (ITEMS,), low=0))),
            "item_slopes_": Nullable(Array("float32", (ITEMS,))),
            "item_intercepts_": Nullable(Array("float32", (ITEMS,))),
            "n_nonzero_": Integer(low=1, high=LATENTS),
            "loss_curve_": Floats(),
            "validation_scores_": Nullable(Floats()),
            "n_iter_": Integer(),
            "n_steps_": Integer(),
            "_has_labels": Flag(),
            "_training_state": Fields(
                {
                    "n_components": Integer(dimension=LATENTS),
                    "width": Integer(low=1, high=LATENTS),
                    "values": Array(REAL, _ENTRIES),
                    "columns": Nullable(Array("int32", _ENTRIES, low=0, below=LATENTS)),
                    "live": Nullable(Array("bool", _ENTRIES)),
                    "initial": Nullable(Array(REAL, _ENTRIES)),
                    "first": Array(REAL, _ENTRIES, finite=False),
                    "second": Array(REAL, _ENTRIES, finite=False),
                    "n_steps": Integer(),
                    "momentum_product": Float(),
                    "n_epochs": Integer(),
                },
                _check_entries,
            ),
        },
        _check_calibration,
    ),
)

COMPRESSED_ELSA_CV = SavedEstimator(
    CompressedELSACV,
    Fields(
        {
            "best_estimator_": Model("CompressedELSA"),
            "n_nonzero_grid_": Array("int64", ("n_levels",), low=1),
            "score_path_": Array("float64", ("n_levels", "n_folds")),
            "best_index_": Integer(),
            "best_score_": Float(),
            "n_nonzero_": Integer(low=1),
            "bytes_per_item_": Integer(),
        },
        _check_level,
    ),
    source="best_estimator_",
    shared=(
        "n_features_in_",
        "item_embeddings_",
        "item_popularity_",
        "anchors_",
        "loss_curve_",
        "n_iter_",
        "_has_labels",
    ),
    maybe_shared=("feature_names_in_", "item_weights_", "item_slopes_"),
)

COMPRES_SAE = SavedEstimator(
    CompresSAE,
    Fields(
        {
            "n_features_in_": Integer(dimension=FEATURES),
            "feature_names_in_": Optional(Names(FEATURES)),
            "components_": Array("float32", (LATENTS, FEATURES)),
            "encoder_components_": Array("float32", (LATENTS, FEATURES)),
            "encoder_intercept_": Array("float32", (LATENTS,)),
            "mean_": Nullable(Array("float32", (FEATURES,))),
            "item_embeddings_": Csr(("n_samples", LATENTS)),
            "reconstruction_norms_": Array("float64", ("n_samples",), low=0),
            "n_nonzero_": Integer(low=1, high=LATENTS),
            "dead_fraction_": Float(),
            "reconstruction_cosine_": Float(),
            "explained_variance_": Float(),
            "loss_curve_": Floats(),
            "n_iter_": Integer(),
            "n_steps_": Integer(),
            "_optimizer_state": Fields(
                _moments("decoder", 2)
                | _moments("intercept", 1)
                | _moments("encoder", 2, Optional)
                | {"n_epochs": Integer()},
                _check_encoder,
            ),
        }
    ),
)

LATENT_SEGMENTS = SavedEstimator(
    LatentSegments,
    Fields(
        {
            "n_features_in_": Integer(dimension=LATENTS),
            "feature_names_in_": Optional(Names(LATENTS)),
            "item_embeddings_": Csr((ITEMS, LATENTS), REAL),
            "item_names_": Nullable(Names(ITEMS)),
            "segment_names_": Names(SEGMENTS),
            "segment_ids_": Names(SEGMENTS),
            "segment_latents_": Array("int64", (SEGMENTS,), low=0, below=LATENTS),
            "segment_signs_": Array("int64", (SEGMENTS,)),
            "segment_sizes_": Array("int64", (SEGMENTS,), low=1),
            "segment_embeddings_": Csr((SEGMENTS, LATENTS), REAL),
            "labels_": Array("int64", (ITEMS,), low=-1, below=SEGMENTS),
            "memberships_": Csr((ITEMS, SEGMENTS), REAL),
            "pair_segments_": Array("int64", ("n_pairs",), low=-1, below=SEGMENTS),
            "merge_tree_": Array("float64", ("n_merges?", "columns of merge_tree_")),
            "merge_leaves_": Array("int64", ("n_groups?", "columns of merge_leaves_")),
            "former_ids_": Names("n_former_ids?"),
        },
        _check_segments,
    ),
)

CLASSES = {
    entry.cls.__name__: entry
    for entry in (
        COMPRESSED_ELSA,
        COMPRESSED_ELSA_CV,
        COMPRES_SAE,
        LATENT_SEGMENTS,
        CONCEPT_MAP,
        STEERABLE_RECOMMENDER,
        TRUNCATED_SVD,
        FROZEN_ESTIMATOR,
        SavedObject(SparseIndex),
    )
}
