"""What is loaded of numba: the compiled modules, or a warning, or nothing."""

import sys

import pytest

from sksparse_rec._numerics import anchors, rows

pytest.importorskip("numba")

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
