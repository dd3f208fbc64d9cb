"""What groups items by latents, and what that is compared with."""

from dataclasses import replace

from _systems import N_COMPONENTS, SEGMENT_RIVALS, System, compresso

OWN = "_run_segments.py"
# What follows: clusterings of the same items, and pages of the same model.
CLUSTERS, PAGES = "_run_clusters.py", "_run_rows.py"


def _own(label, *, audience=False, assign="latent", **estimator):
    params = {
        "estimator": {"n_components": N_COMPONENTS, **estimator},
        "audience": audience,
        "segments": {"assign": assign},
    }
    return System(label, "segments", params, OWN)


SEGMENT_SYSTEMS = {
    "audience": _own(
        'LatentSegments(assign="nearest") of audience_embeddings',
        audience=True,
        assign="nearest",
    ),
    "audience-latent": _own("LatentSegments of audience_embeddings", audience=True),
    "segments": _own("LatentSegments of CompressedELSA()"),
    "nearest": _own(
        'LatentSegments(assign="nearest") of CompressedELSA()', assign="nearest"
    ),
    "segments-256-8": _own(
        "LatentSegments of CompressedELSA(256, n_nonzero=8)",
        n_components=256,
        n_nonzero=8,
    ),
    "codes": System(
        "LatentSegments of CompresSAE(512, n_nonzero=4) of SVD factors",
        "codes",
        {"coder": {"n_components": 512, "n_nonzero": 4}, "segments": {}},
        OWN,
    ),
    "compresso": replace(
        compresso("compresso-recsys, compressed ELSA, dominant clustering"),
        script=SEGMENT_RIVALS,
    ),
}
