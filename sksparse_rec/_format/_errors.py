"""What is raised where something cannot be saved, or must not be loaded."""


class PersistenceError(ValueError):
    """Something cannot be saved, or a saved folder must not be loaded.

    Raised by `save_model` for a value that the format has no place for, and by
    `load_model` for a folder that is damaged, incomplete, of a newer version, or not
    what it says. The message names the value or the file, and the way out.

    See Also
    --------
    save_model : Write a model to a folder.
    load_model : Read it back.

    Examples
    --------
    >>> import tempfile
    >>> from sksparse_rec import PersistenceError, load_model
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     try:
    ...         load_model(folder)
    ...     except PersistenceError:
    ...         print("no model here")
    no model here
    """
