"""The published way to train sparse codes: everything dense, by autograd."""

import time

import numpy as np
import scipy.sparse as sp
import torch
from _code_search import sparse_level

AUXILIARY_FACTOR = 4
AUXILIARY_WEIGHT = 1 / 8
ROWS_PER_BLOCK = 1024


class Reference(torch.nn.Module):
    """Random start, masks of the k and the 4k largest, dense decoder, Adam."""

    def __init__(self, task):
        super().__init__()
        self.params, self.seed = task["params"], task["seed"]

    def fit(self, X):
        """Train, and time every epoch."""
        params, X = self.params, torch.from_numpy(X)
        torch.manual_seed(self.seed)
        n_components = params["n_components"]
        self.encoder = torch.nn.Linear(X.shape[1], n_components)
        self.decoder = torch.nn.Parameter(torch.randn(n_components, X.shape[1]))
        optimizer = torch.optim.Adam(self.parameters(), lr=params["learning_rate"])
        self.epoch_seconds = []
        for _ in range(params["max_iter"]):
            started = time.perf_counter()
            for rows in torch.randperm(len(X)).split(params["batch_size"]):
                self._normalize_decoder()
                optimizer.zero_grad()
                self._loss(X[rows]).backward()
                optimizer.step()
            self.epoch_seconds.append(time.perf_counter() - started)
        self._normalize_decoder()

    def _loss(self, X):
        latents, k = self.encoder(X), self.params["n_nonzero"]
        loss = 0.0
        for n_nonzero, weight in ((k, 1), (AUXILIARY_FACTOR * k, AUXILIARY_WEIGHT)):
            n_nonzero = min(n_nonzero, latents.shape[1])
            kept = latents.detach().abs().topk(n_nonzero, dim=1).indices
            mask = torch.zeros_like(latents).scatter_(1, kept, 1)
            rebuilt = (latents * mask) @ self.decoder
            cosines = torch.nn.functional.cosine_similarity(rebuilt, X, dim=1)
            loss = loss + weight * (1 - cosines).mean()
        return loss

    @torch.no_grad()
    def _normalize_decoder(self):
        self.decoder.copy_(torch.nn.functional.normalize(self.decoder, dim=1))

    @torch.no_grad()
    def encode(self, X):
        """Return the codes of vectors."""
        blocks = torch.from_numpy(X).split(ROWS_PER_BLOCK)
        k = self.params["n_nonzero"]
        return sp.vstack(
            [top_codes(self.encoder(rows), k) for rows in blocks], format="csr"
        )

    def levels(self):
        """Yield the size that was trained."""
        decoder = self.decoder.detach().numpy()
        yield sparse_level("reference", self.params["n_nonzero"], self.encode, decoder)

    def describe(self):
        """Describe the epochs."""
        return {"epoch_seconds": self.epoch_seconds}


def top_codes(latents, k):
    """Return the k largest of every row by magnitude.

    Parameters
    ----------
    latents : Tensor of shape (n_vectors, n_components)
    k : int

    Returns
    -------
    csr_array of the same shape, float32
    """
    columns = latents.abs().topk(k, dim=1).indices.sort(dim=1).values
    values = latents.gather(1, columns)
    starts = np.arange(len(latents) + 1) * k
    return sp.csr_array(
        (values.numpy().ravel(), columns.numpy().ravel(), starts), shape=latents.shape
    )
