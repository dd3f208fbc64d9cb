"""What is loaded of numba: the compiled modules, or a warning, or nothing."""

import sys

import pytest

from sksparse_rec._numerics import anchors, rows
from sksparse_rec._numerics.compiling import compile_with

njit = pytest.importorskip("numba").njit

LOADERS = {
    "products_numba": rows.load_compiled_products,
    "anchors_numba": anchors.load_compiled_anchors,
}


@pytest.fixture(params=LOADERS)
def name(request):
    """Name of a compiled module, not loaded yet."""
    LOADERS[request.param].cache_clear()
    yield f"sksparse_rec._numerics.{request.param}"
    LOADERS[request.param].cache_clear()


@pytest.fixture
def load(name):
    return LOADERS[name.split(".")[-1]]


def test_the_module_is_loaded(name, load):
    assert load().__name__ == name


def test_numba_that_does_not_import_is_reported(name, load, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.warns(RuntimeWarning, match="numba is installed but does not import"):
        assert load() is None


def test_without_numba_nothing_is_loaded(load, monkeypatch):
    monkeypatch.setattr("sksparse_rec._numerics.compiling.find_spec", lambda _: None)
    assert load() is None


def test_without_jit_nothing_is_loaded(load, monkeypatch):
    monkeypatch.setattr("numba.config.DISABLE_JIT", True)
    assert load() is None


def test_nowhere_to_keep_machine_code():
    """As of a function without a file, where no cache folder can be written to."""
    names = {}
    exec("def double(x):\n    return x + x", names)
    with pytest.raises(RuntimeError, match="cannot cache"):
        njit(cache=True)(names["double"])
    double = compile_with(fastmath={"contract"})(names["double"])
    assert double(1.5) == 3
    assert double.targetoptions["nogil"]
    assert double.targetoptions["fastmath"] == {"contract"}
