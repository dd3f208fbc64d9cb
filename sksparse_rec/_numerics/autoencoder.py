"""The k-sparse autoencoder of CompresSAE: start, step, revival, codes.

    s = topₖ(E x + b),    x̂ = s D,    rows of D of unit length,

for unit rows ``x``. Shapes: ``D`` (decoder) and ``E`` (encoder) are (m, n_features),
``b`` (intercept) is (m,); ``m`` is ``n_components``.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import torch

from sksparse_rec._numerics import codes_dense, codes_torch
from sksparse_rec._numerics.code_losses import TINY, cosine_loss, neighbor_loss
from sksparse_rec._numerics.compiling import load_compiled
from sksparse_rec._numerics.device import to_csr, to_device, to_numpy
from sksparse_rec._numerics.optimizer import NAdam
from sksparse_rec._numerics.products_dense import LEAST_ROWS, multiply
from sksparse_rec._numerics.rows import products_of

# Every so many batches have the auxiliary level.
AUXILIARY_EVERY = 4


class CodeSetting(NamedTuple):
    """Everything about a training that is not data."""

    n_nonzero: int
    levels: tuple[int, ...]  # ascending; the last one is the widest
    weights: tuple[float, ...]  # of the reconstruction at each level
    neighbor_levels: tuple[int, ...]
    neighbor_weight: float
    temperature: float
    positive: bool
    batch_size: int
    learning_rate: float
    n_decay_epochs: int | None
    device: torch.device
    half: bool = False

    def at(self, factor, limit):
        """Return the setting with ``factor`` times as many non-zeros, for annealing."""
        ladder = {n: min(limit, round(n * factor)) for n in self.levels}
        return self._replace(
            n_nonzero=ladder[self.n_nonzero],
            levels=tuple(ladder[n] for n in self.levels),
            neighbor_levels=tuple(ladder[n] for n in self.neighbor_levels),
        )

    def on_batch(self, number, n_batches):
        """Return the setting for one of the batches of an epoch.

        The level beyond ``n_nonzero`` takes about as much time as everything else, and
        its share of the gradient is small: few batches have it, with so much weight
        that the sum over the epoch is that of all.
        """
        if self.levels[-1] == self.n_nonzero:
            return self
        if number % AUXILIARY_EVERY:
            return self._replace(levels=self.levels[:-1], weights=self.weights[:-1])
        scale = n_batches / len(range(0, n_batches, AUXILIARY_EVERY))
        return self._replace(weights=(*self.weights[:-1], self.weights[-1] * scale))


@dataclass
class Autoencoder:
    """The parameters, their optimizers, and what the epoch has seen so far.

    ``encoder`` is None where it is tied to the decoder.
    """

    decoder: torch.Tensor
    encoder: torch.Tensor | None
    intercept: torch.Tensor
    optimizers: dict
    fired: torch.Tensor
    worst: list = field(default_factory=list)

    @classmethod
    def of(cls, decoder, encoder, intercept, optimizers=None):
        """Return the state at the beginning of an epoch."""
        fired = torch.zeros_like(intercept, dtype=torch.bool)
        state = cls(decoder, encoder, intercept, optimizers, fired)
        if optimizers is None:
            tensors = state.parameters().items()
            state.optimizers = {name: NAdam.start(tensor) for name, tensor in tensors}
        return state

    def parameters(self):
        """Return the trained tensors by name."""
        named = {"decoder": self.decoder, "intercept": self.intercept}
        return named if self.encoder is None else named | {"encoder": self.encoder}

    @property
    def encoder_rows(self):
        """``E``, whether it is tied or not."""
        return self.decoder if self.encoder is None else self.encoder

    def to_arrays(self):
        """Return the state as a dictionary of numpy arrays and numbers."""
        arrays = {name: to_numpy(t).copy() for name, t in self.parameters().items()}
        for name, optimizer in self.optimizers.items():
            arrays[f"{name}.first"] = to_numpy(optimizer.first).copy()
            arrays[f"{name}.second"] = to_numpy(optimizer.second).copy()
            arrays[f"{name}.n_steps"] = optimizer.n_steps
            arrays[f"{name}.momentum_product"] = optimizer.momentum_product
        return arrays

    @classmethod
    def from_arrays(cls, arrays, device):
        """Rebuild the state of ``to_arrays``; nothing of the arrays is shared."""

        def tensor(name):
            return to_device(arrays[name], device).clone()

        names = [name for name in ("decoder", "encoder", "intercept") if name in arrays]
        optimizers = {
            name: NAdam(
                tensor(f"{name}.first"),
                tensor(f"{name}.second"),
                arrays[f"{name}.n_steps"],
                arrays[f"{name}.momentum_product"],
            )
            for name in names
        }
        encoder = tensor("encoder") if "encoder" in names else None
        return cls.of(tensor("decoder"), encoder, tensor("intercept"), optimizers)


@cache
def load_compiled_codes():
    """Return the module of compiled products of codes, or None without numba."""
    return load_compiled("sksparse_rec._numerics.codes_numba")


def kernels_of(tensor):
    """Return the module of products that is right for a tensor."""
    if tensor.device.type != "cpu":
        return codes_dense
    compiled = load_compiled_codes()
    fits = compiled is not None and tensor.dtype == torch.float32
    return compiled if fits else codes_torch


def start(rows, n_components, tied, generator, device):
    """Return the autoencoder before the first step.

    Parameters
    ----------
    rows : tensor of shape (n_rows, n_features)
        Unit rows of the data for ``init="data"``; every latent without one of its own
        starts at a random direction.
    n_components : int
    tied : bool
        One matrix for the encoder and the decoder.
    generator : torch.Generator
    device : torch.device
    """
    n_features = rows.shape[1]
    directions = torch.randn(n_components, n_features, generator=generator).to(device)
    directions[: len(rows)] = rows
    decoder = products_of(directions).unit_rows(directions)[0]
    encoder = None if tied else decoder.clone()
    return Autoencoder.of(decoder, encoder, decoder.new_zeros(n_components))


def activations(X, encoder, intercept, half=False):
    """Return ``E x + b`` for every row, (n_rows, m); in bfloat16 if ``half``."""
    if half:
        X, encoder, intercept = (t.bfloat16() for t in (X, encoder, intercept))
    return multiply(X, encoder.T, half).add_(intercept)


def active(X, encoder, intercept, width, positive, half=False):
    """Return columns and values of the codes, (n_rows, width); zeros for zero rows."""
    dense = activations(X, encoder, intercept, half)
    columns, values = kernels_of(encoder).select(dense, width, positive)
    return columns, values * X.any(dim=1, keepdim=True)


def train_step(state, X, setting, learning_rate):
    """Take a step on a batch of unit rows, and return its loss.

    The loss is ``Σ weight (1 − cos(x, x̂))`` over the levels plus the losses of
    neighbourhoods; the decoder's gradient is projected on the tangent of its unit rows
    before the optimizer sees it, and its rows are of unit length after the step.
    """
    kernels = kernels_of(state.decoder)
    m, k, levels = len(state.decoder), setting.n_nonzero, setting.levels
    coder = state.encoder_rows, state.intercept
    columns, values = active(X, *coder, levels[-1], setting.positive, setting.half)
    reconstructions = kernels.decode(columns, values, state.decoder, levels)
    loss, dY, cosines = cosine_loss(reconstructions, X, setting.weights)
    dvalues = kernels.decode_adjoint(columns, state.decoder, levels, dY)
    if setting.neighbor_weight:
        weight = setting.neighbor_weight / len(setting.neighbor_levels)
        for n in setting.neighbor_levels:
            parts = columns[:, :n].contiguous(), values[:, :n].contiguous()
            of_neighbors, gradient = neighbor_loss(
                kernels, *parts, m, X, setting.temperature, setting.half
            )
            loss = loss + weight * of_neighbors
            dvalues[:, :n].add_(gradient, alpha=weight)
    if setting.positive:
        dvalues.mul_(values > 0)
    at = levels.index(k)
    seen = columns[:, :k], values[:, :k], reconstructions[at], cosines[at]
    _remember(state, X, *seen)
    kernels.descend_(state, (columns, values), levels, dY, dvalues, X, learning_rate)
    return loss


def _remember(state, X, columns, values, reconstructions, cosines):
    """Note which latents fired, and what the worst row of the batch is missing."""
    # Nothing here reads the device, which would wait for all of the step.
    counts = torch.zeros_like(state.fired, dtype=torch.int32)
    counts.index_add_(0, columns.reshape(-1), (values != 0).reshape(-1).int())
    state.fired.logical_or_(counts > 0)
    # Zero rows miss nothing.
    row = torch.where(X.any(dim=1), cosines, torch.inf).argmin().view(1)
    x, y = (rows.index_select(0, row)[0] for rows in (X, reconstructions))
    state.worst.append(x - y * (x @ y) / (y @ y).clamp(min=TINY))
    # No more can be dead, and an epoch can be long.
    del state.worst[: -len(state.decoder)]


def forget_epoch_(state):
    """Start counting anew which latents fire."""
    state.fired.zero_()
    state.worst.clear()


def revive_(state, generator):
    """Point latents that no row of the epoch has used at what was rebuilt worst.

    A dead latent takes the direction that was missing in the worst row of a batch,
    with the length of a typical encoder row, so that it is chosen for rows like that
    one. Returns how many were dead.
    """
    dead = torch.nonzero(~state.fired).squeeze(1)
    if len(dead) and state.worst:
        missing = torch.stack(state.worst)
        missing = missing[missing.norm(dim=1) > 1e-6]
        chosen = torch.randperm(len(dead), generator=generator)[: len(missing)]
        dead_now = dead[chosen.to(dead.device)]
        directions = products_of(missing).unit_rows(missing[: len(dead_now)])[0]
        _replace_(state, dead_now, directions)
    forget_epoch_(state)
    return len(dead)


def _replace_(state, latents, directions):
    state.decoder[latents] = directions
    state.intercept[latents] = 0
    if state.encoder is not None:
        alive = state.encoder[state.fired]
        length = alive.norm(dim=1).mean() if len(alive) else 1
        state.encoder[latents] = directions * length
    for optimizer in state.optimizers.values():
        optimizer.first[latents] = 0
        optimizer.second[latents] = 0


def encode(X, encoder, intercept, n_nonzero, positive):
    """Return the codes of unit rows as a CSR array, float32.

    Parameters
    ----------
    X : tensor of shape (n_rows, n_features)
        Rows of zeros get empty codes.
    encoder, intercept : tensors of shape (m, n_features) and (m,)
    n_nonzero : int
    positive : bool
    """
    n_rows = len(X)
    # A product of a few rows is summed in another order, and so would tell equal rows
    # of different blocks apart.
    X = torch.nn.functional.pad(X, (0, 0, 0, max(0, LEAST_ROWS - n_rows)))
    columns, values = active(X, encoder, intercept, n_nonzero, positive)
    return to_csr(values[:n_rows], columns[:n_rows], None, len(encoder))
