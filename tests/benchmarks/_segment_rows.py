"""Pages made of groups of items: hidden items on them, and what rows are about."""

import numpy as np
import scipy.sparse as sp

# Rows and columns of a page, and the parts of it that are judged.
N_ROWS, ROW_LENGTH = 10, 10
CORNERS = ((2, 5), (5, 10), (10, 10))
# Rows are shorter only where an item fewer would leave none.
MIN_LENGTH = 3
# Items with tags that a row has to have so that it is about one or not.
MIN_TAGGED = 5
# Items of a user that may be on a page.
N_CANDIDATES = 2000


def lay_out(scores, groups, n_rows=N_ROWS, row_length=ROW_LENGTH):
    """Lay out a page for each user, greedily and by the scores of items alone.

    The next row is the group whose ``row_length`` best items that are on no row yet
    have the largest sum of scores.

    Parameters
    ----------
    scores : ndarray of shape (n_users, n_items)
        Not negative; 0 for items that may not be shown.
    groups : csr_array of shape (n_items, n_groups)
        Ones; an item may be in several groups.
    n_rows, row_length : int

    Returns
    -------
    ndarray of shape (n_users, n_rows, row_length), int64
        Items, -1 where a row is shorter.
    """
    pages = np.full((len(scores), n_rows, row_length), -1)
    for page, of_user in zip(pages, scores, strict=True):
        order = np.argsort(-of_user, kind="stable")[:N_CANDIDATES]
        order = order[of_user[order] > 0]
        _fill(page, order, of_user[order], groups[order])
    return pages


def _fill(page, items, scores, groups):
    """Fill a page from items in the order of their scores."""
    places, columns = sp.coo_array(groups).coords
    # By group, and in a group by place.
    order = np.lexsort((places, columns))
    places, columns = places[order], columns[order]
    for row in page:
        starts = np.flatnonzero(np.diff(columns, prepend=-1))
        lengths = np.diff(starts, append=len(columns))
        within = np.arange(len(columns)) - np.repeat(starts, lengths)
        counted = within < len(row)
        sums = np.bincount(columns[counted], scores[places[counted]])
        long_enough = columns[starts[lengths >= MIN_LENGTH]]
        if not len(long_enough):
            return
        best = long_enough[sums[long_enough].argmax()]
        chosen = places[counted & (columns == best)]
        row[: len(chosen)] = items[chosen]
        left = (columns != best) & ~np.isin(places, chosen)
        places, columns = places[left], columns[left]


def as_list(scores, length=N_ROWS * ROW_LENGTH):
    """Return the best items of each user, (n_users, length), -1 where there is none."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :length]
    best = np.where(np.take_along_axis(scores, order, axis=1) > 0, order, -1)
    n_missing = length - best.shape[1]
    return np.pad(best, ((0, 0), (0, n_missing)), constant_values=-1)


def recall(found, targets):
    """Return the mean share of the hidden items of users that are among the found.

    Parameters
    ----------
    found : ndarray of shape (n_users, ...)
        Items, -1 for none.
    targets : CSR of shape (n_users, n_items)
    """
    n_users = targets.shape[0]
    found = found.reshape(n_users, -1)
    users, columns = np.nonzero(found >= 0)
    ones = np.ones(len(users))
    shown = sp.csr_array((ones, (users, found[users, columns])), shape=targets.shape)
    hits = (shown.astype(bool).multiply(targets > 0)).sum(axis=1)
    hidden = np.diff(sp.csr_array(targets).indptr)
    return float((hits[hidden > 0] / hidden[hidden > 0]).mean())


def coherence(found, tags):
    """Return the mean share of the items of a row that carry its most common tag.

    Parameters
    ----------
    found : ndarray of shape (n_users, n_rows, row_length)
        Items, -1 for none.
    tags : csr_array of shape (n_items, n_tags)
        Ones. Items without tags are left out, and rows of too few others.

    Returns
    -------
    float or None
        None where there are no such rows.
    """
    rows = found.reshape(-1, found.shape[-1])
    place, column = np.nonzero(rows >= 0)
    ones = np.ones(len(place))
    shape = len(rows), tags.shape[0]
    shown = sp.csr_array((ones, (place, rows[place, column])), shape=shape)
    n_tagged = shown @ (np.diff(tags.indptr) > 0)
    judged = n_tagged >= MIN_TAGGED
    if not judged.any():
        return None
    most = (shown[judged] @ tags).max(axis=1).toarray().ravel()
    return float((most / n_tagged[judged]).mean())


def judge(name, found, targets, tags):
    """Return what is found in every corner of a page, or in as much of a list.

    Beside it how far rows are about one thing; those of a list are its tens.
    """
    corners = []
    for rows, columns in CORNERS:
        if found.ndim == 3:
            part = found[:, :rows, :columns]
        else:
            part = found[:, : rows * columns]
        corners.append(
            {
                "rows": rows,
                "columns": columns,
                "recall": recall(part, targets),
                "filled": float(np.mean(part >= 0)),
            }
        )
    rows = found.reshape(len(found), N_ROWS, ROW_LENGTH)
    return {"name": name, "corners": corners, "coherence": coherence(rows, tags)}
