"""Child process: SparseIndex, scipy and torch, in the interpreter of the package."""

import time
import warnings

import numpy as np
import torch
from _search_process import LOADS, run_search

from sksparse_rec import SparseIndex

PACKAGES = ("numpy", "scipy", "torch", "numba", "scikit-learn")
STREAM_BYTES = 1 << 29


class Index:
    """SparseIndex."""

    loads = tuple(LOADS)

    def __init__(self, items, dtype, inverted):
        self.index = SparseIndex(items, dtype=dtype, inverted=inverted)
        self.nbytes = self.index.nbytes
        if dtype == "float16":
            # Values are off by half of the last of 11 bits, both of a pair compared.
            self.rounding = 2.0**-10
        self.facts = {
            "nnz": len(self.index.values),
            "bytes_per_entry": self.index.values.itemsize + 2,
            "memory_bandwidth": memory_bandwidth(),
        }

    def search(self, Q, k):
        """Search."""
        return self.index.search_ids(Q, k)[0]


class Scipy:
    """CSR times dense, and numpy's partition."""

    loads = tuple(LOADS)

    def __init__(self, items):
        self.items = items
        self.nbytes = _nbytes(items)

    def search(self, Q, k):
        """Search."""
        Q = Q.toarray() if hasattr(Q, "toarray") else Q
        scores = np.ascontiguousarray((self.items @ np.ascontiguousarray(Q.T)).T)
        places = np.argpartition(scores, -k, axis=1)[:, -k:]
        order = np.argsort(-np.take_along_axis(scores, places, axis=1), axis=1)
        return np.take_along_axis(places, order, axis=1)


class Torch:
    """Torch's CSR times dense, and its topk."""

    loads = tuple(LOADS)

    def __init__(self, items):
        parts = (items.indptr, items.indices, items.data)
        parts = (torch.from_numpy(np.asarray(part)) for part in parts)
        starts, columns, values = parts
        parts = starts.int(), columns.int(), values, items.shape
        with warnings.catch_warnings():
            # Torch says that its CSR is not finished.
            warnings.simplefilter("ignore", UserWarning)
            self.items = torch.sparse_csr_tensor(*parts, check_invariants=True)
        self.nbytes = _nbytes(items)

    def search(self, Q, k):
        """Search."""
        Q = Q.toarray() if hasattr(Q, "toarray") else Q
        scores = (self.items @ torch.from_numpy(Q).T.contiguous()).T.contiguous()
        return scores.topk(k, dim=1).indices.numpy()


def _nbytes(items):
    return items.data.nbytes + items.indices.nbytes + items.indptr.nbytes


def memory_bandwidth():
    """Return the bytes a second that all threads read, at best."""
    stream = torch.ones(STREAM_BYTES // 4)
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        stream.sum()
        seconds.append(time.perf_counter() - started)
    return STREAM_BYTES / min(seconds)


def make_searcher(task, items):
    """Make what the task names."""
    torch.set_num_threads(task["threads"])
    if task["kind"] == "index":
        return Index(items, **task["params"])
    return {"scipy": Scipy, "torch": Torch}[task["kind"]](items)


if __name__ == "__main__":
    run_search(make_searcher, PACKAGES)
