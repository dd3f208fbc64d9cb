"""What all stores of codes have in common."""

from abc import ABC, abstractmethod

import numpy as np

from sksparse_rec._validation import check_length
from sksparse_rec.export._batches import Batches
from sksparse_rec.export._ledger import alone_with
from sksparse_rec.export._rerank import search_store
from sksparse_rec.export._signs import SIGNS, canonical, stored_width
from sksparse_rec.export._writing import write_batches
from sksparse_rec.retrieval import check_k
from sksparse_rec.retrieval._ids import as_ids

# Ids that are deleted in one request.
DELETED_AT_ONCE = 1000
# Columns of codes are int32.
MOST_DIMENSIONS = 2**31 - 1


class Store(ABC):
    """Codes of items in a store: written in batches, searched, deleted.

    Subclasses say how their store does it, by the methods that begin with an
    underscore. These get what has been checked.

    Parameters
    ----------
    n_components : int
        Width of the codes.
    signs : {"native", "split", "nonnegative"}
        What becomes of negative values.

    Attributes
    ----------
    exact : bool
        Whether the store finds the largest scores, and not nearly those: then searches
        are proven to be exact.
    _refusal : str or None
        Why the store takes no negative values as they are; None if it does.
    _finds_all : bool
        Whether a search that finds fewer items than asked for has found all; False if
        it leaves out those that have no latent in common with the query.
    """

    exact = True
    _refusal = None
    _finds_all = False

    def __init__(self, *, n_components, signs="native"):
        self.n_components = check_k(n_components, "n_components")
        if signs not in SIGNS:
            raise ValueError(f"signs must be one of {SIGNS}, got {signs!r}")
        self.signs = signs
        if self.stored_width > MOST_DIMENSIONS:
            raise ValueError(
                f"n_components is {n_components} with signs={signs!r}, but stores have "
                f"at most {MOST_DIMENSIONS} dimensions"
            )

    @property
    def stored_width(self):
        """Number of dimensions of the vectors in the store."""
        return stored_width(self.n_components, self.signs)

    def write(
        self,
        codes,
        ids=None,
        payload=None,
        *,
        batch_size=1000,
        progress=None,
        on_batch=None,
    ):
        """Write items, replacing those whose ids are there.

        Parameters
        ----------
        codes : {array-like, sparse matrix}, SparseIndex or fitted estimator
            Codes of shape (n_items, n_components), of which a batch at a time is
            converted: a matrix, the rows of an index, or `item_embeddings_` of a model.
        ids : array-like of shape (n_items,), default=None
            Distinct strings, or 64-bit integers of at least 0, of the kind of those
            that are there. None takes the ids of the index or the names that the model
            was fitted with; the positions where there are none.
        payload : DataFrame, dict of columns or structured array, default=None
            A row for each item, which filters can ask for: strings, booleans, 64-bit
            integers, finite numbers, or lists of those. Missing values (None, NaN) are
            left out. Names must not begin with an underscore.
        batch_size : int, default=1000
            Items in a request. Take fewer where payloads are long.
        progress : str or path-like, default=None
            A small file that says how far this call has come, replaced after every
            batch. If the call is repeated as it was it goes on there; once all is
            written it does nothing. Each store needs one of its own. None writes
            everything again, to the same end.
        on_batch : callable, default=None
            Called with the number of items done and of all items after every batch.
            What it raises ends the call.

        Raises
        ------
        ValueError
            For codes, ids or a payload that the store does not take, before anything
            is written; if `progress` belongs to another call: the message says what
            differs.
        TypeError
            For ids of another kind than those in the store.
        BlockingIOError
            If another process writes with the same `progress`.

        Notes
        -----
        Everything is read and checked once before the first batch is sent, at about a
        hundred megabytes of codes per second. Memory is that of a batch and of the ids.

        An item that is new gets the next position, by which equal scores are ordered; a
        replaced one keeps its own. A batch that was sent when the call was cut off is
        sent again, under the same ids.
        """
        batches = Batches(
            codes,
            ids,
            payload,
            n_components=self.n_components,
            signs=self.signs,
            batch_size=check_k(batch_size, "batch_size"),
            refusal=self._refusal,
        )
        self._check_kind(batches.ids)
        with alone_with(progress):
            write_batches(self, batches, progress, on_batch)

    def search(self, Q, k=10, *, where=None, n_candidates=100):
        """Find the ``k`` best items of every query.

        Parameters
        ----------
        Q : {array-like, sparse matrix} of shape (n_queries, n_components)
            What items are multiplied with: profiles, codes, or other vectors.
        k : int, default=10
            Length of the lists.
        where : object, default=None
            Which items may be found, in the language of the store.
        n_candidates : int, default=100
            Items that the store is asked for, at least ``k``, and that are scored
            again from their vectors. A store that is exact is asked for twice as many
            until the answer is proven, so that this only changes the time. For one
            that is not, more find more.

        Returns
        -------
        ids : ndarray of shape (n_queries, k)
            Best first: int64, padded with -1, or strings (object), padded with None.
        scores : ndarray of shape (n_queries, k), float64
            Padded with -inf.

        Raises
        ------
        ValueError
            For a ``k`` or ``n_candidates`` below 1, queries with another number of
            columns, NaN or infinity.

        Notes
        -----
        Equal scores go to the item with the lower position: the one written first.
        """
        k, n = check_k(k), check_k(n_candidates, "n_candidates")
        Q = check_length(Q, self.n_components, "Q", "n_components", least_rows=0)
        Q = canonical(Q)
        if where is not None:
            self._check_where(where)
        answers = search_store(self, Q, k, n, where)
        dtype, missing = (object, None) if self._has_names(answers) else (np.int64, -1)
        ids = np.full((Q.shape[0], k), missing, dtype=dtype)
        scores = np.full(ids.shape, -np.inf)
        for query, best in enumerate(answers):
            ids[query, : len(best.ids)] = best.ids
            scores[query, : len(best.ids)] = best.scores
        return ids, scores

    def delete(self, ids):
        """Delete items.

        Parameters
        ----------
        ids : array-like
            Ids that are there.

        Raises
        ------
        ValueError
            For an unknown id, before anything is deleted.
        """
        ids = np.unique(as_ids(ids))
        self._check_kind(ids)
        for start in range(0, len(ids), DELETED_AT_ONCE):
            part = ids[start : start + DELETED_AT_ONCE]
            # No store has integers below 0, and some cannot even ask for them.
            is_below = part.dtype.kind != "U" and part[0] < 0
            unknown = part < 0 if is_below else self._positions_of(part) < 0
            if unknown.any():
                raise ValueError(
                    f"ids contains {part[unknown][0].item()!r}, which is not in the "
                    "store"
                )
        for start in range(0, len(ids), DELETED_AT_ONCE):
            self._delete(ids[start : start + DELETED_AT_ONCE])

    @abstractmethod
    def close(self):
        """Let go of what the store holds open; it cannot be used any more."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    @abstractmethod
    def __len__(self):
        """Return the number of items."""

    @abstractmethod
    def _upsert(self, batch, positions):
        """Write a ``Batch`` with the positions of its items, whole or not at all.

        Positions are int64 and to be kept with the items.
        """

    @abstractmethod
    def _nearest(self, Q, n, where):
        """Return the ``n`` best items of every query, a list of ``Found``.

        ``Q`` is a csr_array of shape (n_queries, stored_width), float32, columns
        ascending, no row empty. Scores are float64, descending.
        """

    @abstractmethod
    def _between(self, start, stop, where):
        """Return the items with positions from ``start`` to ``stop``, as ``Found``.

        Those that ``where`` lets through. Scores may be anything.
        """

    @abstractmethod
    def _positions_of(self, ids):
        """Return the positions of ids, int64, -1 for those that are not there."""

    @abstractmethod
    def _end(self):
        """Return the largest position and one, 0 for an empty store."""

    @abstractmethod
    def _id_kind(self):
        """Return "i" if ids are integers, "U" if strings, None in an empty store."""

    @abstractmethod
    def _delete(self, ids):
        """Delete items, which are there."""

    @abstractmethod
    def _place(self):
        """Return what tells this store from others of its class, as JSON writes it."""

    @abstractmethod
    def _check_where(self, where):
        """Raise a TypeError or ValueError for what is no filter of the store."""

    def _check(self, batch):  # noqa: B027
        """Raise a ValueError for a ``Batch`` that the store does not take."""

    def _finish(self):  # noqa: B027
        """Do what is due when all batches are written."""

    def _describe(self, batch_size):
        return {
            "store": [type(self).__name__, self._place()],
            "n_components": self.n_components,
            "signs": self.signs,
            "batch_size": batch_size,
        }

    def _check_kind(self, ids):
        kind = self._id_kind() or ids.dtype.kind
        if len(ids) and kind != ids.dtype.kind:
            here, there = ("strings", "integers")[:: 1 if kind == "i" else -1]
            raise TypeError(
                f"ids holds {here} such as {ids[0].item()!r}, but the ids in the store "
                f"are {there}"
            )

    def _has_names(self, answers):
        """Tell whether ids are strings, asking the store only if nothing was found."""
        for best in answers:
            if len(best.ids):
                return isinstance(best.ids[0], str)
        return self._id_kind() == "U"
