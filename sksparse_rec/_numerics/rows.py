"""Item embeddings as a parameter: a row-sparse matrix and its dense counterpart.

Both offer the same five products and their adjoints, which is all that a loss needs:

====================  ====================  ======================================
product               shape                 adjoint, read at the stored entries
====================  ====================  ======================================
``profiles``: X A     (n_users, m)          ``profiles_adjoint``: Xᵀ dU
``gram``: Aᵀ A        (m, m)                ``gram_adjoint``: A H
``scores``: A Uᵀ      (n_items, n_users)    ``scores_adjoint``: dY U, and Aᵀ dY
====================  ====================  ======================================

``m`` is ``n_components``. The adjoint of a row-sparse matrix is computed at its fixed
pattern only, so its memory is O(n_items × n_nonzero); nothing of n_items × m is made.
"""

from dataclasses import dataclass, replace

import torch
from torch.nn.functional import embedding_bag

# Entries of a temporary: small enough for the caches of a core or two, and large
# enough that the overhead of an operation does not show.
BLOCK_ENTRIES = 1 << 19
# Sums over contiguous rows that take as long as one look-up at random.
LOOK_UP = 32
# Likewise the components of a dense row whose products take as long as scattering.
SCATTER = 12


def unit_rows(values):
    """Return ``values`` with rows of unit length, and the lengths (n_rows, 1).

    Zero rows stay zero; their length is given as 1.
    """
    norms = torch.linalg.vector_norm(values, dim=1, keepdim=True)
    norms = torch.where(norms > 0, norms, torch.ones_like(norms))
    return values / norms, norms


def tangent_(gradient, directions, norms):
    """Turn a gradient at unit rows into the gradient at the raw rows, in place.

    For ``a = p / ‖p‖`` it is ``(g − ⟨g, a⟩ a) / ‖p‖``.
    """
    along = (gradient * directions).sum(dim=1, keepdim=True)
    return gradient.addcmul_(along, directions, value=-1).div_(norms)


@dataclass(frozen=True)
class DenseRows:
    """A matrix (n_items, n_components), optionally with a mask of live entries."""

    values: torch.Tensor
    live: torch.Tensor | None = None
    n_live: int | None = None  # live entries a row; None: all

    @property
    def n_components(self):
        """Number of latents."""
        return self.values.shape[1]

    @property
    def width(self):
        """Entries a row may have."""
        return self.values.shape[1] if self.n_live is None else self.n_live

    def with_values(self, values):
        """Return the same pattern with other values."""
        return replace(self, values=values)

    def take(self, items):
        """Return some of the rows."""
        return DenseRows(self.values[items])

    def profiles(self, batch):
        """Return ``U = X A``, shape (n_users, m)."""
        offsets = torch.searchsorted(
            batch.users, torch.arange(batch.n_users, device=batch.users.device)
        )
        return embedding_bag(
            batch.items,
            self.values,
            offsets,
            per_sample_weights=batch.values,
            mode="sum",
        )

    def profiles_adjoint(self, batch, dU):
        """Return ``Xᵀ dU``, shape (n_items, m)."""
        order = torch.argsort(batch.items, stable=True)
        offsets = torch.searchsorted(
            batch.items[order], torch.arange(batch.n_items, device=dU.device)
        )
        return embedding_bag(
            batch.users[order],
            dU,
            offsets,
            per_sample_weights=batch.values[order],
            mode="sum",
        )

    def gram(self):
        """Return ``G = Aᵀ A``, shape (m, m)."""
        return self.values.T @ self.values

    def gram_adjoint(self, H):
        """Return ``A H``, shape (n_items, m)."""
        return self.values @ H

    def scores(self, UT):
        """Return ``A Uᵀ``, shape (n_items, n_users), from ``UT`` (m, n_users)."""
        return self.values @ UT

    def scores_adjoint(self, UT, dYT):
        """Return ``dYᵀ U`` (n_items, m) and ``Aᵀ dYᵀ`` (m, n_users)."""
        return dYT @ UT.T, self.values.T @ dYT


