"""CompressedELSA: sparse item embeddings learned from interactions."""

import os
from typing import ClassVar

from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin

from sksparse_rec._numerics.state import PRECISIONS
from sksparse_rec._validation import (
    Integral,
    Interval,
    Real,
    StrOptions,
    check_interactions,
    fit_context,
    rolled_back_on_error,
)
from sksparse_rec.models._base import DocumentationLinkMixin, RecommenderMixin
from sksparse_rec.models._fit import FitRun, train_one_epoch
from sksparse_rec.models._lists import is_labels
from sksparse_rec.models._new_items import NewItemsMixin
from sksparse_rec.models._training import is_warm


class CompressedELSA(
    RecommenderMixin,
    NewItemsMixin,
    DocumentationLinkMixin,
    CallbackSupportMixin,
    BaseEstimator,
):
    r"""Compressed ELSA: sparse item embeddings learned from interactions.

    Learns for every item a vector of ``n_components`` latents of which ``n_nonzero``
    are used, such that ``x A Aᵀ`` ranks the items that belong to a history ``x``. Use
    it as a recommender (``recommend``, ``predict``), as a transformer from histories
    to sparse profiles (``transform``), or for the item embeddings themselves
    (``item_embeddings_``), in place of a dense factorisation of several times the
    size.

    Parameters
    ----------
    n_components : int, default=1024
        Width of the embeddings, and the number of anchors. It costs no bytes: memory
        of the model and cost of search depend on ``n_nonzero`` alone. With 10,000
        users or more try 4096, which mostly ranks better at the same bytes per item;
        with few users it over-fits. Training time grows with its square at most.
    n_nonzero : int or None, default=32
        Non-zeros of an item, the parameter to search over: quality against bytes. More
        than ``n_components`` is clipped. None trains dense ELSA.
    init : {"anchors", "dense"}, default="anchors"
        "anchors" starts every item from its strongest co-occurrences with
        ``n_components`` anchor items and never makes a dense matrix. "dense" is the
        paper's way: a Gaussian matrix (n_items, n_components), pruned while training;
        it needs that much memory, and is there for comparison.
    loss : {"auto", "gram", "direct", "relu"}, default="auto"
        "gram" compares ``x`` with ``xAAᵀ − x`` without computing scores for the whole
        catalogue; "direct" is the same from the scores, cheaper on small catalogues
        with many components. "relu" compares with the positive part, as the paper
        does, at the cost of "direct". "auto" takes "relu" where ``init="dense"`` is
        pruned, as its paper, and the cheaper one of the other two otherwise.
    n_nonzero_start : int or None, default=None
        Non-zeros before pruning. None takes three times ``n_nonzero`` with anchors
        (twice beyond 32,768 items; at most 256, half of ``n_components`` or one and a
        half times ``n_nonzero``, whichever is most), and all of them with
        ``init="dense"``. With anchors, twice as many is faster and on small data a
        little worse.
    pruning : {"exponential", "stepwise", "linear", "constant"}, default="exponential"
        How the number of non-zeros falls from epoch to epoch: by the same share, by
        the same share in four steps, by the same number, or to the target at once.
    pruning_share : float, default=0.6
        Share of the epochs after which the target is reached. The rest of the epochs
        train the final pattern: leave at least a few.
    rewind : bool or "auto", default="auto"
        After pruning, set the kept values back to where they started. It helps
        ``init="dense"`` and hurts anchors, so "auto" does just that.
    max_iter : int, default=10
        Number of epochs. Data with few users can take fewer (5), large ``X`` gain
        little from more.
    batch_size : int or "auto", default="auto"
        Users a step. On a large catalogue a step costs about the same for 100 users as
        for 1000, so "auto" takes 512 up to 16,384 items and then a power of two of
        about a 16th of their number, up to 8192, as long as an epoch has 12 steps.
        Quality depends little on it.
    learning_rate : float, default=0.1
        Step size of NAdam. As rows are normalised, it does not depend on the scale of
        the data, and half of it gives much the same.
    learning_rate_decay : bool, default=True
        Let the step size fall linearly over ``max_iter`` epochs. Without it the last
        epochs are noisy and small data over-fit; the paper keeps it constant.
    dropout : float, default=0.0
        Share of the interactions left out at random in every step. Try 0.2 with few
        hundred users; it costs quality on sparse data.
    max_output : int or None, default=None
        Score only the items of a batch and random ones up to this number: the paper's
        sampled outputs. Useful with ``loss="relu"`` on large catalogues.
    user_weighting : float, default=0.5
        With anchors: users count ``length**-user_weighting`` in the co-occurrence that
        starts the training. Between 0 and 1 it matters little.
    item_weighting : float, default=0.0
        An interaction with item ``i`` counts ``p_i**-item_weighting``, in training and
        in profiles, with ``p_i`` the popularity of the item in units of the mean: a
        popular item says less about who chose it.
    popularity_weighting : float, default=0.0
        Scores are multiplied by ``p_i**popularity_weighting``, as unit rows forget
        popularity. On the data sets measured, 0.2 for ``item_weighting`` and 0.25 for
        this lose on none and gain much on some. They are no default because scores are
        then no longer ``x A Aᵀ``, which is what a store of the embeddings alone
        computes. Not together with ``calibration``.
    calibration : bool, default=False
        Learn a slope and an intercept for every item, so that scores estimate how
        likely the item is. Unit rows forget popularity, and this brings back as much of
        it as users held out of the training confirm: set it where popularity is much
        of the signal, such as market baskets, and try it on sparse data. Scores are
        then ``s_i ⟨xA, a_i⟩ + b_i ‖xA‖``; the embeddings stay as they are.
    early_stopping : bool, default=False
        Hold users out, score nDCG@100 on them after every epoch, stop when it has not
        risen for ``n_iter_no_change`` epochs, and keep the best epoch. Only epochs at
        the final number of non-zeros count. The step size falls over ``max_iter``
        epochs all the same, so do not set that far too high.
    validation_fraction : float, default=0.1
        Share of the users that ``early_stopping`` and ``calibration`` hold out of the
        training.
    n_iter_no_change : int, default=3
        Epochs without a better score before ``early_stopping`` stops.
    warm_start : bool, default=False
        Let ``fit`` go on from the fitted model, pruning it to ``n_nonzero`` if that is
        lower, in place of starting over. Items must be the same. With users held out,
        give ``random_state`` a number, so that they are the same too.
    checkpoint : str or path-like, default=None
        Folder in which ``fit`` leaves its state after every epoch and from which the
        same ``fit`` (parameters and data) goes on with an identical result after the
        process was killed. The file is removed when the training is done; several fits
        may share the folder. Writing it takes as long as copying the model's state,
        three times the embeddings, and reading all of ``X`` once.
    precision : {"auto", "float32", "bfloat16", "float64"}, default="auto"
        Of the training. "bfloat16" multiplies dense matrices in bfloat16, which takes
        about half the time where the hardware does so and does not move quality;
        everything else is float32. "auto" is that on such hardware and float32
        elsewhere. Embeddings are float32 always.
    device : str, default="auto"
        "cpu", "cuda", "cuda:1" or "mps" (untested); "auto" takes CUDA where there is
        one. Fitted attributes are on the host whatever the device.
    n_jobs : int or None, default=None
        Threads of the training, restored after it. None leaves torch's count, but
        takes one thread for small problems.
    random_state : int, RandomState instance or None, default=None
        Anchors, batches and samples. On the CPU the same seed gives the same model on
        the same machine; CUDA adds in any order, so models agree up to rounding there.
        torch's and numpy's global generators are left alone, also with None.
    verbose : int, default=0
        Above 0 the loss of every epoch goes to the logger ``sksparse_rec`` at level
        INFO, which ``logging.basicConfig(level="INFO")`` shows. For a progress bar
        use ``set_callbacks(sklearn.callback.ProgressBar())``.

    Attributes
    ----------
    item_embeddings_ : csr_array of shape (n_items, n_components), float32
        ``A``: rows of unit length with at most ``n_nonzero_`` entries. Items without
        interactions have empty rows, and so have those that meet neither an anchor
        nor an item that does. Replace it rather than edit it: searches prepare what
        they need of it once.
    components_ : csr_array of shape (n_components, n_items), float32
        Its transpose.
    anchors_ : ndarray of shape (n_components,), int64
        The item that each latent started from; -1 where there is none.
    item_weights_ : ndarray of shape (n_items,), float32, or None
        What an interaction counts, by ``item_weighting``.
    item_slopes_, item_intercepts_ : ndarray of shape (n_items,), float32, or None
        Those of ``calibration``; slopes also those of ``popularity_weighting``.
    item_popularity_ : ndarray of shape (n_items,), int64
        Users of each item in training; breaks ties.
    n_nonzero_ : int
        ``n_nonzero`` after clipping.
    loss_curve_ : list of float
        Mean loss of every epoch, between 0 and 4.
    validation_scores_ : list of float or None
        nDCG@100 of the held-out users after every epoch, at ``n_nonzero`` non-zeros;
        None without ``early_stopping``.
    n_iter_ : int
        Epochs done.
    n_steps_ : int
        Batches seen.
    n_features_in_ : int
        Number of items.
    feature_names_in_ : ndarray of shape (n_items,)
        Item names, where ``X`` was a DataFrame with string columns.

    See Also
    --------
    sklearn.decomposition.TruncatedSVD : Dense factors by least squares.
    sksparse_rec.top_items : Recommendations as arrays.
    sksparse_rec.model_selection.make_ranking_scorer : Other scores for a search.

    Notes
    -----
    The objective, averaged over users, is

    .. math::

        \left\| \frac{x}{\|x\|} - \frac{\hat y}{\|\hat y\|} \right\|^2,
        \qquad \hat y = x A A^\top - x,

    with unit rows of ``A``. With :math:`u = xA` and :math:`G = A^\top A` it needs
    :math:`\langle x, \hat y\rangle = \|u\|^2 - \|x\|^2` and
    :math:`\|\hat y\|^2 = u G u^\top - 2\|u\|^2 + \|x\|^2` only, so a step of the "gram"
    loss takes O(nnz(batch) × n_nonzero + batch_size × n_components² + n_items ×
    n_nonzero²) time, and training O(n_items × n_nonzero + n_components² + batch_size ×
    n_components) memory beside ``X``. The other losses take O(batch_size × n_items ×
    n_nonzero) a step.

    Scores are ``xAAᵀ``, without the ``− x`` of training. The model keeps the state of
    its optimizer for ``partial_fit``, three times the embeddings, and ``X`` itself for
    ``encode_items`` until it is copied or pickled: that is the caller's own matrix
    where it is a float32 CSR, so do not edit it in place.

    References
    ----------
    Vančura et al., "Scalable Linear Shallow Autoencoder for Collaborative Filtering",
    RecSys 2022: ELSA.

    "Efficient Learning of Sparse Representations from Interactions", WWW 2026,
    arXiv:2602.09935: Compressed ELSA, whose pruning is ``init="dense"``.

    Examples
    --------
    >>> from sksparse_rec import CompressedELSA, top_items
    >>> from sksparse_rec.datasets import make_interactions
    >>> X = make_interactions(300, 100, 3000, random_state=0)
    >>> model = CompressedELSA(64, n_nonzero=8, random_state=0).fit(X)
    >>> model.item_embeddings_.shape
    (100, 64)
    >>> ids, scores = top_items(model.recommend(X[:2], k=3))
    >>> ids.shape
    (2, 3)
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "n_nonzero": [Interval(Integral, 1, None, closed="left"), None],
        "init": [StrOptions({"anchors", "dense"})],
        "loss": [StrOptions({"auto", "gram", "direct", "relu"})],
        "n_nonzero_start": [Interval(Integral, 1, None, closed="left"), None],
        "pruning": [StrOptions({"constant", "stepwise", "linear", "exponential"})],
        "pruning_share": [Interval(Real, 0, 1, closed="both")],
        "rewind": ["boolean", StrOptions({"auto"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "learning_rate_decay": ["boolean"],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "max_output": [Interval(Integral, 1, None, closed="left"), None],
        "user_weighting": [Interval(Real, 0, None, closed="left")],
        "item_weighting": [Interval(Real, 0, 1, closed="both")],
        "popularity_weighting": [Interval(Real, 0, 1, closed="both")],
        "calibration": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "checkpoint": [str, os.PathLike, None],
        "precision": [StrOptions(set(PRECISIONS))],
        "device": [str],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        n_components=1024,
        *,
        n_nonzero=32,
        init="anchors",
        loss="auto",
        n_nonzero_start=None,
        pruning="exponential",
        pruning_share=0.6,
        rewind="auto",
        max_iter=10,
        batch_size="auto",
        learning_rate=0.1,
        learning_rate_decay=True,
        dropout=0.0,
        max_output=None,
        user_weighting=0.5,
        item_weighting=0.0,
        popularity_weighting=0.0,
        calibration=False,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=3,
        warm_start=False,
        checkpoint=None,
        precision="auto",
        device="auto",
        n_jobs=None,
        random_state=None,
        verbose=0,
    ):
        self.n_components = n_components
        self.n_nonzero = n_nonzero
        self.init = init
        self.loss = loss
        self.n_nonzero_start = n_nonzero_start
        self.pruning = pruning
        self.pruning_share = pruning_share
        self.rewind = rewind
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_decay = learning_rate_decay
        self.dropout = dropout
        self.max_output = max_output
        self.user_weighting = user_weighting
        self.item_weighting = item_weighting
        self.popularity_weighting = popularity_weighting
        self.calibration = calibration
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.checkpoint = checkpoint
        self.precision = precision
        self.device = device
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn item embeddings from interactions.

        Starts over, but for ``warm_start`` and ``checkpoint``.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_users, n_items)
            Non-negative interactions: ones, counts or ratings.
        y : object, default=None
            Not used by the training; callbacks that score get it. See ``predict`` for
            one-dimensional labels.

        Returns
        -------
        self : CompressedELSA
            The fitted estimator. If training is interrupted, by Ctrl-C or an error,
            the estimator is as it was before.

        Raises
        ------
        ValueError
            If ``X`` is empty, has negative, NaN or infinite values, or a parameter is
            out of its range; if ``warm_start`` finds other items or components, or
            fewer non-zeros than asked for; if holding users out leaves too few, or
            would copy a large memory-mapped matrix; if the checkpoint is damaged.
        FloatingPointError
            If the loss becomes infinite or NaN.
        """
        with rolled_back_on_error(self):
            X = check_interactions(X, estimator=self, reset=not is_warm(self))
            self._publish(FitRun(self, X, y).run())
            self._has_labels = is_labels(y)
        self._keep_interactions(X)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None):
        """Train one more epoch, on new users or on the same ones.

        After ``fit`` it continues with the optimizer's state. Items that had no
        interactions so far are admitted: they start from the profiles of their users.
        On an estimator not fitted yet it makes the first epoch of a training whose
        sparsity schedule goes on with every call; it never rewinds, so that the model
        is a trained one after each. ``early_stopping`` and ``calibration`` are matters
        of ``fit``, whose scores and calibration stay.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_users, n_items)
            Interactions of some users, all over the same items.
        y : object, default=None
            Ignored.

        Returns
        -------
        self : CompressedELSA
            The fitted estimator; as it was before if training is interrupted.

        Raises
        ------
        ValueError
            As ``fit``, and if the number of items changes.
        """
        first = not hasattr(self, "item_embeddings_")
        with rolled_back_on_error(self):
            X = check_interactions(X, estimator=self, reset=first)
            self._publish(train_one_epoch(self, X, first=first))
            self._has_labels = is_labels(y)
        self._keep_interactions(X)
        return self

    def _publish(self, attributes):
        for name, value in attributes.items():
            setattr(self, name, value)
