"""Child process: clusterings of factors, with as many groups as latents made."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from _estimators import on_device
from _process import versions_of
from _segment_clusters import cluster_alike, fill_in, make_factors
from _segment_process import OTHER_SEED, fewer_users, load_groups
from sklearn.preprocessing import normalize

from sksparse_rec import CompressedELSA

PACKAGES = ("numpy", "scipy", "torch", "scikit-learn", "sksparse-rec")


def main():
    """Run the task that the command line names."""
    task = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(task["threads"])
    X = sp.csr_array(sp.load_npz(task["paths"]["train"]))
    groups, embeddings = load_groups(task["paths"]["groups"])
    factors = all_factors(X, task)
    found, points = {}, []
    filled = fill_in(groups["labels"], embeddings)
    for coverage, labels in (("covered", groups["labels"]), ("all", filled)):
        if coverage == "covered" or (labels != groups["labels"]).any():
            others = clusterings(labels, factors, task)
        alike = {"latents": (labels, None), **others}
        for name, (other, seconds) in alike.items():
            found[f"{name} {coverage}"] = other
            points.append({"name": name, "coverage": coverage, "seconds": seconds})
    if "retrained" in groups:
        found |= {
            f"latents {name}": groups[name] for name in ("other seed", "retrained")
        }
        found |= clusterings_again(groups["labels"], X, task["seed"])
    np.savez(task["found"], **found)
    report = {"points": points, "versions": versions_of(PACKAGES)}
    Path(task["report"]).write_text(json.dumps(report))


def all_factors(X, task):
    """Return the factors by name: SVD as they are and as unit rows, and dense ELSA."""
    path = Path(task["paths"]["factors"])
    if not path.exists():
        svd = make_factors(X, task["seed"])
        params = {"random_state": task["seed"], **on_device(task)}
        dense = CompressedELSA(n_nonzero=None, **params).fit(X)
        dense = sp.csr_array(dense.item_embeddings_).toarray()
        np.savez(path, **{"svd": normalize(svd), "svd-raw": svd, "elsa": dense})
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def clusterings(labels, factors, task):
    """Return the labels and seconds of every clustering."""
    found = {}
    for name, rows in factors.items():
        for method in ("kmeans", "ward"):
            if (name, method) == ("svd-raw", "ward"):
                continue
            started = time.perf_counter()
            other = cluster_alike(labels, rows, method, task["seed"])
            found[f"{method}-{name}"] = other, time.perf_counter() - started
    return found


def clusterings_again(labels, X, seed):
    """Return k-means of SVD factors with another seed, and of fewer users."""
    other, before = seed + OTHER_SEED, fewer_users(X, seed)
    return {
        f"kmeans-svd {name}": cluster_alike(
            labels, normalize(make_factors(data, a_seed)), "kmeans", a_seed
        )
        for name, data, a_seed in (
            ("other seed", X, other),
            ("retrained", before, seed),
        )
    }


if __name__ == "__main__":
    main()
