"""What is compared: every system, its settings, and the data sets it runs on."""

from dataclasses import dataclass, field

OWN = "_run_own.py"
RIVAL = "_run_compresso.py"
N_COMPONENTS = 1024
N_NONZERO = 32
# Data sets on which every variant of the paper's method runs.
ABLATION_DATASETS = ("ml-1m",)
# From so many items on, the rival gets the shorter schedule.
MANY_ITEMS = 20_000
SMALL_BATCH = 64


@dataclass(frozen=True)
class System:
    """One line of a table.

    Parameters
    ----------
    label : str
        How the page calls it.
    kind : str
        What the child process makes of ``params``.
    params : dict
        Settings, recorded beside the numbers.
    script : str
        The script of the child process.
    ablation : bool
        Runs by default on ``ABLATION_DATASETS`` only.
    large_params : dict or None
        Settings for catalogues of at least ``MANY_ITEMS`` items, where they differ.
    """

    label: str
    kind: str
    params: dict = field(default_factory=dict)
    script: str = OWN
    ablation: bool = False
    large_params: dict | None = None

    def params_for(self, n_users, n_items):
        """Return the settings for data of a size."""
        if self.large_params is not None and n_items >= MANY_ITEMS:
            return self.large_params
        if self.params.get("batch_size", 0) > n_users:
            # The batch of the paper would be all users, one step an epoch.
            return {**self.params, "batch_size": SMALL_BATCH}
        return self.params


def _paper(pruning, *, rewind, ablation=True):
    rewinding = "rewinding" if rewind else "no rewinding"
    return System(
        f"CompressedELSA, paper's pruning, {pruning}, {rewinding}",
        "elsa",
        {
            "n_components": N_COMPONENTS,
            "n_nonzero": N_NONZERO,
            "init": "dense",
            "loss": "relu",
            "pruning": pruning,
            "rewind": rewind,
            "max_iter": 20,
            "pruning_share": 0.5,
            "batch_size": 1024,
            "learning_rate_decay": False,
        },
        ablation=ablation,
    )


def _compresso(*, num_stages, epochs, batch_size):
    return {
        "config": {
            "latent_dim": N_COMPONENTS,
            "batch_size": batch_size,
            "epochs": epochs,
            "lr": 0.1,
        },
        "compression": {
            "k_target": N_NONZERO,
            "num_stages": num_stages,
            "stability_window": 5,
            "max_epochs_per_stage": 1,
        },
    }


# The order is that of the tables.
SYSTEMS = {
    "popularity": System("popularity", "popularity"),
    "ease": System("EASE", "ease"),
    "elsa-dense": System(
        "CompressedELSA, dense (n_nonzero=None)",
        "elsa",
        {"n_components": N_COMPONENTS, "n_nonzero": None},
    ),
    "anchors": System(
        "CompressedELSA, anchors (default)",
        "elsa",
        {"n_components": N_COMPONENTS, "n_nonzero": N_NONZERO},
    ),
    "anchors-start64": System(
        "CompressedELSA, anchors, n_nonzero_start=64",
        "elsa",
        {"n_components": N_COMPONENTS, "n_nonzero": N_NONZERO, "n_nonzero_start": 64},
        ablation=True,
    ),
    "paper-exponential-rewind": _paper("exponential", rewind=True, ablation=False),
    "paper-exponential": _paper("exponential", rewind=False),
    "paper-linear-rewind": _paper("linear", rewind=True),
    "paper-linear": _paper("linear", rewind=False),
    "paper-stepwise-rewind": _paper("stepwise", rewind=True),
    "paper-stepwise": _paper("stepwise", rewind=False),
    "paper-constant-rewind": _paper("constant", rewind=True),
    "paper-constant": _paper("constant", rewind=False, ablation=False),
    "compresso": System(
        "compresso-recsys, compressed ELSA",
        "compresso",
        _compresso(num_stages=10, epochs=10, batch_size=512),
        script=RIVAL,
        large_params=_compresso(num_stages=3, epochs=4, batch_size=1024),
    ),
}


def default_systems(dataset):
    """Return the names of the systems that run on a data set unless some are named."""
    return [
        name
        for name, system in SYSTEMS.items()
        if not system.ablation or dataset in ABLATION_DATASETS
    ]
