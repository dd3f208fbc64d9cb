"""Save one small index, as the format is now.

    python tests/artefacts/make_index.py

As the models of ``make_models.py`` it is made once in each version of the format.
``index.json`` has what it answered.
"""

import numpy as np
from saved_answers import FOLDER, write_answers

from sksparse_rec import SparseIndex


def rows():
    """Six rows of eight numbers, half of them zero."""
    rng = np.random.default_rng(0)
    A = rng.normal(size=(6, 8)) * (rng.random((6, 8)) < 0.5)
    A[4] = A[0]
    return A


def index():
    """An index of all that there can be."""
    return SparseIndex(
        rows(),
        ids=["apple", "ořech", "梨", "", "a b", "z"],
        popularity=[3, 1, 4, 1, 5, 9],
    )


def answers(index):
    """Return lists and scores that an opened index has to repeat."""
    ids, scores = index.search_ids(rows(), 3, deny=["z"])
    return {"ids": ids.tolist(), "scores": scores.tolist()}


def main():
    index().save(FOLDER / "SparseIndex")
    write_answers("index.json", answers(index()))


if __name__ == "__main__":
    main()
