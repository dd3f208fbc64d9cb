"""Search engines that score as their manuals say, on the lines of bulk files."""

import json
import re

import numpy as np


class Lucene:
    """Elasticsearch and OpenSearch: features of 9 significant bits, sums in float32."""

    def __init__(self, definitions):
        self.fields = definitions["mappings"]["properties"]
        assert definitions["mappings"]["dynamic"] == "strict"
        self.items = {}

    def load(self, text):
        lines = text.split("\n")
        assert lines.pop() == ""
        for action, source in zip(lines[::2], lines[1::2], strict=True):
            action, source = json.loads(action), json.loads(source)
            assert action["index"].keys() == {"_id"}
            assert source.keys() <= self.fields.keys()
            for name, value in source["latents"].items():
                assert "." not in name
                assert value >= np.finfo(np.float32).tiny
            self.items[action["index"]["_id"]] = source

    def search(self, body):
        query = json.loads(json.dumps(body))
        (must,) = query["query"]["bool"]["must"]
        weights = self.weights(must)
        assert all(0 < weight <= 64 for weight in weights.values())
        scores = {}
        for key, source in self.items.items():
            if self.passes(query["query"]["bool"].get("filter"), source):
                common = weights.keys() & source["latents"].keys()
                if common:
                    scores[key] = sum(
                        np.float32(weights[name]) * rounded(source["latents"][name])
                        for name in common
                    )
        best = sorted(scores, key=lambda key: -scores[key])[: query["size"]]
        hits = []
        for key in best:
            source = {name: self.items[key][name] for name in query["_source"]}
            hits.append({"_id": key, "_score": float(scores[key]), "_source": source})
        return {"hits": {"hits": hits}}

    def passes(self, where, source):
        if where is None:
            return True
        ((field, value),) = where["term"].items()
        return source.get(field) == value


class Elasticsearch(Lucene):
    def weights(self, query):
        assert self.fields["latents"] == {"type": "sparse_vector"}
        query = query["sparse_vector"]
        assert query["field"] == "latents"
        assert query["prune"] is False
        return query["query_vector"]


class OpenSearch(Lucene):
    def weights(self, query):
        assert self.fields["latents"] == {"type": "rank_features"}
        return query["neural_sparse"]["latents"]["query_tokens"]


class Vespa:
    """Finds by products of 32-bit integers."""

    def __init__(self, schema):
        assert "field latents type weightedset<int>" in schema
        assert "field code type tensor<float>(latent{})" in schema
        assert schema.count("{") == schema.count("}")
        self.fields = set(re.findall(r"field (\w+) type", schema))
        (self.name,) = re.findall(r"^schema (\w+) {", schema)
        self.items = {}

    def load(self, text):
        lines = text.split("\n")
        assert lines.pop() == ""
        for line in lines:
            put = json.loads(line)
            assert put["put"].startswith(f"id:{self.name}:{self.name}::")
            assert put["fields"].keys() <= self.fields
            for weight in put["fields"]["latents"].values():
                assert isinstance(weight, int)
                assert 0 < weight < 2**31
            self.items[put["put"]] = put["fields"]

    def search(self, body):
        body = json.loads(json.dumps(body))
        pattern = (
            r"select id, position, code from (\w+) where "
            r"\(?{targetHits: (\d+)}wand\(latents, @weights\)(?:\) and \((.*)\))?"
        )
        name, n, where = re.fullmatch(pattern, body["yql"]).groups()
        assert name == self.name
        assert int(n) == body["hits"] == body["ranking.rerankCount"]
        weights = {
            part.split(":")[0]: int(part.split(":")[1])
            for part in body["weights"].strip("{}").split(",")
        }
        assert re.fullmatch(
            r"{({latent:\d+}:-?[\d.e+-]+,?)+}", body["input.query(profile)"]
        )
        scores = {}
        for key, fields in self.items.items():
            common = weights.keys() & fields["latents"].keys()
            if common and (where is None or fields.get("in_stock") is True):
                assert where in (None, "in_stock = true")
                score = sum(weights[name] * fields["latents"][name] for name in common)
                assert score < 2**63
                scores[key] = score
        best = sorted(scores, key=lambda key: -scores[key])[: int(n)]
        names = ("id", "position", "code")
        hits = [
            {"id": key, "fields": {n: self.items[key][n] for n in names}}
            for key in best
        ]
        return {"root": {"children": hits} if hits else {}}


def rounded(value):
    """Return a value as Lucene keeps it: the first 9 significant bits of a float32."""
    bits = np.float32(value).view(np.int32)
    return ((bits >> 15) << 15).view(np.float32)


ENGINES = {"elasticsearch": Elasticsearch, "opensearch": OpenSearch, "vespa": Vespa}


def open_engine(path, form):
    """Return an engine that has loaded a folder of bulk files."""
    if form == "vespa":
        (schema,) = path.glob("*.sd")
        engine = Vespa(schema.read_text())
    else:
        engine = ENGINES[form](json.loads((path / "index.json").read_text()))
    for part in sorted(path.glob("part-*")):
        engine.load(part.read_text(encoding="utf-8"))
    return engine
