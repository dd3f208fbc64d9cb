"""What is compared: the systems of the benchmarks, and their settings."""

from dataclasses import dataclass, field, replace

OWN = "_run_own.py"
COMPRESSO = "_run_compresso.py"
ELSAREC = "_run_elsarec.py"
IMPLICIT = "_run_implicit.py"
CODE_RIVALS = "_run_code_rivals.py"
SEARCH_RIVALS = "_run_search_rivals.py"
SEGMENT_RIVALS = "_run_compresso_segments.py"
# Scripts that run in the rivals' interpreter.
RIVALS = (COMPRESSO, ELSAREC, IMPLICIT, CODE_RIVALS, SEARCH_RIVALS, SEGMENT_RIVALS)
N_COMPONENTS = 1024
N_NONZERO = 32
# Data sets on which every variant of the paper's method runs.
ABLATION_DATASETS = ("ml-1m",)
# From so many items on, compresso-recsys gets the shorter schedule.
MANY_ITEMS = 20_000
SMALL_BATCH = 64
# What the user guide advises.
POPULARITY_WEIGHTS = {"item_weighting": 0.2, "popularity_weighting": 0.25}


@dataclass(frozen=True)
class System:
    """One line of a table, or one curve.

    Parameters
    ----------
    label : str
        How the pages call it.
    kind : str
        What the child process makes of ``params``.
    params : dict
        Settings, recorded beside the numbers.
    script : str
        The script of the child process; ``RIVALS`` run in the rivals' interpreter.
    sizes : tuple of int
        For kinds whose one fit gives models of several sizes.
    tuned : bool
        Whether it chooses settings on validation users.
    ablation : bool
        Runs by default on ``ABLATION_DATASETS`` only.
    large_params : dict or None
        Settings for catalogues of at least ``MANY_ITEMS`` items, where they differ.
    device : str or None
        Where it trains, if it can choose; None leaves it to the system.
    """

    label: str
    kind: str
    params: dict = field(default_factory=dict)
    script: str = OWN
    sizes: tuple = ()
    tuned: bool = False
    ablation: bool = False
    large_params: dict | None = None
    device: str | None = None

    @property
    def is_rival(self):
        """Whether it runs in the rivals' interpreter."""
        return self.script in RIVALS

    def params_for(self, n_users, n_items):
        """Return the settings for data of a size."""
        if self.large_params is not None and n_items >= MANY_ITEMS:
            return self.large_params
        if self.params.get("batch_size", 0) > n_users:
            # The batch of the paper would be all users, one step an epoch.
            return {**self.params, "batch_size": SMALL_BATCH}
        return self.params

    def with_settings(self, settings):
        """Return the system with other parameters, and a label that names them."""
        if not settings:
            return self
        named = ", ".join(f"{name}={value}" for name, value in settings.items())
        return replace(
            self, label=f"{self.label}, {named}", params=self.params | settings
        )


def elsa(label, *, kind="elsa", sizes=(), ablation=False, **params):
    """Return a CompressedELSA with the usual number of components."""
    params = {"n_components": N_COMPONENTS, **params}
    return System(label, kind, params, sizes=sizes, ablation=ablation)


def paper(pruning, *, rewind, n_nonzero=N_NONZERO, ablation=True):
    """Return the method of the paper with one of its schedules."""
    rewinding = "rewinding" if rewind else "no rewinding"
    return elsa(
        f"CompressedELSA, paper's pruning, {pruning}, {rewinding}",
        n_nonzero=n_nonzero,
        init="dense",
        loss="relu",
        pruning=pruning,
        rewind=rewind,
        max_iter=20,
        pruning_share=0.5,
        batch_size=1024,
        learning_rate_decay=False,
        ablation=ablation,
    )


def compresso(label, *, n_nonzero=N_NONZERO, epochs_per_stage=1):
    """Return compressed ELSA of compresso-recsys; large catalogues train less."""

    def settings(*, num_stages, epochs, batch_size):
        return {
            "config": {
                "latent_dim": N_COMPONENTS,
                "batch_size": batch_size,
                "epochs": epochs,
                "lr": 0.1,
            },
            "compression": {
                "k_target": n_nonzero,
                "num_stages": num_stages,
                "stability_window": 5,
                "max_epochs_per_stage": epochs_per_stage,
            },
        }

    return System(
        label,
        "compresso",
        settings(num_stages=10, epochs=10, batch_size=512),
        script=COMPRESSO,
        large_params=settings(num_stages=3, epochs=4, batch_size=1024),
    )


POPULARITY = System("popularity", "popularity")
EASE = System("EASE", "ease", tuned=True)
# The order is that of the tables.
SYSTEMS = {
    "popularity": POPULARITY,
    "ease": EASE,
    "als": System(
        "implicit, ALS",
        "als",
        {
            "factors": 128,
            "iterations": 15,
            "grid": {"regularization": [1.0, 10.0, 100.0], "alpha": [1.0, 10.0]},
        },
        script=IMPLICIT,
        tuned=True,
    ),
    "bpr": System(
        "implicit, BPR",
        "bpr",
        {
            "factors": 128,
            "iterations": 100,
            "grid": {"learning_rate": [0.01, 0.03, 0.1], "regularization": [0.01, 0.1]},
        },
        script=IMPLICIT,
        tuned=True,
    ),
    "elsarec": System(
        "elsarec, dense ELSA",
        "elsarec",
        {"n_dims": N_COMPONENTS, "lr": 0.1, "batch_size": 1024, "epoch_grid": [5, 10]},
        script=ELSAREC,
        tuned=True,
    ),
    "elsa-dense": elsa("CompressedELSA, dense (n_nonzero=None)", n_nonzero=None),
    "anchors": elsa("CompressedELSA, anchors (default)", n_nonzero=N_NONZERO),
    "anchors-popularity": elsa(
        "CompressedELSA, anchors, popularity weighted",
        n_nonzero=N_NONZERO,
        **POPULARITY_WEIGHTS,
    ),
    "anchors-start64": elsa(
        "CompressedELSA, anchors, n_nonzero_start=64",
        n_nonzero=N_NONZERO,
        n_nonzero_start=64,
        ablation=True,
    ),
    "paper-exponential-rewind": paper("exponential", rewind=True, ablation=False),
    "paper-exponential": paper("exponential", rewind=False),
    "paper-linear-rewind": paper("linear", rewind=True),
    "paper-linear": paper("linear", rewind=False),
    "paper-stepwise-rewind": paper("stepwise", rewind=True),
    "paper-stepwise": paper("stepwise", rewind=False),
    "paper-constant-rewind": paper("constant", rewind=True),
    "paper-constant": paper("constant", rewind=False, ablation=False),
    "compresso": compresso("compresso-recsys, compressed ELSA"),
}


def default_systems(dataset):
    """Return the names of the systems that run on a data set unless some are named."""
    return [
        name
        for name, system in SYSTEMS.items()
        if not system.ablation or dataset in ABLATION_DATASETS
    ]
