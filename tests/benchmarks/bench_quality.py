"""Quality, time and memory of CompressedELSA and its rivals; see README.md."""

from _data import DATASETS, DEFAULT_DATASETS
from _harness import Job
from _plan import make_parser, run_jobs
from _systems import SYSTEMS, default_systems


def main():
    """Run what is asked for and not yet recorded."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "--datasets", nargs="+", choices=DATASETS, default=DEFAULT_DATASETS
    )
    parser.add_argument(
        "--systems",
        nargs="+",
        choices=SYSTEMS,
        help="default: all on ml-1m, and all but the ablations elsewhere",
    )
    options = parser.parse_args()
    jobs = (
        Job(system, SYSTEMS[system], DATASETS[dataset], seed)
        for dataset in options.datasets
        for seed in options.seeds
        for system in options.systems or default_systems(dataset)
    )
    run_jobs(jobs, options, "quality")


if __name__ == "__main__":
    main()
