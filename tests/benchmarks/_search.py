"""What is compared when sparse embeddings are searched."""

from functools import partial

from _systems import SEARCH_RIVALS, System

_own = partial(System, script="_run_search.py")
_rival = partial(System, script=SEARCH_RIVALS)


def _index(dtype, inverted):
    layouts = "rows and lists" if inverted else "rows only"
    params = {"dtype": dtype, "inverted": inverted}
    return _own(f"SparseIndex, {dtype}, {layouts}", "index", params)


SEARCH_SYSTEMS = {
    "index-float16": _index("float16", True),
    "index-float32": _index("float32", True),
    "index-float16-rows": _index("float16", False),
    "scipy": _own("scipy, CSR × dense, argpartition", "scipy"),
    "torch": _own("torch, CSR × dense, topk", "torch"),
    "sparse-dot-topn": _rival("sparse_dot_topn", "sparse-dot-topn"),
    "faiss-384": _rival(
        "faiss IndexFlatIP, 384 dimensions", "flat", {"n_features": 384}
    ),
    "faiss-1024": _rival(
        "faiss IndexFlatIP, 1,024 dimensions", "flat", {"n_features": 1024}
    ),
}
