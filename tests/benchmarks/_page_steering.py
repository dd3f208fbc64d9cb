"""The page on steering: what must hold, at the same share, and where it fails."""

from _page_steering_tables import (
    compare_all_users,
    compare_likers,
    compare_mappings,
    compare_neurons,
    number,
)
from _pages import (
    done,
    environment_section,
    join,
    made_by,
    mean,
    shortfall,
    table,
)
from _steering import (
    MAPPING,
    MAX_CONCEPTS,
    MAX_SCORES,
    MAX_USERS,
    MIN_ITEMS,
    OWN,
    STEERING_SYSTEMS,
)
from _steering_compare import (
    ALREADY,
    GOAL,
    MET,
    MISSED,
    NEVER,
    PRECISE,
    best_other,
    by_facet,
    by_run,
    liker_outcome,
    reasons,
    rising_share,
)
from _steering_measures import (
    LIKED_SHARE,
    LIKED_TIMES,
    MIN_LIKERS,
    TOLERANCE,
    TOP,
)
from _steering_rivals import STRENGTHS

MUST_RISE, MUST_GAIN = 0.9, 0.2


def render_steering(records, figures):
    """Render the page.

    Parameters
    ----------
    records : list of dict
        Of `bench_steering.py`.
    figures : dict
        Paths by data set and facet.

    Returns
    -------
    str
        Markdown.
    """
    ok = done(records)
    sections = [_introduction(), _musts(ok), compare_all_users(ok), compare_likers(ok)]
    sections += [compare_mappings(ok), compare_neurons(ok)]
    for (name, facet), group in by_facet(records).items():
        sections.append(_facet(name, facet, group, figures.get((name, facet))))
    sections.append(environment_section(records))
    return "\n\n".join(section for section in sections if section) + "\n"


def _introduction():
    return f"""\
# Steering towards concepts

{made_by("bench_steering.py")}

What does a list lose when it is steered towards a concept, and what would the usual
ways to get more of the concept lose? Test users are held out of training, at most
{MAX_USERS:,} (fewer where they would have more than {MAX_SCORES:,} scores); a fifth of
the items of each are hidden, and 100 unseen items are recommended from the rest.
Concepts are tags of at least {MIN_ITEMS} items, at most {MAX_CONCEPTS} of a facet,
drawn once, and mapped by the {MAPPING["concept_map"]["method"]} of neurons, of which
{MAPPING["concept_map"]["n_neurons"]} stand for each. Every one of them is raised for
all users by `SteerableRecommender.recommend`, with the strengths
{join(STRENGTHS)}.

- **Share**: of the first ten places, the part that holds items with the concept.
- **At a share**: the numbers where the mean share of all users (or of those who are
  looked at) first reaches it, between two strengths by linear interpolation.
- **Who likes a concept**: users whose *history* has at least {LIKED_TIMES} times the
  mean share of it, and at least {LIKED_SHARE}. Concepts with fewer than {MIN_LIKERS} of
  them are left out where they are meant.
- Other ways start at the same model: a **boost** adds a constant to the scores of
  tagged items; **a share of places** lets every beginning of the list hold as many
  tagged items, and leaves the order as it is where they are there already; tagged items
  are **added to the history**, the most popular or the best for the user; the profile
  is **rotated to the mean embedding** of the tagged items, without neurons. **Tagged
  items only** is a filter, a point and no curve.

All but the rotations look up tags when they recommend; steering knows a concept as
neurons alone. Where several seeds were run, numbers are means over seeds, with the
standard deviation."""


def _musts(records):
    rows = []
    for (name, facet, system), runs in by_run(records).items():
        ways = [run["ways"][OWN] for run in runs]
        first = [way["mean"]["share"][0] for way in ways]
        last = [way["mean"]["share"][-1] for way in ways]
        rising = [rising_share(way, falls="fall in tenths") for way in ways]
        gain = [after - before for before, after in zip(first, last, strict=True)]
        held = (
            all(all(run["unchanged"].values()) for run in runs),
            min(rising) >= MUST_RISE,
            min(gain) >= MUST_GAIN,
        )
        rows.append(
            [
                *(name, facet, STEERING_SYSTEMS[system].label),
                *("yes" if each else "**no**" for each in held),
                f"{len(runs[0]['concepts'])} of {runs[0]['n_concepts']:,}",
                mean(rising, 3),
                mean([rising_share(way) for way in ways], 3),
                mean([rising_share(way, TOLERANCE) for way in ways], 3),
                *(mean(first, 3), mean(last, 3)),
                str(len(runs)),
            ]
        )
    header = [
        *("data", "concepts", "system", "0 changes nothing", "rises", "gains"),
        *(
            "steered",
            "in tenths",
            "at all",
            f"within {TOLERANCE}",
            "share at 0",
            "share at 1",
        ),
        "seeds",
    ]
    return f"""\
## What must hold

Strength 0 gives the same list to the last bit, that of the recommender itself where it
can recommend; the share rises from each strength to the next, and never falls, for at
least {MUST_RISE:.0%} of the concepts; at strength 1 the mean share is at least
{MUST_GAIN} above the unsteered one. Rising is judged **in tenths**, the strengths of
``steering_report``. *At all* strengths above, half of which are below 0.3, one place of
one user can make a share fall that is hardly above zero; *within {TOLERANCE}*: falls of
so little at any strength not counted.

{table(header, rows, 6)}"""


