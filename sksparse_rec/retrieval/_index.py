"""Item embeddings in compact arrays, searched exactly."""

import numpy as np

from sksparse_rec._format import PersistenceError, read_folder, write_folder
from sksparse_rec._numerics import search as kernels
from sksparse_rec._validation import check_length, to_sparse_interface
from sksparse_rec.retrieval._ids import Ids, as_ids, check_distinct
from sksparse_rec.retrieval._index_state import (
    ARRAYS,
    check_count,
    check_popularity,
    compact_rows,
    make_state,
    restore_state,
)
from sksparse_rec.retrieval._items import check_k, item_candidates
from sksparse_rec.retrieval._saved_index import put_together, take_apart
from sksparse_rec.retrieval._search import search
from sksparse_rec.retrieval._top_items import top_items

DTYPES = ("float32", "float16")


class SparseIndex:
    r"""Exact search for the items of largest inner product.

    For serving: the embeddings of a fitted model, in a few compact arrays that are made
    once, searched by profiles of users, by codes, or by any vectors of their width.
    Items carry ids of their own and come and go.

    Parameters
    ----------
    item_embeddings : {array-like, sparse matrix} of shape (n_items, n_components)
        A row for each item: ``item_embeddings_`` of a model, or what ``transform`` of a
        `CompresSAE` returns. Values may be negative; scale rows to unit length for
        cosines.
    ids : array-like of shape (n_items,), default=None
        Distinct strings or 64-bit integers. None: the positions, which items keep as
        ids when others come and go.
    popularity : array-like of shape (n_items,), default=None
        Breaks ties, such as ``item_popularity_``: more popular items come first. None
        leaves ties to the position.
    dtype : {"float32", "float16"}, default="float32"
        Of the stored values. "float16" takes 4 bytes a non-zero in place of 6 with up
        to 65,536 components, and rankings hardly change.
    inverted : bool, default=True
        Keep a list of items for every latent too, which doubles the memory and answers
        single and sparse queries many times faster. Without numba, which those lists
        need, they are left out.

    Attributes
    ----------
    n_items : int
        Number of items, which is also ``len(index)``.
    n_components : int
        Width of the embeddings.
    nbytes : int
        Bytes of all arrays.
    indptr : ndarray of int64 of shape (n_items + 1,)
        Where the non-zeros of each item start.
    columns : ndarray of uint16 or int32 of shape (nnz,)
        Their latents, ascending in each item; two bytes up to 65,536 components.
    values : ndarray of shape (nnz,)
        Float32 or float16.
    popularity : ndarray of float64 of shape (n_items,), or None
        As given.
    rank : ndarray of int32 of shape (n_items,), or None
        Place of each item by descending popularity, then position.
    ids : ndarray of int64 or str of shape (n_items,), or None
        As given; None stands for positions.
    id_order : ndarray of int64 of shape (n_items,), or None
        Positions by ascending id.
    latent_lengths : ndarray of int64 of shape (n_components,)
        How many items have each latent.
    list_starts : ndarray of int32 of shape (n_blocks, n_components + 1), or None
        Where the items of a latent start, among the entries of a block of items.
    list_places : ndarray of uint16 of shape (nnz,), or None
        Positions of the items in their block, by block and then by latent.
    list_values : ndarray of shape (nnz,), or None
        Their values.

    See Also
    --------
    CompressedELSA.recommend : Searches with what it was fitted on, unrounded.
    SparseIndex.open : Search an index that ``save`` wrote, without reading it first.

    Notes
    -----
    The score of an item is the sum of products in float64, over the item's non-zeros in
    the order of their columns; it does not depend on other queries, on threads or on
    which of two ways finds it. (Unless products leave the range of float64, as those of
    entries near 1e38 and 1e300 do.) Batches of dense queries are compared with every
    item in bfloat16, 64 at a time, and items whose score may be among the best by a
    proven bound of the rounding error are scored exactly. Few or sparse queries add up
    the lists of their latents. A model of the cost decides.

    Threads are as many as torch has (``torch.set_num_threads``). The arrays are
    replaced, never edited, so that a search in another thread sees all of a change or
    nothing.

    With :math:`k` non-zeros of an item, it takes :math:`4k + 8` bytes as float16, and
    about :math:`8k + 10` with ``inverted``, beside ids and popularity.

    Examples
    --------
    >>> from sksparse_rec import SparseIndex
    >>> index = SparseIndex([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]], ids=["a", "b", "c"])
    >>> ids, scores = index.search_ids([[1.0, 1.0]], k=2)
    >>> ids
    array([['b', 'a']], dtype=object)
    >>> index.remove(["b"])
    >>> index.search([[1.0, 1.0]], k=2).toarray()
    array([[1., 1.]])
    """

    def __init__(
        self,
        item_embeddings,
        *,
        ids=None,
        popularity=None,
        dtype="float32",
        inverted=True,
    ):
        if dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {DTYPES}, got {dtype!r}")
        rows = compact_rows(item_embeddings, np.dtype(dtype), "item_embeddings")
        if ids is not None:
            ids = as_ids(ids)
            check_count(ids, rows.n_items, "ids")
            check_distinct(ids)
            ids = Ids(ids)
        popularity = check_popularity(popularity, rows.n_items)
        self._inverted = bool(inverted)
        self._state = make_state(rows, ids, popularity, self._inverted)

    def search(self, Q, k=10, *, allow=None, deny=None, exclude=None):
        """Find the ``k`` best items of every query.

        Parameters
        ----------
        Q : {array-like, sparse matrix} of shape (n_queries, n_components)
            What items are multiplied with: profiles, codes, or other vectors.
        k : int, default=10
            Length of the lists.
        allow, deny : array-like or sparse matrix, default=None
            Items that may, or may not, be found: ids or a boolean mask of length
            n_items for all queries, or a sparse mask of shape (n_queries, n_items) for
            each.
        exclude : array-like of shape (n_queries,) or sparse matrix, default=None
            The id of the item that each query is, so that it is not found itself, or a
            sparse mask of shape (n_queries, n_items), such as histories.

        Returns
        -------
        R : sparse matrix or array of shape (n_queries, n_items)
            CSR, float64. The stored entries of a row are positions, best first (column
            indices are not sorted), and scores. A query with fewer than ``k``
            candidates has a shorter row.

        Raises
        ------
        ValueError
            For a ``k`` below 1, an unknown id, a mask of another shape, queries with
            another number of columns, NaN or infinity.

        Notes
        -----
        O(n_queries × nnz) time at most; memory beside the result is bounded by
        ``sklearn.get_config()["working_memory"]``.
        """
        return to_sparse_interface(
            self._search(self._state, Q, k, allow, deny, exclude)
        )

    def search_ids(self, Q, k=10, *, allow=None, deny=None, exclude=None):
        """Find the ``k`` best items of every query, by their ids.

        Parameters
        ----------
        Q : {array-like, sparse matrix} of shape (n_queries, n_components)
            As in ``search``.
        k : int, default=10
            Length of the lists.
        allow, deny, exclude : array-like or sparse matrix, default=None
            As in ``search``.

        Returns
        -------
        ids : ndarray of shape (n_queries, k)
            Best first: int64, padded with -1, or strings (object), padded with None.
        scores : ndarray of shape (n_queries, k), float64
            Padded with -inf.

        Raises
        ------
        ValueError
            As ``search``.
        """
        state = self._state
        R = self._search(state, Q, k, allow, deny, exclude)
        found = np.full((R.shape[0], int(k)), -1, dtype=np.int64)
        scores = np.full(found.shape, -np.inf)
        positions, values = top_items(R)
        found[:, : positions.shape[1]] = positions
        scores[:, : positions.shape[1]] = values
        return state.ids_at(found), scores

    def add(self, ids, rows, *, popularity=None):
        """Add items behind those that are there.

        Parameters
        ----------
        ids : array-like of shape (n_new,)
            New ids, of the kind of the others.
        rows : {array-like, sparse matrix} of shape (n_new, n_components)
            Their embeddings.
        popularity : array-like of shape (n_new,), default=None
            Where the index has one; None: 0.

        Raises
        ------
        ValueError
            For an id that is there already, or rows that the constructor refuses.

        Notes
        -----
        The arrays are written anew, O(nnz) time and twice the memory for a moment: add
        many items at once.
        """
        state = self._state
        new, added = self._check_new(state, ids, rows, popularity)
        if state.popularity is not None:
            added = np.zeros(new.n_items) if added is None else added
            added = np.concatenate([state.popularity, added])
        everything = np.arange(state.n_items + new.n_items)
        rows = kernels.take_rows([state.rows(), new], everything)
        ids = state.own_ids().add(ids)
        self._state = make_state(rows, ids, added, self._inverted)

    def remove(self, ids):
        """Remove items; those behind them move up.

        Parameters
        ----------
        ids : array-like
            Ids that are there.

        Raises
        ------
        ValueError
            For an unknown id.

        Notes
        -----
        As for ``add``.
        """
        state = self._state
        own = state.own_ids()
        kept = np.delete(np.arange(state.n_items), own.find(ids))
        rows = kernels.take_rows([state.rows()], kept)
        popularity = None if state.popularity is None else state.popularity[kept]
        self._state = make_state(rows, own.take(kept), popularity, self._inverted)

    def update(self, ids, rows, *, popularity=None):
        """Replace the embeddings of items, which keep their positions.

        Parameters
        ----------
        ids : array-like of shape (n_changed,)
            Distinct ids that are there.
        rows : {array-like, sparse matrix} of shape (n_changed, n_components)
            Their new embeddings.
        popularity : array-like of shape (n_changed,), default=None
            Where the index has one; None leaves it as it is.

        Raises
        ------
        ValueError
            For an unknown id, one that comes twice, or rows that the constructor
            refuses.

        Notes
        -----
        As for ``add``.
        """
        state = self._state
        new, changed = self._check_new(state, ids, rows, popularity)
        positions = state.own_ids().find(ids)
        check_distinct(as_ids(ids))
        source = np.arange(state.n_items)
        source[positions] = state.n_items + np.arange(new.n_items)
        values = state.popularity
        if changed is not None:
            values = values.copy()
            values[positions] = changed
        rows = kernels.take_rows([state.rows(), new], source)
        self._state = make_state(rows, state.ids, values, self._inverted)

    def save(self, path, *, overwrite=False):
        """Write the index to a folder, for ``open``.

        Parameters
        ----------
        path : str or path-like
            The folder to make; missing parents are made.
        overwrite : bool, default=False
            Replace the index that is there, which may be the one that this was opened
            from. Who opens it meanwhile gets the old one or the new one, and who has
            it open keeps the old one. What was not saved by this package is never
            replaced.

        Raises
        ------
        FileExistsError
            If there is something at `path` already, unless it is an empty folder, or
            saved by this package and `overwrite` is True.
        PersistenceError
            If an id is not valid Unicode.

        See Also
        --------
        sksparse_rec.save_model : Writes the same, after reading it all once more.

        Notes
        -----
        Time is that of writing and hashing ``nbytes``; memory beside the index is that
        of ids that are strings. The format is described in the documentation, under
        "The format of saved models".

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from sksparse_rec import SparseIndex
        >>> index = SparseIndex([[1.0, 0.0], [0.0, 1.0]], ids=["a", "b"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     index.save(Path(folder) / "items")
        ...     sorted(file.suffix for file in Path(folder, "items").iterdir())
        ['.json', '.safetensors']
        """
        write_folder(path, "SparseIndex", *self._to_saved(), overwrite=overwrite)

    @classmethod
    def open(cls, path, *, mapped=True, verify=False):
        """Open an index that ``save`` wrote, without reading it.

        Parameters
        ----------
        path : str or path-like
            The folder.
        mapped : bool, default=True
            Leave the arrays in the file. Pages are read when a search needs them, and
            processes that open the same folder share them. False reads all into memory.
        verify : bool, default=False
            Whether to read all arrays first and check them: their SHA-256, and that
            they are those of an index. Do so once, after the folder was copied from
            elsewhere.

        Returns
        -------
        SparseIndex
            It can be changed as any other, which leaves the file as it is.

        Raises
        ------
        FileNotFoundError
            If there is no such folder.
        PersistenceError
            If it is no saved index, or damaged, incomplete or of a newer version. With
            ``verify=False`` only what can be seen without reading the arrays: names,
            sizes, dtypes and shapes, and the manifest with its digest.

        See Also
        --------
        sksparse_rec.load_model : Reads into memory, and checks everything.

        Notes
        -----
        O(1) time and memory with the defaults. An unverified index trusts the contents
        of its arrays: where they are wrong so are the answers, or a search raises. No
        search reads or writes outside of the arrays, whatever they hold. ``add``,
        ``remove`` and ``update`` check the embeddings, as they read them all.

        ``verify=True`` takes about 3 seconds for a million items of 32 non-zeros, and
        memory for ids that are strings.

        Pickling writes the contents, not the path: open the folder in each process.
        Do not edit or shorten the file while it is open: ``save`` replaces it.

        Examples
        --------
        >>> import tempfile
        >>> from sksparse_rec import SparseIndex
        >>> index = SparseIndex([[1.0, 0.0], [0.0, 1.0]], ids=["a", "b"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     index.save(folder)
        ...     opened = SparseIndex.open(folder)
        >>> ids, _ = opened.search_ids([[0.0, 1.0]], k=1)
        >>> ids
        array([['b']], dtype=object)
        """
        folder = read_folder(path, "SparseIndex", mapped=mapped, verify=verify)
        try:
            return cls._from_saved(folder.arrays, folder.content, verify=verify)
        except PersistenceError as error:
            raise PersistenceError(f"{path} cannot be opened: {error}") from None

    def _to_saved(self):
        return take_apart(self._state, self._inverted)

    @classmethod
    def _from_saved(cls, arrays, content, *, verify=True):
        index = cls.__new__(cls)
        index._state, index._inverted = put_together(arrays, content, verify=verify)
        return index

    def __getstate__(self):
        state = self._state
        return state.arrays(), state.numbers(), state.is_checked, self._inverted

    def __setstate__(self, parts):
        *state, self._inverted = parts
        self._state = restore_state(*state)

    def _search(self, state, Q, k, allow, deny, exclude):
        k = check_k(k)
        Q = check_length(Q, self.n_components, "Q", "n_components", least_rows=0)
        shape = Q.shape[0], state.n_items
        filters = item_candidates(
            state.positions_of(allow, "allow"), state.positions_of(deny, "deny"), *shape
        )
        if exclude is not None:
            filters["excluded"].append(state.excluded(exclude, *shape))
        return search(Q, state.items, k, **filters)

    def _check_new(self, state, ids, rows, popularity):
        """Return rows that come in, and their popularity."""
        rows = compact_rows(rows, self.values.dtype, "rows", self.n_components)
        check_count(as_ids(ids), rows.n_items, "ids")
        if popularity is not None and state.popularity is None:
            raise ValueError(
                "popularity was given, but the index was made without: make a new one "
                "with popularity for all items"
            )
        return rows, check_popularity(popularity, rows.n_items)

    @property
    def n_items(self):
        """Number of items."""
        return self._state.n_items

    @property
    def n_components(self):
        """Width of the embeddings."""
        return self._state.items.rows.n_components

    @property
    def nbytes(self):
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self._state.arrays().values())

    def __len__(self):
        return self.n_items

    def __repr__(self):
        return (
            f"{type(self).__name__}({self.n_items} items, {self.n_components} "
            f"components, {self.values.dtype}, {self.nbytes:,} bytes)"
        )

    def __getattr__(self, name):
        if name in ARRAYS and "_state" in vars(self):
            return self._state.array(name)
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")
