"""From a table of interactions to matrices: duplicates, thresholds, CSR."""

import numpy as np
import scipy.sparse as sp

from sksparse_rec._validation import to_sparse_interface
from sksparse_rec.datasets._base import import_optional, make_indicator


def build_matrices(table, catalogue, *, where, min_rating, min_user, min_item, binary):
    """Return the entries of the Bunch that a table of interactions gives."""
    _check_ratings(table, where, min_rating=min_rating, binary=binary)
    pandas = import_optional("pandas", "Reading interactions")
    user, user_ids = pandas.factorize(table.user, sort=True)
    item, item_ids = pandas.factorize(table.item, sort=True)
    rows = _keep_latest(user * np.int64(len(item_ids)) + item, table.timestamp)
    if min_rating is not None:
        rows = rows[table.rating[rows] >= np.float32(min_rating)]
        if not rows.size:
            raise ValueError(
                f"No interaction of {where} is left after min_rating={min_rating}; "
                f"the highest rating is {table.rating.max():g}."
            )
    rows = _keep_core(rows, user, item, min_user, min_item)
    if not rows.size:
        raise ValueError(
            f"No interaction of {where} is left after min_user={min_user} and "
            f"min_item={min_item}; ask for fewer interactions each."
        )
    if not binary:
        _check_positive(table, rows)
    kept_users, user = _renumber(user[rows])
    kept_items, item = _renumber(item[rows])
    item_ids = np.asarray(item_ids)[kept_items]

    def make_csr(values):
        indptr = np.zeros(kept_users.size + 1, dtype=np.int64)
        np.cumsum(np.bincount(user), out=indptr[1:])
        # A copy each: work in place on one matrix must not reach the other. The
        # constructor picks 32-bit indices where they suffice.
        shape = (kept_users.size, kept_items.size)
        parts = (values, item.copy(), indptr)
        return to_sparse_interface(sp.csr_array(parts, shape=shape))

    ones = np.ones(rows.size, dtype=np.float32)
    timestamp = table.timestamp
    item_tags, tag_names = _make_tags(catalogue, item_ids)
    return {
        "data": make_csr(ones if binary else table.rating[rows]),
        "timestamps": None if timestamp is None else make_csr(timestamp[rows]),
        "user_ids": np.asarray(user_ids)[kept_users],
        "item_ids": item_ids,
        "item_titles": _make_titles(table, catalogue, item_ids, rows, item),
        "item_tags": item_tags,
        "tag_names": tag_names,
    }


def _check_ratings(table, where, *, min_rating, binary):
    if not table.user.size:
        raise ValueError(f"{where} holds no interactions.")
    if table.rating is None and (min_rating is not None or not binary):
        asked = "binary=False" if min_rating is None else "min_rating"
        raise ValueError(
            f"{where} has no ratings, which {asked} needs; pass rating=<column>."
        )


def _check_positive(table, rows):
    bad = np.flatnonzero(table.rating[rows] <= 0)
    if bad.size:
        row = int(rows[bad[0]])
        raise ValueError(
            f"{table.locate(row)}: the rating is {table.rating[row]:g}, but stored "
            "values must be positive. Drop such rows with min_rating, shift the "
            "ratings, or pass binary=True."
        )


def _keep_latest(pair, timestamp):
    """Return the rows to keep, one for each pair, in ascending order of the pairs."""
    order = np.argsort(pair, kind="stable")
    last = np.append(pair[order[1:]] != pair[order[:-1]], True)
    if timestamp is not None and not last.all():
        # Only now is the slower sort worth its time. It is stable as well.
        order = np.lexsort((timestamp, pair))
    return order[last]


def _keep_core(rows, user, item, min_user, min_item):
    """Drop users and items below the thresholds until none is left to drop."""
    while rows.size:
        n_of_user = np.bincount(user[rows])[user[rows]]
        n_of_item = np.bincount(item[rows])[item[rows]]
        keep = (n_of_user >= min_user) & (n_of_item >= min_item)
        if keep.all():
            break
        rows = rows[keep]
    return rows


def _renumber(codes):
    """Return the codes in use, ascending, and each code's position among them."""
    in_use = np.bincount(codes) > 0
    return np.flatnonzero(in_use), (np.cumsum(in_use) - 1)[codes]


def _make_titles(table, catalogue, item_ids, rows, item):
    if table.title is not None:
        titles = np.empty(item_ids.size, dtype=object)
        # Backwards, so that the first row of an item has the last word.
        titles[item[::-1]] = table.title[rows[::-1]]
        return titles
    if catalogue is None:
        return None
    titles = [catalogue.titles.get(key, "") for key in item_ids.tolist()]
    return np.array(titles, dtype=object)


def _make_tags(catalogue, item_ids):
    if catalogue is None:
        return None, None
    tags = [sorted(set(catalogue.tags.get(key, ()))) for key in item_ids.tolist()]
    names = sorted({name for row in tags for name in row})
    if not names:
        return None, None
    code = {name: position for position, name in enumerate(names)}
    indices = [code[name] for row in tags for name in row]
    lengths = [len(row) for row in tags]
    indicator = make_indicator(lengths, indices, len(names), np.int8)
    return indicator, np.array(names, dtype=object)
