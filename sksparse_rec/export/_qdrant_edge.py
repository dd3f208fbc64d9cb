"""Points in a folder of the embedded Qdrant."""

import os
from pathlib import Path

from sksparse_rec._optional import import_optional

# The file by which a folder is known as one of Qdrant.
CONFIG = "edge_config.json"


class EdgePoints:
    """What a store needs of `qdrant_edge`.

    Parameters
    ----------
    path : str or path-like
        A folder, which is made where there is none.
    vector, position : str
        Names of the vector, and of the value of the payload that has an index.
    """

    # Its filters match no booleans: they look for 0 and 1.
    has_booleans = False
    library = "qdrant_edge"

    def __init__(self, path, vector, position):
        self.q = import_optional("qdrant_edge", "QdrantStore", "qdrant")
        self.place = os.path.realpath(path)
        self.vector, self.position, self.filter = vector, position, self.q.Filter
        self.client = self._open(Path(path))
        # Of an existing folder too, as one may have been left without.
        kind = self.q.PayloadSchemaType.Integer
        self.client.update(self.q.UpdateOperation.create_field_index(position, kind))

    def _open(self, path):
        q = self.q
        config = q.EdgeConfig(sparse_vectors={self.vector: q.EdgeSparseVectorParams()})
        if not path.exists() or not any(path.iterdir()):
            path.mkdir(parents=True, exist_ok=True)
            return q.EdgeShard.create(os.fspath(path), config)
        if not (path / CONFIG).exists():
            raise FileExistsError(
                f"{path} exists and is no folder of Qdrant: remove it, or name another"
            )
        try:
            return q.EdgeShard.load(os.fspath(path), config)
        except Exception as error:
            # Qdrant raises nothing more telling than Exception.
            if "WouldBlock" in str(error):
                raise BlockingIOError(
                    f"{path} is open already, in this process or another: a folder can "
                    "be opened once"
                ) from error
            if "incompatible" in str(error):
                raise ValueError(
                    f"{path} has no vectors {self.vector!r}: open it with the "
                    "n_components and signs that it was made with, or name another"
                ) from error
            raise

    def count(self):
        """Return the number of points."""
        return self.client.count(self.q.CountRequest())

    def upsert(self, points):
        """Write points of (id, columns, values, payload), which are on disk then."""
        q = self.q
        points = [
            q.Point(key, {self.vector: q.SparseVector(columns, values)}, payload)
            for key, columns, values, payload in points
        ]
        self.client.update(q.UpdateOperation.upsert_points(points))
        self.client.flush()

    def query(self, vectors, n, where, payload):
        """Return the best points for each vector of (columns, values)."""
        q = self.q
        requests = [
            q.QueryRequest(
                query=q.Query.Nearest(q.SparseVector(*vector), using=self.vector),
                limit=n,
                filter=where,
                with_payload=payload,
                with_vector=[self.vector],
            )
            for vector in vectors
        ]
        return self.client.query_batch(q.QueryBatchRequest(requests))

    def between(self, start, stop, where, payload):
        """Return the points with positions from ``start`` to ``stop``."""
        q = self.q
        inside = q.FieldCondition(self.position, range=q.RangeFloat(gte=start, lt=stop))
        request = q.ScrollRequest(
            filter=q.Filter(must=[inside] if where is None else [inside, where]),
            limit=stop - start,
            with_payload=payload,
            with_vector=[self.vector],
        )
        return self.client.scroll(request)[0]

    def retrieve(self, keys, payload):
        """Return the points that are there of these ids, without vectors."""
        return self.client.retrieve(keys, with_payload=payload, with_vector=False)

    def last(self, payload):
        """Return the point with the largest position in a list, empty if none."""
        q = self.q
        order = q.OrderBy(self.position, direction=q.Direction.Desc)
        request = q.ScrollRequest(limit=1, order_by=order, with_payload=payload)
        return self.client.scroll(request)[0]

    def delete(self, keys):
        """Delete points."""
        self.client.update(self.q.UpdateOperation.delete_points(keys))
        self.client.flush()

    def close(self):
        """Write everything down and let go of the folder."""
        self.client.close()
