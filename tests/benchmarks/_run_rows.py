"""Child process: pages made of segments, of clusters, of tags, and one list."""

import json
import sys
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from _process import versions_of
from _run_segments import PACKAGES, fit_segments
from _segment_clusters import cluster_alike, fill_in, make_factors
from _segment_rows import N_ROWS, ROW_LENGTH, as_list, lay_out
from _segment_scores import members_of
from sklearn.base import clone
from sklearn.preprocessing import normalize

# Pages by ``LatentSegments.layout``: parameters of the segments, and diversity.
LAYOUTS = {
    "layout": ({}, 0.0),
    "layout, n_latents=8": ({"n_latents": 8}, 0.0),
    "layout, n_latents=8, diversity 0.3": ({"n_latents": 8}, 0.3),
    "layout, n_latents=32": ({"n_latents": 32}, 0.0),
    "layout, n_latents=32, min_size=1": ({"n_latents": 32, "min_size": 1}, 0.0),
}


def main():
    """Run the task that the command line names."""
    task = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(task["threads"])
    paths = {
        name: sp.csr_array(sp.load_npz(path)) for name, path in task["paths"].items()
    }
    train, history, tags = paths["train"], paths["history"], paths["tags"]
    model, segments, rows = fit_segments(task, train, task["seed"])
    profiles = model.transform(history)
    scores = (profiles @ model.item_embeddings_.T).toarray()
    scores = np.maximum(scores, 0)
    scores[history.nonzero()] = 0
    labels = segments.labels_
    filled = fill_in(labels, rows)
    factors = normalize(make_factors(train, task["seed"]))
    clusters = cluster_alike(filled, factors, "kmeans", task["seed"])
    found = {
        "one list": as_list(scores),
        "segments": lay_out(scores, members_of(labels).T.tocsr()),
        "segments, all items": lay_out(scores, members_of(filled).T.tocsr()),
        "k-means of SVD, all items": lay_out(scores, members_of(clusters).T.tocsr()),
        "tags": lay_out(scores, tags),
    }
    for name, (params, diversity) in LAYOUTS.items():
        others = clone(segments).set_params(**params).fit(rows)
        found[name] = others.layout(
            profiles,
            N_ROWS,
            ROW_LENGTH,
            seen=history,
            item_embeddings=model.item_embeddings_,
            diversity=diversity,
        ).items
    np.savez(task["found"], **found)
    report = {"n_groups": int(labels.max() + 1), "versions": versions_of(PACKAGES)}
    Path(task["report"]).write_text(json.dumps(report))


if __name__ == "__main__":
    main()
