"""Quality against bytes per item, of CompressedELSA and its rivals; see README.md."""

from _budgets import FAMILIES, default_runs
from _data import DATASETS, DEFAULT_DATASETS
from _harness import Job
from _plan import add_settings_option, make_parser, run_jobs, suffix

# The families that --set changes.
OWN_FAMILIES = ("anchors-path", "anchors-fit", "anchors-weighted")


def main():
    """Run what is asked for and not yet recorded."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "--datasets", nargs="+", choices=DATASETS, default=DEFAULT_DATASETS
    )
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=FAMILIES)
    parser.add_argument(
        "--levels",
        nargs="+",
        type=int,
        help="non-zeros of an item, for families that are fitted level by level",
    )
    add_settings_option(parser)
    options = parser.parse_args()
    run_jobs(plan(options), options, "budgets")


def plan(options):
    """Yield the runs, a seed at a time.

    Parameters
    ----------
    options : argparse.Namespace

    Yields
    ------
    Job
    """
    for dataset in options.datasets:
        for seed in options.seeds:
            for family in options.families:
                settings = options.settings if family in OWN_FAMILIES else ()
                is_first = seed == options.seeds[0]
                runs = default_runs(family, dataset, is_first, options.levels)
                for name, system in runs.items():
                    yield Job(
                        name + suffix(settings),
                        system.with_settings(dict(settings)),
                        DATASETS[dataset],
                        seed,
                        family + suffix(settings),
                    )


if __name__ == "__main__":
    main()
