"""Codes in an index of Seismic."""

import itertools
import os
from pathlib import Path

import numpy as np
from joblib import effective_n_jobs

from sksparse_rec._files import draft_of, write_whole
from sksparse_rec._optional import import_optional
from sksparse_rec._validation import Integral, Interval, Real, validate_params
from sksparse_rec.export._rerank import Found
from sksparse_rec.export._seismic_items import ItemFiles, Items
from sksparse_rec.export._signs import SIGNS
from sksparse_rec.export._store import Store

# What Seismic appends to names.
SUFFIX = ".index.seismic"
# Widths that its faster index has.
NARROW = 1 << 16
LARGEST_HALF = float(np.finfo(np.float16).max)


class SeismicStore(Store):
    """Codes in a folder, found by Seismic and ranked exactly.

    Seismic (SIGIR 2024) is an approximate index of sparse vectors in memory. Take it
    where other programs serve Seismic already, or to compare: `SparseIndex` is exact,
    has filters, and was as fast on a million items.

    Parameters
    ----------
    path : str or path-like
        The folder to make or to open; missing parents are made.
    n_components : int
        Width of the codes.
    signs : {"split", "nonnegative", "native"}, default="split"
        What becomes of negative values. With "split" latent ``j`` becomes ``j`` where
        it is positive, and ``j + n_components``, with its absolute value, where it is
        negative. The others refuse negative values: Seismic takes them, and finds half
        of what it should.
    query_cut : int, default=None
        How many latents of a query, those of largest weight, Seismic looks at. None:
        all. Take 10 to 30 where queries are profiles of users.
    heap_factor : float, default=0.7
        How readily Seismic skips items: from 0, nothing, to 1. Lower finds more and
        takes longer.
    build : dict, default=None
        Parameters of ``seismic.SeismicIndex.build_from_dataset``, such as
        ``{"n_postings": 6000}``, ``{"summary_energy": 0.5}``, for when it is built
        next. None takes its defaults.
    n_jobs : int, default=None
        Threads to build and to search with. None means 1, -1 all cores.

    Attributes
    ----------
    exact : bool
        False: a search ranks `n_candidates` exactly, and may miss items that Seismic
        did not find.

    Raises
    ------
    ValueError
        If the folder holds codes of another width or with other `signs`.
    RuntimeError
        By ``write`` and ``delete``, if another store has changed the folder since this
        one was opened.
    ImportError
        If Seismic is missing, which the extra ``seismic`` installs: from a wheel with
        Python up to 3.12 on Linux, elsewhere with a Rust compiler.

    See Also
    --------
    sksparse_rec.SparseIndex : Exact search in this process, with filters.

    Notes
    -----
    *Exactness.* Seismic keeps values as float16 and finds nearly the best items by
    them. Codes are also kept as they are, in float32, and candidates are ranked by
    exact products; equal scores go to the item written first. Recall grows with
    `n_candidates` of ``search``. Items that share no latent with a query are not
    found, so that lists may be shorter than ``k``; a query without non-zeros gets the
    first items, with score 0.

    *Updates.* An index is built as a whole and never changed. ``write`` and ``delete``
    put small files beside it, each complete or not there; the first search after them
    builds the index anew, O(n_items) time, saves it for those who open the folder
    later, and merges the files if this store has written. So write much at once, and
    search then. Seismic prints to standard output while it builds.

    *Limits.* No payload, and so no filters: both are refused. Keep payloads by id
    elsewhere, or take another store. Values beyond 65,504 are refused. One store
    writes a folder at a time; others that have it open keep what they have, and have
    to open it again to write.

    *Cost.* 8 bytes a non-zero for the codes, about 20 for Seismic's index, and 100 an
    item for ids. A million items of 32 signed non-zeros in 4096 took 80 seconds to
    build with one thread, and 2.1 ms a query with recall@10 of 1.000 (1.1 ms and 0.985
    with ``n_candidates=50``), where `SparseIndex` took 1.1 ms; of 200,000, 16 seconds,
    and 1.3 ms where `SparseIndex` took 0.9.

    Examples
    --------
    >>> import tempfile
    >>> from sksparse_rec.export import SeismicStore
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with SeismicStore(folder, n_components=3) as store:
    ...         store.write([[0.8, 0.0, -0.6], [0.0, 1.0, 0.0]], ids=["a", "b"])
    ...         ids, scores = store.search([[0.0, 0.5, -1.0]], k=2)
    >>> ids.tolist(), scores.round(6).tolist()
    ([['a', 'b']], [[0.6, 0.5]])
    """

    exact = False
    _refusal = "Seismic ranks negative values badly"

    @validate_params(
        {
            "path": [str, os.PathLike],
            "query_cut": [Interval(Integral, 1, None, closed="left"), None],
            "heap_factor": [Interval(Real, 0, 1, closed="both")],
            "build": [dict, None],
            "n_jobs": [Integral, None],
        },
        prefer_skip_nested_validation=True,
    )
    def __init__(
        self,
        path,
        *,
        n_components,
        signs="split",
        query_cut=None,
        heap_factor=0.7,
        build=None,
        n_jobs=None,
    ):
        super().__init__(n_components=n_components, signs=signs)
        self._seismic = import_optional("seismic", "SeismicStore", "seismic")
        self.query_cut, self.heap_factor = query_cut, float(heap_factor)
        self.build, self.n_jobs = dict(build or {}), n_jobs
        self._folder = Path(os.path.realpath(Path(path).expanduser()))
        self._folder.mkdir(parents=True, exist_ok=True)
        self._check_folder()
        self._files = ItemFiles(self._folder, self.stored_width)
        # The index, and the number of the last file that it knows.
        self._index, self._known = None, None

    def __len__(self):
        """Return the number of items."""
        return len(self._files.positions)

    def close(self):
        """Do nothing, as no file stays open."""

    def _check(self, batch):
        if any(batch.payload):
            raise ValueError(
                "payload was given, but Seismic keeps ids and codes only: keep the "
                "payload by id elsewhere, or take another store"
            )
        largest = batch.rows.data.max(initial=0)
        if largest > LARGEST_HALF:
            raise ValueError(
                f"codes has a value of {largest}, but Seismic keeps float16, up to "
                f"{LARGEST_HALF:.0f}: scale the rows to unit length"
            )

    def _check_where(self, where):
        raise ValueError(
            f"where is {where!r}, but Seismic has no filters: leave it out, or take "
            "another store"
        )

    def _upsert(self, batch, positions):
        order = np.argsort(positions)
        items = Items(batch.ids, positions, batch.rows)
        self._files.add(items.take(order))

    def _delete(self, ids):
        self._files.remove(np.sort(self._positions_of(ids)))

    def _positions_of(self, ids):
        known = self._files.positions
        return np.array([known.get(key, -1) for key in ids.tolist()], np.int64)

    def _end(self):
        return max(self._files.positions.values(), default=-1) + 1

    def _id_kind(self):
        for key in self._files.positions:
            return "U" if isinstance(key, str) else "i"
        return None

    def _place(self):
        return str(self._folder)

    def _between(self, start, stop, where):
        items = self._files.merged()
        places = np.arange(*np.searchsorted(items.positions, [start, stop]))
        return _found(items.take(places), np.zeros(len(places)))

    def _nearest(self, Q, n, where):
        items, index = self._files.merged(), self._open_index()
        if index is None:
            nothing = items.take(np.empty(0, np.int64))
            return [_found(nothing, np.empty(0))] * Q.shape[0]
        text = self._seismic.get_seismic_string()
        columns, values = [], []
        for start, stop in itertools.pairwise(Q.indptr):
            # Items have none of the latents that products would be negative with.
            places = start + np.flatnonzero(Q.data[start:stop] > 0)
            columns.append(Q.indices[places].astype(text))
            values.append(Q.data[places])
        lists = index.batch_search(
            np.arange(Q.shape[0]).astype(text),
            columns,
            values,
            k=n,
            query_cut=self.query_cut or max(1, *map(len, columns)),
            heap_factor=self.heap_factor,
            num_threads=effective_n_jobs(self.n_jobs),
        )
        # They come in any order, and say whose they are.
        by_query = {int(hits[0][0]): hits for hits in lists if hits}
        answers = []
        for query in range(Q.shape[0]):
            hits = by_query.get(query, [])
            positions = np.array([int(key) for _, _, key in hits], np.int64)
            found = items.take(np.searchsorted(items.positions, positions))
            answers.append(_found(found, np.array([score for _, score, _ in hits])))
        return answers

    def _open_index(self):
        """Return an index that knows all items, or None for none to be found."""
        if self._known != self._files.number:
            self._files.compact()
            file = self._folder / f"{self._files.last:08d}{SUFFIX}"
            self._index = self._load(file) or self._build(file)
            self._known = self._files.number
        return self._index

    def _load(self, file):
        if not file.exists():
            return None
        try:
            return self._kind("Index").load(str(file))
        except OSError:
            # Cut off: it is made of what is beside it.
            return None

    def _build(self, file):
        items = self._files.merged()
        if items.rows.nnz == 0:
            return None
        dataset = self._kind("Dataset")(dim=self.stored_width)
        dataset.add_documents_by_id(
            items.positions.astype(str).tolist(),
            items.rows.indices.astype(np.int64),
            items.rows.data,
            items.rows.indptr.astype(np.int64),
        )
        options = {"num_threads": effective_n_jobs(self.n_jobs)} | self.build
        index = self._kind("Index").build_from_dataset(dataset, **options)
        draft = draft_of(file)
        index.save(str(draft))
        for former in self._folder.glob(f"*{SUFFIX}"):
            if former.name.startswith(draft.name):
                os.replace(former, file)
            elif former.name < file.name:
                former.unlink()
        return index

    def _kind(self, what):
        suffix = "" if self.stored_width <= NARROW else "LV"
        return getattr(self._seismic, f"Seismic{what}{suffix}")

    def _check_folder(self):
        """Raise if the folder was made with other signs."""
        mark = self._folder / "signs"
        if mark.exists() and mark.read_text() != self.signs:
            raise ValueError(
                f"{self._folder} was made with signs={mark.read_text()!r}, one of "
                f"{SIGNS}: open it as it was made"
            )
        if not mark.exists():
            write_whole(mark, lambda draft: draft.write_text(self.signs))


def _found(items, scores):
    return Found(items.ids.astype(object), items.positions, scores, items.rows)
