"""Points in a collection of a Qdrant server."""

import warnings

from sksparse_rec._optional import import_optional


class ClientPoints:
    """What a store needs of `qdrant_client`.

    Parameters
    ----------
    client : qdrant_client.QdrantClient
        Of a server, or of its local mode, which takes the same calls.
    collection : str
        It is made where there is none.
    vector, position : str
        Names of the vector, and of the value of the payload that has an index.
    """

    has_booleans = True
    library = "qdrant_client.models"

    def __init__(self, client, collection, vector, position):
        library = import_optional("qdrant_client", "QdrantStore", "qdrant")
        models = import_optional("qdrant_client.models", "QdrantStore", "qdrant")
        if not isinstance(client, library.QdrantClient):
            raise TypeError(
                f"location is a {type(client).__name__}: pass a path, or a QdrantClient"
            )
        self.models, self.client, self.place = models, client, collection
        self.vector, self.position, self.filter = vector, position, models.Filter
        if client.collection_exists(collection):
            self._check()
        else:
            self._create()
        # Of an existing collection too, as one may have been left without.
        with warnings.catch_warnings():
            # The local mode says that it has no indexes and needs none.
            warnings.filterwarnings("ignore", "Payload indexes have no effect")
            client.create_payload_index(
                collection, position, models.PayloadSchemaType.INTEGER, wait=True
            )

    def _create(self):
        models = self.models
        vectors = {self.vector: models.SparseVectorParams()}
        self.client.create_collection(
            self.place, vectors_config={}, sparse_vectors_config=vectors
        )

    def _check(self):
        params = self.client.get_collection(self.place).config.params
        vector = (params.sparse_vectors or {}).get(self.vector)
        if vector is None:
            raise ValueError(
                f"The collection {self.place!r} has no sparse vectors {self.vector!r}: "
                "open it with the n_components and signs that it was made with, or "
                "name another"
            )
        datatype = getattr(vector.index, "datatype", None)
        if vector.modifier not in (None, self.models.Modifier.NONE) or datatype not in (
            None,
            self.models.Datatype.FLOAT32,
        ):
            raise ValueError(
                f"The collection {self.place!r} has {self.vector!r} with datatype "
                f"{datatype} and modifier {vector.modifier}, which change scores: make "
                "it anew without"
            )

    def count(self):
        """Return the number of points."""
        return self.client.count(self.place, exact=True).count

    def upsert(self, points):
        """Write points of (id, columns, values, payload), and wait until it is done."""
        models = self.models
        points = [
            models.PointStruct(
                id=key, vector={self.vector: self._sparse(*vector)}, payload=payload
            )
            for key, *vector, payload in points
        ]
        self.client.upsert(self.place, points, wait=True)

    def query(self, vectors, n, where, payload):
        """Return the best points for each vector of (columns, values)."""
        requests = [
            self.models.QueryRequest(
                query=self._sparse(*vector),
                using=self.vector,
                limit=n,
                filter=where,
                with_payload=payload,
                with_vector=[self.vector],
            )
            for vector in vectors
        ]
        answers = self.client.query_batch_points(self.place, requests)
        return [answer.points for answer in answers]

    def between(self, start, stop, where, payload):
        """Return the points with positions from ``start`` to ``stop``."""
        models = self.models
        inside = models.FieldCondition(
            key=self.position, range=models.Range(gte=start, lt=stop)
        )
        points, _ = self.client.scroll(
            self.place,
            models.Filter(must=[inside] if where is None else [inside, where]),
            limit=stop - start,
            with_payload=payload,
            with_vectors=[self.vector],
        )
        return points

    def retrieve(self, keys, payload):
        """Return the points that are there of these ids, without vectors."""
        return self.client.retrieve(self.place, keys, with_payload=payload)

    def last(self, payload):
        """Return the point with the largest position in a list, empty if none."""
        models = self.models
        order = models.OrderBy(key=self.position, direction=models.Direction.DESC)
        points, _ = self.client.scroll(
            self.place, limit=1, order_by=order, with_payload=payload
        )
        return points

    def delete(self, keys):
        """Delete points, and wait until it is done."""
        selected = self.models.PointIdsList(points=keys)
        self.client.delete(self.place, selected, wait=True)

    def close(self):
        """Leave the client, which is the caller's, as it is."""

    def _sparse(self, columns, values):
        return self.models.SparseVector(indices=columns, values=values)
