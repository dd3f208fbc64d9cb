"""How an estimator is taken apart, and put together by its own constructor."""

import inspect
from dataclasses import dataclass, replace

from sksparse_rec._format import PersistenceError
from sksparse_rec.persistence._kinds import Fields, Optional, Strings
from sksparse_rec.persistence._parameters import join, read_parameter, write_parameter

# What every estimator may have, fitted or not: set_output.
ALWAYS = {"_sklearn_output_config": Optional(Strings())}
CALLBACKS = "_skl_callbacks"


@dataclass(frozen=True)
class SavedEstimator:
    """An entry of the allow-list for a scikit-learn estimator.

    Parameters
    ----------
    cls : type
        Its constructor is called with the saved parameters; those that the file does
        not have, as it is older than they are, keep their defaults.
    fitted : Fields
        The fitted attributes. They are all there or none is.
    source : str, default=None
        A fitted attribute that is a model.
    shared, maybe_shared : tuple of str
        Attributes that are those of ``source``, and not written twice; the estimator
        has all of the former, and some of the latter.
    """

    cls: type
    fitted: Fields
    source: str | None = None
    shared: tuple[str, ...] = ()
    maybe_shared: tuple[str, ...] = ()

    def write(self, model, name, writing):
        """Return what JSON can write of a model.

        Raises
        ------
        PersistenceError
            If a parameter or an attribute has no place in the format.
        """
        params = model.get_params(deep=False)
        state = {k: v for k, v in vars(model).items() if k not in params}
        if state.pop(CALLBACKS, None):
            raise PersistenceError(
                f"{name or 'the model'} has callbacks, which cannot be saved: take a "
                "copy, model = copy.deepcopy(model), remove them by "
                "model.set_callbacks(), and save that"
            )
        always = {k: state.pop(k) for k in ALWAYS if k in state}
        shared = self._drop_shared(state, name)
        unknown = sorted(state.keys() - self.fitted.kinds.keys())
        if unknown:
            raise PersistenceError(
                f"{join(name, unknown[0])} is an attribute that has no place in the "
                "format: delete it, or use joblib.dump, which keeps it"
            )
        own = replace(writing, parameters=params)
        fitted = self.fitted.write(state, name, own) | shared if state else None
        return {
            "parameters": {
                key: write_parameter(value, join(name, key), writing)
                for key, value in params.items()
            },
            "settings": Fields(ALWAYS).write(always, name, writing),
            "fitted": fitted,
        }

    def read(self, node, name, reading):
        """Return the model that ``write`` took apart."""
        parts = ("parameters", "settings", "fitted")
        if not isinstance(node, dict) or node.keys() != set(parts):
            raise PersistenceError(f"{name or 'the model'} has no {', '.join(parts)}")
        params, settings, fitted = (node[part] for part in parts)
        params = self._read_parameters(params, name, reading)
        model, reading = self.cls(**params), replace(reading, parameters=params)
        state = Fields(ALWAYS).read(settings, name, reading)
        if fitted is not None:
            state |= self._read_fitted(fitted, name, reading)
        vars(model).update(state)
        return model

    def _read_fitted(self, nodes, name, reading):
        if not isinstance(nodes, dict):
            raise PersistenceError(f"{join(name, 'fitted')} is {nodes!r:.200}")
        shared = {*self.shared, *(nodes.keys() & set(self.maybe_shared))}
        own = {key: node for key, node in nodes.items() if key not in shared}
        values = self.fitted.read(own, name, reading)
        for key in shared:
            source = values[self.source]
            if nodes.get(key) != self.source or not hasattr(source, key):
                raise PersistenceError(
                    f"{join(name, key)} should be that of {self.source}, and is "
                    f"{nodes.get(key)!r:.200}"
                )
            values[key] = getattr(source, key)
        return values

    def _read_parameters(self, nodes, name, reading):
        if not isinstance(nodes, dict):
            raise PersistenceError(f"{join(name, 'parameters')} are {nodes!r:.200}")
        known = inspect.signature(self.cls).parameters
        unknown = nodes.keys() - known.keys()
        if unknown:
            raise PersistenceError(
                f"{self.cls.__name__} has no parameter {sorted(unknown)[0]!r:.200}"
            )
        needed = {k for k, v in known.items() if v.default is inspect.Parameter.empty}
        if needed - nodes.keys():
            raise PersistenceError(
                f"{join(name, min(needed - nodes.keys()))} is missing, which "
                f"{self.cls.__name__} needs"
            )
        return {
            key: read_parameter(node, join(name, key), reading)
            for key, node in nodes.items()
        }

    def _drop_shared(self, state, name):
        """Take what is shared out of the state; return what is written for it."""
        source = state.get(self.source)
        found = [key for key in (*self.shared, *self.maybe_shared) if key in state]
        for key in found:
            ours, theirs = state.pop(key), getattr(source, key, None)
            is_plain = isinstance(ours, bool | int | list)
            if ours is not theirs and not (is_plain and ours == theirs):
                raise PersistenceError(
                    f"{join(name, key)} is not that of {join(name, self.source)}, as "
                    "it should be after fit: joblib.dump saves it as it is"
                )
        return dict.fromkeys(found, self.source)


@dataclass(frozen=True)
class SavedObject:
    """An entry of the allow-list for a class that takes itself apart.

    The folder that `write_folder` makes of what ``_to_saved`` returns, with the name of
    the class as its kind, is the one that `save_model` makes.

    Parameters
    ----------
    cls : type
        It has a method ``_to_saved()``, which returns arrays by name and a dictionary
        for JSON, and a class method ``_from_saved(arrays, content)``, which checks
        both, raises a `PersistenceError`, and returns the object.
    """

    cls: type

    def write(self, value, name, writing):
        """Return what JSON can write of an object."""
        arrays, content = value._to_saved()
        writing.arrays |= {join(name, key): array for key, array in arrays.items()}
        return content

    def read(self, content, name, reading):
        """Return the object that ``write`` took apart."""
        start = join(name, "")
        names = [key for key in reading.arrays if key.startswith(start)]
        arrays = {key.removeprefix(start): reading.take(key) for key in names}
        return self.cls._from_saved(arrays, content)
