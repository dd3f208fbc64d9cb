"""From the parameters of CompresSAE to its training."""

import numpy as np
import scipy.sparse as sp

from sksparse_rec._numerics.autoencoder import (
    Autoencoder,
    CodeSetting,
    forget_epoch_,
    revive_,
    start,
    train_step,
)
from sksparse_rec._numerics.device import (
    has_bfloat16,
    make_generator,
    resolve_device,
    to_numpy,
)
from sksparse_rec._numerics.state import PRECISIONS
from sksparse_rec._numerics.threads import thread_count
from sksparse_rec._numerics.training import learning_rate_at, run_epochs
from sksparse_rec._numerics.vectors import (
    draw_rows,
    load_vectors,
    mean_unit_row,
    shuffled_vectors,
)
from sksparse_rec._sparse import is_mapped, normalize_rows
from sksparse_rec.models._codes import encode_blocks, row_cosines, thread_counts
from sksparse_rec.models._epochs import EpochReports
from sksparse_rec.models._resources import draw_seed
from sksparse_rec.retrieval import reconstruction_norms

# Shares of ``n_nonzero`` that are trained too where ``nested`` asks for it.
NESTED = (0.25, 0.5)
# The share of the epochs over which ``n_nonzero_start`` falls to ``n_nonzero``.
ANNEALED = 0.5
# A smaller variance of unit rows is rounding.
LEAST_VARIANCE = 1e-10


def setting_of(estimator):
    """Return what the numerical layer needs to know for a step."""
    # Compiled products have an integer type of their own for numpy's narrow ones.
    m = int(estimator.n_components)
    k = min(int(estimator.n_nonzero), m)
    weights = {k: 1.0}
    if estimator.nested:
        # A code half as long has half the weight.
        weights = {max(1, int(share * k)): share for share in NESTED} | weights
    neighbor_levels = tuple(sorted(weights))
    if estimator.auxiliary_weight > 0:
        widest = min(int(estimator.auxiliary_factor) * k, m)
        weights[widest] = weights.get(widest, 0) + estimator.auxiliary_weight
    levels = tuple(sorted(weights))
    device = resolve_device(estimator.device)
    _, half = PRECISIONS[estimator.precision]
    return CodeSetting(
        n_nonzero=k,
        levels=levels,
        weights=tuple(weights[level] for level in levels),
        neighbor_levels=neighbor_levels,
        neighbor_weight=estimator.neighbor_weight,
        temperature=estimator.neighbor_temperature,
        positive=estimator.positive,
        batch_size=int(estimator.batch_size),
        learning_rate=estimator.learning_rate,
        n_decay_epochs=estimator.max_iter if estimator.learning_rate_decay else None,
        device=device,
        half=has_bfloat16(device) if half is None else half,
    )


