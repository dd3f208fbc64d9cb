"""What is passed along while a model is taken apart or put together."""

from dataclasses import dataclass, field

import numpy as np

from sksparse_rec._format import PersistenceError


@dataclass
class Writing:
    """The arrays of a model so far, and the classes that may be in it.

    ``parameters`` are those of the estimator whose attributes are written.
    """

    classes: dict
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    parameters: dict = field(default_factory=dict)


@dataclass
class Reading:
    """The arrays that nobody has taken yet, and the sizes that they agree on.

    ``sizes`` has for each dimension its size, and the name of the first that has it;
    ``parameters`` are those of the estimator whose attributes are read.
    """

    classes: dict
    arrays: dict[str, np.ndarray]
    sizes: dict[str, tuple[int, str]] = field(default_factory=dict)
    parameters: dict = field(default_factory=dict)

    def inside(self):
        """Return the context of a model within the model, with sizes of its own."""
        return Reading(self.classes, self.arrays)

    def take(self, name):
        """Return an array, once."""
        try:
            return self.arrays.pop(name)
        except KeyError:
            raise PersistenceError(f"the array {name!r} is missing") from None

    def agree(self, dimension, size, name):
        """Raise unless a dimension has the size that it has elsewhere."""
        if size < (0 if dimension.endswith("?") else 1):
            raise PersistenceError(f"{name} makes {dimension} {size}")
        known, first = self.sizes.setdefault(dimension, (size, name))
        if size != known:
            raise PersistenceError(
                f"{name} makes {dimension} {size}, but {first} makes it {known}"
            )

    def limit(self, bound):
        """Return a bound that is a number, or a dimension seen before."""
        return self.sizes[bound][0] if isinstance(bound, str) else bound
