"""Child process: faiss and the sparse autoencoders of others, in their interpreter."""

import scipy.sparse as sp
import torch
from _code_process import Level, Search, run_codes
from _code_reference import top_codes
from _code_search import sparse_level

PACKAGES = (
    "numpy",
    "scipy",
    "torch",
    "faiss-cpu",
    "sentence-transformers",
    "compresso-recsys",
    "compresso-pytorch",
)
BITS = 8
ROWS_PER_BLOCK = 1024


class Quantizer:
    """Product quantisation of faiss, with whole queries and with their codes."""

    def __init__(self, task):
        import faiss

        self.faiss, self.options = faiss, dict(task["params"])
        self.n_bytes = self.options.pop("n_bytes")
        self.family = task["kind"]
        self.rotates = self.family == "opq"
        self.seed = task["seed"]
        faiss.omp_set_num_threads(task["threads"])

    def warm_up(self, X):
        """Train codebooks alone; a rotation takes minutes whatever the data."""
        self.rotation = None
        self._train_codebooks(X, 1)

    def fit(self, X):
        """Train the codebooks, after a rotation where it is asked for."""
        width = X.shape[1]
        if self.rotates:
            # To the most dimensions that as many parts as there are bytes divide.
            n_parts = min(self.n_bytes, width)
            self.rotation = self.faiss.OPQMatrix(
                width, n_parts, width // n_parts * n_parts
            )
            for name, value in self.options.items():
                setattr(self.rotation, name, value)
            self.rotation.train(X)
        else:
            n_parts = largest_divisor(width, self.n_bytes)
            self.rotation = None
        self._train_codebooks(X, n_parts)

    def _train_codebooks(self, X, n_parts):
        Z = self._rotate(X)
        # Better here than the distance, by up to 0.01 of recall@100.
        product = self.faiss.METRIC_INNER_PRODUCT
        self.index = self.faiss.IndexPQ(Z.shape[1], n_parts, BITS, product)
        self.index.pq.cp.seed = self.seed + 1
        # Warns of fewer; it changes nothing else.
        self.index.pq.cp.min_points_per_centroid = 1
        self.index.train(Z)
        self.n_parts = n_parts

    def _rotate(self, X):
        return X if self.rotation is None else self.rotation.apply(X)

    def levels(self):
        """Yield the size that was trained."""
        facts = {"size": self.n_parts, "bytes": self.n_parts * BITS // 8}
        searches = (
            Search({}, lambda codes: self._prepare(codes, lambda Q: Q)),
            Search(
                {"family": f"{self.family}-symmetric"},
                lambda codes: self._prepare(codes, self._rebuild),
            ),
        )
        yield Level(facts, lambda X: self.index.sa_encode(self._rotate(X)), searches)

    def _rebuild(self, rotated):
        return self.index.sa_decode(self.index.sa_encode(rotated))

    def _prepare(self, codes, see):
        self.index.reset()
        self.index.add_sa_codes(codes)

        def search(queries, k):
            seen = see(self._rotate(queries))
            return self.index.search(seen, min(k, len(codes)))[1]

        return search

    def describe(self):
        """Return nothing to record beside the settings."""
        return {}


def largest_divisor(number, limit):
    """Return the largest divisor of a number that is not above a limit."""
    return max(n for n in range(1, limit + 1) if number % n == 0)


class SparseCoder:
    """What the sparse autoencoders of others have in common."""

    def __init__(self, task):
        self.params, self.seed = dict(task["params"]), task["seed"]
        self.k = self.params.pop("k")
        self.device = task.get("device") or "cpu"

    def levels(self):
        """Yield the size that was trained."""
        with torch.no_grad():
            decoder = self.decoder().cpu().numpy()
        yield sparse_level(self.family, self.k, self.encode, decoder)

    def describe(self):
        """Return nothing to record beside the settings."""
        return {}


class CSR(SparseCoder):
    """The sparse autoencoder of sentence-transformers and its loss for CSR.

    There is no text, so a vector is its own positive, as in the unsupervised training
    of the paper, and the others of a batch are the negatives.
    """

    family = "csr"

    def fit(self, X):
        """Train."""
        from sentence_transformers.sparse_encoder.losses import CSRLoss
        from sentence_transformers.sparse_encoder.modules import SparseAutoEncoder

        torch.manual_seed(self.seed)
        params, X = self.params, torch.from_numpy(X).to(self.device)
        self.module = SparseAutoEncoder(
            X.shape[1],
            hidden_dim=params["hidden_dim"],
            k=self.k,
            k_aux=params["k_aux"],
            normalize=params["normalize"],
        ).to(self.device)
        loss = CSRLoss(self.module, beta=params["beta"], gamma=params["gamma"])
        optimizer = torch.optim.Adam(
            self.module.parameters(), lr=params["learning_rate"]
        )
        n_steps = params["max_iter"] * -(-len(X) // params["batch_size"])
        # As the trainer of transformers does unless told otherwise.
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, n_steps)
        self.module.train()
        for _ in range(params["max_iter"]):
            for rows in torch.randperm(len(X)).split(params["batch_size"]):
                optimizer.zero_grad()
                self._loss(loss, X[rows]).backward()
                optimizer.step()
                schedule.step()
        self.module.eval()

    def _loss(self, loss, X):
        """Return CSRLoss of two equal columns; they are encoded once."""
        features = self.module({"sentence_embedding": X})
        codes = features["sentence_embedding"]
        parts = loss.reconstruction_loss.compute_loss_from_embeddings([features])
        contrast = loss.loss.compute_loss_from_embeddings([codes, codes], None)
        return sum(parts.values()) + loss.gamma * contrast

    def encode(self, X):
        """Return the codes of vectors."""
        codes = []
        with torch.inference_mode():
            for rows in torch.from_numpy(X).split(ROWS_PER_BLOCK):
                found = self.module({"sentence_embedding": rows.to(self.device)})
                codes.append(top_codes(found["sentence_embedding"].cpu(), self.k))
        codes = sp.vstack(codes, format="csr")
        codes.eliminate_zeros()
        return codes

    def decoder(self):
        """Return what a latent adds to a reconstruction."""
        return self.module.encoder.weight


class TopKSAE(SparseCoder):
    """The sparse autoencoder of compresso-recsys, by its trainer."""

    family = "topksae"

    def fit(self, X):
        """Train."""
        from compresso import TopKSAEConfig, TopKSAETrainer

        config = TopKSAEConfig(
            k=self.k,
            seed=self.seed,
            device=self.device,
            show_progress=False,
            **self.params,
        )
        self.trainer = TopKSAETrainer(config)
        self.trainer.fit(X)

    def encode(self, X):
        """Return the codes of vectors."""
        return sp.csr_array(self.trainer.transform(X).to_scipy_csr())

    def decoder(self):
        """Return what a latent adds to a reconstruction."""
        return self.trainer.sae.get_decoder_weight().T


KINDS = {"pq": Quantizer, "opq": Quantizer, "csr": CSR, "topksae": TopKSAE}


def make_model(task):
    """Make the model that a task asks for."""
    return KINDS[task["kind"]](task)


if __name__ == "__main__":
    run_codes(make_model, PACKAGES)
