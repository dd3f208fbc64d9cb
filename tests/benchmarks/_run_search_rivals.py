"""Child process: faiss and sparse_dot_topn, in their interpreter."""

import numpy as np
from _search_process import LOADS, run_search

PACKAGES = ("numpy", "scipy", "faiss-cpu", "sparse_dot_topn")


class Flat:
    """Exact search of dense vectors; a code is a vector too."""

    loads = ("profiles", "one profile")

    def __init__(self, items, threads):
        import faiss

        faiss.omp_set_num_threads(threads)
        self.index = faiss.IndexFlatIP(items.shape[1])
        self.index.add(items)
        self.nbytes = items.nbytes

    def search(self, Q, k):
        """Search."""
        return self.index.search(np.ascontiguousarray(Q), k)[1]


class SparseDotTopN:
    """Sparse times sparse, of which the best of every row are kept."""

    loads = tuple(LOADS)

    def __init__(self, items, threads):
        from scipy.sparse import csr_matrix

        self.to_csr, self.threads = csr_matrix, threads
        self.latents = csr_matrix(items.T)
        self.nbytes = sum(
            array.nbytes
            for array in (self.latents.data, self.latents.indices, self.latents.indptr)
        )

    def search(self, Q, k):
        """Search."""
        from sparse_dot_topn import sp_matmul_topn

        # It leaves out negative scores unless told otherwise.
        R = sp_matmul_topn(
            self.to_csr(Q),
            self.latents,
            top_n=k,
            sort=True,
            threshold=-np.inf,
            n_threads=self.threads,
        )
        ids = np.full((R.shape[0], k), -1, np.int64)
        lengths = np.diff(R.indptr)
        inside = np.arange(k) < lengths[:, None]
        ids[inside] = R.indices
        return ids


def make_searcher(task, items):
    """Make what the task names."""
    kinds = {"flat": Flat, "sparse-dot-topn": SparseDotTopN}
    return kinds[task["kind"]](items, task["threads"])


if __name__ == "__main__":
    run_search(make_searcher, PACKAGES)
