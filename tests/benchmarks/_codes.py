"""What is compared at equal bytes: ways to make vectors small, and their settings."""

from dataclasses import dataclass

from _systems import CODE_RIVALS, System

OWN = "_run_codes.py"
N_COMPONENTS = 4096
# Bytes of a vector; a non-zero takes an uint16 index and a float16 value.
LEVELS = (16, 32, 64, 128, 256, 512)
BYTES_PER_NONZERO = 4
BYTES_PER_VALUE = 2
# The size that most of what is not about sizes is measured at.
MAIN = 128

# The order is that of the tables.
LABELS = {
    "dense": "all dimensions",
    "truncation": "truncation",
    "projection": "random projection",
    "pca": "PCA, uncentred",
    "matryoshka": "Matryoshka head",
    "pca-int8": "PCA, uncentred, int8",
    "pq": "faiss PQ",
    "opq": "faiss OPQ",
    "csr": "sentence-transformers CSR",
    "topksae": "compresso TopKSAE",
    "sae": "CompresSAE",
    "one": "CompresSAE, one model",
}
QUANTIZERS = ("pq", "opq")
# Dense codes of projections give the same lists whether or not the query is rounded.
SPACES = {
    "sparse": "sparse",
    "reconstructed": "reconstructed",
    "asymmetric": "asymmetric",
}
SAES = ("csr", "topksae", "sae", "one")
FAMILIES = tuple(LABELS)
PER_LEVEL = (*QUANTIZERS, "csr", "topksae", "sae")
OWN_FAMILIES = ("sae", "one")


@dataclass(frozen=True)
class CodeSystem(System):
    """A way to make vectors small; its settings do not depend on the data."""

    script: str = OWN

    def params_for(self, n_users, n_items):
        """Return the settings."""
        return self.params


# More vectors and iterations take many minutes; 40 of them gained 0.02 at 32 bytes.
ROTATION = {"niter": 10, "max_train_points": 10_000}
CSR = {
    "hidden_dim": N_COMPONENTS,
    "k_aux": 512,
    "normalize": True,
    "beta": 0.1,
    "gamma": 1.0,
    "learning_rate": 3e-3,
    "batch_size": 512,
    "max_iter": 10,
}
TOPKSAE = {"hidden_dim": N_COMPONENTS, "epochs": 10, "batch_size": 128, "lr": 1e-3}
MATRYOSHKA = {
    "max_iter": 10,
    "batch_size": 512,
    "learning_rate": 3e-3,
    "scale_learning_rate": 1e-2,
    "temperature": 0.05,
}
# Published: topk at k and 4k, weights 1 and 1/8, Adam at 1e-3.
REFERENCE = {
    "n_components": N_COMPONENTS,
    "n_nonzero": MAIN // BYTES_PER_NONZERO,
    "learning_rate": 1e-3,
}


def runs_of(family, levels=LEVELS):
    """Return the runs that make a curve.

    Parameters
    ----------
    family : str
        One of ``FAMILIES``.
    levels : sequence of int
        Bytes, for families that are trained level by level; the others have all sizes
        of one training.

    Returns
    -------
    dict
        Systems by the names of their records.
    """
    if family == "one":
        sizes = tuple(level // BYTES_PER_NONZERO for level in LEVELS)
        return {family: sae(n_nonzero=max(sizes), sizes=sizes, nested=True)}
    if family not in PER_LEVEL:
        params = MATRYOSHKA if family == "matryoshka" else {}
        width = 1 if family == "pca-int8" else BYTES_PER_VALUE
        sizes = tuple(level // width for level in LEVELS)
        system = CodeSystem(
            LABELS[family], family, params, sizes=() if family == "dense" else sizes
        )
        return {family: system}
    make = {
        "pq": _quantizer,
        "opq": _quantizer,
        "csr": _csr,
        "topksae": _topksae,
        "sae": _sae,
    }[family]
    return {f"{family}-{level}": make(family, level) for level in levels}


def _quantizer(family, level):
    params = {"n_bytes": level, **(ROTATION if family == "opq" else {})}
    return CodeSystem(LABELS[family], family, params, CODE_RIVALS)


def _csr(family, level):
    params = {**CSR, "k": level // BYTES_PER_NONZERO}
    return CodeSystem(LABELS[family], family, params, CODE_RIVALS)


def _topksae(family, level):
    params = {**TOPKSAE, "k": level // BYTES_PER_NONZERO}
    return CodeSystem(LABELS[family], family, params, CODE_RIVALS)


def _sae(family, level):
    return sae(n_nonzero=level // BYTES_PER_NONZERO)


def sae(*, n_nonzero=MAIN // BYTES_PER_NONZERO, sizes=(), kind="sae", **params):
    """Return a CompresSAE with the usual number of components."""
    params = {"n_components": N_COMPONENTS, "n_nonzero": n_nonzero, **params}
    label = LABELS["one" if sizes else "sae"]
    return CodeSystem(label, kind, params, sizes=sizes)


def speed_runs(own_epochs=(1, 2, 3, 5, 10)):
    """Return what is timed beside the published implementation.

    Parameters
    ----------
    own_epochs : sequence of int
        Trainings of CompresSAE, each to its end: its step size falls over a training,
        so that a longer one cut short would not be the same.

    Returns
    -------
    dict
        Systems by the names of their records.
    """
    label = "published implementation, dense autograd, batches of {}"
    runs = {
        f"reference-{batch_size}": CodeSystem(
            label.format(batch_size),
            "reference",
            {**REFERENCE, "batch_size": batch_size, "max_iter": max_iter},
        )
        # Ten epochs of the faster one; three are enough to time the other.
        for batch_size, max_iter in ((1024, 10), (512, 3))
    }
    runs |= {f"sae-epochs-{n}": sae(max_iter=n) for n in own_epochs}
    for precision in ("float32", "bfloat16"):
        runs[f"encoding-{precision}"] = sae(
            kind="encoding", max_iter=1, precision=precision
        )
    return runs
