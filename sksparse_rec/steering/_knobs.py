"""What users of ``steer`` ask for: knobs, and the levels that they stand for."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from sksparse_rec._validation import Real

# The number of strengths that each kind takes in a tuple; a number alone is a "shift".
KINDS = {"raise": 1, "lower": 1, "set": 1, "clamp": 2}
# Those that take levels, which are below 0 where a profile is against a concept.
LEVELED = ("set", "clamp")
# Where strength 1 raises a concept to. A profile that is nothing but the concept lists
# the same for everybody, and on the data sets measured less of the concept than one
# that has something of the user.
TOP_LEVEL = 0.8
USAGE = (
    "a number from -1 to 1 (above 0 raises, below 0 lowers), an array of them with "
    'one for each user, or a tuple: ("raise", strength), ("lower", strength), '
    '("set", level) or ("clamp", lowest, highest), levels from -1 to 1'
)


class Knob(NamedTuple):
    """What to do with one concept.

    ``strengths`` are floats or arrays of shape (n_users,); NaN leaves a user alone.
    """

    concept: int
    kind: str
    strengths: tuple

    def of(self, users):
        """Return the knob for some of the users, by position."""
        chosen = (s if np.ndim(s) == 0 else s[users] for s in self.strengths)
        return self._replace(strengths=tuple(chosen))


def read_knobs(steer, position_of, n_users):
    """Read what `SteerableRecommender.recommend` gets as ``steer``.

    Parameters
    ----------
    steer : mapping or None
        From concepts to what to do with them.
    position_of : callable
        From what a concept is called to its position; raises for unknown ones.
    n_users : int

    Returns
    -------
    knobs : list of Knob

    Raises
    ------
    ValueError
        If a strength is out of its range, for another number of users, or no number;
        if a concept is unknown or there twice.
    """
    if steer is None:
        return []
    if not isinstance(steer, Mapping):
        raise ValueError(
            f"steer maps concepts to strengths, such as {{'comedy': 0.5}}, got "
            f"{steer!r}"
        )
    knobs, names = [], {}
    for name, asked in steer.items():
        concept = position_of(name)
        if concept in names:
            raise ValueError(
                f"steer has concept {concept} twice, as {names[concept]!r} and as "
                f"{name!r}: pass one of both"
            )
        names[concept] = name
        knobs.append(Knob(concept, *_read(name, asked, n_users)))
    return knobs


def target_levels(knobs, levels):
    """Return the levels that knobs ask for.

    Parameters
    ----------
    knobs : list of Knob
    levels : ndarray of shape (n_users, n_knobs)
        Those of the knobs' concepts.

    Returns
    -------
    targets : ndarray of shape (n_users, n_knobs)
        NaN where a user is left alone.
    """
    targets = np.full(levels.shape, np.nan)
    for column, (knob, level) in enumerate(zip(knobs, levels.T, strict=True)):
        targets[:, column] = MOVES[knob.kind](level, *knob.strengths)
    return targets


def _raise(level, strength):
    room = np.maximum(TOP_LEVEL - level, 0)
    return np.where(strength == 0, np.nan, level + strength * room)


def _lower(level, strength):
    # A concept that is not in a profile cannot be lowered.
    return np.where(strength == 0, np.nan, level - strength * np.maximum(level, 0))


def _shift(level, strength):
    return np.where(strength < 0, _lower(level, -strength), _raise(level, strength))


MOVES = {
    "shift": _shift,
    "raise": _raise,
    "lower": _lower,
    "set": lambda level, strength: strength + 0 * level,
    # NaN in either limit leaves a user alone, as numpy passes it on.
    "clamp": lambda level, low, high: np.minimum(np.maximum(level, low), high),
}


def _read(name, asked, n_users):
    """Return the kind and the strengths of what is asked for a concept."""
    if isinstance(asked, tuple | list) and len(asked) and isinstance(asked[0], str):
        kind, *strengths = asked
        if kind not in KINDS or len(strengths) != KINDS[kind]:
            raise ValueError(f"steer[{name!r}] is {asked!r}, which is not {USAGE}")
        strengths = tuple(
            _strengths(name, strength, n_users, -1 if kind in LEVELED else 0)
            for strength in strengths
        )
        if kind == "clamp":
            _check_order(name, *np.broadcast_arrays(*strengths))
        return kind, strengths
    return "shift", (_strengths(name, asked, n_users, -1),)


def _check_order(name, lowest, highest):
    wrong = lowest > highest
    if np.any(wrong):
        user = "" if wrong.ndim == 0 else f" for user {np.argmax(wrong)}"
        raise ValueError(
            f"steer[{name!r}] clamps to a lowest level above the highest{user}: "
            f"{lowest[wrong][0]:g} is above {highest[wrong][0]:g}"
        )


def _strengths(name, given, n_users, low):
    """Return a float, or an array with a number for each user."""
    if isinstance(given, Real) and not isinstance(given, bool):
        values = np.float64(given)
        if np.isnan(values):
            raise ValueError(f"steer[{name!r}] is NaN; leave the concept out instead")
    else:
        try:
            values = np.asarray(given, dtype=np.float64)
        except (TypeError, ValueError):
            values = None
        if values is None or values.ndim != 1 or isinstance(given, bool):
            raise ValueError(f"steer[{name!r}] is {given!r}, which is not {USAGE}")
        if len(values) != n_users:
            raise ValueError(
                f"steer[{name!r}] has {len(values)} strengths for {n_users} users"
            )
    outside = (values < low) | (values > 1)
    if np.any(outside):
        user = "" if values.ndim == 0 else f" for user {np.argmax(outside)}"
        value = values if values.ndim == 0 else values[np.argmax(outside)]
        raise ValueError(
            f"steer[{name!r}] has the strength {value:g}{user}, which is not between "
            f"{low} and 1"
        )
    return values
