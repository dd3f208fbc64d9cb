"""What is loaded of numba: the compiled modules, or a warning, or nothing."""

import shutil
import subprocess
import sys

import pytest

from sksparse_rec._numerics import anchors, compiling, rows, search
from sksparse_rec._numerics.compiling import compile_with

njit = pytest.importorskip("numba").njit

LOADERS = {
    "products_numba": rows.load_compiled_products,
    "anchors_numba": anchors.load_compiled_anchors,
    "search_numba": search.load_compiled_search,
}


COMPILED = """
from own.compiling import compile_with
{}

@compile_with()
def f():
    {}
"""


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


def test_machine_code_is_not_older_than_what_it_calls(tmp_path):
    """numba itself looks at the file of the calling function only."""
    own = tmp_path / "own"
    own.mkdir()
    shutil.copy(compiling.__file__, own)
    call = COMPILED.format("from own.callee_numba import f as g", "return g()")
    (own / "caller_numba.py").write_text(call)
    command = [sys.executable, "-c", "import own.caller_numba as m; print(m.f())"]
    for value in ("1.0", "2.0"):
        callee = COMPILED.format("", f"return {value}")
        (own / "callee_numba.py").write_text(callee)
        run = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert run.stdout.strip() == value
    assert list(own.glob("__pycache__/*.nbi"))
