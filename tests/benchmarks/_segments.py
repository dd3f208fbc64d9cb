"""What groups items by latents, and what that is compared with."""

from dataclasses import dataclass

from _systems import N_COMPONENTS, System, compresso

OWN_SCRIPT, RIVAL_SCRIPT = "_run_segments.py", "_run_compresso_segments.py"
CLUSTERS_SCRIPT, PAGES_SCRIPT = "_run_clusters.py", "_run_rows.py"


@dataclass(frozen=True)
class SegmentSystem(System):
    """A way to group, and whose interpreter it runs in."""

    script: str = OWN_SCRIPT

    @property
    def is_rival(self):
        """Whether it runs in the rivals' interpreter."""
        return self.script == RIVAL_SCRIPT


def _own(label, kind="segments", nearest=False, **estimator):
    params = {
        "estimator": {"n_components": N_COMPONENTS, **estimator},
        "segments": {},
        "nearest": nearest,
    }
    return SegmentSystem(label, kind, params)


_COMPRESSO = compresso("compresso-recsys, compressed ELSA, dominant clustering")
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
    "codes": SegmentSystem(
        "LatentSegments of CompresSAE(512, n_nonzero=4) of SVD factors",
        "codes",
        {"coder": {"n_components": 512, "n_nonzero": 4}, "segments": {}},
    ),
    "compresso": SegmentSystem(
        _COMPRESSO.label,
        _COMPRESSO.kind,
        _COMPRESSO.params,
        script=RIVAL_SCRIPT,
        large_params=_COMPRESSO.large_params,
    ),
}
# What the child processes that train nothing of the above are run as.
CLUSTERS = SegmentSystem("clusterings", "clusters", script=CLUSTERS_SCRIPT)
PAGES = SegmentSystem("pages", "rows", script=PAGES_SCRIPT)
