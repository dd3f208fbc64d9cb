"""What is compared at equal bytes: families of systems, one curve each."""

from _systems import (
    POPULARITY,
    POPULARITY_WEIGHTS,
    System,
    compresso,
    elsa,
    paper,
)

LEVELS = (8, 16, 32, 64, 128, 256)
# A dense value takes half the bytes of a non-zero, so that up to 512 dimensions are the
# sizes of the levels; the best dense model may be larger.
DENSE_SIZES = (16, 32, 64, 128, 256, 512)
PRUNED_SIZE = 1024
LARGEST_DENSE = 2048
# The width takes no bytes: four times the usual one.
WIDE = 4096
# On large catalogues a run of these takes half an hour: by default one seed, and some
# of the levels.
LARGE_DATASETS = ("gowalla",)
SLOW_LEVELS = {
    "anchors-wide": (8, 16, 32),
    "paper": (8, 32, 128),
    "compresso": (32,),
}
SLOW = (*SLOW_LEVELS, "elsa-dense", "elsa-pruned", "elsa-coded", "ease-pruned")

# The families that --set changes; the product as a user has it.
OWN = ("anchors-path", "anchors-fit", "anchors-weighted", "anchors-wide")

# The order is that of the tables.
LABELS = {
    "popularity": POPULARITY.label,
    "anchors-path": "CompressedELSA, one path",
    "anchors-fit": "CompressedELSA, a fit for each level",
    "anchors-weighted": "CompressedELSA, one path, popularity weighted",
    "anchors-wide": f"CompressedELSA, one path, popularity weighted, {WIDE} components",
    "paper": "the paper's method",
    "compresso": "compresso-recsys",
    "elsa-pruned": "dense ELSA, pruned afterwards",
    "elsa-coded": "dense ELSA, then CompresSAE",
    "elsa-dense": "dense ELSA",
    "svd": "truncated SVD",
    "ease-pruned": "EASE, pruned",
    "ease": "EASE",
}
# EASE itself is a point of the runs that prune it.
FAMILIES = tuple(family for family in LABELS if family != "ease")


def runs_of(family, levels):
    """Return the runs that make a curve.

    Parameters
    ----------
    family : str
        One of ``FAMILIES``.
    levels : sequence of int
        Non-zeros of an item. Runs that cost the same with any number of levels ignore
        it, as do the dense models, whose sizes do not follow from it; those of the
        wide path cost much more with high ones.

    Returns
    -------
    dict
        Systems by the names of their records.
    """
    label = LABELS[family]
    dense = {"sizes": LEVELS, "n_components": PRUNED_SIZE, "n_nonzero": None}
    whole = {
        "popularity": POPULARITY,
        "anchors-path": elsa(label, kind="elsa-path", sizes=LEVELS),
        "anchors-weighted": elsa(
            label, kind="elsa-path", sizes=LEVELS, **POPULARITY_WEIGHTS
        ),
        "anchors-wide": elsa(
            label,
            kind="elsa-path",
            sizes=tuple(levels),
            n_components=WIDE,
            **POPULARITY_WEIGHTS,
        ),
        # The dense model that is pruned is itself a point of "elsa-dense".
        "elsa-pruned": elsa(label, kind="elsa-pruned", **dense),
        "elsa-coded": elsa(label, kind="elsa-coded", **dense),
        "ease-pruned": System(label, "ease-pruned", sizes=LEVELS, tuned=True),
        "svd": System(label, "svd", sizes=DENSE_SIZES),
    }
    if family in whole:
        return {family: whole[family]}
    make = {
        "anchors-fit": lambda n: elsa(label, n_nonzero=n),
        "paper": lambda n: paper("exponential", rewind=True, n_nonzero=n),
        "compresso": lambda n: compresso(label, n_nonzero=n),
        "elsa-dense": lambda n: elsa(label, n_components=n, n_nonzero=None),
    }[family]
    if family == "elsa-dense":
        levels = (*DENSE_SIZES, LARGEST_DENSE)
    return {f"{family}-{n}": make(n) for n in levels}


def default_runs(family, dataset, is_first_seed, levels=None):
    """Return the runs of a family that are done unless something else is asked for.

    Parameters
    ----------
    family, dataset : str
    is_first_seed : bool
    levels : sequence of int, default=None
        Those of the command line.

    Returns
    -------
    dict
        As `runs_of`.
    """
    is_slow = dataset in LARGE_DATASETS and family in SLOW
    if is_slow and not is_first_seed:
        return {}
    # One run of all levels has one name, so that they are no matter of choice.
    if levels is None or family == "anchors-wide":
        levels = SLOW_LEVELS.get(family, LEVELS) if is_slow else LEVELS
    return runs_of(family, levels)
