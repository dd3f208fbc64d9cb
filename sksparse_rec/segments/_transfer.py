"""Names and ids of segments carried over to those of a retrained model."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sksparse_rec._names import unique_names
from sksparse_rec._validation import check_share
from sksparse_rec.segments._matching import drift_report


class TransferMixin:
    """Comparison of fitted segments with previous ones."""

    def match(self, previous, *, previous_items=None, min_overlap=0.25):
        """Find the previous segments again among these, and report what changed.

        Latents have no order that a retrained model keeps, so segments are compared by
        their items: of all ways to pair segments with previous ones the one with the
        largest sum of overlaps is taken. Nothing is changed; see `transfer`.

        Parameters
        ----------
        previous : LatentSegments
            Fitted, on embeddings of the same catalogue or of another state of it.
        previous_items : array-like of shape (n_items,), int, default=None
            The position that each item had then, -1 for new items. None compares
            ``item_names`` where both were fitted with them, and otherwise takes
            the same positions for the same items.
        min_overlap : float, default=0.25
            Items shared by two segments, divided by those in either, that make them
            the same; from 0 to 1. Items that only one of the models has do not count.
            Raise it where a wrong name does more harm than a new one.

        Returns
        -------
        report : Bunch
            - ``segments``, ``previous`` : ndarray of shape (n_kept,), int64, positions
              of the pairs, by ascending segment;
            - ``overlaps`` : ndarray of shape (n_kept,), float64, of these pairs;
            - ``appeared``, ``vanished`` : ndarray of int64, positions of the segments
              without a partner here, and there;
            - ``moved_items``, ``moved_from``, ``moved_to`` : ndarray of int64, items
              that both models have and that are no longer in what became of their
              segment, with their previous segment and the one now (-1 for none);
            - ``n_common_items``, ``n_new_items``, ``n_gone_items`` : int;
            - ``text`` : str, the same to read, with the names of the first few.

        Raises
        ------
        TypeError
            If `previous` is no `LatentSegments`.
        ValueError
            If it is unclear which items are the same: names that occur twice, or
            other numbers of items and no names; if a parameter is out of its range.

        Notes
        -----
        O(n_segments × n_previous) memory; time at worst cubic in the number of
        segments, in practice 10 ms for 300 of them and 10 s for 8,000.
        """
        check_is_fitted(self)
        if not isinstance(previous, TransferMixin):
            raise TypeError(
                f"previous must be a LatentSegments, got {type(previous).__name__}"
            )
        check_is_fitted(previous)
        check_share(min_overlap, "min_overlap")
        return drift_report(self, previous, min_overlap, previous_items)

    def transfer(self, previous, *, previous_items=None, min_overlap=0.25):
        """Take over the names and ids of the previous segments that are still there.

        Afterwards ``segment_names_`` and ``segment_ids_`` of segments that `match`
        finds again are the previous ones. The others keep their own, with a number
        where a name is taken, and with a new id where theirs was in use before: an id
        is never given to another segment, in any later transfer.

        Parameters
        ----------
        previous : LatentSegments
            Fitted; what it took over itself counts.
        previous_items : array-like of shape (n_items,), int, default=None
            As in `match`.
        min_overlap : float, default=0.25
            As in `match`.

        Returns
        -------
        report : Bunch
            What `match` returns; its text has the names before the transfer.

        Raises
        ------
        TypeError, ValueError
            As `match`; nothing has changed then.

        Notes
        -----
        As `match`. Positions of segments, `labels_` and everything else stay.
        """
        report = self.match(
            previous, previous_items=previous_items, min_overlap=min_overlap
        )
        names, ids = self.segment_names_.copy(), self.segment_ids_.copy()
        names[report.segments] = previous.segment_names_[report.previous]
        ids[report.segments] = previous.segment_ids_[report.previous]
        taken = {*previous.segment_ids_, *previous.former_ids_}
        new_ids = fresh_ids(ids[report.appeared], taken)
        # Who is called by its id is called by the new one.
        is_id = names[report.appeared] == ids[report.appeared]
        own = np.where(is_id, new_ids, names[report.appeared])
        ids[report.appeared] = new_ids
        reserved = names[report.segments]
        names[report.appeared] = unique_names(own, reserved)
        former = sorted(taken - set(ids))
        self.segment_names_, self.segment_ids_ = names, ids
        self.former_ids_ = np.array(former, dtype=object)
        return report


def fresh_ids(ids, taken):
    """Return ids that are not taken: "12+", or else "12+.2", "12+.3" and so on.

    An object array.
    """
    taken, fresh = set(taken), np.empty(len(ids), dtype=object)
    for position, id_ in enumerate(ids):
        stem, number, new = id_.partition(".")[0], 2, id_
        while new in taken:
            new = f"{stem}.{number}"
            number += 1
        taken.add(new)
        fresh[position] = new
    return fresh
