"""Seconds of training beside compresso-recsys, in turns; see README.md."""

from _budgets import LEVELS
from _data import DATASETS
from _growth import step_runs
from _harness import Job
from _plan import add_settings_option, make_parser, run_jobs, suffix
from _systems import SYSTEMS, compresso, elsa

# By default parameters, and by those that the user guide advises beside them.
OWN = ("anchors", "anchors-popularity")
# The longer schedule takes minutes where the shorter one is not enough.
RIVALS = {
    "ml-1m": {
        "compresso": SYSTEMS["compresso"],
        "compresso-5-epochs": compresso(
            "compresso-recsys, 5 epochs a stage", epochs_per_stage=5
        ),
    },
    "gowalla": {"compresso": SYSTEMS["compresso"]},
}
# One run of the rival on gowalla takes 20 minutes.
RIVAL_REPEATS = {"gowalla": 1}
REPEATS = 3
# All levels of the other benchmark at once, and the largest alone.
PATH = {
    "path": elsa("compressed_elsa_path", kind="elsa-path", sizes=LEVELS),
    "fit": elsa("CompressedELSA, the largest level", n_nonzero=max(LEVELS)),
}


def main():
    """Run what is asked for and not yet recorded."""
    parser = make_parser(__doc__, seeds=None)
    parser.add_argument("--datasets", nargs="+", choices=DATASETS, default=list(RIVALS))
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument(
        "--rival-repeats", type=int, help="default: --repeats, and 1 on gowalla"
    )
    others = parser.add_mutually_exclusive_group()
    others.add_argument(
        "--step",
        action="store_true",
        help="the cost of a step as the catalogue doubles, in place of the rival",
    )
    others.add_argument(
        "--path",
        action="store_true",
        help="a path of all levels beside a fit at the largest, in place of the rival",
    )
    add_settings_option(parser)
    options = parser.parse_args()
    if options.path:
        jobs = [
            Job(name + _on_device(options), system, DATASETS[dataset], seed)
            for dataset in options.datasets
            for seed in range(options.repeats)
            for name, system in _with_settings(PATH, options).items()
        ]
        run_jobs(jobs, options, "path")
    elif options.step:
        jobs = [
            Job(name, system, dataset, seed)
            for dataset, name, system in step_runs()
            for seed in range(options.repeats)
        ]
        run_jobs(jobs, options, "step")
    else:
        jobs = [job for name in options.datasets for job in plan(name, options)]
        run_jobs(jobs, options, "speed")


def plan(dataset, options):
    """Yield the runs on a data set, all systems once before any of them again.

    The repetitions are seeds: of the hold-out and of the model.

    Parameters
    ----------
    dataset : str
    options : argparse.Namespace

    Yields
    ------
    Job
    """
    own = _with_settings({name: SYSTEMS[name] for name in OWN}, options)
    rivals = RIVALS.get(dataset, RIVALS["gowalla"])
    n_rival = options.rival_repeats
    if n_rival is None:
        n_rival = RIVAL_REPEATS.get(dataset, options.repeats)
    for seed in range(max(options.repeats, n_rival)):
        systems = own if seed < options.repeats else {}
        systems = systems | (rivals if seed < n_rival else {})
        for name, system in systems.items():
            yield Job(name + _on_device(options), system, DATASETS[dataset], seed)


def _with_settings(systems, options):
    return {
        name + suffix(options.settings): system.with_settings(dict(options.settings))
        for name, system in systems.items()
    }


def _on_device(options):
    return suffix([("device", options.device)] if options.device else [])


if __name__ == "__main__":
    main()
