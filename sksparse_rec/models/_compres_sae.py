"""CompresSAE: k-sparse codes of dense embeddings."""

from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.callback import CallbackSupportMixin
from sklearn.utils.validation import check_is_fitted

from sksparse_rec._validation import (
    Integral,
    Interval,
    Real,
    StrOptions,
    check_embeddings,
    check_length,
    fit_context,
    rolled_back_on_error,
    to_sparse_interface,
)
from sksparse_rec.models._base import DocumentationLinkMixin
from sksparse_rec.models._code_search import CodeSearchMixin
from sksparse_rec.models._code_training import CodeTraining
from sksparse_rec.models._codes import codes_of, cosines_of


class CompresSAE(
    DocumentationLinkMixin,
    CallbackSupportMixin,
    CodeSearchMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    r"""Sparse autoencoder that compresses embeddings into k-sparse codes.

    For a table of dense vectors that are compared by cosine: sentence embeddings, the
    items of a two-tower model, the factors of an ELSA. Every vector becomes a code of
    ``n_nonzero`` entries among ``n_components``, 4 bytes each in compact storage, that
    is searched as it is (``space="sparse"``), as the vector that it rebuilds
    (``"reconstructed"``), or as that vector by queries that are not encoded
    (``"asymmetric"``, closest to the truth).

    Parameters
    ----------
    n_components : int, default=4096
        Width of the codes, and rows of the decoder. More latents separate more, and
        training and encoding take time in proportion; up to 65,536 an index takes two
        bytes.
    n_nonzero : int, default=32
        Entries of a code, at most ``n_components``: 4 bytes each. The parameter to
        search over.
    init : {"data", "random"}, default="data"
        Where decoder and encoder start: at rows of ``X``, which no latent is dead at,
        or at random directions, as published. Latents beyond the rows of ``X`` start at
        random.
    encoder : {"free", "tied"}, default="free"
        A matrix of its own, or the transpose of the decoder, which halves the model.
    positive : bool, default=False
        Keep the largest activations in place of the largest magnitudes, so that codes
        are non-negative, for stores that refuse or spoil negative values.
    center : bool, default=False
        Take the mean of the unit rows off before encoding. Helps where the vectors
        share a direction, such as those of many language models; similarities are then
        cosines of centred vectors, in every space.
    nested : bool, default=False
        Train codes of half and a quarter of ``n_nonzero`` too, so that one model serves
        ``transform(X, n_nonzero=...)`` well at smaller sizes, for a little quality at
        the full one and some time.
    n_nonzero_start : int, default=None
        Entries at the start, if more than ``n_nonzero``; they fall to it over half of
        the epochs. It can save latents that start at random; data do not need it.
    auxiliary_weight : float, default=0.125
        Weight of the reconstruction from ``auxiliary_factor`` times as many entries,
        which trains latents that just miss the selection. The default is the
        published one. One batch in four has it, with four times the weight: the sum
        over an epoch is the same and takes half the time.
    auxiliary_factor : int, default=4
        See ``auxiliary_weight``.
    neighbor_weight : float, default=0.3
        Weight of keeping neighbourhoods: rows of a batch should be as similar as codes
        as they are as vectors. 0 is the published objective, which only rebuilds.
    neighbor_temperature : float, default=0.1
        Difference of cosines that makes a neighbour e times as important: lower looks
        at the nearest ones only.
    revive : bool, default=True
        After every epoch of ``fit`` but the last, point latents that no row used at
        what was rebuilt worst.
    max_iter : int, default=24
        Epochs.
    batch_size : int, default=512
        Rows of a step. Neighbourhoods are those within a batch.
    learning_rate : float, default=6e-3
        Step size of NAdam at the start.
    learning_rate_decay : bool, default=True
        Let it fall linearly over ``max_iter`` epochs.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Of the activations in training: "bfloat16" takes half the time where the
        hardware has it, and "auto" takes it there. Codes are computed in float32.
    device : str, default="auto"
        "cpu", "cuda", "cuda:1" or "mps" (untested); "auto" takes CUDA where there is
        one. Fitted attributes are on the host whatever the device. A table that takes
        less than half of the memory that the GPU has free is copied there once, as
        float32; a larger, sparse or mapped one goes there batch by batch.
    n_jobs : int or None, default=None
        Threads, restored after the call. None takes torch's count, but one thread for
        small problems.
    random_state : int, RandomState instance or None, default=None
        Start, batches and revival. The same seed gives the same model on the same
        machine; global generators are left alone, also with None.
    verbose : int, default=0
        Above 0 the loss of every epoch goes to the logger ``sksparse_rec`` at level
        INFO. For a progress bar use ``set_callbacks(sklearn.callback.ProgressBar())``.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features), float32
        The decoder, rows of unit length: ``inverse_transform`` is a product with it.
    encoder_components_ : ndarray of shape (n_components, n_features), float32
        The encoder; equal to ``components_`` where it is tied.
    encoder_intercept_ : ndarray of shape (n_components,), float32
        Its bias.
    mean_ : ndarray of shape (n_features,), float32, or None
        What ``center`` takes off.
    item_embeddings_ : csr_array of shape (n_samples, n_components), float32
        The catalogue that ``recommend`` and ``similar_items`` search: codes of the rows
        of the last ``fit`` or ``partial_fit``, scaled to unit length. Rows of zeros
        have empty codes. Replace it rather than edit it: searches prepare what they
        need of it once.
    reconstruction_norms_ : ndarray of shape (n_samples,), float64
        Lengths of what the rows of ``item_embeddings_`` rebuild.
    n_nonzero_ : int
        ``n_nonzero`` after clipping.
    dead_fraction_ : float
        Share of latents in no code of the catalogue.
    reconstruction_cosine_ : float
        Mean cosine of the catalogue's vectors and their reconstructions; rows of zeros
        count as 1.
    explained_variance_ : float
        Share of the variance of the unit rows that the directions of their
        reconstructions explain; at most 1, and 0 where the rows do not vary.
    loss_curve_ : list of float
        Mean loss of every epoch.
    n_iter_ : int
        Epochs done.
    n_steps_ : int
        Batches seen.
    n_features_in_ : int
        Number of columns of ``X``.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, where ``X`` was a DataFrame with string columns.

    See Also
    --------
    CompressedELSA : Sparse embeddings straight from interactions.
    sksparse_rec.memory_report : What codes take, beside dense vectors.
    sksparse_rec.sparse_similarity, sksparse_rec.reconstructed_similarity :
        Both similarities for any pairs of codes.

    Notes
    -----
    For a row :math:`x` of unit length

    .. math:: s = \mathrm{top}_k(E x + b), \qquad \hat x = s D,

    and the loss is

    .. math::

        (1 - \cos(x, \hat x_k)) + \tfrac18 (1 - \cos(x, \hat x_{4k}))
        + \sum_{n < k} \tfrac nk (1 - \cos(x, \hat x_n)) + \lambda L,

    with :math:`n` the nested sizes and :math:`\lambda L` the divergence of
    neighbourhoods: the mean of
    :math:`\mathrm{KL}(\mathrm{softmax}_j\langle x_i, x_j\rangle / \tau \,\|\,
    \mathrm{softmax}_j\langle \hat s_i, \hat s_j\rangle / \tau)` over the rows of a
    batch, with :math:`\hat s` codes of unit length. The gradient of the decoder is
    projected on the tangent of its unit rows before the optimizer sees it.

    A step takes O(batch_size × n_components × n_features) time for the activations;
    everything else reads active entries only, O(batch_size × n_nonzero × n_features),
    times ``auxiliary_factor`` for one batch in four; on a GPU its products are dense
    too, as those are faster there. Memory beside ``X`` is
    O(n_components × n_features + batch_size × n_components + batch_size²) and the
    catalogue's codes. ``X`` may be mapped from a file far larger than memory, and is
    read in pieces.

    References
    ----------
    "The Future is Sparse: Embedding Compression for Scalable Retrieval in Recommender
    Systems", RecSys 2025, arXiv:2505.11388: the model, and the two cosine losses.

    Examples
    --------
    >>> import numpy as np
    >>> from sksparse_rec import CompresSAE, top_items
    >>> E = np.random.default_rng(0).normal(size=(300, 32))
    >>> model = CompresSAE(64, n_nonzero=8, max_iter=5, random_state=0).fit(E)
    >>> model.transform(E[:2]).shape
    (2, 64)
    >>> ids, cosines = top_items(model.recommend(E[:2], k=3))
    >>> ids.shape
    (2, 3)
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "n_nonzero": [Interval(Integral, 1, None, closed="left")],
        "init": [StrOptions({"data", "random"})],
        "encoder": [StrOptions({"free", "tied"})],
        "positive": ["boolean"],
        "center": ["boolean"],
        "nested": ["boolean"],
        "n_nonzero_start": [Interval(Integral, 1, None, closed="left"), None],
        "auxiliary_weight": [Interval(Real, 0, None, closed="left")],
        "auxiliary_factor": [Interval(Integral, 1, None, closed="left")],
        "neighbor_weight": [Interval(Real, 0, None, closed="left")],
        "neighbor_temperature": [Interval(Real, 0, None, closed="neither")],
        "revive": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "learning_rate_decay": ["boolean"],
        "precision": [StrOptions({"auto", "float32", "bfloat16"})],
        "device": [str],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        n_components=4096,
        *,
        n_nonzero=32,
        init="data",
        encoder="free",
        positive=False,
        center=False,
        nested=False,
        n_nonzero_start=None,
        auxiliary_weight=0.125,
        auxiliary_factor=4,
        neighbor_weight=0.3,
        neighbor_temperature=0.1,
        revive=True,
        max_iter=24,
        batch_size=512,
        learning_rate=6e-3,
        learning_rate_decay=True,
        precision="auto",
        device="auto",
        n_jobs=None,
        random_state=None,
        verbose=0,
    ):
        self.n_components = n_components
        self.n_nonzero = n_nonzero
        self.init = init
        self.encoder = encoder
        self.positive = positive
        self.center = center
        self.nested = nested
        self.n_nonzero_start = n_nonzero_start
        self.auxiliary_weight = auxiliary_weight
        self.auxiliary_factor = auxiliary_factor
        self.neighbor_weight = neighbor_weight
        self.neighbor_temperature = neighbor_temperature
        self.revive = revive
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_decay = learning_rate_decay
        self.precision = precision
        self.device = device
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn encoder and decoder from a table of vectors, from the start.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
            Vectors; their lengths do not count. float16, float32 and float64 arrays
            are read as they are, also where they are mapped from a file
            (``numpy.load(..., mmap_mode="r")``).
        y : object, default=None
            Ignored; callbacks get it.

        Returns
        -------
        self : CompresSAE
            The fitted estimator; as it was before if training is interrupted.

        Raises
        ------
        ValueError
            If ``X`` is empty or has NaN or infinite values, or a parameter is out of
            its range.
        FloatingPointError
            If the loss becomes infinite or NaN.
        """
        with rolled_back_on_error(self):
            X = check_embeddings(X, estimator=self, reset=True)
            self._publish(CodeTraining(self, X, is_first=True).run(self.max_iter, y))
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None):
        """Train one pass over more vectors, as they come in a stream.

        Every call counts as an epoch: the step size falls with them, and after
        ``max_iter`` calls, or after ``fit``, it stays at ``learning_rate / max_iter``.
        The catalogue becomes the rows of this call, as the codes of earlier ones are
        out of date: encode what is to be searched with ``transform`` in the end.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
            Vectors, as in ``fit``. The rows of the first call are what ``init="data"``
            and ``center`` see, so let it be a fair sample.
        y : object, default=None
            Ignored.

        Returns
        -------
        self : CompresSAE
            The fitted estimator; as it was before if training is interrupted.

        Raises
        ------
        ValueError
            As ``fit``, and if the number of columns, ``n_components`` or ``encoder``
            is not that of the fitted model.
        """
        is_first = not hasattr(self, "components_")
        with rolled_back_on_error(self):
            X = check_embeddings(X, estimator=self, reset=is_first)
            training = CodeTraining(self, X, is_first=is_first)
            self._publish(training.run(1, report=False))
        return self

    def transform(self, X, *, n_nonzero=None):
        """Encode vectors, seen in ``fit`` or not.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Vectors.
        n_nonzero : int, default=None
            Entries of a code, if not those of the training. Fewer are the beginning of
            the longer code; see ``nested``.

        Returns
        -------
        S : sparse matrix or array of shape (n_samples, n_components)
            CSR, raw codes, float64 for float64 ``X`` and float32 otherwise. Rows of
            zeros have empty codes.

        Raises
        ------
        ValueError
            If ``X`` has NaN or infinite values or another number of columns, or
            ``n_nonzero`` is out of range.

        Notes
        -----
        O(n_samples × n_components × n_features) time: hardly more than one matrix
        product.
        """
        check_is_fitted(self)
        X = check_embeddings(X, estimator=self)
        codes = codes_of(self, X, self._check_n_nonzero(n_nonzero))
        dtype = np.float64 if X.dtype == np.float64 else np.float32
        return to_sparse_interface(codes.astype(dtype, copy=False))

    def inverse_transform(self, X):
        """Rebuild vectors from codes, ``S D``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_components)
            Codes as ``transform`` returns them.

        Returns
        -------
        vectors : ndarray of shape (n_samples, n_features)
            Directions: the lengths of the original vectors are not kept. With
            ``center`` they are directions from the mean.

        Raises
        ------
        ValueError
            If ``X`` has another number of columns or values that are not finite.

        Notes
        -----
        O(nnz(X) × n_features) time.
        """
        check_is_fitted(self)
        S = check_length(X, len(self.components_), "X", "n_components")
        return np.asarray(sp.csr_array(S) @ self.components_.astype(S.dtype))

    def score(self, X, y=None):
        """Return the mean cosine of vectors and their reconstructions.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Vectors, best of rows that were not in ``fit``.
        y : object, default=None
            Ignored.

        Returns
        -------
        score : float
            At most 1. A row of zeros, whose code is empty, counts as 1. To select by
            what a search finds, use a scorer that compares neighbours.

        Raises
        ------
        ValueError
            As ``transform``.
        """
        check_is_fitted(self)
        X = check_embeddings(X, estimator=self)
        return float(cosines_of(self, X).mean())

    def _check_n_nonzero(self, n_nonzero):
        if n_nonzero is None:
            return self.n_nonzero_
        n_components = len(self.components_)
        is_number = isinstance(n_nonzero, Integral) and not isinstance(n_nonzero, bool)
        if not is_number or not 1 <= n_nonzero <= n_components:
            raise ValueError(
                f"n_nonzero must be an integer from 1 to n_components={n_components}, "
                f"got {n_nonzero!r}"
            )
        return int(n_nonzero)

    def _publish(self, attributes):
        for name, value in attributes.items():
            setattr(self, name, value)

    @property
    def _n_features_out(self):
        return len(self.components_)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
