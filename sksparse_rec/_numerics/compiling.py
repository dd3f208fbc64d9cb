"""Functions compiled by numba, where it is installed: an optional dependency."""

import warnings
from functools import cache
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path


def load_compiled(name):
    """Return a module of compiled functions, or None without numba.

    Parameters
    ----------
    name : str
        Full name of the module. It imports numba, so nothing else imports it.
    """
    if find_spec("numba") is None:
        return None
    try:
        import numba

        module = import_module(name)
    except ImportError as error:
        # Such as a numpy that is newer than this numba knows.
        warnings.warn(
            f"numba is installed but does not import ({error}): training and searching "
            "take numpy, scipy and plain torch, several times slower; install versions "
            "that fit together",
            RuntimeWarning,
            stacklevel=3,
        )
        return None
    return None if numba.config.DISABLE_JIT else module


def compile_with(**options):
    """Return a decorator that compiles a function, which then releases the GIL.

    The machine code is kept on disk for the next process.
    """

    def decorate(function):
        from numba import njit

        # numba compiles anew when the file of a function changes, and does not see
        # that a function of another file, which was compiled into it, has changed.
        function.__qualname__ += f"-{_digest_of_sources()}"
        try:
            return njit(cache=True, nogil=True, **options)(function)
        except RuntimeError:
            # Neither the package nor the user's cache folder can be written to.
            return njit(nogil=True, **options)(function)

    return decorate


@cache
def _digest_of_sources():
    """Return a name for the state of all compiled modules."""
    paths = sorted(Path(__file__).parent.glob("*_numba.py"))
    return sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:8]