@dataclass(frozen=True)
class SparseRows:
    """A row-sparse matrix of fixed pattern, ``n_nonzero`` entries a row.

    Rows with fewer entries are padded: value 0, column 0, ``live`` False. Padding adds
    nothing to any product; its share of a gradient is masked by the caller.
    """

    values: torch.Tensor  # (n_items, n_nonzero)
    columns: torch.Tensor  # (n_items, n_nonzero) int32
    n_components: int
    live: torch.Tensor | None = None  # (n_items, n_nonzero) bool; None: no padding

    @property
    def width(self):
        """Entries a row may have."""
        return self.values.shape[1]

    def with_values(self, values):
        """Return the same pattern with other values."""
        return replace(self, values=values)

    def take(self, items):
        """Return some of the rows."""
        return SparseRows(self.values[items], self.columns[items], self.n_components)

    def _blocks(self, entries_per_row):
        step = max(1, BLOCK_ENTRIES // max(1, entries_per_row))
        for start in range(0, len(self.values), step):
            yield slice(start, start + step)

    def profiles(self, batch):
        """Return ``U = X A``, shape (n_users, m): scatters each interaction's row."""
        n_nonzero, m = self.values.shape[1], self.n_components
        U = self.values.new_zeros(batch.n_users * m)
        step = max(1, BLOCK_ENTRIES // n_nonzero)
        for users, items, weights in zip(
            batch.users.split(step),
            batch.items.split(step),
            batch.values.split(step),
            strict=True,
        ):
            target = self.columns[items] + (users * m)[:, None]
            U.scatter_add_(
                0, target.view(-1), (self.values[items] * weights[:, None]).view(-1)
            )
        return U.view(batch.n_users, m)

    def profiles_adjoint(self, batch, dU):
        """Return ``Xᵀ dU`` at the pattern: visits the batch's interactions only."""
        n_nonzero, m = self.values.shape[1], self.n_components
        gradient = torch.zeros_like(self.values)
        flat = dU.reshape(-1)
        step = max(1, BLOCK_ENTRIES // n_nonzero)
        for users, items, weights in zip(
            batch.users.split(step),
            batch.items.split(step),
            batch.values.split(step),
            strict=True,
        ):
            source = self.columns[items] + (users * m)[:, None]
            share = flat[source.view(-1)].view(-1, n_nonzero)
            gradient.index_add_(0, items, share.mul_(weights[:, None]))
        return gradient

    def gram(self):
        """Return ``G = Aᵀ A``, shape (m, m), by blocks of whole rows or by pairs."""
        n_nonzero, m = self.values.shape[1], self.n_components
        if m <= SCATTER * n_nonzero:
            G = self.values.new_zeros(m, m)
            for rows in self._blocks(m):
                values, columns = self.values[rows], self.columns[rows].long()
                # Adding, as padding shares column 0 with what is stored there.
                block = values.new_zeros(len(values), m).scatter_add_(
                    1, columns, values
                )
                G.addmm_(block.T, block)
            return G
        G = self.values.new_zeros(m * m)
        for rows in self._blocks(n_nonzero**2):
            columns, values = self.columns[rows].long(), self.values[rows]
            pairs = (columns * m)[:, :, None] + columns[:, None, :]
            products = values[:, :, None] * values[:, None, :]
            G.scatter_add_(0, pairs.view(-1), products.view(-1))
        return G.view(m, m)

    def gram_adjoint(self, H):
        """Return ``A H`` at the pattern, by blocks of whole rows or by look-ups."""
        n_nonzero, m = self.values.shape[1], self.n_components
        gradient = torch.empty_like(self.values)
        if m <= LOOK_UP * n_nonzero:
            for rows in self._blocks(m):
                columns, values = self.columns[rows], self.values[rows]
                products = embedding_bag(
                    columns, H, per_sample_weights=values, mode="sum"
                )
                gradient[rows] = products.gather(1, columns.long())
            return gradient
        flat = H.reshape(-1)
        for rows in self._blocks(n_nonzero**2):
            columns = self.columns[rows].long()
            pairs = (columns * m)[:, :, None] + columns[:, None, :]
            looked_up = flat.index_select(0, pairs.view(-1))
            looked_up = looked_up.view(-1, n_nonzero, n_nonzero)
            gradient[rows] = torch.bmm(looked_up, self.values[rows][:, :, None])[..., 0]
        return gradient

    def scores(self, UT):
        """Return ``A Uᵀ``, shape (n_items, n_users), from ``UT`` (m, n_users)."""
        return embedding_bag(
            self.columns, UT, per_sample_weights=self.values, mode="sum"
        )

    def scores_adjoint(self, UT, dYT):
        """Return ``dYᵀ U`` at the pattern, and ``Aᵀ dYᵀ`` (m, n_users)."""
        n_nonzero, n_users = self.values.shape[1], UT.shape[1]
        gradient = torch.empty_like(self.values)
        for rows in self._blocks(n_nonzero * n_users):
            columns = self.columns[rows].long()
            profiles = UT[columns.view(-1)].view(-1, n_nonzero, n_users)
            gradient[rows] = torch.bmm(profiles, dYT[rows][:, :, None])[..., 0]
        flat = self.columns.view(-1)
        order = torch.argsort(flat, stable=True)
        offsets = torch.searchsorted(
            flat[order],
            torch.arange(self.n_components, dtype=flat.dtype, device=flat.device),
        )
        dUT = embedding_bag(
            order // n_nonzero,
            dYT,
            offsets,
            per_sample_weights=self.values.view(-1)[order],
            mode="sum",
        )
        return gradient, dUT
