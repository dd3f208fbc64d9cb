"""What is varied when time and memory are measured."""

from _data import synthetic
from _systems import POPULARITY, elsa

N_USERS = 20_000
# What the other parameters are held at.
BASE = {
    "n_items": 30_000,
    "n_components": 1024,
    "n_nonzero": 32,
    "n_interactions": 1_000_000,
}
AXES = {
    "n_items": (10_000, 30_000, 100_000, 300_000, 1_000_000),
    "n_components": (512, 1024, 2048, 4096, 8192),
    "n_nonzero": (8, 16, 32, 64, 128),
    "n_interactions": (100_000, 300_000, 1_000_000, 3_000_000, 10_000_000),
}
N_EPOCHS = 4
BATCH_SIZE = 512
# Quality is not the question here, and lists from a million items take time.
MAX_TEST_USERS = 100

# The catalogue doubles twice, at two sizes of a batch.
STEP_ITEMS = (20_000, 40_000, 80_000)
STEP_BATCHES = (256, 1024)

# Users, items, interactions.
MILLION = (200_000, 1_000_000, 10_000_000)


def growth_runs():
    """Return the runs of all axes: every parameter is varied by itself.

    Returns
    -------
    list of (Dataset, str, System)
        The runs of a data set follow each other.
    """
    points = [BASE | {axis: value} for axis, values in AXES.items() for value in values]
    datasets, runs = {}, {}
    for point in points:
        size = N_USERS, point["n_items"], point["n_interactions"]
        dataset = datasets.setdefault(
            size, synthetic(*size, max_test_users=MAX_TEST_USERS)
        )
        name, system = fixed_pattern(point["n_components"], point["n_nonzero"])
        runs[size, name] = dataset, name, system
    return [runs[key] for key in sorted(runs)]


def step_runs():
    """Return the runs that tell the cost of a step as the catalogue doubles.

    Returns
    -------
    list of (Dataset, str, System)
    """
    runs = []
    for n_items in STEP_ITEMS:
        dataset = synthetic(
            N_USERS, n_items, BASE["n_interactions"], max_test_users=MAX_TEST_USERS
        )
        for batch_size in STEP_BATCHES:
            name, system = fixed_pattern(
                BASE["n_components"], BASE["n_nonzero"], batch_size=batch_size
            )
            runs.append((dataset, name, system))
    return runs


def million_runs():
    """Return the run of a million items, and the popularity ranking to beat.

    Returns
    -------
    list of (Dataset, str, System)
    """
    dataset = synthetic(*MILLION)
    system = elsa(
        "CompressedELSA",
        n_components=4096,
        n_nonzero=32,
        n_nonzero_start=32,
        max_iter=3,
        batch_size=4096,
    )
    return [(dataset, "popularity", POPULARITY), (dataset, "anchors", system)]


def fixed_pattern(n_components, n_nonzero, *, batch_size=BATCH_SIZE):
    """Return the name and the system of a run with the same non-zeros in all epochs.

    Parameters
    ----------
    n_components, n_nonzero, batch_size : int

    Returns
    -------
    str, System
    """
    system = elsa(
        "CompressedELSA",
        n_components=n_components,
        n_nonzero=n_nonzero,
        n_nonzero_start=n_nonzero,
        max_iter=N_EPOCHS,
        batch_size=batch_size,
    )
    return f"{n_components}-{n_nonzero}-batch{batch_size}", system
