"""What a training of ELSA is told, and what it changes."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import scipy.sparse as sp
import torch

from sksparse_rec._numerics.device import to_csr, to_device, to_numpy
from sksparse_rec._numerics.optimizer import NAdam
from sksparse_rec._numerics.pruning import prune
from sksparse_rec._numerics.rows import DenseRows, SparseRows, products_of

# The type of the parameter, and whether products of dense matrices take bfloat16;
# None: where the hardware has it.
PRECISIONS = {
    "auto": (torch.float32, None),
    "float32": (torch.float32, False),
    "float64": (torch.float64, False),
    "bfloat16": (torch.float32, True),
}


class Setting(NamedTuple):
    """Everything about a training that is not data."""

    loss: str
    batch_size: int
    learning_rate: float
    n_decay_epochs: int | None
    dropout: float
    max_output: int | None
    dtype: torch.dtype
    device: torch.device
    half: bool = False


@dataclass
class TrainingState:
    """What training changes; ``initial`` is there for rewinding only."""

    rows: DenseRows | SparseRows
    optimizer: NAdam
    initial: torch.Tensor | None = None
    n_epochs: int = 0

    @classmethod
    def start(cls, rows, *, keep_initial):
        """Return the state before the first step."""
        initial = rows.values.clone() if keep_initial else None
        return cls(rows, NAdam.start(rows.values), initial)

    def copy(self):
        """Return the state as it is now, which later steps leave alone."""
        initial = None if self.initial is None else self.initial.clone()
        optimizer = replace(
            self.optimizer,
            first=self.optimizer.first.clone(),
            second=self.optimizer.second.clone(),
        )
        rows = self.rows.with_values(self.rows.values.clone())
        return TrainingState(rows, optimizer, initial, self.n_epochs)

    def embeddings(self, n_nonzero):
        """Return the embeddings as a CSR array, float32, rows of unit length.

        Rows keep their ``n_nonzero`` largest entries: before the end of a sparsity
        schedule there are more.
        """
        rows = self.rows
        if n_nonzero < rows.width:
            rows, _, _ = prune(rows, n_nonzero, None, NAdam.start(rows.values))
        values = products_of(rows.values).unit_rows(rows.values)[0].float()
        if isinstance(rows, SparseRows):
            return to_csr(values, rows.columns, rows.live, rows.n_components)
        return sp.csr_array(to_numpy(values))

    def to_arrays(self):
        """Return the state as a dictionary of numpy arrays, numbers and None.

        On the CPU the arrays share the memory of the tensors.
        """
        return {
            "values": to_numpy(self.rows.values),
            "columns": _optional(getattr(self.rows, "columns", None), to_numpy),
            "live": _optional(self.rows.live, to_numpy),
            "n_components": self.rows.n_components,
            "width": self.rows.width,
            "initial": _optional(self.initial, to_numpy),
            "first": to_numpy(self.optimizer.first),
            "second": to_numpy(self.optimizer.second),
            "n_steps": self.optimizer.n_steps,
            "momentum_product": self.optimizer.momentum_product,
            "n_epochs": self.n_epochs,
        }

    @classmethod
    def from_arrays(cls, arrays, setting):
        """Rebuild the state of ``to_arrays``; nothing of the arrays is shared."""

        def tensor(name):
            return _optional(
                arrays[name],
                lambda array: to_device(array, setting.device, setting.dtype).clone(),
            )

        live = _optional(arrays["live"], lambda a: to_device(a, setting.device).clone())
        if arrays["columns"] is None:
            rows = DenseRows(tensor("values"), live, arrays["width"], setting.half)
        else:
            columns = to_device(arrays["columns"], setting.device).clone()
            rows = SparseRows(
                tensor("values"), columns, arrays["n_components"], live, setting.half
            )
        optimizer = NAdam(
            tensor("first"),
            tensor("second"),
            arrays["n_steps"],
            arrays["momentum_product"],
        )
        return cls(rows, optimizer, tensor("initial"), arrays["n_epochs"])


def _optional(value, function):
    return None if value is None else function(value)
