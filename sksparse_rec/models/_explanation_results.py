"""Explanations as arrays, as tables and as text."""

import numpy as np
import scipy.sparse as sp
from sklearn.utils import Bunch

from sksparse_rec._names import check_n_names
from sksparse_rec._optional import import_optional
from sksparse_rec.models._explanation_names import (
    WAYS,
    digits_for,
    enumeration,
    quoted,
    sentence,
    strongest_first,
)


class _Result(Bunch):
    """A Bunch that knows names beside its keys, and can be copied and pickled."""

    def __init__(self, labels, /, **parts):
        super().__init__(**parts)
        # Keys are results only: everything else stays out of the mapping.
        vars(self)["_labels"] = labels

    def __reduce__(self):
        return _rebuild, (type(self), self._labels, dict(self))

    def __dir__(self):
        methods = (name for name in dir(type(self)) if not hasattr(dict, name))
        return [*self.keys(), *(name for name in methods if name[0] != "_")]


def _rebuild(kind, labels, parts):
    return kind(labels, **parts)


class Explanation(_Result):
    """Contributions to the scores of some items: what ``explain`` returns.

    A `sklearn.utils.Bunch` of sparse matrices, one for each way to split the scores.
    Every matrix has a row for each item asked for, in that order, and every row sums to
    the score.

    Attributes
    ----------
    by_latent : sparse matrix or array of shape (len(items), n_components)
        What each latent brings.
    by_history : sparse matrix or array of shape (len(items), n_items)
        What each item of the history brings, for models of interactions.
    by_segment : sparse matrix or array of shape (len(items), n_segments + 1)
        What each segment brings, where ``explain`` got ``segments``; the last column
        is what no segment has.
    by_feature : sparse matrix or array of shape (len(items), n_features)
        What each entry of the query brings, for codes in ``space="asymmetric"``.

    See Also
    --------
    sksparse_rec.CompressedELSA.explain : Explains scores from a history.
    sksparse_rec.CompresSAE.explain : Explains similarities to a vector.

    Examples
    --------
    >>> from sksparse_rec import CompressedELSA
    >>> from sksparse_rec.datasets import load_debian
    >>> debian = load_debian()
    >>> X = debian.data[:500]
    >>> model = CompressedELSA(64, n_nonzero=8, max_iter=1, random_state=0).fit(X)
    >>> explanation = model.explain(X[[0]], model.recommend(X[[0]], k=2).indices)
    >>> sorted(explanation)
    ['by_history', 'by_latent']
    >>> print(explanation.to_text(debian.item_ids, by="history", n_top=2))
    lib... scores ... From the history: ...; the other 19 items together ...
    """

    @property
    def scores(self):
        """Scores of the items asked for, ndarray of shape (len(items),)."""
        return np.ravel(self["by_latent"].sum(axis=1))

    @property
    def positions(self):
        """Positions of the items asked for, ndarray of shape (len(items),)."""
        return self._labels.positions

    def to_frame(self, item_names=None, *, latent_names=None, by=None):
        """Return the contributions as a table.

        Parameters
        ----------
        item_names : array-like of shape (n_items,), default=None
            What items are called. None takes the columns that the estimator was fitted
            on, or "item 7".
        latent_names : array-like of shape (n_components,), default=None
            What latents are called. None takes the names of the items that they started
            from, or "latent 7".
        by : str or list of str, default=None
            The ways to split, of "history", "feature", "segment" and "latent". None
            takes all there are.

        Returns
        -------
        frame : pandas.DataFrame
            A row for each contribution that is not zero, with the columns ``item``
            (position), ``item_name``, ``by``, ``part`` (position of the history's item,
            feature, segment or latent; -1 for no segment), ``name`` and
            ``contribution``. Items and ways in order, the strongest contributions
            first.

        Raises
        ------
        ValueError
            If there is no such way to split, or if there are more or fewer names than
            items or latents.
        ImportError
            If pandas is not installed.
        """
        pandas = import_optional("pandas", "Explanation.to_frame", "data")
        names_of = self._with_names(item_names, latent_names)
        item_names = names_of("history", self.positions)
        tables = []
        for row, (item, item_name) in enumerate(
            zip(self.positions, item_names, strict=True)
        ):
            for way in self._ways(by):
                parts, values = self._row(way, row)
                table = {"item": item, "item_name": item_name, "by": way}
                table |= {"part": self._numbered(way, parts)}
                table |= {"name": names_of(way, parts), "contribution": values}
                tables.append(pandas.DataFrame(table))
        columns = ["item", "item_name", "by", "part", "name", "contribution"]
        tables = [table for table in tables if len(table)]
        if not tables:
            return pandas.DataFrame(columns=columns)
        return pandas.concat(tables, ignore_index=True)[columns]

    def to_text(self, item_names=None, *, latent_names=None, by=None, n_top=3):
        """Return the explanation as a few plain sentences.

        Parameters
        ----------
        item_names, latent_names : array-like, default=None
            What items and latents are called, as in ``to_frame``.
        by : str or list of str, default=None
            The ways to split, as in ``to_frame``.
        n_top : int, default=3
            Contributions that are named for each way; the others are summed up.

        Returns
        -------
        text : str
            A line for each item. The same explanation gives the same text: ties go to
            the lower position.

        Raises
        ------
        ValueError
            As ``to_frame``, or if ``n_top`` is below 1.
        """
        if n_top < 1:
            raise ValueError(f"n_top must be at least 1, got {n_top!r}")
        names_of = self._with_names(item_names, latent_names)
        scores, lines = self.scores, []
        digits = digits_for(scores)
        for row, name in enumerate(names_of("history", self.positions)):
            sentences = [f"{name} scores {scores[row]:.{digits}f}."]
            for way in self._ways(by):
                parts, values = self._row(way, row)
                names = names_of(way, parts)
                sentences.append(sentence(way, names, values, n_top, digits))
            lines.append(" ".join(sentences))
        return "\n".join(lines)

    def _with_names(self, item_names, latent_names):
        check_n_names(latent_names, self["by_latent"].shape[1], "latent")
        return self._labels.with_names(item_names, latent_names)

    def _ways(self, by):
        known = [way for way in WAYS if f"by_{way}" in self]
        if by is None:
            return known
        wanted = [by] if isinstance(by, str) else list(by)
        for way in wanted:
            if way not in known:
                raise ValueError(f"by must be among {known}, got {way!r}")
        return wanted

    def _row(self, way, row):
        """Return parts and contributions of an item, the strongest first."""
        part = sp.csr_array(self[f"by_{way}"])[[row]]
        # A latent of the item that the profile does not have is stored, too.
        part.eliminate_zeros()
        order = strongest_first(part.indices, part.data)
        return part.indices[order].astype(np.int64), part.data[order]

    def _numbered(self, way, parts):
        if way != "segment":
            return parts
        return np.where(parts == self["by_segment"].shape[1] - 1, -1, parts)


