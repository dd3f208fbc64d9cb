"""Files that are there whole or not at all."""

import json
import os
import secrets

import numpy as np

# The member of the archive that holds what is not an array.
META = "__json__"


def write_arrays(path, arrays, meta):
    """Write arrays and a JSON object to one file, without pickling.

    The file gets its name once it is complete and on the disk, so that a process that
    is killed leaves the former one.

    Parameters
    ----------
    path : Path
        Its folder exists.
    arrays : dict of str to ndarray
    meta : dict
        What ``json`` can write.
    """
    # A name of its own, as somebody else may be writing the same file.
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(draft, "wb") as file:
            np.savez(file, **arrays, **{META: np.array(json.dumps(meta))})
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def read_arrays(path):
    """Read what ``write_arrays`` wrote.

    Parameters
    ----------
    path : Path

    Returns
    -------
    arrays : dict of str to ndarray
    meta : dict

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is none of ``write_arrays``, or damaged.
    """
    # Opened here, as np.load leaves a damaged archive open.
    with open(path, "rb") as file:
        try:
            with np.load(file, allow_pickle=False) as archive:
                arrays = dict(archive)
            return arrays, json.loads(str(arrays.pop(META)))
        except Exception as error:
            # Damaged archives raise what their zip members, headers or text raise,
            # OSError included.
            raise ValueError(f"{path} cannot be read: {error}") from error
