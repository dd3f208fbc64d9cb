"""What is compared when sparse embeddings are searched."""

from dataclasses import dataclass

from _systems import System

OWN_SCRIPT, RIVAL_SCRIPT = "_run_search.py", "_run_search_rivals.py"


@dataclass(frozen=True)
class SearchSystem(System):
    """A way to search, and whose interpreter it runs in."""

    script: str = OWN_SCRIPT

    @property
    def is_rival(self):
        """Whether it runs in the rivals' interpreter."""
        return self.script == RIVAL_SCRIPT


def _index(dtype, inverted):
    layouts = "rows and lists" if inverted else "rows only"
    params = {"dtype": dtype, "inverted": inverted}
    return SearchSystem(f"SparseIndex, {dtype}, {layouts}", "index", params)


SEARCH_SYSTEMS = {
    "index-float16": _index("float16", True),
    "index-float32": _index("float32", True),
    "index-float16-rows": _index("float16", False),
    "scipy": SearchSystem("scipy, CSR × dense, argpartition", "scipy"),
    "torch": SearchSystem("torch, CSR × dense, topk", "torch"),
    "sparse-dot-topn": SearchSystem(
        "sparse_dot_topn", "sparse-dot-topn", script=RIVAL_SCRIPT
    ),
    "faiss-384": SearchSystem(
        "faiss IndexFlatIP, 384 dimensions",
        "flat",
        {"n_features": 384},
        script=RIVAL_SCRIPT,
    ),
    "faiss-1024": SearchSystem(
        "faiss IndexFlatIP, 1,024 dimensions",
        "flat",
        {"n_features": 1024},
        script=RIVAL_SCRIPT,
    ),
}
