"""What files of search engines hold: lines, definitions of fields, queries."""

import json
import math
import re
from typing import NamedTuple

import numpy as np

# The fields of an item, beside its payload.
FIELDS = ("id", "position", "latents", "code")
# Lucene refuses smaller features, and queries of a feature with a larger weight.
LEAST_FEATURE = float(np.finfo(np.float32).tiny)
# Bytes of an id that Lucene takes.
ID_BYTES = 512
# Integers that weights of Vespa are: those of items, for a value of 1, and the largest
# of a query. The sum of 65,536 products fits 64 bits for values below 2,048.
WEIGHT_OF_ONE = 1 << 20
QUERY_WEIGHT = 1 << 15
LARGEST_WEIGHT = np.iinfo(np.int32).max

LUCENE_TYPES = {"bool": "boolean", "int": "long", "float": "double", "str": "keyword"}
VESPA_TYPES = {"bool": "bool", "int": "long", "float": "double", "str": "string"}


class Item(NamedTuple):
    """An item as formats write it."""

    id: int | str
    position: int
    # What it is found by: positive values by the name of the latent.
    latents: dict
    # What it is: values by latent, exactly.
    code: dict
    payload: dict


class Lucene:
    """Bodies of bulk requests to Elasticsearch and OpenSearch."""

    suffix = ".ndjson"
    # What a filter is.
    where_types = (dict, list)

    def __init__(self, name):
        self.name = name

    def check_id(self, value):
        """Raise for an id that would be refused."""
        if not 0 < len(str(value).encode()) <= ID_BYTES:
            raise ValueError(
                f"ids contains {value!r}, but ids have 1 to {ID_BYTES} bytes there"
            )

    def check_field(self, name):
        """Raise for the name of a column that would become something else."""
        if not name or name.startswith("_") or "." in name:
            raise ValueError(
                f"payload has a column {name!r}, but names there have no dots and do "
                "not begin with an underscore: rename it"
            )

    def check_values(self, largest):
        """Take values of any size."""

    def line(self, item):
        """Return the lines that put an item, without the last line break."""
        action = {"index": {"_id": str(item.id)}}
        source = {
            "id": item.id,
            "position": item.position,
            "latents": {n: v for n, v in item.latents.items() if v >= LEAST_FEATURE},
            "code": item.code,
        }
        return f"{_as_json(action)}\n{_as_json(source | item.payload)}"

    def definitions(self, id_kind, payload_kinds):
        """Return the files that make the index, by their names."""
        fields = {
            "id": _lucene_field(id_kind),
            "position": {"type": "long"},
            "latents": {"type": self.latents_type},
            # Kept with the item, but not searched.
            "code": {"type": "object", "enabled": False},
        }
        # A list has the type of its values.
        fields |= {name: _lucene_field(kind) for name, (kind, _) in payload_kinds}
        content = {"mappings": {"dynamic": "strict", "properties": fields}}
        return {"index.json": json.dumps(content, indent=1) + "\n"}

    def query(self, latents, code, n_candidates, where):
        """Return the body of a search request, of which hits are ranked later."""
        query = {"bool": {"must": [self.latents_query(_scaled(latents))]}}
        if where is not None:
            query["bool"]["filter"] = where
        return {
            "size": n_candidates,
            "_source": ["id", "position", "code"],
            "query": query,
        }

    def hits(self, response):
        """Yield the id, the position and the code of the hits of a response."""
        for hit in response["hits"]["hits"]:
            source = hit["_source"]
            yield source["id"], source["position"], source["code"]


class Elasticsearch(Lucene):
    """Items with a field of type ``sparse_vector``."""

    latents_type = "sparse_vector"

    def latents_query(self, latents):
        """Return a query that adds up all products."""
        # Without pruning, which is on by default and leaves frequent latents out.
        query = {"field": "latents", "query_vector": latents, "prune": False}
        return {"sparse_vector": query}


class OpenSearch(Lucene):
    """Items with a field of type ``rank_features``."""

    latents_type = "rank_features"

    def latents_query(self, latents):
        """Return a query that adds up all products."""
        return {"neural_sparse": {"latents": {"query_tokens": latents}}}


