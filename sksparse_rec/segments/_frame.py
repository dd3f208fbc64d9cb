"""Home pages as data frames."""

import numpy as np

from sksparse_rec._optional import import_optional


def page_frame(pages, segment_names, item_names=None):
    """Return a pandas DataFrame with a line for every item that is shown.

    Parameters
    ----------
    pages : Pages
    segment_names : ndarray of shape (n_segments,)
    item_names : ndarray of shape (n_items,), default=None
        None: ``item`` is the position.

    Returns
    -------
    frame : DataFrame
        ``user``, ``row``, ``segment``, ``name``, ``place``, ``item``, ``score``, by
        user, row and place.
    """
    pandas = import_optional("pandas", "layout(as_frame=True)", "data")
    user, row, place = np.nonzero(pages.items >= 0)
    segment, item = pages.segments[user, row], pages.items[user, row, place]
    return pandas.DataFrame(
        {
            "user": user,
            "row": row,
            "segment": segment,
            "name": np.asarray(segment_names)[segment],
            "place": place,
            "item": item if item_names is None else np.asarray(item_names)[item],
            "score": pages.scores[user, row, place],
        }
    )
