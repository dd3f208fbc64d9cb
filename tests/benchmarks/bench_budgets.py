"""Quality against bytes per item, of CompressedELSA and its rivals; see README.md."""

from _budgets import FAMILIES, OWN, default_runs
from _data import DATASETS, DEFAULT_DATASETS
from _plan import add_settings_option, make_parser, plan_families, run_jobs


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
    """Return the runs of `_plan.plan_families`."""

    def runs_for(family, dataset, seed):
        is_first = seed == options.seeds[0]
        return default_runs(family, dataset, is_first, options.levels)

    return plan_families(options, DATASETS, OWN, runs_for)


if __name__ == "__main__":
    main()
