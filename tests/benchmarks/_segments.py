"""What groups items by latents, and what that is compared with."""

from dataclasses import replace

from _systems import N_COMPONENTS, SEGMENT_RIVALS, System, compresso

OWN = "_run_segments.py"
# What follows: clusterings of the same items, and pages of the same model.
CLUSTERS, PAGES = "_run_clusters.py", "_run_rows.py"


def _own(label, kind="segments", nearest=False, **estimator):
    params = {
        "estimator": {"n_components": N_COMPONENTS, **estimator},
        "segments": {},
        "nearest": nearest,
    }
    return System(label, kind, params, OWN)


SEGMENT_SYSTEMS = {
    "segments": _own("LatentSegments of CompressedELSA()"),
    "segments-256-8": _own(
        "LatentSegments of CompressedELSA(256, n_nonzero=8)",
        n_components=256,
        n_nonzero=8,
    ),
    "users": _own("LatentSegments of what users like", "users"),
    "users-nearest": _own(
        "LatentSegments of what users like, every item to the nearest",
        "users",
        nearest=True,
    ),
    "users-256-8": _own(
        "LatentSegments of what users like, CompressedELSA(256, n_nonzero=8)",
        "users",
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
