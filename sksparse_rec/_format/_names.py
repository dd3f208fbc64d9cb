"""Names of items as arrays: their text in one array, and where each begins."""

import numpy as np

from sksparse_rec._format._errors import PersistenceError


def pack_names(names, what):
    """Turn strings into two arrays.

    Parameters
    ----------
    names : sequence of str
    what : str
        How error messages call them.

    Returns
    -------
    text : ndarray of uint8
        All names in UTF-8, one after the other.
    starts : ndarray of int64 of shape (n_names + 1,)
        Where each begins, and the end.
    """
    encoded = []
    for name in names:
        if not isinstance(name, str):
            raise PersistenceError(f"{what} holds {name!r:.100}, which is no string")
        try:
            encoded.append(name.encode())
        except UnicodeEncodeError as error:
            raise PersistenceError(
                f"{what} holds {name!r:.100}, which is not valid Unicode: {error}"
            ) from None
    text = np.frombuffer(b"".join(encoded), dtype=np.uint8)
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
    return text, np.concatenate([[0], np.cumsum(lengths)])


def unpack_names(text, starts, what, positions=None):
    """Return names as an object array of str.

    Parameters
    ----------
    text, starts : ndarray
        What ``pack_names`` returns, in memory or mapped.
    what : str
        How error messages call them.
    positions : sequence of int, default=None
        Which of the names, without looking at the others; None: all of them, for
        which the arrays are checked first.

    Raises
    ------
    PersistenceError
        If the arrays are no names.
    """
    if positions is None:
        check_names(text, starts, what)
        positions = range(len(starts) - 1)
    names = np.empty(len(positions), dtype=object)
    for place, position in enumerate(positions):
        try:
            part = text[starts[position] : starts[position + 1]]
            names[place] = part.tobytes().decode()
        except UnicodeDecodeError as error:
            raise PersistenceError(
                f"name {position} of {what} is no valid UTF-8: {error}"
            ) from None
    return names


def check_names(text, starts, what):
    """Raise unless two arrays have the form of what ``pack_names`` returns."""
    is_right = text.dtype == np.uint8 and starts.dtype == np.int64
    is_right = is_right and text.ndim == starts.ndim == 1 and len(starts) > 0
    if (
        not is_right
        or starts[0] != 0
        or starts[-1] != len(text)
        or np.any(starts[1:] < starts[:-1])
    ):
        raise PersistenceError(f"the arrays of {what} are not those of names")
