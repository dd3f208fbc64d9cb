"""What the epochs of a ``fit`` tell callbacks and the log."""

import logging

logger = logging.getLogger("sksparse_rec")


class EpochReports:
    """The callback context of a ``fit``, with a subcontext for every epoch.

    Parameters
    ----------
    estimator : estimator
        With scikit-learn's callback support and a ``verbose`` parameter.
    X, y : object
        Callbacks get them.
    n_epochs : int
        That this call makes at most.
    n_done : int, default=0
        Epochs of an earlier call that it goes on from.
    """

    def __init__(self, estimator, X, y, n_epochs, n_done=0):
        self.estimator, self.data = estimator, {"X": X, "y": y}
        self.n_done, self.n_total = n_done, n_done + n_epochs
        self.context = estimator._init_callback_context(max_subtasks=n_epochs)
        self.context.call_on_fit_task_begin(estimator=estimator, **self.data)

    def begin(self, epoch):
        """Open the context of an epoch."""
        self.epoch = self.context.subcontext(task_name="epoch")
        self.epoch.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def end(self, loss, attributes, score=None):
        """Close it; return whether a callback asks to stop.

        ``attributes`` is a function that returns the fitted attributes.
        """
        self.n_done += 1
        if self.estimator.verbose:
            scored = "" if score is None else f", score {score:.4f}"
            counted = self.n_done, self.n_total
            logger.info("epoch %d of %d: loss %.4f%s", *counted, loss, scored)
        return self.epoch.call_on_fit_task_end(
            estimator=self.estimator,
            reconstruction_attributes=attributes,
            **self.data,
        )

    def finish(self, attributes):
        """Close the context of the ``fit``."""
        self.context.call_on_fit_task_end(
            estimator=self.estimator,
            reconstruction_attributes=lambda: attributes,
            **self.data,
        )
