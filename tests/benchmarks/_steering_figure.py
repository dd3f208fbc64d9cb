"""The figures of the page on steering."""

import matplotlib as mpl
import matplotlib.pyplot as plt
from _figures import COLORS, SETTINGS
from _steering import OWN, STEERING_SYSTEMS, WAYS

# Colour, marker and line of every way.
STYLES = {
    OWN: ("blue", "o", "-"),
    "boost, relative": ("vermillion", "^", "-"),
    "boost, absolute": ("orange", "v", "--"),
    "places": ("green", "s", "-"),
    "filter": ("black", "X", ""),
    "history, popular": ("purple", "D", "--"),
    "history, nearest": ("purple", "P", "-"),
    "mean embedding": ("sky", "s", ":"),
}


def steering_figure(name, facet, records):
    """Draw nDCG@100 against the share of the concept, a row for each system.

    Parameters
    ----------
    name, facet : str
    records : list of dict
        Of runs that went well; those with the smallest seed are drawn.

    Returns
    -------
    matplotlib.figure.Figure
    """
    systems = [s for s in STEERING_SYSTEMS if any(r["family"] == s for r in records)]
    panels = (
        ("share", "ndcg", "all users"),
        ("liker_share", "liker_ndcg", "users who like the concept"),
    )
    with mpl.rc_context(SETTINGS):
        figure, axes = plt.subplots(
            len(systems),
            len(panels),
            figsize=(9.4, 3.5 * len(systems) + 0.9),
            layout="constrained",
            squeeze=False,
            sharex=True,
        )
        for row, system in zip(axes, systems, strict=True):
            runs = [record for record in records if record["family"] == system]
            run = min(runs, key=lambda record: record["seed"])
            for ax, (share, ndcg, title) in zip(row, panels, strict=True):
                _draw(ax, run, share, ndcg)
                ax.set_title(
                    f"{STEERING_SYSTEMS[system].label}\n{title}", loc="left", fontsize=9
                )
                ax.set_ylabel("nDCG@100")
        for ax in axes[-1]:
            ax.set_xlabel("share of the concept in the first ten places")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
        figure.suptitle(f"{name}, {facet}: mean over concepts", x=0.01, ha="left")
    return figure


def _draw(ax, run, share, ndcg):
    for way, (color, marker, line) in STYLES.items():
        kept = run["ways"].get(way)
        if kept is None or not kept["mean"][share]:
            continue
        points = slice(-1, None) if way == "filter" else slice(None)
        ax.plot(
            kept["mean"][share][points],
            kept["mean"][ndcg][points],
            color=COLORS[color],
            marker=marker,
            linestyle=line or "none",
            markersize=4,
            linewidth=1.6,
            label=WAYS[way],
            zorder=3 if way == OWN else 2,
        )
    ax.grid(axis="y", color="#dddddd")
    ax.set_xlim(0, 1.02)
