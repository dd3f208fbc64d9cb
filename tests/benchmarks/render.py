"""Make the pages and figures of the documentation from the recorded runs."""

import argparse
from pathlib import Path

from _code_curves import make_curves as make_code_curves
from _code_data import CORPORA
from _curves import make_curves, same_runs
from _data import DATASETS
from _environment import HERE
from _figures import budget_figure, save
from _harness import read_records
from _page_budgets import render_budgets
from _page_codes import render_codes, tradeoff_figure
from _page_growth import Growth, render_growth
from _page_quality import render_quality
from _page_search import render_search
from _page_segments import render_segments
from _page_speed import render_speed
from _page_steering import render_steering
from _pages import by_dataset, done
from _plan import RESULTS
from _steering_compare import by_facet
from _steering_figure import steering_figure

DOCS = HERE.parents[1] / "docs"
FIGURES = Path("_static") / "benchmarks"


def main():
    """Write every page that there are records for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder of the pages")
    options = parser.parse_args()
    names = (
        *("quality", "budgets", "growth", "million", "speed", "step", "path"),
        *("codes", "codes-speed", "search", "segments", "segment-pages"),
        "steering",
    )
    records = {name: read_records(options.results / name) for name in names}
    pages = {}
    if records["budgets"]:
        # A run of this benchmark's own comes later, and counts.
        others = same_runs(records["quality"] + records["speed"])
        pages["budgets"] = _budgets(others + records["budgets"], options.docs)
    if done(records["growth"]) or records["million"]:
        pages["growth"] = _growth(records["growth"], records["million"], options.docs)
    if records["speed"] or done(records["step"]) or done(records["path"]):
        pages["speed"] = render_speed(
            records["speed"], records["step"], records["path"]
        )
    if records["codes"]:
        pages["codes"] = _codes(records["codes"], records["codes-speed"], options.docs)
    if records["search"]:
        pages["search"] = render_search(records["search"])
    if records["segments"]:
        pages["segments"] = render_segments(
            records["segments"], records["segment-pages"]
        )
    if records["steering"]:
        pages["steering"] = _steering(records["steering"], options.docs)
    for name, page in pages.items():
        write(options.docs / "benchmarks" / f"{name}.md", page)
    if records["quality"]:
        links = [f"benchmarks/{name}" for name in pages]
        write(options.docs / "benchmarks.md", render_quality(records["quality"], links))


def _budgets(records, docs):
    figures = {}
    for name, group in by_dataset(records, DATASETS).items():
        path = FIGURES / f"budgets-{name}.svg"
        save(budget_figure(name, make_curves(group)), docs / path)
        figures[name] = f"../{path.as_posix()}"
    return render_budgets(records, figures)


def _codes(codes, speed, docs):
    figures = {}
    for name, group in by_dataset(codes, CORPORA).items():
        figure = tradeoff_figure(name, make_code_curves(group))
        if figure is not None:
            path = FIGURES / f"codes-{name}.svg"
            save(figure, docs / path)
            figures[name] = f"../{path.as_posix()}"
    return render_codes(codes, speed, figures)


def _growth(growth, million, docs):
    path = FIGURES / "growth.svg"
    if done(growth):
        save(Growth(growth).figure(), docs / path)
    return render_growth(growth, million, f"../{path.as_posix()}")


def _steering(records, docs):
    figures = {}
    for (name, facet), group in by_facet(done(records)).items():
        path = FIGURES / f"steering-{name}-{facet}.svg"
        save(steering_figure(name, facet, group), docs / path)
        figures[name, facet] = f"../{path.as_posix()}"
    return render_steering(records, figures)


def write(path, text):
    """Write a page and say so.

    Parameters
    ----------
    path : Path
    text : str
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    print(path)


if __name__ == "__main__":
    main()
