"""The items of a latent and of a segment."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sksparse_rec._validation import Integral
from sksparse_rec.retrieval import remember
from sksparse_rec.segments._assignment import unit_rows
from sksparse_rec.segments._inverted import group_members, invert, invert_members
from sksparse_rec.segments._nearest import nearest_segment


class MembersMixin:
    """Inverted indexes of fitted segments, made at the first question."""

    def items_of(self, latent=None, *, segment=None):
        """Return the items that use a latent, or the members of a segment.

        Parameters
        ----------
        latent : int, default=None
            A column of the item embeddings. All items that use it are returned, with
            either sign, whether they belong to a segment or not.
        segment : int or str, default=None
            A position in the ``segment_*_`` attributes, a name or an id.

        Returns
        -------
        items : ndarray of shape (n_found,), int64
            Positions of the items, best first; ties by position.
        weights : ndarray of shape (n_found,)
            Of a latent the values in the item embeddings, by descending absolute
            value. Of a segment how strongly each member uses the latents of the
            segment: the sum of the absolute values of its row, scaled to unit length,
            over them; with ``assign="nearest"`` the cosine of its row and the one of
            the segment in ``segment_embeddings_``.

        Raises
        ------
        ValueError
            Unless exactly one of both is given, or if there is no such latent or
            segment.

        Notes
        -----
        The first call turns the matrix, O(nnz); every call sorts what it returns. The
        index takes 8 to 12 bytes an entry as long as the estimator lives, and is
        neither pickled nor saved.
        """
        check_is_fitted(self)
        if (latent is None) == (segment is None):
            raise ValueError(
                f"give either a latent or a segment, got latent={latent!r} and "
                f"segment={segment!r}"
            )
        if latent is None:
            return self._index_of_segments().of(self._segment_position(segment))
        n_components = self.item_embeddings_.shape[1]
        if not _is_position(latent, n_components):
            raise ValueError(
                f"latent must be an integer from 0 to {n_components - 1}, got "
                f"{latent!r}: name a segment by segment={latent!r}"
            )
        sources = (self.item_embeddings_,)
        index = remember(self, "latents", sources, lambda: invert(*sources))
        return index.of(latent)

    def _index_of_segments(self):
        sources = self.item_embeddings_, self.labels_
        return remember(self, "segments", sources, self._invert_segments)

    def _invert_segments(self):
        if self.assign == "nearest":
            _, cosines = nearest_segment(
                self.item_embeddings_, self.segment_embeddings_, self._first_pairs
            )
            return group_members(self.labels_, cosines, len(self.segment_latents_))
        return invert_members(
            unit_rows(self.item_embeddings_),
            self.labels_,
            self.pair_segments_,
            len(self.segment_latents_),
        )

    def _segment_position(self, segment):
        """Return the position of a segment that is given by it, a name or an id."""
        n_segments = len(self.segment_latents_)
        if isinstance(segment, str):
            for known in (self.segment_ids_, self.segment_names_):
                found = np.flatnonzero(known == segment)
                if len(found):
                    return int(found[0])
            raise ValueError(
                f"segment {segment!r} is neither one of segment_ids_ nor of "
                "segment_names_"
            )
        if not _is_position(segment, n_segments):
            raise ValueError(
                f"segment must be a name, an id or a position below {n_segments}, the "
                f"number of segments, got {segment!r}"
            )
        return int(segment)


def _is_position(number, n):
    is_integer = isinstance(number, Integral) and not isinstance(number, bool)
    return is_integer and 0 <= number < n
