"""Neighbours that are kept when vectors are made small; see README.md."""

from _code_data import CORPORA, make_factors
from _code_plan import run_corpus
from _codes import FAMILIES, LEVELS, OWN_FAMILIES, runs_of, speed_runs
from _harness import Job
from _plan import add_settings_option, make_parser, plan_families, run_jobs, suffix


def main():
    """Run what is asked for and not yet recorded."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "--datasets", nargs="+", choices=CORPORA, default=tuple(CORPORA)
    )
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=FAMILIES)
    parser.add_argument(
        "--levels",
        nargs="+",
        type=int,
        choices=LEVELS,
        default=LEVELS,
        help="bytes of a vector, for families that are trained level by level",
    )
    add_settings_option(parser, "CompresSAE")
    parser.add_argument(
        "--speed",
        action="store_true",
        help="epochs and encoding beside the published implementation, on the first "
        "of --datasets, in place of the sizes",
    )
    parser.add_argument(
        "--make-factors",
        action="store_true",
        help="make the item factors that are compressed, and stop",
    )
    options = parser.parse_args()
    if options.make_factors:
        make_factors()
    elif options.speed:
        run_jobs(plan_speed(options), options, "codes-speed", run_corpus)
    else:
        run_jobs(plan(options), options, "codes", run_corpus)


def plan(options):
    """Return the runs of `_plan.plan_families`."""

    def runs_for(family, dataset, seed):
        return runs_of(family, options.levels)

    return plan_families(options, CORPORA, OWN_FAMILIES, runs_for)


def plan_speed(options):
    """Yield the timed runs, all once before any of them again.

    Parameters
    ----------
    options : argparse.Namespace

    Yields
    ------
    Job
    """
    corpus = CORPORA[options.datasets[0]]
    for seed in options.seeds:
        for name, system in speed_runs().items():
            settings = {} if system.kind == "reference" else dict(options.settings)
            yield Job(
                name + suffix(tuple(settings.items())),
                system.with_settings(settings),
                corpus,
                seed,
            )


if __name__ == "__main__":
    main()