class Vespa:
    """Documents for ``vespa feed``."""

    suffix = ".jsonl"
    where_types = (str,)

    def __init__(self, name):
        if not re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name):
            raise ValueError(f"name must be letters, digits and _, got {name!r}")
        self.name = name

    def check_id(self, value):
        """Raise for an id that would be refused."""
        if value == "" or (isinstance(value, str) and not value.isprintable()):
            raise ValueError(
                f"ids contains {value!r}, but ids are printable text there"
            )

    def check_field(self, name):
        """Raise for the name of a column that would be refused."""
        if not re.fullmatch("[a-zA-Z][a-zA-Z0-9_]*", name):
            raise ValueError(
                f"payload has a column {name!r}, but names there are letters, digits "
                "and _: rename it"
            )

    def check_values(self, largest):
        """Raise for values whose weights would be out of range."""
        if largest * WEIGHT_OF_ONE > LARGEST_WEIGHT:
            raise ValueError(
                f"codes has values of up to {largest}, but weights there are 32-bit "
                f"integers, for values below {LARGEST_WEIGHT / WEIGHT_OF_ONE:.0f}: "
                "scale the rows to unit length"
            )

    def line(self, item):
        """Return the line that puts an item, without the line break."""
        fields = {
            "id": item.id,
            "position": item.position,
            "latents": {
                name: max(1, round(value * WEIGHT_OF_ONE))
                for name, value in item.latents.items()
            },
            "code": {"cells": item.code},
        }
        put = f"id:{self.name}:{self.name}::{item.id}"
        return _as_json({"put": put, "fields": fields | item.payload})

    def definitions(self, id_kind, payload_kinds):
        """Return the schema, by the name of its file."""
        fields = [
            _vespa_field("id", VESPA_TYPES[id_kind]),
            _vespa_field("position", "long"),
            _vespa_field("latents", "weightedset<int>", "attribute", fast=True),
            _vespa_field("code", "tensor<float>(latent{})"),
        ]
        for name, (kind, is_list) in payload_kinds:
            plain = VESPA_TYPES[kind]
            fields.append(_vespa_field(name, f"array<{plain}>" if is_list else plain))
        text = VESPA_SCHEMA.format(name=self.name, fields="\n".join(fields))
        return {f"{self.name}.sd": text}

    def query(self, latents, code, n_candidates, where):
        """Return the body of a search request."""
        peak = max(latents.values(), default=1.0)
        weights = {
            name: max(1, round(value / peak * QUERY_WEIGHT))
            for name, value in latents.items()
        }
        condition = f"{{targetHits: {n_candidates}}}wand(latents, @weights)"
        if where is not None:
            condition = f"({condition}) and ({where})"
        cells = (f"{{latent:{name}}}:{value}" for name, value in code.items())
        return {
            # Text of the caller, whose values go into parameters.
            "yql": VESPA_QUERY.format(name=self.name, condition=condition),
            "weights": _braced(f"{n}:{w}" for n, w in weights.items()),
            "hits": n_candidates,
            "ranking.profile": "sparse",
            "ranking.rerankCount": n_candidates,
            "input.query(profile)": _braced(cells),
        }

    def hits(self, response):
        """Yield the id, the position and the code of the hits of a response."""
        for hit in response["root"].get("children", []):
            fields = hit["fields"]
            code = fields.get("code", {"cells": {}})
            yield fields["id"], fields["position"], code["cells"]


VESPA_SCHEMA = """\
schema {name} {{
    document {name} {{
{fields}
    }}
    rank-profile sparse {{
        inputs {{
            query(profile) tensor<float>(latent{{}})
        }}
        first-phase {{
            expression: rawScore(latents)
        }}
        second-phase {{
            expression: sum(query(profile) * attribute(code))
        }}
    }}
}}
"""

VESPA_QUERY = "select id, position, code from {name} where {condition}"


FORMATS = {"elasticsearch": Elasticsearch, "opensearch": OpenSearch, "vespa": Vespa}


def _braced(parts):
    # Text, as objects in the body would become parameters of their own.
    return "{" + ",".join(parts) + "}"


def _as_json(value):
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _scaled(latents):
    """Return weights of at most 1: their order stays, and none is out of range."""
    peak = max(latents.values(), default=1.0)
    # A power of two rounds nothing.
    scale = 2.0 ** -math.ceil(math.log2(peak))
    scaled = {name: value * scale for name, value in latents.items()}
    return {name: value for name, value in scaled.items() if value >= LEAST_FEATURE}


def _lucene_field(kind):
    field = {"type": LUCENE_TYPES[kind]}
    # Longer text cannot be a term, and the whole item would be refused.
    return field | {"ignore_above": 8191} if kind == "str" else field


def _vespa_field(name, kind, indexing="attribute | summary", fast=False):
    lines = [f"field {name} type {kind} {{", f"    indexing: {indexing}"]
    lines += ["    attribute: fast-search"] if fast else []
    return "\n".join(" " * 8 + line for line in [*lines, "}"])
