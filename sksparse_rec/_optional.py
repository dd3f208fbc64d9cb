"""Libraries that are imported on use."""

import importlib


def import_optional(name, purpose, extra):
    """Import a module of an extra, or say how to install it.

    Parameters
    ----------
    name : str
        The module, such as ``"pyarrow.parquet"``.
    purpose : str
        What needs it, to begin a sentence with.
    extra : str
        The extra of this package that has it.

    Raises
    ------
    ImportError
        If it cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"{purpose} needs {name.split('.')[0]}, which could not be imported; "
            f"install it with: pip install 'sksparse-rec[{extra}]'"
        ) from error
