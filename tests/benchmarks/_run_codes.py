"""Child process: ways to make vectors small, in the interpreter of the package."""

from _code_dense import PCA, Dense, Matryoshka, Projection, RoundedPCA, Truncation
from _code_process import run_codes
from _code_reference import Reference

PACKAGES = ("numpy", "scipy", "torch", "numba", "scikit-learn", "sksparse-rec")
KINDS = {
    "dense": Dense,
    "truncation": Truncation,
    "projection": Projection,
    "pca": PCA,
    "pca-int8": RoundedPCA,
    "matryoshka": Matryoshka,
    "reference": Reference,
}


def make_model(task):
    """Make the model that a task asks for."""
    if task["kind"] in KINDS:
        return KINDS[task["kind"]](task)
    # The others need none of what CompresSAE imports.
    from _code_estimators import Encoding, Searched

    return {"sae": Searched, "encoding": Encoding}[task["kind"]](task)


if __name__ == "__main__":
    run_codes(make_model, PACKAGES)
