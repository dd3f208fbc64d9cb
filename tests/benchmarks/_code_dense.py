"""Dense ways to make vectors small: projections of several kinds."""

import torch
from _code_search import dense_level, unit

INT8 = 127
# How many vectors decide where a training starts.
TRIAL_ROWS = 1024


class Dense:
    """All dimensions in 16 bits: the size and the speed to compare with."""

    def __init__(self, task):
        self.sizes = task["sizes"]
        self.seed = task["seed"]
        self.params = task["params"]

    def fit(self, X):
        """Note how wide the vectors are."""
        self.n_features = X.shape[1]

    def levels(self):
        """Yield the one size that there is."""
        yield dense_level(self.n_features, lambda X: X)

    def describe(self):
        """Return nothing to record beside the settings."""
        return {}

    def _fitting(self):
        """Return the sizes that are not larger than the vectors."""
        return [size for size in self.sizes if size <= self.n_features]


class Truncation(Dense):
    """The first dimensions."""

    def levels(self):
        """Yield all sizes."""
        for size in self._fitting():
            yield dense_level(size, lambda X, size=size: X[:, :size])


class Projection(Dense):
    """Gaussian directions, which see no data."""

    def levels(self):
        """Yield all sizes."""
        generator = torch.Generator().manual_seed(self.seed)
        for size in self.sizes:
            W = torch.randn(self.n_features, size, generator=generator)
            yield dense_level(size, lambda X, W=W: X @ W)


class PCA(Dense):
    """The directions of the largest second moments: no mean is subtracted."""

    def fit(self, X):
        """Factor the matrix of second moments."""
        super().fit(X)
        X = torch.from_numpy(X)
        _, vectors = torch.linalg.eigh((X.T @ X).double())
        self.directions = vectors.flip(1).float()

    def levels(self):
        """Yield all sizes."""
        for size in self._fitting():
            W = self.directions[:, :size].contiguous()
            yield dense_level(size, lambda X, W=W: X @ W)


class RoundedPCA(PCA):
    """PCA with a byte for each dimension: each has a step of its own."""

    def fit(self, X):
        """Find the largest values as well."""
        super().fit(X)
        self.largest = {
            size: unit(torch.from_numpy(X) @ self.directions[:, :size])
            .abs()
            .amax(dim=0)
            .clamp(min=1e-12)
            for size in self._fitting()
        }

    def levels(self):
        """Yield all sizes."""
        for size in self._fitting():
            W = self.directions[:, :size].contiguous()
            steps = self.largest[size] / INT8
            yield dense_level(
                size,
                lambda X, W=W: X @ W,
                n_bytes=size,
                # Stored are the whole numbers, and the steps once for all vectors.
                quantize=lambda Z, steps=steps: (
                    (Z / steps).round().clamp(-INT8, INT8) * steps
                ),
            )


class Matryoshka(PCA):
    """One linear head whose leading dimensions are themselves good embeddings.

    Its prefixes learn the softmax over the similarities in a batch that the whole
    vectors have, each with a temperature of its own. It starts at the directions of PCA
    or at the dimensions as they are, whichever is better.
    """

    def fit(self, X):
        """Train."""
        super().fit(X)
        params, X, sizes = self.params, torch.from_numpy(X), self._fitting()
        temperature = params["temperature"]
        scales = torch.zeros(len(sizes), requires_grad=True)

        def loss_of(rows, W):
            return prefix_loss(rows, W, sizes, temperature, scales.exp())

        with torch.no_grad():
            starts = self.directions, torch.eye(self.n_features)
            W = min(starts, key=lambda W: loss_of(X[:TRIAL_ROWS], W))
        W = W[:, : max(sizes)].clone().requires_grad_()
        optimizer = torch.optim.Adam(
            [
                {"params": [W], "lr": params["learning_rate"]},
                {"params": [scales], "lr": params["scale_learning_rate"]},
            ]
        )
        batch_size = min(params["batch_size"], len(X))
        n_batches = len(X) // batch_size
        schedule = torch.optim.lr_scheduler.LinearLR(
            optimizer, 1, 0.01, total_iters=params["max_iter"] * n_batches
        )
        generator = torch.Generator().manual_seed(self.seed)
        for _ in range(params["max_iter"]):
            order = torch.randperm(len(X), generator=generator)
            for rows in order[: n_batches * batch_size].split(batch_size):
                optimizer.zero_grad()
                loss_of(X[rows], W).backward()
                optimizer.step()
                schedule.step()
        self.directions = W.detach()


def prefix_loss(X, W, sizes, temperature, scales=None):
    """Return how far the similarities of prefixes are from those of whole vectors.

    Parameters
    ----------
    X : Tensor of shape (n_vectors, n_features)
        Unit rows.
    W : Tensor of shape (n_features, n_dimensions)
    sizes : sequence of int
        Lengths of the prefixes of ``X @ W``.
    temperature : float
        Of the softmax over the other vectors.
    scales : Tensor of shape (len(sizes),), default=None
        What the similarities of the prefixes are multiplied by; None is ones.

    Returns
    -------
    Tensor
        Mean cross-entropy over vectors and prefixes.
    """
    itself = torch.eye(len(X), dtype=torch.bool)
    targets = (X @ X.T / temperature).masked_fill(itself, -torch.inf).softmax(dim=1)
    scales = torch.ones(len(sizes)) if scales is None else scales
    Z, loss = X @ W, 0.0
    for size, scale in zip(sizes, scales, strict=True):
        P = unit(Z[:, :size])
        similarities = (P @ P.T * (scale / temperature)).masked_fill(itself, -1e4)
        loss = loss - (targets * similarities.log_softmax(dim=1)).sum() / len(X)
    return loss / len(sizes)
