"""Home pages: rows of segments with their items."""

from sklearn.utils.validation import check_is_fitted

from sksparse_rec._validation import check_share
from sksparse_rec.retrieval import check_k
from sksparse_rec.segments._frame import page_frame
from sksparse_rec.segments._layout import lay_out
from sksparse_rec.segments._ranking import RankingMixin


class PagesMixin(RankingMixin):
    """Pages by fitted segments; see `RankingMixin` for what a class has to have."""

    def layout(
        self,
        X,
        n_rows=10,
        k=10,
        *,
        seen=None,
        allow=None,
        deny=None,
        item_embeddings=None,
        popularity=None,
        min_items=3,
        diversity=0.0,
        as_frame=False,
    ):
        r"""Lay out a home page for each user: rows of segments with their items.

        Rows are segments as ``recommend_segments`` ranks them, and in each are its best
        items for the user. No item is on a page twice, and none that was seen.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_components)
            Profiles, as in ``recommend_segments``.
        n_rows : int, default=10
            Rows of a page.
        k : int, default=10
            Items of a row.
        seen : {array-like, sparse matrix} of shape (n_users, n_items), default=None
            What is not to be shown to each user, such as the histories that the
            profiles are of: any non-zero. None: everything may be shown.
        allow, deny : array-like or sparse matrix, default=None
            Items that may, or may not, be shown: positions, names (where ``fit`` got
            ``item_names``) or a boolean mask of length n_items for all users, or a
            sparse mask of shape (n_users, n_items) for each.
        item_embeddings : array-like of shape (n_items, n_components), default=None
            Score items by these, dense or sparse, in place of those of ``fit``: those
            of the model where ``fit`` got `audience_embeddings`, which only group, or
            the rows of the same items in a model that was trained further.
        popularity : array-like of shape (n_items,), default=None
            Breaks ties of items: more popular ones come first. None leaves ties to the
            position. Give it where users without history get a page. With it, or with
            ``item_embeddings``, every call prepares the items anew, in O(nnz).
        min_items : int, default=3
            A segment with fewer items left for a user is skipped. ``k`` makes all rows
            full; more than ``k`` is taken for ``k``.
        diversity : float, default=0.0
            Between 0 and 1, how much a row should differ from those above it. 0 is the
            plain ranking of segments, to the last bit. On the bundled data 0.4 halves
            how alike the rows are, and takes a twentieth of their relevance; of
            segments of `audience_embeddings` that are nearest, 0.3 takes a sixth, and
            a twenty-fifth. With 1 the user decides on the first row, and on what is
            equally unlike it.
        as_frame : bool, default=False
            Return a pandas DataFrame.

        Returns
        -------
        page : Pages, or DataFrame with ``as_frame=True``
            A named tuple of arrays, padded with -1 and -inf:

            segments : ndarray of shape (n_users, n_rows), int64
            segment_scores : ndarray of shape (n_users, n_rows), float64
            items : ndarray of shape (n_users, n_rows, k), int64
            scores : ndarray of shape (n_users, n_rows, k), float64

            The DataFrame has a line for every item that is shown: the positions
            ``user``, ``row``, ``segment`` and ``place`` in these arrays, the ``name``
            of the segment, the ``item`` (its name where ``fit`` got ``item_names``,
            its position otherwise) and its ``score``.

        Raises
        ------
        ValueError
            For ``n_rows``, ``k`` or ``min_items`` below 1, a ``diversity`` outside of 0
            to 1, an unknown item, a mask of another shape, or profiles with NaN,
            infinity or another number of columns.
        ImportError
            With ``as_frame=True``, if pandas cannot be imported.

        See Also
        --------
        recommend : The items of one segment.
        CompressedELSA.recommend : One list.

        Notes
        -----
        With :math:`c_j` the rows of ``segment_embeddings_``, the next row of the page
        of a user with profile :math:`u` is the segment with the largest

        .. math:: (1 - d) \frac{\langle u, c_j \rangle}{\|u\|}
                  - d \max_{i} \max(0, \langle c_j, c_i \rangle)

        over the rows :math:`i` above it, where :math:`d` is ``diversity``: maximal
        marginal relevance. For the first row the second term is 0. Both products are
        cosines, so that the length of a history does not matter. A segment opposite to
        a row above counts as unlike it, not as wanted for that. Ties go to the
        segment that is first in ``recommend_segments``. A segment is passed over if
        fewer than ``min_items`` of its items are neither seen nor in a row above;
        items can be in several segments if ``n_latents`` is more than 1.

        Items are ranked by :math:`\langle u, a_i \rangle`, the exact scores of
        ``recommend`` of the model unless those are calibrated or weighted. A page does
        not depend on the other users of the call, so large tables can go in slices.
        Time is that of ranking some segments, more where many have to be passed over,
        and the items of ``n_rows`` of them. The first call with ``diversity``
        multiplies all pairs of segments, and keeps the table if it takes at most a
        quarter of ``sklearn.get_config()["working_memory"]``; otherwise rows of it are
        made when they are needed, which is slow. Beside the table and the result,
        memory is bounded by that number.

        Examples
        --------
        >>> from sksparse_rec import LatentSegments
        >>> A = [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [0.0, 1.0], [0.6, 0.8]]
        >>> segments = LatentSegments(min_size=2).fit(A)
        >>> page = segments.layout([[1.0, 0.2]], n_rows=2, k=2, min_items=1)
        >>> page.segments
        array([[1, 0]])
        >>> page.items
        array([[[0, 1],
                [4, 2]]])
        """
        check_is_fitted(self)
        n_rows, k = check_k(n_rows, "n_rows"), check_k(k)
        min_items = min(check_k(min_items, "min_items"), k)
        check_share(diversity, "diversity")
        X = self._check_profiles(X)
        filters = self._filters(X.shape[0], seen, allow, deny)
        shelves = self._shelves(item_embeddings, popularity)
        if diversity:
            shelves = self._with_similarities(shelves)
        candidates = filters.pop("candidates")
        if candidates is not None:
            shelves = shelves.only(candidates)
        pages = lay_out(
            X, shelves, n_rows, k, min_items=min_items, diversity=diversity, **filters
        )
        if as_frame:
            return page_frame(pages, self.segment_names_, self.item_names_)
        return pages