class ListChange(_Result):
    """Two lists compared: what ``without`` returns.

    A `sklearn.utils.Bunch` of arrays; places count from 0.

    Attributes
    ----------
    removed : ndarray of int64
        Items that were taken out of the history.
    before, after : ndarray of int64
        Items recommended with them and without, best first.
    scores_before, scores_after : ndarray of float64
        Their scores.
    entered, left : ndarray of int64
        Items of the second list only, and of the first only, best first.
    moved : ndarray of shape (n_moved, 3), int64
        Item, place before and place after, of items in both lists whose place changed.

    See Also
    --------
    sksparse_rec.CompressedELSA.without : Makes it.

    Examples
    --------
    >>> from sksparse_rec import CompressedELSA
    >>> from sksparse_rec.datasets import load_debian
    >>> X = load_debian().data[:500]
    >>> model = CompressedELSA(64, n_nonzero=8, max_iter=1, random_state=0).fit(X)
    >>> change = model.without(X[[0]], X[[0]].indices[0], k=5)
    >>> len(change.before), len(change.entered) == len(change.left)
    (5, True)
    """

    def to_frame(self, item_names=None):
        """Return both lists as a table.

        Parameters
        ----------
        item_names : array-like of shape (n_items,), default=None
            What items are called. None takes the columns that the estimator was fitted
            on, or "item 7".

        Returns
        -------
        frame : pandas.DataFrame
            A row for each item of either list, those of the second first, with the
            columns ``item``, ``name``, ``place_before`` and ``place_after`` (-1 where
            it is not in the list), ``score_before`` and ``score_after`` (NaN there) and
            ``change``: "stays", "moves", "enters" or "leaves".

        Raises
        ------
        ValueError
            If there are more or fewer names than items.
        ImportError
            If pandas is not installed.
        """
        pandas = import_optional("pandas", "ListChange.to_frame", "data")
        items = np.concatenate([self.after, self.left])
        table = {"item": items}
        table["name"] = self._labels.with_names(item_names)("history", items)
        for when in ("before", "after"):
            place, score = _places(items, self[when], self[f"scores_{when}"])
            table |= {f"place_{when}": place, f"score_{when}": score}
        old, new = table["place_before"], table["place_after"]
        table["change"] = np.select(
            [new < 0, old < 0, old != new], ["leaves", "enters", "moves"], "stays"
        )
        columns = ["item", "name", "place_before", "place_after"]
        columns += ["score_before", "score_after", "change"]
        return pandas.DataFrame(table)[columns]

    def to_text(self, item_names=None):
        """Return the change as a few plain sentences; places count from 1.

        Parameters
        ----------
        item_names : array-like of shape (n_items,), default=None
            What items are called, as in ``to_frame``.

        Returns
        -------
        text : str
            One line. The same change gives the same text.

        Raises
        ------
        ValueError
            As ``to_frame``.
        """
        names_of = self._labels.with_names(item_names)

        def named(items):
            return enumeration([quoted(name) for name in names_of("history", items)])

        start = f"Without {named(self.removed)} the list of {len(self.before)}"
        if not len(self.entered) and not len(self.left) and not len(self.moved):
            return f"{start} stays as it is."
        if not len(self.entered) and not len(self.left):
            text = f"{start} keeps its items."
        else:
            told = [f"gains {named(self.entered)}"] if len(self.entered) else []
            told += [f"loses {named(self.left)}"] if len(self.left) else []
            text = f"{start} {enumeration(told)}."
        if len(self.moved):
            text += f" {_moves(self.moved, names_of)}"
        return text


def _moves(moved, names_of):
    """Say how many items move, and which the furthest."""
    distance = np.abs(moved[:, 2] - moved[:, 1])
    item, old, new = moved[np.argmax(distance)].tolist()
    (name,) = names_of("history", [item])
    where = f"from place {old + 1} to {new + 1}"
    if len(moved) == 1:
        return f"{name} moves {where}."
    return f"{len(moved)} items move, {name} the furthest, {where}."


def _places(items, listed, scores):
    """Return places and scores of items in a list, -1 and NaN where they are not."""
    place_of = {int(item): place for place, item in enumerate(listed)}
    places = np.array([place_of.get(int(item), -1) for item in items], dtype=np.int64)
    return places, np.append(scores, np.nan)[places]
