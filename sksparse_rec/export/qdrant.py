"""Codes in Qdrant."""

import os
import uuid
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from sksparse_rec._optional import import_optional
from sksparse_rec.export._rerank import Found
from sksparse_rec.export._signs import sorted_rows
from sksparse_rec.export._store import Store

VECTOR = "code"
ID, POSITION = "_id", "_position"
# Strings become points by this name space.
NAMESPACE = uuid.UUID("0d5eb6bd-5f1c-5c86-9f3c-6a3f7c9d1b52")


class QdrantStore(Store):
    """Codes in a folder of the embedded Qdrant.

    Parameters
    ----------
    path : str or path-like
    n_components : int
    signs : {"native", "split", "nonnegative"}, default="native"
    """

    def __init__(self, path, *, n_components, signs="native"):
        super().__init__(n_components=n_components, signs=signs)
        self._edge = import_optional("qdrant_edge", "QdrantStore", "qdrant")
        self._path = Path(path)
        self._shard = self._open()

    def _open(self):
        q = self._edge
        if self._path.exists() and any(self._path.iterdir()):
            return q.EdgeShard.load(os.fspath(self._path))
        self._path.mkdir(parents=True, exist_ok=True)
        config = q.EdgeConfig(sparse_vectors={VECTOR: q.EdgeSparseVectorParams()})
        shard = q.EdgeShard.create(os.fspath(self._path), config)
        kind = q.PayloadSchemaType.Integer
        shard.update(q.UpdateOperation.create_field_index(POSITION, kind))
        return shard

    def __len__(self):
        return self._shard.count(self._edge.CountRequest())

    def close(self):
        self._shard.close()

    def _upsert(self, batch, positions):
        q = self._edge
        points = []
        names = batch.ids.dtype.kind == "U"
        for i, (key, position) in enumerate(
            zip(batch.ids.tolist(), positions.tolist(), strict=True)
        ):
            entries = slice(batch.rows.indptr[i], batch.rows.indptr[i + 1])
            vector = q.SparseVector(
                batch.rows.indices[entries].tolist(), batch.rows.data[entries].tolist()
            )
            payload = batch.payload[i] | {POSITION: position}
            if names:
                payload[ID] = key
            points.append(q.Point(_point(key), {VECTOR: vector}, payload))
        self._shard.update(q.UpdateOperation.upsert_points(points))
        self._shard.flush()

    def _nearest(self, Q, n, where):
        q = self._edge
        answers = []
        for i in range(Q.shape[0]):
            entries = slice(Q.indptr[i], Q.indptr[i + 1])
            vector = q.SparseVector(
                Q.indices[entries].tolist(), Q.data[entries].tolist()
            )
            points = self._shard.query(
                q.QueryRequest(
                    query=q.Query.Nearest(vector, using=VECTOR),
                    limit=n,
                    filter=where,
                    with_payload=[ID, POSITION],
                    with_vector=[VECTOR],
                )
            )
            answers.append(self._found(points, [point.score for point in points]))
        return answers

    def _between(self, start, stop, where):
        q = self._edge
        inside = q.FieldCondition(POSITION, range=q.RangeFloat(gte=start, lt=stop))
        must = [inside] if where is None else [inside, where]
        points, _ = self._shard.scroll(
            q.ScrollRequest(
                filter=q.Filter(must=must),
                limit=stop - start,
                with_payload=[ID, POSITION],
                with_vector=[VECTOR],
            )
        )
        return self._found(points, np.zeros(len(points)))

    def _positions_of(self, ids):
        keys = [_point(key) for key in ids.tolist()]
        records = self._shard.retrieve(keys, with_payload=[POSITION], with_vector=False)
        known = {str(r.id): r.payload[POSITION] for r in records}
        return np.array([known.get(str(key), -1) for key in keys], np.int64)

    def _end(self):
        q = self._edge
        last = q.OrderBy(POSITION, direction=q.Direction.Desc)
        request = q.ScrollRequest(limit=1, order_by=last, with_payload=[POSITION])
        points, _ = self._shard.scroll(request)
        return points[0].payload[POSITION] + 1 if points else 0

    def _id_kind(self):
        points, _ = self._shard.scroll(
            self._edge.ScrollRequest(limit=1, with_payload=[ID])
        )
        if not points:
            return None
        return "U" if ID in (points[0].payload or {}) else "i"

    def _delete(self, ids):
        keys = [_point(key) for key in ids.tolist()]
        self._shard.update(self._edge.UpdateOperation.delete_points(keys))
        self._shard.flush()

    def _place(self):
        return "edge"

    def _found(self, points, scores):
        payloads = [point.payload for point in points]
        ids = [p.get(ID, point.id) for p, point in zip(payloads, points, strict=True)]
        vectors = [point.vector[VECTOR] for point in points]
        indptr = np.cumsum([0, *(len(v.indices) for v in vectors)])
        columns = [j for v in vectors for j in v.indices]
        values = [x for v in vectors for x in v.values]
        parts = np.array(values, np.float32), np.array(columns, np.int32), indptr
        return Found(
            np.array(ids, dtype=object),
            np.array([p[POSITION] for p in payloads], np.int64),
            np.array(scores, np.float64),
            sorted_rows(sp.csr_array(parts, shape=(len(points), self.stored_width))),
        )


def _point(key):
    return str(uuid.uuid5(NAMESPACE, key)) if isinstance(key, str) else key