def _facet(name, facet, records, figure):
    described = records[0]["dataset"]
    of_facet = described["facets"][facet]
    sizes = (
        f"{described['n_users']:,} users × {described['n_items']:,} items, "
        f"{described['n_test_users']:,} test users; {of_facet['n_tags']:,} tags on "
        f"{of_facet['n_items']:,} items."
    )
    parts = [f"## {name}: {facet}", sizes]
    if figure:
        parts.append(f"![nDCG@100 against the share of the concept]({figure})")
    for record in records:
        if record["status"] != "ok":
            label = STEERING_SYSTEMS[record["family"]].label
            parts.append(f"{label}, seed {record['seed']}: {shortfall(record)}.")
    for system in STEERING_SYSTEMS:
        runs = [run for run in done(records) if run["family"] == system]
        if runs:
            parts.append(_concepts(runs))
    return "\n\n".join(parts)


def _concepts(runs):
    first = min(runs, key=lambda run: run["seed"])
    losses = [run["insertion_loss"] for run in runs]
    rows = [_concept(first, place) for place in range(len(first["concepts"]))]
    rows = [row for row in rows if row]
    lines = [
        f"### {STEERING_SYSTEMS[first['family']].label}: concepts that miss an aim"
    ]
    trained = (
        f"Training and mapping took {mean([r['fit_seconds'] for r in runs], 1)} s."
    )
    if any(losses):
        lost = mean([100 * loss for loss in losses], 1)
        trained += (
            f" Ranking what the codes rebuild would lose {lost} % of the nDCG@100."
        )
    only = [run["ways"]["filter"]["mean"]["ndcg"] for run in runs]
    trained += (
        f" Lists of tagged items only have an nDCG@100 of "
        f"{mean([ndcg[-1] for ndcg in only])}, unsteered ones of "
        f"{mean([ndcg[0] for ndcg in only])}."
    )
    lines.append(trained)
    falls = first["ways"][OWN]["fall"]
    fallen = [
        f"`{concept['name']}` {fall:.4f}"
        for concept, fall in zip(first["concepts"], falls, strict=True)
        if fall > 0
    ]
    if fallen:
        place = 1 / (TOP * first["dataset"]["n_test_users"])
        lines.append(
            f"Seed {first['seed']}, concepts whose share falls somewhere, and by how "
            f"much at most: {join(fallen)}. One place of one user is {place:.4f}."
        )
    if not rows:
        return "\n\n".join([*lines, "None."])
    header = [
        *("concept", "items", "likers", "their share", "p@n", "unsteered"),
        *(f"at {GOAL}", "best other way", "all users", "best other way", "why"),
    ]
    lines.append(
        f"Seed {first['seed']}. nDCG@100 of those who like the concept, unsteered and "
        f"where their share is {GOAL}, and of all users where the mean share is; the "
        f"best other way beside each. *p@n*: of as many items as have the concept, the "
        f"share among the first along its direction; below {PRECISE} it is imprecise. "
        f"**Bold**: misses an aim."
    )
    lines.append(_text_last(header, rows))
    return "\n\n".join(lines)


def _text_last(header, rows):
    alignment = [":--"] + ["--:"] * (len(header) - 2) + [":--"]
    return "\n".join(
        "| " + " | ".join(line) + " |" for line in [header, alignment, *rows]
    )


def _concept(record, place):
    """Return the row of a concept, or None where it misses nothing."""
    own, concept = record["ways"][OWN], record["concepts"][place]
    outcome = liker_outcome(record, place)
    all_users = own[f"at {GOAL}"]["ndcg"][place]
    best_all, way_all = best_other(record, place, "ndcg")
    best_likers, way_likers = best_other(record, place, "liker_ndcg")
    not_above = all_users is None or (best_all is not None and all_users <= best_all)
    if outcome in (None, ALREADY, MET) and not not_above:
        return None
    likers = number(own[f"at {GOAL}"]["liker_ndcg"][place])
    likers = f"**{likers or 'never'}**" if outcome in (NEVER, MISSED) else likers
    text = number(all_users) or "never"
    return [
        f"`{concept['name']}`",
        *(str(concept["n_items"]), str(concept["n_likers"])),
        number(own["first"]["liker_share"][place], 2),
        number(concept["precision"], 2),
        number(own["first"]["liker_ndcg"][place]),
        likers,
        f"{number(best_likers)} {way_likers}".strip(),
        f"**{text}**" if not_above else text,
        f"{number(best_all)} {way_all}".strip(),
        reasons(record, place),
    ]
