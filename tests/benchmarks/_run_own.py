"""Child process: the systems that run in the interpreter of the package."""

import torch
from _baselines import EASE, SVD, Popularity, PrunedEASE
from _estimators import CodedElsa, Elsa, ElsaPath, PrunedElsa
from _process import run_task

PACKAGES = ("numpy", "scipy", "torch", "numba", "scikit-learn", "sksparse-rec")
KINDS = {
    "popularity": lambda task: Popularity(),
    "ease": lambda task: EASE(),
    "ease-pruned": lambda task: PrunedEASE(task["sizes"]),
    "svd": lambda task: SVD(task["sizes"], task["seed"]),
    "elsa": Elsa,
    "elsa-pruned": PrunedElsa,
    "elsa-coded": CodedElsa,
    "elsa-path": ElsaPath,
}


def make_model(task):
    """Make the model that a task asks for."""
    torch.set_num_threads(task["threads"])
    return KINDS[task["kind"]](task)


if __name__ == "__main__":
    run_task(make_model, PACKAGES)
