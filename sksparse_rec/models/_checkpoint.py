"""What a long fit leaves on disk after every epoch, to go on from there."""

import hashlib
import json
import numbers
from pathlib import Path

import numpy as np

from sksparse_rec._files import read_arrays, write_arrays
from sksparse_rec._sparse import hash_matrix
from sksparse_rec.models._training import is_warm

FORMAT = 1
# Parameters that do not change the result, and the seed, which has a place of its own.
NOT_THE_RESULT = {"checkpoint", "device", "n_jobs", "random_state", "verbose"}


class Checkpoint:
    """One file of a folder, named by the training that it belongs to.

    Other parameters or other data have another name, so that the candidates of a
    search can share a folder, and nobody goes on with the model of somebody else.
    """

    def __init__(self, folder, digest):
        self.path = Path(folder) / f"fit-{digest}.npz"

    @classmethod
    def of(cls, estimator, X, seed):
        """Return the checkpoint of a fit, or None if none is asked for.

        ``seed`` is None where the estimator's ``random_state`` is, so that a training
        without a seed finds its checkpoint too.
        """
        if estimator.checkpoint is None:
            return None
        Path(estimator.checkpoint).mkdir(parents=True, exist_ok=True)
        params = estimator.get_params(deep=False)
        kept = {k: _plain(v) for k, v in params.items() if k not in NOT_THE_RESULT}
        digest = hashlib.sha256()
        digest.update(json.dumps([FORMAT, kept, seed], sort_keys=True).encode())
        if is_warm(estimator):
            hash_matrix(digest, estimator.item_embeddings_)
        hash_matrix(digest, X)
        return cls(estimator.checkpoint, digest.hexdigest()[:32])

    def save(self, arrays, meta):
        """Replace the file by what there is now."""
        write_arrays(self.path, arrays, meta)

    def load(self):
        """Return the arrays and the rest, or None if there is no file."""
        if not self.path.exists():
            return None
        try:
            return read_arrays(self.path)
        except ValueError as error:
            raise ValueError(
                f"{error}. Remove this checkpoint to train from the start"
            ) from error

    def remove(self):
        """Remove the file, as the training is done."""
        self.path.unlink(missing_ok=True)


def _plain(value):
    """Return a parameter as JSON can write it; numpy numbers are equal to Python's."""
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, numbers.Number) and not isinstance(value, bool):
        return float(value)
    return value
