"""Child process: dominant clustering of compresso, in the rivals' interpreter."""

import numpy as np
import scipy.sparse as sp
from _run_compresso import PACKAGES, Compresso
from _segment_process import MIN_SIZE, run_trainings
from compresso.clustering import DominantSignedClustering


def make_trainer(task):
    """Make what the task asks for."""

    def train(X, seed):
        model = Compresso({**task, "seed": seed})
        model.trainer.fit(X)
        packed = model.trainer.elsa.export_item_embeddings()
        clusters = DominantSignedClustering(min_cluster_size=MIN_SIZE)(packed)
        labels = np.full(X.shape[1], -1)
        for label, cluster in enumerate(clusters.active_clusters):
            labels[cluster.entity_indices] = label
        return labels, to_csr(packed)

    return train


def to_csr(packed):
    """Return rows of as many entries each as CSR."""
    n_rows, width = packed.cols.shape
    values = packed.vals.detach().cpu().numpy().ravel()
    columns = packed.cols.cpu().numpy().ravel()
    starts = np.arange(0, n_rows * width + 1, width)
    return sp.csr_matrix((values, columns, starts), shape=tuple(packed.shape))


if __name__ == "__main__":
    run_trainings(make_trainer, PACKAGES)
