"""Codes in Qdrant."""

import pytest
from round_trips import RoundTrips

from sksparse_rec.export import QdrantStore

qdrant_edge = pytest.importorskip("qdrant_edge")


class TestEdge(RoundTrips):
    """The embedded store."""

    def make(self, where, **options):
        return QdrantStore(where / "qdrant", **options)

    def in_stock(self):
        q = qdrant_edge
        return q.Filter(must=[q.FieldCondition("in_stock", match=q.MatchValue(1))])

    def broken_after(self, store, n):
        self.shard = store._shard
        store._shard = Breaking(store._shard, n)

    def mended(self, store):
        store._shard = self.shard


class Breaking:
    """A shard that raises in the middle of the request after the n-th."""

    def __init__(self, shard, n):
        self.shard, self.left = shard, n

    def update(self, operation):
        self.shard.update(operation)
        self.left -= 1
        if self.left < 0:
            raise ConnectionError

    def __getattr__(self, name):
        return getattr(self.shard, name)