class CodeTraining:
    """The epochs of one ``fit`` or ``partial_fit`` on a table of vectors.

    Parameters
    ----------
    estimator : CompresSAE
        Nothing of it is set.
    X : {ndarray, csr_array} of shape (n_samples, n_features)
    is_first : bool
        Whether to start over; otherwise the fitted state goes on.
    """

    def __init__(self, estimator, X, *, is_first):
        self.estimator, self.is_first = estimator, is_first
        self.setting = setting_of(estimator)
        n_steps = 0 if is_first else estimator.n_steps_
        # Every call of partial_fit shuffles in its own way.
        self.generator = make_generator(draw_seed(estimator.random_state) + n_steps)
        mean = None if is_first else estimator.mean_
        if is_first and estimator.center:
            mean = mean_unit_row(X)
        self.vectors = load_vectors(X, mean, self.setting.device, is_mapped(X))
        self.n_steps = n_steps
        self.n_epochs = 0 if is_first else estimator._optimizer_state["n_epochs"]
        self.losses = [] if is_first else list(estimator.loss_curve_)

    def run(self, n_epochs, y=None, *, report=True):
        """Train, and return the fitted attributes by name."""
        with thread_count(*self._thread_counts()):
            self.state, self.n_epochs_left = self._start(), n_epochs
            hooks = {}
            if report:
                reports = EpochReports(self.estimator, self.vectors.X, y, n_epochs)
                hooks["on_epoch_begin"] = reports.begin
                hooks["on_epoch_end"] = lambda _, loss: reports.end(loss, self._fitted)
            losses, n_steps = run_epochs(
                self._batches,
                self._step,
                n_epochs,
                n_done=self.n_epochs,
                after_epoch=self._after_epoch,
                **hooks,
            )
            attributes = self._fitted()
            if report:
                reports.finish(attributes)
        self.losses += losses
        return attributes | {
            "loss_curve_": self.losses,
            "n_iter_": len(self.losses),
            "n_steps_": self.n_steps + n_steps,
            "_optimizer_state": self._optimizer_state(),
        }

    def _start(self):
        estimator, setting = self.estimator, self.setting
        if not self.is_first:
            return fitted_state(estimator, setting.device)
        n_rows = estimator.n_components if estimator.init == "data" else 0
        return start(
            draw_rows(self.vectors, n_rows, self.generator),
            estimator.n_components,
            estimator.encoder == "tied",
            self.generator,
            setting.device,
        )

    def _batches(self):
        self.n_batches = 0
        return shuffled_vectors(self.vectors, self.setting.batch_size, self.generator)

    def _step(self, X):
        n_batches = -(-self.vectors.X.shape[0] // self.setting.batch_size)
        progress = self.n_epochs + self.n_batches / n_batches
        setting = self._annealed(progress).on_batch(self.n_batches, n_batches)
        self.n_batches += 1
        rate = learning_rate_at(
            progress, self.setting.learning_rate, self.setting.n_decay_epochs
        )
        return train_step(self.state, X, setting, rate)

    def _annealed(self, progress):
        """Return the setting with the non-zeros of now."""
        estimator, setting = self.estimator, self.setting
        first = estimator.n_nonzero_start or 0
        left = 1 - progress / (ANNEALED * estimator.max_iter)
        if first <= setting.n_nonzero or left <= 0:
            return setting
        factor = 1 + left * (first / setting.n_nonzero - 1)
        return setting.at(factor, int(estimator.n_components))

    def _after_epoch(self, stop):
        self.n_epochs += 1
        self.n_epochs_left -= 1
        # What is revived at the end of a call would be published untrained.
        if self.estimator.revive and self.n_epochs_left and not stop:
            revive_(self.state, self.generator)
        else:
            forget_epoch_(self.state)

    def _thread_counts(self):
        n_rows, n_features = self.vectors.X.shape
        n_rows = min(self.setting.batch_size, n_rows)
        return thread_counts(self.estimator, n_rows, n_features)

    def _fitted(self):
        """Everything that the fitted estimator needs to answer."""
        setting, mean = self.setting, self.vectors.mean
        attributes = {
            "n_features_in_": self.estimator.n_features_in_,
            "n_nonzero_": setting.n_nonzero,
            "mean_": mean,
            "components_": to_numpy(self.state.decoder).copy(),
            "encoder_components_": to_numpy(self.state.encoder_rows).copy(),
            "encoder_intercept_": to_numpy(self.state.intercept).copy(),
        }
        return attributes | self._catalogue(attributes["components_"])

    def _catalogue(self, decoder):
        """Codes of the rows of this call, and how well they rebuild them."""
        setting, state = self.setting, self.state
        blocks = encode_blocks(
            self.vectors,
            state.encoder_rows,
            state.intercept,
            setting.n_nonzero,
            setting.positive,
        )
        codes, cosines = [], []
        total, squares = np.zeros(decoder.shape[1]), 0.0
        for X, block in blocks:
            codes.append(normalize_rows(block))
            cosines.append(row_cosines(block @ decoder, X))
            total += X.sum(axis=0, dtype=np.float64)
            squares += np.square(X, dtype=np.float64).sum()
        codes, cosines = sp.vstack(codes, "csr"), np.concatenate(cosines)
        counts = np.bincount(codes.indices, minlength=codes.shape[1])
        return {
            "item_embeddings_": codes,
            "reconstruction_norms_": reconstruction_norms(codes, decoder),
            "dead_fraction_": float((counts == 0).mean()),
            "reconstruction_cosine_": float(cosines.mean()),
            "explained_variance_": _explained(cosines, total, squares),
        }

    def _optimizer_state(self):
        """Return what ``partial_fit`` needs beside the fitted attributes."""
        arrays = self.state.to_arrays()
        kept = {name: array for name, array in arrays.items() if "." in name}
        return kept | {"n_epochs": self.n_epochs}


def _explained(cosines, total, squares):
    """Share of the variance of the unit rows that their directions explain.

    ``total`` and ``squares`` are sums of the rows and of their entries' squares. A row
    and the best multiple of its reconstruction are ``1 − cos²`` apart.
    """
    mean = total / len(cosines)
    variance = squares / len(cosines) - float(mean @ mean)
    if variance < LEAST_VARIANCE:
        return 0.0
    return 1 - float((1 - cosines**2).mean()) / variance


def fitted_state(estimator, device):
    """Return the state that a fitted estimator goes on from."""
    n_components = len(estimator.components_)
    if estimator.n_components != n_components:
        raise ValueError(
            f"partial_fit goes on with {n_components} components, but n_components is "
            f"{estimator.n_components}: call fit, which starts over"
        )
    arrays = estimator._optimizer_state | {
        "decoder": estimator.components_,
        "intercept": estimator.encoder_intercept_,
    }
    fitted = "free" if "encoder.first" in arrays else "tied"
    if estimator.encoder != fitted:
        raise ValueError(
            f"partial_fit goes on with a {fitted} encoder, but encoder is "
            f"{estimator.encoder!r}: call fit, which starts over"
        )
    if fitted == "free":
        arrays["encoder"] = estimator.encoder_components_
    return Autoencoder.from_arrays(arrays, device)
