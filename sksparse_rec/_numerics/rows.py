"""Item embeddings as a parameter: a row-sparse matrix and its dense counterpart.

Both offer the same four products and their adjoints, which is all that a loss needs:

====================  ====================  ======================================
product               shape                 adjoint, read at the stored entries
====================  ====================  ======================================
``profiles``: X A     (n_users, m)          ``profiles_adjoint``: Xᵀ dU
``gram``: Aᵀ A        (m, m)                ``gram_adjoint``: A H
``scores``: A Uᵀ      (n_items, n_users)    ``scores_adjoint``: dY U, and Aᵀ dY
====================  ====================  ======================================

``m`` is ``n_components``. The adjoint of a row-sparse matrix is computed at its fixed
pattern only, so its memory is O(n_items × n_nonzero); of n_items × m no more than a
block of rows is made at a time.
``half`` multiplies dense matrices in bfloat16, which sums in float32.
"""

from dataclasses import dataclass, field, replace
from functools import cache

import torch
from torch.nn.functional import embedding_bag

from sksparse_rec._numerics import products_torch
from sksparse_rec._numerics.compiling import load_compiled
from sksparse_rec._numerics.products_dense import add_gram_, multiply


@cache
def load_compiled_products():
    """Return the module of compiled products, or None without numba."""
    return load_compiled("sksparse_rec._numerics.products_numba")


def products_of(values):
    """Return the module of products for a tensor: compiled ones or plain torch."""
    if values.device.type != "cpu":
        return products_torch
    return load_compiled_products() or products_torch


@dataclass(frozen=True)
class DenseRows:
    """A matrix (n_items, n_components), optionally with a mask of live entries."""

    values: torch.Tensor
    live: torch.Tensor | None = None
    n_live: int | None = None  # live entries a row; None: all
    half: bool = False

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
        return DenseRows(self.values[items], half=self.half)

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

    def profiles_adjoint(self, batch, dU, gradient):
        """Add ``Xᵀ dU`` to a gradient of shape (n_items, m)."""
        order = torch.argsort(batch.items, stable=True)
        offsets = torch.searchsorted(
            batch.items[order], torch.arange(batch.n_items, device=dU.device)
        )
        gradient += embedding_bag(
            batch.users[order],
            dU,
            offsets,
            per_sample_weights=batch.values[order],
            mode="sum",
        )

    def gram(self):
        """Return ``G = Aᵀ A``, shape (m, m)."""
        return multiply(self.values.T, self.values, self.half)

    def gram_adjoint(self, H):
        """Return ``A H``, shape (n_items, m)."""
        return multiply(self.values, H, self.half)

    def scores(self, UT):
        """Return ``A Uᵀ``, shape (n_items, n_users), from ``UT`` (m, n_users)."""
        return multiply(self.values, UT, self.half)

    def scores_adjoint(self, UT, dYT):
        """Return ``dYᵀ U`` (n_items, m) and ``Aᵀ dYᵀ`` (m, n_users)."""
        return (
            multiply(dYT, UT.T, self.half),
            multiply(self.values.T, dYT, self.half),
        )


@dataclass(frozen=True)
class SparseRows:
    """A row-sparse matrix of fixed pattern, ``n_nonzero`` entries a row.

    The columns of a row ascend, but for padding (value 0, column 0, ``live`` False) of
    rows with fewer entries: a stored column 0 comes first. ``gram`` relies on it.
    Padding adds nothing to any product; its share of a gradient is masked by the
    caller.
    """

    values: torch.Tensor  # (n_items, n_nonzero)
    columns: torch.Tensor  # (n_items, n_nonzero) int32
    n_components: int
    live: torch.Tensor | None = None  # (n_items, n_nonzero) bool; None: no padding
    half: bool = False
    # What follows from the pattern alone; shared by matrices of the same pattern.
    of_pattern: dict = field(default_factory=dict, repr=False, compare=False)

    @property
    def width(self):
        """Entries a row may have."""
        return self.values.shape[1]

    def with_values(self, values):
        """Return the same pattern with other values."""
        return replace(self, values=values)

    def take(self, items):
        """Return some of the rows."""
        return SparseRows(
            self.values[items], self.columns[items], self.n_components, half=self.half
        )

    def cached(self, name, make):
        """Return what ``make`` made of the pattern when first asked for ``name``."""
        if name not in self.of_pattern:
            self.of_pattern[name] = make()
        return self.of_pattern[name]

    def profiles(self, batch):
        """Return ``U = X A``, shape (n_users, m)."""
        return products_of(self.values).profiles(self, batch)

    def profiles_adjoint(self, batch, dU, gradient):
        """Add ``Xᵀ dU`` at the pattern to a gradient."""
        products_of(self.values).profiles_adjoint(self, batch, dU, gradient)

    def gram(self):
        """Return ``G = Aᵀ A``, shape (m, m), by blocks of whole rows or by pairs."""
        products = products_of(self.values)
        if not self._is_wide(products, "SCATTER"):
            return products.gram(self)
        G = self.values.new_zeros(self.n_components, self.n_components)
        for part in self._blocks():
            add_gram_(G, products.whole_rows(self, part))
        return products.mirror_(G)

    def gram_adjoint(self, H):
        """Return ``A H`` at the pattern."""
        products = products_of(self.values)
        if self._is_wide(products, "GATHER"):
            return self.gram_adjoint_of_whole_rows(H)
        return products.gram_adjoint(self, H)

    def gram_adjoint_of_whole_rows(self, H):
        """Return what ``gram_adjoint`` does, from dense products."""
        products = products_of(self.values)
        H = H.bfloat16() if self.half else H
        gradient = torch.empty_like(self.values)
        for part in self._blocks():
            AH = multiply(products.whole_rows(self, part), H, self.half)
            products.at_pattern(self, part, AH, gradient)
        return gradient

    def _is_wide(self, products, name):
        """Whether a dense product takes less time than one by pairs of entries."""
        place = "" if self.values.device.type == "cpu" else "DEVICE_"
        most = getattr(products, place + name)[self.half]
        return self.n_components <= most * self.width

    def _blocks(self):
        m, device = self.n_components, self.values.device
        # On a CPU dense products want longer blocks than look-ups.
        size = m // 4 if device.type == "cpu" else m
        return products_torch.blocks(len(self.values), size, device)

    def scores(self, UT):
        """Return ``A Uᵀ``, shape (n_items, n_users), from ``UT`` (m, n_users)."""
        return products_of(self.values).scores(self, UT)

    def scores_adjoint(self, UT, dYT):
        """Return ``dYᵀ U`` at the pattern, and ``Aᵀ dYᵀ`` (m, n_users)."""
        return products_of(self.values).scores_adjoint(self, UT, dYT)
