"""Seconds of an epoch and memory as sizes grow; see README.md."""

from _growth import growth_runs, million_runs
from _harness import Job
from _plan import add_settings_option, make_parser, run_jobs, suffix


def main():
    """Run what is asked for and not yet recorded."""
    parser = make_parser(__doc__, seeds=[0])
    parser.add_argument(
        "--million",
        action="store_true",
        help="a million items in place of the growing sizes",
    )
    add_settings_option(parser)
    options = parser.parse_args()
    if options.settings and not options.million:
        parser.error("--set goes with --million: the growing runs have fixed settings")
    runs = million_runs() if options.million else growth_runs()
    jobs = []
    for dataset, name, system in runs:
        settings = options.settings if system.kind == "elsa" else ()
        system = system.with_settings(dict(settings))
        jobs += [
            Job(name + suffix(settings), system, dataset, seed)
            for seed in options.seeds
        ]
    run_jobs(jobs, options, "million" if options.million else "growth")


if __name__ == "__main__":
    main()
