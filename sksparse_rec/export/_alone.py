"""One process at a time."""

import contextlib

from sksparse_rec._files import locked


@contextlib.contextmanager
def alone(lock, path, doing):
    """Be the only process in such a block with this lock.

    Parameters
    ----------
    lock : Path
        A file of its own, as ``locked`` takes it.
    path : Path
        What the error names.
    doing : str
        What the other process is said to do.

    Raises
    ------
    BlockingIOError
        At once, if another process is in.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(lock))
        except BlockingIOError as error:
            reason = f"Another process is {doing}"
            raise BlockingIOError(error.errno, reason, str(path)) from None
        yield
